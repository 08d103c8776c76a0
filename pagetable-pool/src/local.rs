//! What belongs to one CPU, and who may work on it when.
//!
//! This is the crate's one module with unsafe blocks. The reason: the hit path works on plain
//! memory, without a lock and without an atomic read-modify-write, and the language cannot see that
//! only one party at a time does so. Here each party has to show evidence: a CPU its [`Here`], an
//! operation its [`Claim`], a drainer its [`Ownership`].
//!
//! Rules for whoever changes this file, `grace.rs` or the calls that use them:
//!
//! 1. **BUSY first.** Every path that changes the claim, or announces to other CPUs that this one
//!    runs, passes or is away, stores BUSY before it looks at anything, and stores the new claim
//!    last. A non-maskable interrupt may come after any instruction; it must find either the state
//!    before or BUSY. So the hit path reads the gate after it has stored BUSY, and what announces a
//!    state ([`Busy::pass`], [`Busy::leave`], [`Busy::come_back`]) is a method of [`Busy`].
//! 2. **A state is never announced after the gate was read.** An operation that has read the gate
//!    is one that a drainer must wait for: [`Busy::claim`] takes the `Busy` with it.
//! 3. **Source before destination.** Whoever adds up or empties two places between which sets move
//!    looks at the place that they leave before the place that they come to. Deferred frees move
//!    from a CPU to those left behind (`deferred.rs`).
//! 4. **A usable gate word is stored with release** (`gate.rs`).
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ops::Deref;
use core::sync::atomic::{compiler_fence, AtomicU32 as OwnU32, Ordering as OwnOrdering};

use crate::backend::Backend;
use crate::cache::Cache;
use crate::deferred::Deferred;
use crate::error::Refused;
use crate::gate::{Control, Gate, Shut};
use crate::grace::{Grace, GracePeriodTimeout, Seen, Ticket, Wait};
use crate::guard::{Context, CpuId, CpuPinned};
use crate::order::{Held, MayLock, Rank, Ranked};
use crate::stats::Counters;
use crate::sync::{array, const_fn, UnsafeCell};
use crate::word::GateWord;

/// The claim when the next operation must look closer: the CPU is idle, parked, gone or new, or
/// what it caches may be of an old generation.
const AWAY: u32 = GateWord::NONE.bits();
/// The claim while an operation runs on the CPU, or while it changes its state. No open gate has
/// this word.
const BUSY: u32 = GateWord::NEVER.bits();

/// A cache that its CPU works on under the gate's word, or the drainer after a grace period.
///
/// The claim is written and read by its own CPU alone. It says under which gate word the CPU may
/// use the cache, or that an operation is under way; so one comparison answers whether the gate is
/// open, the generation current, the CPU online, and no operation interrupted.
struct Owned<T> {
    claim: OwnU32,
    cell: UnsafeCell<T>,
}

// SAFETY: the cell is reached through `Claim` and `Ownership` only, which see to it that one party
// at a time does.
unsafe impl<T: Send> Sync for Owned<T> {}

/// All that belongs to one CPU, on cache lines of its own.
#[repr(align(128))]
pub(crate) struct PerCpu<S: Copy, const ROUNDS: usize> {
    local: Owned<Cache<S, ROUNDS>>,
    pub(crate) counters: Counters,
    pub(crate) held: Held,
    pub(crate) seen: Seen,
    pub(crate) deferred: Ranked<Deferred<S, ROUNDS>>,
}

impl<S: Copy, const ROUNDS: usize> PerCpu<S, ROUNDS> {
    const_fn! {
        const fn new(empty: S) -> Self {
            PerCpu {
                local: Owned { claim: OwnU32::new(AWAY), cell: UnsafeCell::new(Cache::new(empty)) },
                counters: Counters::new(),
                held: Held::new(),
                seen: Seen::new(),
                deferred: Ranked::new(Rank::Deferred, Deferred::new(empty)),
            }
        }
    }
}

