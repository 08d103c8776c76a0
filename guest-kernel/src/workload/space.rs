//! An address space with a pattern in it.
//!
//! It maps one page in each of the three user GiB, at places that follow from its number, and each
//! page holds a pattern keyed by number and age. The pattern is read back twice: through the user
//! mapping, and by following the window to the frame and reading that. So a wrong L3, L2, link or
//! L1 shows.

use crate::arch::changes::{Changes, TableError};
use crate::arch::{cpu, frames as raw, tables, user};
use crate::memory::entry::{Entry, Flags};
use crate::memory::layout::{l1_slot, l2_place, ENTRIES, HOLDER, L2_PAGE_BYTES, PAGE_SIZE};
use crate::memory::Pfn;
use crate::sets::frames;
use crate::sets::kinds::{self, Kind};
use crate::sets::pool::Taken;
use crate::sets::set::SetError;
use crate::xen::report::{self, Party};

/// Pages that a space maps: one in each GiB of the user half.
const PAGES: usize = HOLDER;
/// Words of each page that carry the pattern: one in each cache line.
const WORDS: usize = 64;
const WORD_STEP: usize = ENTRIES / WORDS;
/// Checks that [`Space::check`] makes.
pub const CHECKS: u64 = (2 * PAGES * WORDS + PAGES + 1) as u64;

/// One address space.
#[derive(Debug)]
pub struct Space {
    set: Taken,
    number: u32,
    age: u32,
    tables: [Pfn; PAGES],
    pages: [Pfn; PAGES],
}

/// Mixes bits (the finalizer of splitmix64), so that neighbouring numbers give unlike patterns.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The address that space `number` maps in GiB `i`.
fn address(number: u32, i: usize) -> usize {
    let page = mix(u64::from(number) << 2 | i as u64) as usize % (L2_PAGE_BYTES / PAGE_SIZE);
    i * L2_PAGE_BYTES + page * PAGE_SIZE
}

fn pattern(number: u32, age: u32, page: usize, word: usize) -> u64 {
    mix(u64::from(number) << 32 | u64::from(age) << 12 | (page as u64) << 10 | word as u64)
}

impl Space {
    /// Maps user pages in `set`. Gives the set back when no frames are left, or when Xen refuses.
    pub fn build(set: Taken, number: u32) -> Result<Space, (Taken, SetError)> {
        let mut taken = [Pfn::default(); 2 * PAGES];
        for n in 0..taken.len() {
            // A table must be zero; a data page gets its pattern below.
            match if n < PAGES {
                frames::allocate_zeroed()
            } else {
                frames::allocate()
            } {
                Ok(pfn) => taken[n] = pfn,
                Err(none) => {
                    taken[..n].iter().for_each(|&pfn| frames::free(pfn));
                    return Err((set, none.into()));
                }
            }
        }
        let space = Space {
            set,
            number,
            age: 0,
            tables: core::array::from_fn(|i| taken[i]),
            pages: core::array::from_fn(|i| taken[PAGES + i]),
        };
        space
            .tables
            .iter()
            .for_each(|&table| kinds::mark(table, Kind::L1));
        match space.map() {
            Ok(()) => Ok(space),
            Err(error) => Err((space.take_down(), error.into())),
        }
    }

    /// Fills the L1 tables and hangs them into the set.
    fn map(&self) -> Result<(), TableError> {
        let mut changes = Changes::<{ 2 * PAGES }>::new();
        for i in 0..PAGES {
            let va = address(self.number, i);
            let (l2, slot) = l2_place(va);
            raw::write_fresh(
                self.tables[i],
                l1_slot(va),
                // Not for user mode: a 64-bit Xen makes such an entry a global one, and a set's is
                // not.
                Entry::new(self.pages[i], Flags::KERNEL),
            );
            changes.protect(self.tables[i]);
            changes.set(
                self.set.set().pages[l2],
                slot,
                Entry::new(self.tables[i], Flags::USER_DATA),
            );
        }
        changes.commit().map(drop)
    }

