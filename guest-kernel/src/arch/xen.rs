//! The pages that the guest shares with Xen and its tools, and the calls that start or end something.

use core::cell::UnsafeCell;
use core::ptr::NonNull;

use xen_bindings::cpuid::Leaves;
use xen_bindings::frame::Gfn;
use xen_bindings::hvm::Ring;
use xen_bindings::memory::{add_to_physmap, Space};
use xen_bindings::shared_info::SharedInfo;
use xen_bindings::{console, ffi, pvh, sched, vcpu, xenstore, Result};

use super::memory::map_fixed;
use crate::paging::layout::{KERNEL_BASE, PAGE_SIZE};
use crate::pool::Proof;

#[repr(C, align(4096))]
struct Place(UnsafeCell<[u8; PAGE_SIZE]>);
// SAFETY: only its address is used; what is there is seen through `SharedInfo`, which is made of atomics.
unsafe impl Sync for Place {}

/// Where the shared-info page is mapped: the RAM that was here is given back to Xen by the mapping.
static SHARED_INFO: Place = Place(UnsafeCell::new([0; PAGE_SIZE]));

/// Slots of the fixmap.
const CONSOLE_SLOT: usize = 0;
const STORE_SLOT: usize = 1;

/// The physical address of a static of the kernel's.
fn physical<T>(object: *const T) -> usize {
    object as usize - KERNEL_BASE
}

/// Has Xen fill the hypercall page, and gives Xen's CPUID leaves.
pub fn install_hypercalls() -> core::result::Result<Leaves, pvh::InstallError> {
    let page = physical(xen_bindings::hypercall::hypercall_page());
    // SAFETY: the page is the one that `xen-bindings` calls into, at its physical address; ring 0 of a PVH guest.
    unsafe { pvh::install_hypercall_page(page as u64) }
}

/// Maps the shared-info page at its place: at boot, and again in a restored domain.
pub fn map_shared_info() -> Result<()> {
    let gfn = Gfn(physical(SHARED_INFO.0.get()) / PAGE_SIZE);
    // SAFETY: the frame is `SHARED_INFO`'s own, which holds nothing else.
    unsafe { add_to_physmap(Space::SharedInfo, gfn) }
}

/// The shared-info page. Between a restore and [`map_shared_info`] reads give all ones and writes are lost, so
/// nobody looks then: the clock is frozen, interrupts are off, the other vCPUs are parked.
pub fn shared_info() -> &'static SharedInfo {
    let page = NonNull::from(&SHARED_INFO).cast::<ffi::shared_info>();
    // SAFETY: mapped at boot before the first use and never unmapped in a living domain; only views use it.
    unsafe { SharedInfo::at(page) }
}

/// The console's page, mapped.
pub fn console_page(ring: Ring) -> &'static console::Page {
    let va = map_fixed(CONSOLE_SLOT, ring.frame.0 as u64);
    // SAFETY: the toolstack's page, mapped for as long as the kernel runs. A restore puts the new domain's page
    // at the same GFN. `crate::console` holds the one driver.
    unsafe { console::Page::at(NonNull::new_unchecked(va as *mut ffi::xencons_interface)) }
}

/// xenstore's page, mapped.
pub fn store_page(ring: Ring) -> &'static xenstore::Page {
    let va = map_fixed(STORE_SLOT, ring.frame.0 as u64);
    // SAFETY: as for the console; `crate::store` holds the one driver.
    unsafe { xenstore::Page::at(NonNull::new_unchecked(va as *mut ffi::xenstore_domain_interface)) }
}

/// Has Xen start `cpu` at the entry code, paging off, its number in ebx.
pub fn initialise_vcpu(cpu: usize) -> Result<()> {
    /// Protected mode.
    const CR0_PE: u32 = 1;
    let mut context = vcpu::context_32(super::secondary_entry(), 0, CR0_PE, 0, 0, 0);
    context.cpu_regs.x86_32.ebx = cpu as u32;
    // SAFETY: the entry code is made for this state, and gives the vCPU its own stack and tables.
    unsafe { vcpu::initialise(cpu as u32, &context) }
}

/// Suspends the domain; gives what the call returned.
///
/// The proof is not looked at: having to show one is its use.
pub fn suspend(_proof: &Proof) -> Result<usize> {
    // SAFETY: called by `crate::suspend` alone, on vCPU 0, in the step in which the others are parked, interrupts are
    // off, and the clock is frozen; what is lost is set up again in `reattach` before it is used.
    unsafe { sched::suspend(0) }
}
