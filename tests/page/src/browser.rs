//! A real Chromium without a screen, driven through its DevTools protocol.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use lacuna_brokers::process::Process;
use lacuna_brokers::wait;

use crate::tab::{Look, Tab};

/// A running browser with a profile of its own.
#[derive(Debug)]
pub struct Browser {
    socket: String,
    profile: PathBuf,
    /// Ended before the profile goes.
    process: Option<Process>,
}

impl Browser {
    /// Starts one, under a name that nothing else at work has.
    ///
    /// # Panics
    /// If there is no Chromium.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let profile = directory().join(format!("chromium-{name}"));
        drop(fs::remove_dir_all(&profile));
        let mut command = Command::new(env::var("CHROMIUM").as_deref().unwrap_or("chromium"));
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
            "--remote-debugging-port=0",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display()));
        command.stderr(std::process::Stdio::null());
        let process = Process::start("chromium", &mut command);
        let port = profile.join("DevToolsActivePort");
        let socket = wait::until("Chromium says where it listens", || {
            let text = fs::read_to_string(&port).map_err(|error| error.to_string())?;
            let (port, path) = text.split_once('\n').ok_or("half a file")?;
            Ok(format!("ws://127.0.0.1:{port}{}", path.trim()))
        });
        Self { socket, profile, process: Some(process) }
    }

    /// A tab of its own, with neither cookies nor storage of others.
    #[must_use]
    pub fn tab(&self, look: &Look) -> Tab {
        Tab::open(&self.socket, look)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process = None;
        // Its last writers may still be ending; what stays is below the tests' own directory.
        drop(fs::remove_dir_all(&self.profile));
    }
}

/// Where a run's files are.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn directory() -> PathBuf {
    let path =
        env::var("PAGE_DATA").map_or_else(|_| env::temp_dir().join("lacuna-page"), PathBuf::from);
    fs::create_dir_all(&path).expect("the run's directory can be made");
    path
}
