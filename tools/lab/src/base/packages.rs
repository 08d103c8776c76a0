//! The Debian packages the lab needs on the host.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{bail, Result};

use crate::base::child;
use crate::base::repo;

/// A package, how to see that it is there, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// Debian's name.
    pub name: &'static str,
    /// A file it brings.
    pub file: &'static str,
    /// What the lab does with it.
    pub why: &'static str,
}

const fn package(name: &'static str, file: &'static str, why: &'static str) -> Package {
    Package { name, file, why }
}

/// Needed to boot Xen and dom0.
pub const LAB: &[Package] = &[
    package(
        "qemu-system-x86",
        "/usr/bin/qemu-system-x86_64",
        "the machine Xen runs on",
    ),
    package(
        "mmdebstrap",
        "/usr/bin/mmdebstrap",
        "fetches dom0's packages",
    ),
    package("openssh-client", "/usr/bin/ssh", "commands to dom0"),
    package("xz-utils", "/usr/bin/xz", "unpacks dom0's kernel"),
];

/// Needed to build the guest kernels: Rust 1.96 with the sources of its standard library.
pub const KERNEL: &[Package] = &[
    package("rustc-web", "/usr/bin/rustc", "compiles the guest kernel"),
    package("cargo-web", "/usr/bin/cargo", "builds the guest kernel"),
    package(
        "rust-web-src",
        "/usr/share/doc/rust-web-src",
        "core and alloc for the guest kernel",
    ),
    package("gcc", "/usr/bin/gcc", "the linker's driver"),
    package(
        "libc6-dev",
        "/usr/include/stdio.h",
        "links what runs while building",
    ),
];

/// Needed to compile the test of the C library.
pub const C: &[Package] = &[
    package("gcc", "/usr/bin/gcc", "compiles the C library's test"),
    package("libc6-dev", "/usr/include/stdio.h", "the test's C library"),
];

/// Needed to build the guest kernel in C, beside [`KERNEL`].
pub const C_GUEST: &[Package] = &[
    package("gcc", "/usr/bin/gcc", "compiles the guest kernel in C"),
    package(
        "libxen-dev",
        "/usr/include/xen/xen.h",
        "Xen's public headers",
    ),
];

/// Needed to make the C library's header.
pub const C_HEADER: &[Package] = &[package(
    "cbindgen",
    "/usr/bin/cbindgen",
    "makes the C library's header",
)];

/// Needed to have the guest kernels' code judged: clippy of the compiler that builds them.
pub const KERNEL_CLIPPY: &[Package] = &[package(
    "rust-web-clippy",
    "/usr/bin/clippy-driver",
    "judges the guest kernel's code",
)];

/// Needed by a user without root to build dom0's image (mmdebstrap --mode=unshare).
pub const USER: &[Package] = &[package(
    "uidmap",
    "/usr/bin/newuidmap",
    "lets a user without root unpack dom0's packages",
)];

/// Needed to build the hypervisor of [`crate::host::xen_build`].
pub const XEN_BUILD: &[Package] = &[
    package("dpkg-dev", "/usr/bin/dpkg-source", "unpacks Xen's source"),
    package("make", "/usr/bin/make", "builds Xen"),
    package("gcc", "/usr/bin/gcc", "compiles Xen"),
    package("libc6-dev", "/usr/include/stdio.h", "Xen's build programs"),
    package("bison", "/usr/bin/bison", "Xen's configuration language"),
    package("flex", "/usr/bin/flex", "Xen's configuration language"),
    package("python3", "/usr/bin/python3", "Xen's build programs"),
];

/// Needed to look at the report as a reader does.
pub const REPORT: &[Package] = &[package(
    "chromium",
    "/usr/bin/chromium",
    "shows the report's page, for its test",
)];

/// Needed to make or check `xen-bindings/src/ffi`.
pub const BINDINGS: &[Package] = &[
    package(
        "libclang-14-dev",
        "/usr/lib/llvm-14/lib/libclang.so.1",
        "bindgen's parser",
    ),
    package(
        "libxen-dev",
        "/usr/include/xen/xen.h",
        "Xen's public headers",
    ),
];

/// Those of `wanted` that are not installed.
pub fn missing(wanted: &[Package]) -> Vec<Package> {
    wanted
        .iter()
        .copied()
        .filter(|p| !Path::new(p.file).exists())
        .collect()
}

/// The one line that installs `packages`.
pub fn install_line(packages: &[Package]) -> String {
    let names: Vec<_> = packages.iter().map(|p| p.name).collect();
    format!(
        "apt-get install --no-install-recommends -y {}",
        names.join(" ")
    )
}

/// Installs what is missing of `wanted`; says so first. Without root it changes nothing.
///
/// # Errors
/// Without root: the line that installs them. As root: what apt-get said.
pub fn ensure(wanted: &[Package]) -> Result<()> {
    // Two tests may need some at once, and apt-get waits for dpkg's lock, not for that of its lists.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut missing = missing(wanted);
    if wanted == LAB && !nix::unistd::geteuid().is_root() {
        missing.extend(self::missing(USER));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let line = install_line(&missing);
    if !nix::unistd::geteuid().is_root() {
        bail!("Debian packages are missing. As root:\n    apt-get update && {line}");
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this is not a Debian machine: please install what these packages hold: {line}");
    }
    println!("Installing Debian packages: {line}");
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .current_dir(repo::root());
        child::run(command, b"", Duration::from_secs(1200))
    };
    apt(&["update"])?.success("apt-get update")?;
    let mut args = vec!["install", "--no-install-recommends", "-y"];
    args.extend(missing.iter().map(|p| p.name));
    apt(&args)?.success("apt-get install")?;
    let still = self::missing(wanted);
    if !still.is_empty() {
        bail!(
            "apt-get install succeeded, but {} is not there",
            still.iter().map(|p| p.file).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(())
}
