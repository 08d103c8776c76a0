//! Sets: what constructing and destructing one means.
//!
//! Under PVH both are plain writes. Under PV a constructed set is mapped read-only and pinned, the
//! holder last, because Xen takes a linear entry only if its target is an L2 already; and sets are
//! made and unmade many at a time, because the calls are what is dear: one `mmu_update` and one
//! `mmuext_op` for up to [`BATCH`] of them.

use core::fmt;

use super::frames::{self, OutOfFrames};
use super::kinds::{self, Kind};
use crate::arch::changes::{Changes, Pins, TableError};
use crate::arch::{cpu, frames as raw, is_pv, tables};
use crate::memory::entry::{Entry, Flags};
use crate::memory::layout::{ENTRIES, HOLDER, SET_PAGES, WINDOW_SLOT};
use crate::memory::order::Order;
use crate::memory::Pfn;

/// Sets handled with one call each way.
pub const BATCH: usize = 32;
const OPERATIONS: usize = BATCH * SET_PAGES;

/// Four L2 pages; one address space. `pages[HOLDER]` carries the kernel's entries and the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Set {
    /// The pages, in the order of the GiB that they map.
    pub pages: [Pfn; SET_PAGES],
}

/// Why sets could not be made or unmade.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SetError {
    /// No frames.
    Frames(OutOfFrames),
    /// Xen refused a change to a page table.
    Tables(TableError),
}

impl From<OutOfFrames> for SetError {
    fn from(none: OutOfFrames) -> Self {
        SetError::Frames(none)
    }
}

impl From<TableError> for SetError {
    fn from(error: TableError) -> Self {
        SetError::Tables(error)
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Frames(_) => f.write_str("no frames are left"),
            SetError::Tables(error) => error.fmt(f),
        }
    }
}

/// The pool prints a backend's errors this way, in messages for people.
impl fmt::Debug for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Constructs up to [`BATCH`] sets, all or none: frames taken, user half zeroed, kernel entries and
/// window filled in, and under PV pinned. Gives the hypercalls that it took.
pub fn construct(out: &mut [Set], order: Order) -> Result<u32, SetError> {
    assert!(out.len() <= BATCH);
    for made in 0..out.len() {
        match Set::take_frames(order) {
            Ok(set) => out[made] = set,
            Err(none) => {
                out[..made].iter().for_each(Set::give_frames);
                return Err(none.into());
            }
        }
    }
    out.iter().for_each(Set::fill);
    match protect(out).and_then(|calls| Ok(calls + pin(out)?)) {
        Ok(calls) => {
            out.iter().for_each(|set| set.mark(Kind::IdleL2));
            Ok(calls)
        }
        Err(error) => {
            // Whatever stands is taken back; making a page writable that is so already is harmless.
            match unprotect(out) {
                Ok(_) => out.iter().for_each(Set::give_frames),
                // Lost, and marked as what they are not: no one can have them any more.
                Err(second) => log::error!("{} sets are lost: {second}", out.len()),
            }
            Err(error.into())
        }
    }
}

/// Takes up to [`BATCH`] sets apart, in order. Gives the hypercalls that it took.
///
/// # Errors
/// With the place of the first set that stands still; those before it are gone, those after it
/// untouched.
pub fn destruct(sets: &[Set]) -> Result<u32, (usize, TableError)> {
    assert!(sets.len() <= BATCH);
    let (gone, failed) = match unpin(sets) {
        Ok(calls) => (sets, Ok(calls)),
        Err((at, error)) => (&sets[..at], Err((at, error))),
    };
    match unprotect(gone) {
        Ok(calls) => {
            gone.iter().for_each(Set::give_frames);
            failed.map(|pins| pins + calls)
        }
        Err(error) => {
            // Those before the refused page are gone. The others are made whole again, so that they
            // can be tried once more.
            let at = error.done / SET_PAGES;
            gone[..at].iter().for_each(Set::give_frames);
            if let Err(second) = protect(&gone[at..at + 1]).and_then(|_| pin(&gone[at..])) {
                log::error!("pinning again what was let go: {second}");
            }
            Err((at, error))
        }
    }
}

fn protect(sets: &[Set]) -> Result<u32, TableError> {
    let mut changes = Changes::<OPERATIONS>::new();
    pages(sets).for_each(|page| changes.protect(page));
    changes.commit()
}

fn unprotect(sets: &[Set]) -> Result<u32, TableError> {
    let mut changes = Changes::<OPERATIONS>::new();
    pages(sets).for_each(|page| changes.unprotect(page));
    changes.commit()
}

fn pages(sets: &[Set]) -> impl Iterator<Item = Pfn> + '_ {
    sets.iter().flat_map(|set| set.pages)
}

/// Pins sets; on a refusal, those already pinned are let go again.
pub fn pin(sets: &[Set]) -> Result<u32, TableError> {
    let mut pins = Pins::<OPERATIONS>::new();
    // The holder is the last of a set's pages.
    pages(sets).for_each(|page| pins.pin(2, page));
    pins.commit().inspect_err(|error| let_go(sets, error.done))
}

