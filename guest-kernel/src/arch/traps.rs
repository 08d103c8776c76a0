//! Exceptions and the one interrupt there is: Xen's event upcall.

use core::cell::UnsafeCell;
use core::mem::size_of;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::{cpu, is_pv, tables};

/// Vector of the event upcall, the same on every vCPU.
pub const UPCALL_VECTOR: u8 = 0xf3;
/// Vector of the local APIC's spurious interrupt.
pub const SPURIOUS_VECTOR: u8 = 0xff;

/// What the stub of Xen's failsafe callback puts in the vector's place: a segment could not be loaded on the way back.
const FAILSAFE: u8 = 0xfe;
/// Exceptions of the architecture.
pub const EXCEPTIONS: usize = 32;
const DEBUG: u8 = 1;
const PAGE_FAULT: u8 = 14;

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

#[repr(C, align(16))]
struct Idt(UnsafeCell<[Gate; 256]>);
// SAFETY: written once by vCPU 0 before any other vCPU runs, then only read by the CPUs.
unsafe impl Sync for Idt {}
static IDT: Idt = Idt(UnsafeCell::new([Gate::EMPTY; 256]));

#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    base: usize,
}

extern "C" {
    static trap_stubs: u8;
    static upcall_stub: u8;
    static spurious_stub: u8;
    static pv_trap_stubs: u8;
    static pv_event_callback: u8;
    static pv_failsafe_callback: u8;
    static pv_ap_start: u8;
    static load_or_ones: u8;
    static load_gave_ones: u8;
}

/// The handler of exception `vector` under PV.
pub fn pv_stub(vector: usize) -> usize {
    assert!(vector < EXCEPTIONS);
    &raw const pv_trap_stubs as usize + vector * STUB_BYTES
}

/// The handler of Xen's events under PV.
pub fn event_callback() -> usize {
    &raw const pv_event_callback as usize
}

/// Where Xen goes when it cannot return to the guest as it was, under PV.
pub fn failsafe_callback() -> usize {
    &raw const pv_failsafe_callback as usize
}

/// Where a vCPU other than the first starts under PV.
pub fn pv_secondary_entry() -> usize {
    &raw const pv_ap_start as usize
}

/// Distance of two exception stubs in the entry code.
const STUB_BYTES: usize = 16;

/// Fills the table. Once, on vCPU 0, before any other runs.
pub fn build_table() {
    // SAFETY: only vCPU 0 runs (see the callers' contract) and no trap is
    // taken from this table before `load_table`.
    let idt = unsafe { &mut *IDT.0.get() };
    let first = &raw const trap_stubs as usize;
    for (vector, gate) in idt.iter_mut().take(EXCEPTIONS).enumerate() {
        *gate = Gate::interrupt(first + vector * STUB_BYTES);
    }
    idt[usize::from(UPCALL_VECTOR)] = Gate::interrupt(&raw const upcall_stub as usize);
    idt[usize::from(SPURIOUS_VECTOR)] = Gate::interrupt(&raw const spurious_stub as usize);
}

/// Makes this CPU use the table.
pub fn load_table() {
    let pointer = TablePointer {
        limit: (size_of::<Gate>() * 256 - 1) as u16,
        base: IDT.0.get() as usize,
    };
    // SAFETY: the table is filled and lives as long as the kernel.
    unsafe { core::arch::asm!("lidt [{}]", in(reg) &pointer, options(readonly, nostack)) };
}

#[no_mangle]
extern "C" fn trap_entry(frame: &mut TrapFrame) {
    match frame.vector as u8 {
        UPCALL_VECTOR => {
            if !is_pv() {
                super::apic::end_of_interrupt();
            }
            crate::events::upcall(cpu::id());
        }
        SPURIOUS_VECTOR => {}
        PAGE_FAULT if is_pv() && forgiven(frame) => {}
        DEBUG if set_aside(frame) => {}
        vector => exception(vector, frame),
    }
}

