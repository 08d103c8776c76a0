//! What Xen says of itself and of this domain through the CPUID instruction.
//!
//! The leaves are described in `public/arch-x86/cpuid.h`. They begin at 0x40000000, or at a later
//! multiple of 0x100 when Xen shows another hypervisor's leaves first.

use crate::ffi;
#[cfg(target_arch = "x86")]
use core::arch::x86 as arch;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64 as arch;

/// The four registers that CPUID returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// How CPUID is to be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// As is. In a PVH (or HVM) guest it always traps to Xen.
    Plain,
    /// With Xen's emulation prefix. A PV guest's plain CPUID reads the machine, unless the CPU can
    /// make it fault; the prefix (an undefined instruction and the letters `xen`) asks Xen in any
    /// case. Anywhere but in a PV guest it is an undefined instruction.
    #[doc(alias = "XEN_CPUID")]
    PvForced,
}

/// Executes CPUID.
#[must_use]
pub fn cpuid(instruction: Instruction, leaf: u32, subleaf: u32) -> Registers {
    match instruction {
        Instruction::Plain => {
            // SAFETY: every CPU that runs Xen has CPUID. (Newer compilers know this and call it
            // safe.)
            #[allow(unused_unsafe)]
            let r = unsafe { arch::__cpuid_count(leaf, subleaf) };
            Registers {
                eax: r.eax,
                ebx: r.ebx,
                ecx: r.ecx,
                edx: r.edx,
            }
        }
        Instruction::PvForced => pv_forced(leaf, subleaf),
    }
}

fn pv_forced(leaf: u32, subleaf: u32) -> Registers {
    let mut r = Registers::default();
    // SAFETY: Xen emulates prefix and CPUID together, which changes eax to edx only. LLVM keeps rbx
    // for itself on x86_64, so it is exchanged with a register of the compiler's choice. Not in a
    // PV guest this is an exception, which is safe, if fatal.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "mov {saved:r}, rbx",
            ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e",
            "cpuid",
            "xchg {saved:r}, rbx",
            saved = out(reg) r.ebx,
            inlateout("eax") leaf => r.eax,
            inlateout("ecx") subleaf => r.ecx,
            lateout("edx") r.edx,
            options(nostack, preserves_flags),
        );
    }
    // SAFETY: as above; ebx can be named on x86.
    #[cfg(target_arch = "x86")]
    unsafe {
        core::arch::asm!(
            ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e",
            "cpuid",
            inlateout("eax") leaf => r.eax,
            inlateout("ecx") subleaf => r.ecx,
            lateout("ebx") r.ebx,
            lateout("edx") r.edx,
            options(nostack, preserves_flags),
        );
    }
    r
}

/// Xen's CPUID leaves. Holding one proves that Xen's signature was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaves {
    instruction: Instruction,
    base: u32,
    last: u32,
}

/// Xen's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The number before the point.
    pub major: u16,
    /// The number after it.
    pub minor: u16,
}

impl core::fmt::Display for Version {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Where a PVH guest asks for its hypercall page (leaf base + 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HypercallTransfer {
    /// How many pages there are to ask for.
    pub pages: u32,
    /// The model-specific register to write the page's physical address to.
    pub msr: u32,
}

/// Time as leaf base + 3 tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeInfo {
    /// Guest TSC frequency in kHz.
    pub tsc_khz: u32,
    /// How the TSC is kept (`tsc_mode` in xl.cfg(5)).
    pub tsc_mode: u32,
    /// Goes up by one each time the domain is restored or arrives by migration: the reliable sign
    /// of having moved (`docs/misc/xen-tsc` calls it the incarnation).
    pub incarnation: u32,
}

/// What leaf base + 4 tells of an HVM or PVH domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HvmInfo {
    /// The feature bits in EAX (`XEN_HVM_CPUID_*`).
    pub features: u32,
    /// This vCPU's number, if Xen tells it.
    pub vcpu: Option<u32>,
    /// This domain's number, if Xen tells it. It changes with restore and migration.
    pub domid: Option<u32>,
}

