//! Steps that a test build can leave out, to show what fails then. Behind the feature `switches`.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::backend::Backend;
use crate::error::Refused;
use crate::guard::{CpuId, CpuPinned};
use crate::lifecycle::Left;
use crate::pool::Pool;

const NONE: usize = usize::MAX;
const ALL: usize = usize::MAX - 1;

/// Whose cache a drain passes over.
pub(crate) struct Switches(AtomicUsize);

impl Switches {
    pub(crate) const fn new() -> Self {
        Switches(AtomicUsize::new(NONE))
    }
}

impl<B: Backend, const CPUS: usize, const MAGS: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGS, ROUNDS>
{
    /// From now on every drain passes over one CPU's cache; none: over nothing. [`Drained::left`](crate::Drained::left) says what stayed.
    pub fn skip_in_drains(&self, cpu: Option<CpuId>) {
        self.switches
            .0
            .store(cpu.map_or(NONE, |cpu| cpu.0), Ordering::Relaxed);
    }

    /// From now on a drain closes the gate and waits, and takes nothing from any cache or the depot.
    pub fn drain_nothing(&self) {
        self.switches.0.store(ALL, Ordering::Relaxed);
    }

    /// As [`cpu_offline`](Pool::cpu_offline), but leaves the CPU's cache as it is.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn cpu_offline_without_drain<G: CpuPinned>(&self, guard: &G) -> Result<Left, Refused> {
        let (cpu, _) = self.here(guard)?;
        self.idle_enter(guard)?;
        Ok(Left {
            drained: 0,
            cached: cpu.counters.cached(),
            deferred: 0,
        })
    }

    pub(crate) fn is_skipped(&self, cpu: CpuId) -> bool {
        let skipped = self.switches.0.load(Ordering::Relaxed);
        skipped == cpu.0 || skipped == ALL
    }

    pub(crate) fn is_nothing_drained(&self) -> bool {
        self.switches.0.load(Ordering::Relaxed) == ALL
    }
}
