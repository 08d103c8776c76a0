//! Draining every CPU's cache from one CPU, invalidation, reclaim, and closing for good.

use core::fmt;

use super::{On, Pool, BATCH};
use crate::backend::Backend;
use crate::checks::CHECKS;
use crate::error::{DrainError, Refused, WaitError};
use crate::gate::Control;
use crate::grace::{Ticket, Wait};
use crate::guard::{CpuId, CpuPinned};
use crate::local::{Here, Ownership, PerCpu};
use crate::magazine::Magazine;
use crate::order::{MayLock, RankedGuard};
use crate::word::Generation;

/// Holding this proves that one pool is empty and stays so: the gate is closed, the cache of every
/// possible CPU is empty, the depot is empty, no deferred free waits, no operation that began
/// before is under way, and no set is in quarantine. Sets that are handed out are in use, not
/// cached: they are the owner's to account for.
///
/// While it lives, nothing that anybody calls changes that: `get` and `put_deferred` are refused,
/// and `put` destructs, or gives the set back if it cannot. [`is_of`](Drained::is_of) says which
/// pool it is about, and [`recheck`](Drained::recheck) looks at all of it once more. Dropping it
/// opens the gate.
#[must_use = "dropping this opens the gate again"]
pub struct Drained<'p> {
    pool: &'p dyn Keeper,
    owner: Ownership<'p>,
    report: DrainReport,
}

/// What a drain did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
    /// Sets still cached after the drain. 0 in every build without `--cfg pool_switches`.
    pub left: usize,
    /// How long it took, on the caller's clock ([`Wait::now_ns`]).
    pub ns: u64,
}

/// What [`Drained::recheck`] found: a proof that does not hold, which is the pool's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broken {
    /// Nothing was looked at.
    Refused(Refused),
    /// Sets are kept.
    Kept {
        /// In CPUs' caches and the depot.
        cached: usize,
        /// Deferred frees that wait.
        in_flight: usize,
        /// In quarantine.
        quarantined: usize,
    },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Refused(refused) => fmt::Display::fmt(refused, f),
            Broken::Kept {
                cached,
                in_flight,
                quarantined,
            } => write!(
                f,
                "a proof lives, and the pool has {cached} sets cached, {in_flight} in flight, {quarantined} in quarantine"
            ),
        }
    }
}

impl core::error::Error for Broken {}

/// What `Drained` asks of a pool, whatever its parameters.
trait Keeper {
    fn swept(&self, cpu: CpuId) -> usize;
    fn in_use(&self) -> usize;
    fn kept(
        &self,
        owner: &Ownership<'_>,
        guard: &dyn CpuPinned,
    ) -> Result<(usize, usize, usize), Refused>;
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

    /// Sets still cached: 0, unless a test build was told to leave some.
    pub fn left(&self) -> usize {
        self.report.left
    }

    /// Whether this is a proof about `pool`. A kernel with several pools checks this before it
    /// relies on the proof.
    pub fn is_of<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize>(
        &self,
        pool: &Pool<B, CPUS, MAGAZINES, ROUNDS>,
    ) -> bool {
        core::ptr::addr_eq(self.pool, pool)
    }

    /// Looks at every cache, the depot, the deferred frees and the quarantine once more. For the
    /// caller that relies on the proof.
    ///
    /// # Errors
    /// [`Broken::Kept`]: there is more than the drain left (nothing). [`Broken::Refused`] if the context may not take locks.
    pub fn recheck<G: CpuPinned>(&self, guard: &G) -> Result<(), Broken> {
        let (cached, in_flight, quarantined) = self
            .pool
            .kept(&self.owner, guard)
            .map_err(Broken::Refused)?;
        if (cached, in_flight, quarantined) == (self.report.left, 0, 0) {
            return Ok(());
        }
        Err(Broken::Kept {
            cached,
            in_flight,
            quarantined,
        })
    }

