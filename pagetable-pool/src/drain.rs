//! Draining every CPU's cache from one CPU, invalidation, and closing for good.
#![allow(unsafe_code)] // each block states which of `local.rs`'s conditions it meets

use core::fmt;

use crate::backend::Backend;
use crate::error::{DrainError, Refused, WaitError};
use crate::gate;
use crate::grace::{Ticket, Wait};
use crate::guard::{Context, CpuId, CpuPinned};
use crate::magazine::Magazine;
use crate::order::MayLock;
use crate::pool::{PerCpu, Pool, BATCH};
use crate::sites;
use crate::sync::AtomicBool;
use crate::token::Generation;

/// Holding this proves that the pool is empty and stays so: the gate is closed, the cache of every possible CPU is empty, the
/// depot is empty, no deferred free waits, no operation that began before is under way, and no set is in quarantine. Sets that
/// are handed out are in use, not cached: they are the owner's to account for.
///
/// While it lives, `get` and `put_deferred` are refused, and `put` destructs. Dropping it opens the gate.
#[must_use = "dropping this opens the gate again"]
pub struct Drained<'p> {
    pool: &'p dyn Keeper,
    report: DrainReport,
}

/// What a drain did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Sets taken from CPUs' caches.
    pub cached: usize,
    /// Sets taken from the depot.
    pub depot: usize,
    /// Deferred frees that were finished.
    pub deferred: usize,
    /// Calls of the backend, a batch each.
    pub backend_calls: usize,
    /// Hypercalls that the backend spent on them.
    pub hypercalls: usize,
    /// TLB flushes that the backend spent on them.
    pub tlb_flushes: usize,
    /// Sets still cached after the drain. 0 in every build without the feature `switches`.
    pub left: usize,
    /// How long it took, on the caller's clock ([`Wait::now_ns`]).
    pub ns: u64,
}

/// What `Drained` asks of a pool, whatever its parameters.
trait Keeper {
    fn reopen(&self);
    fn swept(&self, cpu: CpuId) -> usize;
    fn in_use(&self) -> usize;
    fn next_generation(&self) -> Generation;
}

impl Drained<'_> {
    /// What the drain did.
    pub fn report(&self) -> &DrainReport {
        &self.report
    }

    /// Sets taken from one CPU's cache. 0 for a CPU that the pool has no place for.
    pub fn taken_from(&self, cpu: CpuId) -> usize {
        self.pool.swept(cpu)
    }

    /// Sets taken from caches and depot, and deferred frees finished.
    pub fn sets(&self) -> usize {
        self.report.cached + self.report.depot + self.report.deferred
    }

    /// Sets handed out at this moment. Other CPUs may still put them: they are then destructed.
    pub fn in_use(&self) -> usize {
        self.pool.in_use()
    }

    /// Deferred frees that wait: none.
    pub fn in_flight(&self) -> usize {
        0
    }

    /// Sets still cached: 0, unless a test build was told to leave some.
    pub fn left(&self) -> usize {
        self.report.left
    }

    /// Raises the construction generation while everything is drained, as after a migration to a host with other features.
    /// Sets that are in use are then of an old generation. Needs no grace period: nothing is cached.
    pub fn invalidate(&self) -> Generation {
        self.pool.next_generation()
    }
}

impl fmt::Debug for Drained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl Drop for Drained<'_> {
    fn drop(&mut self) {
        self.pool.reopen();
    }
}

/// What closing a pool for good found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// What the drain did.
    pub report: DrainReport,
    /// Sets that are still handed out. They can be put, and are then destructed.
    pub in_use: usize,
}

impl<B: Backend, const CPUS: usize, const MAGS: usize, const ROUNDS: usize> Keeper
    for Pool<B, CPUS, MAGS, ROUNDS>
{
    fn reopen(&self) {
        self.gate.open();
        sites::release_control(&self.control);
    }

    fn swept(&self, cpu: CpuId) -> usize {
        self.cpus
            .get(cpu.0)
            .map_or(0, |cpu| cpu.counters.last_swept.get())
    }

    fn in_use(&self) -> usize {
        self.stats_in_use()
    }

    fn next_generation(&self) -> Generation {
        self.gate.next_generation()
    }
}

