//! The pool of constructed sets: taking and giving them, and what a vCPU tells the pool.

#[cfg(all(feature = "switches", not(pool_switches)))]
compile_error!("a kernel with the switches needs the pool's too, --cfg pool_switches: `cargo lab build` sets it");

use core::sync::atomic::{AtomicU32, Ordering};

use pagetable_pool::{
    Backend, Config, Constructed, CpuId, GetError, Pool, PutError, Refused, TrimError,
};
use spin::Mutex;

use super::backend::Sets;
use super::kinds::Kind;
use super::set::{Set, SetError};
use crate::arch::changes::TableError;
use crate::arch::cpu::{CpuGuard, MAX_CPUS};
use crate::cmdline;
use crate::xen::report::{self, Party};

/// Magazines in the depot, and sets in each.
const MAGAZINES: usize = 68;
const ROUNDS: usize = 15;

/// Sets that a take which finds nothing constructs at once.
pub const CONSTRUCT_BATCH: usize = 4;

/// Sets that the depot holds at most, 16 KiB each, unless somebody asked for more with
/// [`make_room`].
const HIGH_WATER: usize = 4 * ROUNDS;

pub(super) static POOL: Pool<Sets, MAX_CPUS, MAGAZINES, ROUNDS> = Pool::new(
    Config::new()
        .cpus::<MAX_CPUS>()
        .magazines::<MAGAZINES>()
        .rounds::<ROUNDS>()
        .construct_batch(CONSTRUCT_BATCH)
        .high_water(HIGH_WATER)
        .low_water(0),
    Sets,
);

/// A set that is taken.
pub type Taken = Constructed<Set>;
/// Fills the running vCPU's cache with `count` sets, before anything else runs on it.
pub fn prefill(count: usize) {
    let guard = CpuGuard::new();
    let mut sets = [const { None }; cmdline::MAX_PREFILL];
    for place in sets.iter_mut().take(count) {
        *place = take(&guard).ok();
    }
    sets.into_iter().flatten().for_each(|set| give(&guard, set));
}

/// Sets that [`fill_depot`] can cache: the depot's room and half a cache.
pub const MAX_CACHED: usize = 1000;

/// Lets the depot hold `sets` from now on, and never less than usual.
pub fn make_room(sets: usize) {
    POOL.set_high_water(sets.max(HIGH_WATER));
}

/// Sets on their way into the depot; too many for a stack.
static FILLING: Mutex<[Option<Taken>; MAX_CACHED]> = Mutex::new([const { None }; MAX_CACHED]);

/// Has vCPU 0's cache and the depot hold `count` sets together. They are constructed with
/// interrupts off for a few at a time.
pub fn fill_depot(count: usize) {
    let mut filling = FILLING.lock();
    for place in filling.iter_mut().take(count) {
        *place = take(&CpuGuard::new()).ok();
    }
    let sets = filling.iter_mut().filter_map(Option::take);
    sets.for_each(|set| give(&CpuGuard::new(), set));
}

/// Hypercalls that the pool has made so far, on all vCPUs.
pub fn hypercalls() -> u64 {
    POOL.stats(&CpuGuard::new())
        .map_or(0, |stats| stats.total.hypercalls as u64)
}

/// Tells the pool what a test build is to leave out. Once, at boot.
pub fn apply_switches() {
    #[cfg(feature = "switches")]
    {
        let switches = cmdline::options().switches;
        POOL.skip_in_drains(switches.skip_cache().map(CpuId));
        if switches.no_drain() {
            POOL.drain_nothing();
        }
    }
}

/// Constructs a set and unmakes it: whether this Xen takes one at all. At boot, so that a guest
/// that can have none is told so once.
///
/// # Errors
/// Xen's refusal, or want of frames.
pub fn try_one() -> Result<(), SetError> {
    let mut set = [Sets::EMPTY];
    Sets.construct(&mut set).map_err(|failed| failed.error)?;
    Sets.destruct(&set).map(drop).map_err(|failed| failed.error)
}

/// Refusals of Xen's to construct a set. Each vCPU that churns asks again and again: told are the
/// first, second, fourth, ... of them.
static REFUSALS: AtomicU32 = AtomicU32::new(0);

fn tell_refusal(error: TableError) {
    let count = REFUSALS.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    if count.is_power_of_two() {
        report::error(
            Party::Xen,
            "pool",
            format_args!("construct: {error}; {count} so far"),
        );
    }
}

/// Why there is no set. What Xen or the pool refused was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untaken {
    /// The gate is closed.
    Closed,
    /// There are no frames to make one of.
    NoFrames,
    /// Something that should not be.
    Refused,
}

