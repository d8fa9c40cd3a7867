//! The commands that stand in the project's documents, to be run as a reader would.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::http::exchange;
use crate::process::{Process, Signal};
use crate::wait;

/// Programs whose commands are run by the tests of the brokers.
const RUN: [&str; 4] = ["lacuna", "curl", "kafka-console-consumer.sh", "rabbitmqctl"];

/// A command as it stands in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The document, from the project's root.
    pub document: String,
    /// The line it begins at.
    pub line: usize,
    /// The command, lines that belong together joined.
    pub text: String,
}

impl Written {
    /// Whether it runs until it is told to end.
    #[must_use]
    pub fn serves(&self) -> bool {
        let words: Vec<&str> = self.program().collect();
        let tells = ["--default-config", "--check-config", "--help"];
        words.starts_with(&["lacuna", "run"]) && !words.iter().any(|word| tells.contains(word))
    }

    /// Whether it needs a RabbitMQ; all others run beside a Kafka.
    #[must_use]
    pub fn is_of_rabbitmq(&self) -> bool {
        self.text.contains("rabbitmq") || self.text.contains("amqp")
    }

    /// The words from the program's name on, behind what is set for it.
    pub fn program(&self) -> impl Iterator<Item = &str> {
        self.text
            .split_whitespace()
            .skip_while(|word| word.split('/').next().is_some_and(|head| head.contains('=')))
    }
}

/// All commands in the documents that the tests of the brokers run.
///
/// # Panics
/// If a document cannot be read.
#[must_use]
pub fn commands() -> Vec<Written> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for document in documents(&root) {
        let text = fs::read_to_string(root.join(&document)).expect("a document is text");
        found.extend(commands_of(&document, &text));
    }
    found
}

fn documents(root: &Path) -> Vec<String> {
    let folders =
        ["", "docs", "docs/runbooks", "interceptors/kafka", "interceptors/rabbitmq", "deploy"];
    let of = |folder: &&str| {
        let files = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        let names = files.map(|file| PathBuf::from(folder).join(file.file_name()));
        let markdown = names.filter(|path| path.extension().is_some_and(|is| is == "md"));
        markdown.map(|path| path.display().to_string()).collect::<Vec<_>>()
    };
    let mut all: Vec<String> = folders.iter().flat_map(of).collect();
    all.sort();
    assert!(all.contains(&"README.md".to_owned()), "the documents are gone");
    all
}

/// A command begins a line of a code block, which is indented by four or fenced.
fn commands_of(document: &str, text: &str) -> Vec<Written> {
    let mut found = Vec::new();
    let mut fenced = false;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let Some(code) = line.strip_prefix("    ").or_else(|| fenced.then_some(line)) else {
            continue;
        };
        let mut written =
            Written { document: document.to_owned(), line: index + 1, text: code.to_owned() };
        if code.starts_with(' ')
            || !written.program().next().is_some_and(|word| RUN.contains(&word))
        {
            continue;
        }
        let until = code.split_once("<<'").and_then(|(_, end)| end.split('\'').next());
        loop {
            let goes_on = written.text.ends_with('\\')
                || until.is_some_and(|end| written.text.lines().last() != Some(end));
            let Some((_, next)) = goes_on.then(|| lines.next()).flatten() else { break };
            written.text.push('\n');
            written.text.push_str(next.strip_prefix("    ").unwrap_or(next));
        }
        found.push(written);
    }
    found
}

/// A shell in which the documents' addresses are those of this run.
#[derive(Debug)]
pub struct Shell {
    directory: PathBuf,
    replaced: Vec<(String, String)>,
    variables: Vec<(String, String)>,
}

impl Shell {
    /// In this directory, where programs are found in `bin`.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        fs::create_dir_all(directory.join("bin")).expect("the run's directory can be written");
        let path = std::env::var("PATH").unwrap_or_default();
        let variables = vec![
            ("PATH".to_owned(), format!("{}/bin:{path}", directory.display())),
            ("NO_COLOR".to_owned(), "1".to_owned()),
        ];
        Self { directory, replaced: Vec::new(), variables }
    }

    /// A program that stands for one of the documents'.
    pub fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.directory.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    /// Writes this where the documents write that.
    #[must_use]
    pub fn with(mut self, written: &str, meant: &str) -> Self {
        self.replaced.push((written.to_owned(), meant.to_owned()));
        self
    }

    /// Sets a variable for all commands.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command, ready to be started.
    #[must_use]
    pub fn command(&self, written: &Written) -> Command {
        let mut text = written.text.clone();
        for (written, meant) in &self.replaced {
            text = text.replace(written, meant);
        }
        // What serves is told to end, not the shell around it.
        let text = if written.serves() { format!("exec env {text}") } else { text };
        let mut command = Command::new("bash");
        command.args(["-eo", "pipefail", "-c", &text]).current_dir(&self.directory);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command that serves until it answers at this place, and ends it by its own means.
    ///
    /// # Panics
    /// If it fails.
    pub fn serve(&self, written: &Written, address: SocketAddr, path: &str) {
        let Written { document, line, text } = written;
        let mut process = Process::start("lacuna", &mut self.command(written));
        wait::until(&format!("{document}:{line}: {text} answers"), || {
            assert!(!process.has_ended(), "{document}:{line}: {text}\nended by itself");
            match exchange(address, "GET", path, "") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        process.signal(Signal::Terminate);
        let status = process.ended();
        let judged = status.code().is_some_and(|code| [0, 1, 3].contains(&code));
        assert!(judged, "{document}:{line}: {text}\nended with {status}");
    }

    /// Runs a command that ends by itself; it must succeed, or have judged.
    ///
    /// # Panics
    /// If it fails.
    pub fn run(&self, written: &Written) {
        let Written { document, line, text } = written;
        let output = self.command(written).output().expect("bash is there");
        let judges = ["audit", "check", "demo"];
        let judged = written.program().nth(1).is_some_and(|word| judges.contains(&word));
        let code = output.status.code();
        let fine = code == Some(0) || (judged && matches!(code, Some(1 | 3)));
        assert!(
            fine,
            "{document}:{line}: {text}\nended with {:?}\n{}{}",
            code,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_with_all_their_lines() {
        let text = "word\n\n    A=1 lacuna run kafka --topic t    # why\n\n    curl -d @- http://h <<'END'\n    {\"a\":1}\n    END\n\
                    \n    producer ---- x\n\n```sh\ncurl a \\\n  b\n```\nlacuna is no command here\n";
        let found: Vec<_> =
            commands_of("d", text).into_iter().map(|found| (found.line, found.text)).collect();
        let wanted = [
            (3, "A=1 lacuna run kafka --topic t    # why"),
            (5, "curl -d @- http://h <<'END'\n{\"a\":1}\nEND"),
            (12, "curl a \\\n  b"),
        ];
        assert_eq!(found, wanted.map(|(line, text)| (line, text.to_owned())));
        let serves = |text: &str| {
            Written { document: String::new(), line: 0, text: text.to_owned() }.serves()
        };
        assert!(serves("A=/b lacuna run kafka") && serves("lacuna run --config f"));
        assert!(!serves("lacuna run --default-config > f") && !serves("lacuna audit kafka"));
    }
}
