//! Debian's packages, fetched and unpacked in memory.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{anyhow, Context, Result};

use crate::base::child;
use crate::host::debian::{self, Release};
use crate::host::image::contents::CPU_MAP;

/// Has mmdebstrap fetch what dom0 is made of.
///
/// # Errors
/// If it cannot, in its own words.
pub fn fetch(release: Release, tar: &Path) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--variant=extract", "--format=tar", "--quiet"])
        .arg(format!("--include={}", release.packages()));
    if !nix::unistd::geteuid().is_root() {
        command.arg("--mode=unshare");
    }
    command.arg(release.suite()).arg(tar);
    if release.suite() != Release::default().suite() {
        // The machine's own sources do not name it, and mmdebstrap's own address need not be the
        // one this machine reaches.
        command.arg(format!(
            "deb {} {} main",
            debian::archive(),
            release.suite()
        ));
    }
    // For the default one: the machine's own sources if it runs it, otherwise mmdebstrap's.
    child::run(command, b"", Duration::from_secs(900))?.success("mmdebstrap")?;
    Ok(())
}

/// Debian's root, as far as it may be wanted, in memory.
pub struct Root {
    pub files: BTreeMap<String, Vec<u8>>,
    links: BTreeMap<String, String>,
}

impl Root {
    pub fn read(tar: &Path) -> Result<Self> {
        let mut root = Self {
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        let mut archive = tar::Archive::new(fs::File::open(tar)?);
        for entry in archive.entries()? {
            let mut entry = entry.context("mmdebstrap's archive is torn")?;
            let path = entry.path()?.to_string_lossy().into_owned();
            let path = path.trim_start_matches("./").to_owned();
            if ["usr/share/", "var/", "usr/lib/python3"]
                .iter()
                .any(|p| path.starts_with(p) && !path.starts_with(CPU_MAP))
            {
                continue;
            }
            let kind = entry.header().entry_type();
            if kind.is_file() {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                root.files.insert(path, bytes);
            } else if let (true, Some(target)) = (kind.is_symlink(), entry.link_name()?) {
                root.links
                    .insert(path, target.to_string_lossy().into_owned());
            } else if let (true, Some(target)) = (kind.is_hard_link(), entry.link_name()?) {
                let target = target.to_string_lossy();
                root.links
                    .insert(path, format!("/{}", target.trim_start_matches("./")));
            }
        }
        Ok(root)
    }

    /// A file's own path. Debian 13's packages have everything below `usr`, and the links that lead
    /// there are made by a package that is not among ours.
    pub fn resolve(&self, path: &str) -> Option<String> {
        self.follow(path)
            .or_else(|| self.follow(&format!("usr/{path}")))
    }

    /// Follows symbolic links, in the path's folders too.
    fn follow(&self, path: &str) -> Option<String> {
        let mut todo: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        let mut done: Vec<String> = Vec::new();
        for _ in 0..200 {
            let Some(part) = todo.pop_front() else {
                let path = done.join("/");
                return self.files.contains_key(&path).then_some(path);
            };
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(part),
            }
            if let Some(target) = self.links.get(&done.join("/")) {
                done.pop();
                if target.starts_with('/') {
                    done.clear();
                }
                for part in target.split('/').rev() {
                    todo.push_front(part.to_owned());
                }
            }
        }
        None
    }

    pub fn get(&self, path: &str) -> Result<&[u8]> {
        self.resolve(path)
            .and_then(|path| self.files.get(&path))
            .map(Vec::as_slice)
            .ok_or_else(|| anyhow!("Debian's packages no longer hold {path}"))
    }

    pub fn one_like(&self, folder: &str, start: &str) -> Result<(&str, &[u8])> {
        let start = format!("{folder}/{start}");
        self.files
            .iter()
            .find(|(path, _)| path.starts_with(&start))
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
            .ok_or_else(|| anyhow!("Debian's packages hold no {start}*"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_the_root_only() {
        let mut root = Root {
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        root.files.insert("usr/lib/a/real".into(), vec![1]);
        root.links.insert("lib".into(), "usr/lib".into());
        root.links
            .insert("usr/lib/b".into(), "/lib/a/../a/real".into());
        root.links.insert("loop".into(), "loop".into());
        assert_eq!(root.resolve("lib/b").as_deref(), Some("usr/lib/a/real"));
        assert_eq!(root.resolve("loop"), None);
        assert_eq!(root.resolve("lib/none"), None);
    }
}
