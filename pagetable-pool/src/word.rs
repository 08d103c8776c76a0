//! The gate's word, and the construction generation in it.

/// A number that goes up whenever the constructed form changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u32);

impl Generation {
    /// The number. 1 for a fresh pool; below 2^30, after which it starts again from 1.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// What the gate says. Bit 0: closed. Bit 1: closed for good. The rest: the construction
/// generation, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GateWord(u32);

impl GateWord {
    const CLOSED: u32 = 1 << 0;
    const FINAL: u32 = 1 << 1;
    const FLAGS: u32 = Self::CLOSED | Self::FINAL;
    /// Generations are counted in the bits above the flags.
    const SHIFT: u32 = 2;

    /// No gate's word, of no generation.
    pub(crate) const NONE: GateWord = GateWord(0);
    /// Not an open gate's word either, and another than [`NONE`](GateWord::NONE).
    pub(crate) const NEVER: GateWord = GateWord(Self::CLOSED);
    /// A fresh pool's: open, of generation 1.
    pub(crate) const FIRST: GateWord = GateWord(1 << Self::SHIFT);

    pub(crate) const fn from_bits(bits: u32) -> GateWord {
        GateWord(bits)
    }

    #[inline(always)]
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    pub(crate) const fn is_final(self) -> bool {
        self.0 & Self::FINAL != 0
    }

    pub(crate) const fn generation(self) -> Generation {
        Generation(self.0 >> Self::SHIFT)
    }

    pub(crate) const fn is_of_generation_of(self, other: GateWord) -> bool {
        self.0 >> Self::SHIFT == other.0 >> Self::SHIFT
    }

    pub(crate) const fn closed(self) -> GateWord {
        GateWord(self.0 | Self::CLOSED)
    }

    pub(crate) const fn closed_for_good(self) -> GateWord {
        GateWord(self.0 | Self::FLAGS)
    }

    pub(crate) const fn opened(self) -> GateWord {
        GateWord(self.0 & !Self::CLOSED)
    }

    /// The same flags, of the next generation. There is no generation 0.
    pub(crate) const fn next_generation(self) -> GateWord {
        let flags = self.0 & Self::FLAGS;
        match (self.0 >> Self::SHIFT).wrapping_add(1) << Self::SHIFT {
            0 => GateWord(Self::FIRST.0 | flags),
            next => GateWord(next | flags),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_generation_after_the_last_is_1_and_the_flags_stay() {
        for flags in 0..4 {
            let first = GateWord(flags | GateWord::FIRST.0);
            let last = GateWord(flags | u32::MAX << GateWord::SHIFT);
            assert_eq!(last.next_generation(), first);
            assert_eq!(first.next_generation().generation().get(), 2);
            assert_eq!(first.next_generation().0 & GateWord::FLAGS, flags);
        }
    }
}
