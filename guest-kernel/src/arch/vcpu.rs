//! The first registers of a vCPU, and what Xen keeps for it.

use xen_bindings::vcpu;

use super::mode::is_pv;
use super::pv;
use super::{areas, cpu, vcpu_info};
use crate::memory::layout::KERNEL_BASE;

pub use super::pv::vcpu::InitialiseError;

/// The physical address at which `VCPUOP_initialise` starts a vCPU.
fn secondary_entry() -> u32 {
    extern "C" {
        static ap_start: u8;
    }
    (&raw const ap_start as usize - KERNEL_BASE) as u32
}

/// Has Xen start `cpu` at the entry code: paging off, its number in ebx and the physical address at
/// which its stack begins in esi (PVH); or on its own tables and stack (PV).
pub fn initialise(cpu: usize) -> core::result::Result<(), InitialiseError> {
    areas::make_ready(cpu);
    vcpu_info::register(cpu).map_err(InitialiseError::Call)?;
    if is_pv() {
        return pv::vcpu::initialise(cpu);
    }
    /// Protected mode.
    const CR0_PE: u32 = 1;
    let mut context = vcpu::context_32(secondary_entry(), 0, CR0_PE, 0, 0, 0);
    context.cpu_regs.x86_32.ebx = cpu as u32;
    // The near map has it, as the entry code's tables do.
    context.cpu_regs.x86_32.esi = (areas::stack_start(cpu) - KERNEL_BASE) as u32;
    // SAFETY: the entry code is made for this state, and gives the vCPU its own stack and tables.
    unsafe { vcpu::initialise(cpu as u32, &context) }.map_err(InitialiseError::Call)
}

/// Is what Xen keeps for this vCPU its own? Another's descriptor table would show here.
pub fn descriptors_are_mine() -> bool {
    !is_pv() || pv::vcpu::gdt_owner() == Some(cpu::id())
}
