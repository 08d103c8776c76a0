//! Which Xen a machine runs, and how the one that Debian does not ship is built.
//!
//! Debian 12's hypervisor ([`Xen::Debian12`]) has neither 32-bit PV guests nor shadow paging.
//! Debian's source has both; [`ensure`] builds it with them ([`Xen::Pv32`]), once, into
//! `target/lab/xen`.
//!
//! # Two builds of it
//!
//! A debug build says on its console why it refuses a page table (`gdprintk`), and checks itself
//! (`ASSERT`). It is dear under emulation: with a 32-bit PVH guest under shadow paging churning as
//! hard as it could, a processor second brought 34 operations without and 22 with `DEBUG` (which
//! was compiled with -O2, and without its lock checks, scrub checks and poisoning; with them the
//! main job of that guest took 264 s of processor time instead of 101). So the tests run on
//! [`Xen::Pv32`], and [`Xen::Pv32Debug`] is there for the words: `cargo lab demo --pv` runs on it,
//! and `cargo lab test pv --xen pv32-debug` has it say why it refused.
//!
//! # Why 32-bit PVH guests need it under emulation
//!
//! A PAE page-directory-pointer entry has no Accessed bit: bit 5 is reserved (Intel SDM volume 3,
//! section 4.4.1). QEMU's emulation (TCG; seen in 7.2, and in the current source of `mmu_translate`
//! in `target/i386/tcg`) sets it all the same. Xen walks a guest's page tables in software when it
//! must decode an instruction, and it must for each intercepted one, because TCG has no next-RIP
//! saving. With hardware-assisted paging that walk meets the reserved bit and fails, and Xen lets
//! the guest run the instruction again: the guest hangs in silence at 100 % CPU, at its first RDMSR
//! or hypercall. With shadow paging the tables that the emulated processor walks and marks are
//! Xen's, and the guest's stay clean. On KVM or on real hardware none of this happens.
//!
//! # How to use it
//!
//! For each guest, with `let (accel, _) = qemu::accel();`:
//!
//! - [`needed_xen`]`(arch, accel)` says which Xen it needs, and why;
//! - [`Machine::boot`](crate::host::machine::Machine::boot)`(run, detached, xen)` boots that one and
//!   builds it first if need be. A failed build is an error that says what could not be had: a
//!   caller that can do without counts it as a skip with that reason;
//! - [`hap`]`(arch, accel)` is the value of [`Config::hap`](crate::guest::config::Config::hap). A Xen
//!   without shadow paging refuses `hap = 0` at once
//!   (`domain creation fail: Operation not supported`); it cannot hang.
//!
//! Both kinds of guests run on [`Xen::Pv32`]: if one machine is to hold both, boot that.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{anyhow, bail, Context, Result};
use serde::{Deserialize, Serialize};

use crate::base::child::{self, Guarded};
use crate::base::fingerprint;
use crate::base::packages;
use crate::base::progress;
use crate::base::repo;
use crate::base::stop;
use crate::build::kernel::Arch;
use crate::host::debian::{self, Release};
use crate::host::image::Image;
use crate::host::qemu::Accel;

/// A hypervisor that the lab can boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
pub enum Xen {
    /// Debian 12's own.
    #[default]
    Debian12,
    /// Debian 12's source, built with 32-bit PV guests and shadow paging.
    Pv32,
    /// The same as a debug build: it says why it refuses a page table, and is slower.
    Pv32Debug,
    /// Debian 13's own, with Debian 13's tools and kernel in dom0.
    Debian13,
    /// Debian 12's own, with libvirt and socat in dom0.
    Debian12Toolstacks,
}

