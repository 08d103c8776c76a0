//! How many hypercalls were made: for those who measure.

use crate::ffi;
use core::sync::atomic::{AtomicU32, Ordering};

static MADE: AtomicU32 = AtomicU32::new(0);

/// Hypercalls made so far, by all vCPUs together. It wraps: only the difference of two readings
/// means something. Giving the CPU away (`SCHEDOP_yield`, `SCHEDOP_poll`) is not counted: a vCPU
/// that waits does it any number of times.
#[must_use]
pub fn made() -> u32 {
    MADE.load(Ordering::Relaxed)
}

/// Is it a call that only waits? A vCPU that waits makes any number of them, and nothing follows
/// from a refusal.
#[inline]
pub(crate) fn gives_cpu_away(nr: u32, first: usize) -> bool {
    let waits = [ffi::SCHEDOP_yield as usize, ffi::SCHEDOP_poll as usize];
    nr == ffi::__HYPERVISOR_sched_op && waits.contains(&first)
}

#[cfg_attr(not(any(test, target_os = "none")), allow(dead_code))]
#[inline]
pub(crate) fn add(nr: u32, first: usize) {
    if !gives_cpu_away(nr, first) {
        MADE.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_waiting_is_counted() {
        let before = made();
        add(ffi::__HYPERVISOR_sched_op, ffi::SCHEDOP_yield as usize);
        add(ffi::__HYPERVISOR_sched_op, ffi::SCHEDOP_poll as usize);
        assert_eq!(made(), before);
        add(ffi::__HYPERVISOR_sched_op, ffi::SCHEDOP_shutdown as usize);
        add(ffi::__HYPERVISOR_xen_version, ffi::SCHEDOP_yield as usize);
        assert_eq!(made().wrapping_sub(before), 2);
    }
}
