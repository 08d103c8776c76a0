//! Reading and writing physical memory, and the page tables that the kernel stands on.
//!
//! What makes the functions here safe to call: they touch only **managed** frames, those that the
//! frame allocator hands out, and check that. No Rust object lives in a managed frame, and an entry
//! written here can only map a managed frame, so no caller can alias the kernel's own memory.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use super::cpu::{self, MAX_CPUS, STACK_SIZE};
use crate::memory::Pfn;
use crate::paging::entry::{Entry, Flags};
use crate::paging::layout::*;

#[repr(C, align(4096))]
struct Page(UnsafeCell<[u64; ENTRIES]>);
// SAFETY: written by vCPU 0 while no other vCPU runs, or word by word with volatile writes by the one
// CPU that owns the slot; never borrowed.
unsafe impl Sync for Page {}

impl Page {
    const fn new() -> Self {
        Page(UnsafeCell::new([0; ENTRIES]))
    }
    fn entry(&self, slot: usize) -> *mut u64 {
        assert!(slot < ENTRIES);
        self.0.get().cast::<u64>().wrapping_add(slot)
    }
    fn set(&self, slot: usize, entry: Entry) {
        // SAFETY: in bounds (checked by `entry`); volatile, as the CPU reads it too.
        unsafe { self.entry(slot).write_volatile(entry.bits()) }
    }
    fn pfn(&self) -> Pfn {
        Pfn(((self.0.get() as usize - KERNEL_BASE) / PAGE_SIZE) as u32)
    }
}

/// The kernel's L2 page: slots as in `layout`. Stands in L3[3] while no set is active and,
/// on x86_64, under -2 GiB; its entries are what a set's holder gets.
static KERNEL_L2: Page = Page::new();
static FIXMAP_L1: Page = Page::new();
#[cfg(target_arch = "x86_64")]
static KERNEL_L3: Page = Page::new();
#[cfg(target_arch = "x86_64")]
static CPU_L4: [Page; MAX_CPUS] = [const { Page::new() }; MAX_CPUS];
#[cfg(target_arch = "x86_64")]
static CPU_L3: [Page; MAX_CPUS] = [const { Page::new() }; MAX_CPUS];

/// Under PAE a CPU's L3 is 32 bytes, 32-byte aligned (SDM volume 3, 4.4.1).
#[cfg(target_arch = "x86")]
#[repr(C, align(32))]
struct PaeL3(UnsafeCell<[u64; 4]>);
#[cfg(target_arch = "x86")]
// SAFETY: each is written only by the CPU whose number it has.
unsafe impl Sync for PaeL3 {}
#[cfg(target_arch = "x86")]
static CPU_L3: [PaeL3; MAX_CPUS] = [const { PaeL3(UnsafeCell::new([0; 4])) }; MAX_CPUS];

/// Frames that `map_fixed` has mapped, by slot; 0 for none.
static RINGS: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

/// The frames that the allocator manages: first and one past the last.
static MANAGED_FIRST: AtomicU32 = AtomicU32::new(u32::MAX);
static MANAGED_END: AtomicU32 = AtomicU32::new(0);

extern "C" {
    static kernel_end: u8;
    static stacks: u8;
}

/// First frame behind the kernel's image.
pub fn image_end() -> Pfn {
    Pfn(((&raw const kernel_end as usize - KERNEL_BASE) / PAGE_SIZE) as u32)
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
    Entry::from_bits(read_word(table, slot))
}

/// Writes an entry of a table that is a managed frame. What it maps must be managed as well.
pub fn write_entry(table: Pfn, slot: usize, entry: Entry) {
    assert!(
        !entry.is_present() || is_managed(entry.frame()),
        "{entry:?} maps the kernel's own memory"
    );
    write_word(table, slot, entry.bits());
}

/// The level of a table that the kernel itself stands on, by its frame; `None` for any other frame.
///
/// The per-CPU roots and, on x86_64, the kernel's L3 are not listed: they point to these and to live sets alone.
pub fn kernel_table(pfn: Pfn) -> Option<u8> {
    let l1_end = Pfn(MANAGED_FIRST.load(Ordering::Relaxed));
    if pfn == KERNEL_L2.pfn() {
        Some(2)
    } else if pfn == FIXMAP_L1.pfn() || (pfn >= image_end() && pfn < l1_end) {
        Some(1)
    } else {
        None
    }
}