    /// Raises the construction generation while everything is drained, as after a migration to a
    /// host with other features. Sets that are in use are then of an old generation. Needs no grace
    /// period: nothing is cached.
    pub fn invalidate(&self) -> Generation {
        self.owner.shut().next_generation()
    }
}

impl fmt::Debug for Drained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

/// What closing a pool for good found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// What the drain did.
    pub report: DrainReport,
    /// Sets that are still handed out. They can be put, and are then destructed.
    pub in_use: usize,
}

/// What [`Pool::reclaim`] brought back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reclaimed {
    /// Sets that went from CPUs' caches to the depot, where every CPU finds them.
    pub to_depot: usize,
    /// Sets destructed: deferred frees, sets of an old generation, and what the depot has no room
    /// for.
    pub destructed: usize,
}

impl<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize> Keeper
    for Pool<B, CPUS, MAGAZINES, ROUNDS>
{
    fn swept(&self, cpu: CpuId) -> usize {
        self.cpus
            .get(cpu)
            .map_or(0, |cpu| cpu.counters.last_swept.get())
    }

    fn in_use(&self) -> usize {
        self.count_in_use()
    }

    fn kept(
        &self,
        owner: &Ownership<'_>,
        guard: &dyn CpuPinned,
    ) -> Result<(usize, usize, usize), Refused> {
        let (_, may) = self.here(guard)?;
        let in_flight = self.count_in_flight(may).0;
        Ok((
            self.count_owned(owner, may),
            in_flight,
            self.quarantine.lock(may).len(),
        ))
    }
}

type DrainResult<T, B> = Result<T, DrainError<<B as Backend>::Set, <B as Backend>::Error>>;

