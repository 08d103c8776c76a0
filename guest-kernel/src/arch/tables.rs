//! The page tables that the kernel itself stands on, and each CPU's root.
//!
//! Under PVH entries hold guest frames and are written in place. Under PV they hold machine frames,
//! a table is mapped read-only, and every change is Xen's to make ([`super::changes`]).

use core::sync::atomic::{AtomicU32, Ordering};

use super::address::address;
use super::areas::{self, Part};
use super::changes::{Changes, Pins, TableError};
use super::cpu;
use super::cpu_set::CpuSet;
use super::direct;
use super::frames::{bits_of, is_managed, is_populated, write_word};
use super::mode::is_pv;
use super::page::Page;
use super::pv::boot_tables;
#[cfg(target_arch = "x86_64")]
use super::{address, far, far_tables};
use crate::memory::entry::{Entry, Flags};
use crate::memory::layout::*;
use crate::memory::map::MemoryMap;
use crate::memory::Pfn;

/// Writes an entry of a page that is no table under PV yet, or in a PVH guest.
fn write(page: &Page, slot: usize, entry: Entry) {
    page.write_u64(slot, bits_of(entry));
}

/// The kernel's L2 page: slots as in `layout`. Stands in L3[3] while no set is active and,
/// on x86_64, under -2 GiB; its entries are what a set's holder gets.
///
/// Not under 32-bit PV, where Xen allows each root an L2 of its own in slot 3 and no other
/// (decision 0008).
static KERNEL_L2: Page = Page::new();
/// The tables of the entry code have it too, so that a PVH guest can say what is wrong before it has
/// tables of its own.
#[export_name = "fixmap_l1"]
static FIXMAP_L1: Page = Page::new();
#[cfg(target_arch = "x86_64")]
static KERNEL_L3: Page = Page::new();

#[cfg(target_arch = "x86_64")]
fn cpu_l4(cpu: usize) -> &'static Page {
    areas::page(cpu, Part::Top)
}

fn cpu_l3(cpu: usize) -> &'static Page {
    areas::page(cpu, Part::L3)
}

/// 32-bit PV: what stands in each CPU's L3[3], with the window of the set that is active there.
#[cfg(target_arch = "x86")]
fn cpu_l2(cpu: usize) -> &'static Page {
    areas::page(cpu, Part::Top)
}

/// Frames that [`map_ring`] has mapped, by slot; 0 for none.
static RINGS: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

/// The CPUs whose root was made.
static PREPARED: CpuSet = CpuSet::new();

/// The page whose entries are the kernel's.
fn kernel_l2() -> &'static Page {
    #[cfg(target_arch = "x86")]
    if is_pv() {
        return cpu_l2(0);
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
    kernel_l2().read_u64(slot)
}

