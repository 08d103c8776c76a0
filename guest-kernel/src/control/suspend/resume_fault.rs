//! Test builds: a hypercall that is refused on the way back from the suspend call, asked for by
//! `fault=resume:N` or the console's `fault-resume N`.

use core::sync::atomic::{AtomicUsize, Ordering};

use xen_bindings::faults;

use crate::arch::cpu;
use crate::cmdline;
use crate::switches::ResumeFault;
use crate::xen::report;

/// More than any way has.
const MOST: usize = 2000;

/// What the console asked for: the hypercall that fails on the next way back, counted from 1; 0:
/// none.
static NEXT_RESUME: AtomicUsize = AtomicUsize::new(0);
/// The one that is armed.
static ARMED: AtomicUsize = AtomicUsize::new(0);

/// Has the hypercall of this number fail on the next way back from the suspend call.
pub fn fail_next(nth: &str) {
    match nth.parse() {
        Ok(nth @ 1..=MOST) => {
            NEXT_RESUME.store(nth, Ordering::Relaxed);
            report::event("resume-fault")
                .num("nth", nth as u64)
                .text("is", "armed")
                .send();
        }
        _ => log::info!("`fault-resume {nth}`: a number from 1 to {MOST} is needed"),
    }
}

/// Has a hypercall fail on the way back from the suspend call, if that is asked for; the call
/// itself is the first that follows.
pub fn arm() {
    let asked = NEXT_RESUME.swap(0, Ordering::Relaxed);
    let fault = if asked > 0 {
        ResumeFault {
            nth: asked,
            for_good: false,
        }
    } else if let Some(fault) = cmdline::options().switches.resume_fault() {
        fault
    } else {
        return ARMED.store(0, Ordering::Relaxed);
    };
    ARMED.store(fault.nth, Ordering::Relaxed);
    let arm = if fault.for_good {
        faults::arm_for_good
    } else {
        faults::arm
    };
    arm(fault.nth + 1, cpu::my_stack());
}

/// The way back is over: says which call was refused, or that there were not so many.
pub fn disarm() {
    let refused = faults::disarm();
    let nth = ARMED.swap(0, Ordering::Relaxed);
    if nth > 0 {
        let event = report::event("resume-fault").num("nth", nth as u64);
        match refused {
            Some(nr) => event
                .text("is", "met")
                .num("hypercall", u64::from(nr))
                .send(),
            None => event.text("is", "not met").send(),
        }
    }
}