/// Lets go of the first `done` pages. Not part of [`pin`]: a batch takes 4 KiB of the stack, and
/// most calls need only one.
#[cold]
#[inline(never)]
fn let_go(sets: &[Set], done: usize) {
    let mut back = Pins::<OPERATIONS>::new();
    // Holders before what they link: the reverse.
    for (set, pages) in sets.iter().enumerate().rev().map(|(n, set)| (n, set.pages)) {
        for (n, page) in pages.into_iter().enumerate().rev() {
            if set * SET_PAGES + n < done {
                back.unpin(page);
            }
        }
    }
    if let Err(second) = back.commit() {
        log::error!("letting go of what was pinned: {second}");
    }
}

/// Lets go of sets, each holder first: with it go its references to the other pages.
///
/// # Errors
/// With the place of the first set that Xen still holds.
pub fn unpin(sets: &[Set]) -> Result<u32, (usize, TableError)> {
    let mut pins = Pins::<OPERATIONS>::new();
    for set in sets {
        set.pages
            .into_iter()
            .rev()
            .for_each(|page| pins.unpin(page));
    }
    pins.commit().map_err(|error| {
        let at = error.done / SET_PAGES;
        // A set that was let go by half is made whole again, so that it can be tried once more.
        let mut whole = Pins::<SET_PAGES>::new();
        let half = sets[at]
            .pages
            .into_iter()
            .rev()
            .take(error.done % SET_PAGES);
        half.rev().for_each(|page| whole.pin(2, page));
        if let Err(second) = whole.commit() {
            log::error!("pinning again what was let go: {second}");
        }
        (at, error)
    })
}

impl Set {
    fn take_frames(order: Order) -> Result<Set, OutOfFrames> {
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
        Ok(Set {
            pages: order.arrange(pages, || cpu::cycles() as u32),
        })
    }

    /// Gives the frames back. Under PV nothing of the constructed form stays in memory, so that a
    /// page which Xen saves as plain data carries no old machine address.
    ///
    /// Nothing else is written: a drain comes when a live migration is about to send its last pass,
    /// and each page that it writes to costs a fault then, because Xen keeps a log of them, and is
    /// sent again.
    fn give_frames(&self) {
        self.mark(Kind::Plain);
        for page in self.pages.into_iter().rev() {
            if is_pv() {
                raw::clear(page);
            }
            frames::free(page);
        }
    }

    fn fill(&self) {
        for &page in &self.pages[..HOLDER] {
            raw::zero(page);
        }
        tables::copy_kernel_entries(self.pages[HOLDER]);
        for (i, &page) in self.pages.iter().enumerate() {
            raw::write_fresh(
                self.pages[HOLDER],
                WINDOW_SLOT + i,
                Entry::new(page, Flags::LINK),
            );
        }
    }

    /// Notes for the audit what the pages are, and, of a set in use, what belongs together.
    pub fn mark(&self, kind: Kind) {
        self.pages.iter().for_each(|&page| kinds::mark(page, kind));
        if kind == Kind::LiveL2 {
            let [a, b, c, holder] = self.pages;
            kinds::mark(holder, Kind::LiveHolder);
            frames::set_note(holder, a);
            frames::set_note(a, b);
            frames::set_note(b, c);
        }
    }

    /// The first thing that is not as constructed, if any: a user entry left behind, a kernel entry
    /// or a link that differs. A set is put back only in constructed form.
    pub fn find_damage(&self) -> Option<(Pfn, usize, u64)> {
        for (i, &page) in self.pages.iter().enumerate() {
            for slot in 0..ENTRIES {
                let is = raw::entry_bits(page, slot);
                let should = match (i, slot) {
                    (HOLDER, WINDOW_SLOT..) if slot < WINDOW_SLOT + SET_PAGES => {
                        raw::bits_of(Entry::new(self.pages[slot - WINDOW_SLOT], Flags::LINK))
                    }
                    (HOLDER, _) => tables::kernel_bits(slot),
                    _ => 0,
                };
                if is | Flags::OTHERS != should | Flags::OTHERS {
                    return Some((page, slot, is));
                }
            }
        }
        None
    }
}

/// Every set in use. Nobody takes or gives one meanwhile.
pub fn live() -> impl Iterator<Item = Set> {
    kinds::marked(Kind::LiveHolder).map(|holder| {
        let a = frames::note(holder);
        let b = frames::note(a);
        let c = frames::note(b);
        Set {
            pages: [a, b, c, holder],
        }
    })
}

/// Links a set, which nobody uses, to the next one, in the metadata of its holder's frame.
pub fn link(set: Set, next: Option<Set>) {
    frames::set_note(
        set.pages[HOLDER],
        next.map_or(Pfn(0), |next| next.pages[HOLDER]),
    );
}

/// The set that [`link`] named. A linked set is a constructed one, so its holder's window names its
/// pages.
pub fn linked(set: Set) -> Option<Set> {
    let holder = frames::note(set.pages[HOLDER]);
    (holder != Pfn(0)).then(|| Set {
        pages: core::array::from_fn(|i| raw::read_entry(holder, WINDOW_SLOT + i).frame()),
    })
}