/// Where any table is read: the kernel's own, or a managed frame.
fn table(pfn: Pfn) -> *const u64 {
    assert!(is_managed(pfn) || kernel_table(pfn).is_some());
    (KERNEL_BASE + pfn.0 as usize * PAGE_SIZE) as *const u64
}

/// Reads an entry of any table: the kernel's own, or a managed frame.
///
/// # Panics
/// If the frame is neither: a bug.
pub fn read_table(pfn: Pfn, slot: usize) -> Entry {
    assert!(slot < ENTRIES);
    // SAFETY: a page table, in the direct map (checked by `table`); in bounds; only read.
    Entry::from_bits(unsafe { table(pfn).wrapping_add(slot).read_volatile() })
}

/// The first entry at or after slot `from` of any table that is not zero, and its slot.
///
/// # Panics
/// As [`read_table`].
pub fn next_used(pfn: Pfn, from: usize) -> Option<(usize, Entry)> {
    let table = table(pfn);
    (from..ENTRIES).find_map(|slot| {
        // SAFETY: a page table, in the direct map (checked by `table`); in bounds; only read.
        let bits = unsafe { table.wrapping_add(slot).read_volatile() };
        (bits != 0).then(|| (slot, Entry::from_bits(bits)))
    })
}

/// One past the last frame of the direct map that is RAM.
pub fn end_of_memory() -> Pfn {
    Pfn(MANAGED_END.load(Ordering::Relaxed))
}

/// Is the frame one of the domain's RAM, as the kernel maps it?
pub fn is_ram(pfn: Pfn) -> bool {
    // The direct map ends with RAM. Holes in it are mapped nowhere, so no entry can name one by accident.
    pfn < end_of_memory()
}

/// Is it the frame of a ring that the kernel has mapped?
pub fn is_ring(frame: u64) -> bool {
    RINGS
        .iter()
        .any(|ring| u64::from(ring.load(Ordering::Relaxed)) == frame && frame != 0)
}

/// Fills the holder of a set with what the kernel's L2 page maps. The window is the caller's.
pub fn copy_kernel_entries(holder: Pfn) {
    for slot in 0..ENTRIES {
        write_word(holder, slot, kernel_entry(slot).bits());
    }
}

/// The entry of the kernel's L2 page at `slot`, as it stands: the CPU may have set flags in it.
pub fn kernel_entry(slot: usize) -> Entry {
    // SAFETY: a read of the kernel's own L2 page; `entry` checks the bounds.
    Entry::from_bits(unsafe { KERNEL_L2.entry(slot).read_volatile() })
}

/// Builds the tables that the kernel stands on: the direct map of the frames that `is_ram`
/// accepts, in the tables that `next_l1` gives, one for each 2 MiB. Once, on vCPU 0.
///
/// The lowest page of each stack stays unmapped, so that an overflow faults instead of writing
/// into the neighbour's stack.
pub fn build_kernel_tables(end: Pfn, is_ram: impl Fn(Pfn) -> bool, mut next_l1: impl FnMut() -> Pfn) {
    let guard_first = (&raw const stacks as usize - KERNEL_BASE) / PAGE_SIZE;
    let guard_every = STACK_SIZE / PAGE_SIZE;
    let is_guard = |pfn: usize| {
        pfn >= guard_first
            && pfn < guard_first + MAX_CPUS * guard_every
            && (pfn - guard_first).is_multiple_of(guard_every)
    };
    for slot in 0..(end.0 as usize).div_ceil(ENTRIES) {
        let l1 = next_l1();
        for index in 0..ENTRIES {
            let pfn = slot * ENTRIES + index;
            let entry = if is_ram(Pfn(pfn as u32)) && !is_guard(pfn) {
                Entry::new(Pfn(pfn as u32), Flags::KERNEL)
            } else {
                Entry::EMPTY
            };
            let place = (KERNEL_BASE + l1.0 as usize * PAGE_SIZE) as *mut u64;
            // SAFETY: the frame is fresh from the allocator and in RAM; the tables of the entry code map it.
            unsafe { place.wrapping_add(index).write_volatile(entry.bits()) };
        }
        KERNEL_L2.set(slot, Entry::new(l1, Flags::KERNEL));
    }
    KERNEL_L2.set(FIXMAP_SLOT, Entry::new(FIXMAP_L1.pfn(), Flags::KERNEL));
    #[cfg(target_arch = "x86_64")]
    KERNEL_L3.set(510, Entry::new(KERNEL_L2.pfn(), Flags::KERNEL));
}

