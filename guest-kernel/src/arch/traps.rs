//! The way in and out of exceptions and interrupts. What is done about each is in
//! [`super::vectors`].

use core::cell::UnsafeCell;

use spin::Once;
use x86::msr::{rdmsr, wrmsr};

use super::mode::is_pv;
use super::vectors::{self, Rule, EXCEPTIONS, FAILSAFE};
use super::{apic, cpu, direct, strays};
use crate::cmdline;

/// What the layers above do when something comes for them.
pub struct Handlers {
    /// Handles the events that are pending for the vCPU of this number, the running one.
    pub upcall: fn(usize),
    /// What a test build does in the handler of an NMI.
    #[cfg(feature = "switches")]
    pub nmi: fn(&cpu::InNmi),
}

static HANDLERS: Once<Handlers> = Once::new();

/// Says who handles what, before the first can come. Once, on vCPU 0.
pub(super) fn set_handlers(handlers: Handlers) {
    HANDLERS.call_once(|| handlers);
}

/// What the stubs leave on the stack.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)]
pub struct TrapFrame {
    #[cfg(target_arch = "x86_64")]
    pub high: [usize; 8], // r15 .. r8
    pub bp: usize,
    pub di: usize,
    pub si: usize,
    pub dx: usize,
    pub cx: usize,
    pub bx: usize,
    pub ax: usize,
    pub vector: usize,
    pub error: usize,
    pub ip: usize,
    pub cs: usize,
    pub flags: usize,
    // x86_64 always pushes these; i686 only on a change of ring, and there is none.
    #[cfg(target_arch = "x86_64")]
    pub sp: usize,
    #[cfg(target_arch = "x86_64")]
    pub ss: usize,
}

/// One gate of the interrupt descriptor table.
/// Intel SDM volume 3, 6.11 (32-bit) and 6.14.1 (64-bit).
#[repr(C)]
#[derive(Clone, Copy)]
struct Gate {
    low: u32,
    high: u32,
    #[cfg(target_arch = "x86_64")]
    upper: u32,
    #[cfg(target_arch = "x86_64")]
    reserved: u32,
}

impl Gate {
    const EMPTY: Gate = Gate {
        low: 0,
        high: 0,
        #[cfg(target_arch = "x86_64")]
        upper: 0,
        #[cfg(target_arch = "x86_64")]
        reserved: 0,
    };

    /// An interrupt gate: entering it turns interrupts off.
    fn interrupt(handler: usize) -> Gate {
        #[cfg(target_arch = "x86_64")]
        const CODE: u32 = 0x18;
        #[cfg(target_arch = "x86")]
        const CODE: u32 = 0x08;
        const PRESENT_INTERRUPT: u32 = 0x8e00;
        Gate {
            low: CODE << 16 | (handler as u32 & 0xffff),
            high: (handler as u32 & 0xffff_0000) | PRESENT_INTERRUPT,
            #[cfg(target_arch = "x86_64")]
            upper: (handler >> 32) as u32,
            #[cfg(target_arch = "x86_64")]
            reserved: 0,
        }
    }
}

/// Gates of the table: one for each vector there is.
const VECTORS: usize = 256;

#[repr(C, align(16))]
struct Idt(UnsafeCell<[Gate; VECTORS]>);
// SAFETY: written once by vCPU 0 before any other vCPU runs, then only read by the CPUs.
unsafe impl Sync for Idt {}
/// The entry code loads it, as soon as a vCPU has its stack.
#[export_name = "idt"]
static IDT: Idt = Idt(UnsafeCell::new([Gate::EMPTY; VECTORS]));

extern "C" {
    static trap_stubs: u8;
    static pv_trap_stubs: u8;
    static pv_event_callback: u8;
    static pv_failsafe_callback: u8;
    static pv_ap_start: u8;
    static idle_halt: u8;
    static idle_awake: u8;
    static load_or_ones: u8;
    static load_gave_ones: u8;
}

/// The handler of exception `vector` under PV.
pub(super) fn pv_stub(vector: usize) -> usize {
    assert!(vector < EXCEPTIONS);
    &raw const pv_trap_stubs as usize + vector * STUB_BYTES
}

/// The handler of Xen's events under PV.
pub(super) fn event_callback() -> usize {
    &raw const pv_event_callback as usize
}

/// Where Xen goes when it cannot return to the guest as it was, under PV.
pub(super) fn failsafe_callback() -> usize {
    &raw const pv_failsafe_callback as usize
}

/// Where a vCPU other than the first starts under PV.
pub(super) fn pv_secondary_entry() -> usize {
    &raw const pv_ap_start as usize
}

/// Distance of two exception stubs in the entry code.
const STUB_BYTES: usize = 16;

/// Fills the table.
///
/// Every vector has a gate: without one, an interrupt that nobody here asked for would be a general
/// protection fault.
///
/// No gate has a stack of its own. Those are for kernels whose stack pointer may be anybody's,
/// right after a system call or in user mode; this one never leaves its ring, and from the entry
/// code on each vCPU is on its own stack. They would do harm: an NMI inside an NMI's handler would
/// begin at the same place again and destroy the first one's frame.
///
/// # Safety
/// No other vCPU runs, and this is the only call.
pub(super) unsafe fn build_table() {
    // SAFETY: nobody else writes the table, says the caller; a trap that comes before this is lost
    // either way.
    let idt = unsafe { &mut *IDT.0.get() };
    let first = &raw const trap_stubs as usize;
    for (vector, gate) in idt.iter_mut().enumerate() {
        *gate = Gate::interrupt(first + vector * STUB_BYTES);
    }
}

