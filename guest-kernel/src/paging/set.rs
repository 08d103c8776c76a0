//! Sets: what constructing and destructing one means.

use super::entry::{Entry, Flags};
use super::layout::{HOLDER, SET_PAGES, WINDOW_SLOT};
use crate::arch::memory as raw;
use crate::audit::{self, Kind};
use crate::memory::frames::{self, OutOfFrames};
use crate::memory::Pfn;

/// Four L2 pages; one address space. `pages[HOLDER]` carries the kernel's entries and the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Set {
    /// The pages, in the order of the GiB that they map.
    pub pages: [Pfn; SET_PAGES],
}

impl Set {
    /// Builds a set: frames taken, user half zeroed, kernel entries and window filled in.
    pub fn construct() -> Result<Set, OutOfFrames> {
        let mut pages = [Pfn::default(); SET_PAGES];
        for taken in 0..SET_PAGES {
            match frames::allocate() {
                Ok(pfn) => pages[taken] = pfn,
                Err(none) => {
                    pages[..taken].iter().for_each(|&pfn| frames::free(pfn));
                    return Err(none);
                }
            }
        }
        let set = Set { pages };
        set.mark(Kind::IdleL2);
        for &page in &pages[..HOLDER] {
            raw::fill(page, 0);
        }
        raw::copy_kernel_entries(pages[HOLDER]);
        for (i, &page) in pages.iter().enumerate() {
            raw::write_entry(pages[HOLDER], WINDOW_SLOT + i, Entry::new(page, Flags::LINK));
        }
        Ok(set)
    }

    /// Takes a set apart: nothing of the constructed form stays in memory, so that a page which Xen
    /// saves as plain data carries no old address. Gives the frames back.
    pub fn destruct(&self) {
        self.mark(Kind::Plain);
        for page in self.pages.into_iter().rev() {
            raw::fill(page, 0);
            frames::free(page);
        }
    }

    /// Notes for the audit what the pages are.
    pub fn mark(&self, kind: Kind) {
        self.pages.iter().for_each(|&page| audit::mark(page, kind));
    }

    /// The first thing that is not as constructed, if any: a user entry left behind, a kernel entry
    /// or a link that differs. A set is put back only in constructed form.
    pub fn find_damage(&self) -> Option<(Pfn, usize, Entry)> {
        const CPU_SETS: u64 = Flags::ACCESSED.bits() | Flags::DIRTY.bits();
        for (i, &page) in self.pages.iter().enumerate() {
            for slot in 0..512 {
                let is = raw::read_entry(page, slot);
                let should = match (i, slot) {
                    (HOLDER, WINDOW_SLOT..) if slot < WINDOW_SLOT + SET_PAGES => {
                        Entry::new(self.pages[slot - WINDOW_SLOT], Flags::LINK)
                    }
                    (HOLDER, _) => raw::kernel_entry(slot),
                    _ => Entry::EMPTY,
                };
                if is.bits() | CPU_SETS != should.bits() | CPU_SETS {
                    return Some((page, slot, is));
                }
            }
        }
        None
    }
}

/// Links a set, which nobody uses, to the next one, in the metadata of its holder's frame.
pub fn link(set: Set, next: Option<Set>) {
    frames::set_note(set.pages[HOLDER], next.map_or(Pfn(0), |next| next.pages[HOLDER]));
}

/// The set that [`link`] named. A linked set is a constructed one, so its holder's window names its pages.
pub fn linked(set: Set) -> Option<Set> {
    let holder = frames::note(set.pages[HOLDER]);
    (holder != Pfn(0)).then(|| Set {
        pages: core::array::from_fn(|i| raw::read_entry(holder, WINDOW_SLOT + i).frame()),
    })
}
