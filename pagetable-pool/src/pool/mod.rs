//! The pool: get and put.

mod deferral;
mod drain;
mod lifecycle;
#[cfg(pool_switches)]
mod switches;
mod trim;
mod validate;

pub use drain::{Broken, Closed, DrainReport, Drained, Reclaimed};
pub use lifecycle::Left;
pub use trim::Shrunk;
pub use validate::Invalid;

use crate::backend::{Backend, Spent};
use crate::checks::CHECKS;
use crate::config::Config;
use crate::deferred::LeftBehind;
use crate::depot::Depot;
use crate::error::{GetError, PutError, Reason, Refused};
use crate::guard::CpuPinned;
use crate::local::{Claim, Cpus, Here};
use crate::magazine::Magazine;
use crate::marks::{self, Origin, PoolId, State};
use crate::order::{MayLock, Rank, Ranked};
use crate::quarantine::Quarantine;
use crate::stats::Counter;
use crate::sync::const_fn;
use crate::token::Constructed;
use crate::word::GateWord;

/// Sets that a drain or a trim destructs with one call of the backend.
const BATCH: usize = 64;

/// A pool of constructed sets for up to `CPUS` CPUs, with a depot of `MAGAZINES` magazines of
/// `ROUNDS` sets each. The three numbers come from the [`Config`], which gives each by name; a
/// `static`'s type repeats them, and does not compile if they are others or in another order.
///
/// It takes no memory after [`new`](Pool::new), which is `const`: a kernel puts it into a `static`.
pub struct Pool<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize = 15> {
    cpus: Cpus<B::Set, CPUS, ROUNDS>,
    depot: Ranked<Depot<B::Set, MAGAZINES, ROUNDS>>,
    quarantine: Ranked<Quarantine<B::Set, B::Error>>,
    /// How many of `left_behind` anybody may take. Written under its lock.
    orphaned: Counter,
    /// Deferred sets that CPUs left behind when they went idle or offline.
    left_behind: Ranked<LeftBehind<B::Set>>,
    /// The drainer's: too large for a kernel's stack.
    batch: Ranked<[B::Set; BATCH]>,
    drains: Counter,
    longest_drain_ns: Counter,
    id: PoolId,
    #[cfg(pool_switches)]
    switches: switches::Switches,
    config: Config<CPUS, MAGAZINES, ROUNDS>,
    /// `config`'s, until [`set_high_water`](Pool::set_high_water).
    high_water: Counter,
    backend: B,
}

/// What an operation on a running CPU holds: its cache, under an open gate.
type Op<'a, B, const ROUNDS: usize> = Claim<'a, <B as Backend>::Set, ROUNDS>;
/// The CPU that the operation runs on.
type On<'a, B, const ROUNDS: usize> = Here<'a, <B as Backend>::Set, ROUNDS>;
type Begun<'a, B, const ROUNDS: usize> = (On<'a, B, ROUNDS>, MayLock<'a>, Op<'a, B, ROUNDS>);
type Get<B> =
    Result<Constructed<<B as Backend>::Set>, GetError<<B as Backend>::Set, <B as Backend>::Error>>;
type Put<B> = Result<(), PutError<<B as Backend>::Set, <B as Backend>::Error>>;