/// All CPUs' parts, with the gate and the grace periods that say who may work on them.
pub(crate) struct Cpus<S: Copy, const CPUS: usize, const ROUNDS: usize> {
    gate: Gate,
    grace: Grace,
    each: [PerCpu<S, ROUNDS>; CPUS],
}

impl<S: Copy, const CPUS: usize, const ROUNDS: usize> Cpus<S, CPUS, ROUNDS> {
    const_fn! {
        pub(crate) const fn new<B: Backend<Set = S>>() -> Self {
            Cpus { gate: Gate::new(), grace: Grace::new(), each: array![PerCpu::new(B::EMPTY); CPUS] }
        }
    }

    pub(crate) fn gate_word(&self) -> GateWord {
        self.gate.read()
    }

    pub(crate) fn try_control(&self) -> Option<Control<'_>> {
        self.gate.try_control()
    }

    pub(crate) fn grace(&self) -> &Grace {
        &self.grace
    }

    pub(crate) fn get(&self, cpu: CpuId) -> Option<&PerCpu<S, ROUNDS>> {
        self.each.get(cpu.0)
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, PerCpu<S, ROUNDS>> {
        self.each.iter()
    }

    pub(crate) fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.each.iter().map(|cpu| &cpu.seen)
    }

    /// The part of the CPU that this code runs on, for as long as the guard says so. None if there
    /// is no place for it.
    #[inline(always)]
    pub(crate) fn here<'a, G: CpuPinned + ?Sized>(
        &'a self,
        guard: &'a G,
    ) -> Option<Here<'a, S, ROUNDS>> {
        let id = guard.cpu();
        Some(Here {
            cpu: self.each.get(id.0)?,
            gate: &self.gate,
            grace: &self.grace,
            id,
            context: guard.context(),
            on_this_cpu: PhantomData,
        })
    }

    /// Waits until every CPU has passed a quiescent state since the call.
    pub(crate) fn wait_for_grace(
        &self,
        here: &Here<'_, S, ROUNDS>,
        wait: &mut impl Wait,
    ) -> Result<Ticket, GracePeriodTimeout> {
        let ticket = self.grace.start();
        // This CPU passes by being here.
        here.pass();
        self.grace.wait(ticket, || self.seen(), wait)?;
        Ok(ticket)
    }

    /// Waits until nobody works under the gate as it was before it was closed. Every cache is then
    /// the caller's.
    pub(crate) fn own<'p>(
        &'p self,
        shut: Shut<'p>,
        here: &Here<'_, S, ROUNDS>,
        wait: &mut impl Wait,
    ) -> Result<(Ownership<'p>, Ticket), GracePeriodTimeout> {
        assert!(shut.is_of(&self.gate));
        let over = self.wait_for_grace(here, wait)?;
        Ok((Ownership { shut }, over))
    }

    /// Works on one CPU's cache as the drainer.
    pub(crate) fn with_owned<R>(
        &self,
        owner: &mut Ownership<'_>,
        cpu: &PerCpu<S, ROUNDS>,
        f: impl FnOnce(&mut Cache<S, ROUNDS>) -> R,
    ) -> R {
        assert!(owner.shut.is_of(&self.gate));
        // SAFETY: this gate is closed, and a grace period has passed since: every operation that
        // had begun under the open gate has ended, and every later one on that CPU sees the gate
        // closed and leaves the cell alone. There is one owner, who has control, and `&mut`: one
        // borrow at a time.
        cpu.local.cell.with_mut(|cell| f(unsafe { &mut *cell }))
    }

    /// Looks at one CPU's cache as the drainer.
    pub(crate) fn look_at_owned<R>(
        &self,
        owner: &Ownership<'_>,
        cpu: &PerCpu<S, ROUNDS>,
        f: impl FnOnce(&Cache<S, ROUNDS>) -> R,
    ) -> R {
        assert!(owner.shut.is_of(&self.gate));
        // SAFETY: as above; `&`: nobody changes it meanwhile.
        cpu.local.cell.with(|cell| f(unsafe { &*cell }))
    }
}

