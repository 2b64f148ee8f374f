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
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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

/// What the manifests use and the table does not allow.
fn violations(documented: &Table, actual: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for (name, (siblings, burn)) in actual {
        let Some((allowed, burn_allowed)) = documented.get(name) else {
            found.push(format!("{name} is not in the table"));
            continue;
        };
        found.extend(siblings.difference(allowed).map(|sibling| format!("{name} uses {sibling}")));
        if *burn && !burn_allowed {
            found.push(format!("{name} uses Burn"));
        }
    }
    found
}

#[test]
fn crates_use_what_the_architecture_lets_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let actual = actual(root);
    assert_eq!(actual.len(), 11, "the crates under crates/");
    assert_eq!(violations(&documented(&text), &actual), Vec::<String>::new());
}

#[test]
fn forbidden_dependencies_are_found() {
    let documented = documented(
        "| crate | may use | Burn | x |\n|---|---|---|---|\n| a | none | no | x |\n| b | a, c | yes | x |\n\n",
    );
    let entry = |siblings: &[&str], burn| (siblings.iter().map(|s| (*s).to_owned()).collect(), burn);
    let table = |a, b| Table::from([("a".to_owned(), a), ("b".to_owned(), b)]);
    assert!(violations(&documented, &table(entry(&[], false), entry(&["a", "c"], true))).is_empty());
    let found = violations(&documented, &table(entry(&["b"], true), entry(&["d"], true)));
    assert_eq!(found, ["a uses b", "a uses Burn", "b uses d"]);
}
