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
//! No step can be left out: a state that is not drained has no method `detach`, and one that is not
//! detached has no `hypercall`.
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
use crate::participant::{sort, Coming, Member, Stage};
use crate::phase::{Phase, Timeline};
use crate::platform::Platform;
use crate::shutdown::{self, Acknowledgement};

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
    members: &'m mut [Member<'p, P>],
    limits: Limits,
    run: Run<P::Error>,
}

/// What one suspend has done so far.
struct Run<E> {
    how: Return,
    timeline: Timeline,
    faults: Faults<E>,
    /// For each stage, how many members of the sorted list have had their turn.
    suspended: [usize; Stage::COUNT],
    /// From the beginning of the acknowledgement to the hypercall.
    overall: Option<Deadline>,
    /// The last reading of the clock. Reading it can trap into Xen (an emulated time-stamp counter),
    /// so it is read once at the end of each step, where the next step begins.
    now: Duration,
}

impl<E> Run<E> {
    fn new(now: Duration) -> Run<E> {
        Run {
            how: Return::Failed,
            timeline: Timeline::starting_at(now),
            faults: Faults::none(),
            suspended: [0; Stage::COUNT],
            overall: None,
            now,
        }
    }
}

/// A step on the way down: the phase that it leads to, and its name.
type Step = (Phase, &'static str);

impl<'m, 'p, P: Platform> Machine<'m, 'p, P> {
    /// A machine over the guest's platform and participants, which are sorted here by
    /// [order](crate::Role::order).
    pub fn new(
        platform: &'m mut P,
        members: &'m mut [Member<'p, P>],
        limits: Limits,
    ) -> Machine<'m, 'p, P> {
        sort(members);
        Machine {
            platform,
            members,
            limits,
            run: Run::new(Duration::ZERO),
        }
    }

    /// A whole suspend, from the request to running again.
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
            let failure = failed((Phase::Requested, "limits"), Cause::LimitsTooLong);
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

    /// Takes a step of the platform's.
    fn take<T>(
        &mut self,
        step: Step,
        call: impl FnOnce(&mut P) -> Result<T, P::Error>,
    ) -> Result<T, SuspendFailed<P::Error>> {
        call(self.platform).map_err(|error| failed(step, Cause::Step(error)))
    }

    /// Ends a step: late is an error.
    fn in_time(&mut self, step: Step, deadline: Deadline) -> Result<(), SuspendFailed<P::Error>> {
        let now = self.look_at_clock();
        deadline
            .check(now)
            .map_err(|late| failed(step, Cause::Late(late)))
    }

    /// Answers the request, if there is anybody to answer.
    fn answer(&mut self, step: Step) -> Result<(), SuspendFailed<P::Error>> {
        let tries = self.limits.transaction_tries;
        let Some(store) = self.platform.xenstore() else {
            return Ok(());
        };
        match shutdown::acknowledge(store, tries) {
            Ok(Acknowledgement::Given) => Ok(()),
            Ok(Acknowledgement::Withdrawn) => Err(failed(step, Cause::Withdrawn)),
            Err(error) => Err(failed(step, Cause::Store(error))),
        }
    }

    /// Member `i` and the platform, which it is given, if it takes part in the stage.
    fn member_of(&mut self, stage: Stage, i: usize) -> Option<(&mut Member<'p, P>, &mut P)> {
        let member = &mut self.members[i];
        member.takes_part(stage).then_some((member, self.platform))
    }

    /// Suspends the participants of a stage, in order.
    fn suspend_stage(
        &mut self,
        stage: Stage,
        phase: Phase,
        deadline: Deadline,
    ) -> Result<(), SuspendFailed<P::Error>> {
        for i in 0..self.members.len() {
            let Some((member, platform)) = self.member_of(stage, i) else {
                continue;
            };
            let role = member.role;
            let step = (phase, role.name);
            let result = member.participant.suspend(stage, platform, deadline);
            result.map_err(|error| failed(step, Cause::Step(error)))?;
            self.run.suspended[stage as usize] = i + 1;
            if role.waits && stage != Stage::Alone {
                self.in_time(step, deadline)?;
            }
        }
        Ok(())
    }

    /// Brings the participants of a stage back, in reverse order.
    fn return_stage(&mut self, stage: Stage) {
        let how = self.run.how;
        for i in (0..core::mem::take(&mut self.run.suspended[stage as usize])).rev() {
            let Some((member, platform)) = self.member_of(stage, i) else {
                continue;
            };
            let result = match how {
                Return::Failed => member.participant.undo(stage, platform),
                Return::Cancelled => member.participant.cancelled(stage, platform),
                Return::Restored => member.participant.restored(stage, platform),
            };
            if result.is_ok() && stage == Stage::Awake {
                member.coming = Coming::Unasked;
            }
            let role = member.role;
            self.came_back(role.name, role.vital, result);
        }
    }

    /// Waits for those that were brought back and are not there yet, all at the same time, each for
    /// as long as its own limit.
    fn await_members(&mut self) {
        loop {
            let mut waiting = false;
            for i in 0..self.members.len() {
                let Machine {
                    platform, members, ..
                } = self;
                let member = &mut members[i];
                if member.coming == Coming::Not {
                    continue;
                }
                let role = member.role;
                let result = match member.participant.is_back(platform) {
                    Ok(false) => {
                        waiting = true;
                        continue;
                    }
                    Ok(true) => Ok(()),
                    Err(error) => Err(error),
                };
                member.coming = Coming::Not;
                self.came_back(role.name, role.vital, result);
            }
            if !waiting {
                return;
            }
            self.give_up_late_members();
            self.platform.relax();
        }
    }

    /// Records those whose time is over as late; they are waited for no longer.
    fn give_up_late_members(&mut self) {
        let now = self.look_at_clock();
        for member in self.members.iter_mut() {
            let role = member.role;
            match member.coming {
                Coming::Not => {}
                Coming::Unasked => {
                    let limit = Deadline::after(now, role.back_within, role.name);
                    member.coming = Coming::Until(limit);
                }
                Coming::Until(limit) => {
                    if let Err(late) = limit.check(now) {
                        member.coming = Coming::Not;
                        self.run.faults.add(role.name, Cause::Late(late));
                    }
                }
            }
        }
    }

    /// A step of the way back has ended: there is nothing to unwind to, so an error is recorded,
    /// and the kernel is told if the domain cannot live on.
    fn came_back(&mut self, step: &'static str, vital: bool, result: Result<(), P::Error>) {
        if let Err(error) = result {
            if vital {
                self.platform.lost(step, &error);
            }
            self.run.faults.add(step, Cause::Step(error));
        }
    }
}

