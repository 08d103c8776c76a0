//! Where Xen keeps each vCPU's event flags and time.
//!
//! The shared-info page has places for the first 32 vCPUs, which come back with the page in a
//! restored domain. The others have theirs here, and Xen is told of each: before it is initialised,
//! and again in a restored domain. Xen 4.17 takes that only from the vCPU itself or for one that is
//! down, later ones always (`map_vcpu_info`, `map_guest_area`, `xen/common/domain.c`); nobody takes it
//! twice in one life of a domain.

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use xen_bindings::frame::Gfn;
use xen_bindings::shared_info::VcpuInfo;
use xen_bindings::{ffi, vcpu, Result};

use super::cpu_set::{CpuSet, MAX_CPUS};
use super::mode::is_pv;
use super::pv::m2p;
use super::shared_info::shared_info;
use crate::memory::layout::PAGE_SIZE;
use crate::memory::Pfn;

/// vCPUs that have a place in the shared-info page.
const IN_SHARED_INFO: usize = ffi::XEN_LEGACY_MAX_VCPUS as usize;
/// Bytes of a place.
const BYTES: usize = 64;
const _: () = assert!(size_of::<ffi::vcpu_info>() == BYTES && PAGE_SIZE.is_multiple_of(BYTES));

/// Aligned so that none crosses a page's end.
#[repr(C, align(64))]
struct Place(UnsafeCell<[u8; BYTES]>);
// SAFETY: only its address is used; what is there is seen through `VcpuInfo`, which is made of
// atomics.
unsafe impl Sync for Place {}

static PLACES: [Place; MAX_CPUS - IN_SHARED_INFO] =
    [const { Place(UnsafeCell::new([0; BYTES])) }; MAX_CPUS - IN_SHARED_INFO];

/// The vCPUs whose place Xen knows in this domain, of those that have one here.
static REGISTERED: CpuSet = CpuSet::new();

/// The place of vCPU `cpu`, if it is here.
fn place(cpu: usize) -> Option<&'static Place> {
    PLACES.get(cpu.checked_sub(IN_SHARED_INFO)?)
}

/// What Xen keeps for vCPU `cpu`, which the kernel can run.
pub fn of(cpu: usize) -> &'static VcpuInfo {
    if let Some(info) = shared_info().vcpu(cpu as u32) {
        return info;
    }
    let place = &PLACES[cpu - IN_SHARED_INFO];
    // SAFETY: a static of this size and alignment that only such views and Xen use.
    unsafe { VcpuInfo::at(NonNull::from(place).cast()) }
}

/// Tells Xen of vCPU `cpu`'s place, if it has one here and Xen does not know. The vCPU is down.
///
/// # Errors
/// Xen's.
pub fn register(cpu: usize) -> Result<()> {
    let Some(place) = place(cpu).filter(|_| !REGISTERED.contains(cpu)) else {
        return Ok(());
    };
    let at = place.0.get() as usize;
    let pfn = Pfn::of_kernel(at);
    let frame = match is_pv() {
        true => Gfn(m2p::machine(pfn).0),
        false => Gfn(pfn.0 as usize),
    };
    // SAFETY: the place is nothing else, as long as the kernel lives.
    unsafe { vcpu::register_vcpu_info(cpu as u32, frame, at % PAGE_SIZE)? };
    if !is_pv() {
        // Xen masks a PV guest's events here, and nobody's else.
        of(cpu).upcall_mask().store(0, Ordering::Relaxed);
    }
    REGISTERED.add(cpu);
    Ok(())
}

/// Does vCPU `cpu` have its place here?
pub fn is_registered_by_call(cpu: usize) -> bool {
    place(cpu).is_some()
}

/// This is a new domain: Xen knows of none.
pub fn forget() {
    REGISTERED.clear();
}

/// Tells Xen of the place of vCPU `cpu`, another than the running one, in a new domain in which it is
/// up and waits. It is down meanwhile, as Xen 4.17 wants it. May be tried again.
///
/// # Errors
/// Xen's.
pub fn register_again(cpu: usize) -> Result<()> {
    vcpu::down(cpu as u32)?;
    register(cpu)?;
    vcpu::up(cpu as u32)
}
