//! What one CPU caches: two magazines.

use crate::checks::CHECKS;
use crate::magazine::Magazine;
use crate::word::GateWord;

/// Up to two magazines of sets. The lower half is what Bonwick calls the previous magazine, the
/// upper one the current: get and put work at the top, and a whole magazine moves at the bottom
/// when both are full, or comes in when both are empty. So a CPU that gets and puts around a
/// boundary does not go to the depot each time.
pub(crate) struct Cache<S, const ROUNDS: usize> {
    /// The open gate's word under which these sets were constructed.
    pub(crate) word: GateWord,
    len: usize,
    slots: [[S; ROUNDS]; 2],
    empty: S,
}

impl<S: Copy, const ROUNDS: usize> Cache<S, ROUNDS> {
    pub(crate) const fn new(empty: S) -> Self {
        Cache {
            word: GateWord::NONE,
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
        if CHECKS {
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
