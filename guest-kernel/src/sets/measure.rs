//! What sets cost on this Xen: the measurements of the console's `bench`.

use pagetable_pool::{Backend, Spent};

use super::backend::{self, Sets};
use super::drain::Patience;
use super::pool::{give, take, POOL};
use super::set;
use crate::arch::cpu::{self, CpuGuard};
use crate::xen::time;

/// What something cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Sets handled.
    pub sets: u64,
    /// Hypercalls made.
    pub hypercalls: u64,
    /// Ticks of the time-stamp counter.
    pub cycles: u64,
    /// Nanoseconds.
    pub ns: u64,
}

/// Runs `body`, which gives the sets it handled and the hypercalls it made, with interrupts off.
fn cost(body: impl FnOnce(&CpuGuard) -> Option<(u64, u64)>) -> Option<Cost> {
    let guard = CpuGuard::new();
    let (at, cycles) = (time::now(), cpu::cycles());
    let (sets, hypercalls) = body(&guard)?;
    Some(Cost {
        sets,
        hypercalls,
        cycles: cpu::cycles() - cycles,
        ns: time::now() - at,
    })
}

/// Constructs as many sets as one call handles and destructs them, past the caches; gives what each
/// half cost.
pub fn measure_backend(one_by_one: bool) -> Option<(Cost, Cost)> {
    let mut sets = [Sets::EMPTY; set::BATCH];
    let spent = |spent: Spent| Some((set::BATCH as u64, u64::from(spent.hypercalls)));
    backend::one_by_one(one_by_one, || {
        let made = cost(|_| Sets.construct(&mut sets).ok().and_then(spent))?;
        let unmade = cost(|_| Sets.destruct(&sets).ok().and_then(spent))?;
        Some((made, unmade))
    })
}

/// Takes a set from this CPU's cache and gives it back, `pairs` times.
pub fn measure_hits(pairs: u64) -> Option<Cost> {
    give(&CpuGuard::new(), take(&CpuGuard::new()).ok()?);
    cost(|guard| {
        for _ in 0..pairs {
            let set = POOL.get(guard).ok()?;
            POOL.put(guard, set).ok()?;
        }
        Some((pairs, 0))
    })
}

/// Drains every CPU's cache; gives what that cost.
pub fn measure_drain(one_by_one: bool, deadline: u64) -> Option<Cost> {
    let hypercalls = |guard: &CpuGuard| {
        POOL.stats(guard)
            .map_or(0, |stats| stats.total.hypercalls as u64)
    };
    let drain = |guard: &CpuGuard| {
        let before = hypercalls(guard);
        let proof = POOL.drain(guard, &mut Patience { deadline }).ok()?;
        let sets = proof.sets() as u64;
        drop(proof);
        Some((sets, hypercalls(guard) - before))
    };
    backend::one_by_one(one_by_one, || cost(drain))
}
