//! The suspend as a chain of types.
//!
//! ```text
//! Machine --request--> Requested --acknowledge--> Acknowledged --quiesce--> Quiesced --drain--> Drained
//!                                  --audit--> Audited --detach--> Detached --hypercall--> Machine, and an Outcome
//! ```
//!
//! A [`Machine`] that can be borrowed *is* [`Phase::Running`]. Each later state owns the one before
//! it, and dropping a state undoes its step and then drops the one before. So the way back is one
//! piece of code, the reverse of the way down, for all three reasons to take it: a step that
//! failed, a cancelled suspend and a restore. Which of the three it is, the undo steps are told
//! ([`Return`]); until the hypercall has said otherwise it is [`Return::Failed`].
//!
//! No step can be left out: what is not drained has no `detach`, and what is not detached has no
//! `hypercall`.
//!
//! ```compile_fail,E0599
//! # use migration::{Machine, Platform, SuspendFailed};
//! fn undrained<P: Platform>(m: &mut Machine<'_, '_, P>) -> Result<(), SuspendFailed<P::Error>> {
//!     m.request()?.acknowledge()?.quiesce()?.detach()?; // no such method
//!     Ok(())
//! }
//! ```
//!
//! ```compile_fail,E0599
//! # use migration::{Machine, Platform, SuspendFailed};
//! fn unaudited<P: Platform>(m: &mut Machine<'_, '_, P>) -> Result<(), SuspendFailed<P::Error>> {
//!     m.request()?.acknowledge()?.quiesce()?.drain()?.detach()?; // no such method
//!     Ok(())
//! }
//! ```
//!
//! And there is no second suspend inside a suspend:
//!
//! ```compile_fail,E0499
//! # use migration::{Machine, Platform, SuspendFailed};
//! fn twice<P: Platform>(m: &mut Machine<'_, '_, P>) -> Result<(), SuspendFailed<P::Error>> {
//!     let first = m.request()?;
//!     let second = m.request()?; // the machine is borrowed
//!     drop(first.acknowledge()?);
//!     Ok(())
//! }
//! ```
//!
//! ```
//! # use migration::{Machine, Outcome, Platform, SuspendFailed};
//! fn all<P: Platform>(m: &mut Machine<'_, '_, P>) -> Result<Outcome, SuspendFailed<P::Error>> {
//!     m.request()?.acknowledge()?.quiesce()?.drain()?.audit()?.detach()?.hypercall()
//! }
//! ```

use core::time::Duration;

use crate::failure::{Cause, Faults, SuspendFailed};
use crate::limits::{Deadline, Limits};
use crate::outcome::{Outcome, Return};
use crate::participant::{sort, split, ParticipantRef};
use crate::phase::{Phase, Timeline};
use crate::platform::Platform;
use crate::shutdown::Acknowledgement;

/// A suspend that took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed<E> {
    /// Where the guest came back.
    pub outcome: Outcome,
    /// When each phase was entered.
    pub timeline: Timeline,
    /// What went wrong on the way back.
    pub faults: Faults<E>,
}

/// The suspend machine: the guest is running while nobody borrows it.
///
/// It may live as long as the kernel or be made for each suspend: nothing is kept from one to the
/// next.
pub struct Machine<'m, 'p, P: Platform> {
    platform: &'m mut P,
    participants: &'m mut [ParticipantRef<'p, P::Error>],
    awake: usize,
    limits: Limits,
    run: Run<P::Error>,
}

/// What one suspend has done so far.
struct Run<E> {
    how: Return,
    timeline: Timeline,
    faults: Faults<E>,
    /// How many participants are suspended: a prefix of the sorted list.
    suspended: usize,
    /// From the beginning of the acknowledgement to the hypercall.
    overall: Option<Deadline>,
    /// What the clock said when it was last looked at. A look may be dear (Xen may have to emulate
    /// the time-stamp counter), so there is one at the end of each step, and the next step begins
    /// there.
    now: Duration,
}

