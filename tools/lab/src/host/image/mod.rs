//! The files the machine boots from: Xen, dom0's kernel and dom0 itself as an initramfs.
//!
//! `mmdebstrap` fetches Debian's packages without installing them; of their 500 MB this picks the
//! programs dom0 needs, the shared libraries those name, and a few kernel modules with those they
//! name. Two choices save time under emulation: Xen gets dom0's kernel unpacked (or it would unpack
//! the xz stream itself), and the initramfs is not compressed.

mod contents;
mod dom0;
mod libraries;
mod modules;
mod root;
mod tree;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::base::fingerprint;
use crate::base::progress;
use crate::base::repo;
use crate::host::debian::Release;
use root::Root;

/// Paths of a finished image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Xen, an unpacked multiboot ELF.
    pub xen: PathBuf,
    /// dom0's kernel, an unpacked ELF.
    pub kernel: PathBuf,
    /// dom0's initramfs.
    pub initramfs: PathBuf,
    /// The private key dom0 lets in.
    pub key: PathBuf,
    /// dom0's host key in the format of ssh's known_hosts.
    pub known_hosts: PathBuf,
    /// The private key dom0 lets in, in the format of dom0's own ssh client.
    pub peer_key: PathBuf,
    /// Versions and sizes, for a person.
    pub about: String,
}

impl Image {
    fn at(dir: &Path) -> Self {
        Self {
            xen: dir.join("xen"),
            kernel: dir.join("vmlinux"),
            initramfs: dir.join("dom0.cpio"),
            key: dir.join("key"),
            known_hosts: dir.join("known_hosts"),
            peer_key: dir.join("key.dropbear"),
            about: fs::read_to_string(dir.join("about")).unwrap_or_default(),
        }
    }
}

/// Everything that decides what is in an image, beside the release.
const SOURCES: &[&str] = &[
    include_str!("block-script.sh"),
    include_str!("contents.rs"),
    include_str!("dom0-devices.sh"),
    include_str!("dom0-init.sh"),
    include_str!("dom0.rs"),
    include_str!("libraries.rs"),
    include_str!("mod.rs"),
    include_str!("modules.rs"),
    include_str!("root.rs"),
    include_str!("tree.rs"),
    include_str!("unpack.rs"),
    include_str!("vif-script.sh"),
    include_str!("../cpio.rs"),
    include_str!("../sshkey.rs"),
];

/// A short name for everything that an image is made from.
pub fn fingerprint(release: Release) -> String {
    let (suite, packages) = (release.suite(), release.packages());
    let release = [suite, &packages, release.xen()];
    fingerprint::of(release.iter().chain(SOURCES))
}

/// The cached image, if there is one for the present inputs.
pub fn cached(release: Release) -> Option<Image> {
    kept(&fingerprint(release))
}

/// The cached image with this fingerprint: an older one serves a machine that was booted from it.
pub fn kept(fingerprint: &str) -> Option<Image> {
    let dir = repo::lab().join("images").join(fingerprint);
    dir.join("about").exists().then(|| Image::at(&dir))
}

/// The image, built first if there is none for the present inputs.
///
/// # Errors
/// If Debian's packages cannot be fetched or are not what this code expects, or the disk is full.
pub fn ensure(release: Release) -> Result<Image> {
    if let Some(image) = cached(release) {
        return Ok(image);
    }
    let images = repo::lab().join("images");
    repo::make_dir(&images)?;
    let work = tempfile::Builder::new()
        .prefix("new-")
        .tempdir_in(&images)
        .context("cannot make a folder for the image")?;
    let tar = work.path().join("root.tar");
    let what = format!("fetching dom0's packages from Debian {}", release.suite());
    progress::step(&what, || root::fetch(release, &tar))?;
    let dir = progress::step("building dom0's image", || {
        let root = Root::read(&tar)?;
        fs::remove_file(&tar)?;
        dom0::assemble(release, &root, work.path())
    });
    dir?;
    let to = images.join(fingerprint(release));
    if let Err(error) = fs::rename(work.path(), &to) {
        // Somebody else may have been faster; a machine may run from that one already.
        if kept(&fingerprint(release)).is_none() {
            return Err(error).context("cannot put the image in its place");
        }
    }
    Ok(Image::at(&to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_of_the_image_counts() {
        let folder = repo::root().join("tools/lab/src/host/image");
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            assert!(SOURCES.contains(&text.as_str()), "{}", path.display());
        }
    }
}
