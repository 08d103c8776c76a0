//! The pool: get and put.
#![allow(unsafe_code)] // each block states which of `local.rs`'s conditions it meets

use crate::backend::{Backend, Spent};
use crate::config::Config;
use crate::deferred::{Chain, Deferred};
use crate::depot::Depot;
use crate::error::{GetError, PutError, Reason, Refused};
use crate::gate::{self, Gate};
use crate::grace::{Grace, Seen};
use crate::guard::{CpuId, CpuPinned};
use crate::local::{Cache, Claim, NoClaim, Owned};
use crate::magazine::Magazine;
use crate::marks::{self, PoolId, State, Wrong};
use crate::order::{Held, MayLock, Rank, Ranked};
use crate::quarantine::Quarantine;
use crate::stats::{Counter, Counters};
use crate::sync::{array, const_fn, AtomicBool};
use crate::token::Constructed;

/// Sets that a drain or a trim destructs with one call of the backend.
pub(crate) const BATCH: usize = 64;

/// All that belongs to one CPU, on cache lines of its own.
#[repr(align(128))]
pub(crate) struct PerCpu<S: Copy, const ROUNDS: usize> {
    pub(crate) local: Owned<Cache<S, ROUNDS>>,
    pub(crate) counters: Counters,
    pub(crate) held: Held,
    pub(crate) seen: Seen,
    pub(crate) deferred: Ranked<Deferred<S, ROUNDS>>,
}

impl<S: Copy, const ROUNDS: usize> PerCpu<S, ROUNDS> {
    const_fn! {
        const fn new(empty: S) -> Self {
            PerCpu {
                local: Owned::new(Cache::new(empty)),
                counters: Counters::new(),
                held: Held::new(),
                seen: Seen::new(),
                deferred: Ranked::new(Rank::Deferred, Deferred::new(empty)),
            }
        }
    }
}

/// A pool of constructed sets for up to `CPUS` CPUs, with a depot of `MAGS` magazines of `ROUNDS` sets each.
///
/// It takes no memory after [`new`](Pool::new), which is `const`: a kernel puts it into a `static`.
pub struct Pool<B: Backend, const CPUS: usize, const MAGS: usize, const ROUNDS: usize = 15> {
    pub(crate) gate: Gate,
    pub(crate) grace: Grace,
    /// Taken by whoever drains, invalidates, closes, or waits for deferred frees.
    pub(crate) control: AtomicBool,
    pub(crate) cpus: [PerCpu<B::Set, ROUNDS>; CPUS],
    pub(crate) depot: Ranked<Depot<B::Set, MAGS, ROUNDS>>,
    pub(crate) quarantine: Ranked<Quarantine<B::Set, B::Error>>,
    /// How many `orphans` holds. Written under its lock.
    pub(crate) orphaned: Counter,
    /// Deferred sets that leaving CPUs left behind.
    pub(crate) orphans: Ranked<Chain<B::Set>>,
    /// The drainer's: too large for a kernel's stack.
    pub(crate) batch: Ranked<[B::Set; BATCH]>,
    pub(crate) drains: Counter,
    pub(crate) longest_drain_ns: Counter,
    pub(crate) id: PoolId,
    #[cfg(feature = "switches")]
    pub(crate) switches: crate::switches::Switches,
    pub(crate) config: Config,
    /// `config.high_water`, until [`set_high_water`](Pool::set_high_water).
    pub(crate) high_water: Counter,
    pub(crate) backend: B,
}

/// What an operation on a running CPU holds: its cache, under an open gate.
pub(crate) type Op<'a, B, const ROUNDS: usize> = Claim<'a, Cache<<B as Backend>::Set, ROUNDS>>;
type Begun<'a, B, const ROUNDS: usize> = (
    &'a PerCpu<<B as Backend>::Set, ROUNDS>,
    MayLock<'a>,
    Op<'a, B, ROUNDS>,
);
type Get<B> =
    Result<Constructed<<B as Backend>::Set>, GetError<<B as Backend>::Set, <B as Backend>::Error>>;
