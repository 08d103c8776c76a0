//! Counters and statistics.

use core::fmt;
use core::sync::atomic::{AtomicUsize as OwnUsize, Ordering as OwnOrdering};

/// A counter with one writer at a time: its CPU, or who holds control. Anybody may read it. Wraps.
#[derive(Default)]
pub(crate) struct Counter(OwnUsize);

impl Counter {
    pub(crate) const fn new() -> Self {
        Counter(OwnUsize::new(0))
    }

    pub(crate) const fn starting_at(n: usize) -> Self {
        Counter(OwnUsize::new(n))
    }

    #[inline(always)]
    pub(crate) fn add(&self, n: usize) {
        // No read-modify-write: there is one writer.
        self.0.store(
            self.0.load(OwnOrdering::Relaxed).wrapping_add(n),
            OwnOrdering::Relaxed,
        );
    }

    /// Adds, and publishes what came before: who reads the new count with
    /// [`get_acquired`](Counter::get_acquired) sees it.
    #[inline(always)]
    pub(crate) fn add_released(&self, n: usize) {
        self.0.store(
            self.0.load(OwnOrdering::Relaxed).wrapping_add(n),
            OwnOrdering::Release,
        );
    }

    /// Adds from where another writer may have been interrupted.
    #[cold]
    pub(crate) fn add_from_anywhere(&self, n: usize) {
        self.0.fetch_add(n, OwnOrdering::Relaxed);
    }

    pub(crate) fn get_acquired(&self) -> usize {
        self.0.load(OwnOrdering::Acquire)
    }

    pub(crate) fn set(&self, n: usize) {
        self.0.store(n, OwnOrdering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(OwnOrdering::Relaxed)
    }
}

/// What one CPU has counted.
#[derive(Default)]
pub(crate) struct Counters {
    /// Gets served from this CPU's cache.
    pub(crate) hits: Counter,
    /// Puts that went into this CPU's cache.
    pub(crate) kept: Counter,
    /// Gets that found the cache empty.
    pub(crate) misses: Counter,
    /// Gets served on a miss.
    pub(crate) served: Counter,
    /// Sets that came back and did not go into the cache: destructed, or deferred.
    pub(crate) returned: Counter,
    /// Sets that came into the cache, not by a put.
    pub(crate) filled: Counter,
    /// Sets that left the cache, not by a get, taken by this CPU.
    pub(crate) removed: Counter,
    /// Sets that left the cache, taken by a drainer. Written by who holds control.
    pub(crate) swept: Counter,
    /// Sets taken from the cache by the last drain. Written by who holds control.
    pub(crate) last_swept: Counter,
    pub(crate) deferred: Counter,
    /// Deferred frees of this CPU that wait. Written under the lock that guards them.
    pub(crate) pending: Counter,
    /// Deferred sets, of whichever CPU, whose grace period this CPU found over.
    pub(crate) collected: Counter,
    pub(crate) constructed: Counter,
    pub(crate) destructed: Counter,
    pub(crate) stale: Counter,
    pub(crate) failed: Counter,
    pub(crate) backend_calls: Counter,
    pub(crate) hypercalls: Counter,
    pub(crate) tlb_flushes: Counter,
    pub(crate) refused: Counter,
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Counters {
            hits: Counter::new(),
            kept: Counter::new(),
            misses: Counter::new(),
            served: Counter::new(),
            returned: Counter::new(),
            filled: Counter::new(),
            removed: Counter::new(),
            swept: Counter::new(),
            last_swept: Counter::new(),
            deferred: Counter::new(),
            pending: Counter::new(),
            collected: Counter::new(),
            constructed: Counter::new(),
            destructed: Counter::new(),
            stale: Counter::new(),
            failed: Counter::new(),
            backend_calls: Counter::new(),
            hypercalls: Counter::new(),
            tlb_flushes: Counter::new(),
            refused: Counter::new(),
        }
    }

    /// Sets in this CPU's cache.
    pub(crate) fn cached(&self) -> usize {
        let into = self.kept.get().wrapping_add(self.filled.get());
        let out = self
            .hits
            .get()
            .wrapping_add(self.removed.get())
            .wrapping_add(self.swept.get());
        into.wrapping_sub(out)
    }
}

/// What one CPU has done with the pool since it was set up. Exact once the CPU rests; a moment old
/// while it runs. The counters are machine words and wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CpuStats {
    /// Not idle, parked or offline.
    pub running: bool,
    /// Gets served from this CPU's cache.
    pub hits: usize,
    /// Gets that went to the depot or the backend.
    pub misses: usize,
    /// Sets constructed by this CPU.
    pub constructed: usize,
    /// Sets destructed by this CPU.
    pub destructed: usize,
    /// Sets in this CPU's cache now.
    pub cached: usize,
    /// Frees deferred on this CPU.
    pub deferred: usize,
    /// Sets of an old generation that this CPU found, in its cache or in a put, and destructed.
    pub stale_refused: usize,
    /// Calls of the backend by this CPU that failed.
    pub failed: usize,
    /// Operations refused on this CPU: closed gate, wrong context.
    pub refused: usize,
    /// Calls of the backend, a batch each.
    pub backend_calls: usize,
    /// Hypercalls that the backend spent.
    pub hypercalls: usize,
    /// TLB flushes that the backend spent.
    pub tlb_flushes: usize,
}

/// The whole pool's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The sums over all CPUs; `running` says whether any is.
    pub total: CpuStats,
    /// Sets in the depot.
    pub depot: usize,
    /// The most sets the depot has held.
    pub depot_peak: usize,
    /// Sets handed out. While CPUs get and put: never fewer than are out all the while.
    pub in_use: usize,
    /// Deferred frees that wait.
    pub in_flight: usize,
    /// Deferred frees that found their CPU's array full and went to its list.
    pub deferred_overflow: usize,
    /// Sets in quarantine.
    pub quarantined: usize,
    /// Drains that gave a proof.
    pub drains: usize,
    /// The longest of them, in nanoseconds of the caller's clock
    /// ([`Wait::now_ns`](crate::Wait::now_ns)).
    pub longest_drain_ns: usize,
    /// The construction generation.
    pub generation: u32,
}

impl CpuStats {
    pub(crate) fn add(&mut self, other: &CpuStats) {
        self.running |= other.running;
        for (to, from) in [
            (&mut self.hits, other.hits),
            (&mut self.misses, other.misses),
            (&mut self.constructed, other.constructed),
            (&mut self.destructed, other.destructed),
            (&mut self.cached, other.cached),
            (&mut self.deferred, other.deferred),
            (&mut self.stale_refused, other.stale_refused),
            (&mut self.failed, other.failed),
            (&mut self.refused, other.refused),
            (&mut self.backend_calls, other.backend_calls),
            (&mut self.hypercalls, other.hypercalls),
            (&mut self.tlb_flushes, other.tlb_flushes),
        ] {
            *to = to.wrapping_add(from);
        }
    }
}

impl fmt::Display for CpuStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} hits, {} misses, {} cached, {} constructed, {} destructed, {} stale, {} backend calls, {} hypercalls",
            self.hits,
            self.misses,
            self.cached,
            self.constructed,
            self.destructed,
            self.stale_refused,
            self.backend_calls,
            self.hypercalls
        )
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; {} in the depot, {} in use, {} in flight, {} in quarantine; {} drains, longest {} ns; generation {}",
            self.total,
            self.depot,
            self.in_use,
            self.in_flight,
            self.quarantined,
            self.drains,
            self.longest_drain_ns,
            self.generation
        )
    }
}
