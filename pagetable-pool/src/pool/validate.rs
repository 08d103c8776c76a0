//! Looking at the figures, and checking that they add up.

use core::fmt;

use super::Pool;
use crate::backend::Backend;
use crate::checks::CHECKS;
use crate::error::Refused;
use crate::guard::{CpuId, CpuPinned};
use crate::local::PerCpu;
use crate::order::MayLock;
use crate::stats::{CpuStats, Stats};

/// Something in the pool does not add up: a bug in the pool or in the backend, or memory written
/// over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid<S> {
    /// Nothing was looked at.
    Refused(Refused),
    /// A place that should hold a set holds [`Backend::EMPTY`].
    EmptyPlace,
    /// A set is cached twice.
    Twice(S),
    /// A cached set carries a mark that is not this pool's, or says it is not cached. Only with
    /// [`Backend::mark`].
    WrongMark(S),
    /// The counters do not agree with what is there. Said of a pool at rest only, see
    /// [`Pool::validate`].
    Count {
        /// What was counted.
        what: &'static str,
        /// By the counters.
        counted: usize,
        /// By looking.
        found: usize,
    },
}

impl<S: fmt::Debug> fmt::Display for Invalid<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Refused(refused) => fmt::Display::fmt(refused, f),
            Invalid::EmptyPlace => f.write_str("a place that should hold a set is empty"),
            Invalid::Twice(set) => write!(f, "{set:?} is cached twice"),
            Invalid::WrongMark(set) => {
                write!(f, "{set:?} is cached, and its mark says otherwise")
            }
            Invalid::Count {
                what,
                counted,
                found,
            } => {
                write!(f, "sets {what}: {counted} counted, {found} found")
            }
        }
    }
}

impl<S: fmt::Debug> core::error::Error for Invalid<S> {}

impl<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGAZINES, ROUNDS>
{
    /// One CPU's figures; none for a CPU that the pool has no place for. From any context.
    pub fn cpu_stats(&self, cpu: CpuId) -> Option<CpuStats> {
        self.cpus.get(cpu).map(figures)
    }

    /// All figures. Takes each lock for a moment, so not from an NMI.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn stats<G: CpuPinned>(&self, guard: &G) -> Result<Stats, Refused> {
        let (_, may) = self.here(guard)?;
        let mut stats = Stats::default();
        for cpu in self.cpus.iter() {
            stats.total.add(&figures(cpu));
        }
        (stats.in_flight, stats.deferred_overflow) = self.count_in_flight(may);
        let depot = self.depot.lock(may);
        stats.depot = depot.sets();
        stats.depot_peak = depot.peak;
        drop(depot);
        stats.quarantined = self.quarantine.lock(may).len();
        stats.in_use = self.count_in_use();
        stats.drains = self.drains.get();
        stats.longest_drain_ns = self.longest_drain_ns.get();
        stats.generation = self.cpus.gate_word().generation().get();
        Ok(stats)
    }

    /// Deferred frees that wait, and how many have overflowed ever. One that moves meanwhile may be
    /// counted twice, and is not missed: the CPUs first, and then where their sets go.
    pub(super) fn count_in_flight(&self, may: MayLock<'_>) -> (usize, usize) {
        let (mut waiting, mut overflowed) = (0, 0);
        for cpu in self
            .cpus
            .iter()
            .filter(|cpu| cpu.counters.deferred.get() > 0)
        {
            let deferred = cpu.deferred.lock(may);
            waiting += deferred.len();
            overflowed += deferred.overflowed;
        }
        (waiting + self.left_behind.lock(may).len(), overflowed)
    }

    /// Sets that are handed out. Never fewer than are out from the beginning of the call to its
    /// end: those that came back are counted first, so a set that comes back meanwhile counts as
    /// out, and never one that came back without having gone out.
    pub(super) fn count_in_use(&self) -> usize {
        let back = self.cpus.iter().fold(0usize, |sum, cpu| {
            // Acquired: whoever put the set had got it from whoever counted it as handed out.
            sum.wrapping_add(cpu.counters.kept.get_acquired())
                .wrapping_add(cpu.counters.returned.get_acquired())
        });
        let out = self.cpus.iter().fold(0usize, |sum, cpu| {
            sum.wrapping_add(cpu.counters.hits.get())
                .wrapping_add(cpu.counters.served.get())
        });
        out.wrapping_sub(back)
    }

    /// Checks this CPU's cache and the depot set by set, and its counters; and, if `at_rest` (no
    /// other CPU is inside the pool), that every set ever constructed is accounted for. For debug
    /// builds and tests: takes time quadratic in what is cached.
    ///
    /// # Errors
    /// [`Invalid`] says what does not add up.
    pub fn validate<G: CpuPinned>(&self, guard: &G, at_rest: bool) -> Result<(), Invalid<B::Set>> {
        let (here, may) = self.here(guard).map_err(Invalid::Refused)?;
        let mut op = self.claim(&here).map_err(Invalid::Refused)?;
        self.throw_out_stale(&here, may, &mut op);
        let depot = self.depot.lock(may);
        op.with(|cache| {
            let sets = || {
                cache.iter().chain(
                    depot
                        .iter()
                        .flat_map(|magazine| magazine.as_slice().iter().copied()),
                )
            };
            for (i, set) in sets().enumerate() {
                if set == B::EMPTY {
                    return Err(Invalid::EmptyPlace);
                }
                if sets().skip(i + 1).any(|other| other == set) {
                    return Err(Invalid::Twice(set));
                }
                if CHECKS && !crate::marks::is_cached(&self.backend, set, self.id.get()) {
                    return Err(Invalid::WrongMark(set));
                }
            }
            check("in this CPU's cache", here.counters.cached(), cache.len())
        })?;
        check(
            "in the depot",
            depot.sets(),
            depot.iter().map(|magazine| magazine.len()).sum(),
        )?;
        drop(depot);
        drop(op);
        if !at_rest {
            return Ok(());
        }
        let stats = self.stats(guard).map_err(Invalid::Refused)?;
        let pending = self.cpus.iter().fold(0usize, |sum, cpu| {
            sum.wrapping_add(cpu.counters.deferred.get())
                .wrapping_sub(cpu.counters.collected.get())
        });
        check("in flight", pending, stats.in_flight)?;
        let alive = stats.total.constructed.wrapping_sub(stats.total.destructed);
        let accounted =
            stats.total.cached + stats.depot + stats.in_use + stats.in_flight + stats.quarantined;
        check("constructed and not destructed", alive, accounted)
    }
}

fn check<S>(what: &'static str, counted: usize, found: usize) -> Result<(), Invalid<S>> {
    if counted == found {
        Ok(())
    } else {
        Err(Invalid::Count {
            what,
            counted,
            found,
        })
    }
}

fn figures<S: Copy, const ROUNDS: usize>(cpu: &PerCpu<S, ROUNDS>) -> CpuStats {
    let c = &cpu.counters;
    CpuStats {
        running: cpu.seen.is_running(),
        hits: c.hits.get(),
        misses: c.misses.get(),
        constructed: c.constructed.get(),
        destructed: c.destructed.get(),
        // Read while the CPU works, of two counters one may be newer.
        cached: c.cached().min(2 * ROUNDS),
        deferred: c.deferred.get(),
        stale_refused: c.stale.get(),
        failed: c.failed.get(),
        refused: c.refused.get(),
        backend_calls: c.backend_calls.get(),
        hypercalls: c.hypercalls.get(),
        tlb_flushes: c.tlb_flushes.get(),
    }
}
