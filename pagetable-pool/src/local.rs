//! One CPU's cache, and the two cells that only their owner may touch.
//!
//! This is the crate's one module with unsafe blocks. The reason: the hit path works on plain memory, without a lock and
//! without an atomic read-modify-write, and the language cannot see that only one party at a time does so.
#![allow(unsafe_code)]

use core::sync::atomic::{compiler_fence, AtomicU32 as OwnU32, Ordering as OwnOrdering};

use crate::magazine::Magazine;
use crate::sync::{const_fn, UnsafeCell};

/// Up to two magazines of sets. The lower half is what Bonwick calls the previous magazine, the upper one the current:
/// get and put work at the top, and a whole magazine moves at the bottom when both are full, or comes in when both are
/// empty. So a CPU that gets and puts around a boundary does not go to the depot each time.
pub(crate) struct Cache<S, const ROUNDS: usize> {
    /// The open gate's word under which these sets were constructed.
    pub(crate) word: u32,
    len: usize,
    slots: [[S; ROUNDS]; 2],
    empty: S,
}

impl<S: Copy, const ROUNDS: usize> Cache<S, ROUNDS> {
    pub(crate) const fn new(empty: S) -> Self {
        Cache {
            word: 0,
            len: 0,
            slots: [[empty; ROUNDS]; 2],
            empty,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<S> {
        // Length 0 wraps to a place that does not exist.
        let top = self.len.wrapping_sub(1);
        let slot = self.slots.as_flattened_mut().get_mut(top)?;
        let set = *slot;
        if crate::CHECKS {
            *slot = self.empty;
        }
        self.len = top;
        Some(set)
    }

    pub(crate) fn has_room(&self) -> bool {
        self.len < 2 * ROUNDS
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, set: S) -> bool {
        match self.slots.as_flattened_mut().get_mut(self.len) {
            Some(slot) => {
                *slot = set;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Takes up to a magazine of the sets that were put longest ago.
    pub(crate) fn take_cold(&mut self) -> Magazine<S, ROUNDS> {
        let mut cold = Magazine::new(self.empty);
        cold.word = self.word;
        let taken = self.len.min(ROUNDS);
        let slots = self.slots.as_flattened_mut();
        for &set in &slots[..taken] {
            cold.push(set);
        }
        slots.copy_within(taken..self.len, 0);
        self.len -= taken;
        cold
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = S> + '_ {
        self.slots.as_flattened()[..self.len].iter().copied()
    }
}

/// The claim when the CPU is outside the pool: it has not come online, is idle, parked, or gone.
const AWAY: u32 = 0;
/// The claim while an operation runs on the CPU. No open gate has this word.
const BUSY: u32 = crate::gate::CLOSED;

/// A cell that a CPU works on under the gate's word, or the drainer after a grace period.
///
/// The claim is written and read by its own CPU alone. It says under which gate word the CPU may use the cell, or that an
/// operation is under way; so one comparison answers whether the gate is open, the generation current, the CPU online, and
/// no operation interrupted.
pub(crate) struct Owned<T> {
    claim: OwnU32,
    cell: UnsafeCell<T>,
}

// SAFETY: the cell is reached through `claim` and `with_drained` only, whose callers see to it that one party at a time does.
unsafe impl<T: Send> Sync for Owned<T> {}

/// Why a claim failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoClaim {
    /// Another operation on this CPU is under way.
    Busy,
    /// Gate closed, generation changed, or CPU came back: the slow path looks closer.
    Changed,
}

/// Proof that an operation is under way on its own CPU. Dropping it ends the operation.
pub(crate) struct Claim<'a, T> {
    owned: &'a Owned<T>,
    word: u32,
}

impl<T> Owned<T> {
    const_fn! {
        pub(crate) const fn new(value: T) -> Self {
            Owned { claim: OwnU32::new(AWAY), cell: UnsafeCell::new(value) }
        }
    }

    /// Begins an operation on this CPU, if it may use its cell under `word` at once.
    ///
    /// # Safety
    /// The caller runs on the CPU that owns this cell, has evidence of it, and has just read `word` from the gate.
    #[inline(always)]
    pub(crate) unsafe fn claim(&self, word: u32) -> Result<Claim<'_, T>, NoClaim> {
        let claim = self.claim.load(OwnOrdering::Relaxed);
        if claim == word {
            self.claim.store(BUSY, OwnOrdering::Relaxed);
            // A non-maskable interrupt on this CPU must see the claim before the cell is changed.
            compiler_fence(OwnOrdering::SeqCst);
            return Ok(Claim { owned: self, word });
        }
        Err(if claim == BUSY {
            NoClaim::Busy
        } else {
            NoClaim::Changed
        })
    }

    /// Begins an operation on this CPU under `word`, an open gate's. Gives none if another one is under way.
    ///
    /// # Safety
    /// As for `claim`; and the CPU has announced that it is running (`Grace::resume`) before it read `word`.
    pub(crate) unsafe fn claim_anew(&self, word: u32) -> Option<Claim<'_, T>> {
        if self.is_busy() {
            return None;
        }
        self.claim.store(BUSY, OwnOrdering::Relaxed);
        compiler_fence(OwnOrdering::SeqCst);
        Some(Claim { owned: self, word })
    }

    /// Called on its own CPU: is an operation under way?
    #[inline(always)]
    pub(crate) fn is_busy(&self) -> bool {
        self.claim.load(OwnOrdering::Relaxed) == BUSY
    }

    /// Called on its own CPU: the next operation takes the slow path, and finds out whether the CPU is online.
    pub(crate) fn forget_claim(&self) {
        self.claim.store(AWAY, OwnOrdering::Relaxed);
    }

    /// Works on a cell as the drainer.
    ///
    /// # Safety
    /// The caller holds the pool's control, has closed the gate, has waited for a grace period since, and has not opened it.
    pub(crate) unsafe fn with_drained<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: every operation that had begun under an open gate has ended before the grace period did, and every later one
        // on that CPU sees the gate closed and leaves the cell alone. Drainers exclude each other by control.
        self.cell.with_mut(|cell| f(unsafe { &mut *cell }))
    }
}

impl<T> Claim<'_, T> {
    /// The gate's word under which the operation runs.
    #[inline(always)]
    pub(crate) fn word(&self) -> u32 {
        self.word
    }

    /// Works on the cell. `f` must not call into the kernel.
    #[inline(always)]
    pub(crate) fn with<R>(&mut self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: a claim exists, so this is the owning CPU, it had read an open gate after it was last quiescent, and it
        // announces nothing while the claim says BUSY; so no drainer's grace period has ended since. Code that interrupts the
        // operation finds BUSY and stays out. `&mut self`: one borrow at a time.
        self.owned.cell.with_mut(|cell| f(unsafe { &mut *cell }))
    }
}

impl<T> Drop for Claim<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        compiler_fence(OwnOrdering::SeqCst);
        self.owned.claim.store(self.word, OwnOrdering::Relaxed);
    }
}