    /// Takes the L1 tables out of the set again.
    fn unmap(&self) -> Result<(), TableError> {
        let mut changes = Changes::<{ 2 * PAGES }>::new();
        for i in 0..PAGES {
            let (l2, slot) = l2_place(address(self.number, i));
            changes.set(self.set.set().pages[l2], slot, Entry::EMPTY);
            changes.unprotect(self.tables[i]);
        }
        changes.commit().map(drop)
    }

    /// Runs `body` with this space active on the running CPU. Gives false, and does not run it, if
    /// Xen refuses.
    fn active(&self, body: impl FnOnce()) -> bool {
        let there = tables::activate(self.set.set().pages.map(Some));
        if there.is_ok() {
            body();
        }
        for refused in [there, tables::activate([None; 4])]
            .into_iter()
            .filter_map(Result::err)
        {
            report::error(Party::Xen, "activate", refused);
        }
        there.is_ok()
    }

    /// Ages the space by one and writes the new pattern through the user mapping.
    pub fn rewrite(&mut self) {
        let age = self.age + 1;
        let written = self.active(|| {
            for i in 0..PAGES {
                let va = address(self.number, i);
                for word in 0..WORDS {
                    user::write_user(
                        va + word * WORD_STEP * 8,
                        pattern(self.number, age, i, word),
                    );
                }
            }
        });
        if written {
            self.age = age;
        }
    }

    /// Reads the pattern back, through the user mapping and through the window, and the kernel's
    /// entries through the holder. Reports each mismatch as it is seen, up to a few; gives their
    /// count.
    pub fn check(&self) -> u64 {
        let mut wrong = Mismatches {
            space: self.number,
            count: 0,
        };
        let looked = self.active(|| {
            for i in 0..PAGES {
                let va = address(self.number, i);
                let entry = user::read_window(va);
                wrong.compare(
                    "window",
                    va,
                    u64::from(self.pages[i].0),
                    u64::from(entry.frame().0),
                );
                let follow = entry.is_present() && raw::is_managed(entry.frame());
                for word in 0..WORDS {
                    let want = pattern(self.number, self.age, i, word);
                    let at = va + word * WORD_STEP * 8;
                    // A hole in the user half would end in a page fault; the window has told
                    // already.
                    if follow {
                        wrong.compare("user", at, want, user::read_user(at));
                        wrong.compare(
                            "window",
                            at,
                            want,
                            raw::read_word(entry.frame(), word * WORD_STEP),
                        );
                    }
                }
            }
            let (got, want) = user::read_kernel_mark();
            wrong.compare("kernel", 0, want, got);
        });
        wrong.count + u64::from(!looked)
    }

    /// Unmaps everything and gives the set back, in constructed form.
    pub fn take_down(self) -> Taken {
        match self.unmap() {
            Ok(()) => {
                self.tables
                    .iter()
                    .for_each(|&table| kinds::mark(table, Kind::Plain));
                // No CPU's TLB knows these pages: a space is active only inside `active`, which
                // ends with a flush.
                self.tables
                    .into_iter()
                    .chain(self.pages)
                    .for_each(frames::free);
            }
            // The frames stay what they are, and nobody gets them; that the set goes back damaged
            // shows in the churn.
            Err(error) => report::error(Party::Xen, "take down", error),
        }
        self.set
    }
}

/// Counts mismatches and reports the first of a check.
struct Mismatches {
    space: u32,
    count: u64,
}

impl Mismatches {
    /// Reported one by one up to here; the rest only counted.
    const REPORTED: u64 = 4;

    fn compare(&mut self, place: &'static str, va: usize, want: u64, got: u64) {
        if want == got {
            return;
        }
        self.count += 1;
        if self.count <= Self::REPORTED {
            report::event("mismatch")
                .num("vcpu", cpu::id() as u64)
                .num("space", u64::from(self.space))
                .text("where", place)
                .text("want", format_args!("{want:#x}"))
                .text("got", format_args!("{got:#x}"))
                .num("va", va as u64)
                .send();
        }
    }
}
