//! The guest's physical address space: `public/memory.h`.

use crate::frame::{DomainId, Gfn};
use crate::hypercall::hypercall2;
use crate::{ffi, Call, Result, Subject};
use core::ptr;

fn op<T>(cmd: u32, call: Call, arg: &mut T) -> Result<usize> {
    // SAFETY: every caller in this module passes the structure that the operation takes; what else
    // the operation needs is in the caller's contract.
    let ret = unsafe {
        hypercall2::<{ ffi::__HYPERVISOR_memory_op }>(cmd as usize, ptr::from_mut(arg) as usize)
    };
    call.check(ret)
}

/// A page of Xen's that can be put into the guest's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The shared-info page.
    #[doc(alias = "XENMAPSPACE_shared_info")]
    SharedInfo,
    /// Frame N of the grant table. Asking for a frame makes the table that long.
    #[doc(alias = "XENMAPSPACE_grant_table")]
    GrantTable(u32),
}

/// Puts a page of Xen's at `gfn` (PVH).
///
/// What was at `gfn` is freed. A restore undoes the mapping and leaves a hole; a cancelled suspend
/// keeps it. A page of Xen's that is mapped already moves, and leaves a hole where it was.
///
/// # Errors
/// Xen's.
///
/// # Safety
/// Nothing uses what was at `gfn`, nor the page's former place.
#[doc(alias = "XENMEM_add_to_physmap")]
pub unsafe fn add_to_physmap(space: Space, gfn: Gfn) -> Result<()> {
    let (number, index) = match space {
        Space::SharedInfo => (ffi::XENMAPSPACE_shared_info, 0),
        Space::GrantTable(frame) => (ffi::XENMAPSPACE_grant_table, frame),
    };
    let mut arg = ffi::xen_add_to_physmap {
        domid: DomainId::SELF.0,
        size: 0,
        space: number,
        idx: index as ffi::xen_ulong_t,
        gpfn: gfn.0 as ffi::xen_pfn_t,
    };
    let call = Call::on("XENMEM_add_to_physmap", Subject::Gfn(gfn.0 as u64));
    op(ffi::XENMEM_add_to_physmap, call, &mut arg).map(drop)
}

/// Makes a hole at `gfn` (PVH).
///
/// # Errors
/// Xen's.
///
/// # Safety
/// Nothing uses what was at `gfn`.
#[doc(alias = "XENMEM_remove_from_physmap")]
pub unsafe fn remove_from_physmap(gfn: Gfn) -> Result<()> {
    let mut arg = ffi::xen_remove_from_physmap {
        domid: DomainId::SELF.0,
        gpfn: gfn.0 as ffi::xen_pfn_t,
    };
    let call = Call::on("XENMEM_remove_from_physmap", Subject::Gfn(gfn.0 as u64));
    op(ffi::XENMEM_remove_from_physmap, call, &mut arg).map(drop)
}

/// One range of the domain's memory map, in the BIOS's E820 format (20 bytes).
#[derive(Clone, Copy, Default)]
#[repr(C, packed(4))]
pub struct MapEntry {
    /// Physical address of the first byte.
    pub base: u64,
    /// Length in bytes.
    pub length: u64,
    /// Kind: 1 is memory, everything else is not to be used.
    pub kind: u32,
}

const _: () = assert!(size_of::<MapEntry>() == 20);

impl core::fmt::Debug for MapEntry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (base, length, kind) = (self.base, self.length, self.kind);
        write!(f, "{base:#x}+{length:#x} kind {kind}")
    }
}

/// Fills `entries` with the domain's memory map and returns the part that was filled.
///
/// # Errors
/// Xen's: `ENOSYS` if the toolstack gave the domain no map.
#[doc(alias = "XENMEM_memory_map")]
pub fn memory_map(entries: &mut [MapEntry]) -> Result<&[MapEntry]> {
    let mut arg = ffi::xen_memory_map {
        nr_entries: entries.len() as core::ffi::c_uint,
        ..Default::default()
    };
    arg.buffer.p = entries.as_mut_ptr().cast();
    op(
        ffi::XENMEM_memory_map,
        Call::new("XENMEM_memory_map"),
        &mut arg,
    )?;
    // Never more than there is room for, whatever Xen says.
    let filled = entries.len().min(arg.nr_entries as usize);
    Ok(&entries[..filled])
}

fn reservation(cmd: u32, op_name: &'static str, frames: &mut [Gfn], order: u32) -> Result<usize> {
    let mut arg = ffi::xen_memory_reservation {
        nr_extents: frames.len() as ffi::xen_ulong_t,
        extent_order: order,
        mem_flags: 0,
        domid: DomainId::SELF.0,
        ..Default::default()
    };
    // A Gfn is one machine word, as xen_pfn_t is.
    const _: () = assert!(size_of::<Gfn>() == size_of::<ffi::xen_pfn_t>());
    arg.extent_start.p = frames.as_mut_ptr().cast();
    let call = Call::on(op_name, Subject::Number(frames.len() as u64));
    op(cmd, call, &mut arg)
}

/// Asks for memory at each of `frames` (PVH). Returns how many were filled, from the front.
///
/// # Errors
/// Xen's, if none could be filled for another reason than want of memory.
///
/// # Safety
/// In a PVH guest the frames are holes or memory that nothing uses. In a PV guest Xen overwrites
/// `frames` with machine frames, which the caller must enter into its tables.
#[doc(alias = "XENMEM_populate_physmap")]
pub unsafe fn populate_physmap(frames: &mut [Gfn]) -> Result<usize> {
    reservation(
        ffi::XENMEM_populate_physmap,
        "XENMEM_populate_physmap",
        frames,
        0,
    )
}

