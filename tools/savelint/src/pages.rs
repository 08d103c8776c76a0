//! What the stream says of each page frame: one byte for each, in pieces that exist only where a
//! page is named.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::format::page;
use crate::source::Stop;

/// Pages in a piece.
const PIECE: u64 = 1024;

/// The last four type bits.
const TYPE: u8 = 0xf;
/// A PAGE_DATA record names the page.
const NAMED: u8 = 1 << 4;
/// Contents came.
const FILLED: u8 = 1 << 5;
/// The last that came was contents: no XTAB after it.
const FRESH: u8 = 1 << 6;
/// The restore gives it memory.
const POPULATED: u8 = 1 << 7;

/// What is known of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page(u8);

impl Page {
    /// The type bits of the last record that names it; 0 if none does.
    pub fn bits(self) -> u8 {
        self.0 & TYPE
    }

    /// A record names it.
    pub fn is_named(self) -> bool {
        self.0 & NAMED != 0
    }

    /// Contents came for it, at any time.
    pub fn is_filled(self) -> bool {
        self.0 & FILLED != 0
    }

    /// Contents came for it, and in the last record that names it.
    pub fn is_fresh(self) -> bool {
        self.0 & FRESH != 0
    }

    /// It will have memory.
    pub fn is_populated(self) -> bool {
        self.0 & POPULATED != 0
    }

    /// It is plain memory with memory behind it.
    pub fn is_plain(self) -> bool {
        self.is_populated() && self.bits() == page::NOTAB
    }
}

/// All pages.
#[derive(Clone, Debug, Default)]
pub struct PageMap {
    pieces: BTreeMap<u64, Box<[u8; PIECE as usize]>>,
    named: u64,
    populated: u64,
    copies: u64,
    highest: u64,
}

impl PageMap {
    /// Notes that a record names a page with this type.
    pub fn name(&mut self, pfn: u64, bits: u8, budget: &mut Budget, at: u64) -> Result<(), Stop> {
        let holds_data = has_contents(bits);
        let byte = self.at(pfn, budget, at)?;
        let before = *byte;
        *byte = before & !(TYPE | FRESH) | bits & TYPE | NAMED;
        if holds_data {
            *byte |= FILLED | FRESH | POPULATED;
        } else if bits == page::XALLOC {
            *byte |= POPULATED;
        }
        let after = *byte;
        self.named += u64::from(before & NAMED == 0);
        self.populated += u64::from(before & POPULATED < after & POPULATED);
        self.copies += u64::from(holds_data);
        self.highest = self.highest.max(pfn);
        Ok(())
    }

    /// Notes that a table points to a page: the restore gives it memory if it has none.
    pub fn populate(&mut self, pfn: u64, budget: &mut Budget, at: u64) -> Result<(), Stop> {
        let byte = self.at(pfn, budget, at)?;
        let new = *byte & POPULATED == 0;
        *byte |= POPULATED;
        self.populated += u64::from(new);
        Ok(())
    }

    fn at(&mut self, pfn: u64, budget: &mut Budget, at: u64) -> Result<&mut u8, Stop> {
        let piece = match self.pieces.entry(pfn / PIECE) {
            std::collections::btree_map::Entry::Occupied(piece) => piece.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                // With the map's own part.
                budget.charge(PIECE + 32, at)?;
                place.insert(Box::new([0; PIECE as usize]))
            }
        };
        Ok(&mut piece[(pfn % PIECE) as usize])
    }

    /// What is known of a page.
    pub fn get(&self, pfn: u64) -> Page {
        let piece = self.pieces.get(&(pfn / PIECE));
        Page(piece.map_or(0, |piece| piece[(pfn % PIECE) as usize]))
    }

    /// How many pages records name.
    pub fn named(&self) -> u64 {
        self.named
    }

    /// How many the restore allocates.
    pub fn populated(&self) -> u64 {
        self.populated
    }

    /// How many pages' contents the stream holds, each copy counted.
    pub fn copies(&self) -> u64 {
        self.copies
    }

    /// The highest page named; `None` if none is.
    pub fn highest(&self) -> Option<u64> {
        (self.named > 0).then_some(self.highest)
    }

    /// All that a record names, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Page)> + '_ {
        self.pieces.iter().flat_map(|(piece, bytes)| {
            let first = piece * PIECE;
            (first..)
                .zip(bytes.iter().map(|byte| Page(*byte)))
                .filter(|(_, page)| page.is_named())
        })
    }

    /// The first page up to `last` that no record names.
    pub fn first_missing(&self, last: u64) -> Option<u64> {
        let mut next = 0;
        for (pfn, _) in self.iter() {
            if pfn != next {
                break;
            }
            next += 1;
        }
        (next <= last).then_some(next)
    }
}

/// Whether a page of this type has its contents in the stream.
pub fn has_contents(bits: u8) -> bool {
    matches!(bits, 0..=4 | 9..=12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_type_counts_and_older_contents_stay() {
        let (mut map, mut budget) = (PageMap::default(), Budget::new(1 << 20));
        let name = |map: &mut PageMap, pfn, bits, budget: &mut Budget| {
            map.name(pfn, bits, budget, 0).unwrap();
        };
        name(&mut map, 5000, 0xa, &mut budget);
        name(&mut map, 5000, 0xf, &mut budget);
        name(&mut map, 0, 0, &mut budget);
        name(&mut map, 2, 0xe, &mut budget);
        map.populate(3, &mut budget, 0).unwrap();
        let page = map.get(5000);
        assert_eq!(page.bits(), 0xf);
        assert!(page.is_named() && page.is_filled() && page.is_populated() && !page.is_fresh());
        assert!(map.get(2).is_populated() && !map.get(2).is_filled());
        assert!(map.get(3).is_plain() && !map.get(3).is_named());
        assert!(!map.get(1).is_plain());
        assert_eq!((map.named(), map.populated(), map.copies()), (3, 4, 2));
        assert_eq!(map.highest(), Some(5000));
        assert_eq!(map.first_missing(5000), Some(1));
        assert_eq!(map.first_missing(0), None);
        assert_eq!(map.iter().count(), 3);
    }

    #[test]
    fn scattered_pages_run_into_the_limit() {
        let (mut map, mut budget) = (PageMap::default(), Budget::new(1 << 20));
        let last = (0..1 << 20).find(|n| map.name(n << 20, 0xf, &mut budget, 0).is_err());
        assert!(last.is_some_and(|n| n < 1024));
    }
}
