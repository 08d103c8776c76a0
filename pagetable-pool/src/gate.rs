//! The gate: one word, read by every operation and rarely written, and control of it.
//!
//! Only who has control writes the word. Any store that makes a *usable* word, one that is open, is
//! a release: whoever sees the word works on a cache that a drainer may have had, and constructs
//! sets of that generation. A word that is closed needs none, since nobody touches anything under
//! it; the grace period that follows makes it known.

use crate::sites::{self, acquire, release, Site};
use crate::sync::{const_fn, AtomicBool, AtomicU32, Ordering};
use crate::token::Generation;

const CLOSED: u32 = 1 << 0;
const FINAL: u32 = 1 << 1;
const FIRST: u32 = 1 << 2;

/// What the gate says. Bit 0: closed. Bit 1: closed for good. The rest: the construction
/// generation, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GateWord(u32);

impl GateWord {
    /// No gate's word, of no generation.
    pub(crate) const NONE: GateWord = GateWord(0);
    /// Not an open gate's word either, and another than [`NONE`](GateWord::NONE).
    pub(crate) const NEVER: GateWord = GateWord(CLOSED);

    pub(crate) const fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    pub(crate) const fn is_final(self) -> bool {
        self.0 & FINAL != 0
    }

    pub(crate) const fn generation(self) -> Generation {
        Generation(self.0 >> 2)
    }

    pub(crate) const fn is_of_generation_of(self, other: GateWord) -> bool {
        self.0 >> 2 == other.0 >> 2
    }

    /// The word, for a claim that is compared with it.
    #[inline(always)]
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    const fn closed(self) -> GateWord {
        GateWord(self.0 | CLOSED)
    }

    const fn opened(self) -> GateWord {
        GateWord(self.0 & !CLOSED)
    }

    /// The same flags, of the next generation. There is no generation 0.
    const fn next_generation(self) -> GateWord {
        let next = GateWord(self.0.wrapping_add(FIRST));
        if next.generation().0 == 0 {
            GateWord(FIRST | (self.0 & (CLOSED | FINAL)))
        } else {
            next
        }
    }
}

/// Alone on its cache lines: written rarely, read by every CPU all the time.
#[repr(align(128))]
struct Line(AtomicU32);

pub(crate) struct Gate {
    word: Line,
    /// Taken by whoever drains, invalidates, closes, waits for deferred frees, or tries quarantined
    /// sets again.
    taken: AtomicBool,
}

impl Gate {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Gate { word: Line(AtomicU32::new(FIRST)), taken: AtomicBool::new(false) }
        }
    }

    #[inline(always)]
    pub(crate) fn read(&self) -> GateWord {
        GateWord(acquire(Site::GateRead, &self.word.0))
    }

    /// Takes control, if nobody has it.
    pub(crate) fn try_control(&self) -> Option<Control<'_>> {
        sites::try_control(&self.taken).then(|| Control { gate: self })
    }
}

/// Control of the gate: at most one CPU has it. Dropping it gives it up.
pub(crate) struct Control<'p> {
    gate: &'p Gate,
}

impl<'p> Control<'p> {
    /// What this one or the one before wrote.
    pub(crate) fn word(&self) -> GateWord {
        GateWord(self.gate.word.0.load(Ordering::Relaxed))
    }

    pub(crate) fn next_generation(&self) -> Generation {
        let next = self.word().next_generation();
        // An open gate's word, unless a drainer calls: usable at once.
        release(Site::GateGeneration, &self.gate.word.0, next.0);
        next.generation()
    }

    pub(crate) fn close(self) -> Shut<'p> {
        self.gate
            .word
            .0
            .store(self.word().closed().0, Ordering::Relaxed);
        Shut { control: self }
    }
}

impl Drop for Control<'_> {
    fn drop(&mut self) {
        sites::release_control(&self.gate.taken);
    }
}

/// The gate is closed, and stays so for as long as this lives; control is held. Dropping it opens
/// the gate, unless it is closed for good, and gives up control.
pub(crate) struct Shut<'p> {
    control: Control<'p>,
}

impl Shut<'_> {
    pub(crate) fn is_of(&self, gate: &Gate) -> bool {
        core::ptr::eq(self.control.gate, gate)
    }

    pub(crate) fn next_generation(&self) -> Generation {
        self.control.next_generation()
    }

    /// From now on nothing opens the gate.
    pub(crate) fn for_good(&self) {
        let word = self.control.word().closed().0 | FINAL;
        self.control.gate.word.0.store(word, Ordering::Relaxed);
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        let word = self.control.word();
        if !word.is_final() {
            release(Site::GateOpen, &self.control.gate.word.0, word.opened().0);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_generation_wraps_past_nothing_and_keeps_the_gate() {
        let gate = Gate {
            word: Line(AtomicU32::new(u32::MAX << 2)),
            taken: AtomicBool::new(false),
        };
        let shut = gate.try_control().unwrap().close();
        assert!(gate.try_control().is_none());
        assert_eq!(shut.next_generation(), Generation(1));
        assert!(gate.read().is_closed() && !gate.read().is_final());
        drop(shut);
        assert_eq!(gate.read(), GateWord(FIRST));
        gate.try_control().unwrap().close().for_good();
        assert!(gate.read().is_closed() && gate.read().is_final());
        drop(gate.try_control().unwrap().close());
        assert!(
            gate.read().is_closed(),
            "whoever comes later cannot open it"
        );
    }
}