impl<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGAZINES, ROUNDS>
{
    /// This CPU's part, for an operation that waits for other CPUs.
    pub(super) fn here_to_wait<'a, G: CpuPinned>(
        &'a self,
        guard: &'a G,
    ) -> Result<(On<'a, B, ROUNDS>, MayLock<'a>), Refused> {
        let (here, may) = self.here(guard)?;
        if !here.may_wait() {
            here.counters.refused.add_from_anywhere(1);
            return Err(Refused::WrongContext);
        }
        if here.is_busy() {
            return Err(Refused::Reentered);
        }
        Ok((here, may))
    }

    /// Takes control. While it waits, this CPU passes quiescent states: whoever has control may be
    /// waiting for it.
    pub(super) fn take_control(
        &self,
        here: &On<'_, B, ROUNDS>,
        wait: &mut impl Wait,
    ) -> Result<Control<'_>, Refused> {
        loop {
            if let Some(control) = self.cpus.try_control() {
                return Ok(control);
            }
            here.pass();
            if !wait.relax(here.id()) {
                here.counters.refused.add_from_anywhere(1);
                return Err(Refused::Busy);
            }
        }
    }

    /// Empties every CPU's cache and the depot, and finishes all deferred frees, from this CPU
    /// alone.
    ///
    /// Closes the gate, waits for a grace period, and then owns every cache. A CPU that is idle,
    /// parked or offline is neither woken nor interrupted. Afterwards every cache is looked at once
    /// more.
    ///
    /// # Errors
    /// [`DrainError`]; the gate is then open again.
    pub fn drain<G: CpuPinned>(
        &self,
        guard: &G,
        wait: &mut impl Wait,
    ) -> DrainResult<Drained<'_>, B> {
        let (here, may) = self.here_to_wait(guard)?;
        let control = self.take_control(&here, wait)?;
        if control.word().is_final() {
            return Err(DrainError::Refused(Refused::ClosedForGood));
        }
        let began = wait.now_ns();
        let mut owner = self.own(control, &here, may, wait)?;
        let report = self.empty(&mut owner, &here, may)?;
        let report = self.finish_drain(report, wait.now_ns().saturating_sub(began));
        Ok(Drained {
            pool: self,
            owner,
            report,
        })
    }

    /// Closes the pool for good: drains it, and never opens the gate again. Sets that are still out
    /// are counted, and destructed when they come back.
    ///
    /// # Errors
    /// [`DrainError`]. After [`DrainError::Timeout`] the gate is open again and `close` may be tried again. After
    /// [`DrainError::Quarantined`] the pool is closed all the same.
    pub fn close<G: CpuPinned>(&self, guard: &G, wait: &mut impl Wait) -> DrainResult<Closed, B> {
        let (here, may) = self.here_to_wait(guard)?;
        let control = self.take_control(&here, wait)?;
        let began = wait.now_ns();
        let mut owner = self.own(control, &here, may, wait)?;
        let result = self.empty(&mut owner, &here, may);
        if matches!(result, Ok(_) | Err(DrainError::Quarantined { .. })) {
            owner.shut().for_good();
        }
        Ok(Closed {
            report: self.finish_drain(result?, wait.now_ns().saturating_sub(began)),
            in_use: self.count_in_use(),
        })
    }

    /// Makes free sets usable by every CPU: moves the sets of every CPU's cache into the depot, as
    /// far as it has room, and destructs the rest and all deferred sets. For a kernel whose
    /// [`get`](Pool::get) gave [`GetError::Hoarded`](crate::GetError::Hoarded), which then tries
    /// again. Waits like a drain; meanwhile `get` is refused.
    ///
    /// # Errors
    /// [`DrainError`]. [`DrainError::Quarantined`]: all else is done.
    pub fn reclaim<G: CpuPinned>(
        &self,
        guard: &G,
        wait: &mut impl Wait,
    ) -> DrainResult<Reclaimed, B> {
        let (here, may) = self.here_to_wait(guard)?;
        let control = self.take_control(&here, wait)?;
        let word = control.word();
        if word.is_final() {
            return Err(DrainError::Refused(Refused::ClosedForGood));
        }
        let quarantined = self.quarantine.lock(may).len();
        let mut owner = self.own(control, &here, may, wait)?;
        let mut sweep = Sweep::new(self, &here, may);
        let mut reclaimed = Reclaimed::default();
        for cpu in self.cpus.iter() {
            let mut swept = 0;
            while let Some(taken) = self.take_owned(&mut owner, cpu) {
                swept += taken.len();
                let room = if taken.word.is_of_generation_of(word) {
                    let high = self.high_water.get();
                    self.depot.lock(may).push_warm(taken, high)
                } else {
                    Err(taken)
                };
                match room {
                    Ok(()) => reclaimed.to_depot += taken.len(),
                    Err(taken) => {
                        reclaimed.destructed += taken.len();
                        sweep.add_cached(&taken);
                    }
                }
            }
            cpu.counters.swept.add(swept);
        }
        reclaimed.destructed += self.sweep_deferred(&mut sweep, &here, may);
        sweep.flush();
        drop(sweep);
        let now = self.quarantine.lock(may);
        match now.first() {
            Some((set, reason)) if now.len() > quarantined => Err(DrainError::Quarantined {
                count: now.len(),
                set,
                reason,
            }),
            _ => Ok(reclaimed),
        }
    }

    /// Raises the construction generation and waits for a grace period. When this returns, no set
    /// that was constructed before the call can be handed out by any CPU, and every `get` that did
    /// hand one out has returned. Old sets in caches are destructed when their CPU next uses the
    /// pool, or by the next drain; those in the depot now; those in use when they are put.
    ///
    /// # Errors
    /// [`WaitError::Timeout`] names a CPU that may still be handing one out. The generation has gone up all the same.
    pub fn invalidate<G: CpuPinned>(
        &self,
        guard: &G,
        wait: &mut impl Wait,
    ) -> Result<Generation, WaitError> {
        let (here, may) = self.here_to_wait(guard)?;
        let control = self.take_control(&here, wait)?;
        let generation = control.next_generation();
        self.cpus.wait_for_grace(&here, wait)?;
        // Whatever is put into the depot from here on is new; the old ones are at the cold end.
        let word = control.word();
        loop {
            let old = {
                let mut depot = self.depot.lock(may);
                match depot.coldest() {
                    Some(coldest) if !coldest.word.is_of_generation_of(word) => depot.pop_cold(),
                    _ => None,
                }
            };
            let Some(old) = old else { break };
            here.counters.stale.add(old.len());
            // One that fails is in quarantine, counted and logged, and is not handed out either.
            let _ = self.destruct_cached(&here, may, old.as_slice());
        }
        Ok(generation)
    }

    /// Closes the gate and waits until all caches, and all deferred frees, are this CPU's.
    fn own<'p>(
        &'p self,
        control: Control<'p>,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
        wait: &mut impl Wait,
    ) -> DrainResult<Ownership<'p>, B> {
        let (owner, over) = self.cpus.own(control.close(), here, wait)?;
        // A free that was deferred just before its CPU saw the closed gate may wait for the next
        // grace period. There is none after that: the gate is closed to them too.
        let newest = self.newest_deferred(may);
        if newest != Ticket::NONE && newest.max(over) != over {
            self.cpus.wait_for_grace(here, wait)?;
        }
        Ok(owner)
    }

    /// Destructs everything that is cached or deferred, then checks that nothing is left. Returns
    /// what was taken and spent.
    fn empty(
        &self,
        owner: &mut Ownership<'_>,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
    ) -> DrainResult<DrainReport, B> {
        let before = spent(here);
        let mut report = DrainReport::default();
        let mut sweep = Sweep::new(self, here, may);
        report.cached = self.sweep_caches(&mut sweep, owner);
        report.depot = self.sweep_depot(&mut sweep, may);
        report.deferred = self.sweep_deferred(&mut sweep, here, may);
        sweep.flush();
        drop(sweep);
        let after = spent(here);
        report.backend_calls = after.0.wrapping_sub(before.0);
        report.hypercalls = after.1.wrapping_sub(before.1);
        report.tlb_flushes = after.2.wrapping_sub(before.2);
        // Close, wait, take, check.
        report.left = self.count_owned(owner, may);
        let quarantine = self.quarantine.lock(may);
        if let Some((set, reason)) = quarantine.first() {
            return Err(DrainError::Quarantined {
                count: quarantine.len(),
                set,
                reason,
            });
        }
        if report.left > 0 && !self.spares_anything() {
            log::error!("pool: {} sets are left after a drain", report.left);
            return Err(DrainError::NotEmpty(report.left));
        }
        Ok(report)
    }

    fn finish_drain(&self, mut report: DrainReport, ns: u64) -> DrainReport {
        report.ns = ns;
        self.drains.add(1);
        let ns = usize::try_from(ns).unwrap_or(usize::MAX);
        self.longest_drain_ns
            .set(self.longest_drain_ns.get().max(ns));
        report
    }

    fn sweep_caches(
        &self,
        sweep: &mut Sweep<'_, '_, B, CPUS, MAGAZINES, ROUNDS>,
        owner: &mut Ownership<'_>,
    ) -> usize {
        let mut all = 0;
        for (id, cpu) in self.cpus.iter().enumerate() {
            let swept = if self.spares(CpuId(id)) {
                0
            } else {
                self.sweep_cache(sweep, owner, cpu)
            };
            if swept > 0 {
                cpu.counters.swept.add(swept);
            }
            if swept != cpu.counters.last_swept.get() {
                cpu.counters.last_swept.set(swept);
            }
            all += swept;
        }
        all
    }

    fn sweep_cache(
        &self,
        sweep: &mut Sweep<'_, '_, B, CPUS, MAGAZINES, ROUNDS>,
        owner: &mut Ownership<'_>,
        cpu: &PerCpu<B::Set, ROUNDS>,
    ) -> usize {
        let mut swept = 0;
        while let Some(taken) = self.take_owned(owner, cpu) {
            swept += taken.len();
            sweep.add_cached(&taken);
        }
        swept
    }

    fn take_owned(
        &self,
        owner: &mut Ownership<'_>,
        cpu: &PerCpu<B::Set, ROUNDS>,
    ) -> Option<Magazine<B::Set, ROUNDS>> {
        self.cpus.with_owned(owner, cpu, |cache| {
            (cache.len() > 0).then(|| cache.take_cold())
        })
    }

    fn sweep_depot(
        &self,
        sweep: &mut Sweep<'_, '_, B, CPUS, MAGAZINES, ROUNDS>,
        may: MayLock<'_>,
    ) -> usize {
        if self.spares_depot() {
            return 0;
        }
        // Unlocked before the set is destructed.
        let coldest = || self.depot.lock(may).pop_cold();
        let mut sets = 0;
        while let Some(magazine) = coldest() {
            sets += magazine.len();
            sweep.add_cached(&magazine);
        }
        sets
    }

    /// All deferred frees: every grace period that one could wait for is over.
    fn sweep_deferred(
        &self,
        sweep: &mut Sweep<'_, '_, B, CPUS, MAGAZINES, ROUNDS>,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
    ) -> usize {
        let mut sets = 0;
        // The CPUs first, and then where their sets go.
        let cpus = self.cpus.iter();
        for cpu in cpus.filter(|cpu| cpu.counters.pending.get() > 0) {
            while let Some(waiting) = self.take_deferred(cpu, may, |_| true) {
                sets += 1;
                sweep.add(waiting.set);
            }
        }
        while let Some(waiting) = self.take_left_behind(may, |_| true) {
            sets += 1;
            sweep.add(waiting.set);
        }
        here.counters.collected.add(sets);
        sets
    }

    /// Sets in every cache and in the depot, seen by whoever owns them.
    fn count_owned(&self, owner: &Ownership<'_>, may: MayLock<'_>) -> usize {
        let cached = self.cpus.iter();
        let cached = cached.map(|cpu| self.cpus.look_at_owned(owner, cpu, |cache| cache.len()));
        cached.sum::<usize>() + self.depot.lock(may).sets()
    }
}

