//! Holds the crates' dependencies against the table in ARCHITECTURE.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// For each crate: the sibling crates it may use, and whether it may use Burn.
type Table = BTreeMap<String, (BTreeSet<String>, bool)>;

/// The rows `| crate | may use | Burn | ...` of ARCHITECTURE.md.
fn documented(text: &str) -> Table {
    text.lines()
        .skip_while(|line| !line.starts_with("| crate | may use | Burn |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let siblings = cells[2].split(", ").filter(|name| *name != "none").map(str::to_owned).collect();
            (cells[1].to_owned(), (siblings, cells[3] == "yes"))
        })
        .collect()
}

/// What the manifests say. Development dependencies do not count.
fn actual(root: &Path) -> Table {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let mut table = Table::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let Some(name) = package["name"].as_str().and_then(|name| name.strip_prefix("bayesburn-")) else { continue };
        let names = package["dependencies"]
            .as_array()
            .expect("dependencies")
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str());
        let mut entry = (BTreeSet::new(), false);
        for dependency in names {
            entry.0.extend(dependency.strip_prefix("bayesburn-").map(str::to_owned));
            entry.1 |= dependency == "burn" || dependency.starts_with("burn-");
        }
        table.insert(name.to_owned(), entry);
    }
    table
}

#[test]
fn crates_use_what_the_architecture_lets_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let (documented, actual) = (documented(&text), actual(root));
    assert_eq!(documented.keys().collect::<Vec<_>>(), actual.keys().collect::<Vec<_>>(), "crates of the table");
    for (name, (siblings, burn)) in &actual {
        let (allowed, burn_allowed) = &documented[name];
        let forbidden: Vec<_> = siblings.difference(allowed).collect();
        assert!(forbidden.is_empty(), "{name} uses {forbidden:?}, which ARCHITECTURE.md does not let it");
        assert!(*burn_allowed || !burn, "{name} uses Burn, which ARCHITECTURE.md does not let it");
    }
}

#[test]
fn a_forbidden_dependency_would_be_found() {
    let table = documented(
        "| crate | may use | Burn | x |\n|---|---|---|---|\n| a | none | no | x |\n| b | a, c | yes | x |\n\n",
    );
    assert_eq!(table["a"], (BTreeSet::new(), false));
    assert_eq!(table["b"], (BTreeSet::from(["a".to_owned(), "c".to_owned()]), true));
}
