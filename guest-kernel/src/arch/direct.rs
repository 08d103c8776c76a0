//! The direct map: which tables it has, and its entries.
//!
//! It has two parts, and each frame is in one of them alone, so that a page which becomes a table is
//! made read-only at one place. This file has the near map, and asks [`super::far`] for the rest.

use core::sync::atomic::{AtomicU32, Ordering};

use super::address::{address, frame_at, near_end};
#[cfg(target_arch = "x86_64")]
use super::far;
use super::frames::is_managed;
use super::mode::is_pv;
use super::pv::m2p;
use crate::memory::entry::{Entry, Flags};
#[cfg(target_arch = "x86_64")]
use crate::memory::layout::GIB_FRAMES;
use crate::memory::layout::{CHUNK, ENTRIES, NEAR_SLOTS};
use crate::memory::Pfn;

/// The L1 tables of the near map, by L2 slot.
static DIRECT_L1: [AtomicU32; NEAR_SLOTS] = [const { AtomicU32::new(0) }; NEAR_SLOTS];
/// The lowest and one past the highest of them.
static DIRECT_L1_FIRST: AtomicU32 = AtomicU32::new(u32::MAX);
static DIRECT_L1_END: AtomicU32 = AtomicU32::new(0);
/// How many there are: one for each L2 slot from 0.
static DIRECT_L1_SLOTS: AtomicU32 = AtomicU32::new(0);

/// Which L2 slot's L1 of the near map a frame is; `None` for any other frame.
///
/// The tables stand one behind the other: all of them, or, under PV, those that the builder made
/// and then the others. So the distance to the first or to the last one tells which it is; the
/// search is for a builder with another order.
pub fn slot_of(l1: Pfn) -> Option<usize> {
    let first = DIRECT_L1_FIRST.load(Ordering::Relaxed);
    let end = DIRECT_L1_END.load(Ordering::Relaxed);
    if l1.0 < first || l1.0 >= end {
        return None;
    }
    let slots = DIRECT_L1_SLOTS.load(Ordering::Relaxed);
    let is = |&slot: &usize| {
        DIRECT_L1
            .get(slot)
            .is_some_and(|at| at.load(Ordering::Relaxed) == l1.0)
    };
    [l1.0 - first, slots.wrapping_sub(end - l1.0)]
        .map(|slot| slot as usize)
        .into_iter()
        .chain(0..slots as usize)
        .find(is)
}

/// What a table of the direct map was made with, if the CPU sees it as it is (PVH): the frame that
/// its first entry maps, and how many each maps.
pub fn made_with(table: Pfn) -> Option<(Pfn, u32)> {
    if is_pv() {
        return None;
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(gib) = far::l2_of(table) {
        return Some((Pfn(gib * GIB_FRAMES), CHUNK));
    }
    slot_of(table).map(|slot| (Pfn(slot as u32 * CHUNK), 1))
}

/// The L1 table and the slot in it that map `page` in the direct map. Of the far map under PV alone:
/// under PVH it has none.
pub fn place(page: Pfn) -> (Pfn, usize) {
    #[cfg(target_arch = "x86_64")]
    if page >= near_end() {
        return (far::l1_of_chunk(page.0 / CHUNK), page.0 as usize % ENTRIES);
    }
    let l1 = DIRECT_L1[page.0 as usize / ENTRIES].load(Ordering::Relaxed);
    (Pfn(l1), page.0 as usize % ENTRIES)
}

/// The machine address of the entry that maps `page` in the direct map (PV).
pub fn entry_address(page: Pfn) -> u64 {
    let (l1, slot) = place(page);
    m2p::machine(l1).address() + (slot * size_of::<u64>()) as u64
}

/// The entry that maps `page` in the direct map, as the CPU sees it; the L1 table must be there
/// (PV).
pub fn bits(page: Pfn) -> u64 {
    let (l1, slot) = place(page);
    assert!(l1.0 != 0);
    let place = address(l1) as *const u64;
    // SAFETY: an L1 of the direct map, which maps itself; in bounds.
    unsafe { place.add(slot).read_volatile() }
}

/// Writes the entry that maps `page` in the near map (PVH).
pub(super) fn write(page: Pfn, entry: Entry) {
    assert!(!is_pv() && is_managed(page) && page < near_end());
    let (l1, slot) = place(page);
    let place = address(l1) as *mut u64;
    // SAFETY: an L1 of the direct map, which maps itself; in bounds. No Rust object is where it
    // maps.
    unsafe { place.add(slot).write_volatile(entry.bits()) };
}

/// Is the direct map of `page` read-only (PV)?
pub fn is_read_only(page: Pfn) -> bool {
    bits(page) & Flags::WRITABLE.bits() == 0
}

/// Can the direct map be written at `address`? A question of the trap handler's (PV).
pub fn is_writable(address: usize) -> bool {
    let Some(page) = frame_at(address) else {
        return false;
    };
    let bits = if place(page).0 == Pfn(0) {
        0
    } else {
        bits(page)
    };
    let needed = Flags::PRESENT.union(Flags::WRITABLE).bits();
    bits & needed == needed
}

/// L1 table `l1` maps what L2 slot `slot` covers.
pub(super) fn adopt(slot: usize, l1: Pfn) {
    DIRECT_L1[slot].store(l1.0, Ordering::Relaxed);
    DIRECT_L1_FIRST.fetch_min(l1.0, Ordering::Relaxed);
    DIRECT_L1_END.fetch_max(l1.0 + 1, Ordering::Relaxed);
    DIRECT_L1_SLOTS.fetch_max(slot as u32 + 1, Ordering::Relaxed);
}

/// The L2 slots that the near map takes, from 0 on, and the L1 table of each.
pub fn tables() -> impl Iterator<Item = (usize, Pfn)> {
    DIRECT_L1
        .iter()
        .map(|l1| Pfn(l1.load(Ordering::Relaxed)))
        .enumerate()
        .filter(|&(_, l1)| l1 != Pfn(0))
}
