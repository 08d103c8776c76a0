//! Where things are in the repository.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};

/// What the root of a checkout has, and no folder below it.
pub const MARKS: [&str; 3] = [
    "Cargo.toml",
    "guest-kernel/Cargo.toml",
    "pagetable-pool/Cargo.toml",
];

static ROOT: OnceLock<PathBuf> = OnceLock::new();

/// The root of the checkout that `folder` lies in: nothing of where this program was built is in
/// it, so that a checkout that was copied or moved is the one that is built and tested.
fn root_above(folder: &Path) -> Option<PathBuf> {
    let is_root = |dir: &&Path| MARKS.iter().all(|mark| dir.join(mark).is_file());
    folder.ancestors().find(is_root).map(Path::to_path_buf)
}

/// Finds the checkout that the program was started in.
///
/// # Errors
/// If the current folder is in none.
pub fn find() -> Result<()> {
    let folder = std::env::current_dir().context("cannot tell the current folder")?;
    let root = root_above(&folder).with_context(|| {
        let folder = folder.display();
        format!("{folder} is in no checkout of this project: run `cargo lab` inside one")
    })?;
    // Found already: the same, for nothing here changes the current folder.
    let _ = ROOT.set(root);
    Ok(())
}

/// The root of the repository.
///
/// # Panics
/// If the program was started outside of one; [`find`] has said so before.
pub fn root() -> PathBuf {
    ROOT.get_or_init(|| {
        let folder = std::env::current_dir().expect("the current folder exists");
        root_above(&folder).expect("started in a checkout")
    })
    .clone()
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

/// Writes a file so that a reader sees the old or the new one, never half of it. Two who write the
/// same file at the same time do not mix: each has a temporary file of its own.
///
/// # Errors
/// With the file's name; a full disk comes out here.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let readable_by_all = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    tempfile::Builder::new()
        .permissions(readable_by_all)
        .tempfile_in(folder)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.persist(path).map_err(|kept| kept.error)
        })
        .map(drop)
        .with_context(|| format!("cannot write {}", shown(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_that_of_the_tree_one_is_in() {
        let copy = tempfile::tempdir().unwrap();
        let copy = copy.path();
        for mark in MARKS {
            let file = copy.join(mark);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let below = copy.join("guest-kernel/src");
        fs::create_dir(&below).unwrap();
        assert_eq!(root_above(&below).as_deref(), Some(copy));
        assert_eq!(root_above(copy).as_deref(), Some(copy));
        // The tree in which this test was built is another one.
        assert_ne!(root_above(&below), Some(root()));
        assert_eq!(root_above(Path::new("/")), None);
    }

    #[test]
    fn writers_at_the_same_time_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let texts = [[b'a'; 100_000], [b'b'; 100_000]];
        std::thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| (0..50).for_each(|_| write(&path, text).unwrap()));
            }
            for _ in 0..50 {
                if let Ok(seen) = fs::read(&path) {
                    assert!(texts.iter().any(|text| seen == text));
                }
            }
        });
        // Nothing but the file is left.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