fn is_prepared(cpu: usize) -> bool {
    PREPARED.contains(cpu)
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
    if direct::slot_of(pfn).is_some() || is_far_l1(pfn) {
        return found(1);
    }
    #[cfg(target_arch = "x86_64")]
    if far::l2_of(pfn).is_some() {
        return found(2);
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
    if let Some((cpu, part)) = areas::owner(pfn) {
        return match part {
            Part::L3 if is_prepared(cpu) => found(3),
            #[cfg(target_arch = "x86")]
            Part::Top if is_prepared(cpu) => Some(KernelTable {
                level: 2,
                pae_xen_l2: true,
            }),
            #[cfg(target_arch = "x86_64")]
            Part::Top if is_prepared(cpu) => found(4),
            _ => None,
        };
    }
    #[cfg(target_arch = "x86_64")]
    if pfn == KERNEL_L3.pfn() || pfn == far::l3() {
        return found(3);
    } else if pfn == KERNEL_L2.pfn() {
        return found(2);
    }
    None
}

/// Is it an L1 table of the far map (PV)? There is one for each 2 MiB of the domain's memory, and
/// nothing but a call of [`super::changes`] alters one: the audit need not read them.
pub fn is_far_l1(pfn: Pfn) -> bool {
    #[cfg(target_arch = "x86_64")]
    return far::is_l1(pfn);
    #[cfg(target_arch = "x86")]
    {
        let _ = pfn;
        false
    }
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
    assert!(is_managed(pfn) || kernel_table(pfn).is_some());
    let direct = direct::made_with(pfn);
    let table = address(pfn) as *const u64;
    // SAFETY: a page table, in the direct map (checked above), and every slot here is below
    // `ENTRIES`; only read.
    let read = |slot: usize| unsafe { table.wrapping_add(slot).read_volatile() };
    for first in (0..ENTRIES).step_by(LINE) {
        let line: [u64; LINE] = core::array::from_fn(|i| read(first + i));
        if line.iter().fold(0, |all, bits| all | bits) == 0 {
            continue;
        }
        let made = |i: usize| {
            direct.map_or(0, |(frame, step)| {
                u64::from(frame.0 + (first + i) as u32 * step) << 12 | Flags::PRESENT.bits()
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

/// Fills the holder of a set, which is no table yet, with what the kernel's L2 page maps. The
/// window is the caller's.
pub fn copy_kernel_entries(holder: Pfn) {
    for slot in 0..ENTRIES {
        write_word(holder, slot, kernel_bits(slot));
    }
}

/// Builds the tables that the kernel stands on: the direct map of the RAM of `map` below `end`.
/// Once, on vCPU 0. Gives the first frame that is free afterwards.
///
/// The lowest page of each stack stays unmapped, so that an overflow faults instead of writing
/// into the neighbour's stack.
pub(super) fn build_kernel_tables(end: Pfn, map: &MemoryMap) -> Pfn {
    let entry = |pfn: usize| {
        let frame = Pfn(pfn as u32);
        if frame < end && map.is_ram(frame) && is_populated(frame) && !areas::is_guard(frame) {
            Entry::new(frame, Flags::KERNEL)
        } else {
            Entry::EMPTY
        }
    };
    if is_pv() {
        return boot_tables::take_over(end, entry, build_pv_root);
    }
    let near_end = near_end_pvh(end);
    let behind = build_near_pvh(near_end, entry);
    #[cfg(target_arch = "x86_64")]
    {
        address::end_near(near_end);
        far_tables::build_pvh(behind, end, |first, end| map.count(first, end) > 0)
    }
    #[cfg(target_arch = "x86")]
    behind
}

/// Where the near map of a PVH guest ends: on x86_64 behind the kernel's image and what each vCPU has,
/// for a vCPU needs its stack before it has left the tables of the entry code.
fn near_end_pvh(end: Pfn) -> Pfn {
    let all = if cfg!(target_arch = "x86_64") {
        areas::end()
    } else {
        end
    };
    Pfn(all.0.next_multiple_of(CHUNK))
}

/// Frames that the kernel's tables take behind the image and the vCPUs' areas, for memory up to `end`.
/// Under PV the builder has made some of them.
pub(super) fn frames_needed(end: Pfn) -> u32 {
    let near_end = near_end_pvh(end);
    #[cfg(target_arch = "x86_64")]
    return near_end.0 / CHUNK + far::tables_needed(near_end, end);
    #[cfg(target_arch = "x86")]
    return near_end.0 / CHUNK;
}

/// Builds the near map of a PVH guest, and what stands above it; on the tables of the entry code.
fn build_near_pvh(end: Pfn, entry: impl Fn(usize) -> Entry) -> Pfn {
    let slots = (end.0 / CHUNK) as usize;
    let first = areas::end();
    for slot in 0..slots {
        let l1 = Pfn(first.0 + slot as u32);
        for index in 0..ENTRIES {
            let place = address(l1) as *mut u64;
            let bits = entry(slot * ENTRIES + index).bits();
            // SAFETY: a frame behind the image, in RAM, and not handed out yet; the tables of the
            // entry code map it.
            unsafe { place.wrapping_add(index).write_volatile(bits) };
        }
        direct::adopt(slot, l1);
        write(&KERNEL_L2, slot, Entry::new(l1, Flags::KERNEL));
    }
    write(
        &KERNEL_L2,
        FIXMAP_SLOT,
        Entry::new(FIXMAP_L1.pfn(), Flags::KERNEL),
    );
    #[cfg(target_arch = "x86_64")]
    write(&KERNEL_L3, 510, Entry::new(KERNEL_L2.pfn(), Flags::KERNEL));
    Pfn(first.0 + slots as u32)
}

/// PV: makes the kernel's tables from the direct map that [`boot_tables`] completed, and vCPU
/// 0's root. They are typed by Xen when the root is pinned.
fn build_pv_root() -> Result<Pfn, TableError> {
    #[cfg(target_arch = "x86_64")]
    {
        fill_kernel_entries(&KERNEL_L2);
        write(&KERNEL_L3, 510, Entry::new(KERNEL_L2.pfn(), Flags::KERNEL));
        let mut changes = Changes::<2>::new();
        changes.protect(KERNEL_L2.pfn());
        changes.protect(KERNEL_L3.pfn());
        changes.commit()?;
    }
    prepare_cpu(0)?;
    Ok(root(0))
}

fn fill_kernel_entries(l2: &Page) {
    for (slot, l1) in direct::tables() {
        write(l2, slot, Entry::new(l1, Flags::KERNEL));
    }
}

/// Makes and, under PV, pins the root of CPU `cpu`, if that was not done: a root lives as long as
/// the domain.
pub(super) fn prepare_cpu(cpu: usize) -> Result<(), TableError> {
    if is_prepared(cpu) {
        return Ok(());
    }
    #[cfg(target_arch = "x86_64")]
    {
        write(
            cpu_l4(cpu),
            0,
            Entry::new(cpu_l3(cpu).pfn(), Flags::USER_DATA),
        );
        write(cpu_l4(cpu), 511, Entry::new(KERNEL_L3.pfn(), Flags::KERNEL));
        let (slot, far) = far::root_entry();
        write(cpu_l4(cpu), slot, far);
    }
    if is_pv() {
        let mut changes = Changes::<2>::new();
        #[cfg(target_arch = "x86_64")]
        {
            write(cpu_l3(cpu), HOLDER, l3_entry(KERNEL_L2.pfn()));
            changes.protect(cpu_l4(cpu).pfn());
        }
        #[cfg(target_arch = "x86")]
        {
            fill_kernel_entries(cpu_l2(cpu));
            write(cpu_l3(cpu), HOLDER, l3_entry(cpu_l2(cpu).pfn()));
            changes.protect(cpu_l2(cpu).pfn());
        }
        changes.protect(cpu_l3(cpu).pfn());
        changes.commit()?;
        let mut pins = Pins::<1>::new();
        pins.pin(if cfg!(target_arch = "x86_64") { 4 } else { 3 }, root(cpu));
        pins.commit()?;
    }
    PREPARED.add(cpu);
    Ok(())
}

/// The root table of CPU `cpu`.
pub(super) fn root(cpu: usize) -> Pfn {
    #[cfg(target_arch = "x86_64")]
    return cpu_l4(cpu).pfn();
    #[cfg(target_arch = "x86")]
    cpu_l3(cpu).pfn()
}

/// Takes this CPU from the tables of the entry code to its own, with no set active. Under PV it
/// arrives on its own.
pub(super) fn enter_kernel_tables() {
    if is_pv() {
        return;
    }
    let me = cpu::id();
    // Nothing is refused under PVH: no call is made.
    let _ = prepare_cpu(me);
    let _ = activate([None; SET_PAGES]);
}

/// Makes `set` the address space of the running CPU; `None` everywhere leaves it with the kernel's
/// entries alone. Flushes this CPU's TLB.
///
/// Under 32-bit PV the fourth page is not installed: Xen lets no root change what stands in its
/// slot 3. In its place the CPU's own L2 gets the window of the set's other pages.
///
/// # Errors
/// Under PV, Xen's.
pub fn activate(set: [Option<Pfn>; SET_PAGES]) -> Result<(), TableError> {
    let me = cpu::id();
    set.iter()
        .flatten()
        .for_each(|&pfn| assert!(is_managed(pfn)));
    if is_pv() {
        return activate_pv(set, me);
    }
    for (slot, page) in set.into_iter().enumerate() {
        write(cpu_l3(me), slot, l3_slot(slot, page));
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
        changes.set_own(cpu_l3(me), slot, l3_slot(slot, page));
    }
    changes.commit()?;
    flush_this_cpu()
}

#[cfg(target_arch = "x86")]
fn activate_pv(set: [Option<Pfn>; SET_PAGES], me: usize) -> Result<(), TableError> {
    let mut changes = Changes::<{ 2 * HOLDER }>::new();
    for (slot, page) in set.into_iter().enumerate().take(HOLDER) {
        let link = page.map_or(Entry::EMPTY, |pfn| Entry::new(pfn, Flags::LINK));
        changes.set_own(cpu_l3(me), slot, l3_slot(slot, page));
        changes.set_own(cpu_l2(me), WINDOW_SLOT + slot, link);
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

/// Is it the frame of a ring that the kernel has mapped?
pub fn is_ring(frame: u64) -> bool {
    !is_pv()
        && RINGS
            .iter()
            .any(|ring| u64::from(ring.load(Ordering::Relaxed)) == frame && frame != 0)
}

/// Maps `frame`, which is not RAM of ours (a ring that Xen's tools made), in the fixmap and gives
/// its address (PVH; under PV rings are RAM).
///
/// # Panics
/// If there is no such slot: a bug.
pub(super) fn map_ring(slot: usize, frame: u64) -> usize {
    assert!(slot < RINGS.len());
    RINGS[slot].store(frame as u32, Ordering::Relaxed);
    write(
        &FIXMAP_L1,
        slot,
        Entry::from_bits(frame << 12 | Flags::KERNEL.bits()),
    );
    let va = FIXMAP_BASE + slot * PAGE_SIZE;
    // SAFETY: drops a stale translation at most.
    unsafe { x86::tlb::flush(va) };
    va
}
