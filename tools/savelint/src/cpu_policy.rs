//! The domain's CPUID leaves and MSRs, checked as Xen does when it takes them
//! (`x86_cpuid_copy_from_buffer`, `x86_msr_copy_from_buffer`), and asked for features later.

use std::collections::BTreeMap;

use crate::finding::Code;
use crate::format::{libxc, u32_at, u64_at};
use crate::input::{Input, Record};
use crate::refusal::{Errno, Refusal};
use crate::source::Stop;
use crate::target::Xen;

/// A leaf that has no subleaves is sent with this one.
pub const NO_SUBLEAF: u32 = u32::MAX;
/// Bytes of an entry (`xen_cpuid_leaf_t`, `xen_msr_entry_t`).
const LEAF: u32 = 24;
const MSR: u32 = 16;
/// How many leaves and MSRs Xen takes (`CPUID_MAX_SERIALISED_LEAVES`, `MSR_MAX_SERIALISED_ENTRIES`;
/// the same from 4.14 to 4.20).
const LEAVES: u32 = 120;
const MSRS: u32 = 2;
/// The MSRs that it takes.
const PLATFORM_INFO: u32 = 0xce;
const ARCH_CAPABILITIES: u32 = 0x10a;

/// What the two records say; each record replaces an earlier one of its kind.
#[derive(Clone, Debug, Default)]
pub struct CpuPolicy {
    leaves: BTreeMap<(u32, u32), [u32; 4]>,
    platform_info: u64,
    /// The last record that came.
    seen: Option<Record>,
    refused: [Option<Refused>; 2],
}

/// What Xen refuses, and what xl says of it.
#[derive(Clone, Debug)]
struct Refused {
    record: Record,
    refusal: Refusal,
    leaf: u32,
    subleaf: u32,
    msr: u32,
}

/// A bit of a leaf's register: the leaf, the subleaf, the register from `a` to `d`, the bit.
pub type Feature = (u32, u32, usize, u32);

impl CpuPolicy {
    /// Whether the domain has a feature; `None` if the stream does not have the leaf.
    pub fn has(&self, (leaf, subleaf, register, bit): Feature) -> Option<bool> {
        let leaf = self.leaf(leaf, subleaf)?;
        Some(leaf[register] >> bit & 1 != 0)
    }

    /// A leaf.
    pub fn leaf(&self, leaf: u32, subleaf: u32) -> Option<&[u32; 4]> {
        self.leaves.get(&(leaf, subleaf))
    }

    /// Whether there are any leaves.
    pub fn is_known(&self) -> bool {
        !self.leaves.is_empty()
    }
}

/// X86_CPUID_POLICY or X86_MSR_POLICY, into `policy`; by the rules of `xen`. Nobody reads one that
/// comes after the static data's end.
pub fn read(
    input: &mut Input<'_>,
    policy: &mut CpuPolicy,
    xen: Xen,
    static_done: bool,
    record: &Record,
) -> Result<(), Stop> {
    let length = record.length;
    let is_cpuid = record.kind == libxc::X86_CPUID_POLICY;
    let (unit, most) = if is_cpuid {
        (LEAF, LEAVES)
    } else {
        (MSR, MSRS)
    };
    if length == 0 || length % unit != 0 {
        input.bad(Code::RecordMalformed, record, || {
            format!("{length} bytes, no multiple of {unit}")
        });
        return Ok(());
    }
    if static_done {
        input.bad(Code::RecordOdd, record, || {
            "after the static data's end, where nobody reads it".into()
        });
        return Ok(());
    }
    let slot = usize::from(!is_cpuid);
    policy.refused[slot] = None;
    policy.seen = Some(*record);
    let mut refuse = |errno, leaf, subleaf, msr, why: String| {
        policy.refused[slot].get_or_insert(Refused {
            record: *record,
            refusal: Refusal::new(errno, why),
            leaf,
            subleaf,
            msr,
        });
    };
    let none = u32::MAX;
    if is_cpuid {
        policy.leaves.clear();
    }
    if length / unit > most {
        let why = format!("{} entries, Xen takes {most} at most", length / unit);
        refuse(Errno::E2big, none, none, none, why);
        return Ok(());
    }
    for _ in 0..length / unit {
        let entry = input.source.take(unit as usize)?;
        if is_cpuid {
            let (leaf, subleaf) = (u32_at(entry, 0), u32_at(entry, 4));
            if takes_leaf(leaf, subleaf) {
                let registers = [8, 12, 16, 20].map(|at| u32_at(entry, at));
                policy.leaves.insert((leaf, subleaf), registers);
            } else {
                let why = format!("leaf {leaf:#x}, subleaf {subleaf:#x}, which Xen does not take");
                refuse(Errno::Erange, leaf, subleaf, none, why);
            }
        } else if let Err(Refusal { errno, why }) = takes_msr(entry, xen) {
            refuse(errno, none, none, u32_at(entry, 0), why);
        } else if u32_at(entry, 0) == PLATFORM_INFO {
            policy.platform_info = u64_at(entry, 8);
        }
    }
    Ok(())
}

