//! From the domain builder's page tables to the kernel's own.
//!
//! The builder maps the kernel, what it put behind it, and at least 512 KiB more from `VIRT_BASE`
//! on, its own tables read-only (`xen/include/public/xen.h`, "Start-of-day memory layout"). Their
//! L1 tables become the near map, on i686 its beginning; the rest of the direct map is added in tables
//! taken from behind, each mapped by the ones before. Then vCPU 0 goes over to its own root, and the builder's
//! upper tables are cleared: what they hold are machine frames, and a save would carry them along.

use xen_bindings::frame::Mfn;

use super::{m2p, start_info};
use crate::arch::changes::{Changes, Pins, TableError};
use crate::arch::direct;
use crate::arch::frames::bits_of;
#[cfg(target_arch = "x86_64")]
use crate::arch::{address, far_tables};
use crate::memory::entry::Entry;
#[cfg(target_arch = "x86")]
use crate::memory::entry::Flags;
use crate::memory::layout::*;
use crate::memory::Pfn;

/// Entries changed in one call.
const BATCH: usize = 128;
/// Upper tables that the builder may have made: a root, L3, and L2 tables of 1 GiB each.
const UPPER: usize = 8;

/// The builder's tables above L1.
struct Upper {
    pages: [Pfn; UPPER],
    len: usize,
    /// The one that maps `KERNEL_BASE`.
    l2: Pfn,
}

fn word(page: Pfn, slot: usize) -> u64 {
    let place = (KERNEL_BASE + page.0 as usize * PAGE_SIZE) as *const u64;
    // SAFETY: a table of the builder's, which the builder mapped; in bounds.
    unsafe { place.add(slot % ENTRIES).read_volatile() }
}

/// Where a present entry points.
fn target(page: Pfn, slot: usize) -> Option<Pfn> {
    let entry = Entry::from_bits(word(page, slot));
    entry
        .is_present()
        .then(|| m2p::pfn(Mfn(entry.frame().0 as usize)))
        .flatten()
}

impl Upper {
    fn find(root: Pfn) -> Option<Upper> {
        let mut upper = Upper {
            pages: [root; UPPER],
            len: 1,
            l2: root,
        };
        #[cfg(target_arch = "x86_64")]
        let places = [511, 510];
        #[cfg(target_arch = "x86")]
        let places = [HOLDER];
        for slot in places {
            upper.l2 = target(upper.l2, slot)?;
            upper.pages[upper.len] = upper.l2;
            upper.len += 1;
        }
        // Under PAE the builder may have made L2 tables for the other slots as well.
        #[cfg(target_arch = "x86")]
        for slot in 0..HOLDER {
            if let Some(l2) = target(root, slot) {
                upper.pages[upper.len] = l2;
                upper.len += 1;
            }
        }
        Some(upper)
    }
}

/// Completes the direct map of the frames below `memory_end`, of which `entry` gives each frame's
/// entry, and moves vCPU 0 to its own root, which `build_root` makes then. Gives the first frame that
/// is free afterwards.
///
/// # Panics
/// If the builder left anything but what its own header describes, or Xen refuses: there is nothing
/// to go back to.
pub fn take_over(
    memory_end: Pfn,
    entry: impl Fn(usize) -> Entry,
    build_root: impl FnOnce() -> Result<Pfn, TableError>,
) -> Pfn {
    let (base, end) = start_info::boot_tables();
    let builders_root = Pfn::of_kernel(base);
    let Some(upper) = Upper::find(builders_root) else {
        let (highest, known) = m2p::highest();
        panic!(
            "the domain builder's page tables cannot be read: the domain has machine frames up to {highest:#x}, and \
             those up to {known:#x} can be looked up"
        );
    };
    let mut next = Pfn::of_kernel(end);
    let done = complete(&upper, builders_root, memory_end, &entry, &mut next)
        .and_then(|()| move_over(&upper, builders_root, build_root()?));
    match done {
        Ok(()) => next,
        Err(error) => panic!("the kernel's page tables: {error}"),
    }
}

fn complete(
    upper: &Upper,
    builders_root: Pfn,
    memory_end: Pfn,
    entry: &impl Fn(usize) -> Entry,
    next: &mut Pfn,
) -> Result<(), TableError> {
    let adopted = adopt(upper, entry)?;
    #[cfg(target_arch = "x86_64")]
    {
        address::end_near(Pfn(adopted as u32 * CHUNK));
        far_tables::build_pv(builders_root, memory_end, entry, next)
    }
    #[cfg(target_arch = "x86")]
    {
        let _ = builders_root;
        let slots = (memory_end.0 as usize).div_ceil(ENTRIES);
        add_near(upper, adopted..slots, entry, next)
    }
}

/// Takes the builder's L1 tables over; gives how many they are. Out of line for its batch.
#[inline(never)]
fn adopt(upper: &Upper, entry: &impl Fn(usize) -> Entry) -> Result<usize, TableError> {
    let mut adopted = 0;
    while let Some(l1) = (adopted < NEAR_SLOTS)
        .then(|| target(upper.l2, adopted))
        .flatten()
    {
        direct::adopt(adopted, l1);
        adopted += 1;
    }
    let mut changes = Changes::<BATCH>::new();
    for pfn in 0..adopted * ENTRIES {
        let (is, should) = (direct::bits(Pfn(pfn as u32)), entry(pfn));
        // What the builder mapped stays as it is, for its tables are mapped read-only; holes are
        // filled, guards made.
        if (is == 0) != (should == Entry::EMPTY) {
            changes.set_at(direct::entry_address(Pfn(pfn as u32)), bits_of(should));
        }
    }
    changes.commit()?;
    Ok(adopted)
}

/// Adds L1 tables to the near map.
#[cfg(target_arch = "x86")]
fn add_near(
    upper: &Upper,
    slots: core::ops::Range<usize>,
    entry: &impl Fn(usize) -> Entry,
    next: &mut Pfn,
) -> Result<(), TableError> {
    for slot in slots {
        let l1 = *next;
        next.0 += 1;
        for index in 0..ENTRIES {
            let place = (KERNEL_BASE + l1.0 as usize * PAGE_SIZE) as *mut u64;
            let bits = bits_of(entry(slot * ENTRIES + index));
            // SAFETY: behind all that the builder made, not handed out yet, and in the part of the
            // direct map that stands: it reaches 512 frames further with each table.
            unsafe { place.add(index).write_volatile(bits) };
        }
        let mut changes = Changes::<2>::new();
        changes.protect(l1);
        let l2_entry = bits_of(Entry::new(l1, Flags::KERNEL));
        changes.set_at(m2p::machine(upper.l2).address() + slot as u64 * 8, l2_entry);
        changes.commit()?;
        direct::adopt(slot, l1);
    }
    Ok(())
}

fn move_over(upper: &Upper, builders_root: Pfn, root: Pfn) -> Result<(), TableError> {
    let mut pins = Pins::<2>::new();
    pins.load_root(root);
    pins.unpin(builders_root);
    pins.commit()?;
    let mut changes = Changes::<UPPER>::new();
    upper.pages[..upper.len]
        .iter()
        .for_each(|&page| changes.unprotect(page));
    changes.commit()?;
    for &page in &upper.pages[..upper.len] {
        let place = (KERNEL_BASE + page.0 as usize * PAGE_SIZE) as *mut u64;
        for slot in 0..ENTRIES {
            // SAFETY: a table no more, mapped writable again, and not handed out.
            unsafe { place.add(slot).write_volatile(0) };
        }
    }
    Ok(())
}