/// What a test build was told to leave alone. A build without `--cfg pool_switches` spares nothing.
#[cfg(not(pool_switches))]
impl<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGAZINES, ROUNDS>
{
    fn spares(&self, _: CpuId) -> bool {
        false
    }

    fn spares_depot(&self) -> bool {
        false
    }

    fn spares_anything(&self) -> bool {
        false
    }
}

fn spent<S: Copy, const ROUNDS: usize>(here: &Here<'_, S, ROUNDS>) -> (usize, usize, usize) {
    let counters = &here.counters;
    (
        counters.backend_calls.get(),
        counters.hypercalls.get(),
        counters.tlb_flushes.get(),
    )
}

/// Gathers sets into batches, and destructs each batch when it is full.
struct Sweep<'a, 'h, B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize> {
    pool: &'a Pool<B, CPUS, MAGAZINES, ROUNDS>,
    here: &'a On<'h, B, ROUNDS>,
    may: MayLock<'a>,
    filled: usize,
    batch: RankedGuard<'a, [B::Set; BATCH]>,
}

impl<'a, 'h, B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize>
    Sweep<'a, 'h, B, CPUS, MAGAZINES, ROUNDS>
{
    fn new(
        pool: &'a Pool<B, CPUS, MAGAZINES, ROUNDS>,
        here: &'a On<'h, B, ROUNDS>,
        may: MayLock<'a>,
    ) -> Self {
        Sweep {
            pool,
            here,
            may,
            filled: 0,
            batch: pool.batch.lock(may),
        }
    }

    fn add_cached(&mut self, magazine: &Magazine<B::Set, ROUNDS>) {
        for &set in magazine.as_slice() {
            if CHECKS && !self.pool.backend.unpoison(set) {
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
        let batch = &self.batch[..self.filled];
        let _ = self.pool.destruct(self.here, self.may, batch);
        self.filled = 0;
    }
}
