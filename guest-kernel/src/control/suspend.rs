//! A suspend of this guest: who takes part in it, and what is said of it afterwards.
//!
//! [`steps`] has what the kernel itself does: hotplug, parking, the drain, the windows, the audit,
//! shared pages and the call. What is quiet meanwhile, and set up again in a new domain, is a
//! `migration::Participant`, one to a file.

mod balloon;
mod clock;
mod console;
mod devices;
mod error;
mod events;
mod naps;
mod refusals;
#[cfg(feature = "switches")]
pub mod resume_fault;
mod steps;
mod trim;
mod workload;
mod xenstore;

use kernel_glue::asked::is_settled;
use migration::balloon::TooMuch;
use migration::shutdown;
use migration::{Blame, Cause, Limits, Machine, Member, Phase, Resumed, SuspendFailed};

use self::error::Error;
use self::steps::{nanos, Guest};
use crate::devices::Links;
use crate::vcpus::hotplug::Hotplug;
use crate::vcpus::requests;
use crate::xen::store::Store;
use crate::xen::wants::Wants;
use crate::xen::{calls, cpus, report, time};

/// Goes the whole way, with everybody who takes part. In each stage they are suspended in this
/// order and come back in the reverse one:
///
/// - Alone, the clock is first to come back, for the others use it; then events, before anything
///   listens to a port.
/// - With all vCPUs awake, user work comes before the wait for xenstored, and xenstore before what
///   asks something of it.
#[allow(clippy::result_large_err)] // There is no heap to put it on.
fn go(guest: &mut Guest<'_>) -> Result<Resumed<Error>, SuspendFailed<Error>> {
    let (mut balloon, mut trim) = (balloon::Balloon, trim::Trim::new());
    let (mut xenstore, mut console) = (xenstore::Xenstore, console::Console::new());
    let (mut workload, mut naps) = (workload::Workload, naps::Naps);
    let (mut events, mut clock) = (events::Events, clock::Clock);
    let mut devices = devices::Devices;
    let mut members = [
        Member::new(&mut devices),
        Member::new(&mut balloon),
        Member::new(&mut trim),
        Member::new(&mut xenstore),
        Member::new(&mut console),
        Member::new(&mut workload),
        Member::new(&mut naps),
        Member::new(&mut events),
        Member::new(&mut clock),
    ];
    Machine::new(guest, &mut members, Limits::DEFAULT).suspend()
}

/// Suspends. Returns when the guest runs again, in this domain or another.
///
/// Gives false if the request could not be answered: it still stands.
pub fn suspend(links: &mut Links, wants: &mut Wants, hotplug: &mut Hotplug, round: u64) -> bool {
    // To the end: what there is to say of the suspend belongs to it.
    let window = crate::xen::console::window();
    let mut guest = Guest::new(links, wants, hotplug, round);
    let result = go(&mut guest);
    #[cfg(feature = "switches")]
    resume_fault::disarm();
    guest.refusals.report();
    match result {
        Ok(resumed) => {
            if let Err(error) = shutdown::clear_failure(&mut guest.links.store) {
                log::warn!("{}: {error}", shutdown::FAILURE_NODE);
            }
            report_resumed(&guest, &resumed, window.waited());
            if let Some(fault) = resumed.faults.first() {
                report::error(fault.cause.party(), fault.step, fault.cause);
            }
            requests::verify(resumed.outcome.name());
            true
        }
        Err(failed) => {
            report_failed(&mut guest.links.store, round, &failed);
            is_settled(&failed)
        }
    }
}

/// Says that the guest has too much memory to be saved. The request is not acknowledged: whoever
/// asked waits as long as it stands, and the guest may get there yet.
pub fn refuse(store: &mut Store, round: u64, too_much: TooMuch) {
    let failed = SuspendFailed {
        phase: Phase::Acknowledged,
        step: "balloon",
        party: too_much.party(),
        cause: Cause::Step(Error::TooMuch(too_much)),
    };
    report_failed(store, round, &failed);
}

fn report_failed(store: &mut Store, round: u64, failed: &SuspendFailed<Error>) {
    report::event("suspend-failed")
        .num("round", round)
        .text("phase", failed.phase)
        .text("party", failed.party)
        .text("msg", format_args!("{}: {}", failed.step, failed.cause))
        .send();
    if let Err(error) = shutdown::report_failure(store, failed) {
        log::warn!("{}: {error}", shutdown::FAILURE_NODE);
    }
}

fn report_resumed(guest: &Guest<'_>, resumed: &Resumed<Error>, waits: u32) {
    let timeline = &resumed.timeline;
    report::event("resumed")
        .num("round", guest.round)
        .text("how", resumed.outcome.name())
        .num("domid", u64::from(calls::domid()))
        .nums("online", cpus::online().map(|cpu| cpu as u64))
        .num("incarnation", u64::from(calls::incarnation().unwrap_or(0)))
        .num("hypercalls", u64::from(guest.hypercalls()))
        .num("worked_meanwhile", guest.worked_meanwhile())
        .num("console_waits", u64::from(waits))
        .num("wall_us", time::wall_us())
        .object(
            "ns",
            timeline.iter().map(|(phase, at)| (phase.name(), nanos(at))),
        )
        .send();
}

/// Goes the whole way but for xenstore's part and the call itself, which counts as cancelled. Gives
/// what stopped it, if anything did, and otherwise whether something went wrong on the way back.
#[cfg(feature = "switches")]
#[allow(clippy::result_large_err)] // There is no heap to put it on.
pub fn rehearse(
    links: &mut Links,
    wants: &mut Wants,
    hotplug: &mut Hotplug,
) -> Result<bool, SuspendFailed<Error>> {
    let _window = crate::xen::console::window();
    let mut guest = Guest::new(links, wants, hotplug, 0);
    guest.rehearse();
    let result = go(&mut guest);
    result.map(|resumed| {
        if let Some(fault) = resumed.faults.first() {
            report::error(fault.cause.party(), fault.step, fault.cause);
        }
        !guest.refusals.any() && resumed.faults.is_empty()
    })
}