impl<P: Platform> core::fmt::Debug for Machine<'_, '_, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Machine")
            .field("members", &self.members)
            .field("limits", &self.limits)
            .field("timeline", &self.run.timeline)
            .finish_non_exhaustive()
    }
}

fn failed<E: crate::Blame>((phase, step): Step, cause: Cause<E>) -> SuspendFailed<E> {
    SuspendFailed {
        phase,
        step,
        party: cause.party(),
        cause,
    }
}

/// Evidence that a suspend was asked for and that the machine is busy with it. Undo: the
/// participants of [`Stage::Requested`] come back, then the toolstack's nodes are read again.
#[must_use = "dropping a state undoes the suspend"]
pub struct Requested<'r, 'm, 'p, P: Platform> {
    machine: &'r mut Machine<'m, 'p, P>,
}

impl<'r, 'm, 'p, P: Platform> Requested<'r, 'm, 'p, P> {
    /// Suspends the participants of [`Stage::Requested`], tells the toolstack that the request was
    /// seen, then holds CPU hotplug.
    pub fn acknowledge(self) -> Result<Acknowledged<'r, 'm, 'p, P>, SuspendFailed<P::Error>> {
        let m = &mut *self.machine;
        let step = (Phase::Acknowledged, "acknowledge");
        let deadline = m.deadline(m.limits.acknowledge, "acknowledging");
        m.suspend_stage(Stage::Requested, Phase::Acknowledged, deadline)?;
        // libxl's second window opens when the answer is committed, which may be long before the
        // guest gets xenstored's reply.
        m.run.overall = Some(Deadline::after(
            m.run.now,
            m.limits.until_suspended,
            "the suspend since its acknowledgement began",
        ));
        m.answer(step)?;
        m.in_time(step, deadline)?;
        m.enter(Phase::Acknowledged);

        let step = (Phase::Quiesced, "hold_hotplug");
        let deadline = m.deadline(m.limits.quiesce, "quiescing");
        m.take(step, |platform| platform.hold_hotplug(deadline))?;
        let state = Acknowledged {
            requested: self,
            quiesce: deadline,
        };
        state.requested.machine.in_time(step, deadline)?;
        Ok(state)
    }
}