impl<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGAZINES, ROUNDS>
{
    const_fn! {
        /// An empty pool with an open gate. No CPU is online: each says so with
        /// [`cpu_online`](Pool::cpu_online).
        ///
        /// Does not compile (or panics, at run time) if there is no CPU, magazine or round, if a
        /// magazine has more than 64, or if a miss would construct more than a magazine holds.
        pub const fn new(config: Config<CPUS, MAGAZINES, ROUNDS>, backend: B) -> Self {
            assert!(CPUS > 0 && MAGAZINES > 0 && ROUNDS > 0 && ROUNDS <= BATCH, "a pool needs CPUs, magazines and rounds (64 at most)");
            assert!(config.construct_batch >= 1 && config.construct_batch <= ROUNDS, "a miss constructs 1 to ROUNDS sets");
            Pool {
                cpus: Cpus::new::<B>(),
                depot: Ranked::new(Rank::Depot, Depot::new(B::EMPTY)),
                quarantine: Ranked::new(Rank::Quarantine, Quarantine::new()),
                orphaned: Counter::new(),
                left_behind: Ranked::new(Rank::LeftBehind, LeftBehind::new()),
                batch: Ranked::new(Rank::Batch, [B::EMPTY; BATCH]),
                drains: Counter::new(),
                longest_drain_ns: Counter::new(),
                id: PoolId::new(),
                #[cfg(pool_switches)]
                switches: switches::Switches::new(),
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
    /// backend cannot construct even one, and [`GetError::Hoarded`] if it cannot while sets lie
    /// idle that
    /// [`reclaim`](Pool::reclaim) would bring back.
    #[inline]
    pub fn get<G: CpuPinned>(&self, guard: &G) -> Get<B> {
        match self.pop_local(guard) {
            Some(got) => got,
            None => self.get_slow(guard),
        }
    }

    /// Takes a set from this CPU's cache, or gives none. Never spins, constructs, or takes a lock;
    /// none is final: there is nothing to retry. May be called from an NMI.
    #[inline]
    pub fn try_get<G: CpuPinned>(&self, guard: &G) -> Option<Constructed<B::Set>> {
        match self.pop_local(guard) {
            Some(got) => got.ok(),
            None => self.try_get_slow(guard),
        }
    }

    /// Gives a set back, into this CPU's cache. With the gate closed, or if the set is of an old
    /// generation, or if cache and depot are full, destructs instead.
    ///
    /// # Errors
    /// [`PutError`]; with [`PutError::Refused`] and [`PutError::NotDestructed`] the set comes back.
    #[inline]
    pub fn put<G: CpuPinned>(&self, guard: &G, set: Constructed<B::Set>) -> Put<B> {
        if !CHECKS {
            if let Some(here) = self.cpus.here(guard) {
                if let Some(mut op) = here.claim() {
                    if set.word == op.word() && op.with(|cache| cache.push(set.set)) {
                        here.counters.kept.add_released(1);
                        return Ok(());
                    }
                }
            }
        }
        self.put_slow(guard, set)
    }

    /// Gives a set back into this CPU's cache, or hands it back to the caller. Never spins,
    /// destructs, or takes a lock. May be called from an NMI.
    ///
    /// # Errors
    /// [`PutError::Refused`] with the set: it is still the caller's, who gives it back later with [`put`](Pool::put).
    /// [`Refused::NeedsMore`]: the cache is full, or the set is of an old generation.
    pub fn try_put<G: CpuPinned>(&self, guard: &G, set: Constructed<B::Set>) -> Put<B> {
        let Some(here) = self.cpus.here(guard) else {
            return Err(PutError::Refused(Refused::NoSuchCpu(guard.cpu()), set));
        };
        let mut op = match self.claim(&here) {
            Ok(op) => op,
            Err(refused) => return Err(PutError::Refused(refused, set)),
        };
        let fits = op.adopt()
            && op.word().is_of_generation_of(set.word)
            && op.with(|cache| cache.has_room());
        if !fits {
            return Err(PutError::Refused(Refused::NeedsMore, set));
        }
        if let Some(wrong) = self.check_put(&set, State::Cached) {
            return Err(wrong);
        }
        self.mark_free(set.set);
        op.with(|cache| cache.push(set.set));
        here.counters.kept.add_released(1);
        Ok(())
    }

    /// The hit path of get.
    #[inline(always)]
    fn pop_local<G: CpuPinned>(&self, guard: &G) -> Option<Get<B>> {
        let here = self.cpus.here(guard)?;
        let mut op = here.claim()?;
        let set = op.with(|cache| cache.pop())?;
        here.counters.hits.add(1);
        Some(self.hand_out(&here, &op, set))
    }

    /// Hands a set out, inside the operation that took it from the cache.
    #[inline(always)]
    fn hand_out(&self, here: &On<'_, B, ROUNDS>, op: &Op<'_, B, ROUNDS>, set: B::Set) -> Get<B> {
        if CHECKS {
            self.mark(set, State::InUse);
            if !self.backend.unpoison(set) {
                self.keep_damaged(here, set);
                return Err(GetError::WriteAfterFree(set));
            }
        }
        Ok(Constructed::new(set, op.word(), Origin::of(&self.id)))
    }

    /// Quarantines a set that was written to while it was free. Where no lock may be taken, it
    /// counts as in use for ever, and the log names it.
    #[cold]
    fn keep_damaged(&self, here: &On<'_, B, ROUNDS>, set: B::Set) {
        match here.may_lock() {
            Some(may) => {
                self.put_into_quarantine(may, set, Reason::WriteAfterFree);
                here.counters.returned.add_released(1);
            }
            None => log::error!("pool: {set:?} was written to while it was free"),
        }
    }

    /// Begins an operation that needs this CPU's cache and may take locks. Destructs cached sets of
    /// an old generation.
    fn begin<'a, G: CpuPinned>(&'a self, guard: &'a G) -> Result<Begun<'a, B, ROUNDS>, Refused> {
        let (here, may) = self.here(guard)?;
        match self.claim(&here) {
            Ok(mut op) => {
                self.throw_out_stale(&here, may, &mut op);
                Ok((here, may, op))
            }
            Err(refused) => {
                here.counters.refused.add_from_anywhere(1);
                Err(refused)
            }
        }
    }

    /// This CPU's part, and the right to take locks.
    fn here<'a, G: CpuPinned + ?Sized>(
        &'a self,
        guard: &'a G,
    ) -> Result<(On<'a, B, ROUNDS>, MayLock<'a>), Refused> {
        let here = self
            .cpus
            .here(guard)
            .ok_or(Refused::NoSuchCpu(guard.cpu()))?;
        let Some(may) = here.may_lock() else {
            here.counters.refused.add_from_anywhere(1);
            return Err(Refused::WrongContext);
        };
        Ok((here, may))
    }

    /// Claims this CPU's cache. It may hold sets of an old generation.
    fn claim<'a>(&self, here: &On<'a, B, ROUNDS>) -> Result<Op<'a, B, ROUNDS>, Refused> {
        match here.enter() {
            Ok(busy) => busy.claim().map_err(|(_, refused)| refused),
            Err(_) if self.cpus.gate_word().is_final() => Err(Refused::ClosedForGood),
            // Said even of an operation that was interrupted: nothing goes in or out.
            Err(_) if self.cpus.gate_word().is_closed() => Err(Refused::Closed),
            Err(reentered) => Err(reentered),
        }
    }