/// Control of the pool: at most one CPU drains, invalidates, closes, or waits for deferred frees.
pub(crate) struct Control<'a>(&'a AtomicBool);

impl Drop for Control<'_> {
    fn drop(&mut self) {
        sites::release_control(self.0);
    }
}

type DrainResult<T, B> = Result<T, DrainError<<B as Backend>::Set, <B as Backend>::Error>>;

impl<B: Backend, const CPUS: usize, const MAGS: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGS, ROUNDS>
{
    /// This CPU's part, for an operation that waits for other CPUs.
    pub(crate) fn here_to_wait<G: CpuPinned>(
        &self,
        guard: &G,
    ) -> Result<(&PerCpu<B::Set, ROUNDS>, MayLock<'_>), Refused> {
        let (cpu, may) = self.here(guard)?;
        if !guard.context().contains(Context::MAY_WAIT) {
            cpu.counters.refused.add(1);
            return Err(Refused::WrongContext);
        }
        if cpu.local.is_busy() {
            return Err(Refused::Reentered);
        }
        Ok((cpu, may))
    }

    /// Takes control. While it waits, this CPU passes quiescent states: whoever has control may be waiting for it.
    pub(crate) fn take_control(
        &self,
        cpu: &PerCpu<B::Set, ROUNDS>,
        id: CpuId,
        wait: &mut impl Wait,
    ) -> Result<Control<'_>, Refused> {
        while !sites::try_control(&self.control) {
            self.grace.announce(&cpu.seen);
            if !wait.relax(id) {
                cpu.counters.refused.add(1);
                return Err(Refused::Busy);
            }
        }
        Ok(Control(&self.control))
    }

    /// Waits until every CPU has passed a quiescent state since the call.
    pub(crate) fn wait_for_grace(
        &self,
        cpu: &PerCpu<B::Set, ROUNDS>,
        wait: &mut impl Wait,
    ) -> Result<Ticket, WaitError> {
        let ticket = self.grace.start();
        self.grace.wait(
            ticket,
            || self.cpus.iter().map(|cpu| &cpu.seen),
            &cpu.seen,
            wait,
        )?;
        Ok(ticket)
    }

    /// Empties every CPU's cache and the depot, and finishes all deferred frees, from this CPU alone.
    ///
    /// Closes the gate, waits for a grace period, and then owns every cache. A CPU that is idle, parked or offline is neither
    /// woken nor interrupted. Afterwards every cache is looked at once more.
    ///
    /// # Errors
    /// [`DrainError`]; the gate is then open again.
    pub fn drain<G: CpuPinned>(
        &self,
        guard: &G,
        wait: &mut impl Wait,
    ) -> DrainResult<Drained<'_>, B> {
        let (cpu, may) = self.here_to_wait(guard)?;
        let control = self.take_control(cpu, guard.cpu(), wait)?;
        if gate::is_final(self.gate.read_by_control()) {
            return Err(DrainError::Refused(Refused::ClosedForGood));
        }
        self.gate.close(false);
        match self.drain_closed(cpu, may, wait) {
            Ok(report) => {
                // Its drop takes over: opens the gate, then gives up control.
                core::mem::forget(control);
                Ok(Drained { pool: self, report })
            }
            Err(error) => {
                self.gate.open();
                Err(error)
            }
        }
    }

    /// Closes the pool for good: drains it, and never opens the gate again. Sets that are still out are counted, and destructed
    /// when they come back.
    ///
    /// # Errors
    /// [`DrainError`]. After [`DrainError::Timeout`] the gate is open again and `close` may be tried again. After
    /// [`DrainError::Quarantined`] the pool is closed all the same.
    pub fn close<G: CpuPinned>(&self, guard: &G, wait: &mut impl Wait) -> DrainResult<Closed, B> {
        let (cpu, may) = self.here_to_wait(guard)?;
        let _control = self.take_control(cpu, guard.cpu(), wait)?;
        self.gate.close(false);
        match self.drain_closed(cpu, may, wait) {
            Ok(report) => {
                self.gate.close(true);
                Ok(Closed {
                    report,
                    in_use: self.stats_in_use(),
                })
            }
            Err(error @ DrainError::Quarantined { .. }) => {
                self.gate.close(true);
                Err(error)
            }
            Err(error) => {
                if !gate::is_final(self.gate.read_by_control()) {
                    self.gate.open();
                }
                Err(error)
            }
        }
    }

    /// Raises the construction generation and waits for a grace period. When this returns, no set that was constructed before
    /// the call can be handed out by any CPU, and every `get` that did hand one out has returned. Old sets in caches are
    /// destructed when their CPU next uses the pool, or by the next drain; those in the depot now; those in use when
    /// they are put.
    ///
    /// # Errors
    /// [`WaitError::Timeout`] names a CPU that may still be handing one out. The generation has gone up all the same.
    pub fn invalidate<G: CpuPinned>(
        &self,
        guard: &G,
        wait: &mut impl Wait,
    ) -> Result<Generation, WaitError> {
        let (cpu, may) = self.here_to_wait(guard)?;
        let _control = self.take_control(cpu, guard.cpu(), wait)?;
        let generation = self.gate.next_generation();
        self.wait_for_grace(cpu, wait)?;
        // Whatever is put into the depot from here on is new; the old ones are at the cold end.
        let word = self.gate.read_by_control();
        loop {
            let old = {
                let mut depot = self.depot.lock(may);
                match depot.coldest() {
                    Some(coldest) if !gate::same_generation(coldest.word, word) => depot.pop_cold(),
                    _ => None,
                }
            };
            let Some(old) = old else { break };
            cpu.counters.stale.add(old.len());
            // One that fails is in quarantine, counted and logged, and is not handed out either.
            let _ = self.destruct_cached(cpu, may, old.as_slice());
        }
        Ok(generation)
    }

    /// The gate is closed and this CPU has control.
    fn drain_closed(
        &self,
        cpu: &PerCpu<B::Set, ROUNDS>,
        may: MayLock<'_>,
        wait: &mut impl Wait,
    ) -> DrainResult<DrainReport, B> {
        let began = wait.now_ns();
        let before = self.spent_by(cpu);
        let over = self.wait_for_grace(cpu, wait)?;
        // A free that was deferred just before its CPU saw the closed gate may wait for the next grace period. There is none
        // after that: the gate is closed to them too.
        let newest = self.newest_deferred(may);
        if newest.max(over) != over {
            self.wait_for_grace(cpu, wait)?;
        }

        let mut sweep = Sweep {
            pool: self,
            cpu,
            may,
            filled: 0,
            batch: self.batch.lock(may),
        };
        let mut report = DrainReport::default();
        for (i, other) in self.cpus.iter().enumerate() {
            let mut swept = 0;
            // SAFETY: control is held, the gate is closed, and a grace period has passed since.
            let take = || unsafe {
                other
                    .local
                    .with_drained(|cache| (cache.len() > 0).then(|| cache.take_cold()))
            };
            while let Some(taken) = if self.is_skipped(CpuId(i)) {
                None
            } else {
                take()
            } {
                swept += taken.len();
                sweep.add_cached(&taken);
            }
            if swept > 0 {
                other.counters.swept.add(swept);
            }
            if swept != other.counters.last_swept.get() {
                other.counters.last_swept.set(swept);
            }
            report.cached += swept;
        }
        while !self.is_nothing_drained() {
            let Some(magazine) = self.depot.lock(may).pop_cold() else {
                break;
            };
            report.depot += magazine.len();
            sweep.add_cached(&magazine);
        }
        for other in self
            .cpus
            .iter()
            .filter(|cpu| cpu.counters.pending.get() > 0)
        {
            while let Some(waiting) = self.take_deferred(other, may, |_| true) {
                report.deferred += 1;
                sweep.add(waiting.set);
            }
        }
        while let Some(waiting) = self.take_orphan(may, |_| true) {
            report.deferred += 1;
            sweep.add(waiting.set);
        }
        sweep.flush();
        drop(sweep);
        cpu.counters.collected.add(report.deferred);

        // Disable, drain, then check.
        report.left = self.depot.lock(may).sets();
        for other in &self.cpus {
            // SAFETY: as above.
            report.left += unsafe { other.local.with_drained(|cache| cache.len()) };
        }
        let quarantine = self.quarantine.lock(may);
        if let Some((set, reason)) = quarantine.first() {
            return Err(DrainError::Quarantined {
                count: quarantine.len(),
                set,
                reason,
            });
        }
        drop(quarantine);
        if report.left > 0 && !cfg!(feature = "switches") {
            log::error!("pool: {} sets are left after a drain", report.left);
            return Err(DrainError::NotEmpty(report.left));
        }
        let after = self.spent_by(cpu);
        report.backend_calls = after.0.wrapping_sub(before.0);
        report.hypercalls = after.1.wrapping_sub(before.1);
        report.tlb_flushes = after.2.wrapping_sub(before.2);
        report.ns = wait.now_ns().saturating_sub(began);
        self.drains.add(1);
        let ns = usize::try_from(report.ns).unwrap_or(usize::MAX);
        self.longest_drain_ns
            .set(self.longest_drain_ns.get().max(ns));
        Ok(report)
    }

    fn newest_deferred(&self, may: MayLock<'_>) -> Ticket {
        let mut newest = self.orphans.lock(may).newest();
        for cpu in self
            .cpus
            .iter()
            .filter(|cpu| cpu.counters.pending.get() > 0)
        {
            newest = newest.max(cpu.deferred.lock(may).last_ticket());
        }
        newest
    }

    fn spent_by(&self, cpu: &PerCpu<B::Set, ROUNDS>) -> (usize, usize, usize) {
        let counters = &cpu.counters;
        (
            counters.backend_calls.get(),
            counters.hypercalls.get(),
            counters.tlb_flushes.get(),
        )
    }

    #[cfg(not(feature = "switches"))]
    fn is_skipped(&self, _: CpuId) -> bool {
        false
    }

    #[cfg(not(feature = "switches"))]
    fn is_nothing_drained(&self) -> bool {
        false
    }
}

/// Sets on their way out, gathered into large batches.
struct Sweep<'a, B: Backend, const CPUS: usize, const MAGS: usize, const ROUNDS: usize> {
    pool: &'a Pool<B, CPUS, MAGS, ROUNDS>,
    cpu: &'a PerCpu<B::Set, ROUNDS>,
    may: MayLock<'a>,
    filled: usize,
    batch: crate::order::RankedGuard<'a, [B::Set; BATCH]>,
}

impl<B: Backend, const CPUS: usize, const MAGS: usize, const ROUNDS: usize>
    Sweep<'_, B, CPUS, MAGS, ROUNDS>
{
    fn add_cached(&mut self, magazine: &Magazine<B::Set, ROUNDS>) {
        for &set in magazine.as_slice() {
            if crate::CHECKS && !self.pool.backend.unpoison(set) {
                log::error!("pool: {set:?} was written to while it was free");
            }
            self.add(set);
        }
    }

    fn add(&mut self, set: B::Set) {
        self.batch[self.filled] = set;
        self.filled += 1;
        if self.filled == BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        // One that fails is in quarantine, and the drain finds it there.
        let _ = self
            .pool
            .destruct(self.cpu, self.may, &self.batch[..self.filled]);
        self.filled = 0;
    }
}