impl<E> Run<E> {
    fn new(now: Duration) -> Run<E> {
        Run {
            how: Return::Failed,
            timeline: Timeline::starting_at(now),
            faults: Faults::none(),
            suspended: 0,
            overall: None,
            now,
        }
    }
}

impl<'m, 'p, P: Platform> Machine<'m, 'p, P> {
    /// A machine over the guest's platform and participants, which are sorted here by
    /// [stage](crate::Participant::stage) and [order](crate::Participant::order).
    pub fn new(
        platform: &'m mut P,
        participants: &'m mut [ParticipantRef<'p, P::Error>],
        limits: Limits,
    ) -> Machine<'m, 'p, P> {
        sort(participants);
        let awake = split(participants);
        Machine {
            platform,
            participants,
            awake,
            limits,
            run: Run::new(Duration::ZERO),
        }
    }

    /// The whole way: from a seen request to running again.
    pub fn suspend(&mut self) -> Result<Resumed<P::Error>, SuspendFailed<P::Error>>
    where
        P::Error: Clone,
    {
        let outcome = self
            .request()?
            .acknowledge()?
            .quiesce()?
            .drain()?
            .audit()?
            .detach()?
            .hypercall()?;
        Ok(Resumed {
            outcome,
            timeline: self.run.timeline,
            faults: self.run.faults.clone(),
        })
    }

    /// Begins a suspend. Nothing is touched yet.
    pub fn request<'r>(&'r mut self) -> Result<Requested<'r, 'm, 'p, P>, SuspendFailed<P::Error>> {
        let now = self.platform.now();
        self.run = Run::new(now);
        self.enter(Phase::Requested);
        if !self.limits.fit_libxl() {
            let failure = failed(Phase::Requested, "limits", Cause::LimitsTooLong);
            self.finish();
            return Err(failure);
        }
        Ok(Requested { machine: self })
    }

    /// The platform.
    pub fn platform(&mut self) -> &mut P {
        self.platform
    }

    /// When each phase of the last suspend was entered, whether it succeeded or not.
    pub fn timeline(&self) -> &Timeline {
        &self.run.timeline
    }

    /// What went wrong on the way back from the last suspend, whether it succeeded or not.
    pub fn faults(&self) -> &Faults<P::Error> {
        &self.run.faults
    }

    fn look_at_clock(&mut self) -> Duration {
        self.run.now = self.platform.now();
        self.run.now
    }

    /// Enters a phase, at the time of the last look at the clock.
    fn enter(&mut self, phase: Phase) {
        let since = self.run.timeline.enter(phase, self.run.now);
        self.platform.entered(phase, since);
    }

    fn finish(&mut self) {
        let now = self.look_at_clock();
        self.run.timeline.finish(now);
    }

    /// The deadline of a step that begins where the last one ended: its own limit, or the whole
    /// suspend's if that is earlier.
    fn deadline(&self, limit: Duration, name: &'static str) -> Deadline {
        let own = Deadline::after(self.run.now, limit, name);
        match self.run.overall {
            Some(overall) => own.or_earlier(overall),
            None => own,
        }
    }

    /// Ends a step: late is an error.
    fn check(&mut self, deadline: Deadline) -> Result<(), Cause<P::Error>> {
        deadline.check(self.look_at_clock()).map_err(Cause::Late)
    }

    fn fault(&mut self, step: &'static str, result: Result<(), P::Error>) {
        if let Err(error) = result {
            self.run.faults.add(step, Cause::Step(error));
        }
    }

    /// Suspends participants up to (not including) number `end`, in order.
    fn suspend_participants(
        &mut self,
        end: usize,
        deadline: Deadline,
    ) -> Result<(), (&'static str, Cause<P::Error>)> {
        while self.run.suspended < end {
            let one = &mut self.participants[self.run.suspended];
            let name = one.name();
            one.suspend(deadline)
                .map_err(|error| (name, Cause::Step(error)))?;
            self.run.suspended += 1;
            self.check(deadline).map_err(|cause| (name, cause))?;
        }
        Ok(())
    }

    /// Brings participants back, in reverse order, until only the first `keep` are suspended.
    fn return_participants(&mut self, keep: usize) {
        while self.run.suspended > keep {
            self.run.suspended -= 1;
            let one = &mut self.participants[self.run.suspended];
            let name = one.name();
            let result = if self.run.how.is_same_domain() {
                one.undo()
            } else {
                one.restored()
            };
            self.fault(name, result);
        }
    }
}