    /// Throws out the sets of an old generation, if this CPU's cache has any. At most two
    /// magazines.
    fn throw_out_stale(
        &self,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
        op: &mut Op<'_, B, ROUNDS>,
    ) {
        while !op.adopt() {
            let stale = op.with(|cache| cache.take_cold());
            here.counters.removed.add(stale.len());
            here.counters.stale.add(stale.len());
            // A set that cannot be destructed is in quarantine, counted and logged. This operation
            // goes on.
            let _ = self.destruct_cached(here, may, stale.as_slice());
        }
    }

    #[cold]
    #[inline(never)]
    fn try_get_slow<G: CpuPinned>(&self, guard: &G) -> Option<Constructed<B::Set>> {
        let here = self.cpus.here(guard)?;
        let mut op = self.claim(&here).ok()?;
        // Stale sets stay until an operation that may destruct them.
        if !op.adopt() {
            return None;
        }
        let set = op.with(|cache| cache.pop())?;
        here.counters.hits.add(1);
        self.hand_out(&here, &op, set).ok()
    }

    #[cold]
    #[inline(never)]
    fn get_slow<G: CpuPinned>(&self, guard: &G) -> Get<B> {
        let (here, may, mut op) = self.begin(guard)?;
        // Only the claim was stale, and the cache has sets.
        if let Some(set) = op.with(|cache| cache.pop()) {
            here.counters.hits.add(1);
            return self.hand_out(&here, &op, set);
        }
        here.counters.misses.add(1);
        let mut refill = match self.take_from_depot(&here, may, op.word()) {
            Some(magazine) => magazine,
            None => {
                let count = self.config.construct_batch;
                self.construct(&here, may, count, op.word())
                    .map_err(|error| self.starved(&here, error))?
            }
        };
        let first = refill.pop();
        op.with(|cache| {
            for &set in refill.as_slice() {
                cache.push(set);
            }
        });
        here.counters.filled.add(refill.len());
        here.counters.served.add(1);
        match first {
            Some(set) => self.hand_out(&here, &op, set),
            None => unreachable!("neither the depot nor the backend gives an empty magazine"),
        }
    }

    /// Why a get failed: the backend has no more, or has none while other CPUs have free sets.
    #[cold]
    fn starved(&self, here: &On<'_, B, ROUNDS>, error: B::Error) -> GetError<B::Set, B::Error> {
        let others = self
            .cpus
            .iter()
            .filter(|cpu| !core::ptr::eq(*cpu, &raw const **here));
        let cached = others.map(|cpu| cpu.counters.cached().min(2 * ROUNDS));
        let deferred = self.cpus.iter().map(|cpu| cpu.counters.pending.get());
        match cached.sum::<usize>() + deferred.sum::<usize>() + self.orphaned.get() {
            0 => GetError::Construct(error),
            idle => GetError::Hoarded { error, idle },
        }
    }

