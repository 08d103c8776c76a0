//! The pages that the guest shares with Xen and its tools, and the calls that start or end
//! something.

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use xen_bindings::cpuid::{Instruction, Leaves};
use xen_bindings::frame::Gfn;
use xen_bindings::hvm::{self, Ring};
use xen_bindings::memory::{add_to_physmap, Space};
use xen_bindings::shared_info::SharedInfo;
use xen_bindings::{console, console_io, ffi, pvh, sched, vcpu, xenstore, HypercallError, Result};

use super::memory::{bits_of, map_fixed};
use super::pv::m2p::NoTable;
use super::pv::start_info::NotOurs;
use super::pv::{m2p, start_info};
use super::{is_pv, pv};
use crate::memory::Pfn;
use crate::paging::entry::{Entry, Flags};
use crate::paging::layout::{KERNEL_BASE, PAGE_SIZE};
use crate::pool::Proof;

#[repr(C, align(4096))]
struct Place(UnsafeCell<[u8; PAGE_SIZE]>);
// SAFETY: only its address is used; what is there is seen through `SharedInfo`, which is made of
// atomics.
unsafe impl Sync for Place {}

/// Where the shared-info page is mapped. Under PVH the RAM that was here is given back to Xen by
/// the mapping; under PV it stays the domain's, and stands here again while the domain is saved.
static SHARED_INFO: Place = Place(UnsafeCell::new([0; PAGE_SIZE]));

/// Slots of the fixmap.
const CONSOLE_SLOT: usize = 0;
const STORE_SLOT: usize = 1;

/// The physical address of a static of the kernel's.
fn physical<T>(object: *const T) -> usize {
    object as usize - KERNEL_BASE
}

/// Asks Xen what a PV guest must know of the host: where its machine-to-physical table is. At boot,
/// and in every new domain.
///
/// # Errors
/// Without that no page table can be read.
pub fn learn_host() -> core::result::Result<(), NoTable> {
    if is_pv() {
        m2p::learn()
    } else {
        Ok(())
    }
}

/// The highest machine frame of the domain's memory, and the highest that can be looked up. Nothing
/// under PVH.
pub fn highest_frames() -> Option<(usize, usize)> {
    is_pv().then(m2p::highest)
}

/// Says something on Xen's own console, for want of one of ours. Not every Xen takes it from a
/// guest: a PV guest's words only where it was built with `VERBOSE_DEBUG` (`xsm_console_io`,
/// `xen/include/xsm/dummy.h`); a PVH guest has a port that always works (`hvm_print_line`,
/// `xen/arch/x86/hvm/hvm.c`).
pub fn say_on_xens_console(text: &[u8]) {
    if is_pv() {
        // Refused at worst, and then nobody can be told.
        let _ = console_io::write(text);
        return;
    }
    for &byte in text {
        // SAFETY: Xen's debug console, which only prints.
        unsafe { x86::io::outb(ffi::XEN_HVM_DEBUGCONS_IOPORT as u16, byte) };
    }
}

/// Has Xen fill the hypercall page, and gives Xen's CPUID leaves.
///
/// Under PV the domain builder filled the page; plain CPUID would ask the machine.
pub fn install_hypercalls() -> core::result::Result<Leaves, pvh::InstallError> {
    if is_pv() {
        return Leaves::find(Instruction::PvForced).ok_or(pvh::InstallError::NotXen);
    }
    let page = physical(xen_bindings::hypercall::hypercall_page());
    // SAFETY: the page is the one that `xen-bindings` calls into, at its physical address; ring 0
    // of a PVH guest.
    unsafe { pvh::install_hypercall_page(page as u64) }
}

/// Maps the shared-info page at its place: at boot, and again in a restored domain.
pub fn map_shared_info() -> Result<()> {
    if is_pv() {
        let frame = start_info::shared_info_frame().address();
        map_at_shared_info(frame | Flags::KERNEL.bits())?;
        m2p::publish(shared_info());
        return Ok(());
    }
    let gfn = Gfn(physical(SHARED_INFO.0.get()) / PAGE_SIZE);
    // SAFETY: the frame is `SHARED_INFO`'s own, which holds nothing else.
    unsafe { add_to_physmap(Space::SharedInfo, gfn) }
}

