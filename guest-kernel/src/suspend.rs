//! What this guest does in each step of a suspend: the `migration` crate's [`Platform`].
//!
//! The order of the steps, the way back and the limits are that crate's. Here is only what the
//! steps mean for a PVH or PV guest with 1 to 32 vCPUs, a console and a xenstore connection.

use core::fmt;
use core::time::Duration;

use migration::balloon::TooMuch;
use migration::hotplug::{Hold, Lockout};
use migration::shutdown::{self, Acknowledgement};
use migration::xenstore::StoreError;
use migration::{
    Blame, Cause, Clock, Deadline, Limits, Machine, Outcome, Party, Phase, Platform, Resumed,
    Return, SuspendFailed,
};
use xen_bindings::count;

use crate::arch::changes::TableError;
use crate::arch::cpu::CpuGuard;
use crate::arch::pv::m2p::{NoTable, TooMuchMemory};
use crate::arch::pv::start_info::NotOurs;
use crate::arch::xen::CannotStepAway;
use crate::insist::insist;
use crate::paging::windows;
use crate::smp::{self, Parked, Stuck};
use crate::store::Store;
use crate::trim::Trimming;
use crate::wants::Wants;
use crate::workload::churn;
use crate::{arch, audit, cmdline, console, events, pool, report, time, trim, wants, xen};

/// Keeps hotplug and suspend apart.
pub static HOTPLUG: Lockout = Lockout::new();

/// What can stop a step.
#[derive(Clone, Copy, Debug)]
pub enum Error {
    /// xenstored did not do what was asked.
    Store(StoreError),
    /// A vCPU did not answer.
    Stuck(Stuck),
    /// The pool could not be drained.
    Drain(pool::DrainFailed),
    /// The proof of the drain is not accepted.
    Proof(pool::BadProof),
    /// The page tables hold something that must not be saved.
    Audit(audit::Finding),
    /// Xen refused a call.
    Xen(xen_bindings::HypercallError),
    /// Xen refused a change to a page table.
    Tables(TableError),
    /// The domain is too large to be described for a save.
    TooMuchMemory(TooMuchMemory),
    /// The guest has more memory than an image of it may have.
    TooMuch(TooMuch),
    /// A hotplug operation did not end in time.
    HotplugBusy,
    /// A frame that the toolstack named is not the domain's.
    NotOurs(NotOurs),
    /// Machine frames cannot be looked up in the new domain.
    NoTable(NoTable),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Store(e) => e.fmt(f),
            Error::Stuck(e) => e.fmt(f),
            Error::Drain(e) => e.fmt(f),
            Error::Proof(e) => e.fmt(f),
            Error::Audit(e) => e.fmt(f),
            Error::Xen(e) => e.fmt(f),
            Error::Tables(e) => e.fmt(f),
            Error::TooMuchMemory(e) => e.fmt(f),
            Error::TooMuch(e) => e.fmt(f),
            Error::NotOurs(e) => e.fmt(f),
            Error::NoTable(e) => e.fmt(f),
            Error::HotplugBusy => f.write_str("a hotplug operation did not end in time"),
        }
    }
}

impl Blame for Error {
    fn party(&self) -> Party {
        match self {
            Error::Store(_) | Error::NotOurs(_) => Party::Toolstack,
            Error::TooMuch(e) => e.party(),
            Error::Xen(_) | Error::NoTable(_) | Error::Tables(_) => Party::Xen,
            Error::Stuck(_)
            | Error::Drain(_)
            | Error::Proof(_)
            | Error::Audit(_)
            | Error::TooMuchMemory(_)
            | Error::HotplugBusy => Party::Guest,
        }
    }
}

impl From<xen_bindings::HypercallError> for Error {
    fn from(error: xen_bindings::HypercallError) -> Self {
        Error::Xen(error)
    }
}

impl From<CannotStepAway> for Error {
    fn from(error: CannotStepAway) -> Self {
        match error {
            CannotStepAway::Frame(frame) => Error::NotOurs(frame),
            CannotStepAway::Xen(error) => Error::Xen(error),
        }
    }
}

impl From<NoTable> for Error {
    fn from(error: NoTable) -> Self {
        Error::NoTable(error)
    }
}

