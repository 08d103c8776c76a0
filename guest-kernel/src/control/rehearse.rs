//! What a test build can be made to suffer. Suspends in which one hypercall fails, one after the
//! other: the console's `faults`. And memory that is short: the console's `starve N`.
//!
//! A rehearsal goes the whole way, parks, drains, audits and detaches, but leaves out xenstore and
//! the suspend call itself, which counts as cancelled. In rehearsal N the Nth hypercall that vCPU 0
//! makes is refused. It ends with the first that meets no refusal: every hypercall of the way down
//! and back has failed once by then, but for one that the timer's own calls made the count step
//! over; the suspend call is refused by name. What a restore alone needs is tested with a real one.

use xen_bindings::faults;

use crate::arch::cpu;
use crate::control::suspend;
use crate::devices::Links;
use crate::sets::frames;
use crate::vcpus::hotplug::Hotplug;
use crate::vcpus::requests;
use crate::xen::report::{self, Party};
use crate::xen::wants::Wants;

/// More than any way has.
const MOST: usize = 2000;

/// Rehearses until no call is left to fail, once more for the suspend call itself, and says what
/// came of each.
pub fn run(links: &mut Links, wants: &mut Wants, hotplug: &mut Hotplug) {
    let (mut gave_up, mut went_on) = (0, 0);
    let mut rehearse = |nth: usize| {
        let result = suspend::rehearse(links, wants, hotplug);
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
    requests::verify("faults");
    report::event("faults-end")
        .num("faults", gave_up + went_on)
        .num("gave_up", gave_up)
        .num("went_on", went_on)
        .send();
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
