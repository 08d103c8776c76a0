//! Builds the far map of x86_64, at boot.

use super::address::{address, near_end};
use super::changes::{Changes, TableError};
use super::far;
use super::frames::bits_of;
use super::pv::m2p;
use crate::memory::entry::{Entry, Flags};
use crate::memory::layout::{CHUNK, ENTRIES, GIB_FRAMES};
use crate::memory::Pfn;

/// Fills a table that is none yet.
fn fill(table: Pfn, bits: impl Fn(u32) -> u64) {
    let at = address(table) as *mut u64;
    for index in 0..ENTRIES {
        // SAFETY: a frame behind the image and all that the builder made, in RAM, not handed out
        // yet; whoever calls has mapped it.
        unsafe { at.wrapping_add(index).write_volatile(bits(index as u32)) };
    }
}

/// Builds the far map of a PVH guest for the memory below `end`: superpages, wherever `has_ram` says
/// that there is any memory in one. The tables take frames from `first` on; gives the first that is
/// free afterwards. On the tables of the entry code, which map those.
pub fn build_pvh(first: Pfn, end: Pfn, has_ram: impl Fn(u32, u32) -> bool) -> Pfn {
    let behind = far::place(first, end);
    for (gib, table) in far::l2_tables() {
        fill(table, |index| {
            let frame = gib * GIB_FRAMES + index * CHUNK;
            if frame >= near_end().0 && has_ram(frame, frame + CHUNK) {
                Entry::new(Pfn(frame), Flags::KERNEL.union(Flags::SUPERPAGE)).bits()
            } else {
                0
            }
        });
        far::L3.write_u64(gib as usize, Entry::new(table, Flags::KERNEL).bits());
    }
    behind
}

/// Builds the far map of a PV guest for the memory below `end`, of which `entry` gives each frame's
/// entry, under `root`, the domain builder's. The tables take frames from `next` on, which is moved
/// behind them: the L2s in what the builder has mapped, and the L1s each mapped by the ones before.
///
/// Out of line, so that its batch does not stand on the stack beside the caller's.
///
/// # Errors
/// Xen's.
#[inline(never)]
pub fn build_pv(
    root: Pfn,
    end: Pfn,
    entry: impl Fn(usize) -> Entry,
    next: &mut Pfn,
) -> Result<(), TableError> {
    let behind = far::place(*next, end);
    // The builder leaves room for 128 of them (`xen/include/public/xen.h`, "Start-of-day memory
    // layout"), and the far map has 64.
    assert!(behind <= near_end());
    let mut changes = Changes::<128>::new();
    for (gib, table) in far::l2_tables() {
        fill(table, |_| 0);
        far::L3.write_u64(gib as usize, bits_of(Entry::new(table, Flags::KERNEL)));
        changes.protect(table);
    }
    changes.protect(far::L3.pfn());
    let (slot, l3) = far::root_entry();
    changes.set_at(m2p::machine(root).address() + slot as u64 * 8, bits_of(l3));
    changes.commit()?;
    *next = behind;
    for chunk in near_end().0 / CHUNK..end.0.div_ceil(CHUNK) {
        let l1 = far::l1_of_chunk(chunk);
        fill(l1, |index| bits_of(entry((chunk * CHUNK + index) as usize)));
        let (gib, slot) = (chunk / ENTRIES as u32, chunk % ENTRIES as u32);
        let l2 = far::l2_table(gib);
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
