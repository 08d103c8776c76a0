//! The CPU entry of an HVM context: what `hvm_load_cpu_ctxt` refuses.

use crate::cpu_policy::{CpuPolicy, Feature, NO_SUBLEAF};
use crate::format::{u32_at, u64_at};
use crate::refusal::{Errno, Refusal};
use crate::target::Xen;

/// `struct hvm_hw_cpu`, and that of Xen 3.3, which had no TSC_AUX and no flags.
pub const LENGTH: usize = 1032;
const OLD_LENGTH: usize = 1016;
/// Offsets in it.
const CR0: usize = 656;
const CR3: usize = 672;
const CR4: usize = 680;
const DR6: usize = 720;
const DR7: usize = 728;
const EFER: usize = 992;
const TSC_AUX: usize = 1000;
const PENDING: usize = 1016;
const ERROR_CODE: usize = 1020;
const FLAGS: usize = 1024;
const PAD: usize = 1028;

const CR0_PE: u64 = 1;
const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
/// PE to NE, WP, AM, NW, CD, PG.
const CR0_KNOWN: u64 = 0x3f | 1 << 16 | 1 << 18 | 7 << 29;

const fn basic(register: usize, bit: u32) -> Feature {
    (1, NO_SUBLEAF, register, bit)
}
const fn extended(register: usize, bit: u32) -> Feature {
    (0x8000_0001, NO_SUBLEAF, register, bit)
}
const fn structured(register: usize, bit: u32) -> Feature {
    (7, 0, register, bit)
}
const EAX: usize = 0;
const EBX: usize = 1;
const ECX: usize = 2;
const EDX: usize = 3;

/// A bit of a control register, the features of which one allows it, and the first Xen that knows
/// it.
struct Bit {
    bit: u32,
    name: &'static str,
    needs: &'static [Feature],
    since: Xen,
}

const fn bit(bit: u32, name: &'static str, needs: &'static [Feature]) -> Bit {
    Bit {
        bit,
        name,
        needs,
        since: Xen::V4_14,
    }
}

/// `hvm_cr4_guest_valid_bits`. No features: always allowed.
const CR4_BITS: &[Bit] = &[
    bit(0, "VME", &[basic(EDX, 1)]),
    bit(1, "PVI", &[basic(EDX, 1)]),
    bit(2, "TSD", &[basic(EDX, 4)]),
    bit(3, "DE", &[basic(EDX, 2)]),
    bit(4, "PSE", &[basic(EDX, 3)]),
    bit(5, "PAE", &[basic(EDX, 6)]),
    bit(6, "MCE", &[basic(EDX, 7), basic(EDX, 14)]),
    bit(7, "PGE", &[basic(EDX, 13)]),
    bit(8, "PCE", &[]),
    bit(9, "OSFXSR", &[basic(EDX, 24)]),
    bit(10, "OSXMMEXCPT", &[basic(EDX, 25)]),
    bit(11, "UMIP", &[structured(ECX, 2)]),
    bit(13, "VMXE", &[basic(ECX, 5)]),
    bit(16, "FSGSBASE", &[structured(EBX, 0)]),
    bit(17, "PCIDE", &[basic(ECX, 17)]),
    bit(18, "OSXSAVE", &[basic(ECX, 26)]),
    bit(20, "SMEP", &[structured(EBX, 7)]),
    bit(21, "SMAP", &[structured(EBX, 20)]),
    bit(22, "PKE", &[structured(ECX, 3)]),
    Bit {
        bit: 23,
        name: "CET",
        needs: &[structured(ECX, 7), structured(EDX, 20)],
        since: Xen::V4_17,
    },
    Bit {
        bit: 24,
        name: "PKS",
        needs: &[structured(ECX, 31)],
        since: Xen::V4_20,
    },
];

const LME: u32 = 8;
const LMA: u32 = 10;
/// `hvm_efer_valid`.
const EFER_BITS: &[Bit] = &[
    bit(0, "SCE", &[extended(EDX, 11)]),
    bit(LME, "LME", &[extended(EDX, 29)]),
    bit(LMA, "LMA", &[extended(EDX, 29)]),
    bit(11, "NXE", &[extended(EDX, 20)]),
    bit(12, "SVME", &[extended(ECX, 2)]),
    bit(14, "FFXSE", &[extended(EDX, 25)]),
    Bit {
        bit: 21,
        name: "AIBRSE",
        needs: &[(0x8000_0021, NO_SUBLEAF, EAX, 8)],
        since: Xen::V4_20,
    },
];

