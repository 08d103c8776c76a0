//! The local APIC in x2APIC mode, as far as Xen's upcall needs it.
//!
//! An upcall vector is delivered through the emulated local APIC, so it must be
//! enabled and each upcall be ended. In x2APIC mode that needs no mapping. Xen
//! saves and restores the APIC's state with the domain (HVM_CONTEXT), so a
//! resume has nothing to do here.

use x86::msr::{rdmsr, wrmsr};

const IA32_APIC_BASE: u32 = 0x1b;
const APIC_BASE_ENABLE_X2APIC: u64 = 0b11 << 10;
const X2APIC_EOI: u32 = 0x80b;
const X2APIC_SPURIOUS: u32 = 0x80f;
const SPURIOUS_APIC_ENABLE: u64 = 1 << 8;

/// Turns this CPU's local APIC on.
pub fn enable() {
    // SAFETY: a PVH guest always has a local APIC, and Xen shows x2APIC to every HVM
    // guest. The registers change nothing but interrupt delivery.
    unsafe {
        wrmsr(IA32_APIC_BASE, rdmsr(IA32_APIC_BASE) | APIC_BASE_ENABLE_X2APIC);
        wrmsr(
            X2APIC_SPURIOUS,
            SPURIOUS_APIC_ENABLE | u64::from(super::traps::SPURIOUS_VECTOR),
        );
    }
}

/// Ends the interrupt that is being handled.
pub fn end_of_interrupt() {
    // SAFETY: only the upcall's handler calls it, once for each interrupt.
    unsafe { wrmsr(X2APIC_EOI, 0) };
}
