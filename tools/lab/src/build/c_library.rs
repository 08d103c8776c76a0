//! The C library of `migration/c`: its header, made by cbindgen, and its static archive.
//!
//! The header is checked in, so that nobody needs cbindgen to use it. cbindgen is a tool here, as libclang is, and
//! not a dependency: it is under the MPL, and brings older versions of what the lab uses.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::base::child;
use crate::base::packages;
use crate::base::repo;
use crate::build::bindings::compare;
use crate::build::kernel;

/// Debian's, whose version stays the same for the life of a release: another may print the header in
/// another way.
const CBINDGEN: &str = "/usr/bin/cbindgen";

/// The header, from the root.
const HEADER: &str = "migration/c/include/xen_guest.h";

/// What building the archive, or cbindgen, may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(1200);

/// Makes the header; with `check`, compares it with the checked-in one and changes nothing.
///
/// # Errors
/// cbindgen cannot be had or does not understand a source, or (with `check`) the first line that differs.
pub fn header(check: bool) -> Result<()> {
    let path = repo::root().join(HEADER);
    let text = generate()?;
    if !check {
        return repo::write(&path, text.as_bytes());
    }
    let old = fs::read_to_string(&path).with_context(|| format!("cannot read {HEADER}"))?;
    compare(HEADER, "cbindgen", &old, &text).map_err(anyhow::Error::msg)
}

/// The header as text.
fn generate() -> Result<String> {
    packages::ensure(packages::C_HEADER)?;
    let mut command = Command::new(CBINDGEN);
    command.current_dir(repo::root().join("migration/c"));
    command.args(["--quiet", "--config", "cbindgen.toml"]);
    command.args([
        "--lockfile",
        "../../Cargo.lock",
        "--crate",
        "xen-guest-c",
        ".",
    ]);
    child::run(command, b"", LIMIT)?.success("cbindgen")
}

/// Builds the archive as a kernel links it, for this host, and gives its path. Its own target folder: a panic
/// aborts there, and features of its own would make cargo build the crates of the workspace again and again.
///
/// # Errors
/// What the compiler said.
pub fn archive(features: &str) -> Result<PathBuf> {
    let target = repo::root()
        .join("target/c")
        .join(features.replace(',', "-"));
    let mut command = Command::new("nice");
    command.current_dir(repo::root());
    command.args([
        "-n",
        "10",
        "cargo",
        "rustc",
        "--quiet",
        "--locked",
        "-p",
        "xen-guest-c",
    ]);
    command.args([
        "--profile",
        "kernel",
        "--crate-type",
        "staticlib",
        "--features",
        features,
    ]);
    command.arg("--target-dir").arg(&target);
    child::run(command, b"", LIMIT)?.success("the C library")?;
    Ok(target.join("kernel/libxen_guest.a"))
}

/// Builds the archive for a kernel without an operating system below it, x86_64, and gives its path. The compiler
/// is the one of the guest kernels.
///
/// # Errors
/// If a package is missing, the compiler is not the pinned one, or what it said.
pub fn archive_for_kernels() -> Result<PathBuf> {
    kernel::prepare()?;
    let target = repo::root().join("target/c/kernel");
    let mut command = Command::new("/usr/bin/cargo");
    kernel::with_pinned_compiler(&mut command).current_dir(repo::root());
    command.args(["rustc", "--quiet", "--locked", "-p", "xen-guest-c"]);
    command.args(["--profile", "kernel", "--crate-type", "staticlib"]);
    command.args(["--features", "freestanding"]);
    command.args(["--target", "x86_64-unknown-none"]);
    command.args(["-Z", "build-std=core,compiler_builtins"]);
    command.args(["-Z", "build-std-features=compiler-builtins-mem"]);
    command.arg("--target-dir").arg(&target);
    child::run(command, b"", LIMIT)?.success("the C library for kernels")?;
    Ok(target.join("x86_64-unknown-none/kernel/libxen_guest.a"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_s_path_is_one() {
        // The tests run in the folder of their package.
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        assert!(root.join(HEADER).is_file());
    }
}
