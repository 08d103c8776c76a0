//! Hypercalls that fail on purpose: for tests of what a kernel does then. Only with the feature
//! `faults`.
//!
//! One hypercall in the calls that follow [`arm`] is not made and returns `-ENOMEM`: once, or from
//! then on ([`arm_for_good`]). Counted are the calls from one stack, so that what other vCPUs do
//! meanwhile does not change which call it is. Giving the CPU away is not counted: a kernel may do
//! that any number of times while it waits, and nothing follows from a refusal.

use crate::count::gives_cpu_away;
use crate::{ffi, Call, Errno, HypercallError, Result};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Calls until the one that fails; 0: none will.
static LEFT: AtomicUsize = AtomicUsize::new(0);
static STACK_START: AtomicUsize = AtomicUsize::new(0);
static STACK_END: AtomicUsize = AtomicUsize::new(0);
/// What a rehearsal leaves out is to fail.
static PROBE: AtomicBool = AtomicBool::new(false);
/// The call that failed, by its number, and one more.
static FAILED: AtomicU32 = AtomicU32::new(0);

/// The error that the call gives.
pub const ERROR: Errno = Errno::ENOMEM;

/// The call that failed fails again each time it is made, with this first argument.
static FOR_GOOD: AtomicBool = AtomicBool::new(false);
static REFUSED_FIRST: AtomicUsize = AtomicUsize::new(0);

/// As [`arm`], and then the call fails however often it is made: by its number and its first
/// argument.
pub fn arm_for_good(nth: usize, stack: Range<usize>) {
    arm(nth, stack);
    FOR_GOOD.store(true, Ordering::Release);
}

/// Has the `nth` call from now on fail, counted from 1, of those made on the stack at `stack`.
pub fn arm(nth: usize, stack: Range<usize>) {
    STACK_START.store(stack.start, Ordering::Relaxed);
    STACK_END.store(stack.end, Ordering::Relaxed);
    FAILED.store(0, Ordering::Relaxed);
    FOR_GOOD.store(false, Ordering::Relaxed);
    LEFT.store(nth, Ordering::Release);
}

/// Has the call fail that a rehearsal leaves out ([`probe`]), and no other. Counting cannot name it
/// for certain: an interrupt's calls are made on the same stack, and come when they come.
pub fn arm_probe() {
    LEFT.store(0, Ordering::Relaxed);
    FAILED.store(0, Ordering::Relaxed);
    PROBE.store(true, Ordering::Release);
}

/// Lets all calls through from now on. Gives the number (`__HYPERVISOR_*`) of the call that failed,
/// if one did.
pub fn disarm() -> Option<u32> {
    LEFT.store(0, Ordering::Release);
    PROBE.store(false, Ordering::Release);
    FOR_GOOD.store(false, Ordering::Release);
    FAILED.load(Ordering::Relaxed).checked_sub(1)
}

/// Does something whose calls are neither counted nor refused: it is not what is tested.
pub fn spare<T>(work: impl FnOnce() -> T) -> T {
    let left = LEFT.swap(0, Ordering::AcqRel);
    let done = work();
    LEFT.store(left, Ordering::Release);
    done
}

/// Counts a call; gives what it returns if it is the one to fail.
pub(crate) fn inject(nr: u32, first: usize) -> Option<isize> {
    let here = 0u8;
    let stack = STACK_START.load(Ordering::Relaxed)..STACK_END.load(Ordering::Relaxed);
    if !stack.contains(&(&raw const here as usize)) {
        return None;
    }
    let error = -(ERROR.number() as isize);
    if LEFT.load(Ordering::Acquire) == 0 {
        let refused = FOR_GOOD.load(Ordering::Acquire)
            && FAILED.load(Ordering::Relaxed) == nr + 1
            && REFUSED_FIRST.load(Ordering::Relaxed) == first;
        return refused.then_some(error);
    }
    if gives_cpu_away(nr, first) || nr == ffi::__HYPERVISOR_xen_version {
        return None;
    }
    if LEFT.fetch_sub(1, Ordering::AcqRel) != 1 {
        return None;
    }
    FAILED.store(nr + 1, Ordering::Relaxed);
    REFUSED_FIRST.store(first, Ordering::Relaxed);
    Some(error)
}

/// Stands for a call that a rehearsal leaves out: it is counted, and may be the one that fails.
///
/// # Errors
/// If it is.
pub fn probe(nr: u32, name: &'static str) -> Result<()> {
    if PROBE.swap(false, Ordering::AcqRel) {
        FAILED.store(nr + 1, Ordering::Relaxed);
    } else if inject(nr, usize::MAX).is_none() {
        return Ok(());
    }
    Err(HypercallError {
        call: Call::new(name),
        errno: ERROR,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_call_of_the_stack_fails_and_no_other() {
        let mark = 0u8;
        let here = &raw const mark as usize;
        let stack = here - 0x4000..here + 0x4000;
        arm(2, stack.clone());
        assert_eq!(inject(32, 4), None);
        // Giving the CPU away does not count.
        assert_eq!(inject(29, 0), None);
        assert_eq!(inject(26, 0), Some(-12));
        assert_eq!(inject(26, 0), None);
        assert_eq!(disarm(), Some(26));
        arm(1, stack.clone());
        assert_eq!(spare(|| inject(26, 0)), None);
        assert_eq!(inject(26, 0), Some(-12));
        arm_for_good(1, stack.clone());
        assert_eq!(inject(26, 0), Some(-12));
        assert_eq!(inject(26, 1), None);
        assert_eq!(inject(32, 0), None);
        assert_eq!(inject(26, 0), Some(-12));
        assert_eq!(disarm(), Some(26));
        assert_eq!(inject(26, 0), None);
        arm(1, 0..1);
        assert_eq!(inject(26, 0), None);
        assert_eq!(disarm(), None);
        arm(1, stack);
        let error = probe(29, "SCHEDOP_shutdown").unwrap_err();
        assert_eq!(std::format!("{error}"), "SCHEDOP_shutdown: ENOMEM (12)");
        assert_eq!(disarm(), Some(29));
        arm_probe();
        assert_eq!(inject(26, 0), None);
        assert!(probe(29, "SCHEDOP_shutdown").is_err());
        assert!(probe(29, "SCHEDOP_shutdown").is_ok());
        assert_eq!(disarm(), Some(29));
        arm_probe();
        assert_eq!(disarm(), None);
        assert!(probe(29, "SCHEDOP_shutdown").is_ok());
    }
}
