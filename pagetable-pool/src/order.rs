//! Locks with ranks: a check that they are taken in one order, and only where locks may be taken.
//!
//! The counterpart of Linux's `PROVE_RAW_LOCK_NESTING` for this crate. A debug build keeps, for
//! each CPU, the ranks that it holds; a lock of the same or a lower rank then fails a debug
//! assertion. Taking a lock from a context without
//! [`Context::MAY_LOCK`] is refused in every build, before the lock is touched.

use core::sync::atomic::{AtomicU32 as OwnU32, Ordering as OwnOrdering};

use crate::checks::CHECKS;
use crate::guard::Context;
use crate::sync::{const_fn, lock, RawMutex, RawMutexGuard};

/// The order in which locks may nest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Rank {
    Batch = 1 << 0,
    Deferred = 1 << 1,
    LeftBehind = 1 << 2,
    Depot = 1 << 3,
    Quarantine = 1 << 4,
}

/// The ranks that one CPU holds. Written by that CPU alone.
pub(crate) struct Held(OwnU32);

impl Held {
    pub(crate) const fn new() -> Self {
        Held(OwnU32::new(0))
    }

    fn enter(&self, rank: Rank) {
        let held = self.0.load(OwnOrdering::Relaxed);
        debug_assert!(
            held < rank as u32,
            "lock order: {rank:?} taken while holding ranks {held:#b}"
        );
        self.0.store(held | rank as u32, OwnOrdering::Relaxed);
    }

    fn leave(&self, rank: Rank) {
        self.0.store(
            self.0.load(OwnOrdering::Relaxed) & !(rank as u32),
            OwnOrdering::Relaxed,
        );
    }
}

/// Proof that the caller may take locks, and on which CPU.
#[derive(Clone, Copy)]
pub(crate) struct MayLock<'a>(&'a Held);

impl<'a> MayLock<'a> {
    /// None if the context forbids it.
    pub(crate) fn check(context: Context, held: &'a Held) -> Option<Self> {
        context.contains(Context::MAY_LOCK).then_some(MayLock(held))
    }
}

/// A spin lock with a rank.
pub(crate) struct Ranked<T> {
    rank: Rank,
    inner: RawMutex<T>,
}

/// The lock, held.
pub(crate) struct RankedGuard<'a, T> {
    rank: Rank,
    held: &'a Held,
    inner: RawMutexGuard<'a, T>,
}

impl<T> Ranked<T> {
    const_fn! {
        pub(crate) const fn new(rank: Rank, value: T) -> Self {
            Ranked { rank, inner: RawMutex::new(value) }
        }
    }

    pub(crate) fn lock<'a>(&'a self, may: MayLock<'a>) -> RankedGuard<'a, T> {
        if CHECKS {
            may.0.enter(self.rank);
        }
        RankedGuard {
            rank: self.rank,
            held: may.0,
            inner: lock(&self.inner),
        }
    }
}

impl<T> core::ops::Deref for RankedGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> core::ops::DerefMut for RankedGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for RankedGuard<'_, T> {
    fn drop(&mut self) {
        if CHECKS {
            self.held.leave(self.rank);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn locks_nest_in_the_order_of_their_ranks() {
        let held = Held::new();
        let may = MayLock::check(Context::MAY_LOCK, &held).unwrap();
        let (deferred, depot) = (
            Ranked::new(Rank::Deferred, ()),
            Ranked::new(Rank::Depot, ()),
        );
        let outer = deferred.lock(may);
        drop(depot.lock(may));
        drop(outer);
        drop(depot.lock(may));
        assert_eq!(held.0.load(OwnOrdering::Relaxed), 0);
    }

    #[cfg(debug_assertions)]
    #[test]
    #[should_panic(expected = "lock order: Deferred taken while holding ranks 0b1000")]
    fn the_wrong_order_is_found() {
        let held = Held::new();
        let may = MayLock::check(Context::MAY_LOCK, &held).unwrap();
        let (deferred, depot) = (
            Ranked::new(Rank::Deferred, ()),
            Ranked::new(Rank::Depot, ()),
        );
        let _outer = depot.lock(may);
        let _inner = deferred.lock(may);
    }

    #[cfg(debug_assertions)]
    #[test]
    #[should_panic(expected = "lock order: Depot taken")]
    fn a_lock_taken_twice_is_found_before_it_spins() {
        let held = Held::new();
        let may = MayLock::check(Context::MAY_LOCK, &held).unwrap();
        let depot = Ranked::new(Rank::Depot, ());
        let _outer = depot.lock(may);
        let _inner = depot.lock(may);
    }

    #[test]
    fn a_context_that_may_not_lock_gets_no_right_to() {
        assert!(MayLock::check(Context::MAY_WAIT, &Held::new()).is_none());
    }
}
