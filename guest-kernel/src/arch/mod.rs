//! The layer that may use `unsafe`: entry code, CPU state, traps, page-table
//! words. Everything above is checked by the compiler.

#![allow(unsafe_code)]

pub mod apic;
pub mod start_info;
pub mod xen_raw;
pub mod cpu;
pub mod memory;
pub mod traps;

use core::arch::global_asm;

#[cfg(target_arch = "x86_64")]
global_asm!(
    concat!(include_str!("boot_common.S"), include_str!("boot_x86_64.S")),
    options(att_syntax, raw)
);
#[cfg(target_arch = "x86")]
global_asm!(
    concat!(include_str!("boot_common.S"), include_str!("boot_i686.S")),
    options(att_syntax, raw)
);

/// The physical address at which `VCPUOP_initialise` starts a vCPU.
pub fn secondary_entry() -> u32 {
    extern "C" {
        static ap_start: u8;
    }
    (&raw const ap_start as usize - crate::paging::layout::KERNEL_BASE) as u32
}

/// Where every vCPU arrives, on its own stack, interrupts off, on the tables
/// of the entry code. vCPU 0 brings the physical address of `hvm_start_info`.
#[no_mangle]
extern "C" fn pvh_entry(vcpu: usize, start_info: usize) -> ! {
    if vcpu == 0 {
        crate::start::first(start_info as u64)
    } else {
        crate::start::secondary(vcpu)
    }
}
/// Has Xen fill the hypercall page.
pub fn install_hypercalls() -> Result<xen_bindings::cpuid::Leaves, xen_bindings::pvh::InstallError> {
    let page = xen_bindings::hypercall::hypercall_page() as usize - crate::paging::layout::KERNEL_BASE;
    // SAFETY: the page is the one that `xen-bindings` calls into, at its physical address; ring 0 of a PVH guest.
    unsafe { xen_bindings::pvh::install_hypercall_page(page as u64) }
}
