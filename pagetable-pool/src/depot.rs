//! The depot: the shared stock of magazines, coldest first.

use crate::magazine::Magazine;

/// A ring of magazines: the CPUs work at the warm end, trimming at the cold end.
pub(crate) struct Depot<S, const MAGAZINES: usize, const ROUNDS: usize> {
    ring: [Magazine<S, ROUNDS>; MAGAZINES],
    coldest: usize,
    count: usize,
    sets: usize,
    /// Fullest it has been, in sets.
    pub(crate) peak: usize,
}

impl<S: Copy, const MAGAZINES: usize, const ROUNDS: usize> Depot<S, MAGAZINES, ROUNDS> {
    pub(crate) const fn new(empty: S) -> Self {
        Depot {
            ring: [Magazine::new(empty); MAGAZINES],
            coldest: 0,
            count: 0,
            sets: 0,
            peak: 0,
        }
    }

    /// Sets in stock.
    pub(crate) fn sets(&self) -> usize {
        self.sets
    }

    /// Adds at the warm end. Gives the magazine back if there is no room or the stock would exceed
    /// `high` sets.
    pub(crate) fn push_warm(
        &mut self,
        magazine: Magazine<S, ROUNDS>,
        high: usize,
    ) -> Result<(), Magazine<S, ROUNDS>> {
        if self.count == MAGAZINES || self.sets + magazine.len() > high {
            return Err(magazine);
        }
        self.sets += magazine.len();
        self.peak = self.peak.max(self.sets);
        self.ring[(self.coldest + self.count) % MAGAZINES] = magazine;
        self.count += 1;
        Ok(())
    }

    /// Takes the warmest.
    pub(crate) fn pop_warm(&mut self) -> Option<Magazine<S, ROUNDS>> {
        self.count = self.count.checked_sub(1)?;
        let magazine = self.ring[(self.coldest + self.count) % MAGAZINES];
        self.sets -= magazine.len();
        Some(magazine)
    }

    /// Takes the coldest.
    pub(crate) fn pop_cold(&mut self) -> Option<Magazine<S, ROUNDS>> {
        self.count = self.count.checked_sub(1)?;
        let magazine = self.ring[self.coldest];
        self.coldest = (self.coldest + 1) % MAGAZINES;
        self.sets -= magazine.len();
        Some(magazine)
    }

    /// The coldest, without taking it.
    pub(crate) fn coldest(&self) -> Option<&Magazine<S, ROUNDS>> {
        (self.count > 0).then(|| &self.ring[self.coldest])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Magazine<S, ROUNDS>> {
        (0..self.count).map(|i| &self.ring[(self.coldest + i) % MAGAZINES])
    }
}
