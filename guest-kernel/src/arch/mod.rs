//! The layer that may use `unsafe`: entry code, CPU state, traps, page-table
//! words. Everything above is checked by the compiler.

#![allow(unsafe_code)]

pub mod apic;
pub mod balloon;
pub mod changes;
pub mod cpu;
pub mod memory;
pub mod pv;
pub mod start_info;
pub mod tables;
pub mod traps;
pub mod vectors;
pub mod xen;

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, Ordering};

#[cfg(target_arch = "x86_64")]
global_asm!(
    concat!(
        include_str!("boot_common.S"),
        include_str!("boot_x86_64.S"),
        include_str!("boot_stubs.S"),
        include_str!("boot_pv_x86_64.S")
    ),
    options(att_syntax, raw)
);
#[cfg(target_arch = "x86")]
global_asm!(
    concat!(
        include_str!("boot_common.S"),
        include_str!("boot_i686.S"),
        include_str!("boot_stubs.S"),
        include_str!("boot_pv_i686.S")
    ),
    options(att_syntax, raw)
);

/// Set by the PV entry, before anything else; the trap stubs read it too.
#[no_mangle]
static IS_PV: AtomicBool = AtomicBool::new(false);

/// Does the guest run as classic PV? If not, it is PVH.
pub fn is_pv() -> bool {
    IS_PV.load(Ordering::Relaxed)
}

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

/// Where every vCPU arrives under PV: on its own stack, events masked, on the tables of the domain
/// builder (vCPU 0) or on its own. vCPU 0 brings the address of `start_info` and the end of the
/// boot stack, the last of what the builder put behind the kernel.
#[no_mangle]
extern "C" fn pv_entry(vcpu: usize, start_info: usize, boot_stack: usize) -> ! {
    if vcpu == 0 {
        IS_PV.store(true, Ordering::Relaxed);
        pv::start_info::arrive(start_info, boot_stack);
        crate::start::first(start_info as u64)
    } else {
        crate::start::secondary(vcpu)
    }
}

/// Makes exceptions heard. First of all, on vCPU 0.
pub fn set_up_traps() {
    if is_pv() {
        // Until shared-info is mapped its place holds zeroes: events on. They are not.
        xen::mask_events_in_place();
        if let Err(error) = pv::vcpu::set_up_first() {
            panic!("the table of traps: {error}");
        }
    } else {
        traps::build_table();
    }
}

/// Reads what the domain builder left; `at` is the physical address of `hvm_start_info` (PVH).
pub fn read_start_info(at: u64) -> Result<start_info::BootInfo, start_info::BadStartInfo> {
    if is_pv() {
        pv::start_info::read()
    } else {
        start_info::read(at)
    }
}

/// Makes vCPU 0, whose tables are built, stand on them, and able to take interrupts.
pub fn enter() {
    if is_pv() {
        if let Err(error) = pv::vcpu::load_first_gdt() {
            panic!("the descriptor table: {error}");
        }
        return;
    }
    tables::enter_kernel_tables();
    apic::enable();
}

/// The same for another vCPU. A PV one was started with all of it.
pub fn enter_secondary() {
    if !is_pv() {
        tables::enter_kernel_tables();
        apic::enable();
    }
}

/// Is what Xen keeps for this vCPU its own? Another's descriptor table would show here.
pub fn descriptors_are_mine() -> bool {
    !is_pv() || pv::vcpu::gdt_owner() == Some(cpu::id())
}

/// Opens a lock whose holder will never do so.
pub fn force_unlock<T>(lock: &spin::Mutex<T>) {
    // SAFETY: only the panic path calls this, once, with interrupts off; what the lock guards is a
    // ring that its holder may have left between two bytes, which at worst garbles the last line.
    unsafe { lock.force_unlock() }
}
