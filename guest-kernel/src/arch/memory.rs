//! Reading and writing physical memory, and the page tables that the kernel stands on.
//!
//! What makes the functions here safe to call: they touch only **managed** frames, those that the
//! frame allocator hands out, and check that. No Rust object lives in a managed frame, and an entry
//! written here can only map a managed frame, so no caller can alias the kernel's own memory.

use core::sync::atomic::{AtomicU32, Ordering};

use xen_bindings::frame::Mfn;

use super::tables::{self, map_in_fixmap};
use super::{is_pv, pv};
use crate::memory::{frames, Pfn};
use crate::paging::entry::{Entry, Flags};
use crate::paging::layout::*;

/// Frames that `map_fixed` has mapped, by slot; 0 for none.
static RINGS: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

/// The frames that the allocator manages: first and one past the last.
static MANAGED_FIRST: AtomicU32 = AtomicU32::new(u32::MAX);
static MANAGED_END: AtomicU32 = AtomicU32::new(0);

extern "C" {
    static kernel_end: u8;
}

/// First frame behind the kernel's image.
pub fn image_end() -> Pfn {
    Pfn::of_kernel(&raw const kernel_end as usize)
}

/// Does the domain have memory at this frame of its map? Under PV the toolstack may have left
/// holes.
pub fn is_populated(pfn: Pfn) -> bool {
    !is_pv() || pv::m2p::is_populated(pfn)
}

/// Could the domain have memory at this frame of its map?
pub fn can_be_populated(pfn: Pfn) -> bool {
    !is_pv() || (pfn.0 as usize) < pv::m2p::pages()
}

/// PV: makes room in the physical-to-machine list for the frames below `end`, in frames from
/// `first` on. Gives the first frame that is free afterwards. Once, on vCPU 0, when the direct map
/// stands.
pub fn grow_frame_list(end: Pfn, first: Pfn) -> Pfn {
    if is_pv() {
        pv::m2p::grow(end.0 as usize, first)
    } else {
        first
    }
}

/// An entry as the CPU wants it: under PV a machine frame stands in the place of the guest's.
pub fn bits_of(entry: Entry) -> u64 {
    if !is_pv() || !entry.is_present() {
        return entry.bits();
    }
    pv::m2p::machine(entry.frame()).address() | entry.bits() & !Entry::FRAME
}

/// What the CPU sees, as an entry of the guest's. An entry that names a frame that is not this
/// domain's reads as one that maps nothing.
fn entry_of(bits: u64) -> Entry {
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
            .and_then(|mfn| pv::m2p::pfn(Mfn(mfn)));
    }
    let ours = |&pfn: &Pfn| is_ram(pfn) && !frames::is_away(pfn);
    u32::try_from(number).ok().map(Pfn).filter(ours)
}

/// Hands `first..end` to the allocator. Once, on vCPU 0.
///
/// # Panics
/// If the range overlaps the kernel's image or leaves the direct map: a bug of the caller.
pub fn set_managed(first: Pfn, end: Pfn) {
    assert!(first >= image_end() && end.0 as usize <= DIRECT_MAP_FRAMES && first <= end);
    MANAGED_FIRST.store(first.0, Ordering::Relaxed);
    MANAGED_END.store(end.0, Ordering::Relaxed);
}

/// Is it a frame that the allocator manages?
pub fn is_managed(pfn: Pfn) -> bool {
    pfn.0 >= MANAGED_FIRST.load(Ordering::Relaxed) && pfn.0 < MANAGED_END.load(Ordering::Relaxed)
}

fn word(pfn: Pfn, index: usize) -> *mut u64 {
    assert!(is_managed(pfn), "frame {:#x} is not the allocator's", pfn.0);
    assert!(index < ENTRIES);
    ((KERNEL_BASE + pfn.0 as usize * PAGE_SIZE) as *mut u64).wrapping_add(index)
}

