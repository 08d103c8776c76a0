//! The local APIC in x2APIC mode, as far as Xen's upcall needs it.
//!
//! An upcall vector is delivered through the emulated local APIC, so it must be
//! enabled and each upcall be ended. In x2APIC mode that needs no mapping. Xen
//! saves and restores the APIC's state with the domain (HVM_CONTEXT), so a
//! resume has nothing to do here.
//!
//! A toolstack can hide x2APIC (`cpuid = "host,x2apic=0"`). Then no APIC is used: Xen calls back
//! with a vector that goes past it ([`crate::xen::latch_word_size`]).

use core::sync::atomic::{AtomicBool, Ordering};

use x86::msr::{rdmsr, wrmsr};
use xen_bindings::cpuid::{cpuid, Instruction};
use xen_bindings::vcpu;

use super::{cpu, vectors};

const IA32_APIC_BASE: u32 = 0x1b;
const APIC_BASE_ENABLE_X2APIC: u64 = 0b11 << 10;
const X2APIC_ID: u32 = 0x802;
const X2APIC_EOI: u32 = 0x80b;
const X2APIC_SPURIOUS: u32 = 0x80f;
/// The first of eight registers of 32 vectors each: what is in service.
const X2APIC_ISR: u32 = 0x810;
const X2APIC_ICR: u32 = 0x830;
const SPURIOUS_APIC_ENABLE: u64 = 1 << 8;

/// The APIC is in x2APIC mode on every vCPU.
static ON: AtomicBool = AtomicBool::new(false);
/// Each vCPU so far has the number in its APIC that Xen gives it: twice its own (`set_x2apic_id`,
/// `xen/arch/x86/hvm/vlapic.c`).
static USUAL_IDS: AtomicBool = AtomicBool::new(true);

/// Is the APIC used?
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Turns this CPU's local APIC on, if it has x2APIC.
pub(super) fn enable() {
    const FEATURES: u32 = 1;
    const X2APIC: u32 = 1 << 21;
    if cpuid(Instruction::Plain, FEATURES, 0).ecx & X2APIC == 0 {
        return;
    }
    // SAFETY: CPUID says that the mode is there. The registers change nothing but interrupt
    // delivery.
    let id = unsafe {
        wrmsr(
            IA32_APIC_BASE,
            rdmsr(IA32_APIC_BASE) | APIC_BASE_ENABLE_X2APIC,
        );
        wrmsr(
            X2APIC_SPURIOUS,
            SPURIOUS_APIC_ENABLE | u64::from(vectors::SPURIOUS),
        );
        rdmsr(X2APIC_ID)
    };
    if id != usual_id(cpu::id()) {
        USUAL_IDS.store(false, Ordering::Relaxed);
    }
    ON.store(true, Ordering::Relaxed);
}

fn usual_id(cpu: usize) -> u64 {
    2 * cpu as u64
}

/// Ends the interrupt that is being handled.
///
/// # Safety
/// It is called by the handler of an interrupt that came through the APIC, once.
pub(super) unsafe fn end_of_interrupt() {
    if is_on() {
        // SAFETY: the register is there in x2APIC mode, and one interrupt is in service.
        unsafe { wrmsr(X2APIC_EOI, 0) };
    }
}

/// Ends an interrupt that may have come through the APIC, or past it. One that is never ended keeps
/// all of lower priority away.
pub(super) fn end_if_in_service(vector: u8) {
    if !is_on() {
        return;
    }
    let (register, bit) = (X2APIC_ISR + u32::from(vector / 32), vector % 32);
    // SAFETY: reads a register that x2APIC mode has.
    if unsafe { rdmsr(register) } >> bit & 1 != 0 {
        // SAFETY: it came through the APIC, which has it in service.
        unsafe { end_of_interrupt() };
    }
}

/// Resets vCPU `cpu` by an INIT, if Xen says that it is down; gives whether that was possible. What is pending
/// for it is gone then, and it wants to be initialised again (`vlapic_init_sipi_one`,
/// `vcpu_reset`). Xen has done so when the next instruction is executed.
pub fn reset(cpu: usize) -> bool {
    const INIT: u64 = 0b101 << 8;
    const ASSERT: u64 = 1 << 14;
    let is_down = || vcpu::is_up(cpu as u32) == Ok(false);
    let possible = is_on() && USUAL_IDS.load(Ordering::Relaxed) && is_down();
    if possible {
        // SAFETY: the vCPU is down and runs no code of ours, so nothing of it is lost.
        unsafe { wrmsr(X2APIC_ICR, usual_id(cpu) << 32 | ASSERT | INIT) };
    }
    possible
}

/// Sends the running CPU an interrupt, as if somebody else had.
#[cfg(feature = "switches")]
pub fn interrupt_self(vector: u8) {
    const X2APIC_SELF_IPI: u32 = 0x83f;
    if is_on() {
        // SAFETY: every vector has a gate.
        unsafe { wrmsr(X2APIC_SELF_IPI, vector.into()) };
    }
}