impl Xen {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Debian12,
        Self::Pv32,
        Self::Pv32Debug,
        Self::Debian13,
        Self::Debian12Toolstacks,
    ];

    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian12 => "debian12",
            Self::Pv32 => "pv32",
            Self::Pv32Debug => "pv32-debug",
            Self::Debian13 => "debian13",
            Self::Debian12Toolstacks => "debian12-toolstacks",
        }
    }

    /// The release whose dom0 goes with it.
    pub fn release(self) -> Release {
        match self {
            Self::Debian12 | Self::Pv32 | Self::Pv32Debug => Release::Bookworm,
            Self::Debian13 => Release::Trixie,
            Self::Debian12Toolstacks => Release::BookwormToolstacks,
        }
    }

    /// Whether a machine may be without it through no fault of its own: then the tests that need it
    /// are skipped, and counted.
    pub fn is_optional(self) -> bool {
        self.is_built() || self == Self::Debian12Toolstacks
    }

    /// Whether it is one that the lab builds: without Xen's source it cannot be had.
    pub fn is_built(self) -> bool {
        matches!(self, Self::Pv32 | Self::Pv32Debug)
    }

    /// What is set on top of Xen's `defconfig`.
    fn options(self) -> Vec<&'static str> {
        let more: &[_] = match self {
            Self::Pv32Debug => DEBUG,
            // As in Debian's build, so that both behave alike.
            _ => &["# CONFIG_DEBUG is not set"],
        };
        [OPTIONS, more].concat()
    }

    /// What `make` is told.
    fn make(self) -> Vec<&'static str> {
        let more: &[_] = match self {
            // A debug build is compiled with -O1; the last one counts.
            Self::Pv32Debug => &["EXTRA_CFLAGS_XEN_CORE=-O2"],
            _ => &[],
        };
        [MAKE, more].concat()
    }

    /// The file to boot, a multiboot ELF; it is built first if there is none.
    ///
    /// # Errors
    /// As [`ensure`].
    pub fn hypervisor(self, image: &Image) -> Result<PathBuf> {
        match self {
            Self::Debian12 | Self::Debian13 | Self::Debian12Toolstacks => Ok(image.xen.clone()),
            Self::Pv32 | Self::Pv32Debug => ensure(self),
        }
    }
}

/// The Xen that a PVH guest of this word size needs on such a machine, and why.
pub fn needed_xen(arch: Arch, accel: Accel) -> (Xen, &'static str) {
    if hap(arch, accel) {
        (Xen::Debian12, "any Xen with HVM runs it")
    } else {
        (
            Xen::Pv32,
            "under QEMU's emulation a 32-bit guest needs shadow paging, which Debian's build lacks",
        )
    }
}

/// Whether a PVH guest of this word size can have hardware-assisted paging on such a machine.
pub fn hap(arch: Arch, accel: Accel) -> bool {
    (arch, accel) != (Arch::I686, Accel::Tcg)
}

const SUITE: &str = "bookworm";
/// The package's newest version in the suite is taken; the security archive does not carry its
/// source everywhere.
const SOURCE: &str = "xen";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What Debian's build lacks.
const OPTIONS: &[&str] = &["CONFIG_PV32=y", "CONFIG_SHADOW_PAGING=y"];

/// The words and assertions of a debug build, without those checks that cost most and say nothing
/// of page tables.
const DEBUG: &[&str] = &[
    "CONFIG_DEBUG=y",
    "# CONFIG_FRAME_POINTER is not set",
    "# CONFIG_DEBUG_LOCKS is not set",
    "# CONFIG_VERBOSE_DEBUG is not set",
    "# CONFIG_SCRUB_DEBUG is not set",
    "# CONFIG_XMEM_POOL_POISON is not set",
    "# CONFIG_DEBUG_INFO is not set",
];

/// For Xen's banner, so that it can name neither the host nor its user; Debian's own patch shows
/// neither.
const MAKE: &[&str] = &["XEN_WHOAMI=lab", "XEN_DOMAIN=lab", "XEN_BUILD_HOST=lab"];

fn made_from(xen: Xen) -> String {
    let parts = [vec![SUITE, SOURCE], xen.options(), xen.make()];
    fingerprint::of(parts.iter().flatten())
}

