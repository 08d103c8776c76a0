//! Debug checks on single sets: whose it is, whether it is out, and whether anybody wrote to it
//! while it was free.

use core::sync::atomic::{AtomicU32 as OwnU32, Ordering as OwnOrdering};

use crate::backend::Backend;
use crate::checks::CHECKS;

/// What a set's mark says, besides whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum State {
    Cached = 1,
    InUse = 2,
    Deferred = 3,
    Quarantined = 4,
}

/// A number for each pool in this kernel, so that marks and tokens of two pools differ.
pub(crate) struct PoolId(OwnU32);

static NEXT: OwnU32 = OwnU32::new(1);

impl PoolId {
    pub(crate) const fn new() -> Self {
        PoolId(OwnU32::new(0))
    }

    /// The number; drawn when first asked for. 0 in a build without checks.
    pub(crate) fn get(&self) -> u32 {
        if !CHECKS {
            return 0;
        }
        match self.0.load(OwnOrdering::Relaxed) {
            0 => {
                let drawn = NEXT.fetch_add(1, OwnOrdering::Relaxed);
                match self
                    .0
                    .compare_exchange(0, drawn, OwnOrdering::Relaxed, OwnOrdering::Relaxed)
                {
                    Ok(_) => drawn,
                    Err(other) => other,
                }
            }
            id => id,
        }
    }
}

/// The pool that gave a set out. Empty in a build without checks: a token is then no larger than
/// its set and the generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    #[cfg(any(debug_assertions, feature = "checks"))]
    pool: u32,
}

#[cfg(any(debug_assertions, feature = "checks"))]
impl Origin {
    pub(crate) fn of(id: &PoolId) -> Self {
        Origin { pool: id.get() }
    }

    pub(crate) fn is(self, id: &PoolId) -> bool {
        self.pool == id.get()
    }

    pub(crate) const fn bits(self) -> u32 {
        self.pool
    }

    pub(crate) const fn from_bits(pool: u32) -> Self {
        Origin { pool }
    }
}

#[cfg(not(any(debug_assertions, feature = "checks")))]
impl Origin {
    #[inline(always)]
    pub(crate) fn of(_: &PoolId) -> Self {
        Origin {}
    }

    /// True of every pool: nothing is known.
    pub(crate) fn is(self, _: &PoolId) -> bool {
        true
    }

    pub(crate) const fn bits(self) -> u32 {
        0
    }

    pub(crate) const fn from_bits(_: u32) -> Self {
        Origin {}
    }
}

fn word(pool: u32, state: State) -> u32 {
    pool << 3 | state as u32
}

/// What a check of a put found wrong.
pub(crate) enum Wrong {
    Foreign,
    NotInUse,
}

/// Marks a set.
pub(crate) fn mark<B: Backend>(backend: &B, set: B::Set, pool: u32, state: State) {
    if let Some(mark) = backend.mark(set) {
        mark.store(word(pool, state), OwnOrdering::Relaxed);
    }
}

/// Takes the mark off: the set is about to be destructed.
pub(crate) fn unmark<B: Backend>(backend: &B, set: B::Set) {
    if let Some(mark) = backend.mark(set) {
        mark.store(0, OwnOrdering::Relaxed);
    }
}

/// Changes a set from in use to `to`, in one step, so that of two puts at once one is found.
pub(crate) fn take_back<B: Backend>(
    backend: &B,
    set: B::Set,
    pool: u32,
    to: State,
) -> Result<(), Wrong> {
    let Some(mark) = backend.mark(set) else {
        return Ok(());
    };
    let (expected, new) = (word(pool, State::InUse), word(pool, to));
    match mark.compare_exchange(expected, new, OwnOrdering::Relaxed, OwnOrdering::Relaxed) {
        Ok(_) => Ok(()),
        Err(found) if found >> 3 == pool => Err(Wrong::NotInUse),
        Err(_) => Err(Wrong::Foreign),
    }
}

/// Does the mark say that the set lies in a cache of this pool?
pub(crate) fn is_cached<B: Backend>(backend: &B, set: B::Set, pool: u32) -> bool {
    backend
        .mark(set)
        .is_none_or(|mark| mark.load(OwnOrdering::Relaxed) == word(pool, State::Cached))
}