/// Evidence that this code runs on the CPU whose part it names: made of a guard, and no longer than
/// the guard lives.
#[derive(Clone, Copy)]
pub(crate) struct Here<'a, S: Copy, const ROUNDS: usize> {
    cpu: &'a PerCpu<S, ROUNDS>,
    gate: &'a Gate,
    grace: &'a Grace,
    id: CpuId,
    context: Context,
    /// Neither `Send` nor `Sync`.
    on_this_cpu: PhantomData<*const ()>,
}

impl<S: Copy, const ROUNDS: usize> Deref for Here<'_, S, ROUNDS> {
    type Target = PerCpu<S, ROUNDS>;
    #[inline(always)]
    fn deref(&self) -> &PerCpu<S, ROUNDS> {
        self.cpu
    }
}

impl<'a, S: Copy, const ROUNDS: usize> Here<'a, S, ROUNDS> {
    pub(crate) fn id(&self) -> CpuId {
        self.id
    }

    pub(crate) fn may_wait(&self) -> bool {
        self.context.contains(Context::MAY_WAIT)
    }

    /// The right to take locks, if the context gives it.
    pub(crate) fn may_lock(&self) -> Option<MayLock<'a>> {
        MayLock::check(self.context, &self.cpu.held)
    }

    /// Is an operation under way, or does the CPU change its state?
    #[inline(always)]
    pub(crate) fn is_busy(&self) -> bool {
        self.cpu.local.claim.load(OwnOrdering::Relaxed) == BUSY
    }

    /// The hit path: begins an operation, if the cache may be used at once.
    #[inline(always)]
    pub(crate) fn claim(&self) -> Option<Claim<'a, S, ROUNDS>> {
        let claim = &self.cpu.local.claim;
        let before = claim.load(OwnOrdering::Relaxed);
        claim.store(BUSY, OwnOrdering::Relaxed);
        // BUSY first: from here on an interrupt that cannot be masked stays out, and does not say
        // that the CPU passes.
        compiler_fence(OwnOrdering::SeqCst);
        let word = self.gate.read();
        if before == word.bits() {
            let busy = Busy {
                here: *self,
                after: before,
            };
            return Some(Claim { busy, word });
        }
        compiler_fence(OwnOrdering::SeqCst);
        // An operation that was interrupted goes on. Otherwise the next one, like the slow path of
        // this one, looks closer.
        let after = if before == BUSY { BUSY } else { AWAY };
        claim.store(after, OwnOrdering::Relaxed);
        None
    }

    /// Keeps everything else on this CPU out: for the slow paths, and to change or announce the
    /// CPU's state.
    ///
    /// # Errors
    /// [`Refused::Reentered`]: something is under way already.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Result<Busy<'a, S, ROUNDS>, Refused> {
        let claim = &self.cpu.local.claim;
        let before = claim.load(OwnOrdering::Relaxed);
        if before == BUSY {
            return Err(Refused::Reentered);
        }
        claim.store(BUSY, OwnOrdering::Relaxed);
        compiler_fence(OwnOrdering::SeqCst);
        Ok(Busy {
            here: *self,
            after: before,
        })
    }

    /// Passes a quiescent state, if no operation is under way.
    pub(crate) fn pass(&self) {
        if let Ok(busy) = self.enter() {
            busy.pass();
        }
    }
}

/// Proof that nothing else on this CPU uses the pool, not even an interrupt that cannot be masked.
/// Dropping it stores the next claim.
pub(crate) struct Busy<'a, S: Copy, const ROUNDS: usize> {
    here: Here<'a, S, ROUNDS>,
    after: u32,
}