/// A hypervisor with 32-bit PV guests and shadow paging, built first if there is none for the
/// present options. That takes 2 to 4 minutes on two cores and 100 MB of disk until it is done.
///
/// # Errors
/// If a package or Xen's source cannot be had or the build fails; the message names the log.
fn ensure(xen: Xen) -> Result<PathBuf> {
    let all = repo::lab().join("xen");
    let to = all.join(made_from(xen));
    let done = to.join("xen");
    // The folder is renamed into place whole.
    if done.exists() {
        return Ok(done);
    }
    packages::ensure(packages::XEN_BUILD)?;
    repo::make_dir(&all)?;
    let work = tempfile::Builder::new()
        .prefix("new-")
        .tempdir_in(&all)
        .context("cannot make a folder for Xen's build")?;
    let log = Log::new(all.join("build.log"))?;
    let version = progress::step("fetching Xen's source from Debian", || {
        fetch(work.path(), &log).with_context(|| format!("no source of Xen {}", log.see()))
    })?;
    let debug = if xen == Xen::Pv32Debug { ", debug" } else { "" };
    let what = format!("building Xen {version} with 32-bit PV and shadow paging{debug}");
    let out = work.path().join("out");
    progress::step(&what, || {
        build(xen, &work.path().join("src"), &log)
            .with_context(|| format!("Xen {version} does not build {}", log.see()))?;
        repo::make_dir(&out)?;
        let built = work.path().join("src/xen");
        fs::copy(built.join(".config"), out.join("config")).context("cannot keep .config")?;
        let about = format!(
            "Xen {version} of Debian {SUITE}; {}\n",
            xen.options().join(", ")
        );
        repo::write(&out.join("about"), about.as_bytes())?;
        let bytes = fs::read(built.join("xen"))
            .with_context(|| format!("make left no xen/xen {}", log.see()))?;
        repo::write(&out.join("xen"), &bytes)
    })?;
    if let Err(error) = fs::rename(&out, &to) {
        // Somebody else may have been faster, with the same result.
        if !done.exists() {
            return Err(error).context("cannot put the hypervisor in its place");
        }
    }
    Ok(done)
}

/// Unpacks the source into `src` of `dir`; gives its version.
fn fetch(dir: &Path, log: &Log) -> Result<String> {
    let list = dir.join("sources.list");
    let keys = if Path::new(KEYS).exists() {
        format!("[signed-by={KEYS}] ")
    } else {
        String::new()
    };
    let line = format!("deb-src {keys}{} {SUITE} main\n", debian::archive());
    repo::write(&list, line.as_bytes())?;
    for folder in ["lists/partial", "cache/archives/partial"] {
        repo::make_dir(&dir.join(folder))?;
    }
    // A list and a state of its own: the machine's are not touched, and root is not needed.
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .arg("-q")
            .args(["-o", "Dir::Etc::sourceparts=-"])
            .args(["-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=3"]);
        for (key, path) in [
            ("Dir::Etc::sourcelist", &list),
            ("Dir::State::lists", &dir.join("lists")),
            ("Dir::Cache", &dir.join("cache")),
        ] {
            command.arg("-o").arg(format!("{key}={}", path.display()));
        }
        command.args(args).current_dir(dir);
        log.run(command, Duration::from_secs(900))
    };
    apt(&["update", "--error-on=any"])?;
    apt(&["source", "--download-only", SOURCE])?;
    let description = fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "dsc"))
        .ok_or_else(|| anyhow!("apt-get source succeeded, but left no .dsc file"))?;
    let mut unpack = Command::new("dpkg-source");
    // apt-get has checked the files against the archive's signature.
    unpack
        .args(["--no-check", "-x"])
        .arg(&description)
        .arg("src")
        .current_dir(dir);
    log.run(unpack, Duration::from_secs(300))?;
    let text = fs::read_to_string(&description)?;
    text.lines()
        .find_map(|line| line.strip_prefix("Version: "))
        .map(|version| version.trim().to_owned())
        .ok_or_else(|| anyhow!("the source package has no version"))
}