/// Gives the memory at `frames` back to Xen and leaves holes: 2^`order` frames from each on, which
/// is a multiple of as many. Returns how many of `frames` went, from the front; of the one after
/// them a part may be gone too.
///
/// A frame that was never touched in a domain that is populated on demand goes like any other. Xen
/// takes orders up to 9 from a domain without devices (`CONFIG_DOMU_MAX_ORDER`) and answers 0 to a
/// higher one. In a PV guest these are machine frames.
///
/// # Errors
/// Xen's.
///
/// # Safety
/// Nothing uses the frames, and no page table of a PV guest maps them.
#[doc(alias = "XENMEM_decrease_reservation")]
pub unsafe fn decrease_reservation(frames: &mut [Gfn], order: u32) -> Result<usize> {
    reservation(
        ffi::XENMEM_decrease_reservation,
        "XENMEM_decrease_reservation",
        frames,
        order,
    )
}

/// Frames that the domain has, as Xen counts: its rings' pages included, Xen's own pages not.
///
/// # Errors
/// Xen's.
#[doc(alias = "XENMEM_current_reservation")]
pub fn current_reservation() -> Result<usize> {
    let mut domain: ffi::domid_t = DomainId::SELF.0;
    op(
        ffi::XENMEM_current_reservation,
        Call::new("XENMEM_current_reservation"),
        &mut domain,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::double;
    use std::string::ToString;

    #[test]
    fn add_to_physmap_names_space_index_and_frame() {
        let xen = |nr: u32, args: &[usize]| {
            assert_eq!((nr, args[0]), (12, 7));
            // SAFETY: the wrapper passes a structure that lives during the call.
            let arg = unsafe { *(args[1] as *const ffi::xen_add_to_physmap) };
            assert_eq!((arg.domid, arg.size), (0x7ff0, 0));
            match (arg.space, arg.idx, arg.gpfn) {
                (0, 0, 0x1000) | (1, 3, 0x1001) => 0,
                _ => -22,
            }
        };
        // SAFETY: a host build maps nothing.
        double::with(xen, || unsafe {
            assert_eq!(add_to_physmap(Space::SharedInfo, Gfn(0x1000)), Ok(()));
            assert_eq!(add_to_physmap(Space::GrantTable(3), Gfn(0x1001)), Ok(()));
            let error = add_to_physmap(Space::SharedInfo, Gfn(0x1001)).unwrap_err();
            assert_eq!(
                error.to_string(),
                "XENMEM_add_to_physmap(gfn 0x1001): EINVAL (22)"
            );
        });
    }

    #[test]
    fn reservations_name_their_frames_and_give_how_many_went() {
        let xen = |nr: u32, args: &[usize]| {
            assert_eq!(nr, 12);
            if args[0] as u32 == ffi::XENMEM_current_reservation {
                // SAFETY: the wrapper passes a domain's number that lives during the call.
                assert_eq!(unsafe { *(args[1] as *const ffi::domid_t) }, 0x7ff0);
                return 8192;
            }
            // SAFETY: the wrapper passes a structure that lives during the call, and a list of the
            // length it states.
            let (arg, first) = unsafe {
                let arg = *(args[1] as *const ffi::xen_memory_reservation);
                (arg, *arg.extent_start.p)
            };
            assert_eq!((arg.nr_extents, arg.domid, arg.mem_flags), (3, 0x7ff0, 0));
            match (args[0] as u32, arg.extent_order, first) {
                (ffi::XENMEM_decrease_reservation, 9, 0x1000) => 2,
                (ffi::XENMEM_populate_physmap, 0, 0x1000) => 0,
                _ => -22,
            }
        };
        let mut frames = [Gfn(0x1000), Gfn(0x1200), Gfn(0x1400)];
        // SAFETY: a host build has no such frames.
        double::with(xen, || unsafe {
            assert_eq!(decrease_reservation(&mut frames, 9), Ok(2));
            assert_eq!(populate_physmap(&mut frames), Ok(0));
            assert_eq!(current_reservation(), Ok(8192));
            assert_eq!(
                decrease_reservation(&mut frames, 0)
                    .unwrap_err()
                    .to_string(),
                "XENMEM_decrease_reservation(3): EINVAL (22)"
            );
        });
    }

    #[test]
    fn a_memory_map_is_never_longer_than_its_room() {
        let xen = |_: u32, args: &[usize]| {
            // SAFETY: the wrapper passes a structure that lives during the call, by exclusive
            // reference, and a buffer of the length it states.
            unsafe {
                let arg = &mut *(args[1] as *mut ffi::xen_memory_map);
                assert_eq!(arg.nr_entries, 2);
                let first = arg.buffer.p.cast::<MapEntry>();
                first.write(MapEntry {
                    base: 0,
                    length: 0x9f000,
                    kind: 1,
                });
                first.add(1).write(MapEntry {
                    base: 0x10_0000,
                    length: 1 << 32,
                    kind: 1,
                });
                arg.nr_entries = 1000;
            }
            0
        };
        double::with(xen, || {
            let mut room = [MapEntry::default(); 2];
            let map = memory_map(&mut room).unwrap();
            assert_eq!(map.len(), 2);
            assert_eq!({ map[1].length }, 1 << 32);
        });
    }
}
