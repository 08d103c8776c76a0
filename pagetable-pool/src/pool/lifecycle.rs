//! CPUs that come and go, and quiescent states.

use super::{On, Pool};
use crate::backend::Backend;
use crate::error::{Refused, TrimError};
use crate::guard::CpuPinned;
use crate::order::MayLock;

type Trim<T, B> = Result<T, TrimError<<B as Backend>::Set, <B as Backend>::Error>>;

/// What happened to a CPU's sets when it went offline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Sets that its cache held, all destructed (or, one or more, in quarantine).
    pub drained: usize,
    /// Sets that are still in its cache, for the next drain: more than 0 only while the gate is
    /// closed.
    pub cached: usize,
    /// Deferred frees that it handed to the CPUs that stay.
    pub deferred: usize,
}

impl<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGAZINES, ROUNDS>
{
    /// This CPU uses the pool from now on. May be repeated.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn cpu_online<G: CpuPinned>(&self, guard: &G) -> Result<(), Refused> {
        self.idle_exit(guard)
    }

    /// This CPU leaves: destructs what its own cache holds, hands its deferred frees to the others,
    /// and from here on is neither waited for nor woken. While the gate is closed, its cache is the
    /// drainer's, who empties it.
    ///
    /// # Errors
    /// [`TrimError::Refused`]: the CPU stays as it was. [`TrimError::Quarantined`]: it is offline, and all else is done.
    pub fn cpu_offline<G: CpuPinned>(&self, guard: &G) -> Trim<Left, B> {
        let (here, may) = self.here(guard)?;
        // Keeps NMIs too from using the cache between the last look at it and `leave`.
        let mut busy = here.enter()?;
        // An idle CPU with sets in its cache comes back to empty it: nobody else does so before
        // the next drain.
        if here.counters.cached() > 0 {
            busy.come_back();
        }
        let (mut busy, drained) = match busy.claim() {
            Ok(mut op) => {
                let drained = self.empty_own_cache(&here, may, &mut op);
                (op.end(), drained)
            }
            Err((busy, _)) => (busy, Ok(0)),
        };
        let deferred = self.leave_deferred_behind(&here, may);
        let cached = here.counters.cached();
        busy.leave();
        drained.map(|drained| Left {
            drained,
            cached,
            deferred,
        })
    }

    /// Destructs what this CPU's own cache holds, and returns the number. Other CPUs are not
    /// affected.
    ///
    /// # Errors
    /// [`TrimError`].
    pub fn drain_cpu<G: CpuPinned>(&self, guard: &G) -> Trim<usize, B> {
        let (here, may) = self.here(guard)?;
        let mut op = self.claim(&here)?;
        self.empty_own_cache(&here, may, &mut op)
    }

    fn empty_own_cache(
        &self,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
        op: &mut super::Op<'_, B, ROUNDS>,
    ) -> Trim<usize, B> {
        let (mut taken, mut lost, mut first) = (0, 0, None);
        loop {
            let cold = op.with(|cache| cache.take_cold());
            if cold.len() == 0 {
                break;
            }
            taken += cold.len();
            here.counters.removed.add(cold.len());
            let before = here.counters.destructed.get();
            if let Err(failed) = self.destruct_cached(here, may, cold.as_slice()) {
                first.get_or_insert(failed);
            }
            lost += cold.len() - here.counters.destructed.get().wrapping_sub(before);
        }
        op.adopt();
        match first {
            None => Ok(taken),
            Some((set, error)) => Err(TrimError::Quarantined {
                set,
                error,
                done: taken - lost,
            }),
        }
    }

    /// This CPU is inside no pool operation, and holds no reference that it got by reading without
    /// a lock. The kernel's main loop, scheduler or tick says this. Costs a few plain loads and
    /// stores if nobody waits. Finishes deferred frees of this CPU whose grace period is over.
    #[inline]
    pub fn quiescent<G: CpuPinned>(&self, guard: &G) {
        let Some(here) = self.cpus.here(guard) else {
            return;
        };
        if here.counters.pending.get() > 0 || self.orphaned.get() > 0 {
            self.quiescent_and_collect(guard);
            return;
        }
        // Ignored inside an operation (in an NMI, or called by the backend), where it is not true.
        here.pass();
    }

    /// This CPU is about to be idle, or parked: until [`idle_exit`](Pool::idle_exit) it does not
    /// touch the pool, and nobody waits for it. Its cache stays as it is; its deferred frees go to
    /// the CPUs that run, if the context allows a lock.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn idle_enter<G: CpuPinned>(&self, guard: &G) -> Result<(), Refused> {
        let here = self
            .cpus
            .here(guard)
            .ok_or(Refused::NoSuchCpu(guard.cpu()))?;
        let mut busy = here.enter()?;
        if here.counters.pending.get() > 0 {
            if let Some(may) = here.may_lock() {
                self.leave_deferred_behind(&here, may);
            }
        }
        busy.leave();
        Ok(())
    }

    /// This CPU runs kernel code again: interrupt handlers of an idle CPU say this too, before they
    /// use the pool.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn idle_exit<G: CpuPinned>(&self, guard: &G) -> Result<(), Refused> {
        let here = self
            .cpus
            .here(guard)
            .ok_or(Refused::NoSuchCpu(guard.cpu()))?;
        here.enter()?.come_back();
        Ok(())
    }
}
