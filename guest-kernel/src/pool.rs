//! The pool of constructed sets: `pagetable-pool` with this kernel's backend, guard and way of
//! waiting.

pub mod nmi;

#[cfg(all(feature = "switches", not(pool_switches)))]
compile_error!("a kernel with the switches needs the pool's too, --cfg pool_switches: `cargo lab build` sets it");

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use pagetable_pool::{
    Backend, Broken, Config, ConstructError, Constructed, CpuId, DestructError, DrainError,
    Drained, GetError, Pool, PutError, Refused, Spent, TrimError, Wait,
};
use spin::Mutex;

use crate::arch::changes::TableError;
use crate::arch::cpu::{self, CpuGuard, MAX_CPUS};
use crate::cmdline;
use crate::memory::Pfn;
use crate::report::{self, Party};
use crate::sets::kinds::Kind;
use crate::sets::set::{self, Set, SetError};
use crate::{events, time, xen};

/// Magazines in the depot, and sets in each.
const MAGAZINES: usize = 68;
const ROUNDS: usize = 15;

/// Sets that a take which finds nothing constructs at once.
pub const CONSTRUCT_BATCH: usize = 4;

/// Sets that the depot holds at most, 16 KiB each, unless somebody asked for more with
/// [`make_room`].
const HIGH_WATER: usize = 4 * ROUNDS;

static POOL: Pool<Sets, MAX_CPUS, MAGAZINES, ROUNDS> = Pool::new(
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
/// Holding one proves that no set is cached anywhere and none will be.
pub type Proof = Drained<'static>;
/// Why there is no proof.
pub type DrainFailed = DrainError<Set, SetError>;

/// Makes and unmakes sets.
struct Sets;

impl Backend for Sets {
    type Set = Set;
    type Error = SetError;
    const EMPTY: Set = Set { pages: [Pfn(0); 4] };

    fn construct(&self, out: &mut [Set]) -> Result<Spent, ConstructError<SetError>> {
        let order = cmdline::options().order;
        let mut spent = Spent::default();
        let mut done = 0;
        while done < out.len() {
            let end = out.len().min(done + batch());
            match make(&mut out[done..end], order) {
                Ok(calls) => spent.hypercalls += calls,
                Err(error) => {
                    // What cannot be taken apart again either is quarantined, from the first such
                    // set on.
                    let stuck = self.destruct(&out[..done]).err().map_or(0, |failed| {
                        out.copy_within(failed.at..done, 0);
                        done - failed.at
                    });
                    return Err(ConstructError::with_stuck(error, stuck));
                }
            }
            done = end;
        }
        Ok(spent)
    }

    fn destruct(&self, sets: &[Set]) -> Result<Spent, DestructError<SetError>> {
        // No flush of ours: a set leaves a CPU's TLB when the CPU leaves the set, and it goes back
        // only then; and Xen flushes what a page's change of type needs.
        let mut spent = Spent::default();
        let mut done = 0;
        for part in sets.chunks(batch()) {
            match unmake(part) {
                Ok(calls) => spent.hypercalls += calls,
                Err((at, error)) => return Err(DestructError::new(done + at, error.into(), spent)),
            }
            done += part.len();
        }
        Ok(spent)
    }

    fn set_next(&self, set: Set, next: Option<Set>) {
        set::link(set, next);
    }

    fn next(&self, set: Set) -> Option<Set> {
        set::linked(set)
    }
}

#[cfg(feature = "switches")]
use crate::unpin_only::{make, unmake};
#[cfg(not(feature = "switches"))]
use set::{construct as make, destruct as unmake};

/// Sets handled with one call: all that fit, unless the bench wants to see what one by one costs.
fn batch() -> usize {
    if ONE_BY_ONE.load(Ordering::Relaxed) {
        1
    } else {
        set::BATCH
    }
}
static ONE_BY_ONE: AtomicBool = AtomicBool::new(false);

/// How vCPU 0 waits for the others.
struct Patience {
    deadline: u64,
}

impl Wait for Patience {
    fn kick(&mut self, cpu: CpuId) {
        events::kick(cpu.0);
    }
    fn relax(&mut self, _: CpuId) -> bool {
        xen::yield_cpu();
        time::now() < self.deadline
    }
    fn now_ns(&self) -> u64 {
        time::now()
    }
}

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

fn trimmed_before(error: &TrimError<Set, SetError>) -> u32 {
    if let TrimError::Quarantined { done, .. } = error {
        *done as u32
    } else {
        0
    }
}

/// What [`measure`] measures.
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
    ONE_BY_ONE.store(one_by_one, Ordering::Relaxed);
    let mut sets = [Sets::EMPTY; set::BATCH];
    let spent = |spent: Spent| Some((set::BATCH as u64, u64::from(spent.hypercalls)));
    let made = cost(|_| Sets.construct(&mut sets).ok().and_then(spent));
    let unmade = made.and_then(|_| cost(|_| Sets.destruct(&sets).ok().and_then(spent)));
    ONE_BY_ONE.store(false, Ordering::Relaxed);
    Some((made?, unmade?))
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
    ONE_BY_ONE.store(one_by_one, Ordering::Relaxed);
    let measured = cost(|guard| {
        let before = hypercalls(guard);
        let proof = POOL.drain(guard, &mut Patience { deadline }).ok()?;
        let sets = proof.sets() as u64;
        drop(proof);
        Some((sets, hypercalls(guard) - before))
    });
    ONE_BY_ONE.store(false, Ordering::Relaxed);
    measured
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

/// Empties every cache from this CPU. The gate stays closed for as long as the proof lives.
///
/// What could not be destructed before is tried once more: there is no proof while a set is in
/// quarantine.
pub fn drain(deadline: u64) -> Result<Proof, DrainFailed> {
    let guard = CpuGuard::new();
    let kept = core::mem::replace(&mut *KEPT.lock(), [const { None }; 16]);
    kept.into_iter().flatten().for_each(|set| give(&guard, set));
    match POOL.retry_quarantined(&guard) {
        Ok(0) => {}
        Ok(left) => log::warn!("{left} sets are still in quarantine"),
        Err(error) => log::warn!("quarantine: {error}"),
    }
    POOL.drain(&guard, &mut Patience { deadline })
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
            (0..xen::max_vcpus()).map(|cpu| proof.taken_from(CpuId(cpu)) as u64),
        )
        .num("depot", report.depot as u64)
        .num("sets", proof.sets() as u64)
        .num("in_use", proof.in_use() as u64)
        .num("in_flight", figures().in_flight)
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
