//! The layer that may use `unsafe`: entry code, CPU state, traps, page-table
//! words. Everything above is checked by the compiler.

#![allow(unsafe_code)]

pub mod apic;
pub mod cpu;
pub mod memory;
pub mod start_info;
pub mod traps;
pub mod xen;

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

/// Opens a lock whose holder will never do so.
pub fn force_unlock<T>(lock: &spin::Mutex<T>) {
    // SAFETY: only the panic path calls this, once, with interrupts off; what the lock guards is a ring that its
    // holder may have left between two bytes, which at worst garbles the last line.
    unsafe { lock.force_unlock() }
}
