//! The page tables of a PV domain, as the stream brings them: page frame numbers in place of
//! machine frames.

use std::collections::BTreeMap;

use migration::audit::{Entry, SLOTS};
use page_types::Pfn;

use crate::budget::Budget;
use crate::format::{u64_at, PAGE};
use crate::source::Stop;

/// What one table costs on the heap, and what one reference to a page does: the model's books, and
/// those of lost pages.
const TABLE_COST: u64 = PAGE as u64 + 96;
const ENTRY_COST: u64 = 128;

/// The last contents of every page that came as a table.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    pages: BTreeMap<Pfn, Vec<u64>>,
}

impl Tables {
    /// Takes a copy, in place of an older one.
    pub fn keep(
        &mut self,
        pfn: Pfn,
        contents: &[u8],
        budget: &mut Budget,
        at: u64,
    ) -> Result<(), Stop> {
        let mut entries: Vec<u64> = (0..SLOTS).map(|slot| u64_at(contents, slot * 8)).collect();
        while entries.last() == Some(&0) {
            entries.pop();
        }
        entries.shrink_to_fit();
        self.forget(pfn, budget);
        budget.charge(cost(&entries), at)?;
        self.pages.insert(pfn, entries);
        Ok(())
    }

    /// The page is plain memory now.
    pub fn forget(&mut self, pfn: Pfn, budget: &mut Budget) {
        if let Some(old) = self.pages.remove(&pfn) {
            budget.give_back(cost(&old));
        }
    }

    /// The entries of a kept table; none if it is not kept.
    pub fn entries(&self, pfn: Pfn) -> &[u64] {
        self.pages.get(&pfn).map_or(&[], Vec::as_slice)
    }

    /// Whether the kept copy is this.
    pub fn is_same(&self, pfn: Pfn, contents: &[u8]) -> bool {
        let kept = self.entries(pfn);
        (0..SLOTS).all(|slot| u64_at(contents, slot * 8) == kept.get(slot).copied().unwrap_or(0))
    }

    /// All of them, for the model.
    pub fn into_pages(self) -> BTreeMap<Pfn, Vec<u64>> {
        self.pages
    }
}

fn cost(entries: &[u64]) -> u64 {
    TABLE_COST + ENTRY_COST * present(entries).count() as u64
}

/// The present entries of a table with their slots.
pub fn present(entries: &[u64]) -> impl Iterator<Item = (u16, Entry)> + '_ {
    (0u16..)
        .zip(entries.iter().map(|raw| Entry(*raw)))
        .filter(|(_, entry)| entry.is_present())
}