#[no_mangle]
extern "C" fn trap_entry(frame: &mut TrapFrame) {
    let vector = frame.vector as u8;
    match vectors::rule(vector) {
        Rule::Upcall => {
            // SAFETY: the handler of an upcall, which comes through the APIC if that is on.
            unsafe { apic::end_of_interrupt() };
            awake(frame);
            if let Some(handlers) = HANDLERS.get() {
                (handlers.upcall)(cpu::id());
            }
        }
        Rule::Nmi if !cmdline::options().switches.nmi_is_lost() => nmi(),
        Rule::MachineCheck if goes_on(frame) => {}
        Rule::PageFault if is_pv() && forgiven(frame) => {}
        Rule::DebugException => set_aside(frame),
        Rule::Stray if !(is_pv() && vector == FAILSAFE) => {
            apic::end_if_in_service(vector);
            strays::interrupt(vector, frame.ip, frame.flags);
        }
        _ => lost(vector, frame),
    }
}

/// Has a vCPU that was about to halt not do so: what it would wait for has just come.
///
/// No interrupt comes between `sti` and the instruction behind it (Intel SDM volume 2, STI). But an
/// emulated processor may lose that over a world switch: QEMU's TCG notes the interrupt shadow at a
/// \#VMEXIT and does not look at it at the next VMRUN. One wake-up in some hundreds was lost so, and
/// a vCPU without a tick never woke again.
fn awake(frame: &mut TrapFrame) {
    if frame.ip == &raw const idle_halt as usize {
        frame.ip = &raw const idle_awake as usize;
    }
}

/// Bears an NMI. It may come at any instruction, inside any lock: nothing here takes one, looks at
/// the clock, or makes a hypercall.
///
/// On its way in the processor (PVH) or Xen (PV) holds back the next one until an `iret`. That is
/// not counted on: a restored domain does not know that it was in a handler. Everything here may be
/// interrupted by itself.
fn nmi() {
    strays::nmi();
    #[cfg(feature = "switches")]
    if let Some(handlers) = HANDLERS.get() {
        (handlers.nmi)(&cpu::InNmi::new());
    }
}

/// Can the vCPU go on after this machine check? Xen gives one to a guest if memory of its own went
/// bad (`vmce.c`).
fn goes_on(frame: &TrapFrame) -> bool {
    // Intel SDM volume 3, 16.3.1.2: the frame's instruction can be gone back to; a check is in
    // progress. The second is ours to clear: the next check while it is set would shut the
    // processor down.
    const IA32_MCG_STATUS: u32 = 0x17a;
    const RESTARTABLE: u64 = 1 << 0;
    const IN_PROGRESS: u64 = 1 << 2;
    // SAFETY: Xen has this register for every guest (`vmce_rdmsr`, `vmce_wrmsr`); it changes
    // nothing else.
    let status = unsafe { rdmsr(IA32_MCG_STATUS) };
    if status & IN_PROGRESS != 0 {
        // SAFETY: as above.
        unsafe { wrmsr(IA32_MCG_STATUS, 0) };
    }
    strays::machine_check(frame.ip, status);
    // Without a check in progress somebody has only used the vector.
    status & IN_PROGRESS == 0 || status & RESTARTABLE != 0
}

fn fault_address() -> usize {
    if is_pv() {
        return cpu::fault_address();
    }
    // SAFETY: reads a register.
    unsafe { x86::controlregs::cr2() }
}

/// Page faults after which a PV guest goes on: the read that may fail, and a write that was refused
/// by a translation that the TLB had kept since the page was a table. The fault itself drops that
/// (Intel SDM volume 3, 4.10.2.1).
fn forgiven(frame: &mut TrapFrame) -> bool {
    const PRESENT_AND_WRITE: usize = 0b11;
    if frame.ip == &raw const load_or_ones as usize {
        frame.ip = &raw const load_gave_ones as usize;
        return true;
    }
    frame.error & PRESENT_AND_WRITE == PRESENT_AND_WRITE && direct::is_writable(fault_address())
}

/// Goes on after a debug exception: nothing was done wrong, and nothing is lost. Each brings the
/// guest an instruction further.
fn set_aside(frame: &mut TrapFrame) {
    // Intel SDM volume 1, 3.4.3: single step; and volume 3, 18.3.1.1: a breakpoint on the
    // instruction gone back to is passed over.
    const TRAP: usize = 1 << 8;
    const RESUME: usize = 1 << 16;
    strays::debug(frame.ip, frame.flags);
    frame.flags = frame.flags & !TRAP | RESUME;
}

/// Goes through the gate of a machine check, of which the processor then knows nothing. PVH only:
/// Xen lets no PV guest do so.
#[cfg(feature = "switches")]
pub fn machine_check_once() {
    if !is_pv() {
        // SAFETY: the handler returns to the next instruction with all registers as they were.
        // There is no red zone.
        unsafe { core::arch::asm!("int 18") };
    }
}

/// Has the CPU trap after the next instruction, once, as if somebody else had asked for it.
#[cfg(feature = "switches")]
pub fn step_once() {
    // SAFETY: sets the trap flag, which the handler takes back; the stack pointer ends where it
    // began. There is no red zone.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        core::arch::asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop");
        #[cfg(target_arch = "x86")]
        core::arch::asm!("pushfd", "or dword ptr [esp], 0x100", "popfd", "nop");
    }
}

fn lost(vector: u8, frame: &TrapFrame) -> ! {
    let name = match vector {
        FAILSAFE => "Xen's failsafe callback",
        _ => vectors::name(vector),
    };
    let address = fault_address();
    panic!(
        "exception {vector} ({name}) on vCPU {}, error {:#x}, at {:#x}, flags {:#x}, address {address:#x}",
        cpu::id(),
        frame.error,
        frame.ip,
        frame.flags,
    );
}