/// The frame of the place of the shared-info page.
pub fn shared_info_place() -> Pfn {
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
pub fn unmap_shared_info() -> Result<()> {
    map_at_shared_info(bits_of(Entry::new(shared_info_place(), Flags::KERNEL)))?;
    mask_events_in_place();
    Ok(())
}

/// PV: masks events on every vCPU in the page that stands in the place of shared-info.
pub fn mask_events_in_place() {
    for cpu in 0..super::cpu::MAX_CPUS as u32 {
        if let Some(info) = shared_info().vcpu(cpu) {
            info.upcall_mask().store(1, Ordering::Relaxed);
        }
    }
}

/// The console's ring; none if the toolstack gave the domain none.
pub fn console_ring() -> Result<Option<Ring>> {
    if is_pv() {
        return Ok(start_info::console_ring());
    }
    hvm::console_ring()
}

/// xenstore's ring; none if the toolstack gave the domain none.
pub fn store_ring() -> Result<Option<Ring>> {
    if is_pv() {
        return Ok(start_info::store_ring());
    }
    hvm::store_ring()
}

/// Where a ring's page is mapped. Under PV it is RAM that the builder took for it.
fn ring_page(ring: Ring, slot: usize) -> usize {
    if is_pv() {
        return KERNEL_BASE + ring.frame.0 * PAGE_SIZE;
    }
    map_fixed(slot, ring.frame.0 as u64)
}

/// The shared-info page. Between a restore and [`map_shared_info`] reads give all ones and writes
/// are lost, so nobody looks then: the clock is frozen, interrupts are off, the other vCPUs are
/// parked.
pub fn shared_info() -> &'static SharedInfo {
    let page = NonNull::from(&SHARED_INFO).cast::<ffi::shared_info>();
    // SAFETY: mapped at boot before the first use and never unmapped in a living domain; only views
    // use it.
    unsafe { SharedInfo::at(page) }
}

/// The console's page, mapped.
pub fn console_page(ring: Ring) -> &'static console::Page {
    let va = ring_page(ring, CONSOLE_SLOT);
    // SAFETY: the toolstack's page, mapped for as long as the kernel runs. A restore puts the new
    // domain's page at the same GFN. `crate::console` holds the one driver.
    unsafe { console::Page::at(NonNull::new_unchecked(va as *mut ffi::xencons_interface)) }
}

/// xenstore's page, mapped.
pub fn store_page(ring: Ring) -> &'static xenstore::Page {
    let va = ring_page(ring, STORE_SLOT);
    // SAFETY: as for the console; `crate::store` holds the one driver.
    unsafe {
        xenstore::Page::at(NonNull::new_unchecked(
            va as *mut ffi::xenstore_domain_interface,
        ))
    }
}

/// Has Xen start `cpu` at the entry code: paging off, its number in ebx (PVH); or on its own tables
/// and stack (PV).
pub fn initialise_vcpu(cpu: usize) -> core::result::Result<(), pv::vcpu::InitialiseError> {
    if is_pv() {
        return pv::vcpu::initialise(cpu);
    }
    /// Protected mode.
    const CR0_PE: u32 = 1;
    let mut context = vcpu::context_32(super::secondary_entry(), 0, CR0_PE, 0, 0, 0);
    context.cpu_regs.x86_32.ebx = cpu as u32;
    // SAFETY: the entry code is made for this state, and gives the vCPU its own stack and tables.
    unsafe { vcpu::initialise(cpu as u32, &context) }.map_err(pv::vcpu::InitialiseError::Call)
}

/// Can the domain be described for a save?
pub fn check_size() -> core::result::Result<(), m2p::TooMuchMemory> {
    if is_pv() {
        m2p::check_size()
    } else {
        Ok(())
    }
}

/// Holding one shows that the domain is as Xen's tools want to find it: shared-info unmapped, frame
/// numbers of its own in `start_info`. PV only.
#[derive(Debug)]
pub struct Away(start_info::Frames);

/// Why the domain cannot be left as Xen's tools want to find it.
#[derive(Clone, Copy, Debug)]
pub enum CannotStepAway {
    /// A frame in `start_info` is not ours.
    Frame(NotOurs),
    /// Xen refused a call.
    Xen(HypercallError),
}

/// The last step before the suspend call: nothing is left to do under PVH.
///
/// # Errors
/// If a frame in `start_info` is not the domain's, or Xen's; then nothing has changed.
pub fn step_away() -> core::result::Result<Option<Away>, CannotStepAway> {
    if !is_pv() {
        return Ok(None);
    }
    let frames = start_info::translate().map_err(CannotStepAway::Frame)?;
    unmap_shared_info().map_err(CannotStepAway::Xen)?;
    Ok(Some(Away(frames.write())))
}

impl Away {
    /// Writes `start_info` back, in the same domain; shared-info is the caller's to map. In a new
    /// domain Xen's tools have written it anew.
    pub fn write_back(self) {
        self.0.write_back();
    }
}

/// Suspends the domain; gives what the call returned.
///
/// The proof is not looked at: having to show one is its use.
pub fn suspend(_proof: &Proof) -> Result<usize> {
    let start_info = if is_pv() {
        m2p::machine(start_info::own_frame()).0
    } else {
        0
    };
    // SAFETY: called by `crate::suspend` alone, on vCPU 0, in the step in which the others are
    // parked, interrupts are off, and the clock is frozen; what is lost is set up again in
    // `reattach` before it is used.
    unsafe { sched::suspend(start_info) }
}
