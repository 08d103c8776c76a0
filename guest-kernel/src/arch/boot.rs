//! From the entry code into Rust, and what each vCPU stands on then.

use core::arch::global_asm;

use super::mode::{is_pv, set_pv};
use super::{apic, pv, shared_info, start_info, tables, traps};

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

// SAFETY: `entry_points` defines both, with these types.
unsafe extern "Rust" {
    safe fn kernel_first(start_info: u64) -> !;
    safe fn kernel_secondary(vcpu: usize) -> !;
}

/// Says where vCPU 0 and the others go on in the layers above: the arrow from there to here is the
/// linker's.
macro_rules! entry_points {
    (first: $first:path, secondary: $secondary:path) => {
        const _: () = {
            // The linker compares names alone, and the compiler the types.
            #[allow(unsafe_code)]
            #[no_mangle]
            fn kernel_first(start_info: u64) -> ! {
                $first(start_info)
            }
            #[allow(unsafe_code)]
            #[no_mangle]
            fn kernel_secondary(vcpu: usize) -> ! {
                $secondary(vcpu)
            }
        };
    };
}
pub(crate) use entry_points;

/// Where every vCPU arrives, on its own stack, interrupts off, on the tables
/// of the entry code. vCPU 0 brings the physical address of `hvm_start_info`.
#[no_mangle]
extern "C" fn pvh_entry(vcpu: usize, start_info: usize) -> ! {
    if vcpu == 0 {
        kernel_first(start_info as u64)
    } else {
        kernel_secondary(vcpu)
    }
}

/// Where every vCPU arrives under PV: on its own stack, events masked, on the tables of the domain
/// builder (vCPU 0) or on its own. vCPU 0 brings the address of `start_info` and the end of the
/// boot stack, the last of what the builder put behind the kernel.
#[no_mangle]
extern "C" fn pv_entry(vcpu: usize, start_info: usize, boot_stack: usize) -> ! {
    if vcpu == 0 {
        set_pv();
        pv::start_info::arrive(start_info, boot_stack);
        kernel_first(start_info as u64)
    } else {
        kernel_secondary(vcpu)
    }
}

/// Makes exceptions heard, and events by `handlers`. First of all, on vCPU 0.
pub fn set_up_traps(handlers: traps::Handlers) {
    traps::set_handlers(handlers);
    if is_pv() {
        // Until shared-info is mapped its place holds zeroes: events on. They are not.
        shared_info::mask_events();
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