fn fault_address() -> usize {
    if is_pv() {
        return cpu::fault_address();
    }
    // SAFETY: reads a register.
    unsafe { x86::controlregs::cr2() }
}

/// Page faults after which a PV guest goes on: the read that may fail, and a write that was refused by a translation that the
/// TLB had kept since the page was a table. The fault itself drops that (Intel SDM volume 3, 4.10.2.1).
fn forgiven(frame: &mut TrapFrame) -> bool {
    const PRESENT_AND_WRITE: usize = 0b11;
    if frame.ip == &raw const load_or_ones as usize {
        frame.ip = &raw const load_gave_ones as usize;
        return true;
    }
    frame.error & PRESENT_AND_WRITE == PRESENT_AND_WRITE && tables::is_writable(fault_address())
}

/// A debug exception that came though this kernel sets neither breakpoints nor the trap flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrayDebug {
    /// How many there were so far.
    pub count: u32,
    /// The instruction after which the last one came.
    pub ip: usize,
    /// The flags then.
    pub flags: usize,
}

/// Beyond so many the guest does nothing but take them.
const STRAY_LIMIT: u32 = 1000;
static STRAYS: AtomicU32 = AtomicU32::new(0);
static STRAY_IP: AtomicUsize = AtomicUsize::new(0);
static STRAY_FLAGS: AtomicUsize = AtomicUsize::new(0);

/// Goes on after a debug exception: nothing was done wrong, and nothing is lost. It is told later ([`stray_debug`]), for whoever
/// was interrupted may hold the console.
///
/// One was seen, on a 32-bit PV guest that had just been restored; where it came from is not known.
fn set_aside(frame: &mut TrapFrame) -> bool {
    // Intel SDM volume 1, 3.4.3: single step; and volume 3, 18.3.1.1: a breakpoint on the instruction gone back to is passed over.
    const TRAP: usize = 1 << 8;
    const RESUME: usize = 1 << 16;
    STRAY_IP.store(frame.ip, Ordering::Relaxed);
    STRAY_FLAGS.store(frame.flags, Ordering::Relaxed);
    frame.flags = frame.flags & !TRAP | RESUME;
    STRAYS.fetch_add(1, Ordering::Release) < STRAY_LIMIT
}

/// The last debug exception that nobody asked for, if there was one since `told` of them were.
pub fn stray_debug(told: u32) -> Option<StrayDebug> {
    let count = STRAYS.load(Ordering::Acquire);
    (count != told).then(|| StrayDebug {
        count,
        ip: STRAY_IP.load(Ordering::Relaxed),
        flags: STRAY_FLAGS.load(Ordering::Relaxed),
    })
}

/// Has the CPU trap after the next instruction, once, as if somebody else had asked for it.
#[cfg(feature = "switches")]
pub fn step_once() {
    // SAFETY: sets the trap flag, which the handler takes back; the stack pointer ends where it began. There is no red zone.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        core::arch::asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop");
        #[cfg(target_arch = "x86")]
        core::arch::asm!("pushfd", "or dword ptr [esp], 0x100", "popfd", "nop");
    }
}

fn exception(vector: u8, frame: &TrapFrame) -> ! {
    let address = fault_address();
    panic!(
        "exception {vector} ({}) on vCPU {}, error {:#x}, at {:#x}, flags {:#x}, address {address:#x}",
        name(vector),
        cpu::id(),
        frame.error,
        frame.ip,
        frame.flags,
    );
}

fn name(vector: u8) -> &'static str {
    match vector {
        0 => "divide error",
        DEBUG => "debug",
        3 => "breakpoint",
        6 => "invalid opcode",
        8 => "double fault",
        13 => "general protection",
        PAGE_FAULT => "page fault",
        FAILSAFE => "Xen's failsafe callback",
        _ => "see the SDM, 6.15",
    }
}
