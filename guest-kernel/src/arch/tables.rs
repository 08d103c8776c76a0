//! The page tables that the kernel itself stands on, and each CPU's root.
//!
//! Under PVH entries hold guest frames and are written in place. Under PV they hold machine frames,
//! a table is mapped read-only, and every change is Xen's to make ([`super::changes`]).

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use super::changes::{Changes, Pins, TableError};
use super::cpu::{self, MAX_CPUS, STACK_SIZE};
use super::{is_pv, memory, pv};
use crate::memory::Pfn;
use crate::paging::entry::{Entry, Flags};
use crate::paging::layout::*;

/// A page of the kernel's own.
#[repr(C, align(4096))]
pub struct Page(UnsafeCell<[u64; ENTRIES]>);
// SAFETY: written by vCPU 0 while no other vCPU runs, or word by word with volatile writes by the
// one CPU that owns the slot; never borrowed.
unsafe impl Sync for Page {}

impl Page {
    /// Zeroes.
    pub const fn new() -> Self {
        Page(UnsafeCell::new([0; ENTRIES]))
    }
    fn entry(&self, slot: usize) -> *mut u64 {
        assert!(slot < ENTRIES);
        self.0.get().cast::<u64>().wrapping_add(slot)
    }
    /// Writes an entry in place: the page is no table under PV yet, or the guest is PVH.
    fn set(&self, slot: usize, entry: Entry) {
        // SAFETY: in bounds (checked by `entry`); volatile, as the CPU reads it too.
        unsafe { self.entry(slot).write_volatile(memory::bits_of(entry)) }
    }
    /// Writes a machine word.
    pub fn write_word(&self, index: usize, word: usize) {
        assert!(index < PAGE_SIZE / size_of::<usize>());
        // SAFETY: in bounds; volatile: others read it meanwhile, word by word.
        unsafe { self.0.get().cast::<usize>().add(index).write_volatile(word) }
    }
    /// Writes 8 bytes.
    pub fn write_u64(&self, index: usize, value: u64) {
        // SAFETY: in bounds (checked by `entry`).
        unsafe { self.entry(index).write_volatile(value) }
    }
    /// Its frame.
    pub fn pfn(&self) -> Pfn {
        Pfn::of_kernel(self.0.get() as usize)
    }
}

/// The kernel's L2 page: slots as in `layout`. Stands in L3[3] while no set is active and,
/// on x86_64, under -2 GiB; its entries are what a set's holder gets.
///
/// Not under 32-bit PV, where Xen allows each root an L2 of its own in slot 3 and no other
/// (decision 0008).
static KERNEL_L2: Page = Page::new();
static FIXMAP_L1: Page = Page::new();
#[cfg(target_arch = "x86_64")]
static KERNEL_L3: Page = Page::new();
#[cfg(target_arch = "x86_64")]
static CPU_L4: [Page; MAX_CPUS] = [const { Page::new() }; MAX_CPUS];
static CPU_L3: [Page; MAX_CPUS] = [const { Page::new() }; MAX_CPUS];
/// 32-bit PV: what stands in each CPU's L3[3], with the window of the set that is active there.
#[cfg(target_arch = "x86")]
static CPU_L2: [Page; MAX_CPUS] = [const { Page::new() }; MAX_CPUS];

/// The L1 tables of the direct map, by L2 slot.
static DIRECT_L1: [AtomicU32; DIRECT_MAP_SLOTS] = [const { AtomicU32::new(0) }; DIRECT_MAP_SLOTS];
/// The lowest and one past the highest of them.
static DIRECT_L1_FIRST: AtomicU32 = AtomicU32::new(u32::MAX);
static DIRECT_L1_END: AtomicU32 = AtomicU32::new(0);
/// How many there are: one for each L2 slot from 0.
static DIRECT_L1_SLOTS: AtomicU32 = AtomicU32::new(0);
/// One bit for each CPU whose root was made.
static PREPARED: AtomicU32 = AtomicU32::new(0);

extern "C" {
    static stacks: u8;
}

/// The page whose entries are the kernel's.
fn kernel_l2() -> &'static Page {
    #[cfg(target_arch = "x86")]
    if is_pv() {
        return &CPU_L2[0];
    }
    &KERNEL_L2
}

/// The kernel's entry at L2 slot `slot` as the CPU sees it, without the window's: the CPU may have
/// set flags in it.
pub fn kernel_bits(slot: usize) -> u64 {
    if slot > FIXMAP_SLOT {
        // The window belongs to the active set, and what follows it to Xen.
        return 0;
    }
    // SAFETY: a read of the kernel's own L2 page; `entry` checks the bounds.
    unsafe { kernel_l2().entry(slot).read_volatile() }
}