impl<P: Platform> core::fmt::Debug for Machine<'_, '_, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Machine")
            .field("participants", &self.participants.len())
            .field("awake", &self.awake)
            .field("limits", &self.limits)
            .field("timeline", &self.run.timeline)
            .finish_non_exhaustive()
    }
}

fn failed<E: crate::Blame>(phase: Phase, step: &'static str, cause: Cause<E>) -> SuspendFailed<E> {
    SuspendFailed {
        phase,
        step,
        party: cause.party(),
        cause,
    }
}

/// Evidence that a suspend was asked for and that the machine is busy with it. Undo: none, nothing
/// was done.
#[must_use = "dropping a state undoes the suspend"]
pub struct Requested<'r, 'm, 'p, P: Platform> {
    machine: &'r mut Machine<'m, 'p, P>,
}

impl<'r, 'm, 'p, P: Platform> Requested<'r, 'm, 'p, P> {
    /// Tells the toolstack that the request was seen, then holds CPU hotplug.
    pub fn acknowledge(self) -> Result<Acknowledged<'r, 'm, 'p, P>, SuspendFailed<P::Error>> {
        let m = &mut *self.machine;
        let fail = |step, cause| Err(failed(Phase::Acknowledged, step, cause));

        let deadline = m.deadline(m.limits.acknowledge, "acknowledging");
        // libxl's second window opens when the answer is committed, which may be long before this
        // side hears of it.
        m.run.overall = Some(Deadline::after(
            m.run.now,
            m.limits.until_suspended,
            "the suspend since its acknowledgement began",
        ));
        let answer = m.platform.acknowledge(deadline, m.limits.transaction_tries);
        match answer {
            Ok(Acknowledgement::Given) => {}
            Ok(Acknowledgement::Withdrawn) => return fail("acknowledge", Cause::Withdrawn),
            Err(error) => return fail("acknowledge", Cause::Step(error)),
        }
        if let Err(cause) = m.check(deadline) {
            return fail("acknowledge", cause);
        }
        m.enter(Phase::Acknowledged);

        let deadline = m.deadline(m.limits.quiesce, "quiescing");
        if let Err(error) = m.platform.hold_hotplug(deadline) {
            return Err(failed(Phase::Quiesced, "hold_hotplug", Cause::Step(error)));
        }
        let state = Acknowledged {
            requested: self,
            quiesce: deadline,
        };
        match state.requested.machine.check(deadline) {
            Ok(()) => Ok(state),
            Err(cause) => Err(failed(Phase::Quiesced, "hold_hotplug", cause)),
        }
    }
}

impl<P: Platform> Drop for Requested<'_, '_, '_, P> {
    fn drop(&mut self) {
        let m = &mut *self.machine;
        let result = m.platform.reread(m.run.how);
        m.fault("reread", result);
        m.finish();
    }
}

/// Evidence that the toolstack has its answer and that no vCPU comes or goes. Undo: CPU hotplug
/// goes on.
#[must_use = "dropping a state undoes the suspend"]
pub struct Acknowledged<'r, 'm, 'p, P: Platform> {
    requested: Requested<'r, 'm, 'p, P>,
    quiesce: Deadline,
}

