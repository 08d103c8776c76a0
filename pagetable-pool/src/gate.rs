//! The gate: one word, read by every operation and rarely written.
//!
//! Bit 0: closed. Bit 1: closed for good. The rest: the construction generation, from 1.
//! Only who holds the pool's control writes it.

use crate::sites::{acquire, release, Site};
use crate::sync::{const_fn, AtomicU32, Ordering};
use crate::token::Generation;

pub(crate) const CLOSED: u32 = 1 << 0;
pub(crate) const FINAL: u32 = 1 << 1;
const FIRST: u32 = 1 << 2;

/// Alone on its cache lines: written rarely, read by every CPU all the time.
#[repr(align(128))]
pub(crate) struct Gate {
    word: AtomicU32,
}

pub(crate) const fn is_closed(word: u32) -> bool {
    word & CLOSED != 0
}

pub(crate) const fn is_final(word: u32) -> bool {
    word & FINAL != 0
}

pub(crate) const fn generation(word: u32) -> Generation {
    Generation(word >> 2)
}

/// Two words of one generation?
pub(crate) const fn same_generation(a: u32, b: u32) -> bool {
    a >> 2 == b >> 2
}

impl Gate {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Gate { word: AtomicU32::new(FIRST) }
        }
    }

    #[inline(always)]
    pub(crate) fn read(&self) -> u32 {
        acquire(Site::GateRead, &self.word)
    }

    /// Whoever holds control reads what it or its predecessor wrote.
    pub(crate) fn read_by_control(&self) -> u32 {
        self.word.load(Ordering::Relaxed)
    }

    /// Relaxed: the grace period that follows publishes it.
    pub(crate) fn close(&self, for_good: bool) {
        let flags = if for_good { CLOSED | FINAL } else { CLOSED };
        self.word
            .store(self.read_by_control() | flags, Ordering::Relaxed);
    }

    pub(crate) fn open(&self) {
        release(Site::GateOpen, &self.word, self.read_by_control() & !CLOSED);
    }

    /// Relaxed: the grace period that follows publishes it.
    pub(crate) fn next_generation(&self) -> Generation {
        let old = self.read_by_control();
        let mut new = old.wrapping_add(FIRST);
        if generation(new).0 == 0 {
            new = FIRST | (old & (CLOSED | FINAL));
        }
        self.word.store(new, Ordering::Relaxed);
        generation(new)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_generation_wraps_past_nothing_and_keeps_the_gate() {
        let gate = Gate {
            word: AtomicU32::new(u32::MAX << 2),
        };
        gate.close(false);
        assert_eq!(gate.next_generation(), Generation(1));
        assert!(is_closed(gate.read()) && !is_final(gate.read()));
        gate.open();
        assert_eq!(gate.read(), FIRST);
        gate.close(true);
        assert!(is_closed(gate.read()) && is_final(gate.read()));
    }
}
