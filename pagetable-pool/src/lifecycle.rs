//! CPUs that come and go, quiescent states, and deferred frees.

use crate::backend::Backend;
use crate::deferred::Waiting;
use crate::error::{PutError, Refused, TrimError, WaitError};
use crate::grace::{Ticket, Wait};
use crate::guard::CpuPinned;
use crate::marks::State;
use crate::order::MayLock;
use crate::pool::{Op, PerCpu, Pool};
use crate::token::Constructed;

type Trim<T, B> = Result<T, TrimError<<B as Backend>::Set, <B as Backend>::Error>>;

/// What a CPU leaves when it goes offline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Sets that its cache held, all destructed (or, one or more, in quarantine).
    pub drained: usize,
    /// Sets that are still in its cache, for the next drain: more than 0 only while the gate is closed.
    pub cached: usize,
    /// Deferred frees that it handed to the CPUs that stay.
    pub deferred: usize,
}

impl<B: Backend, const CPUS: usize, const MAGS: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGS, ROUNDS>
{
    /// This CPU uses the pool from now on. Again and again does no harm.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn cpu_online<G: CpuPinned>(&self, guard: &G) -> Result<(), Refused> {
        self.idle_exit(guard)
    }

    /// This CPU leaves: destructs what its own cache holds, hands its deferred frees to the others, and from here on is neither waited for
    /// nor woken. While the gate is closed, its cache is the drainer's, who empties it.
    ///
    /// # Errors
    /// [`TrimError::Refused`]: the CPU stays as it was. [`TrimError::Quarantined`]: it is offline, and all else is done.
    pub fn cpu_offline<G: CpuPinned>(&self, guard: &G) -> Trim<Left, B> {
        let (cpu, may) = self.here(guard)?;
        let (drained, failed) = match self.drain_cpu(guard) {
            Ok(drained) => (drained, None),
            Err(TrimError::Refused(
                Refused::Closed | Refused::ClosedForGood | Refused::NotOnline(_),
            )) => (0, None),
            Err(failed @ TrimError::Quarantined { done, .. }) => (done, Some(failed)),
            Err(refused) => return Err(refused),
        };
        if cpu.local.is_busy() {
            return Err(TrimError::Refused(Refused::Reentered));
        }
        let mut left = Left {
            drained,
            cached: cpu.counters.cached(),
            deferred: 0,
        };
        let mut deferred = cpu.deferred.lock(may);
        if deferred.len() > 0 {
            let mut orphans = self.orphans.lock(may);
            while let Some(waiting) = deferred.take(&self.backend, |_| true) {
                orphans.push(&self.backend, waiting);
                left.deferred += 1;
            }
            self.orphaned.set(orphans.len());
            cpu.counters.pending.set(0);
        }
        drop(deferred);
        self.idle_enter(guard)?;
        failed.map_or(Ok(left), Err)
    }

    /// Destructs what this CPU's own cache holds, and gives the number. Other CPUs are not concerned.
    ///
    /// # Errors
    /// [`TrimError`].
    pub fn drain_cpu<G: CpuPinned>(&self, guard: &G) -> Trim<usize, B> {
        let (cpu, may) = self.here(guard)?;
        let mut op = self.claim(cpu, guard.cpu())?;
        let (mut taken, mut lost, mut first) = (0, 0, None);
        loop {
            let cold = op.with(|cache| cache.take_cold());
            if cold.len() == 0 {
                break;
            }
            taken += cold.len();
            cpu.counters.removed.add(cold.len());
            let before = cpu.counters.destructed.get();
            if let Err(failed) = self.destruct_cached(cpu, may, cold.as_slice()) {
                first.get_or_insert(failed);
            }
            lost += cold.len() - cpu.counters.destructed.get().wrapping_sub(before);
        }
        let word = op.word();
        op.with(|cache| cache.word = word);
        match first {
            None => Ok(taken),
            Some((set, error)) => Err(TrimError::Quarantined {
                set,
                error,
                done: taken - lost,
            }),
        }
    }

    /// This CPU is inside no pool operation, and holds no reference that it got by reading without a lock. The kernel's
    /// main loop, scheduler or tick says this. Costs two loads if nobody waits. Finishes deferred frees of this CPU
    /// whose grace period is over.
    #[inline]
    pub fn quiescent<G: CpuPinned>(&self, guard: &G) {
        let Some(cpu) = self.cpus.get(guard.cpu().0) else {
            return;
        };
        // From inside an operation (an NMI, the backend) it would not be true.
        if cpu.local.is_busy() {
            return;
        }
        if cpu.counters.pending.get() == 0 && self.orphaned.get() == 0 {
            self.grace.announce(&cpu.seen);
        } else {
            self.quiescent_and_collect(guard);
        }
    }

    /// This CPU is about to be idle, or parked: until [`idle_exit`](Pool::idle_exit) it does not touch the pool, and
    /// nobody waits for it. Its cache stays as it is.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn idle_enter<G: CpuPinned>(&self, guard: &G) -> Result<(), Refused> {
        let cpu = self
            .cpus
            .get(guard.cpu().0)
            .ok_or(Refused::NoSuchCpu(guard.cpu()))?;
        if cpu.local.is_busy() {
            return Err(Refused::Reentered);
        }
        cpu.local.forget_claim();
        cpu.seen.leave();
        Ok(())
    }

    /// This CPU runs kernel code again: interrupt handlers of an idle CPU say this too, before they use the pool.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn idle_exit<G: CpuPinned>(&self, guard: &G) -> Result<(), Refused> {
        let cpu = self
            .cpus
            .get(guard.cpu().0)
            .ok_or(Refused::NoSuchCpu(guard.cpu()))?;
        if !cpu.seen.is_running() {
            self.grace.resume(&cpu.seen);
        }
        Ok(())
    }

    /// Gives a set back once every CPU has passed a quiescent state: readers that walk it without a lock find a set of this pool in
    /// it until then. Must be called after the set is unlinked, so that no new reader finds it.
    ///
    /// # Errors
    /// [`PutError::Refused`] with [`Refused::Closed`]: a [`Drained`](crate::Drained) proves that nothing is in flight, so while the gate is
    /// closed the set stays the caller's. Else as [`put`](Pool::put).
    pub fn put_deferred<G: CpuPinned>(
        &self,
        guard: &G,
        set: Constructed<B::Set>,
    ) -> Result<(), PutError<B::Set, B::Error>> {
        let (cpu, may, op) = match self.begin(guard) {
            Ok(begun) => begun,
            Err(refused) => return Err(PutError::Refused(refused, set)),
        };
        if let Some(wrong) = self.check_put(&set, State::Deferred) {
            return Err(wrong);
        }
        let ticket = self.grace.next();
        cpu.counters.deferred.add(1);
        cpu.counters.returned.add(1);
        let mut deferred = cpu.deferred.lock(may);
        deferred.push(&self.backend, set.set, set.word, ticket);
        cpu.counters.pending.set(deferred.len());
        drop(deferred);
        drop(op);
        Ok(())
    }

    /// Waits until every free deferred before the call, on whichever CPU, is finished; gives their number.
    ///
    /// # Errors
    /// [`WaitError`].
    pub fn barrier<G: CpuPinned>(
        &self,
        guard: &G,
        wait: &mut impl Wait,
    ) -> Result<usize, WaitError> {
        let (here, may) = self.here_to_wait(guard)?;
        let _control = self.take_control(here, guard.cpu(), wait)?;
        let over = self.wait_for_grace(here, wait)?;
        let is_over = |ticket: Ticket| ticket.max(over) == over;
        let (_, _, mut op) = self.begin(guard)?;
        let mut finished = 0;
        for other in &self.cpus {
            while let Some(waiting) = self.take_deferred(other, may, is_over) {
                finished += 1;
                self.finish_deferred(here, may, &mut op, waiting);
            }
        }
        while let Some(waiting) = self.take_orphan(may, is_over) {
            finished += 1;
            self.finish_deferred(here, may, &mut op, waiting);
        }
        Ok(finished)
    }

    /// Passes a quiescent state, and finishes what is due of this CPU's deferred frees, and of those that nobody owns any
    /// more. Waits for nobody.
    #[cold]
    #[inline(never)]
    fn quiescent_and_collect<G: CpuPinned>(&self, guard: &G) {
        // Without locks nothing can be collected, but the state is quiescent all the same.
        let Ok((cpu, may)) = self.here(guard) else {
            if let Some(cpu) = self.cpus.get(guard.cpu().0) {
                self.grace.announce(&cpu.seen);
            }
            return;
        };
        // Start first, then announce, then begin an operation: never announce from inside one.
        let due = cpu.deferred.lock(may).next_ticket();
        let orphans_due = self.orphans.lock(may).newest();
        for ticket in due
            .into_iter()
            .chain((orphans_due != Ticket::NONE).then_some(orphans_due))
        {
            self.grace.ensure_started(ticket);
        }
        self.grace.announce(&cpu.seen);
        let is_over = |ticket| {
            self.grace
                .waits_for(ticket, self.cpus.iter().map(|cpu| &cpu.seen), 0)
                .is_none()
        };
        let Ok(mut op) = self.claim(cpu, guard.cpu()) else {
            return;
        };
        self.throw_out_stale(cpu, may, &mut op);
        while let Some(waiting) = self.take_deferred(cpu, may, is_over) {
            self.finish_deferred(cpu, may, &mut op, waiting);
        }
        while let Some(waiting) = self.take_orphan(may, is_over) {
            self.finish_deferred(cpu, may, &mut op, waiting);
        }
    }

    /// Takes a deferred set of `cpu`, if its grace period `is_over`.
    pub(crate) fn take_deferred(
        &self,
        cpu: &PerCpu<B::Set, ROUNDS>,
        may: MayLock<'_>,
        is_over: impl FnMut(Ticket) -> bool,
    ) -> Option<Waiting<B::Set>> {
        let mut deferred = cpu.deferred.lock(may);
        let taken = deferred.take(&self.backend, is_over);
        cpu.counters.pending.set(deferred.len());
        taken
    }

    /// Takes a deferred set that a CPU left behind, if its grace period `is_over`.
    pub(crate) fn take_orphan(
        &self,
        may: MayLock<'_>,
        is_over: impl FnOnce(Ticket) -> bool,
    ) -> Option<Waiting<B::Set>> {
        let mut orphans = self.orphans.lock(may);
        let taken = orphans.pop_if(&self.backend, is_over);
        self.orphaned.set(orphans.len());
        taken
    }

    fn finish_deferred(
        &self,
        cpu: &PerCpu<B::Set, ROUNDS>,
        may: MayLock<'_>,
        op: &mut Op<'_, B, ROUNDS>,
        waiting: Waiting<B::Set>,
    ) {
        cpu.counters.collected.add(1);
        // One that cannot be destructed is in quarantine, counted and logged; nobody waits for this one's error.
        if matches!(self.keep(cpu, may, op, waiting.set, waiting.word), Ok(true)) {
            cpu.counters.filled.add(1);
        }
    }
}
