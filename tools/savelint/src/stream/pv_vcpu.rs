//! What Xen refuses of a PV vCPU's four records by its value: `arch_set_info_guest`, and the
//! domctls `set_ext_vcpucontext`, `setvcpuextstate`, `set_vcpu_msrs`.

use crate::cpu_policy::{CpuPolicy, Feature, NO_SUBLEAF};
use crate::format::{u32_at, u64_at, Layout};
use crate::refusal::{Errno, Refusal};
use crate::xsave;

/// The end of Xen's part of a 64-bit address space.
const XEN_END: u64 = 0xffff_8800_0000_0000;
/// The most descriptors of an LDT.
const LDT_MAX: u64 = 8192;
/// `VMASST_TYPE_*` of any PV domain, and of a 64-bit one only.
const ASSISTS: u64 = 0x3f;
const ASSIST_M2P_STRICT: u64 = 1 << 32;
/// Of `struct xen_domctl_ext_vcpucontext`: where the machine-check part begins, and the
/// capabilities that any domain may have.
const EXTENDED_SHORTEST: u32 = 32;
const MCG_KNOWN: u64 = 0xff | 1 << 8 | 1 << 11 | 1 << 24 | 1 << 27;

const TSC_AUX: u32 = 0xc000_0103;
/// RDTSCP and RDPID, one of which TSC_AUX needs.
const TSC_AUX_NEEDS: [Feature; 2] = [(0x8000_0001, NO_SUBLEAF, 3, 27), (7, 0, 2, 22)];

fn invalid(why: String) -> Result<(), Refusal> {
    Refusal::err(Errno::Einval, why)
}

fn is_canonical(address: u64) -> bool {
    ((address << 16) as i64 >> 16) as u64 == address
}

/// X86_PV_VCPU_BASIC, beside what libxc turns into machine frames.
pub fn basic(id: u32, context: &[u8], layout: &Layout) -> Result<(), Refusal> {
    let word = |at| layout.word(context, at);
    let is_wide = layout.word == 8;
    let (base, entries) = (word(layout.ldt_base), word(layout.ldt_base + layout.word));
    if is_wide {
        for (name, at) in layout.addresses {
            let address = word(*at);
            if !is_canonical(address) {
                return invalid(format!("its {name} {address:#x} is not canonical"));
            }
        }
        for n in 0..256 {
            let address = word(layout.traps + 16 * n + 8);
            if !is_canonical(address) {
                return invalid(format!(
                    "its handler of trap {n}, {address:#x}, is not canonical"
                ));
            }
        }
        if (1 << 47..XEN_END).contains(&base) {
            return invalid(format!("its LDT at {base:#x} lies in Xen's part"));
        }
    }
    if base & 0xfff != 0 || entries > LDT_MAX {
        return invalid(format!("its LDT of {entries} entries at {base:#x}"));
    }
    let known = ASSISTS | if is_wide { ASSIST_M2P_STRICT } else { 0 };
    let assists = word(layout.vm_assist);
    if id == 0 && assists & !known != 0 {
        return invalid(format!(
            "assists {assists:#x}, of which Xen knows {known:#x}"
        ));
    }
    Ok(())
}

/// X86_PV_VCPU_EXTENDED. The vCPU that counts is the one in it.
pub fn extended(body: &[u8], vcpus: u32) -> Result<(), Refusal> {
    let mut context = [0; 128];
    context[..body.len()].copy_from_slice(body);
    let (vcpu, size) = (u32_at(&context, 0), u32_at(&context, 4));
    if vcpu >= vcpus {
        return Refusal::err(Errno::Esrch, format!("it is of vCPU {vcpu}"));
    }
    if size < EXTENDED_SHORTEST {
        return invalid(format!(
            "it says {size} bytes, {EXTENDED_SHORTEST} at least"
        ));
    }
    for (name, at) in [("SYSCALL", 8), ("SYSENTER", 16)] {
        let address = u64_at(&context, at);
        if !is_canonical(address) {
            return invalid(format!("its {name} callback {address:#x} is not canonical"));
        }
    }
    let caps = u64_at(&context, 32);
    if size >= EXTENDED_SHORTEST + 8 && caps & !MCG_KNOWN != 0 {
        return invalid(format!(
            "machine-check capabilities {caps:#x}, which no domain has"
        ));
    }
    Ok(())
}

/// X86_PV_VCPU_XSAVE of `size` bytes, of which the first are here. `Ok(false)`: its right length is
/// not known.
pub fn xsave(start: &[u8], size: u64, policy: &CpuPolicy) -> Result<bool, Refusal> {
    const HEAD: u64 = 16;
    let (xcr0, accum) = (u64_at(start, 0), u64_at(start, 8));
    let whole = size >= HEAD + xsave::SHORTEST;
    let refuse = |why| invalid(why).map(|()| true);
    if accum != 0 {
        if !whole {
            return refuse(format!("{size} bytes for the features {accum:#x}"));
        }
        xsave::check(policy, xcr0, accum, &start[HEAD as usize..])?;
    } else if xcr0 != 0 {
        return refuse(format!("xcr0 {xcr0:#x} without any feature used"));
    } else if size != HEAD {
        return refuse(format!("{size} bytes without any feature used"));
    } else {
        return Ok(true);
    }
    match xsave::length(policy, accum) {
        Some(state) if size != HEAD + state => refuse(format!(
            "{size} bytes, features {accum:#x} need {}",
            HEAD + state
        )),
        known => Ok(known.is_some()),
    }
}

/// One entry of X86_PV_VCPU_MSRS; the values are the host's to judge.
pub fn msr(entry: &[u8], policy: &CpuPolicy) -> Result<(), Refusal> {
    let (index, reserved) = (u32_at(entry, 0), u32_at(entry, 4));
    // SPEC_CTRL, MISC_FEATURES_ENABLES, TSC_AUX, the address masks of AMD.
    let known = matches!(
        index,
        0x48 | 0x140 | 0xc000_0103 | 0xc001_1027 | 0xc001_1019..=0xc001_101b
    );
    if reserved != 0 || !known {
        return invalid(format!(
            "MSR {index:#x} (reserved field {reserved:#x}), which Xen does not take"
        ));
    }
    if index == TSC_AUX
        && TSC_AUX_NEEDS
            .iter()
            .all(|feature| policy.has(*feature) == Some(false))
    {
        return invalid("MSR_TSC_AUX without RDTSCP and RDPID in the domain's CPUID".into());
    }
    Ok(())
}
