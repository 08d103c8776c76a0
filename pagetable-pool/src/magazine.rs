//! A magazine: a fixed array of sets that moves as one.

use crate::word::GateWord;

/// Up to `ROUNDS` sets of one generation.
#[derive(Clone, Copy)]
pub(crate) struct Magazine<S, const ROUNDS: usize> {
    /// The open gate's word under which its sets were constructed.
    pub(crate) word: GateWord,
    len: usize,
    sets: [S; ROUNDS],
}

impl<S: Copy, const ROUNDS: usize> Magazine<S, ROUNDS> {
    pub(crate) const fn new(empty: S) -> Self {
        Magazine {
            word: GateWord::NONE,
            len: 0,
            sets: [empty; ROUNDS],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Pushes; false if there is no room.
    pub(crate) fn push(&mut self, set: S) -> bool {
        match self.sets.get_mut(self.len) {
            Some(slot) => {
                *slot = set;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    pub(crate) fn pop(&mut self) -> Option<S> {
        self.len = self.len.checked_sub(1)?;
        Some(self.sets[self.len])
    }

    pub(crate) fn as_slice(&self) -> &[S] {
        &self.sets[..self.len]
    }
}