fn is_prepared(cpu: usize) -> bool {
    PREPARED.load(Ordering::Acquire) >> cpu & 1 != 0
}

/// A table that the kernel stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelTable {
    /// 1 to 4.
    pub level: u8,
    /// It stands in slot 3 of a PAE root under PV, where Xen has entries of its own.
    pub pae_xen_l2: bool,
}

/// What table of the kernel's own a frame is; `None` for any other frame.
///
/// Under PVH, where nobody but the CPU reads them, the roots and the kernel's L3 are not listed:
/// they point to these and to live sets alone.
pub fn kernel_table(pfn: Pfn) -> Option<KernelTable> {
    let found = |level| {
        Some(KernelTable {
            level,
            pae_xen_l2: false,
        })
    };
    if direct_slot(pfn).is_some() {
        return found(1);
    }
    if !is_pv() {
        return if pfn == KERNEL_L2.pfn() {
            found(2)
        } else if pfn == FIXMAP_L1.pfn() {
            found(1)
        } else {
            None
        };
    }
    let place = |pages: &[Page; MAX_CPUS]| {
        let cpu = pfn.0.wrapping_sub(pages[0].pfn().0) as usize;
        cpu < MAX_CPUS && is_prepared(cpu)
    };
    if place(&CPU_L3) {
        return found(3);
    }
    #[cfg(target_arch = "x86")]
    if place(&CPU_L2) {
        return Some(KernelTable {
            level: 2,
            pae_xen_l2: true,
        });
    }
    #[cfg(target_arch = "x86_64")]
    if place(&CPU_L4) {
        return found(4);
    } else if pfn == KERNEL_L3.pfn() {
        return found(3);
    } else if pfn == KERNEL_L2.pfn() {
        return found(2);
    }
    None
}

