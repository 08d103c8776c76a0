//! The rules of `deny.toml`, in the place of cargo-deny where that is not installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use packaging::{cargo, root, succeeds};
use serde_json::Value as Json;
use toml::{Table, Value};

/// What `deny.toml` says, for each workspace whose crates end up in what somebody runs.
#[test]
fn dependencies_keep_to_deny_toml() {
    let rules: Table = fs::read_to_string(root().join("deny.toml"))
        .expect("deny.toml can be read")
        .parse()
        .expect("it is TOML");
    let strings = |value: &Value| -> BTreeSet<String> {
        let list = value.as_array().expect("a list").iter();
        list.map(|s| s.as_str().expect("of strings").to_owned())
            .collect()
    };
    let licences = strings(&rules["licenses"]["allow"]);
    let registries = strings(&rules["sources"]["allow-registry"]);
    let skipped = rules["bans"]["skip"].as_array().expect("a list").iter();
    let skipped: BTreeSet<_> = skipped.filter_map(|s| s["crate"].as_str()).collect();
    let mut wrong = Vec::new();
    for workspace in [
        "",
        "guest-kernel",
        "pagetable-pool/models",
        "migration/models",
    ] {
        let mut command = cargo(&root(), "metadata --format-version 1 --locked");
        command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
        command.arg("--manifest-path");
        let file = root().join(workspace).join("Cargo.toml");
        let metadata: Json =
            serde_json::from_str(&succeeds(command.arg(file))).expect("cargo gives JSON");
        let used = metadata["resolve"]["nodes"].as_array().expect("nodes");
        let used: BTreeSet<_> = used.iter().filter_map(|n| n["id"].as_str()).collect();
        let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for package in metadata["packages"].as_array().expect("packages") {
            let text = |key: &str| package[key].as_str().unwrap_or_default();
            if !used.contains(text("id")) {
                continue;
            }
            let (name, licence) = (text("name"), text("license"));
            versions.entry(name).or_default().insert(text("version"));
            let allowed =
                spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX).is_ok_and(|e| {
                    e.evaluate(|one| {
                        let name = one.license.id().map(|id| id.name);
                        name.is_some_and(|name| licences.contains(name))
                    })
                });
            if !allowed {
                wrong.push(format!("{workspace}: {name} has the licence {licence:?}"));
            }
            let source = text("source");
            let from = source.strip_prefix("registry+").unwrap_or(source);
            if !from.is_empty() && !registries.contains(from) {
                wrong.push(format!("{workspace}: {name} comes from {source}"));
            }
        }
        for (name, versions) in versions {
            if versions.len() > 1 && !skipped.contains(name) {
                wrong.push(format!("{workspace}: {name} in versions {versions:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
