//! Emptying caches: the drain and its proof, and the trimming that comes before it.

use core::sync::atomic::{AtomicU64, Ordering};

use pagetable_pool::{Broken, CpuId, DrainError, Drained, TrimError, Wait};

use super::pool::{self, POOL};
use super::set::{Set, SetError};
use crate::arch::cpu::CpuGuard;
use crate::xen::report::{self, Party};
use crate::xen::{calls, events, time};

/// Holding one proves that no set is cached anywhere and none will be.
pub type Proof = Drained<'static>;
/// Why there is no proof.
pub type DrainFailed = DrainError<Set, SetError>;

/// Sets that all drains have taken.
static SETS: AtomicU64 = AtomicU64::new(0);

/// Sets that were drained since boot.
pub fn sets_drained() -> u64 {
    SETS.load(Ordering::Relaxed)
}

/// How vCPU 0 waits for the others.
pub(super) struct Patience {
    pub(super) deadline: u64,
}

impl Wait for Patience {
    fn kick(&mut self, cpu: CpuId) {
        events::kick(cpu.0);
    }
    fn relax(&mut self, _: CpuId) -> bool {
        calls::yield_cpu();
        time::now() < self.deadline
    }
    fn now_ns(&self) -> u64 {
        time::now()
    }
}

/// Empties every cache from this CPU. The gate stays closed for as long as the proof lives.
///
/// What could not be destructed before is tried once more: there is no proof while a set is in
/// quarantine.
pub fn drain(deadline: u64) -> Result<Proof, DrainFailed> {
    let guard = CpuGuard::new();
    pool::give_kept(&guard);
    match POOL.retry_quarantined(&guard) {
        Ok(0) => {}
        Ok(left) => log::warn!("{left} sets are still in quarantine"),
        Err(error) => log::warn!("quarantine: {error}"),
    }
    let proof = POOL.drain(&guard, &mut Patience { deadline })?;
    SETS.fetch_add(proof.sets() as u64, Ordering::Relaxed);
    Ok(proof)
}

/// Why the step that relies on a proof does not accept it.
#[derive(Clone, Copy, Debug)]
pub enum BadProof {
    /// It is about another pool.
    Foreign,
    /// It does not hold.
    Broken(Broken),
}

impl core::fmt::Display for BadProof {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            BadProof::Foreign => f.write_str("the proof of a drain is another pool's"),
            BadProof::Broken(broken) => broken.fmt(f),
        }
    }
}

/// Looks once more whether a proof is this pool's, and holds.
pub fn check(proof: &Proof) -> Result<(), BadProof> {
    if !proof.is_of(&POOL) {
        return Err(BadProof::Foreign);
    }
    proof.recheck(&CpuGuard::new()).map_err(BadProof::Broken)
}

/// Says what a drain did.
pub fn report_drain(proof: &Proof, round: u64, why: &str) {
    let report = proof.report();
    // The drain has just looked at the clock.
    report::event_at("drain", time::latest())
        .num("round", round)
        .text("why", why)
        .nums(
            "per_cpu",
            (0..calls::max_vcpus()).map(|cpu| proof.taken_from(CpuId(cpu)) as u64),
        )
        .num("depot", report.depot as u64)
        .num("sets", proof.sets() as u64)
        .num("in_use", proof.in_use() as u64)
        .num("in_flight", pool::figures().in_flight)
        .num("left", proof.left() as u64)
        .num("backend_calls", report.backend_calls as u64)
        .num("hypercalls", report.hypercalls as u64)
        .num("ns", report.ns)
        .send();
}

/// Drains because somebody asked on the console, while the other vCPUs run, and goes on.
pub fn drain_on_request(deadline: u64) {
    match drain(deadline) {
        Ok(proof) => report_drain(&proof, 0, "request"),
        Err(error) => report::error(Party::Guest, "drain", error),
    }
}

/// Destructs what the running vCPU's cache holds; gives the sets. What cannot be destructed now is
/// the drain's to report.
pub fn trim_own() -> u32 {
    match POOL.drain_cpu(&CpuGuard::new()) {
        Ok(sets) => sets as u32,
        Err(error) => {
            log::warn!("trimming early: {error}");
            trimmed_before(&error)
        }
    }
}

/// Destructs sets of the depot until there is none; gives those that this vCPU did.
pub fn trim_depot() -> u32 {
    let mut sets = 0;
    loop {
        match POOL.shrink(&CpuGuard::new(), 0) {
            Ok(shrunk) if shrunk.destructed == 0 => return sets,
            Ok(shrunk) => sets += shrunk.destructed as u32,
            Err(error) => {
                log::warn!("trimming early: {error}");
                return sets + trimmed_before(&error);
            }
        }
    }
}

pub(super) fn trimmed_before(error: &TrimError<Set, SetError>) -> u32 {
    if let TrimError::Quarantined { done, .. } = error {
        *done as u32
    } else {
        0
    }
}
