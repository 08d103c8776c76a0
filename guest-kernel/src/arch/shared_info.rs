//! The shared-info page: where it is mapped, and taken away while the domain is saved.

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use xen_bindings::frame::Gfn;
use xen_bindings::memory::{add_to_physmap, Space};
use xen_bindings::shared_info::SharedInfo;
use xen_bindings::{ffi, Result};

use super::frames::bits_of;
use super::mode::is_pv;
use super::pv::{m2p, start_info};
use crate::memory::entry::{Entry, Flags};
use crate::memory::layout::PAGE_SIZE;
use crate::memory::Pfn;

#[repr(C, align(4096))]
struct Place(UnsafeCell<[u8; PAGE_SIZE]>);
// SAFETY: only its address is used; what is there is seen through `SharedInfo`, which is made of
// atomics.
unsafe impl Sync for Place {}

/// Where the shared-info page is mapped. Under PVH the RAM that was here is given back to Xen by
/// the mapping; under PV it stays the domain's, and stands here again while the domain is saved.
static SHARED_INFO: Place = Place(UnsafeCell::new([0; PAGE_SIZE]));

/// Maps the shared-info page at its place: at boot, and again in a restored domain.
pub fn map() -> Result<()> {
    if is_pv() {
        let frame = start_info::shared_info_frame().address();
        map_at_shared_info(frame | Flags::KERNEL.bits())?;
        m2p::publish(shared_info());
        return Ok(());
    }
    let gfn = Gfn(place().0 as usize);
    // SAFETY: the frame is `SHARED_INFO`'s own, which holds nothing else.
    unsafe { add_to_physmap(Space::SharedInfo, gfn) }
}

/// The frame of the place of the shared-info page.
pub fn place() -> Pfn {
    Pfn::of_kernel(SHARED_INFO.0.get() as usize)
}

fn map_at_shared_info(bits: u64) -> Result<()> {
    let flags = ffi::UVMF_INVLPG | ffi::UVMF_ALL;
    // SAFETY: `SHARED_INFO` is used through views of atomics alone, whatever page is there.
    unsafe {
        xen_bindings::pv::update_va_mapping(SHARED_INFO.0.get() as usize, bits, flags as usize)
    }
}

/// PV: puts the domain's own page in the place of shared-info, which a save cannot carry, with
/// events masked for every vCPU.
pub(super) fn unmap() -> Result<()> {
    map_at_shared_info(bits_of(Entry::new(place(), Flags::KERNEL)))?;
    mask_events();
    Ok(())
}

/// PV: masks events on every vCPU in the page that stands in the place of shared-info.
pub(super) fn mask_events() {
    let every_vcpu = (0..).map_while(|cpu| shared_info().vcpu(cpu));
    every_vcpu.for_each(|info| info.upcall_mask().store(1, Ordering::Relaxed));
}

/// The shared-info page. Between a restore and [`map`] reads give all ones and writes
/// are lost, so nobody looks then: the clock is frozen, interrupts are off, the other vCPUs are
/// parked.
pub fn shared_info() -> &'static SharedInfo {
    let page = NonNull::from(&SHARED_INFO).cast::<ffi::shared_info>();
    // SAFETY: mapped at boot before the first use and never unmapped in a living domain; only views
    // use it.
    unsafe { SharedInfo::at(page) }
}
