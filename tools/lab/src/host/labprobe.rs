//! The lab's own program for dom0 ([`probe`](../../probe/main.rs)): linked statically by one call
//! of `rustc`, so that it runs there and in a Linux guest whatever the host's C library is.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::base::child;
use crate::base::fingerprint;
use crate::base::repo;
use crate::host::channel::Channel;

/// Its place in dom0.
pub const PLACE: &str = "/lab/labprobe";

/// The program on the host, built first if its source is new.
///
/// # Errors
/// If there is no `rustc`, or no static C library to link with (Debian: `libc6-dev`).
pub fn ensure() -> Result<PathBuf> {
    let source = repo::root().join("tools/lab/probe");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&source)
        .with_context(|| format!("cannot read {}", repo::shown(&source)))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    let sources = files.iter().map(std::fs::read);
    let hash = fingerprint::of(sources.collect::<Result<Vec<_>, _>>()?);
    let bin = repo::lab().join("bin");
    let place = bin.join(format!("labprobe-{hash}"));
    if place.exists() {
        return Ok(place);
    }
    repo::make_dir(&bin)?;
    // Two runs may build it at once: each under a name of its own, then in place at one stroke.
    let new = bin.join(format!("labprobe-{hash}.{}", std::process::id()));
    let mut command = Command::new("rustc");
    command
        .args(["--edition", "2021", "-O", "--crate-name", "labprobe"])
        .args(["-C", "target-feature=+crt-static", "-C", "strip=symbols"])
        .arg("-o")
        .arg(&new)
        .arg(source.join("main.rs"));
    child::run(command, b"", Duration::from_secs(600))?.success("building labprobe")?;
    std::fs::rename(&new, &place).context("cannot put labprobe in its place")?;
    Ok(place)
}

/// Sees to it that dom0 has it.
///
/// # Errors
/// As [`ensure`], or if dom0 does not answer.
pub fn put(dom0: &Channel) -> Result<()> {
    let limit = Duration::from_secs(60);
    if !dom0.run(&format!("test -x {PLACE}"), limit)?.ok() {
        let bytes = std::fs::read(ensure()?).context("cannot read labprobe")?;
        dom0.put(PLACE, &bytes)?;
        dom0.must(&format!("chmod +x {PLACE}"), limit)?;
    }
    Ok(())
}
