//! A guest's configuration for `xl`.

use crate::build::kernel::Arch;
use crate::host::qemu::{self, Accel};
use crate::host::xen_build::{self, Xen};

/// What Xen takes a guest for. The same ELF carries the entries for all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
pub enum Kind {
    /// `type="pvh"`: the processor translates, Xen sees no page table.
    #[default]
    Pvh,
    /// `type="pv"`: Xen checks each page table, and translates them all on a restore.
    Pv,
    /// `type="pvh"`, `pvshim=1`: a PV guest of a Xen of its own, which is a PVH guest of the outer
    /// one.
    Shim,
}

impl Kind {
    /// As the names of guests have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pvh => "pvh",
            Self::Pv => "pv",
            Self::Shim => "shim",
        }
    }

    /// As a person would write it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pvh => "PVH",
            Self::Pv => "PV",
            Self::Shim => "PV in Debian's shim",
        }
    }

    /// The Xen that such a guest needs on such a machine, and why. PV guests of 64 bits migrate
    /// live only on
    /// [`Xen::Pv32`]: Debian's build has no shadow paging, which counts the pages that a PV guest writes.
    pub fn needed_xen(self, arch: Arch, accel: Accel) -> (Xen, &'static str) {
        match (self, arch) {
            (Self::Pvh, _) => xen_build::needed_xen(arch, accel),
            (Self::Pv, Arch::I686) => (
                Xen::Pv32,
                "Debian's build runs no 32-bit PV guest outside the shim",
            ),
            (Self::Pv, Arch::X86_64) => (Xen::Debian12, "any Xen with PV runs it"),
            (Self::Shim, _) => (
                Xen::Debian12,
                "the shim is a 64-bit PVH guest, which any Xen with HVM runs",
            ),
        }
    }
}

/// What the shim must be told of its processor. QEMU's emulated one says it is an AMD K8 (family
/// 15); on a K8 Xen works around erratum 122 by a write to `MSR_K8_HWCR` (`init_amd` in
/// `xen/arch/x86/cpu/amd.c`), which the outer Xen refuses to its guest, and the shim dies at boot
/// of a general protection fault. No work-around of Xen's is for family 20.
fn shim_cpuid(accel: Accel) -> &'static str {
    match accel {
        Accel::Tcg => "cpuid = \"host,family=20\"\n",
        Accel::Kvm => "",
    }
}

/// What `xl create` is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The domain's name.
    pub name: String,
    /// What Xen takes it for.
    pub kind: Kind,
    /// Path of the kernel in dom0.
    pub kernel: String,
    /// Possible vCPUs.
    pub max_vcpus: u32,
    /// vCPUs online at the start.
    pub vcpus: u32,
    /// Memory, MiB.
    pub mem: u32,
    /// The kernel's command line.
    pub cmdline: String,
    /// Hardware-assisted paging; without it Xen must have shadow paging. See
    /// [`crate::host::xen_build::hap`]. A PV guest has none, and the shim always has it: it is a 64-bit
    /// guest, whatever runs in it.
    pub hap: bool,
    /// Seconds by which the domain's time of day differs from UTC (`rtc_timeoffset`).
    pub time_offset: i32,
    /// Further lines, each with its line break.
    pub extra: String,
}

impl Config {
    /// The configuration file's text.
    pub fn text(&self) -> String {
        let quoted = self.cmdline.replace('\\', "\\\\").replace('"', "\\\"");
        let kind = match self.kind {
            Kind::Pvh => format!("type = \"pvh\"\nhap = {}\n", u8::from(self.hap)),
            Kind::Pv => "type = \"pv\"\n".to_owned(),
            Kind::Shim => format!(
                "type = \"pvh\"\npvshim = 1\nhap = 1\n{}",
                shim_cpuid(qemu::accel().0)
            ),
        };
        let offset = match self.time_offset {
            0 => String::new(),
            seconds => format!("rtc_timeoffset = {seconds}\n"),
        };
        format!(
            "name = \"{}\"\n{kind}{offset}kernel = \"{}\"\nvcpus = {}\nmaxvcpus = {}\nmemory = {}\n\
             cmdline = \"{quoted}\"\non_crash = \"preserve\"\non_poweroff = \"destroy\"\non_reboot = \"restart\"\n{}",
            self.name, self.kernel, self.vcpus, self.max_vcpus, self.mem, self.extra,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kind: Kind) -> Config {
        Config {
            name: "g".into(),
            kind,
            kernel: "/lab/k".into(),
            max_vcpus: 4,
            vcpus: 2,
            mem: 32,
            cmdline: "a=\"b\" c".into(),
            hap: false,
            time_offset: 0,
            extra: String::new(),
        }
    }

    #[test]
    fn a_command_line_with_quotes_stays_one_string() {
        let text = config(Kind::Pvh).text();
        assert!(text.contains("cmdline = \"a=\\\"b\\\" c\""));
        assert!(text.contains("maxvcpus = 4\n"));
    }

    #[test]
    fn each_kind_says_what_it_is() {
        let pvh = config(Kind::Pvh).text();
        assert!(pvh.contains("type = \"pvh\"\nhap = 0\n") && !pvh.contains("pvshim"));
        let pv = config(Kind::Pv).text();
        assert!(pv.contains("type = \"pv\"\n") && !pv.contains("hap"));
        assert!(config(Kind::Shim)
            .text()
            .contains("type = \"pvh\"\npvshim = 1\nhap = 1\n"));
        assert!(shim_cpuid(Accel::Tcg).contains("family=20") && shim_cpuid(Accel::Kvm).is_empty());
    }

    #[test]
    fn only_a_32_bit_pv_guest_outside_the_shim_needs_the_built_xen() {
        for accel in [Accel::Tcg, Accel::Kvm] {
            for (kind, arch, xen) in [
                (Kind::Pv, Arch::X86_64, Xen::Debian12),
                (Kind::Pv, Arch::I686, Xen::Pv32),
                (Kind::Shim, Arch::I686, Xen::Debian12),
                (Kind::Shim, Arch::X86_64, Xen::Debian12),
            ] {
                assert_eq!(
                    kind.needed_xen(arch, accel).0,
                    xen,
                    "{kind:?} {arch:?} {accel:?}"
                );
            }
        }
    }
}