type Put<B> = Result<(), PutError<<B as Backend>::Set, <B as Backend>::Error>>;

impl<B: Backend, const CPUS: usize, const MAGS: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGS, ROUNDS>
{
    const_fn! {
        /// An empty pool with an open gate. No CPU is online: each says so with [`cpu_online`](Pool::cpu_online).
        pub const fn new(config: Config, backend: B) -> Self {
            assert!(CPUS > 0 && MAGS > 0 && ROUNDS > 0 && ROUNDS <= BATCH, "a pool needs CPUs, magazines and rounds (64 at most)");
            assert!(config.construct_batch >= 1 && config.construct_batch <= ROUNDS, "a miss constructs 1 to ROUNDS sets");
            Pool {
                gate: Gate::new(),
                grace: Grace::new(),
                control: AtomicBool::new(false),
                cpus: array![PerCpu::new(B::EMPTY); CPUS],
                depot: Ranked::new(Rank::Depot, Depot::new(B::EMPTY)),
                quarantine: Ranked::new(Rank::Quarantine, Quarantine::new()),
                orphaned: Counter::new(),
                orphans: Ranked::new(Rank::Orphans, Chain::new()),
                batch: Ranked::new(Rank::Batch, [B::EMPTY; BATCH]),
                drains: Counter::new(),
                longest_drain_ns: Counter::new(),
                id: PoolId::new(),
                #[cfg(feature = "switches")]
                switches: crate::switches::Switches::new(),
                high_water: Counter::starting_at(config.high_water),
                config,
                backend,
            }
        }
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Takes a set from this CPU's cache; on a miss from the depot, and else constructs a batch.
    ///
    /// # Errors
    /// [`GetError::Refused`] while the gate is closed or if the context does not allow it; [`GetError::Construct`] if the
    /// backend cannot construct even one set.
    #[inline]
    pub fn get<G: CpuPinned>(&self, guard: &G) -> Get<B> {
        match self.pop_local(guard) {
            Some((set, word)) => self.hand_out(guard, set, word),
            None => self.get_slow(guard),
        }
    }

    /// Takes a set from this CPU's cache, or gives none. Never spins, constructs, or takes a lock; none is final: there is
    /// nothing to retry. May be called from an NMI.
    #[inline]
    pub fn try_get<G: CpuPinned>(&self, guard: &G) -> Option<Constructed<B::Set>> {
        match self.pop_local(guard) {
            Some((set, word)) => self.hand_out(guard, set, word).ok(),
            None => self.try_get_slow(guard),
        }
    }

    /// Gives a set back, into this CPU's cache. With the gate closed, or if the set is of an old generation, or if cache and
    /// depot are full, destructs instead.
    ///
    /// # Errors
    /// [`PutError`]; with [`PutError::Refused`] the set comes back.
    #[inline]
    pub fn put<G: CpuPinned>(&self, guard: &G, set: Constructed<B::Set>) -> Put<B> {
        if !crate::CHECKS {
            if let Some(cpu) = self.cpus.get(guard.cpu().0) {
                let word = self.gate.read();
                if set.word == word {
                    // SAFETY: the guard is evidence that this is `cpu`, and `word` was just read.
                    if let Ok(mut op) = unsafe { cpu.local.claim(word) } {
                        if op.with(|cache| cache.push(set.set)) {
                            cpu.counters.kept.add(1);
                            return Ok(());
                        }
                    }
                }
            }
        }
        self.put_slow(guard, set)
    }

    /// Gives a set back into this CPU's cache, or hands it back to the caller. Never spins, destructs, or takes a lock. May be called
    /// from an NMI.
    ///
    /// # Errors
    /// [`PutError::Refused`] with the set: it is still the caller's, who gives it back later with [`put`](Pool::put).
    /// [`Refused::NeedsMore`]: the cache is full, or the set is of an old generation.
    pub fn try_put<G: CpuPinned>(&self, guard: &G, set: Constructed<B::Set>) -> Put<B> {
        let Some(cpu) = self.cpus.get(guard.cpu().0) else {
            return Err(PutError::Refused(Refused::NoSuchCpu(guard.cpu()), set));
        };
        let mut op = match self.claim(cpu, guard.cpu()) {
            Ok(op) => op,
            Err(refused) => return Err(PutError::Refused(refused, set)),
        };
        let word = op.word();
        let fits = op.with(|cache| cache.word == word && cache.has_room());
        if !fits || !gate::same_generation(set.word, word) {
            if op.with(|cache| cache.word != word) {
                // The claim must not say that the sets in the cache are current.
                drop(op);
                cpu.local.forget_claim();
            }
            return Err(PutError::Refused(Refused::NeedsMore, set));
        }
        if let Some(wrong) = self.check_put(&set, State::Cached) {
            return Err(wrong);
        }
        self.mark_free(set.set);
        op.with(|cache| cache.push(set.set));
        cpu.counters.kept.add(1);
        Ok(())
    }

    /// The hit path of get.
    #[inline(always)]
    fn pop_local<G: CpuPinned>(&self, guard: &G) -> Option<(B::Set, u32)> {
        let cpu = self.cpus.get(guard.cpu().0)?;
        let word = self.gate.read();
        // SAFETY: the guard is evidence that this is `cpu`, and `word` was just read.
        let mut op = unsafe { cpu.local.claim(word) }.ok()?;
        let set = op.with(|cache| cache.pop())?;
        cpu.counters.hits.add(1);
        Some((set, word))
    }

    #[inline(always)]
    fn hand_out<G: CpuPinned>(&self, guard: &G, set: B::Set, word: u32) -> Get<B> {
        if crate::CHECKS {
            self.mark(set, State::InUse);
            if !self.backend.unpoison(set) {
                self.keep_damaged(guard, set);
                return Err(GetError::WriteAfterFree(set));
            }
        }
        Ok(Constructed::new(set, word, || self.id.get()))
    }

    /// Quarantines a set that was about to go out. Where no lock may be taken it stays in use for good, which the log says too.
    #[cold]
    fn keep_damaged<G: CpuPinned>(&self, guard: &G, set: B::Set) {
        match self.here(guard) {
            Ok((cpu, may)) => {
                cpu.counters.returned.add(1);
                self.imprison(may, set, Reason::WriteAfterFree);
            }
            Err(_) => log::error!("pool: {set:?} was written to while it was free"),
        }
    }

    /// Begins an operation that needs this CPU's cache and may take locks: finds out why the hit path did not, and throws out
    /// what is of an old generation.
    pub(crate) fn begin<'a, G: CpuPinned>(
        &'a self,
        guard: &G,
    ) -> Result<Begun<'a, B, ROUNDS>, Refused> {
        let (cpu, may) = self.here(guard)?;
        match self.claim(cpu, guard.cpu()) {
            Ok(mut op) => {
                self.throw_out_stale(cpu, may, &mut op);
                Ok((cpu, may, op))
            }
            Err(refused) => {
                cpu.counters.refused.add(1);
                Err(refused)
            }
        }
    }

    /// This CPU's part, and the right to take locks.
    pub(crate) fn here<G: CpuPinned>(
        &self,
        guard: &G,
    ) -> Result<(&PerCpu<B::Set, ROUNDS>, MayLock<'_>), Refused> {
        let cpu = self
            .cpus
            .get(guard.cpu().0)
            .ok_or(Refused::NoSuchCpu(guard.cpu()))?;
        let Some(may) = MayLock::check(guard.context(), &cpu.held) else {
            cpu.counters.refused.add(1);
            return Err(Refused::WrongContext);
        };
        Ok((cpu, may))
    }

    /// Claims this CPU's cache. It may hold sets of an old generation; whoever drops the claim must have thrown them out.
    pub(crate) fn claim<'a>(
        &'a self,
        cpu: &'a PerCpu<B::Set, ROUNDS>,
        id: CpuId,
    ) -> Result<Op<'a, B, ROUNDS>, Refused> {
        let word = self.gate.read();
        if gate::is_closed(word) {
            // Said even of an operation that was interrupted: nothing goes in or out.
            return Err(if gate::is_final(word) {
                Refused::ClosedForGood
            } else {
                Refused::Closed
            });
        }
        // SAFETY: the callers have a guard for `cpu`; `word` was just read.
        match unsafe { cpu.local.claim(word) } {
            Ok(op) => Ok(op),
            Err(NoClaim::Busy) => Err(Refused::Reentered),
            Err(NoClaim::Changed) if !cpu.seen.is_running() => Err(Refused::NotOnline(id)),
            Err(NoClaim::Changed) => {
                // SAFETY: as above; the CPU is running, which it announced before it read `word`: the announcement is made
                // on this CPU, by a call that ended before this one began.
                unsafe { cpu.local.claim_anew(word) }.ok_or(Refused::Reentered)
            }
        }
    }

    /// Throws out the sets of an old generation, if this CPU's cache has any. At most two magazines.
    pub(crate) fn throw_out_stale(
        &self,
        cpu: &PerCpu<B::Set, ROUNDS>,
        may: MayLock<'_>,
        op: &mut Op<'_, B, ROUNDS>,
    ) {
        let word = op.word();
        loop {
            let stale = op.with(|cache| {
                if cache.word == word || cache.len() == 0 {
                    cache.word = word;
                    return None;
                }
                Some(cache.take_cold())
            });
            let Some(stale) = stale else { return };
            cpu.counters.removed.add(stale.len());
            cpu.counters.stale.add(stale.len());
            // What cannot be destructed is in quarantine, counted and logged; this operation has another purpose.
            let _ = self.destruct_cached(cpu, may, stale.as_slice());
        }
    }

    #[cold]
    #[inline(never)]
    fn try_get_slow<G: CpuPinned>(&self, guard: &G) -> Option<Constructed<B::Set>> {
        let cpu = self.cpus.get(guard.cpu().0)?;
        let mut op = self.claim(cpu, guard.cpu()).ok()?;
        let word = op.word();
        // Stale sets stay for somebody who may destruct them. The claim then must not stay: it would say they are current.
        match op.with(|cache| (cache.word == word).then(|| cache.pop())) {
            Some(Some(set)) => {
                cpu.counters.hits.add(1);
                drop(op);
                self.hand_out(guard, set, word).ok()
            }
            Some(None) => None,
            None => {
                drop(op);
                cpu.local.forget_claim();
                None
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn get_slow<G: CpuPinned>(&self, guard: &G) -> Get<B> {
        let (cpu, may, mut op) = self.begin(guard)?;
        let word = op.word();
        // The claim may have been all that was missing.
        if let Some(set) = op.with(|cache| cache.pop()) {
            cpu.counters.hits.add(1);
            return self.hand_out(guard, set, word);
        }
        cpu.counters.misses.add(1);
        let mut refill = match self.take_from_depot(cpu, may, word) {
            Some(magazine) => magazine,
            None => {
                let built = self.construct(cpu, may, self.config.construct_batch, word);
                built.map_err(GetError::Construct)?
            }
        };
        let first = refill.pop();
        op.with(|cache| {
            for &set in refill.as_slice() {
                cache.push(set);
            }
        });
        cpu.counters.filled.add(refill.len());
        cpu.counters.served.add(1);
        match first {
            Some(set) => self.hand_out(guard, set, word),
            None => unreachable!("neither the depot nor the backend gives an empty magazine"),
        }
    }

    #[cold]
    #[inline(never)]
    fn put_slow<G: CpuPinned>(&self, guard: &G, set: Constructed<B::Set>) -> Put<B> {
        let (cpu, may) = match self.here(guard) {
            Ok(here) => here,
            Err(refused) => return Err(PutError::Refused(refused, set)),
        };
        match self.claim(cpu, guard.cpu()) {
            Ok(mut op) => {
                self.throw_out_stale(cpu, may, &mut op);
                if let Some(wrong) = self.check_put(&set, State::Cached) {
                    return Err(wrong);
                }
                let result = self.keep(cpu, may, &mut op, set.set, set.word);
                cpu.counters
                    .kept
                    .add(usize::from(matches!(result, Ok(true))));
                cpu.counters
                    .returned
                    .add(usize::from(!matches!(result, Ok(true))));
                result
                    .map(|_| ())
                    .map_err(|error| PutError::Quarantined(set.set, error))
            }
            Err(Refused::Closed | Refused::ClosedForGood) if !cpu.local.is_busy() => {
                if let Some(wrong) = self.check_put(&set, State::Cached) {
                    return Err(wrong);
                }
                let result = self.destruct(cpu, may, &[set.set]);
                cpu.counters.returned.add(1);
                result.map_err(|(set, error)| PutError::Quarantined(set, error))
            }
            Err(Refused::Closed | Refused::ClosedForGood) => {
                Err(PutError::Refused(Refused::Reentered, set))
            }
            Err(refused) => {
                cpu.counters.refused.add(1);
                Err(PutError::Refused(refused, set))
            }
        }
    }

    /// Puts a set that nobody uses any more into this CPU's cache, or destructs it. `Ok(true)`: it is in the cache.
    pub(crate) fn keep(
        &self,
        cpu: &PerCpu<B::Set, ROUNDS>,
        may: MayLock<'_>,
        op: &mut Op<'_, B, ROUNDS>,
        set: B::Set,
        set_word: u32,
    ) -> Result<bool, B::Error> {
        let word = op.word();
        if !gate::same_generation(set_word, word) {
            cpu.counters.stale.add(1);
            return self
                .destruct(cpu, may, &[set])
                .map(|()| false)
                .map_err(|(_, error)| error);
        }
        self.mark_free(set);
        if op.with(|cache| cache.push(set)) {
            return Ok(true);
        }
        // Full: the sets put longest ago leave as one magazine.
        let cold = op.with(|cache| cache.take_cold());
        cpu.counters.removed.add(cold.len());
        let surplus = self.depot.lock(may).push_warm(cold, self.high_water.get());
        if let Err(surplus) = surplus {
            // One that fails is in quarantine, counted and logged; the set at hand is not concerned.
            let _ = self.destruct_cached(cpu, may, surplus.as_slice());
        }
        Ok(op.with(|cache| cache.push(set)))
    }

    /// A magazine of the current generation. Stale ones that come up on the way are destructed, unlocked.
    fn take_from_depot(
        &self,
        cpu: &PerCpu<B::Set, ROUNDS>,
        may: MayLock<'_>,
        word: u32,
    ) -> Option<Magazine<B::Set, ROUNDS>> {
        loop {
            let magazine = self.depot.lock(may).pop_warm()?;
            if gate::same_generation(magazine.word, word) {
                return Some(magazine);
            }
            cpu.counters.stale.add(magazine.len());
            let _ = self.destruct_cached(cpu, may, magazine.as_slice());
        }
    }

    /// Constructs up to `count` sets, and one if that fails. Never gives an empty magazine.
    pub(crate) fn construct(
        &self,
        cpu: &PerCpu<B::Set, ROUNDS>,
        may: MayLock<'_>,
        count: usize,
        word: u32,
    ) -> Result<Magazine<B::Set, ROUNDS>, B::Error> {
        let mut out = [B::EMPTY; ROUNDS];
        let mut count = count.min(ROUNDS);
        loop {
            cpu.counters.backend_calls.add(1);
            match self.backend.construct(&mut out[..count]) {
                Ok(spent) => {
                    self.spend(cpu, spent);
                    break;
                }
                Err(failed) => {
                    cpu.counters.failed.add(1);
                    for &set in &out[..failed.stuck.min(count)] {
                        cpu.counters.constructed.add(1);
                        self.imprison(may, set, Reason::RollBack(failed.error));
                    }
                    if count == 1 {
                        return Err(failed.error);
                    }
                    out = [B::EMPTY; ROUNDS];
                    count = 1;
                }
            }
        }
        cpu.counters.constructed.add(count);
        let mut magazine = Magazine::new(B::EMPTY);
        magazine.word = word;
        for &set in &out[..count] {
            self.mark_free(set);
            magazine.push(set);
        }
        Ok(magazine)
    }

    /// Destructs sets that come out of a cache or the depot.
    pub(crate) fn destruct_cached(
        &self,
        cpu: &PerCpu<B::Set, ROUNDS>,
        may: MayLock<'_>,
        sets: &[B::Set],
    ) -> Result<(), (B::Set, B::Error)> {
        if crate::CHECKS {
            for &set in sets.iter().filter(|&&set| !self.backend.unpoison(set)) {
                log::error!("pool: {set:?} was written to while it was free");
            }
        }
        self.destruct(cpu, may, sets)
    }

    /// Destructs sets. One that fails goes into quarantine, and the rest are tried all the same; the first failure is given.
    pub(crate) fn destruct(
        &self,
        cpu: &PerCpu<B::Set, ROUNDS>,
        may: MayLock<'_>,
        mut sets: &[B::Set],
    ) -> Result<(), (B::Set, B::Error)> {
        let mut first = Ok(());
        if crate::CHECKS {
            sets.iter()
                .for_each(|&set| marks::unmark(&self.backend, set));
        }
        while !sets.is_empty() {
            cpu.counters.backend_calls.add(1);
            match self.backend.destruct(sets) {
                Ok(spent) => {
                    self.spend(cpu, spent);
                    cpu.counters.destructed.add(sets.len());
                    break;
                }
                Err(failed) => {
                    self.spend(cpu, failed.spent);
                    cpu.counters.failed.add(1);
                    // A backend that names a place outside of the batch is taken to mean the last one.
                    let at = failed.at.min(sets.len() - 1);
                    cpu.counters.destructed.add(at);
                    self.imprison(may, sets[at], Reason::Destruct(failed.error));
                    if first.is_ok() {
                        first = Err((sets[at], failed.error));
                    }
                    sets = &sets[at + 1..];
                }
            }
        }
        first
    }

    pub(crate) fn imprison(&self, may: MayLock<'_>, set: B::Set, reason: Reason<B::Error>) {
        log::error!("pool: {set:?} goes into quarantine: {reason}");
        self.mark(set, State::Quarantined);
        self.quarantine.lock(may).push(&self.backend, set, reason);
    }

    fn spend(&self, cpu: &PerCpu<B::Set, ROUNDS>, spent: Spent) {
        cpu.counters.hypercalls.add(spent.hypercalls as usize);
        cpu.counters.tlb_flushes.add(spent.tlb_flushes as usize);
    }

    pub(crate) fn mark(&self, set: B::Set, state: State) {
        if crate::CHECKS {
            marks::mark(&self.backend, set, self.id.get(), state);
        }
    }

    /// Marks a set as one that nobody may touch.
    fn mark_free(&self, set: B::Set) {
        if crate::CHECKS {
            self.mark(set, State::Cached);
            self.backend.poison(set);
        }
    }

    /// In a debug build: is this set out, and ours?
    pub(crate) fn check_put(
        &self,
        set: &Constructed<B::Set>,
        to: State,
    ) -> Option<PutError<B::Set, B::Error>> {
        let _ = (set, to);
        #[cfg(any(debug_assertions, feature = "checks"))]
        {
            let id = self.id.get();
            if set.pool != id {
                return Some(PutError::Foreign(set.set));
            }
            match marks::take_back(&self.backend, set.set, id, to) {
                Ok(()) => {}
                Err(Wrong::Foreign) => return Some(PutError::Foreign(set.set)),
                Err(Wrong::NotInUse) => return Some(PutError::DoublePut(set.set)),
            }
        }
        #[cfg(not(any(debug_assertions, feature = "checks")))]
        let _ = |wrong| match wrong {
            Wrong::Foreign | Wrong::NotInUse => {
                marks::take_back(&self.backend, set.set, 0, to).is_ok()
            }
        };
        None
    }
}

/// The pool is shared between CPUs if its backend and its sets may be.
const fn _shared<B: Backend + Sync>()
where
    B::Set: Send,
    B::Error: Send,
{
    const fn sync<T: Sync>() {}
    sync::<Pool<B, 1, 1, 1>>();
}