impl From<TableError> for Error {
    fn from(error: TableError) -> Self {
        Error::Tables(error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Error::Store(error)
    }
}

/// Nanoseconds of a duration on the guest's clock. 2^64 ns are 584 years.
fn nanos(at: Duration) -> u64 {
    at.as_nanos() as u64
}

struct Guest<'s> {
    store: &'s mut Store,
    wants: &'s mut Wants,
    round: u64,
    hold: Option<Hold<'static>>,
    parked: Option<Parked>,
    /// The vCPUs empty their caches, or have, and begin nothing new.
    trimming: Option<Trimming>,
    /// Hypercalls made before the request was taken up, and up to the suspend call: differences
    /// count.
    hypercalls: (u32, u32),
    /// From the acknowledgement until everything is ready for the suspend call: the console need
    /// not be read meanwhile.
    silence: Option<console::Silence>,
    /// From the request to the end of the way back: nobody waits for the console's reader.
    window: Option<console::Window>,
    /// Interrupts are off from `detach` to the end of `reattach`.
    alone: Option<CpuGuard>,
    /// PV: what is to be put back if the domain stays the same.
    away: Option<arch::xen::Away>,
    /// What Xen refused on the way back and then granted: told once the console works again.
    refused: Option<Error>,
    /// The first thing that Xen refused for good, and that is tried again later.
    collected: Option<Error>,
    #[cfg(feature = "switches")]
    planted: Option<crate::plant::Planted>,
    /// Everything but xenstore's part and the call itself.
    #[cfg(feature = "switches")]
    rehearsal: bool,
    /// How often the domain was restored, before the suspend call; none if Xen does not say.
    incarnation: Option<u32>,
}

impl<'s> Guest<'s> {
    fn new(store: &'s mut Store, wants: &'s mut Wants, round: u64) -> Self {
        Guest {
            store,
            wants,
            round,
            hold: None,
            parked: None,
            trimming: None,
            hypercalls: (count::made(), count::made()),
            silence: None,
            window: None,
            alone: None,
            away: None,
            refused: None,
            collected: None,
            #[cfg(feature = "switches")]
            planted: None,
            #[cfg(feature = "switches")]
            rehearsal: false,
            incarnation: None,
        }
    }

    /// Makes a call that the way back depends on, again if Xen refuses it: there is no other way to
    /// go.
    fn insist<T, E: Into<Error>>(
        &mut self,
        call: impl FnMut() -> Result<T, E>,
    ) -> Result<T, Error> {
        insist(call, |error| self.refused = Some(error.into())).map_err(Into::into)
    }

    /// Makes a call without which the domain cannot live on. If Xen refuses it for good, the domain
    /// ends as crashed, so that the toolstack sees it: a guest without a clock or without events
    /// would neither run nor end.
    fn vital<T, E: Into<Error>>(
        &mut self,
        what: &'static str,
        call: impl FnMut() -> Result<T, E>,
    ) -> T {
        match self.insist(call) {
            Ok(value) => value,
            Err(error) => {
                // For the last words. Xen's own console has them in any case.
                let _ = console::connect();
                panic!("the way back from the suspend call ends here: {what}: {error}")
            }
        }
    }

    /// Makes a call that can be made again later: what it is for stands. Gives whether it was made.
    fn collect<E: Into<Error>>(&mut self, call: impl FnMut() -> Result<(), E>) -> bool {
        match self.insist(call) {
            Ok(()) => true,
            Err(error) => {
                self.collected.get_or_insert(error);
                false
            }
        }
    }

    /// Says what was refused and granted at last.
    fn report_refused(&mut self) {
        if let Some(error) = self.refused.take() {
            report::error(
                error.party(),
                "resume",
                format_args!("granted only when asked again: {error}"),
            );
        }
    }

    #[cfg(feature = "switches")]
    fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }
    #[cfg(not(feature = "switches"))]
    fn is_rehearsal(&self) -> bool {
        false
    }
}

impl Guest<'_> {
    /// Sets up in a new domain what Xen does not carry over.
    fn reattach_restored(&mut self) {
        let switches = cmdline::options().switches;
        // The new host has other frames, and may have more of them.
        self.vital("Xen's machine-to-physical table", arch::xen::learn_host);
        // The order of facts, B.2 of Xen's rules: the word size is latched before the shared-info
        // page is looked at; without that page there are no events and no clock; all this before
        // any cross-call.
        if !switches.no_latch() && !arch::is_pv() {
            self.vital("the word size", xen::latch_word_size);
        }
        if !switches.no_shared_info() {
            self.vital("the shared-info page", arch::xen::map_shared_info);
        }
        time::thaw();
        if !switches.no_evtchn() {
            // The new domain's event channels are all closed; only our names for them are left.
            events::forget();
            for cpu in smp::online() {
                self.vital("event channels", || events::bind_cpu(cpu));
            }
            console::lost();
            self.collect(console::connect);
            let attached = insist(
                || self.store.attach(),
                |error| self.refused = Some(error.into()),
            );
            if let Err(error) = attached {
                self.collected.get_or_insert(error.into());
            }
        }
        if !switches.no_vector() {
            for cpu in smp::online() {
                self.vital("the upcall vector", || xen::set_upcall_vector(cpu));
            }
        }
    }
}

