//! An initramfs under construction, in which every file has its folders.

use std::collections::BTreeSet;

use crate::host::cpio::Archive;

/// The archive, and the folders that it has.
#[derive(Default)]
pub struct Tree {
    /// For links and devices, whose folders are there.
    pub archive: Archive,
    folders: BTreeSet<String>,
}

impl Tree {
    /// A folder and those above it.
    pub fn folder(&mut self, path: &str) {
        for (at, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let folder = &path[..at];
            if !folder.is_empty() && self.folders.insert(folder.to_owned()) {
                // sshd refuses keys in folders that others may write.
                let mode = if folder.starts_with("root") {
                    0o700
                } else {
                    0o755
                };
                self.archive.dir(folder, mode);
            }
        }
    }

    /// A file in its folder.
    pub fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder);
        }
        self.archive.file(path, mode, bytes);
    }
}
