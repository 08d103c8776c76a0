//! Folders of runs.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{bail, Context, Result};

use crate::base::clock::stamp;
use crate::base::repo;

/// A new folder for a run, and `target/lab/runs/latest` leading to it.
///
/// # Errors
/// If it cannot be made.
pub fn new(name: &str) -> Result<PathBuf> {
    let runs = repo::lab().join("runs");
    repo::make_dir(&runs)?;
    let stamp = stamp(SystemTime::now());
    for n in 0..1000 {
        let dir = runs.join(match n {
            0 => format!("{stamp}-{name}"),
            n => format!("{stamp}-{name}-{n}"),
        });
        match fs::create_dir(&dir) {
            Ok(()) => {
                let latest = runs.join("latest");
                let _ = fs::remove_file(&latest);
                if let Some(target) = dir.file_name() {
                    let _ = std::os::unix::fs::symlink(target, latest);
                }
                return Ok(dir);
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).context("cannot make the run's folder"),
        }
    }
    bail!("a thousand runs within a second")
}
