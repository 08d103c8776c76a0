//! Steps that a test build can leave out, to show what fails then. Behind `--cfg pool_switches`,
//! which only whoever builds the kernel can set, for the whole build, and no dependency for
//! another.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::{Left, Pool};
use crate::backend::Backend;
use crate::error::Refused;
use crate::guard::{CpuId, CpuPinned};

const NONE: usize = usize::MAX;
const ALL: usize = usize::MAX - 1;

/// Whose cache a drain passes over.
pub(super) struct Switches(AtomicUsize);

impl Switches {
    pub(super) const fn new() -> Self {
        Switches(AtomicUsize::new(NONE))
    }

    fn spared(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGAZINES, ROUNDS>
{
    /// From now on every drain passes over one CPU's cache; none: over nothing.
    /// [`Drained::left`](crate::Drained::left) says what stayed.
    pub fn skip_in_drains(&self, cpu: Option<CpuId>) {
        self.switches
            .0
            .store(cpu.map_or(NONE, |cpu| cpu.0), Ordering::Relaxed);
    }

    /// From now on a drain closes the gate and waits, and takes nothing from any cache or the
    /// depot.
    pub fn drain_nothing(&self) {
        self.switches.0.store(ALL, Ordering::Relaxed);
    }

    /// As [`cpu_offline`](Pool::cpu_offline), but leaves the CPU's cache as it is.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn cpu_offline_without_drain<G: CpuPinned>(&self, guard: &G) -> Result<Left, Refused> {
        let (here, _) = self.here(guard)?;
        self.idle_enter(guard)?;
        Ok(Left {
            drained: 0,
            cached: here.counters.cached(),
            deferred: 0,
        })
    }

    pub(super) fn spares(&self, cpu: CpuId) -> bool {
        self.switches.spared() == cpu.0 || self.spares_depot()
    }

    pub(super) fn spares_depot(&self) -> bool {
        self.switches.spared() == ALL
    }

    pub(super) fn spares_anything(&self) -> bool {
        self.switches.spared() != NONE
    }
}
