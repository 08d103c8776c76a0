//! What the tests of manifests, packages and dependencies share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::Table;

/// The repository.
pub fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let root = Path::new(&here).ancestors().nth(2);
    root.expect("it is in tools/packaging").to_owned()
}

/// The manifest in a folder of the repository.
pub fn manifest(folder: &str) -> Table {
    let file = root().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    text.parse().expect("a manifest is TOML")
}

/// Cargo, without the network and without what this test's own cargo has set.
pub fn cargo(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").expect("cargo runs the tests"));
    command
        .args(arguments.split(' '))
        .arg("--offline")
        .current_dir(folder)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR");
    command
}

/// Runs it to its end; gives its standard output. Panics with what it said if it fails.
#[track_caller]
pub fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{said}");
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

/// A copy of a folder, without what was built in it. Links become files.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the copy's folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let path = entry.expect("its entries too").path();
        let to = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() && path.ends_with("target") {
            continue;
        } else if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("a file can be copied");
        }
    }
}