/// Fills a frame with one value.
pub fn fill(pfn: Pfn, value: u64) {
    let start = word(pfn, 0);
    for index in 0..ENTRIES {
        // SAFETY: managed and in bounds, so inside the direct map and no Rust object.
        unsafe { start.wrapping_add(index).write_volatile(value) }
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
pub fn write_word(pfn: Pfn, index: usize, value: u64) {
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

/// Entries looked at together: a cache line.
const LINE: usize = 8;

/// Calls `visit` with each entry of any table, the kernel's own or a managed frame, that is not
/// zero, as the CPU sees it, and its slot, in rising order, until it returns `false`.
///
/// The direct map is most of what there is, and nothing but a stray write changes it. Under PVH a
/// line of it that still maps the very frames that it was made with is left out.
///
/// # Panics
/// If the frame is neither: a bug.
pub fn for_each_used(pfn: Pfn, mut visit: impl FnMut(usize, u64) -> bool) {
    assert!(is_managed(pfn) || tables::kernel_table(pfn).is_some());
    let direct = tables::direct_frames(pfn);
    let table = (KERNEL_BASE + pfn.0 as usize * PAGE_SIZE) as *const u64;
    // SAFETY: a page table, in the direct map (checked above), and every slot here is below
    // `ENTRIES`; only read.
    let read = |slot: usize| unsafe { table.wrapping_add(slot).read_volatile() };
    for first in (0..ENTRIES).step_by(LINE) {
        let line: [u64; LINE] = core::array::from_fn(|i| read(first + i));
        if line.iter().fold(0, |all, bits| all | bits) == 0 {
            continue;
        }
        let made = |i: usize| {
            direct.map_or(0, |frame| {
                u64::from(frame.0 + (first + i) as u32) << 12 | Flags::PRESENT.bits()
            })
        };
        let differs =
            |(i, bits): (usize, &u64)| (bits ^ made(i)) & (Entry::FRAME | Flags::PRESENT.bits());
        if direct.is_some()
            && line
                .iter()
                .enumerate()
                .fold(0, |all, place| all | differs(place))
                == 0
        {
            continue;
        }
        for (i, bits) in line.into_iter().enumerate() {
            // Where the guest has given the memory away, the entry stays: the frame is a hole like
            // any other.
            if direct.is_some() && differs((i, &bits)) == 0 {
                continue;
            }
            if bits != 0 && !visit(first + i, bits) {
                return;
            }
        }
    }
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
    // The direct map ends with RAM. Holes in it are mapped nowhere, so no entry can name one by
    // accident.
    pfn < end_of_memory()
}

/// Is it the frame of a ring that the kernel has mapped?
pub fn is_ring(frame: u64) -> bool {
    !is_pv()
        && RINGS
            .iter()
            .any(|ring| u64::from(ring.load(Ordering::Relaxed)) == frame && frame != 0)
}

/// Fills the holder of a set, which is no table yet, with what the kernel's L2 page maps. The
/// window is the caller's.
pub fn copy_kernel_entries(holder: Pfn) {
    for slot in 0..ENTRIES {
        write_word(holder, slot, tables::kernel_bits(slot));
    }
}

/// Reads a word of the user half. The address must be mapped by the active set, or the kernel
/// panics on a page fault.
pub fn read_user(va: usize) -> u64 {
    assert!(va < USER_END && va.is_multiple_of(8));
    // SAFETY: below the kernel, where no Rust object lives; aligned.
    unsafe { (va as *const u64).read_volatile() }
}

/// Writes a word of the user half; see [`read_user`].
pub fn write_user(va: usize, value: u64) {
    assert!(va < USER_END && va.is_multiple_of(8));
    // SAFETY: below the kernel, where no Rust object lives; aligned.
    unsafe { (va as *mut u64).write_volatile(value) }
}

/// Reads, through the active set's window, the L1 entry that maps `va` (below 4 GiB).
pub fn read_window(va: usize) -> Entry {
    let place = WINDOW_BASE + va / PAGE_SIZE * 8;
    // SAFETY: inside the window, which maps page tables alone, and read-only.
    entry_of(unsafe { (place as *const u64).read_volatile() })
}

/// A word that every holder maps, to see that a set's kernel entries are right.
static KERNEL_MARK: u64 = 0x7365_7473_206b_6e6c;

/// Reads [`KERNEL_MARK`] through the active set's holder; gives what was read and what was right.
pub fn read_kernel_mark() -> (u64, u64) {
    let address = HOLDER_BASE + (&raw const KERNEL_MARK as usize - KERNEL_BASE);
    // SAFETY: on i686 it is the static itself; on x86_64 its alias, through the holder's copy of
    // the kernel's entries.
    (
        unsafe { (address as *const u64).read_volatile() },
        KERNEL_MARK,
    )
}

/// Maps `frame`, which is not RAM of ours (a ring that Xen's tools made), in the fixmap and gives
/// its address (PVH; under PV rings are RAM).
///
/// # Panics
/// If there is no such slot: a bug.
pub fn map_fixed(slot: usize, frame: u64) -> usize {
    assert!(slot < RINGS.len());
    RINGS[slot].store(frame as u32, Ordering::Relaxed);
    map_in_fixmap(slot, frame)
}