/// Takes this CPU from the tables of the entry code to its own, with no set active.
pub fn enter_kernel_tables() {
    let me = cpu::id();
    #[cfg(target_arch = "x86_64")]
    {
        CPU_L4[me].set(0, Entry::new(CPU_L3[me].pfn(), Flags::USER_DATA));
        CPU_L4[me].set(511, Entry::new(KERNEL_L3.pfn(), Flags::KERNEL));
    }
    activate([None; SET_PAGES], me);
}

/// Makes `set` the address space of CPU `me`, which is the running one; `None` everywhere leaves it with the kernel's
/// entries alone. Flushes this CPU's TLB.
pub fn activate(set: [Option<Pfn>; SET_PAGES], me: usize) {
    debug_assert_eq!(me, cpu::id());
    for (slot, page) in set.into_iter().enumerate() {
        let entry = match page {
            Some(pfn) => {
                assert!(is_managed(pfn));
                l3_entry(pfn)
            }
            None if slot == HOLDER => l3_entry(KERNEL_L2.pfn()),
            None => Entry::EMPTY,
        };
        #[cfg(target_arch = "x86_64")]
        CPU_L3[me].set(slot, entry);
        #[cfg(target_arch = "x86")]
        // SAFETY: this CPU's own L3, in bounds: a set has four pages.
        unsafe {
            CPU_L3[me]
                .0
                .get()
                .cast::<u64>()
                .wrapping_add(slot)
                .write_volatile(entry.bits())
        }
    }
    #[cfg(target_arch = "x86_64")]
    let root = (CPU_L4[me].0.get() as usize - KERNEL_BASE) as u64;
    #[cfg(target_arch = "x86")]
    let root = (CPU_L3[me].0.get() as usize - KERNEL_BASE) as u64;
    // SAFETY: the root maps the kernel where it runs (every holder has the kernel's entries), and the user
    // half holds no Rust object.
    unsafe { x86::controlregs::cr3_write(root) };
}

#[cfg(target_arch = "x86_64")]
fn l3_entry(l2: Pfn) -> Entry {
    Entry::new(l2, Flags::USER_DATA)
}
/// Under PAE an L3 entry has no R/W, U/S, A or D bit: they are reserved.
#[cfg(target_arch = "x86")]
fn l3_entry(l2: Pfn) -> Entry {
    Entry::new(l2, Flags::PRESENT)
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
    Entry::from_bits(unsafe { (place as *const u64).read_volatile() })
}

/// A word that every holder maps, to see that a set's kernel entries are right.
static KERNEL_MARK: u64 = 0x7365_7473_206b_6e6c;

/// Reads [`KERNEL_MARK`] through the active set's holder; gives what was read and what was right.
pub fn read_kernel_mark() -> (u64, u64) {
    let address = HOLDER_BASE + (&raw const KERNEL_MARK as usize - KERNEL_BASE);
    // SAFETY: on i686 it is the static itself; on x86_64 its alias, through the holder's copy of the kernel's entries.
    (unsafe { (address as *const u64).read_volatile() }, KERNEL_MARK)
}

/// Maps `frame`, which is not RAM of ours (a ring that Xen's tools made), in the fixmap and gives its address.
///
/// # Panics
/// If there is no such slot: a bug.
pub fn map_fixed(slot: usize, frame: u64) -> usize {
    assert!(slot < RINGS.len());
    let entry = Entry::from_bits(frame << 12 | Flags::KERNEL.bits());
    RINGS[slot].store(frame as u32, Ordering::Relaxed);
    FIXMAP_L1.set(slot, entry);
    let va = FIXMAP_BASE + slot * PAGE_SIZE;
    // SAFETY: drops a stale translation at most.
    unsafe { x86::tlb::flush(va) };
    va
}