impl<'r, 'm, 'p, P: Platform> Acknowledged<'r, 'm, 'p, P> {
    /// Suspends the participants of [`Stage::Awake`](crate::Stage::Awake), then parks the other
    /// vCPUs.
    pub fn quiesce(self) -> Result<Quiesced<'r, 'm, 'p, P>, SuspendFailed<P::Error>> {
        let deadline = self.quiesce;
        let mut state = Quiesced {
            acknowledged: self,
            parked: false,
        };
        let m = state.machine();
        let awake = m.awake;
        if let Err((step, cause)) = m.suspend_participants(awake, deadline) {
            return Err(failed(Phase::Quiesced, step, cause));
        }
        if let Err(error) = m.platform.park(deadline) {
            return Err(failed(Phase::Quiesced, "park", Cause::Step(error)));
        }
        state.parked = true;
        let m = state.machine();
        if let Err(cause) = m.check(deadline) {
            return Err(failed(Phase::Quiesced, "park", cause));
        }
        m.enter(Phase::Quiesced);
        Ok(state)
    }
}

impl<P: Platform> Drop for Acknowledged<'_, '_, '_, P> {
    fn drop(&mut self) {
        let m = &mut *self.requested.machine;
        m.platform.release_hotplug(m.run.how);
    }
}

/// Evidence that this is the only vCPU that runs, that interrupts are off and that everything that
/// may sleep is suspended. Undo: the vCPUs go on, then the participants come back in reverse order.
#[must_use = "dropping a state undoes the suspend"]
pub struct Quiesced<'r, 'm, 'p, P: Platform> {
    acknowledged: Acknowledged<'r, 'm, 'p, P>,
    parked: bool,
}

impl<'r, 'm, 'p, P: Platform> Quiesced<'r, 'm, 'p, P> {
    fn machine(&mut self) -> &mut Machine<'m, 'p, P> {
        self.acknowledged.requested.machine
    }

    /// Drains every CPU's cache, then takes down the windows of the live sets.
    pub fn drain(mut self) -> Result<Drained<'r, 'm, 'p, P>, SuspendFailed<P::Error>> {
        let m = self.machine();
        let deadline = m.deadline(m.limits.drain, "draining");
        let proof = match m.platform.drain(deadline) {
            Ok(proof) => proof,
            Err(error) => return Err(failed(Phase::Drained, "drain", Cause::Step(error))),
        };
        let mut state = Drained {
            unlinked: false,
            proof,
            quiesced: self,
        };
        let m = state.quiesced.machine();
        if let Err(cause) = m.check(deadline) {
            return Err(failed(Phase::Drained, "drain", cause));
        }
        if let Err(error) = m.platform.unlink_windows(&state.proof) {
            return Err(failed(Phase::Drained, "unlink_windows", Cause::Step(error)));
        }
        state.unlinked = true;
        let m = state.quiesced.machine();
        if let Err(cause) = m.check(deadline) {
            return Err(failed(Phase::Drained, "unlink_windows", cause));
        }
        m.enter(Phase::Drained);
        Ok(state)
    }
}

impl<P: Platform> Drop for Quiesced<'_, '_, '_, P> {
    fn drop(&mut self) {
        let parked = self.parked;
        let m = self.machine();
        if parked {
            let how = m.run.how;
            let deadline = Deadline::after(m.look_at_clock(), m.limits.unpark, "unparking");
            let result = m.platform.unpark(how, deadline);
            m.fault("unpark", result);
            if let Err(cause) = m.check(deadline) {
                m.run.faults.add("unpark", cause);
            }
        }
        m.return_participants(0);
    }
}

/// Evidence that no CPU caches a constructed page: it holds the pool's proof. Undo: the windows are
/// linked again, then the proof is dropped, which opens the pool.
#[must_use = "dropping a state undoes the suspend"]
pub struct Drained<'r, 'm, 'p, P: Platform> {
    unlinked: bool,
    // Fields are dropped in this order: the pool opens before the other vCPUs go on.
    proof: P::Drained,
    quiesced: Quiesced<'r, 'm, 'p, P>,
}

impl<'r, 'm, 'p, P: Platform> Drained<'r, 'm, 'p, P> {
    /// The proof.
    pub fn proof(&self) -> &P::Drained {
        &self.proof
    }