/// The last leaves, and bits of PLATFORM_INFO, that no host of this Xen has
/// (`x86_cpu_policies_are_compatible`). What one host has and another has not is not told by the
/// stream.
fn beyond_any_host(policy: &CpuPolicy, xen: Xen) -> Option<Refused> {
    let lasts = [
        (0, NO_SUBLEAF, 0xd),
        (7, 0, if xen >= Xen::V4_17 { 2 } else { u32::MAX }),
        (0x8000_0000, NO_SUBLEAF, 0x8000_0021),
    ];
    let record = policy.seen?;
    let refused = |why: String, leaf, subleaf, msr| {
        Some(Refused {
            record,
            refusal: Refusal::new(Errno::Einval, why),
            leaf,
            subleaf,
            msr,
        })
    };
    for (leaf, subleaf, last) in lasts {
        let says = policy.leaf(leaf, subleaf).map_or(0, |leaf| leaf[0]);
        if says > last {
            let why = format!(
                "leaf {leaf:#x} says that {says:#x} is the last; no host has more than {last:#x}"
            );
            return refused(why, leaf, subleaf, u32::MAX);
        }
    }
    let odd = policy.platform_info & !(1 << 31);
    if odd != 0 {
        let why = format!("PLATFORM_INFO has bits {odd:#x}, which no host has");
        return refused(why, u32::MAX, u32::MAX, PLATFORM_INFO);
    }
    None
}

fn takes_leaf(leaf: u32, subleaf: u32) -> bool {
    let subleaves = match leaf {
        4 => 6,
        7 => 3,
        0xb => 2,
        0xd => 63,
        0..=0xd | 0x4000_0000 | 0x4000_0100 | 0x8000_0000..=0x8000_0021 => {
            return subleaf == NO_SUBLEAF
        }
        _ => 0,
    };
    subleaf < subleaves
}

fn takes_msr(entry: &[u8], xen: Xen) -> Result<(), Refusal> {
    let (index, flags, value) = (u32_at(entry, 0), u32_at(entry, 4), u64_at(entry, 8));
    if flags != 0 {
        return Refusal::err(
            Errno::Einval,
            format!("MSR {index:#x} with flags {flags:#x}"),
        );
    }
    let is_wide = match index {
        PLATFORM_INFO => false,
        ARCH_CAPABILITIES => xen >= Xen::V4_17,
        _ => {
            return Refusal::err(
                Errno::Erange,
                format!("MSR {index:#x}, which Xen does not take"),
            )
        }
    };
    if !is_wide && value > u32::MAX.into() {
        let why = format!("MSR {index:#x} is {value:#x}, wider than Xen {xen} keeps it");
        return Refusal::err(Errno::Eoverflow, why);
    }
    Ok(())
}

/// The static data is complete: libxc hands the policy to Xen.
pub fn hand_over(input: &mut Input<'_>, policy: &CpuPolicy, xen: Xen) {
    let beyond = beyond_any_host(policy, xen);
    for refused in policy.refused.iter().flatten().chain(&beyond) {
        let Refused {
            record,
            refusal,
            leaf,
            subleaf,
            msr,
        } = refused;
        let says = format!(
            "Failed to set CPUID policy: leaf {leaf:08x}, subleaf {subleaf:08x}, msr {msr:08x}"
        );
        input
            .findings
            .refuse(Code::CpuPolicy, says, refusal.errno, || {
                format!("{record}: {}", refusal.why)
            });
    }
}
