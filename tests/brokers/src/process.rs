//! Child processes that are told what to do line by line, and that never outlive their test.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use crate::wait::{self, DEADLINE};

/// A process of ours: lines in, lines out. Dropped, it is killed and waited for.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
}

/// A signal that a test sends.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// Ends it in good order.
    Terminate,
    /// Has it read its configuration again.
    Hangup,
    /// Ends it at once.
    Kill,
    /// Freezes it.
    Stop,
    /// Lets it go on.
    Continue,
}

impl Process {
    /// Starts `command` under the name that its failures are reported by. Its standard error is
    /// the test's own.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().expect("standard output is piped");
        let (lines, output) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The test may have ended; the pipe must still be read.
                drop(lines.send(line));
            }
        });
        let input = child.stdin.take();
        Self { name: name.to_owned(), child, input, output }
    }

    /// The next line that it says.
    pub fn line(&mut self) -> String {
        self.hear("")
    }

    /// Gives it one line.
    pub fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the process was not told to finish");
        writeln!(input, "{line}")
            .unwrap_or_else(|error| panic!("{}: cannot be told {line:?}: {error}", self.name));
    }

    /// Waits for a line that begins with `word`; gives the rest of it. Other lines are passed over.
    pub fn hear(&mut self, word: &str) -> String {
        loop {
            match self.output.recv_timeout(DEADLINE) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(word) {
                        return rest.trim().to_owned();
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("{}: never said {word:?}", self.name),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{}: ended without saying {word:?}", self.name)
                }
            }
        }
    }

    /// Tells it a line and waits for its answer.
    pub fn ask(&mut self, line: &str, answer: &str) -> String {
        self.tell(line);
        self.hear(answer)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "-TERM",
            Signal::Hangup => "-HUP",
            Signal::Kill => "-KILL",
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
        };
        let status = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .expect("kill is part of every system");
        assert!(status.success(), "{}: cannot be sent {name}", self.name);
    }

    /// Its resident memory, in KiB.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("a number of kB")
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        let Self { name, child, .. } = self;
        wait::until(&format!("{name} ends"), || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("running".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Closes its input, which tells our processes to finish, and waits until it has ended well.
    pub fn finish(mut self) {
        self.input = None;
        let status = self.ended();
        assert!(status.success(), "{}: {status}", self.name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What one of this crate's programs says to the test that started it.
///
/// # Panics
/// If nobody listens.
pub fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).expect("the test listens");
}

/// One of this crate's own programs.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn lab(program: &str) -> Command {
    built(program, "cargo build -p lacuna-brokers")
}

/// One of the interceptors' examples.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn example(program: &str) -> Command {
    built(
        &format!("examples/{program}"),
        "cargo build -p lacuna-kafka -p lacuna-rabbitmq --examples",
    )
}

fn built(program: &str, by: &str) -> Command {
    // The test binary stands in `<target>/<profile>/deps`, the programs one level above.
    let test = std::env::current_exe().expect("a process knows its own file");
    let path: PathBuf = test.ancestors().nth(2).expect("a target directory").join(program);
    assert!(path.exists(), "{} is not built: {by}", path.display());
    Command::new(path)
}