/// Bits that are set and not known, or whose features the domain does not have. What the stream's
/// CPUID does not say is taken as there.
fn refused_bits(value: u64, bits: &[Bit], policy: &CpuPolicy, xen: Xen) -> Option<String> {
    for n in (0..64).filter(|n| value >> n & 1 != 0) {
        let Some(known) = bits.iter().find(|bit| bit.bit == n && bit.since <= xen) else {
            return Some(format!("bit {n} is not known to Xen {xen}"));
        };
        let lacks = |feature: &Feature| policy.has(*feature) == Some(false);
        if !known.needs.is_empty() && known.needs.iter().all(lacks) {
            let name = known.name;
            return Some(format!(
                "{name} (bit {n}) without the feature in the domain's CPUID"
            ));
        }
    }
    None
}

/// The entry's body, however short; it is not longer than [`LENGTH`].
pub fn check(body: &[u8], policy: &CpuPolicy, xen: Xen) -> Result<(), Refusal> {
    let mut cpu = [0; LENGTH];
    cpu[..body.len()].copy_from_slice(body);
    if body.len() == OLD_LENGTH {
        // What follows EFER lay 8 bytes lower.
        cpu.copy_within(TSC_AUX..OLD_LENGTH, TSC_AUX + 8);
        cpu[TSC_AUX..TSC_AUX + 8].fill(0);
    }
    let invalid = |why: String| Refusal::err(Errno::Einval, why);
    if u32_at(&cpu, PAD) != 0 {
        return invalid("its padding is not zero".into());
    }
    let [cr0, cr3, cr4, efer] = [CR0, CR3, CR4, EFER].map(|at| u64_at(&cpu, at));
    if cr0 & !CR0_KNOWN != 0 || cr0 & CR0_ET == 0 || cr0 & (CR0_PE | CR0_PG) == CR0_PG {
        let why = if cr0 & CR0_ET == 0 {
            "ET is clear"
        } else if cr0 & !CR0_KNOWN != 0 {
            "reserved bits"
        } else {
            "PG without PE"
        };
        return invalid(format!("bad CR0 {cr0:#x}: {why}"));
    }
    if let Some(why) = refused_bits(cr4, CR4_BITS, policy, xen) {
        return invalid(format!("bad CR4 {cr4:#x}: {why}"));
    }
    if let Some(why) = refused_bits(efer, EFER_BITS, policy, xen) {
        return invalid(format!("bad EFER {efer:#x}: {why}"));
    }
    let (lma, lme) = (efer >> LMA & 1 != 0, efer >> LME & 1 != 0);
    if lma && !(lme && cr0 & CR0_PG != 0) {
        return invalid(format!("bad EFER {efer:#x}: LMA without LME or CR0.PG"));
    }
    // Xen gives every domain that has PAE or PSE36 at least 36 bits.
    let width = policy
        .leaf(0x8000_0008, NO_SUBLEAF)
        .map(|leaf| leaf[0] & 0xff);
    let width = width.unwrap_or(52).clamp(36, 52);
    if cr3 >> width != 0 {
        return invalid(format!(
            "bad CR3 {cr3:#x}: the domain has addresses of {width} bits"
        ));
    }
    for (name, at) in [("DR6", DR6), ("DR7", DR7)] {
        let value = u64_at(&cpu, at);
        if xen >= Xen::V4_20 && value > u32::MAX.into() {
            return invalid(format!("bad {name} {value:#x}"));
        }
    }
    // Of any shorter entry Xen sets them itself.
    let flags = u32_at(&cpu, FLAGS);
    if flags & !1 != 0 && body.len() == LENGTH {
        return invalid(format!("bad flags {flags:#x}"));
    }
    let aux = u64_at(&cpu, TSC_AUX);
    if aux > u32::MAX.into() {
        return invalid(format!("bad MSR_TSC_AUX {aux:#x}"));
    }
    pending(u32_at(&cpu, PENDING), u32_at(&cpu, ERROR_CODE))
}

/// `vmx_vmcs_restore` and `svm_vmcb_restore`; Intel allows types 5 and 6 too, so those are left to
/// the host.
fn pending(event: u32, error_code: u32) -> Result<(), Refusal> {
    let (kind, has_error, reserved, valid) = (
        event >> 8 & 7,
        event >> 11 & 1,
        event >> 12 & 0x7_ffff,
        event >> 31,
    );
    if valid == 0 {
        return Ok(());
    }
    if kind == 1 || kind > 6 || reserved != 0 {
        return Refusal::err(Errno::Einval, format!("invalid pending event {event:#x}"));
    }
    if has_error != 0 && error_code > u16::MAX.into() {
        return Refusal::err(Errno::Einval, format!("invalid error code {error_code:#x}"));
    }
    Ok(())
}
