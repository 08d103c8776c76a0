//! The two guests: ours, and Debian's Linux with a busybox initramfs.

use std::io::Write;
use std::time::Duration;

use anyhow::{anyhow, Context, Result};
use base64ct::{Base64, Encoding};

use crate::build::kernel::Arch;
use crate::guest::config::Kind;
use crate::host::channel::Channel;
use crate::host::cpio::Archive;
use crate::host::image::Image;
use crate::host::labprobe;

/// Which guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Guest {
    /// This repository's, `x86_64`.
    Ours,
    /// Debian's kernel.
    Linux,
}

/// The name both carry, one at a time.
pub const NAME: &str = "bench";

/// Puts kernels and the initramfs into dom0.
///
/// # Errors
/// If something is missing or dom0 has no room.
pub fn put(dom0: &Channel, image: &Image) -> Result<()> {
    let limit = Duration::from_secs(300);
    let ours = Arch::X86_64.elf(false);
    dom0.put(
        "/lab/ours.elf",
        &std::fs::read(&ours).context("no kernel of ours")?,
    )?;
    // 60 MB: compressed, the way to an emulated network card is a tenth as long.
    let kernel = std::fs::read(&image.kernel).context("no Linux kernel in the image")?;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&kernel)?;
    dom0.put("/lab/vmlinux.gz", &packed.finish()?)?;
    dom0.must("gunzip -f /lab/vmlinux.gz", limit)?;
    let busybox = dom0.must("base64 /bin/busybox", limit)?;
    dom0.put("/lab/linux.cpio", &initramfs(&decode(&busybox)?)?)
}

fn initramfs(busybox: &[u8]) -> Result<Vec<u8>> {
    let probe = std::fs::read(labprobe::ensure()?).context("cannot read labprobe")?;
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "proc"] {
        archive.dir(folder, 0o755);
    }
    archive.char_device("dev/console", 0o600, 5, 1);
    archive.char_device("dev/null", 0o666, 1, 3);
    archive.file("bin/busybox", 0o755, busybox);
    archive.symlink("bin/sh", "busybox");
    archive.file("bin/labprobe", 0o755, &probe);
    // The first line is the first thing that the first user program does.
    let init = "#!/bin/sh\necho user-work ready\n/bin/busybox mount -t proc proc /proc\n\
                /bin/busybox grep MemAvailable: /proc/meminfo\n\
                exec /bin/labprobe load $(/bin/busybox nproc)\n";
    archive.file("init", 0o755, init.as_bytes());
    Ok(archive.finish())
}

/// Base64, as busybox writes it, in lines: the channel is for text.
fn decode(text: &str) -> Result<Vec<u8>> {
    let one_line: String = text.split_whitespace().collect();
    Base64::decode_vec(&one_line).map_err(|why| anyhow!("dom0's base64: {why}"))
}

/// The configuration for xl.
pub fn config(guest: Guest, kind: Kind, vcpus: u32, mem: u32, words: &str) -> String {
    let kind = match kind {
        Kind::Pv => "pv",
        _ => "pvh",
    };
    let kernel = match guest {
        Guest::Ours => format!("kernel = \"/lab/ours.elf\"\ncmdline = \"{words}\"\n"),
        Guest::Linux => "kernel = \"/lab/vmlinux\"\nramdisk = \"/lab/linux.cpio\"\n\
                         cmdline = \"console=hvc0 quiet loglevel=1 panic=1\"\n"
            .to_owned(),
    };
    format!(
        "name = \"{NAME}\"\ntype = \"{kind}\"\n{kernel}vcpus = {vcpus}\nmaxvcpus = {vcpus}\nmemory = {mem}\n\
         on_crash = \"preserve\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        assert_eq!(decode("aGVs\nbG8=\n").unwrap(), b"hello");
        assert!(decode("a!").is_err());
    }

    #[test]
    fn both_get_the_same_machine() {
        for guest in [Guest::Ours, Guest::Linux] {
            let text = config(guest, Kind::Pv, 8, 160, "");
            assert!(
                text.contains("type = \"pv\"")
                    && text.contains("\nvcpus = 8\nmaxvcpus = 8\nmemory = 160\n")
            );
        }
    }
}
