//! What `get` hands out and `put` takes back.

use crate::gate::GateWord;

/// A number that goes up whenever the constructed form changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub(crate) u32);

impl Generation {
    /// The number. 1 for a fresh pool; below 2^30, after which it starts again from 1.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Owning one proves that the set is constructed, belongs to the pool that gave it out, and that
/// nobody else has it: it can be neither copied nor put back twice. A dropped one is not lost: it
/// counts as in use for good.
#[must_use = "a set that is dropped stays in use for ever; put it back"]
#[derive(Debug, PartialEq, Eq)]
pub struct Constructed<S> {
    pub(crate) set: S,
    /// The gate's word when it was constructed, or last found to be current: its generation.
    pub(crate) word: GateWord,
    /// Number of the pool.
    #[cfg(any(debug_assertions, feature = "checks"))]
    pub(crate) pool: u32,
}

impl<S: Copy> Constructed<S> {
    #[inline(always)]
    pub(crate) fn new(set: S, word: GateWord, _pool: impl FnOnce() -> u32) -> Self {
        Constructed {
            set,
            word,
            #[cfg(any(debug_assertions, feature = "checks"))]
            pool: _pool(),
        }
    }

    /// The set.
    #[inline]
    pub fn set(&self) -> S {
        self.set
    }

    /// The construction generation it was made in. A set of an old one is destructed when it is put
    /// back.
    pub fn generation(&self) -> Generation {
        self.word.generation()
    }

    /// Was it given out by the pool of this number? Yes, in a build without checks.
    pub(crate) fn is_of(&self, _pool: u32) -> bool {
        #[cfg(any(debug_assertions, feature = "checks"))]
        return self.pool == _pool;
        #[cfg(not(any(debug_assertions, feature = "checks")))]
        true
    }

    /// Takes the token apart into three plain words' worth, for a kernel that keeps them in its own
    /// frame metadata.
    pub fn into_parts(self) -> (S, Parts) {
        let parts = Parts {
            word: self.word,
            #[cfg(any(debug_assertions, feature = "checks"))]
            pool: self.pool,
        };
        (self.set, parts)
    }

    /// Puts a token together again.
    ///
    /// # Safety
    /// Set and parts come from one [`into_parts`](Constructed::into_parts), each used once.
    #[allow(unsafe_code)]
    pub unsafe fn from_parts(set: S, parts: Parts) -> Self {
        Constructed {
            set,
            word: parts.word,
            #[cfg(any(debug_assertions, feature = "checks"))]
            pool: parts.pool,
        }
    }
}

/// What a token knows besides its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    word: GateWord,
    #[cfg(any(debug_assertions, feature = "checks"))]
    pool: u32,
}
