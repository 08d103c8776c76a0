//! What a test build can be made to suffer. Suspends in which one hypercall fails, one after the
//! other: the console's `faults`, `fault-resume N` and the option `fault=resume:N`. And memory that
//! is short: the console's `starve N`.
//!
//! A rehearsal goes the whole way, parks, drains, audits and detaches, but leaves out xenstore and
//! the suspend call itself, which counts as cancelled. In rehearsal N the Nth hypercall that vCPU 0
//! makes is refused. It ends with the first that meets no refusal: every hypercall of the way down
//! and back has failed once by then, but for one that the timer's own calls made the count step
//! over; the suspend call is refused by name. What a restore alone needs is tested with a real one.

use core::sync::atomic::{AtomicUsize, Ordering};

use xen_bindings::faults;

use crate::arch::cpu;
use crate::cmdline;
use crate::memory::frames;
use crate::report::{self, Party};
use crate::store::Store;
use crate::switches::ResumeFault;
use crate::wants::Wants;
use crate::{smp, suspend};

/// More than any way has.
const MOST: usize = 2000;

/// Rehearses until no call is left to fail, once more for the suspend call itself, and says what
/// came of each.
pub fn run(store: &mut Store, wants: &mut Wants) {
    let (mut gave_up, mut went_on) = (0, 0);
    let mut rehearse = |nth: usize| {
        let result = suspend::rehearse(store, wants);
        let met = faults::disarm();
        match (met, result) {
            (None, Err(failed)) => report::error(
                Party::Guest,
                "faults",
                format_args!(
                    "a rehearsal without a fault failed: {}: {}",
                    failed.step, failed.cause
                ),
            ),
            (None, Ok(_)) => {}
            (Some(_), Ok(_)) => went_on += 1,
            (Some(nr), Err(failed)) => {
                gave_up += 1;
                report::event("fault")
                    .num("nth", nth as u64)
                    .num("hypercall", u64::from(nr))
                    .text("phase", failed.phase)
                    .text("party", failed.party)
                    .text("msg", format_args!("{}: {}", failed.step, failed.cause))
                    .send();
            }
        }
        met.is_some()
    };
    let counted = (1..=MOST).find(|&nth| {
        faults::arm(nth, cpu::my_stack());
        !rehearse(nth)
    });
    let Some(nth) = counted else {
        return report::error(
            Party::Guest,
            "faults",
            format_args!("more than {MOST} hypercalls"),
        );
    };
    // The timer's calls are counted as well, when they come: the count may have stepped over this
    // one.
    faults::arm_probe();
    rehearse(nth);
    smp::verify("faults");
    report::event("faults-end")
        .num("faults", gave_up + went_on)
        .num("gave_up", gave_up)
        .num("went_on", went_on)
        .send();
}

/// What the console asked for: the hypercall that fails on the next way back, counted from 1; 0:
/// none.
static NEXT_RESUME: AtomicUsize = AtomicUsize::new(0);
/// The one that is armed.
static ARMED: AtomicUsize = AtomicUsize::new(0);

/// Has the hypercall of this number fail on the next way back from the suspend call.
pub fn fail_next_resume(nth: &str) {
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
pub fn arm_resume() {
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
pub fn disarm_resume() {
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

/// Lets so many of the free frames be taken and no more; `off` ends that.
pub fn starve(left: &str) {
    let left = match (left, left.parse()) {
        ("off", _) => usize::MAX,
        (_, Ok(left)) => left,
        _ => return log::info!("`starve {left}`: a number or off is needed"),
    };
    let withheld = frames::starve(left);
    let (free, total) = frames::counts();
    report::event("starve")
        .num("withheld", withheld as u64)
        .num("left", (free - withheld) as u64)
        .num("frames", total as u64)
        .send();
}
