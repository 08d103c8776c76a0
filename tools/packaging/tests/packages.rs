//! What somebody meets who takes a library from here: manifests, licences, lock files, packages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use packaging::{cargo, copy, manifest, root, succeeds};
use toml::{Table, Value};

/// The libraries that a kernel may take alone, and the name of the crate to import.
const LIBRARIES: [(&str, &str); 4] = [
    ("pagetable-pool", "pagetable_pool"),
    ("migration", "migration"),
    ("migration/frontends", "frontends"),
    ("xen-bindings", "xen_bindings"),
];

/// All that is published.
const PUBLISHED: [&str; 7] = [
    "pagetable-pool",
    "migration",
    "migration/frontends",
    "xen-bindings",
    "migration/kernel-glue",
    "tools/page-types",
    "tools/savelint",
];

/// Where what is built here stays, so that the next run builds less.
const BUILT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/packaging");

fn name_of(folder: &str) -> String {
    let manifest = manifest(folder);
    let name = manifest["package"]["name"].as_str();
    name.expect("a package has a name").to_owned()
}

#[test]
fn a_library_copied_elsewhere_builds_and_brings_only_what_it_needs() {
    let elsewhere = tempfile::tempdir().expect("a folder for the copies");
    for (folder, krate) in LIBRARIES {
        // One that lies in another's folder uses that: it is copied with it.
        let outer = folder.split('/').next().unwrap_or(folder);
        copy(&root().join(outer), &elsewhere.path().join(outer));
        let foreign = elsewhere.path().join(format!("uses-{krate}"));
        fs::create_dir_all(foreign.join("src")).expect("a folder for the crate");
        let package = name_of(folder);
        let toml = format!(
            "[package]\nname = \"foreign\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
             [workspace]\n\
             [dependencies]\n{krate} = {{ package = \"{package}\", path = \"../{folder}\" }}\n"
        );
        fs::write(foreign.join("Cargo.toml"), toml).expect("a manifest");
        let program = format!("#![no_std]\npub use {krate};\n");
        fs::write(foreign.join("src/lib.rs"), program).expect("a crate");
        // The versions that are here, so that nothing has to be fetched; cargo drops the rest.
        fs::copy(root().join("Cargo.lock"), foreign.join("Cargo.lock")).expect("a lock file");
        succeeds(cargo(&foreign, "build --quiet").env("CARGO_TARGET_DIR", BUILT));
        let lock: Table = fs::read_to_string(foreign.join("Cargo.lock"))
            .expect("the lock file is still there")
            .parse()
            .expect("it is TOML");
        let names = lock["package"].as_array().expect("packages").iter();
        let names: BTreeSet<_> = names.filter_map(|p| p["name"].as_str()).collect();
        let needed = [
            "bitflags",
            "log",
            "spin",
            "lock_api",
            "scopeguard",
            "autocfg",
        ];
        for name in names {
            let is_ours = name == "foreign" || name == package || name == name_of(outer);
            assert!(
                is_ours || needed.contains(&name),
                "{folder} puts {name} into the lock file of whoever uses it"
            );
        }
    }
}

#[test]
fn every_library_makes_a_package_that_builds() {
    let home = tempfile::tempdir().expect("a folder for cargo's home");
    home_without_old_packages(home.path());
    let mut command = cargo(&root(), "package --quiet --allow-dirty --locked");
    command.env("CARGO_HOME", home.path());
    for folder in PUBLISHED {
        command.args(["-p", &name_of(folder)]);
    }
    succeeds(command.arg("--target-dir").arg(home.path().join("target")));
}

/// Makes a home for cargo with all that is in the real one, but for what it has unpacked of our own
/// packages. cargo keeps that, and what it built of it, by name and version, and would build the
/// next package against an earlier state of the one that it uses.
fn home_without_old_packages(home: &Path) {
    let real = std::env::var_os("CARGO_HOME").map_or_else(
        || Path::new(&std::env::var_os("HOME").expect("a home")).join(".cargo"),
        PathBuf::from,
    );
    let (registry, sources) = ("registry", "registry/src");
    fs::create_dir_all(home.join(sources)).expect("a folder for sources");
    for folder in ["", registry, sources] {
        for entry in fs::read_dir(real.join(folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            let place = Path::new(folder).join(entry.file_name());
            // A registry that is made for one call of `cargo package` has no host's name.
            let is_ours =
                folder == sources && entry.file_name().as_encoded_bytes().starts_with(b"-");
            if !is_ours
                && ![registry, sources]
                    .map(Path::new)
                    .contains(&place.as_path())
            {
                std::os::unix::fs::symlink(entry.path(), home.join(place)).expect("a link");
            }
        }
    }
}

#[test]
fn manifests_say_the_same_and_all_that_a_registry_asks_for() {
    let workspace = manifest("");
    let shared = workspace["workspace"]["package"]
        .as_table()
        .expect("the workspace's package");
    for folder in PUBLISHED {
        let manifest = manifest(folder);
        let package = manifest["package"].as_table().expect("a package");
        for (key, value) in shared {
            let own = &package[key];
            let inherits = own
                .get("workspace")
                .is_some_and(|w| w == &Value::Boolean(true));
            assert!(inherits || own == value, "{folder}: {key} is {own:?}");
        }
        for key in ["description", "readme", "keywords", "categories"] {
            assert!(package.contains_key(key), "{folder} has no {key}");
        }
        assert!(!package.contains_key("publish"), "{folder} is published");
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let read = |file: PathBuf| fs::read(&file).expect("a licence can be read");
            let (ours, its) = (root().join(licence), root().join(folder).join(licence));
            assert!(read(ours) == read(its), "{folder}/{licence} is another");
        }
    }
}

/// The models build the libraries' sources with the libraries' own dependencies.
#[test]
fn models_have_the_dependencies_of_their_library() {
    for folder in ["pagetable-pool", "migration"] {
        let (library, models) = (manifest(folder), manifest(&format!("{folder}/models")));
        assert_eq!(
            library["dependencies"], models["dependencies"],
            "{folder}/models"
        );
        for key in ["edition", "license", "rust-version"] {
            let (one, other) = (&library["package"][key], &models["package"][key]);
            assert_eq!(one, other, "{folder}/models: {key}");
        }
    }
}

/// With the compiler of the declared `rust-version`, where rustup has it. Without it clippy's
/// `incompatible_msrv` (part of `host/clippy`) still finds what the standard library got later.
#[test]
fn the_libraries_build_with_the_rust_version_that_they_declare() {
    let version = manifest("")["workspace"]["package"]["rust-version"].clone();
    let version = format!("+{}", version.as_str().expect("a version"));
    let mut there = Command::new("cargo");
    there.args([&version, "--version"]).current_dir(root());
    if !there.output().is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: there is no toolchain {version}");
        return;
    }
    let alone = LIBRARIES.iter().map(|(folder, _)| *folder);
    for folder in alone.chain(["migration/kernel-glue"]) {
        let mut command = Command::new("cargo");
        let file = root().join(folder).join("Cargo.toml");
        command
            .args([&version, "check", "--quiet", "--offline", "--manifest-path"])
            .arg(file)
            .env("CARGO_TARGET_DIR", BUILT)
            .env_remove("RUSTUP_TOOLCHAIN");
        succeeds(&mut command);
    }
}
