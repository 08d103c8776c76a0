//! The gate: one word, read by every operation and rarely written, and control of it.
//!
//! Only who has control writes the word. Any store that makes a *usable* word, one that is open, is
//! a release: whoever sees the word works on a cache that a drainer may have had, and constructs
//! sets of that generation. A word that is closed needs none, since nobody touches anything under
//! it; the grace period that follows makes it known.

use crate::sites::{self, acquire, release, Site};
use crate::sync::{const_fn, AtomicBool, AtomicU32, Ordering};
use crate::word::{GateWord, Generation};

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
            Gate { word: Line(AtomicU32::new(GateWord::FIRST.bits())), taken: AtomicBool::new(false) }
        }
    }

    #[inline(always)]
    pub(crate) fn read(&self) -> GateWord {
        GateWord::from_bits(acquire(Site::GateRead, &self.word.0))
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
        GateWord::from_bits(self.gate.word.0.load(Ordering::Relaxed))
    }

    pub(crate) fn next_generation(&self) -> Generation {
        let next = self.word().next_generation();
        // An open gate's word, unless a drainer calls: usable at once.
        release(Site::GateGeneration, &self.gate.word.0, next.bits());
        next.generation()
    }

    /// A closed gate's word: nobody touches anything under it.
    fn store_unusable(&self, word: GateWord) {
        self.gate.word.0.store(word.bits(), Ordering::Relaxed);
    }

    pub(crate) fn close(self) -> Shut<'p> {
        self.store_unusable(self.word().closed());
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
        let word = self.control.word().closed_for_good();
        self.control.store_unusable(word);
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        let word = self.control.word();
        if !word.is_final() {
            release(
                Site::GateOpen,
                &self.control.gate.word.0,
                word.opened().bits(),
            );
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
        assert_eq!(shut.next_generation(), GateWord::FIRST.generation());
        assert!(gate.read().is_closed() && !gate.read().is_final());
        drop(shut);
        assert_eq!(gate.read(), GateWord::FIRST);
        gate.try_control().unwrap().close().for_good();
        assert!(gate.read().is_closed() && gate.read().is_final());
        drop(gate.try_control().unwrap().close());
        assert!(
            gate.read().is_closed(),
            "whoever comes later cannot open it"
        );
    }
}