fn build(xen: Xen, source: &Path, log: &Log) -> Result<()> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let make = |target: &[&str]| {
        let mut command = Command::new("make");
        command
            .args(["-C", "xen", &format!("-j{jobs}")])
            .args(xen.make())
            .args(target)
            .current_dir(source);
        for name in [
            "MAKEFLAGS",
            "MFLAGS",
            "MAKELEVEL",
            "CC",
            "CFLAGS",
            "LDFLAGS",
        ] {
            command.env_remove(name);
        }
        log.run(command, Duration::from_secs(3600))
    };
    make(&["defconfig"])?;
    let path = source.join("xen/.config");
    let read = || fs::read_to_string(&path).context("make left no xen/.config");
    // The last assignment of an option counts.
    let text = format!("{}\n{}\n", read()?, xen.options().join("\n"));
    repo::write(&path, text.as_bytes())?;
    make(&["olddefconfig"])?;
    if let Some(option) = lost(&xen.options(), &read()?) {
        bail!("this source does not take the option \"{option}\"");
    }
    make(&[])
}

/// The first option that a configuration does not hold. One that is off need not be named there.
fn lost(options: &[&'static str], config: &str) -> Option<&'static str> {
    let lost = |option: &str| match option.strip_prefix("# ") {
        None => !config.lines().any(|line| line == option),
        Some(off) => {
            let on = off.replace(" is not set", "=y");
            config.lines().any(|line| line == on)
        }
    };
    options.iter().copied().find(|option| lost(option))
}

/// Where the commands' output goes.
struct Log {
    path: PathBuf,
}

impl Log {
    fn new(path: PathBuf) -> Result<Self> {
        repo::write(&path, b"")?;
        Ok(Self { path })
    }

    fn see(&self) -> String {
        format!("(see {})", repo::shown(&self.path))
    }

    /// Runs a command to its end.
    fn run(&self, mut command: Command, limit: Duration) -> Result<()> {
        let name = command.get_program().to_string_lossy().into_owned();
        let out = File::options().append(true).open(&self.path)?;
        command
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let mut running = Guarded::spawn(command)?;
        let status = stop::wait_for(&name, limit, || running.ended())?;
        if !status.success() {
            let text = fs::read(&self.path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(5)..].join("\n    ");
            bail!("{name}: exit status {}\n    {tail}", child::code(status));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_emulated_32_bit_guest_needs_the_built_xen() {
        for (arch, accel, xen) in [
            (Arch::I686, Accel::Tcg, Xen::Pv32),
            (Arch::I686, Accel::Kvm, Xen::Debian12),
            (Arch::X86_64, Accel::Tcg, Xen::Debian12),
            (Arch::X86_64, Accel::Kvm, Xen::Debian12),
        ] {
            assert_eq!(needed_xen(arch, accel).0, xen, "{arch:?} {accel:?}");
            assert_eq!(hap(arch, accel), xen == Xen::Debian12);
        }
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        use clap::ValueEnum;
        assert_eq!(Xen::ALL, Xen::value_variants());
        for xen in Xen::value_variants().iter().copied() {
            assert_eq!(Xen::from_str(xen.name(), false), Ok(xen));
        }
    }

    #[test]
    fn an_option_that_was_dropped_is_noticed() {
        for xen in [Xen::Pv32, Xen::Pv32Debug] {
            let options = xen.options();
            let all = options.join("\n");
            assert_eq!(lost(&options, &all), None);
            let without = all.replace("CONFIG_PV32=y", "# CONFIG_PV32 is not set");
            assert_eq!(lost(&options, &without), Some("CONFIG_PV32=y"));
            let debug = all.replace("# CONFIG_DEBUG is not set", "CONFIG_DEBUG=y");
            assert_eq!(lost(&options, &debug).is_none(), xen == Xen::Pv32Debug);
        }
    }

    #[test]
    fn each_build_has_a_place_of_its_own() {
        assert_ne!(made_from(Xen::Pv32), made_from(Xen::Pv32Debug));
    }
}