impl<P: Platform> Drop for Requested<'_, '_, '_, P> {
    fn drop(&mut self) {
        let m = &mut *self.machine;
        m.return_stage(Stage::Requested);
        let result = m.platform.reread(m.run.how);
        m.came_back("reread", false, result);
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
    /// Suspends the participants of [`Stage::Awake`], then parks the other vCPUs.
    pub fn quiesce(self) -> Result<Quiesced<'r, 'm, 'p, P>, SuspendFailed<P::Error>> {
        let step = (Phase::Quiesced, "park");
        let deadline = self.quiesce;
        let mut state = Quiesced {
            acknowledged: self,
            parked: false,
        };
        let m = state.machine();
        m.suspend_stage(Stage::Awake, Phase::Quiesced, deadline)?;
        m.take(step, |platform| platform.park(deadline))?;
        state.parked = true;
        let m = state.machine();
        m.in_time(step, deadline)?;
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
/// may sleep is suspended. Undo: the vCPUs go on, then the participants come back in reverse order,
/// and those that need a while are waited for.
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
        let step = (Phase::Drained, "drain");
        let m = self.machine();
        let deadline = m.deadline(m.limits.drain, "draining");
        let proof = m.take(step, |platform| platform.drain(deadline))?;
        let mut state = Drained {
            unlinked: false,
            proof,
            quiesced: self,
        };
        let m = state.quiesced.machine();
        m.in_time(step, deadline)?;
        let step = (Phase::Drained, "unlink_windows");
        m.take(step, |platform| platform.unlink_windows(&state.proof))?;
        state.unlinked = true;
        let m = state.quiesced.machine();
        m.in_time(step, deadline)?;
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
            m.came_back("unpark", false, result);
            let now = m.look_at_clock();
            if let Err(late) = deadline.check(now) {
                m.run.faults.add("unpark", Cause::Late(late));
            }
        }
        m.return_stage(Stage::Awake);
        m.await_members();
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
        let step = (Phase::Audited, "audit");
        let m = self.quiesced.machine();
        let deadline = m.deadline(m.limits.audit, "the audit");
        m.take(step, |platform| platform.audit(&self.proof, deadline))?;
        m.in_time(step, deadline)?;
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
            m.came_back("relink_windows", false, result);
        }
    }
}

/// Evidence that every page table was found fit to be saved. Undo: none.
#[must_use = "dropping a state undoes the suspend"]
pub struct Audited<'r, 'm, 'p, P: Platform> {
    drained: Drained<'r, 'm, 'p, P>,
}

impl<'r, 'm, 'p, P: Platform> Audited<'r, 'm, 'p, P> {
    /// Suspends the participants of [`Stage::Alone`], the clock among them, which stands still from
    /// then on; then, under PV, takes down shared pages.
    pub fn detach(mut self) -> Result<Detached<'r, 'm, 'p, P>, SuspendFailed<P::Error>> {
        let step = (Phase::Detached, "detach");
        let m = self.drained.quiesced.machine();
        let deadline = m.deadline(m.limits.detach, "detaching");
        let mut state = Detached {
            audited: self,
            detached: false,
        };
        let Drained {
            proof, quiesced, ..
        } = &mut state.audited.drained;
        let m = quiesced.machine();
        m.suspend_stage(Stage::Alone, Phase::Detached, deadline)?;
        m.take(step, |platform| platform.detach(proof, deadline))?;
        state.detached = true;
        let m = state.audited.drained.quiesced.machine();
        m.in_time(step, deadline)?;
        m.enter(Phase::Detached);
        Ok(state)
    }
}

/// Evidence that the domain is ready to be saved. Undo: shared pages come back, then the clock, then
/// the other participants that were suspended alone.
#[must_use = "dropping a state undoes the suspend"]
pub struct Detached<'r, 'm, 'p, P: Platform> {
    audited: Audited<'r, 'm, 'p, P>,
    detached: bool,
}

impl<P: Platform> Detached<'_, '_, '_, P> {
    /// Suspends, and comes all the way back.
    pub fn hypercall(mut self) -> Result<Outcome, SuspendFailed<P::Error>> {
        let step = (Phase::Suspended, "suspend");
        let drained = &mut self.audited.drained;
        let m = drained.quiesced.machine();
        // The domain may have been paused since the last look, if the clock is none of the
        // participants. From here it stands still until they are back.
        if let Some(overall) = m.run.overall {
            m.in_time(step, overall)?;
        }
        m.enter(Phase::Suspended);
        let outcome = m.take(step, |platform| platform.suspend(&drained.proof))?;
        m.run.how = outcome.into();
        Ok(outcome)
    }
}

impl<P: Platform> Drop for Detached<'_, '_, '_, P> {
    fn drop(&mut self) {
        let detached = self.detached;
        let m = self.audited.drained.quiesced.machine();
        let how = m.run.how;
        if detached {
            let result = m.platform.reattach(how);
            m.came_back("reattach", true, result);
        }
        m.return_stage(Stage::Alone);
        m.look_at_clock();
        match how {
            Return::Failed => {}
            Return::Cancelled => m.enter(Phase::Cancelled),
            Return::Restored => m.enter(Phase::Restored),
        }
    }
}
