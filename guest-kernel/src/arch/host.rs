//! What is asked of Xen before anything else can be, and the last way to say something.

use xen_bindings::cpuid::{Instruction, Leaves};
use xen_bindings::{console_io, ffi, pvh};

use super::mode::is_pv;
use super::pv::m2p;
use crate::memory::layout::KERNEL_BASE;

pub use super::pv::m2p::NoTable;

/// Asks Xen what a PV guest must know of the host: where its machine-to-physical table is. At boot,
/// and in every new domain.
///
/// # Errors
/// Without that no page table can be read.
pub fn learn() -> core::result::Result<(), NoTable> {
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
    let page = xen_bindings::hypercall::hypercall_page() as usize - KERNEL_BASE;
    // SAFETY: the page is the one that `xen-bindings` calls into, at its physical address; ring 0
    // of a PVH guest.
    unsafe { pvh::install_hypercall_page(page as u64) }
}
