//! The Grafana boards as they stand in the repository.

use std::fs;

use serde_json::Value;

use crate::root;

/// One board.
#[derive(Debug)]
pub struct Board {
    /// Its file's name.
    pub file: String,
    /// What it holds.
    pub json: Value,
}

/// All of them.
///
/// # Panics
/// If one is not JSON.
#[must_use]
pub fn boards() -> Vec<Board> {
    let directory = fs::read_dir(root().join("dashboards")).expect("it can be listed");
    let files = directory.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).expect("boards are text");
        let file = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        Board { file, json }
    };
    files.iter().map(read).collect()
}

impl Board {
    /// Its name in links.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.json["uid"].as_str().unwrap_or_default()
    }

    /// Its panels, but for rows.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    pub fn panels(&self) -> Vec<&Value> {
        let panels = self.json["panels"].as_array().expect("a board has panels");
        panels.iter().filter(|panel| panel["type"] != "row").collect()
    }

    /// What its reader chooses.
    ///
    /// # Panics
    /// If there is nothing to choose.
    #[must_use]
    pub fn variables(&self) -> &[Value] {
        self.json["templating"]["list"].as_array().expect("a board has variables")
    }
}

/// The queries of a panel, by their letter.
#[must_use]
pub fn targets(panel: &Value) -> Vec<(&str, &str)> {
    let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    targets
        .map(|target| {
            let text = |name: &str| target[name].as_str().unwrap_or_default();
            (text("refId"), text("expr"))
        })
        .collect()
}
