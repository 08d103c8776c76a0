//! The guest that is put through a life: an xl configuration, and the files that it names.

use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

use super::alive::Alive;
use crate::guest::config::Kind;
use crate::guest::linux::{self, Guest};
use crate::host::channel::Channel;
use crate::host::image;
use crate::host::machine::Machine;

/// A guest that is not described by a configuration.
#[derive(Debug, clap::Args)]
pub struct Made {
    /// A kernel instead of a configuration
    #[arg(long, value_name = "ELF")]
    kernel: Option<PathBuf>,
    /// Its ramdisk
    #[arg(long, requires = "kernel", value_name = "FILE")]
    ramdisk: Option<PathBuf>,
    /// Its command line
    #[arg(long, requires = "kernel", default_value = "")]
    cmdline: String,
    /// As classic PV instead of PVH
    #[arg(long)]
    pv: bool,
    /// Debian's own kernel with a busybox initramfs: to see a life that works
    #[arg(long, conflicts_with = "kernel")]
    linux: bool,
    /// vCPUs
    #[arg(long, default_value_t = 2)]
    vcpus: u32,
    /// Memory, MiB
    #[arg(long, default_value_t = 160)]
    mem: u32,
}

/// What Linux's initramfs says when it is up.
const LINUX_READY: &str = "user-work ready";

impl Made {
    /// A PVH guest of this kernel, with so many vCPUs and so many MiB.
    pub fn pvh(kernel: PathBuf, vcpus: u32, mem: u32) -> Self {
        Self {
            kernel: Some(kernel),
            ramdisk: None,
            cmdline: String::new(),
            pv: false,
            linux: false,
            vcpus,
            mem,
        }
    }

    /// A PV guest of this kernel, with one vCPU and so many MiB.
    pub fn pv(kernel: PathBuf, mem: u32, cmdline: &str) -> Self {
        Self {
            cmdline: cmdline.to_owned(),
            pv: true,
            ..Self::pvh(kernel, 1, mem)
        }
    }

    fn kind(&self) -> Kind {
        if self.pv {
            Kind::Pv
        } else {
            Kind::Pvh
        }
    }

    /// Whether it is a PV guest.
    pub fn is_pv(&self) -> bool {
        self.pv
    }

    /// Whether it is Debian's kernel.
    pub fn is_linux(&self) -> bool {
        self.linux
    }

    /// How it shows that it lives, unless somebody says otherwise.
    pub fn sign(&self) -> Option<Alive> {
        self.linux.then_some(Alive::Cpu)
    }

    /// What it says when it is up, unless somebody says otherwise.
    pub fn ready(&self) -> Option<String> {
        self.linux.then(|| LINUX_READY.into())
    }

    /// The guest. Debian's kernel is put into dom0.
    pub fn subject(&self, machine: &Machine) -> Result<Subject> {
        if self.linux {
            linux::put(&machine.dom0, &image::ensure(machine.spec.xen.release())?)?;
            return Ok(Subject {
                name: linux::NAME.into(),
                text: linux::config(Guest::Linux, self.kind(), self.vcpus, self.mem, ""),
                files: Vec::new(),
            });
        }
        let kernel = self.kernel.clone().context("no kernel")?;
        let mut text = format!(
            "name = \"life\"\ntype = \"{}\"\nkernel = \"{KERNEL}\"\nvcpus = {}\nmaxvcpus = {}\nmemory = {}\n\
             cmdline = '{}'\non_crash = \"preserve\"\n",
            if self.pv { "pv" } else { "pvh" },
            self.vcpus,
            self.vcpus,
            self.mem,
            self.cmdline,
        );
        let mut files = vec![(kernel, KERNEL.to_owned())];
        if let Some(ramdisk) = &self.ramdisk {
            text.push_str(&format!("ramdisk = \"{RAMDISK}\"\n"));
            files.push((ramdisk.clone(), RAMDISK.to_owned()));
        }
        Ok(Subject {
            name: "life".into(),
            text,
            files,
        })
    }
}

const KERNEL: &str = "/lab/life.kernel";
const RAMDISK: &str = "/lab/life.ramdisk";

/// A configuration, and what it names: files of this host, each with its place in dom0.
#[derive(Debug)]
pub struct Subject {
    /// The domain's name.
    pub name: String,
    text: String,
    files: Vec<(PathBuf, String)>,
}

impl Subject {
    /// Reads a configuration. The files it names are looked for beside it.
    pub fn from_config(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::from_text(&text, folder).with_context(|| path.display().to_string())
    }

    fn from_text(text: &str, folder: &Path) -> Result<Self> {
        let mut subject = Self {
            name: String::new(),
            text: String::new(),
            files: Vec::new(),
        };
        for line in text.lines() {
            let place = match setting(line) {
                Some(("name", name)) => {
                    subject.name = name.to_owned();
                    None
                }
                Some(("kernel", file)) => Some((file, KERNEL, "kernel")),
                Some(("ramdisk", file)) => Some((file, RAMDISK, "ramdisk")),
                _ => None,
            };
            match place {
                Some((file, place, key)) => {
                    subject.files.push((folder.join(file), place.to_owned()));
                    subject.text.push_str(&format!("{key} = \"{place}\"\n"));
                }
                None => {
                    subject.text.push_str(line);
                    subject.text.push('\n');
                }
            }
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if subject.name.is_empty() || !subject.name.chars().all(plain) {
            bail!("a line name = \"...\" of letters, digits and -_.+ is needed");
        }
        Ok(subject)
    }

    /// Whether it is a PV guest, which is what xl makes of a configuration without a type.
    pub fn is_pv(&self) -> bool {
        let kind = |line: &str| match setting(line) {
            Some(("type" | "builder", kind)) => Some(kind.to_owned()),
            _ => None,
        };
        let kind = self.text.lines().find_map(kind);
        kind.is_none_or(|kind| ["pv", "generic"].contains(&kind.as_str()))
    }

    /// Where the configuration lies in dom0.
    pub fn place(&self) -> String {
        "/lab/life.cfg".into()
    }

    /// Puts everything into dom0.
    pub fn put(&self, dom0: &Channel) -> Result<()> {
        for (file, place) in &self.files {
            let bytes =
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            dom0.put(place, &bytes)?;
        }
        dom0.put(&self.place(), self.text.as_bytes())
    }
}

/// `key = "value"` of xl.cfg(5), with either quote.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let value = value.trim();
    let quote = value.chars().next().filter(|c| "\"'".contains(*c))?;
    let value = value[1..].split(quote).next()?;
    Some((key.trim(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_its_files() {
        let text =
            "name = 'g1'\n# kernel = \"no\"\nkernel = \"a/k.elf\"\nramdisk='/r' # x\nmemory = 64\n";
        let subject = Subject::from_text(text, Path::new("/home")).unwrap();
        assert_eq!(subject.name, "g1");
        assert!(subject.is_pv());
        let pvh = Subject::from_text("name = 'a'\ntype = \"pvh\"\n", Path::new(".")).unwrap();
        assert!(!pvh.is_pv());
        let files: Vec<_> = subject.files.iter().map(|(file, _)| file.clone()).collect();
        assert_eq!(files, [Path::new("/home/a/k.elf"), Path::new("/r")]);
        assert!(subject.text.contains(
            "kernel = \"/lab/life.kernel\"\nramdisk = \"/lab/life.ramdisk\"\nmemory = 64\n"
        ));
        assert!(Subject::from_text("memory = 64\n", Path::new(".")).is_err());
        assert!(Subject::from_text("name = \"a b\"\n", Path::new(".")).is_err());
    }
}
