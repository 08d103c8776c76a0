//! The frame allocator: a list of free frames, linked through frame metadata.
//!
//! It is plain on purpose: one lock, last in, first out. What makes page-table pages cheap is the
//! pool above it. Interrupt handlers never allocate, so the lock is taken with interrupts as they are.

use core::sync::atomic::{AtomicU32, Ordering};

use spin::Mutex;

use super::map::MemoryMap;
use super::Pfn;
use crate::arch;
use crate::paging::layout::DIRECT_MAP_FRAMES;

/// Ends the list: frame 0 is below the kernel and never managed.
const NONE: u32 = 0;

/// Next free frame for each free frame, or NONE; for one in use, a note of its owner's. The list goes through here and not through the free
/// pages, so that a page's content stays what its last user left: a stray write is seen, not followed.
/// 4 bytes for each of 196 608 frames: 768 KiB, whatever the guest has.
static NEXT: [AtomicU32; DIRECT_MAP_FRAMES] = [const { AtomicU32::new(NONE) }; DIRECT_MAP_FRAMES];

struct FreeList {
    head: u32,
    free: usize,
    total: usize,
    /// Of the free ones, how many nobody gets.
    withheld: usize,
}

static FREE: Mutex<FreeList> = Mutex::new(FreeList {
    head: NONE,
    free: 0,
    total: 0,
    withheld: 0,
});

/// No frame is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrames;

/// Takes over the RAM behind the kernel's image and builds the kernel's page tables in it. Once, on vCPU 0.
pub fn take_over(map: &MemoryMap) {
    let end = map.end_below(DIRECT_MAP_FRAMES as u32);
    let first = arch::tables::build_kernel_tables(end, |pfn| map.is_ram(pfn));
    arch::memory::set_managed(first, end);
    let mut list = FREE.lock();
    let usable = |pfn: &u32| map.is_ram(Pfn(*pfn)) && arch::memory::is_populated(Pfn(*pfn));
    for pfn in (first.0..end.0).rev().filter(usable) {
        NEXT[pfn as usize].store(list.head, Ordering::Relaxed);
        list.head = pfn;
        list.free += 1;
    }
    list.total = list.free;
}

/// Takes a frame. Its content is whatever its last user left.
pub fn allocate() -> Result<Pfn, OutOfFrames> {
    let mut list = FREE.lock();
    if list.head == NONE || list.free <= list.withheld {
        return Err(OutOfFrames);
    }
    let pfn = list.head;
    list.head = NEXT[pfn as usize].load(Ordering::Relaxed);
    list.free -= 1;
    Ok(Pfn(pfn))
}

/// Takes a frame and zeroes it.
pub fn allocate_zeroed() -> Result<Pfn, OutOfFrames> {
    let pfn = allocate()?;
    arch::memory::fill(pfn, 0);
    Ok(pfn)
}

/// Gives a frame back. Nothing may map or hold it any more.
pub fn free(pfn: Pfn) {
    assert!(
        arch::memory::is_managed(pfn),
        "freed frame {:#x} is not the allocator's",
        pfn.0
    );
    let mut list = FREE.lock();
    NEXT[pfn.0 as usize].store(list.head, Ordering::Relaxed);
    list.head = pfn.0;
    list.free += 1;
}

/// Lets no more than `left` of the frames that are free now be taken; what is given back can be taken as well. Gives how many are
/// withheld.
#[cfg(feature = "switches")]
pub fn starve(left: usize) -> usize {
    let mut list = FREE.lock();
    list.withheld = list.free.saturating_sub(left);
    list.withheld
}

/// Frames that are free, and all that the allocator manages.
pub fn counts() -> (usize, usize) {
    let list = FREE.lock();
    (list.free, list.total)
}

/// Notes a frame number with a frame that is in use; whoever has the frame has the note.
pub fn set_note(pfn: Pfn, note: Pfn) {
    NEXT[pfn.0 as usize].store(note.0, Ordering::Relaxed);
}

/// What [`set_note`] noted.
pub fn note(pfn: Pfn) -> Pfn {
    Pfn(NEXT[pfn.0 as usize].load(Ordering::Relaxed))
}
