//! A saved domain.

use std::collections::BTreeMap;

use migration::audit::{Level, Mode, SLOTS};

use crate::page::Pfn;

/// A saved PV domain: what the rules look at.
#[derive(Clone, Debug)]
pub struct Image {
    /// 32-bit PAE or 64-bit.
    pub mode: Mode,
    /// Whether the host allows linear page tables (Xen's `pv-linear-pt`, on by default).
    pub linear: bool,
    /// The contents of the pages that are or may be tables: 512 entries, or fewer, the rest being
    /// zero. A page not in here is an empty one, as a restore makes it.
    pub pages: BTreeMap<Pfn, Vec<u64>>,
    /// The pinned tables, with the level they are pinned at.
    pub pinned: BTreeMap<Pfn, Level>,
    /// Each vCPU's root tables, in the order in which they are loaded: `cr3`, then the user `cr3`
    /// of 64-bit.
    pub roots: Vec<Vec<Pfn>>,
}

impl Image {
    /// A domain without pages.
    pub fn new(mode: Mode) -> Image {
        Image {
            mode,
            linear: true,
            pages: BTreeMap::new(),
            pinned: BTreeMap::new(),
            roots: Vec::new(),
        }
    }

    /// Writes one entry of a page.
    pub fn set(&mut self, page: Pfn, slot: u16, entry: u64) {
        let entries = self.pages.entry(page).or_default();
        let slot = usize::from(slot);
        assert!(slot < SLOTS, "a table has 512 slots");
        if entries.len() <= slot {
            entries.resize(slot + 1, 0);
        }
        entries[slot] = entry;
    }
}
