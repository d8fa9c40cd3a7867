//! The wall clock of a process, moved while it runs (`tests/brokers/clock/clock.c`).

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clock/clock.c");

/// A wall clock that can be set. It begins as the system's.
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    path: PathBuf,
    ahead: File,
}

impl WallClock {
    /// Makes one, with its files in this directory.
    ///
    /// # Panics
    /// If it cannot be compiled.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("the run's directory can be written");
        let (library, path) = (dir.join("clock.so"), dir.join("ahead"));
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(SOURCE);
        assert!(compiler.status().expect("a C compiler is there").success(), "{compiler:?}");
        let ahead = File::create(&path).expect("the run's directory can be written");
        let clock = Self { library, path, ahead };
        clock.set(0);
        clock
    }

    /// What a process's environment needs to go by it.
    #[must_use]
    pub fn variables(&self) -> [(&str, &str); 2] {
        let [library, path] =
            [&self.library, &self.path].map(|path| path.to_str().expect("a path of text"));
        [("LD_PRELOAD", library), ("WALL_CLOCK", path)]
    }

    /// Sets it so many milliseconds ahead of the system's.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn set(&self, ahead_ms: i64) {
        self.ahead.write_all_at(&ahead_ms.to_ne_bytes(), 0).expect("the file can be written");
    }
}
