//! Deferred frees: from `put_deferred` to the set's end, and the barrier.

use super::{On, Op, Pool};
use crate::backend::Backend;
use crate::deferred::Waiting;
use crate::error::{PutError, WaitError};
use crate::grace::{Ticket, Wait};
use crate::guard::CpuPinned;
use crate::local::PerCpu;
use crate::marks::State;
use crate::order::MayLock;
use crate::token::Constructed;

/// The deferred sets that a barrier holds. Dropping it releases them, so that a failed barrier
/// loses nothing.
struct Holding<'a, B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize> {
    pool: &'a Pool<B, CPUS, MAGAZINES, ROUNDS>,
    may: MayLock<'a>,
}

impl<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize> Drop
    for Holding<'_, B, CPUS, MAGAZINES, ROUNDS>
{
    fn drop(&mut self) {
        let mut left_behind = self.pool.left_behind.lock(self.may);
        left_behind.let_go(&self.pool.backend);
        self.pool.orphaned.set(left_behind.free_to_take());
    }
}

impl<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGAZINES, ROUNDS>
{
    /// Gives a set back once every CPU has passed a quiescent state. Until then its memory stays a
    /// set of this pool, for readers that walk it without a lock. Must be called after the set is
    /// unlinked, so that no new reader finds it.
    ///
    /// # Errors
    /// [`PutError::Refused`] with [`Refused::Closed`](crate::Refused::Closed): a [`Drained`](crate::Drained) proves that nothing is in
    /// flight, so while the gate is closed the set stays the caller's. Else as [`put`](Pool::put).
    pub fn put_deferred<G: CpuPinned>(
        &self,
        guard: &G,
        set: Constructed<B::Set>,
    ) -> Result<(), PutError<B::Set, B::Error>> {
        let (here, may, _op) = match self.begin(guard) {
            Ok(begun) => begun,
            Err(refused) => return Err(PutError::Refused(refused, set)),
        };
        if let Some(wrong) = self.check_put(&set, State::Deferred) {
            return Err(wrong);
        }
        let ticket = self.cpus.grace().next();
        here.counters.deferred.add(1);
        let mut deferred = here.deferred.lock(may);
        deferred.push(&self.backend, set.set, set.word, ticket);
        here.counters.pending.set(deferred.len());
        drop(deferred);
        here.counters.returned.add_released(1);
        Ok(())
    }

    /// Waits until every free deferred before the call, on whichever CPU, is finished; gives their
    /// number. Frees that are deferred meanwhile do not put it off.
    ///
    /// # Errors
    /// [`WaitError`].
    pub fn barrier<G: CpuPinned>(
        &self,
        guard: &G,
        wait: &mut impl Wait,
    ) -> Result<usize, WaitError> {
        let (here, may) = self.here_to_wait(guard)?;
        let _control = self.take_control(&here, wait)?;
        // Whoever has taken one before this is inside an operation, which ends before the grace
        // period does.
        let _holding = self.hold_all_deferred(may);
        self.cpus.wait_for_grace(&here, wait)?;
        let (here, may, mut op) = self.begin(guard)?;
        let mut finished = 0;
        while let Some(waiting) = self.take_held(may) {
            finished += 1;
            self.finish_deferred(&here, may, &mut op, waiting);
        }
        Ok(finished)
    }

    fn hold_all_deferred<'a>(
        &'a self,
        may: MayLock<'a>,
    ) -> Holding<'a, B, CPUS, MAGAZINES, ROUNDS> {
        // The CPUs first, and then where their sets go.
        for cpu in self
            .cpus
            .iter()
            .filter(|cpu| cpu.counters.pending.get() > 0)
        {
            let mut deferred = cpu.deferred.lock(may);
            self.left_behind
                .lock(may)
                .hold(&self.backend, &mut deferred);
            cpu.counters.pending.set(0);
        }
        let mut left_behind = self.left_behind.lock(may);
        left_behind.hold_all(&self.backend);
        self.orphaned.set(0);
        drop(left_behind);
        Holding { pool: self, may }
    }

    /// Hands this CPU's deferred frees to the others, because it goes away. Returns the number.
    pub(super) fn leave_deferred_behind(
        &self,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
    ) -> usize {
        if here.counters.pending.get() == 0 {
            return 0;
        }
        let mut deferred = here.deferred.lock(may);
        let mut left_behind = self.left_behind.lock(may);
        let count = left_behind.take_over(&self.backend, &mut deferred);
        here.counters.pending.set(0);
        self.orphaned.set(left_behind.free_to_take());
        count
    }

    /// Passes a quiescent state, and finishes what is due of this CPU's deferred frees, and of
    /// those that nobody owns any more. Waits for nobody.
    #[cold]
    #[inline(never)]
    pub(super) fn quiescent_and_collect<G: CpuPinned>(&self, guard: &G) {
        let Some(here) = self.cpus.here(guard) else {
            return;
        };
        let Ok(busy) = here.enter() else {
            return;
        };
        // Without locks nothing can be collected, but the state is quiescent all the same.
        let Some(may) = here.may_lock() else {
            busy.pass();
            return;
        };
        // Start first, then pass, then begin an operation.
        let grace = self.cpus.grace();
        let due = here.deferred.lock(may).next_ticket();
        let left_behind_due = self.left_behind.lock(may).next_ticket();
        for ticket in due.into_iter().chain(left_behind_due) {
            grace.ensure_started(ticket);
        }
        busy.pass();
        let Ok(mut op) = busy.claim() else {
            return;
        };
        self.throw_out_stale(&here, may, &mut op);
        let is_over = |ticket| grace.is_over(ticket, self.cpus.seen());
        while let Some(waiting) = self.take_deferred(&here, may, is_over) {
            self.finish_deferred(&here, may, &mut op, waiting);
        }
        while let Some(waiting) = self.take_left_behind(may, is_over) {
            self.finish_deferred(&here, may, &mut op, waiting);
        }
    }

    /// The newest grace period that a deferred free waits for.
    pub(super) fn newest_deferred(&self, may: MayLock<'_>) -> Ticket {
        // The CPUs first, and then where their sets go: one that leaves meanwhile is seen here or
        // there.
        let on_cpus = self
            .cpus
            .iter()
            .filter(|cpu| cpu.counters.pending.get() > 0)
            .map(|cpu| cpu.deferred.lock(may).newest())
            .fold(Ticket::NONE, Ticket::max);
        on_cpus.max(self.left_behind.lock(may).newest())
    }

    /// Takes a deferred set of `cpu`, if its grace period `is_over`.
    pub(super) fn take_deferred(
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
    pub(super) fn take_left_behind(
        &self,
        may: MayLock<'_>,
        is_over: impl FnOnce(Ticket) -> bool,
    ) -> Option<Waiting<B::Set>> {
        let mut left_behind = self.left_behind.lock(may);
        let taken = left_behind.take(&self.backend, is_over);
        self.orphaned.set(left_behind.free_to_take());
        taken
    }

    fn take_held(&self, may: MayLock<'_>) -> Option<Waiting<B::Set>> {
        self.left_behind.lock(may).take_held(&self.backend)
    }

    fn finish_deferred(
        &self,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
        op: &mut Op<'_, B, ROUNDS>,
        waiting: Waiting<B::Set>,
    ) {
        here.counters.collected.add(1);
        // One that cannot be destructed is in quarantine, counted and logged; nobody waits for this
        // one's error.
        if matches!(
            self.keep(here, may, op, waiting.set, waiting.word),
            Ok(true)
        ) {
            here.counters.filled.add(1);
        }
    }
}
