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

impl Parts {
    /// The parts as one number, for a caller that keeps them where a Rust type cannot stand: in
    /// C's memory, in a word of frame metadata.
    pub const fn to_bits(self) -> u64 {
        self.word.bits() as u64 | (self.origin.bits() as u64) << 32
    }

    /// What [`to_bits`](Parts::to_bits) gave. Of any other number it makes parts that
    /// [`from_parts`](Constructed::from_parts) must not be given.
    pub const fn from_bits(bits: u64) -> Parts {
        Parts {
            word: GateWord::from_bits(bits as u32),
            origin: Origin::from_bits((bits >> 32) as u32),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::marks::PoolId;

    #[test]
    fn a_token_survives_being_a_number() {
        let word = GateWord::FIRST.next_generation();
        let token = Constructed::new(7u32, word, Origin::of(&PoolId::new()));
        let (set, parts) = token.into_parts();
        let back = Parts::from_bits(parts.to_bits());
        assert_eq!(back, parts);
        assert_eq!(back.word.generation(), word.generation());
        assert_eq!(set, 7);
    }
}