impl Clock for Guest<'_> {
    fn now(&self) -> Duration {
        Duration::from_nanos(time::now())
    }
}

impl Platform for Guest<'_> {
    type Error = Error;
    type Drained = pool::Proof;

    fn entered(&mut self, phase: Phase, since_request: Duration) {
        if phase.has_event() {
            // The machine has just looked at the clock.
            report::event_at("suspend", time::latest())
                .num("round", self.round)
                .text("phase", phase)
                .num("ns", nanos(since_request))
                .send();
        }
        if phase == Phase::Detached {
            // What is in the ring is read while the domain is saved (decision 0013).
            self.silence = None;
        }
    }

    fn acknowledge(&mut self, _: Deadline, tries: u32) -> Result<Acknowledgement, Error> {
        self.window = Some(console::window());
        // Before the request is answered: xenstored takes its time, and the other vCPUs have
        // theirs.
        self.trimming = Trimming::begin();
        if self.is_rehearsal() {
            return Ok(Acknowledgement::Given);
        }
        let answer = shutdown::acknowledge(self.store, tries)?;
        if answer == Acknowledgement::Given {
            self.silence = Some(console::silence());
            report::event_at("control", time::latest())
                .text("request", "suspend")
                .text("answer", "acknowledged")
                .send();
        }
        Ok(answer)
    }

    fn hold_hotplug(&mut self, deadline: Deadline) -> Result<(), Error> {
        smp::wait_until(nanos(deadline.at()), || {
            self.hold = HOTPLUG.hold().ok();
            self.hold.is_some()
        });
        if self.hold.is_some() {
            Ok(())
        } else {
            Err(Error::HotplugBusy)
        }
    }

    fn release_hotplug(&mut self, _: Return) {
        if let Some(hold) = self.hold.take() {
            // Whether a request was turned away meanwhile does not matter: `reread` looks in any
            // case.
            let _ = hold.release();
        }
    }

    fn park(&mut self, deadline: Deadline) -> Result<(), Error> {
        // vCPU 0's own part: it is not in its loop.
        trim::answer(0);
        if cmdline::options().switches.no_park() {
            return Ok(());
        }
        self.parked = Some(smp::park_others(nanos(deadline.at())).map_err(Error::Stuck)?);
        if let Some(trimming) = &self.trimming {
            trimming.report(self.round);
        }
        Ok(())
    }

    fn unpark(&mut self, _: Return, deadline: Deadline) -> Result<(), Error> {
        self.trimming = None;
        match self.parked.take() {
            Some(parked) => smp::unpark(parked, nanos(deadline.at())).map_err(Error::Stuck),
            None => Ok(()),
        }
    }

    fn drain(&mut self, deadline: Deadline) -> Result<pool::Proof, Error> {
        let proof = pool::drain(nanos(deadline.at())).map_err(Error::Drain)?;
        pool::report_drain(&proof, self.round, "suspend");
        Ok(proof)
    }

    fn unlink_windows(&mut self, _: &pool::Proof) -> Result<(), Error> {
        windows::take_down().map(drop).map_err(Error::Tables)?;
        #[cfg(feature = "switches")]
        {
            self.planted = crate::plant::plant();
        }
        Ok(())
    }

    fn relink_windows(&mut self, _: &pool::Proof, _: Return) -> Result<(), Error> {
        #[cfg(feature = "switches")]
        if let Some(planted) = self.planted.take() {
            planted.take_out();
        }
        self.insist(windows::put_up).map(drop)
    }

    fn audit(&mut self, _: &pool::Proof, deadline: Deadline) -> Result<(), Error> {
        audit::run(deadline).map_err(Error::Audit)
    }

    fn detach(&mut self, _: &pool::Proof) -> Result<(), Error> {
        arch::xen::check_size().map_err(Error::TooMuchMemory)?;
        // Before the clock stops, by which they sleep.
        smp::wake_parked(time::latest() + WAKE_LIMIT).map_err(Error::Stuck)?;
        self.incarnation = xen::incarnation();
        self.alone = Some(CpuGuard::new());
        Ok(())
    }

    fn suspend(&mut self, proof: &pool::Proof) -> Result<Outcome, Error> {
        pool::check(proof).map_err(Error::Proof)?;
        time::freeze();
        self.away = arch::xen::step_away()?;
        #[cfg(feature = "switches")]
        if self.rehearsal {
            let nr = xen_bindings::ffi::__HYPERVISOR_sched_op;
            xen_bindings::faults::probe(nr, "SCHEDOP_shutdown(suspend)").map_err(Error::Xen)?;
            return Ok(Outcome::Cancelled);
        }
        #[cfg(feature = "switches")]
        crate::rehearse::arm_resume();
        self.hypercalls.1 = count::made();
        let outcome = xen::suspend(proof).map_err(Error::Xen)?;
        // The tools always tell a PV guest that its suspend was cancelled. And one in the shim is
        // restored without its own incarnation going up: that number is the shim's, which was
        // restored around it.
        if arch::is_pv() || cmdline::options().switches.no_cancel_trick() {
            return Ok(outcome);
        }
        Ok(outcome.checked(self.incarnation, xen::incarnation()))
    }

    /// Whatever is refused here for good is either vital, and then the domain ends, or it is tried
    /// again later: the clock runs and the guest goes on when this returns.
    fn reattach(&mut self, how: Return) -> Result<(), Error> {
        let _alone = self.alone.take();
        if let Some(away) = self.away.take() {
            if how != Return::Restored {
                away.write_back();
                self.vital("the shared-info page", arch::xen::map_shared_info);
            }
        }
        if how == Return::Restored {
            self.reattach_restored();
        } else {
            time::thaw();
        }
        events::rearm_after_suspend(0);
        churn::await_first_work();
        self.collected.take().map_or(Ok(()), Err)
    }

    fn reread(&mut self, how: Return) -> Result<(), Error> {
        // The other vCPUs do user work by now. So does this one, before it waits for xenstored.
        if cmdline::options().churn && !trim::is_under_way() {
            #[cfg(feature = "switches")]
            xen_bindings::faults::spare(|| churn::step(0));
            #[cfg(not(feature = "switches"))]
            churn::step(0);
        }
        let switches = cmdline::options().switches;
        if how == Return::Restored {
            self.wants.anew();
            if !switches.no_watches() {
                self.wants.watches_anew();
            }
            // What fails stands, and was told.
            self.wants.pursue(self.store);
        }
        if !switches.no_reread() {
            wants::look_again();
        }
        Ok(())
    }
}

