//! XSAVE states, of a vCPU's record in a PV stream and of an entry in an HVM context
//! (`validate_xstate`).

use crate::cpu_policy::CpuPolicy;
use crate::format::u64_at;
use crate::refusal::{Errno, Refusal};

/// The legacy region and the header: no state is shorter (`XSTATE_AREA_MIN_SIZE`).
pub const SHORTEST: u64 = 512 + 64;
/// Where the header lies in it.
const HEADER: usize = 512;

const FP: u64 = 1 << 0;
const SSE: u64 = 1 << 1;
const YMM: u64 = 1 << 2;
const BNDREGS: u64 = 1 << 3;
const BNDCSR: u64 = 1 << 4;
const AVX512: u64 = 7 << 5;
const TILE_CFG: u64 = 1 << 17;
const TILE_DATA: u64 = 1 << 18;

/// `valid_xcr0`.
fn is_valid(xcr0: u64) -> bool {
    let all = |bits| xcr0 & bits == bits;
    let none = |bits| xcr0 & bits == 0;
    all(FP)
        && (none(YMM) || all(SSE))
        && (none(AVX512) || all(AVX512 | YMM))
        && (none(BNDREGS | BNDCSR) || all(BNDREGS | BNDCSR))
        && (none(TILE_CFG | TILE_DATA) || all(TILE_CFG | TILE_DATA))
}

/// The features a state is of, and its first [`SHORTEST`] bytes.
pub fn check(policy: &CpuPolicy, xcr0: u64, accum: u64, state: &[u8]) -> Result<(), Refusal> {
    let header = &state[HEADER..];
    let (bv, compact) = (u64_at(header, 0), u64_at(header, 8));
    let invalid = |why: String| Refusal::err(Errno::Einval, why);
    if bv & !accum != 0 || xcr0 & !accum != 0 {
        return invalid(format!(
            "XSAVE state {bv:#x} and xcr0 {xcr0:#x} beyond the features used, {accum:#x}"
        ));
    }
    let has = policy
        .leaf(0xd, 0)
        .map(|leaf| u64::from(leaf[3]) << 32 | u64::from(leaf[0]));
    if let Some(has) = has.filter(|has| accum & !has != 0) {
        return invalid(format!(
            "XSAVE features {accum:#x}, of which the domain's CPUID has {:#x}",
            accum & has
        ));
    }
    for (name, value) in [("xcr0", xcr0), ("accumulated xcr0", accum)] {
        if !is_valid(value) {
            return invalid(format!(
                "its {name} {value:#x} is a set that no processor takes"
            ));
        }
    }
    if compact != 0 {
        return Refusal::err(Errno::Eopnotsupp, "a compacted XSAVE state");
    }
    if header[16..64].iter().any(|byte| *byte != 0) {
        return Refusal::err(
            Errno::Eio,
            "reserved bytes in its XSAVE header are not zero",
        );
    }
    Ok(())
}

/// How long the state of these features is; `None` if the stream's CPUID leaves do not tell.
pub fn length(policy: &CpuPolicy, accum: u64) -> Option<u64> {
    let beyond = accum & !(FP | SSE);
    (0..64)
        .filter(|bit| beyond >> bit & 1 != 0)
        .try_fold(SHORTEST, |longest, bit| {
            let [size, offset, ..] = policy.leaf(0xd, bit)?;
            let end = u64::from(*size) + u64::from(*offset);
            (*offset != 0).then_some(longest.max(end))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_features() {
        for good in [1, 3, 7, 0x1f, 0xe7, 0x2ff, 0x6_02e7] {
            assert!(is_valid(good), "{good:#x}");
        }
        for bad in [0, 2, 5, 0xb, 0x27, 0xe3, 0x2_0007] {
            assert!(!is_valid(bad), "{bad:#x}");
        }
    }
}
