//! Where things are in the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The lab's folder: every image, run and cache is below it.
pub fn lab() -> PathBuf {
    root().join("target/lab")
}

/// Where the guest kernels are left.
pub fn guests() -> PathBuf {
    root().join("target/guest")
}

/// `path` as a person in the repository would write it.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Makes a folder and those above it.
///
/// # Errors
/// With the folder's name.
pub fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", shown(path)))
}

/// Writes a file so that a reader sees the old or the new one, never half of it.
///
/// # Errors
/// With the file's name; a full disk comes out here.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let tmp = path.with_extension("part");
    fs::write(&tmp, bytes)
        .and_then(|()| fs::rename(&tmp, path))
        .with_context(|| format!("cannot write {}", shown(path)))
}
