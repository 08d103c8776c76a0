//! The far map of x86_64: all memory but the kernel's image, under an L4 slot of its own.
//!
//! Under PVH it is made of superpages: 4 KiB of tables for each GiB. Xen takes none from a PV guest,
//! so there each 2 MiB has an L1 table, 8 MiB of them for each 4 GiB. The tables stand one behind
//! the other, the L2s first, so that a table's place tells what it maps.

use core::sync::atomic::{AtomicU32, Ordering};

use super::changes::{Changes, TableError};
use super::direct::{address, near_end};
use super::frames::bits_of;
use super::mode::is_pv;
use super::page::Page;
use super::pv::m2p;
use crate::memory::entry::{Entry, Flags};
use crate::memory::layout::{CHUNK, ENTRIES, FAR_L4_SLOT, GIB_FRAMES, MOST_FRAMES};
use crate::memory::Pfn;

/// What stands in each root's slot of the far map.
static L3: Page = Page::new();

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
fn place(first: Pfn, end: Pfn) -> Pfn {
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

/// Fills a table that is none yet.
fn fill(table: Pfn, bits: impl Fn(u32) -> u64) {
    let at = address(table) as *mut u64;
    for index in 0..ENTRIES {
        // SAFETY: a frame behind the image and all that the builder made, in RAM, not handed out
        // yet; whoever calls has mapped it.
        unsafe { at.wrapping_add(index).write_volatile(bits(index as u32)) };
    }
}

/// The L2 tables, and which GiB each maps.
fn l2_tables() -> impl Iterator<Item = (u32, Pfn)> {
    let (first, end) = gibs();
    let table = L2_FIRST.load(Ordering::Relaxed);
    (first..end).map(move |gib| (gib, Pfn(table + gib - first)))
}

/// Builds the far map of a PVH guest for the memory below `end`: superpages, wherever `has_ram` says
/// that there is any memory in one. The tables take frames from `first` on; gives the first that is
/// free afterwards. On the tables of the entry code, which map those.
pub fn build_pvh(first: Pfn, end: Pfn, has_ram: impl Fn(u32, u32) -> bool) -> Pfn {
    let behind = place(first, end);
    for (gib, table) in l2_tables() {
        fill(table, |index| {
            let frame = gib * GIB_FRAMES + index * CHUNK;
            if frame >= near_end().0 && has_ram(frame, frame + CHUNK) {
                Entry::new(Pfn(frame), Flags::KERNEL.union(Flags::SUPERPAGE)).bits()
            } else {
                0
            }
        });
        L3.write_u64(gib as usize, Entry::new(table, Flags::KERNEL).bits());
    }
    behind
}

/// Builds the far map of a PV guest for the memory below `end`, of which `entry` gives each frame's
/// entry, under `root`, the domain builder's. The tables take frames from `next` on, which is moved
/// behind them: the L2s in what the builder has mapped, and the L1s each mapped by the ones before.
///
/// # Errors
/// Xen's.
pub fn build_pv(
    root: Pfn,
    end: Pfn,
    entry: impl Fn(usize) -> Entry,
    next: &mut Pfn,
) -> Result<(), TableError> {
    let behind = place(*next, end);
    // The builder leaves room for 128 of them (`xen/include/public/xen.h`, "Start-of-day memory
    // layout"), and the far map has 64.
    assert!(behind <= near_end());
    let mut changes = Changes::<ENTRIES>::new();
    for (gib, table) in l2_tables() {
        fill(table, |_| 0);
        L3.write_u64(gib as usize, bits_of(Entry::new(table, Flags::KERNEL)));
        changes.protect(table);
    }
    changes.protect(L3.pfn());
    let (slot, l3) = root_entry();
    changes.set_at(m2p::machine(root).address() + slot as u64 * 8, bits_of(l3));
    changes.commit()?;
    *next = behind;
    for chunk in near_end().0 / CHUNK..end.0.div_ceil(CHUNK) {
        let l1 = l1_of_chunk(chunk);
        fill(l1, |index| bits_of(entry((chunk * CHUNK + index) as usize)));
        let (gib, slot) = (chunk / ENTRIES as u32, chunk % ENTRIES as u32);
        let l2 = Pfn(L2_FIRST.load(Ordering::Relaxed) + gib - gibs().0);
        let mut changes = Changes::<2>::new();
        changes.protect(l1);
        changes.set_at(
            m2p::machine(l2).address() + u64::from(slot) * 8,
            bits_of(Entry::new(l1, Flags::KERNEL)),
        );
        changes.commit()?;
        next.0 = l1.0 + 1;
    }
    Ok(())
}
