//! The house holds its own rules: layers, one version, one place for every fact.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/brokers").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The workspace's packages, as cargo knows them.
fn packages() -> Vec<Value> {
    let mut command = Command::new(env!("CARGO"));
    let output = command
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    metadata["packages"].as_array().expect("a workspace has packages").clone()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}"))
}

/// Each package's dependencies of every kind but those that only its tests have.
fn dependencies(packages: &[Value]) -> BTreeMap<&str, BTreeSet<&str>> {
    let of = |package: &'static str, value: &Value| value["kind"] == package;
    let mut all = BTreeMap::new();
    for package in packages {
        let list = package["dependencies"].as_array().into_iter().flatten();
        let needed = list.filter(|dependency| !of("dev", dependency));
        all.insert(text(package, "name"), needed.map(|one| text(one, "name")).collect());
    }
    all
}

#[test]
fn layers_are_kept() {
    let packages = packages();
    let dependencies = dependencies(&packages);
    let ours: BTreeSet<_> = dependencies.keys().copied().collect();
    let of_ours = |name: &str| -> BTreeSet<&str> {
        dependencies[name].intersection(&ours).copied().collect()
    };
    // The core knows nobody, and of others only what has neither clock nor I/O.
    assert_eq!(dependencies["lacuna-core"], ["foldhash", "hashbrown"].into());
    for package in &packages {
        let name = text(package, "name");
        let manifest = text(package, "manifest_path");
        let knows_the_sidecar = name != "lacuna-fuzz" && of_ours(name).contains("lacuna");
        assert!(!knows_the_sidecar, "{name} depends on the sidecar");
        if manifest.contains("/interceptors/") {
            // What they share knows the core at most, and they know that.
            let allowed: &[_] = match name {
                "lacuna-ring" => &[],
                "lacuna-interceptor" => &["lacuna-core", "lacuna-ring"],
                _ => &["lacuna-core", "lacuna-interceptor", "lacuna-ring"],
            };
            let knows = of_ours(name);
            assert!(knows.is_subset(&allowed.iter().copied().collect()), "{name}: {knows:?}");
        }
        if manifest.contains("/src/") {
            let others = of_ours(name)
                .into_iter()
                .any(|other| ["lacuna-brokers", "lacuna-fuzz", "lacuna-sim"].contains(&other));
            assert!(!others, "{name} depends on tests");
        }
    }
    // Runtime, server and command line are the sidecar's alone.
    for heavy in ["tokio", "axum", "clap", "tracing-subscriber"] {
        let users: Vec<_> = dependencies.iter().filter(|(_, all)| all.contains(heavy)).collect();
        // Tests start real applications, which have runtimes, and ask the server without a network.
        let shipped = |name: &str| !["lacuna-brokers", "lacuna-fuzz"].contains(&name);
        let others: Vec<_> = users.iter().filter(|(name, _)| shipped(name)).collect();
        assert!(others.iter().all(|(name, _)| **name == "lacuna"), "{heavy}: {others:?}");
    }
}

#[test]
fn the_core_has_no_clock_and_no_system() {
    // With this the compiler refuses the rest, as long as std is asked for by tests and mutants only.
    let source = read("src/core/src/lib.rs");
    assert!(source.contains("\n#![no_std]\n"), "the core is no_std");
    let mut line_before = "";
    for line in source.lines() {
        let shipped = !line_before.starts_with("#[cfg(test)]")
            && !line_before.starts_with("#[cfg(any(test, feature = \"mutants\"))]");
        assert!(!(line == "extern crate std;" && shipped), "the core asks for std");
        line_before = line;
    }
}

#[test]
fn every_crate_follows_the_workspace() {
    for package in packages() {
        let manifest = text(&package, "manifest_path");
        let source = fs::read_to_string(manifest).expect("cargo has read it");
        assert!(source.contains("[lints]\nworkspace = true"), "{manifest}: lints");
        for key in ["version", "edition", "rust-version", "license"] {
            assert!(source.contains(&format!("{key}.workspace = true")), "{manifest}: {key}");
        }
    }
}

#[test]
fn there_is_one_clippy_toml() {
    // A nested one would replace the root's, not add to it.
    let found = files(&root(), &|path| path.ends_with("clippy.toml"));
    assert_eq!(found, [root().join("clippy.toml")]);
}

#[test]
fn the_contracts_are_whole() {
    let contracts = read("docs/contracts.md");
    let headings: Vec<_> = contracts.lines().filter(|line| line.starts_with("## ")).collect();
    let wanted = [
        "## 1. The stamp",
        "## 2. The ledger",
        "## 3. The observation record",
        "## 4. Verdicts",
        "## 5. Metrics",
        "## 6. HTTP",
        "## 7. Command line",
    ];
    assert_eq!(headings, wanted);
}

#[test]
fn metrics_are_those_of_the_contracts() {
    let contracts = read("docs/contracts.md");
    let mut quoted = BTreeSet::new();
    for path in files(&root().join("src/sidecar/src"), &|path| path.extension().is_some()) {
        let source = fs::read_to_string(path).expect("sources are text");
        let names = source.split('"').skip(1).step_by(2).filter(|name| {
            name.starts_with("lacuna_") && name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase())
        });
        quoted.extend(names.map(str::to_owned));
    }
    assert!(quoted.contains("lacuna_lost_messages_total"), "{quoted:?}");
    for name in quoted {
        assert!(contracts.contains(&format!("`{name}`")), "{name} is not in docs/contracts.md");
    }
}

#[test]
fn the_readme_says_what_is_so() {
    let readme = read("README.md");
    let default = read("src/sidecar/default.toml");
    let listen = default.lines().find_map(|line| line.strip_prefix("listen = "));
    let listen = listen.expect("the default configuration listens").trim_matches('"');
    assert!(readme.contains(listen), "README.md names another address than {listen}");
    let workspace = read("Cargo.toml");
    let rust = workspace.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let rust = rust.expect("the workspace names its Rust").trim_matches('"');
    assert!(readme.contains(&format!("Rust {rust}")), "README.md names another Rust than {rust}");
}

/// All files below a directory that are so, build output left out.
fn files(directory: &Path, so: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory can be listed") {
        let path = entry.expect("a directory can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(files(&path, so));
        } else if path.is_file() && so(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}
