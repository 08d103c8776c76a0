//! The place where every other vCPU waits while one suspends the domain, and the evidence that each
//! is there.

use core::sync::atomic::{AtomicU32, Ordering};

use super::cpu::{self, CpuGuard, MAX_CPUS};
use super::cpu_set::CpuSet;

/// The vCPUs that run their loops.
static RUNNING: CpuSet = CpuSet::new();
/// Odd while the others are to wait.
static PARK: AtomicU32 = AtomicU32::new(0);
/// The value of [`PARK`] under which each vCPU is parked, or the one after that when it has gone on.
static PARKED: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

/// The running vCPU runs its loop from now on.
pub fn joined() {
    RUNNING.add(cpu::id());
}

/// The running vCPU does no more: all that is left for it is to go down.
pub fn left(_: &CpuGuard) {
    RUNNING.remove(cpu::id());
}

/// The vCPUs that run their loops, lowest first.
pub fn running() -> impl Iterator<Item = usize> {
    RUNNING.iter()
}

/// Does vCPU `cpu` run its loop?
pub fn is_running(cpu: usize) -> bool {
    RUNNING.contains(cpu)
}

/// vCPU `cpu`, which comes, has missed no request.
pub fn welcome(cpu: usize) {
    PARKED[cpu].store(PARK.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// Are the others to wait? Gives the number of the request.
pub fn asked() -> Option<u32> {
    let park = PARK.load(Ordering::Acquire);
    (park & 1 == 1).then_some(park)
}

/// The running vCPU waits for as long as request `park` stands; it does nothing but `relax`
/// meanwhile.
pub fn stay(guard: &CpuGuard, park: u32, mut relax: impl FnMut()) {
    PARKED[guard.cpu()].store(park, Ordering::Release);
    while PARK.load(Ordering::Acquire) == park {
        relax();
    }
}

/// The running vCPU has gone on after request `park`.
pub fn went_on(park: u32) {
    PARKED[cpu::id()].store(park.wrapping_add(1), Ordering::Release);
}

/// Has vCPU `cpu` gone on since the last request?
pub fn has_gone_on(cpu: usize) -> bool {
    PARKED[cpu].load(Ordering::Acquire) == PARK.load(Ordering::Relaxed)
}

/// While one lives, the other vCPUs are to wait.
pub struct Asked(());

impl Asked {
    /// Asks them. There is one at a time: vCPU 0's.
    pub fn new() -> Asked {
        let before = PARK.fetch_add(1, Ordering::AcqRel);
        assert!(before & 1 == 0, "the vCPUs are parked already");
        Asked(())
    }

    /// Does vCPU `cpu` wait?
    pub fn is_parked(&self, cpu: usize) -> bool {
        PARKED[cpu].load(Ordering::Acquire) == PARK.load(Ordering::Relaxed)
    }

    /// The evidence, if every vCPU that runs its loop waits, but for the running one.
    pub fn all(self) -> Option<Parked> {
        let me = cpu::id();
        running()
            .filter(|&cpu| cpu != me)
            .all(|cpu| self.is_parked(cpu))
            .then_some(Parked(Some(self)))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        PARK.fetch_add(1, Ordering::AcqRel);
    }
}

/// Evidence that every other vCPU waits: interrupts off, inside no pool operation, touching neither
/// page tables nor the shared-info page. Dropping it lets them go on.
pub struct Parked(#[allow(dead_code)] Option<Asked>);

impl Parked {
    /// What a test shows in the place of evidence, to see what comes of it.
    #[cfg(feature = "switches")]
    pub fn untrue() -> Parked {
        Parked(None)
    }
}