/// Longest wait for the parked vCPUs to end their naps, nanoseconds. Below the limit of `detach`,
/// which says so if it is late.
const WAKE_LIMIT: u64 = 4_000_000_000;

/// Suspends. Returns when the guest runs again, in this domain or another. `after` is told how,
/// before `verify`.
///
/// Gives false if the request could not be answered: it still stands.
pub fn suspend(
    store: &mut Store,
    wants: &mut Wants,
    round: u64,
    after: impl FnOnce(Outcome),
) -> bool {
    let mut guest = Guest::new(store, wants, round);
    let limits = Limits::DEFAULT;
    let result = Machine::new(&mut guest, &mut [], limits).suspend();
    #[cfg(feature = "switches")]
    crate::rehearse::disarm_resume();
    guest.silence = None;
    // What there is to say of the suspend belongs to it.
    let window = guest.window.take();
    let waits = window.as_ref().map_or(0, console::Window::waited);
    guest.report_refused();
    match result {
        Ok(resumed) => {
            after(resumed.outcome);
            if let Err(error) = shutdown::clear_failure(guest.store) {
                log::warn!("{}: {error}", shutdown::FAILURE_NODE);
            }
            let (before, after) = guest.hypercalls;
            report_resumed(round, &resumed, after.wrapping_sub(before), waits);
            if let Some(fault) = resumed.faults.first() {
                report::error(fault.cause.party(), fault.step, fault.cause);
            }
            smp::verify(resumed.outcome.name());
            true
        }
        Err(failed) => {
            report_failed(guest.store, round, &failed);
            !matches!(
                (failed.phase, failed.cause),
                (Phase::Acknowledged, Cause::Step(Error::Store(_)))
            )
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

fn report_resumed(round: u64, resumed: &Resumed<Error>, hypercalls: u32, waits: u32) {
    let timeline = &resumed.timeline;
    report::event("resumed")
        .num("round", round)
        .text("how", resumed.outcome.name())
        .num("domid", u64::from(xen::domid()))
        .nums("online", smp::online().map(|cpu| cpu as u64))
        .num("incarnation", u64::from(xen::incarnation().unwrap_or(0)))
        .num("hypercalls", u64::from(hypercalls))
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
pub fn rehearse(store: &mut Store, wants: &mut Wants) -> Result<bool, SuspendFailed<Error>> {
    let mut guest = Guest::new(store, wants, 0);
    guest.rehearsal = true;
    let result = Machine::new(&mut guest, &mut [], Limits::DEFAULT).suspend();
    let refused = guest.refused.take();
    result.map(|resumed| {
        if let Some(fault) = resumed.faults.first() {
            report::error(fault.cause.party(), fault.step, fault.cause);
        }
        refused.is_none() && resumed.faults.is_empty()
    })
}