impl<'a, S: Copy, const ROUNDS: usize> Busy<'a, S, ROUNDS> {
    /// Tells the other CPUs that this one is outside of any operation.
    #[inline(always)]
    pub(crate) fn pass(&self) {
        self.here.grace.announce(&self.here.cpu.seen);
    }

    /// Tells them that from now on this CPU touches nothing.
    pub(crate) fn leave(&mut self) {
        self.after = AWAY;
        self.here.cpu.seen.leave();
    }

    /// Tells them that this CPU runs again.
    pub(crate) fn come_back(&mut self) {
        if !self.here.cpu.seen.is_running() {
            self.after = AWAY;
            self.here.grace.resume(&self.here.cpu.seen);
        }
    }

    /// Begins an operation. The cache may hold sets of an old generation: [`Claim::adopt`].
    ///
    /// # Errors
    /// The gate is closed, or the CPU is away; the caller still keeps everything else out.
    pub(crate) fn claim(mut self) -> Result<Claim<'a, S, ROUNDS>, (Self, Refused)> {
        let word = self.here.gate.read();
        if word.is_final() {
            return Err((self, Refused::ClosedForGood));
        }
        if word.is_closed() {
            return Err((self, Refused::Closed));
        }
        // Away means that nobody waits for this CPU, whatever the gate says.
        if !self.here.cpu.seen.is_running() {
            let id = self.here.id;
            return Err((self, Refused::NotOnline(id)));
        }
        self.after = AWAY;
        Ok(Claim { busy: self, word })
    }
}

impl<S: Copy, const ROUNDS: usize> Drop for Busy<'_, S, ROUNDS> {
    #[inline(always)]
    fn drop(&mut self) {
        compiler_fence(OwnOrdering::SeqCst);
        let claim = &self.here.cpu.local.claim;
        claim.store(self.after, OwnOrdering::Relaxed);
    }
}

/// Proof that an operation is under way on its own CPU, under an open gate. Dropping it ends the
/// operation.
pub(crate) struct Claim<'a, S: Copy, const ROUNDS: usize> {
    busy: Busy<'a, S, ROUNDS>,
    word: GateWord,
}

impl<'a, S: Copy, const ROUNDS: usize> Claim<'a, S, ROUNDS> {
    /// The gate's word under which the operation runs.
    #[inline(always)]
    pub(crate) fn word(&self) -> GateWord {
        self.word
    }

    /// Works on the cache. `f` must not call into the kernel.
    #[inline(always)]
    pub(crate) fn with<R>(&mut self, f: impl FnOnce(&mut Cache<S, ROUNDS>) -> R) -> R {
        let cell = &self.busy.here.cpu.local.cell;
        // SAFETY: a claim exists, so this is the owning CPU, it read an open gate after it had
        // stored BUSY and while it was running, and it announces nothing before the claim is
        // dropped; so no drainer's grace period has ended since. Code that interrupts the operation
        // finds BUSY and stays out. `&mut self`: one borrow at a time.
        cell.with_mut(|cell| f(unsafe { &mut *cell }))
    }

    /// The cache is of this operation's generation, or becomes so if it is empty: the next
    /// operation may take the hit path. False: it holds sets of an old one.
    pub(crate) fn adopt(&mut self) -> bool {
        let word = self.word;
        let current = self.with(|cache| {
            if cache.len() == 0 {
                cache.word = word;
            }
            cache.word == word
        });
        if current {
            self.busy.after = word.bits();
        }
        current
    }

    /// Ends the operation, and goes on keeping everything else out.
    pub(crate) fn end(self) -> Busy<'a, S, ROUNDS> {
        self.busy
    }
}

/// Whoever has it owns every CPU's cache: it has control, the gate is closed, and a grace period
/// has passed since. Dropping it opens the gate.
pub(crate) struct Ownership<'p> {
    shut: Shut<'p>,
}

impl<'p> Ownership<'p> {
    pub(crate) fn shut(&self) -> &Shut<'p> {
        &self.shut
    }
}