    /// Looks at every page table that Xen will look at.
    pub fn audit(mut self) -> Result<Audited<'r, 'm, 'p, P>, SuspendFailed<P::Error>> {
        let m = self.quiesced.machine();
        let deadline = m.deadline(m.limits.audit, "the audit");
        if let Err(error) = m.platform.audit(&self.proof, deadline) {
            return Err(failed(Phase::Audited, "audit", Cause::Step(error)));
        }
        if let Err(cause) = m.check(deadline) {
            return Err(failed(Phase::Audited, "audit", cause));
        }
        m.enter(Phase::Audited);
        Ok(Audited { drained: self })
    }
}

impl<P: Platform> Drop for Drained<'_, '_, '_, P> {
    fn drop(&mut self) {
        if self.unlinked {
            let m = self.quiesced.machine();
            let how = m.run.how;
            let result = m.platform.relink_windows(&self.proof, how);
            m.fault("relink_windows", result);
        }
    }
}

/// Evidence that every page table was found fit to be saved. Undo: none.
#[must_use = "dropping a state undoes the suspend"]
pub struct Audited<'r, 'm, 'p, P: Platform> {
    drained: Drained<'r, 'm, 'p, P>,
}

impl<'r, 'm, 'p, P: Platform> Audited<'r, 'm, 'p, P> {
    /// Suspends the participants of [`Stage::Alone`](crate::Stage::Alone), then takes down clocks
    /// and shared pages.
    pub fn detach(mut self) -> Result<Detached<'r, 'm, 'p, P>, SuspendFailed<P::Error>> {
        let m = self.drained.quiesced.machine();
        let deadline = m.deadline(m.limits.detach, "detaching");
        let mut state = Detached {
            audited: self,
            detached: false,
        };
        let m = state.audited.drained.quiesced.machine();
        let all = m.participants.len();
        if let Err((step, cause)) = m.suspend_participants(all, deadline) {
            return Err(failed(Phase::Detached, step, cause));
        }
        if let Err(error) = m.platform.detach(&state.audited.drained.proof) {
            return Err(failed(Phase::Detached, "detach", Cause::Step(error)));
        }
        state.detached = true;
        let m = state.audited.drained.quiesced.machine();
        if let Err(cause) = m.check(deadline) {
            return Err(failed(Phase::Detached, "detach", cause));
        }
        m.enter(Phase::Detached);
        Ok(state)
    }
}

/// Evidence that the domain is ready to be saved. Undo: clocks and shared pages come back, then the
/// participants that were suspended alone.
#[must_use = "dropping a state undoes the suspend"]
pub struct Detached<'r, 'm, 'p, P: Platform> {
    audited: Audited<'r, 'm, 'p, P>,
    detached: bool,
}

impl<P: Platform> Detached<'_, '_, '_, P> {
    /// Suspends, and comes all the way back.
    pub fn hypercall(mut self) -> Result<Outcome, SuspendFailed<P::Error>> {
        let drained = &mut self.audited.drained;
        let m = drained.quiesced.machine();
        let now = m.look_at_clock();
        // The domain may have been paused since the last look. From here the clock may be anything
        // until `reattach`.
        if let Some(Err(late)) = m.run.overall.map(|overall| overall.check(now)) {
            return Err(failed(Phase::Suspended, "suspend", Cause::Late(late)));
        }
        m.enter(Phase::Suspended);
        match m.platform.suspend(&drained.proof) {
            Ok(outcome) => {
                m.run.how = outcome.into();
                Ok(outcome)
            }
            Err(error) => Err(failed(Phase::Suspended, "suspend", Cause::Step(error))),
        }
    }
}

impl<P: Platform> Drop for Detached<'_, '_, '_, P> {
    fn drop(&mut self) {
        let detached = self.detached;
        let m = self.audited.drained.quiesced.machine();
        let how = m.run.how;
        if detached {
            let result = m.platform.reattach(how);
            m.fault("reattach", result);
            m.look_at_clock();
            match how {
                Return::Failed => {}
                Return::Cancelled => m.enter(Phase::Cancelled),
                Return::Restored => m.enter(Phase::Restored),
            }
        }
        let awake = m.awake;
        m.return_participants(awake);
    }
}
