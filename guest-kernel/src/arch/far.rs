//! The far map of x86_64: all memory but the kernel's image, under an L4 slot of its own.
//!
//! Under PVH it is made of superpages: 4 KiB of tables for each GiB. Xen takes none from a PV guest,
//! so there each 2 MiB has an L1 table, 8 MiB of them for each 4 GiB. The tables stand one behind
//! the other, the L2s first, so that a table's place tells what it maps.

use core::sync::atomic::{AtomicU32, Ordering};

use super::address::near_end;
use super::mode::is_pv;
use super::page::Page;
use crate::memory::entry::{Entry, Flags};
use crate::memory::layout::{CHUNK, ENTRIES, FAR_L4_SLOT, GIB_FRAMES, MOST_FRAMES};
use crate::memory::Pfn;

/// What stands in each root's slot of the far map.
pub(super) static L3: Page = Page::new();

/// The first L2 table.
static L2_FIRST: AtomicU32 = AtomicU32::new(0);
/// The GiB that the first and one past that the last of them map.
static GIB_FIRST: AtomicU32 = AtomicU32::new(0);
static GIB_END: AtomicU32 = AtomicU32::new(0);
/// One past the last chunk of 2 MiB that is mapped.
static CHUNK_END: AtomicU32 = AtomicU32::new(0);

const _: () = assert!(MOST_FRAMES <= ENTRIES * GIB_FRAMES as usize);

/// The entry of a root for the far map.
pub fn root_entry() -> (usize, Entry) {
    (FAR_L4_SLOT, Entry::new(L3.pfn(), Flags::KERNEL))
}

/// The L3 table.
pub fn l3() -> Pfn {
    L3.pfn()
}

/// Which GiB's L2 table a frame is; none for any other frame.
pub fn l2_of(table: Pfn) -> Option<u32> {
    let place = table.0.checked_sub(L2_FIRST.load(Ordering::Relaxed))?;
    let (first, end) = gibs();
    (place < end - first).then_some(first + place)
}

fn gibs() -> (u32, u32) {
    (
        GIB_FIRST.load(Ordering::Relaxed),
        GIB_END.load(Ordering::Relaxed),
    )
}

/// The L1 table of a chunk of 2 MiB (PV).
pub fn l1_of_chunk(chunk: u32) -> Pfn {
    let (first, end) = gibs();
    let l1_first = L2_FIRST.load(Ordering::Relaxed) + (end - first);
    Pfn(l1_first + (chunk - near_end().0 / CHUNK))
}

/// Is the frame an L1 table of the far map (PV)?
pub fn is_l1(table: Pfn) -> bool {
    let (first, end) = (near_end().0 / CHUNK, CHUNK_END.load(Ordering::Relaxed));
    is_pv() && first < end && (l1_of_chunk(first)..l1_of_chunk(end)).contains(&table)
}

/// The frames that the tables take for memory up to `end`.
pub fn tables_needed(near_end: Pfn, end: Pfn) -> u32 {
    if end <= near_end {
        return 0;
    }
    let gibs = end.0.div_ceil(GIB_FRAMES) - near_end.0 / GIB_FRAMES;
    let chunks = end.0.div_ceil(CHUNK) - near_end.0 / CHUNK;
    gibs + if is_pv() { chunks } else { 0 }
}

/// Notes where the tables stand: from `first` on, for the memory behind the near map up to `end`.
/// Gives the first frame behind the L2 tables.
pub fn place(first: Pfn, end: Pfn) -> Pfn {
    let near = near_end();
    let (gib_first, gib_end) = if end > near {
        (near.0 / GIB_FRAMES, end.0.div_ceil(GIB_FRAMES))
    } else {
        (0, 0)
    };
    L2_FIRST.store(first.0, Ordering::Relaxed);
    GIB_FIRST.store(gib_first, Ordering::Relaxed);
    GIB_END.store(gib_end, Ordering::Relaxed);
    CHUNK_END.store(end.0.div_ceil(CHUNK), Ordering::Relaxed);
    Pfn(first.0 + (gib_end - gib_first))
}

/// The L2 table of a GiB.
pub fn l2_table(gib: u32) -> Pfn {
    Pfn(L2_FIRST.load(Ordering::Relaxed) + (gib - gibs().0))
}

/// The L2 tables, and which GiB each maps.
pub fn l2_tables() -> impl Iterator<Item = (u32, Pfn)> {
    let (first, end) = gibs();
    (first..end).map(|gib| (gib, l2_table(gib)))
}