impl Leaves {
    /// Looks for Xen's signature; none means that Xen is not what this runs on.
    #[must_use]
    pub fn find(instruction: Instruction) -> Option<Self> {
        Self::find_with(instruction, |leaf| cpuid(instruction, leaf, 0))
    }

    fn find_with(instruction: Instruction, read: impl Fn(u32) -> Registers) -> Option<Self> {
        let first = ffi::XEN_CPUID_FIRST_LEAF;
        (first..first + 0x1_0000).step_by(0x100).find_map(|base| {
            let r = read(base);
            let xen = r.ebx == ffi::XEN_CPUID_SIGNATURE_EBX
                && r.ecx == ffi::XEN_CPUID_SIGNATURE_ECX
                && r.edx == ffi::XEN_CPUID_SIGNATURE_EDX;
            // Fewer than the first two further leaves would be no Xen that ever was.
            (xen && r.eax >= base + 2).then_some(Self {
                instruction,
                base,
                last: r.eax,
            })
        })
    }

    /// The first leaf's number.
    #[must_use]
    pub fn base(&self) -> u32 {
        self.base
    }

    fn read(&self, offset: u32, subleaf: u32) -> Option<Registers> {
        (self.base + offset <= self.last)
            .then(|| cpuid(self.instruction, self.base + offset, subleaf))
    }

    /// Xen's version.
    #[must_use]
    pub fn version(&self) -> Version {
        let eax = cpuid(self.instruction, self.base + 1, 0).eax;
        Version {
            major: (eax >> 16) as u16,
            minor: eax as u16,
        }
    }

    /// How to ask for the hypercall page; none if Xen offers none.
    #[must_use]
    pub fn hypercall_transfer(&self) -> Option<HypercallTransfer> {
        let r = self.read(2, 0)?;
        (r.eax >= 1).then_some(HypercallTransfer {
            pages: r.eax,
            msr: r.ebx,
        })
    }

    /// TSC and incarnation; none with a Xen that does not tell.
    #[must_use]
    pub fn time(&self) -> Option<TimeInfo> {
        self.read(3, 0).map(|r| TimeInfo {
            tsc_khz: r.ecx,
            tsc_mode: r.ebx,
            incarnation: r.edx,
        })
    }

    /// Who this vCPU and this domain are; none with a Xen that does not tell.
    #[must_use]
    pub fn hvm(&self) -> Option<HvmInfo> {
        self.read(4, 0).map(|r| HvmInfo {
            features: r.eax,
            vcpu: (r.eax & ffi::XEN_HVM_CPUID_VCPU_ID_PRESENT != 0).then_some(r.ebx),
            domid: (r.eax & ffi::XEN_HVM_CPUID_DOMID_PRESENT != 0).then_some(r.ecx),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(last: u32) -> Registers {
        Registers {
            eax: last,
            ebx: u32::from_le_bytes(*b"XenV"),
            ecx: u32::from_le_bytes(*b"MMXe"),
            edx: u32::from_le_bytes(*b"nVMM"),
        }
    }

    #[test]
    fn xen_is_found_behind_another_hypervisor_and_nowhere_else() {
        let at = |base: u32, r: Registers| {
            move |leaf| {
                if leaf == base {
                    r
                } else {
                    Registers::default()
                }
            }
        };
        let find = |read: &dyn Fn(u32) -> Registers| Leaves::find_with(Instruction::Plain, read);
        assert_eq!(find(&|_| Registers::default()), None);
        let leaves = find(&at(0x4000_0000, signature(0x4000_0005))).unwrap();
        assert_eq!((leaves.base(), leaves.last), (0x4000_0000, 0x4000_0005));
        let leaves = find(&at(0x4000_0100, signature(0x4000_0105))).unwrap();
        assert_eq!(leaves.base(), 0x4000_0100);
        // Off the grid, too few leaves, one letter wrong.
        assert_eq!(find(&at(0x4000_0080, signature(0x4000_0085))), None);
        assert_eq!(find(&at(0x4000_0000, signature(0x4000_0001))), None);
        let mut wrong = signature(0x4000_0005);
        wrong.edx ^= 1;
        assert_eq!(find(&at(0x4000_0000, wrong)), None);
    }
}