/// Which L2 slot's L1 of the direct map a frame is; `None` for any other frame.
///
/// The tables stand one behind the other: all of them, or, under PV, those that the builder made
/// and then the others. So the distance to the first or to the last one tells which it is; the
/// search is for a builder with another order.
fn direct_slot(l1: Pfn) -> Option<usize> {
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

/// The first of the frames whose entries this L1 of the direct map was made with, if it is one and
/// the CPU sees them as they are (PVH).
pub fn direct_frames(l1: Pfn) -> Option<Pfn> {
    if is_pv() {
        return None;
    }
    direct_slot(l1).map(|slot| Pfn((slot * ENTRIES) as u32))
}

/// The L1 table and the slot in it that map `page` in the direct map.
pub fn direct_place(page: Pfn) -> (Pfn, usize) {
    let l1 = DIRECT_L1[page.0 as usize / ENTRIES].load(Ordering::Relaxed);
    (Pfn(l1), page.0 as usize % ENTRIES)
}

/// The machine address of the entry that maps `page` in the direct map (PV).
pub fn direct_entry(page: Pfn) -> u64 {
    let (l1, slot) = direct_place(page);
    pv::m2p::machine(l1).address() + (slot * size_of::<u64>()) as u64
}

/// The entry that maps `page` in the direct map, as the CPU sees it; the L1 table must be there
/// (PV).
pub fn direct_bits(page: Pfn) -> u64 {
    let (l1, slot) = direct_place(page);
    assert!(l1.0 != 0);
    let place = (KERNEL_BASE + l1.0 as usize * PAGE_SIZE) as *const u64;
    // SAFETY: an L1 of the direct map, which maps itself; in bounds.
    unsafe { place.add(slot).read_volatile() }
}

/// Writes the entry that maps `page` in the direct map (PVH).
pub(super) fn write_direct(page: Pfn, entry: Entry) {
    assert!(!is_pv() && memory::is_managed(page));
    let (l1, slot) = direct_place(page);
    let place = (KERNEL_BASE + l1.0 as usize * PAGE_SIZE) as *mut u64;
    // SAFETY: an L1 of the direct map, which maps itself; in bounds. No Rust object is where it
    // maps.
    unsafe { place.add(slot).write_volatile(entry.bits()) };
}

/// Is the direct map of `page` read-only (PV)?
pub fn is_read_only(page: Pfn) -> bool {
    direct_bits(page) & Flags::WRITABLE.bits() == 0
}

/// Can the direct map be written at `address`? A question of the trap handler's (PV).
pub fn is_writable(address: usize) -> bool {
    let Some(page) = address
        .checked_sub(KERNEL_BASE)
        .map(|offset| offset / PAGE_SIZE)
    else {
        return false;
    };
    let mapped = DIRECT_L1
        .get(page / ENTRIES)
        .is_some_and(|l1| l1.load(Ordering::Relaxed) != 0);
    let bits = if mapped {
        direct_bits(Pfn(page as u32))
    } else {
        0
    };
    let needed = Flags::PRESENT.union(Flags::WRITABLE).bits();
    bits & needed == needed
}

fn adopt(slot: usize, l1: Pfn) {
    DIRECT_L1[slot].store(l1.0, Ordering::Relaxed);
    DIRECT_L1_FIRST.fetch_min(l1.0, Ordering::Relaxed);
    DIRECT_L1_END.fetch_max(l1.0 + 1, Ordering::Relaxed);
    DIRECT_L1_SLOTS.fetch_max(slot as u32 + 1, Ordering::Relaxed);
}

/// Builds the tables that the kernel stands on: the direct map of the frames below `end` that
/// `is_ram` accepts. Once, on vCPU 0. Gives the first frame that is free afterwards.
///
/// The lowest page of each stack stays unmapped, so that an overflow faults instead of writing
/// into the neighbour's stack.
pub fn build_kernel_tables(end: Pfn, is_ram: impl Fn(Pfn) -> bool) -> Pfn {
    let guard_first = Pfn::of_kernel(&raw const stacks as usize).0 as usize;
    let guard_every = STACK_SIZE / PAGE_SIZE;
    let is_guard = |pfn: usize| {
        pfn >= guard_first
            && pfn < guard_first + MAX_CPUS * guard_every
            && (pfn - guard_first).is_multiple_of(guard_every)
    };
    let entry = |pfn: usize| {
        let frame = Pfn(pfn as u32);
        if is_ram(frame) && memory::is_populated(frame) && !is_guard(pfn) {
            Entry::new(frame, Flags::KERNEL)
        } else {
            Entry::EMPTY
        }
    };
    let slots = (end.0 as usize).div_ceil(ENTRIES);
    if is_pv() {
        return pv::boot_tables::take_over(slots, entry, adopt);
    }
    let first = memory::image_end();
    for slot in 0..slots {
        let l1 = Pfn(first.0 + slot as u32);
        for index in 0..ENTRIES {
            let place = (KERNEL_BASE + l1.0 as usize * PAGE_SIZE) as *mut u64;
            let bits = entry(slot * ENTRIES + index).bits();
            // SAFETY: a frame behind the image, in RAM, and not handed out yet; the tables of the
            // entry code map it.
            unsafe { place.wrapping_add(index).write_volatile(bits) };
        }
        adopt(slot, l1);
        KERNEL_L2.set(slot, Entry::new(l1, Flags::KERNEL));
    }
    KERNEL_L2.set(FIXMAP_SLOT, Entry::new(FIXMAP_L1.pfn(), Flags::KERNEL));
    #[cfg(target_arch = "x86_64")]
    KERNEL_L3.set(510, Entry::new(KERNEL_L2.pfn(), Flags::KERNEL));
    Pfn(first.0 + slots as u32)
}

/// PV: makes the kernel's tables from the direct map that [`pv::boot_tables`] completed, and vCPU
/// 0's root. They are typed by Xen when the root is pinned.
pub fn build_pv_root() -> Result<Pfn, TableError> {
    #[cfg(target_arch = "x86_64")]
    {
        fill_kernel_entries(&KERNEL_L2);
        KERNEL_L3.set(510, Entry::new(KERNEL_L2.pfn(), Flags::KERNEL));
        let mut changes = Changes::<2>::new();
        changes.protect(KERNEL_L2.pfn());
        changes.protect(KERNEL_L3.pfn());
        changes.commit()?;
    }
    prepare_cpu(0)?;
    Ok(root(0))
}

fn fill_kernel_entries(l2: &Page) {
    for (slot, l1) in DIRECT_L1.iter().enumerate() {
        let l1 = l1.load(Ordering::Relaxed);
        if l1 != 0 {
            l2.set(slot, Entry::new(Pfn(l1), Flags::KERNEL));
        }
    }
}

/// Makes and, under PV, pins the root of CPU `cpu`, if that was not done: a root lives as long as
/// the domain.
pub fn prepare_cpu(cpu: usize) -> Result<(), TableError> {
    if is_prepared(cpu) {
        return Ok(());
    }
    #[cfg(target_arch = "x86_64")]
    {
        CPU_L4[cpu].set(0, Entry::new(CPU_L3[cpu].pfn(), Flags::USER_DATA));
        CPU_L4[cpu].set(511, Entry::new(KERNEL_L3.pfn(), Flags::KERNEL));
    }
    if is_pv() {
        let mut changes = Changes::<2>::new();
        #[cfg(target_arch = "x86_64")]
        {
            CPU_L3[cpu].set(HOLDER, l3_entry(KERNEL_L2.pfn()));
            changes.protect(CPU_L4[cpu].pfn());
        }
        #[cfg(target_arch = "x86")]
        {
            fill_kernel_entries(&CPU_L2[cpu]);
            CPU_L3[cpu].set(HOLDER, l3_entry(CPU_L2[cpu].pfn()));
            changes.protect(CPU_L2[cpu].pfn());
        }
        changes.protect(CPU_L3[cpu].pfn());
        changes.commit()?;
        let mut pins = Pins::<1>::new();
        pins.pin(if cfg!(target_arch = "x86_64") { 4 } else { 3 }, root(cpu));
        pins.commit()?;
    }
    PREPARED.fetch_or(1 << cpu, Ordering::AcqRel);
    Ok(())
}

/// The root table of CPU `cpu`.
pub fn root(cpu: usize) -> Pfn {
    #[cfg(target_arch = "x86_64")]
    return CPU_L4[cpu].pfn();
    #[cfg(target_arch = "x86")]
    CPU_L3[cpu].pfn()
}

/// Takes this CPU from the tables of the entry code to its own, with no set active. Under PV it
/// arrives on its own.
pub fn enter_kernel_tables() {
    if is_pv() {
        return;
    }
    let me = cpu::id();
    // Nothing is refused under PVH: no call is made.
    let _ = prepare_cpu(me);
    let _ = activate([None; SET_PAGES], me);
}

/// Makes `set` the address space of CPU `me`, which is the running one; `None` everywhere leaves it
/// with the kernel's entries alone. Flushes this CPU's TLB.
///
/// Under 32-bit PV the fourth page is not installed: Xen lets no root change what stands in its
/// slot 3. In its place the CPU's own L2 gets the window of the set's other pages.
///
/// # Errors
/// Under PV, Xen's.
pub fn activate(set: [Option<Pfn>; SET_PAGES], me: usize) -> Result<(), TableError> {
    debug_assert_eq!(me, cpu::id());
    set.iter()
        .flatten()
        .for_each(|&pfn| assert!(memory::is_managed(pfn)));
    if is_pv() {
        return activate_pv(set, me);
    }
    for (slot, page) in set.into_iter().enumerate() {
        CPU_L3[me].set(slot, l3_slot(slot, page));
    }
    let root = (root(me).0 as usize * PAGE_SIZE) as u64;
    // SAFETY: the root maps the kernel where it runs (every holder has the kernel's entries), and
    // the user half holds no Rust object.
    unsafe { x86::controlregs::cr3_write(root) };
    Ok(())
}

fn l3_slot(slot: usize, page: Option<Pfn>) -> Entry {
    match page {
        Some(pfn) => l3_entry(pfn),
        None if slot == HOLDER => l3_entry(KERNEL_L2.pfn()),
        None => Entry::EMPTY,
    }
}

#[cfg(target_arch = "x86_64")]
fn activate_pv(set: [Option<Pfn>; SET_PAGES], me: usize) -> Result<(), TableError> {
    let mut changes = Changes::<SET_PAGES>::new();
    for (slot, page) in set.into_iter().enumerate() {
        changes.set_own(&CPU_L3[me], slot, l3_slot(slot, page));
    }
    changes.commit()?;
    flush_this_cpu()
}

#[cfg(target_arch = "x86")]
fn activate_pv(set: [Option<Pfn>; SET_PAGES], me: usize) -> Result<(), TableError> {
    let mut changes = Changes::<{ 2 * HOLDER }>::new();
    for (slot, page) in set.into_iter().enumerate().take(HOLDER) {
        let link = page.map_or(Entry::EMPTY, |pfn| Entry::new(pfn, Flags::LINK));
        changes.set_own(&CPU_L3[me], slot, l3_slot(slot, page));
        changes.set_own(&CPU_L2[me], WINDOW_SLOT + slot, link);
    }
    changes.commit()?;
    flush_this_cpu()
}

fn flush_this_cpu() -> Result<(), TableError> {
    let mut flush = Pins::<1>::new();
    flush.flush_tlb();
    flush.commit().map(drop)
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

/// Maps `frame`, which is not RAM of ours, at `slot` of the fixmap (PVH).
pub fn map_in_fixmap(slot: usize, frame: u64) -> usize {
    FIXMAP_L1.set(slot, Entry::from_bits(frame << 12 | Flags::KERNEL.bits()));
    let va = FIXMAP_BASE + slot * PAGE_SIZE;
    // SAFETY: drops a stale translation at most.
    unsafe { x86::tlb::flush(va) };
    va
}
