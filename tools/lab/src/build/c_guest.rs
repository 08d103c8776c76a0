//! The guest kernel in C of `guest-kernel/examples/c`, linked with the C library.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::base::child;
use crate::base::packages;
use crate::base::progress;
use crate::base::repo;
use crate::build::{c_library, kernel};

/// Its folder, from the root.
pub const FOLDER: &str = "guest-kernel/examples/c";

/// Its sources in [`FOLDER`].
const SOURCES: [&str; 3] = ["start.S", "main.c", "pv.c"];

/// As a PV kernel at -2 GiB is compiled: no red zone, no vector registers, nothing from a host's libraries.
const FLAGS: &str = "-std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone \
                     -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
                     -Wall -Wextra -Wno-unused-parameter -Werror";

/// The linker script is the Rust guest's, whose layout a PV domain builder knows.
const LINK: &str = "-nostdlib -static -no-pie -Wl,-T,guest-kernel/linker/x86_64.ld -Wl,-e,start -Wl,--gc-sections \
                    -Wl,--build-id=none";

const LIMIT: Duration = Duration::from_secs(120);

/// Builds it; gives where it is.
///
/// # Errors
/// If a package is missing, what a compiler said, or an instruction uses registers that nobody saves.
pub fn ensure() -> Result<PathBuf> {
    packages::ensure(packages::C_GUEST)?;
    let elf = repo::guests().join("c.elf");
    let archive = c_library::archive_for_kernels()?;
    repo::make_dir(&repo::guests())?;
    progress::step(&format!("building {}", repo::shown(&elf)), || {
        let mut cc = Command::new("cc");
        cc.current_dir(repo::root());
        cc.args(FLAGS.split_whitespace())
            .args(LINK.split_whitespace());
        cc.args(["-I", "migration/c/include", "-o"]).arg(&elf);
        cc.args(SOURCES.map(|source| format!("{FOLDER}/{source}")));
        cc.arg(archive);
        child::run(cc, b"", LIMIT)?.success("the C compiler")?;
        let bytes = fs::read(&elf).with_context(|| format!("cannot read {}", repo::shown(&elf)))?;
        kernel::check_code(&bytes)
            .map(drop)
            .with_context(|| format!("{} must not be used", repo::shown(&elf)))
    })?;
    Ok(elf)
}
