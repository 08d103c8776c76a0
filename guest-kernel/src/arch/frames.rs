//! Frames of the guest's memory: which there are, and their words, read and written through the
//! direct map.
//!
//! What makes the functions here safe to call: they touch only **managed** frames, those that the
//! frame allocator hands out, and check that. No Rust object lives in a managed frame, and an entry
//! written here can only map a managed frame, so no caller can alias the kernel's own memory.

use core::sync::atomic::{AtomicU32, Ordering};

use xen_bindings::frame::Mfn;

use spin::Once;

use super::address::address;
use super::mode::is_pv;
use super::pv::{m2p, start_info};
use crate::memory::entry::Entry;
use crate::memory::layout::{ENTRIES, MOST_FRAMES};
use crate::memory::map::MemoryMap;
use crate::memory::{away, Pfn};

/// The frames that the allocator manages: first and one past the last.
static MANAGED_FIRST: AtomicU32 = AtomicU32::new(u32::MAX);
static MANAGED_END: AtomicU32 = AtomicU32::new(0);
/// Which of them there are: between two ranges of RAM lies what is Xen's tools' and devices'.
static RAM: Once<MemoryMap> = Once::new();

extern "C" {
    static kernel_end: u8;
}

/// First frame behind the kernel's image.
pub(super) fn image_end() -> Pfn {
    Pfn::of_kernel(&raw const kernel_end as usize)
}

/// First frame behind all that was there when the kernel began: its image, and under PV what the
/// domain builder put behind it.
pub(super) fn first_free() -> Pfn {
    if is_pv() {
        let (_, end) = start_info::boot_tables();
        return Pfn::of_kernel(end);
    }
    image_end()
}

/// Does the domain have memory at this frame of its map? Under PV the toolstack may have left
/// holes.
pub fn is_populated(pfn: Pfn) -> bool {
    !is_pv() || m2p::is_populated(pfn)
}

/// Could the domain have memory at this frame of its map?
pub fn can_be_populated(pfn: Pfn) -> bool {
    !is_pv() || (pfn.0 as usize) < m2p::pages()
}

/// PV: makes room in the physical-to-machine list for the frames below `end`, and for the lists that
/// a save reads it by, in frames from `first` on. Gives the first frame that is free afterwards.
/// Once, on vCPU 0, when the direct map stands.
pub(super) fn grow_frame_list(end: Pfn, first: Pfn) -> Pfn {
    if is_pv() {
        m2p::place_frame_lists(m2p::grow(end.0 as usize, first))
    } else {
        first
    }
}

/// The most frames that [`grow_frame_list`] takes.
pub(super) fn frame_list_needed(end: Pfn) -> u32 {
    if is_pv() {
        m2p::frames_needed(end.0 as usize)
    } else {
        0
    }
}

/// An entry as the CPU wants it: under PV a machine frame stands in the place of the guest's.
pub fn bits_of(entry: Entry) -> u64 {
    if !is_pv() || !entry.is_present() {
        return entry.bits();
    }
    m2p::machine(entry.frame()).address() | entry.bits() & !Entry::FRAME
}

/// What the CPU sees, as an entry of the guest's. An entry that names a frame that is not this
/// domain's reads as one that maps nothing.
pub(super) fn entry_of(bits: u64) -> Entry {
    let raw = Entry::from_bits(bits);
    if !is_pv() || !raw.is_present() {
        return raw;
    }
    match own_frame((bits & Entry::FRAME) >> 12) {
        Some(pfn) => Entry::from_bits(u64::from(pfn.0) << 12 | bits & !Entry::FRAME),
        None => Entry::EMPTY,
    }
}

/// The guest's frame that the frame number in an entry stands for; none if it is not this domain's
/// memory.
pub fn own_frame(number: u64) -> Option<Pfn> {
    if is_pv() {
        return usize::try_from(number)
            .ok()
            .and_then(|mfn| m2p::pfn(Mfn(mfn)));
    }
    let ours = |&pfn: &Pfn| is_ram(pfn) && !away::is_away(pfn);
    u32::try_from(number).ok().map(Pfn).filter(ours)
}

/// Hands the RAM in `first..end` to the allocator. Once, on vCPU 0.
///
/// # Panics
/// If the range overlaps the kernel's image or leaves the direct map: a bug of the caller.
pub(super) fn set_managed(first: Pfn, end: Pfn, map: &MemoryMap) {
    assert!(first >= image_end() && end.0 as usize <= MOST_FRAMES && first <= end);
    RAM.call_once(|| *map);
    MANAGED_FIRST.store(first.0, Ordering::Relaxed);
    MANAGED_END.store(end.0, Ordering::Relaxed);
}

/// Is it a frame that the allocator manages?
pub fn is_managed(pfn: Pfn) -> bool {
    pfn.0 >= MANAGED_FIRST.load(Ordering::Relaxed) && is_ram(pfn)
}

/// Where a word of a managed frame is in the direct map.
pub(super) fn word(pfn: Pfn, index: usize) -> *mut u64 {
    assert!(is_managed(pfn), "frame {:#x} is not the allocator's", pfn.0);
    assert!(index < ENTRIES);
    (address(pfn) as *mut u64).wrapping_add(index)
}

/// Fills a frame with zeros.
pub fn zero(pfn: Pfn) {
    let start = word(pfn, 0);
    for index in 0..ENTRIES {
        // SAFETY: managed and in bounds, so inside the direct map and no Rust object.
        unsafe { start.wrapping_add(index).write_volatile(0) }
    }
}

/// Clears a frame, and writes only where it is not clear.
pub fn clear(pfn: Pfn) {
    for index in (0..ENTRIES).filter(|&index| read_word(pfn, index) != 0) {
        write_word(pfn, index, 0);
    }
}

/// Reads a word of a frame through the direct map.
pub fn read_word(pfn: Pfn, index: usize) -> u64 {
    // SAFETY: checked by `word`: in the direct map, no Rust object there.
    unsafe { word(pfn, index).read_volatile() }
}

/// Writes a word of a frame through the direct map.
pub(super) fn write_word(pfn: Pfn, index: usize, value: u64) {
    // SAFETY: checked by `word`: in the direct map, no Rust object there.
    unsafe { word(pfn, index).write_volatile(value) }
}

/// Reads an entry of a table.
pub fn read_entry(table: Pfn, slot: usize) -> Entry {
    entry_of(read_word(table, slot))
}

/// An entry of a managed table as the CPU sees it.
pub fn entry_bits(table: Pfn, slot: usize) -> u64 {
    read_word(table, slot)
}

/// Writes an entry of a managed frame that is no table yet. What it maps must be managed as well.
pub fn write_fresh(table: Pfn, slot: usize, entry: Entry) {
    assert!(
        !entry.is_present() || is_managed(entry.frame()),
        "{entry:?} maps the kernel's own memory"
    );
    write_word(table, slot, bits_of(entry));
}

/// The first of the frames that the allocator manages.
pub fn first_managed() -> Pfn {
    Pfn(MANAGED_FIRST.load(Ordering::Relaxed))
}

/// One past the last frame of the direct map that is RAM.
pub fn end_of_memory() -> Pfn {
    Pfn(MANAGED_END.load(Ordering::Relaxed))
}

/// Is the frame one of the domain's RAM, as the kernel maps it?
pub fn is_ram(pfn: Pfn) -> bool {
    pfn < end_of_memory() && RAM.get().is_some_and(|map| map.is_ram(pfn))
}