    #[cold]
    #[inline(never)]
    fn put_slow<G: CpuPinned>(&self, guard: &G, set: Constructed<B::Set>) -> Put<B> {
        let (here, may) = match self.here(guard) {
            Ok(here) => here,
            Err(refused) => return Err(PutError::Refused(refused, set)),
        };
        let refused = match here.enter().map(|busy| busy.claim()) {
            Ok(Ok(op)) => return self.put_open(&here, may, op, set),
            // `_busy` keeps other operations out while the set is destructed.
            Ok(Err((_busy, Refused::Closed | Refused::ClosedForGood))) => {
                return self.put_closed(&here, set)
            }
            Ok(Err((_, refused))) | Err(refused) => refused,
        };
        here.counters.refused.add_from_anywhere(1);
        Err(PutError::Refused(refused, set))
    }

    fn put_open(
        &self,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
        mut op: Op<'_, B, ROUNDS>,
        set: Constructed<B::Set>,
    ) -> Put<B> {
        self.throw_out_stale(here, may, &mut op);
        if let Some(wrong) = self.check_put(&set, State::Cached) {
            return Err(wrong);
        }
        match self.keep(here, may, &mut op, set.set, set.word) {
            Ok(true) => {
                here.counters.kept.add_released(1);
                Ok(())
            }
            Ok(false) => {
                here.counters.returned.add_released(1);
                Ok(())
            }
            Err(error) => {
                here.counters.returned.add_released(1);
                Err(PutError::Quarantined(set.set, error))
            }
        }
    }

    /// A proof may live: the set is destructed, or stays the caller's. It does not go into
    /// quarantine.
    fn put_closed(&self, here: &On<'_, B, ROUNDS>, set: Constructed<B::Set>) -> Put<B> {
        if let Some(wrong) = self.check_put(&set, State::Cached) {
            return Err(wrong);
        }
        if CHECKS {
            marks::unmark(&self.backend, set.set);
        }
        match self.destruct_some(here, &[set.set]) {
            Ok(()) => {
                here.counters.returned.add_released(1);
                Ok(())
            }
            Err((_, error)) => {
                self.mark(set.set, State::InUse);
                Err(PutError::NotDestructed(set, error))
            }
        }
    }

    /// Puts a set that nobody uses any more into this CPU's cache, or destructs it. `Ok(true)`: it
    /// is in the cache.
    fn keep(
        &self,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
        op: &mut Op<'_, B, ROUNDS>,
        set: B::Set,
        set_word: GateWord,
    ) -> Result<bool, B::Error> {
        let word = op.word();
        if !set_word.is_of_generation_of(word) {
            here.counters.stale.add(1);
            return self
                .destruct(here, may, &[set])
                .map(|()| false)
                .map_err(|(_, error)| error);
        }
        self.mark_free(set);
        if op.with(|cache| cache.push(set)) {
            return Ok(true);
        }
        // Full: the sets put longest ago leave as one magazine.
        let cold = op.with(|cache| cache.take_cold());
        here.counters.removed.add(cold.len());
        let surplus = self.depot.lock(may).push_warm(cold, self.high_water.get());
        if let Err(surplus) = surplus {
            // One that fails is in quarantine, counted and logged; the set at hand is not
            // concerned.
            let _ = self.destruct_cached(here, may, surplus.as_slice());
        }
        Ok(op.with(|cache| cache.push(set)))
    }

    /// A magazine of the current generation. Stale ones that come up on the way are destructed,
    /// unlocked.
    fn take_from_depot(
        &self,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
        word: GateWord,
    ) -> Option<Magazine<B::Set, ROUNDS>> {
        loop {
            let magazine = self.depot.lock(may).pop_warm()?;
            if magazine.word.is_of_generation_of(word) {
                return Some(magazine);
            }
            here.counters.stale.add(magazine.len());
            let _ = self.destruct_cached(here, may, magazine.as_slice());
        }
    }