/// Takes a set.
pub fn take(guard: &CpuGuard) -> Result<Taken, Untaken> {
    match POOL.get(guard) {
        Ok(set) => {
            set.set().mark(Kind::LiveL2);
            Ok(set)
        }
        Err(GetError::Refused(Refused::Closed | Refused::ClosedForGood)) => Err(Untaken::Closed),
        // What lies idle in other vCPUs' caches is less than a page table for each; the churn asks
        // again later.
        Err(
            GetError::Construct(SetError::Frames(_))
            | GetError::Hoarded {
                error: SetError::Frames(_),
                ..
            },
        ) => Err(Untaken::NoFrames),
        Err(
            GetError::Construct(SetError::Tables(error))
            | GetError::Hoarded {
                error: SetError::Tables(error),
                ..
            },
        ) => {
            tell_refusal(error);
            Err(Untaken::Refused)
        }
        Err(other) => {
            report::error(Party::Guest, "pool", format_args!("get: {other}"));
            Err(Untaken::Refused)
        }
    }
}

/// Sets that could not be given back: the pool refused them, or could not destruct one while its
/// gate was closed. The next drain gives them back first.
static KEPT: Mutex<[Option<Taken>; 16]> = Mutex::new([const { None }; 16]);

/// Gives a set back, in constructed form.
pub fn give(guard: &CpuGuard, set: Taken) {
    set.set().mark(Kind::IdleL2);
    match POOL.put(guard, set) {
        Ok(()) => {}
        Err(PutError::Refused(refused, set)) => {
            report::error(Party::Guest, "pool", format_args!("put: {refused}"));
            keep(set);
        }
        Err(PutError::NotDestructed(set, error)) => {
            report::error(
                Party::Xen,
                "pool",
                format_args!("put under a closed gate: {error:?}"),
            );
            keep(set);
        }
        Err(error) => report::error(Party::Guest, "pool", format_args!("put: {error}")),
    }
}

/// Gives back what could not be given before.
pub(super) fn give_kept(guard: &CpuGuard) {
    let kept = core::mem::replace(&mut *KEPT.lock(), [const { None }; 16]);
    kept.into_iter().flatten().for_each(|set| give(guard, set));
}

fn keep(set: Taken) {
    // Without a place it is dropped: it stays in use, which the figures show.
    if let Some(place) = KEPT.lock().iter_mut().find(|place| place.is_none()) {
        *place = Some(set);
    }
}

/// vCPU `me`, the running one, uses the pool from now on.
pub fn cpu_online(me: usize) {
    if let Err(error) = POOL.cpu_online(&CpuGuard::new()) {
        report::error(
            Party::Guest,
            "pool",
            format_args!("vCPU {me} online: {error}"),
        );
    }
}

/// The running vCPU is inside no pool operation.
pub fn quiescent() {
    POOL.quiescent(&CpuGuard::new());
}

/// The running vCPU uses the pool no more until [`idle_exit`]: it sleeps or is parked.
pub fn idle_enter(guard: &CpuGuard) {
    if let Err(error) = POOL.idle_enter(guard) {
        report::error(Party::Guest, "pool", format_args!("idle: {error}"));
    }
}

/// The running vCPU is back.
pub fn idle_exit(guard: &CpuGuard) {
    if let Err(error) = POOL.idle_exit(guard) {
        report::error(Party::Guest, "pool", format_args!("idle: {error}"));
    }
}

/// The running vCPU leaves: its own cache is drained. Gives the sets drained and those still
/// cached.
pub fn leave() -> (u32, u32) {
    let guard = CpuGuard::new();
    #[cfg(feature = "switches")]
    if cmdline::options().switches.no_detach_drain() {
        let left = POOL.cpu_offline_without_drain(&guard).unwrap_or_default();
        return (left.drained as u32, left.cached as u32);
    }
    match POOL.cpu_offline(&guard) {
        Ok(left) => (left.drained as u32, left.cached as u32),
        Err(error) => {
            report::error(Party::Guest, "pool", format_args!("offline: {error}"));
            let done = if let TrimError::Quarantined { done, .. } = error {
                done
            } else {
                0
            };
            (
                done as u32,
                POOL.cpu_stats(CpuId(guard.cpu()))
                    .map_or(0, |cpu| cpu.cached as u32),
            )
        }
    }
}

/// The pool's figures, for the churn event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Takes served from a vCPU's own cache.
    pub hits: u64,
    /// Takes served from the depot or by construction.
    pub misses: u64,
    /// Sets constructed.
    pub constructed: u64,
    /// Sets destructed.
    pub destructed: u64,
    /// Sets in the depot.
    pub depot: u64,
    /// Sets handed out.
    pub in_use: u64,
    /// Deferred frees that wait.
    pub in_flight: u64,
}

/// The pool's figures now.
pub fn figures() -> Figures {
    match POOL.stats(&CpuGuard::new()) {
        Ok(stats) => Figures {
            hits: stats.total.hits as u64,
            misses: stats.total.misses as u64,
            constructed: stats.total.constructed as u64,
            destructed: stats.total.destructed as u64,
            depot: stats.depot as u64,
            in_use: stats.in_use as u64,
            in_flight: stats.in_flight as u64,
        },
        Err(error) => {
            report::error(Party::Guest, "pool", format_args!("stats: {error}"));
            Figures::default()
        }
    }
}

/// Sets in the cache of vCPU `cpu`.
pub fn cached(cpu: usize) -> u64 {
    POOL.cpu_stats(CpuId(cpu))
        .map_or(0, |cpu| cpu.cached as u64)
}
