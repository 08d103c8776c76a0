//! What `get` hands out and `put` takes back.

use crate::marks::Origin;
use crate::word::{GateWord, Generation};

/// Owning one proves that the set is constructed, belongs to the pool that gave it out, and has no
/// other owner: it can be neither copied nor put back twice. If it is dropped, the set counts as
/// in use for ever.
#[must_use = "a set that is dropped stays in use for ever; put it back"]
#[derive(Debug, PartialEq, Eq)]
pub struct Constructed<S> {
    pub(crate) set: S,
    /// The gate's word when it was constructed, or last found to be current: its generation.
    pub(crate) word: GateWord,
    /// The pool that gave it out.
    pub(crate) origin: Origin,
}

impl<S: Copy> Constructed<S> {
    #[inline(always)]
    pub(crate) fn new(set: S, word: GateWord, origin: Origin) -> Self {
        Constructed { set, word, origin }
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

    /// Splits the token into the set and the rest, for a kernel that stores them in its own frame
    /// metadata.
    pub fn into_parts(self) -> (S, Parts) {
        let parts = Parts {
            word: self.word,
            origin: self.origin,
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
            origin: parts.origin,
        }
    }
}

/// The rest of a token, without its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    word: GateWord,
    origin: Origin,
}