    /// Constructs up to `count` sets, and one if that fails. Never gives an empty magazine.
    fn construct(
        &self,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
        count: usize,
        word: GateWord,
    ) -> Result<Magazine<B::Set, ROUNDS>, B::Error> {
        let mut out = [B::EMPTY; ROUNDS];
        let mut count = count.min(ROUNDS);
        loop {
            here.counters.backend_calls.add(1);
            match self.backend.construct(&mut out[..count]) {
                Ok(spent) => {
                    self.spend(here, spent);
                    break;
                }
                Err(failed) => {
                    here.counters.failed.add(1);
                    for &set in &out[..failed.stuck.min(count)] {
                        here.counters.constructed.add(1);
                        self.put_into_quarantine(may, set, Reason::RollBack(failed.error));
                    }
                    if count == 1 {
                        return Err(failed.error);
                    }
                    out = [B::EMPTY; ROUNDS];
                    count = 1;
                }
            }
        }
        here.counters.constructed.add(count);
        let mut magazine = Magazine::new(B::EMPTY);
        magazine.word = word;
        for &set in &out[..count] {
            self.mark_free(set);
            magazine.push(set);
        }
        Ok(magazine)
    }

    /// Destructs sets that come out of a cache or the depot.
    fn destruct_cached(
        &self,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
        sets: &[B::Set],
    ) -> Result<(), (B::Set, B::Error)> {
        if CHECKS {
            for &set in sets.iter().filter(|&&set| !self.backend.unpoison(set)) {
                log::error!("pool: {set:?} was written to while it was free");
            }
        }
        self.destruct(here, may, sets)
    }

    /// Destructs sets. One that fails goes into quarantine, and the rest are tried all the same;
    /// the first failure is given.
    fn destruct(
        &self,
        here: &On<'_, B, ROUNDS>,
        may: MayLock<'_>,
        mut sets: &[B::Set],
    ) -> Result<(), (B::Set, B::Error)> {
        let mut first = Ok(());
        if CHECKS {
            sets.iter()
                .for_each(|&set| marks::unmark(&self.backend, set));
        }
        while let Err((at, error)) = self.destruct_some(here, sets) {
            self.put_into_quarantine(may, sets[at], Reason::Destruct(error));
            if first.is_ok() {
                first = Err((sets[at], error));
            }
            sets = &sets[at + 1..];
        }
        first
    }

    /// One call of the backend, if there is anything to destruct. On failure returns the place of
    /// the set that could not be destructed.
    fn destruct_some(
        &self,
        here: &On<'_, B, ROUNDS>,
        sets: &[B::Set],
    ) -> Result<(), (usize, B::Error)> {
        if sets.is_empty() {
            return Ok(());
        }
        here.counters.backend_calls.add(1);
        match self.backend.destruct(sets) {
            Ok(spent) => {
                self.spend(here, spent);
                here.counters.destructed.add(sets.len());
                Ok(())
            }
            Err(failed) => {
                self.spend(here, failed.spent);
                here.counters.failed.add(1);
                // A backend that names a place outside of the batch is taken to mean the last one.
                let at = failed.at.min(sets.len() - 1);
                here.counters.destructed.add(at);
                Err((at, failed.error))
            }
        }
    }

    fn put_into_quarantine(&self, may: MayLock<'_>, set: B::Set, reason: Reason<B::Error>) {
        log::error!("pool: {set:?} goes into quarantine: {reason}");
        self.mark(set, State::Quarantined);
        self.quarantine.lock(may).push(&self.backend, set, reason);
    }

    fn spend(&self, here: &On<'_, B, ROUNDS>, spent: Spent) {
        here.counters.hypercalls.add(spent.hypercalls as usize);
        here.counters.tlb_flushes.add(spent.tlb_flushes as usize);
    }

    fn mark(&self, set: B::Set, state: State) {
        if CHECKS {
            marks::mark(&self.backend, set, self.id.get(), state);
        }
    }

    /// Marks a set as cached, and poisons it.
    fn mark_free(&self, set: B::Set) {
        if CHECKS {
            self.mark(set, State::Cached);
            self.backend.poison(set);
        }
    }

    /// In a debug build: is this set out, and ours?
    fn check_put(
        &self,
        set: &Constructed<B::Set>,
        to: State,
    ) -> Option<PutError<B::Set, B::Error>> {
        if !CHECKS {
            return None;
        }
        if !set.origin.is(&self.id) {
            return Some(PutError::Foreign(set.set));
        }
        match marks::take_back(&self.backend, set.set, self.id.get(), to) {
            Ok(()) => None,
            Err(marks::Wrong::Foreign) => Some(PutError::Foreign(set.set)),
            Err(marks::Wrong::NotInUse) => Some(PutError::DoublePut(set.set)),
        }
    }
}
