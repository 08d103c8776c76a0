//! The table of vectors: what comes on which, and what the guest does about it.
//! `docs/exceptions.md` is the same table for people, with the reasons.
//!
//! Whatever another party can send (the toolstack, Xen, the host) is borne, counted and told. What
//! is left is the kernel's own fault, or cannot be told from it, and ends in a panic.

/// Exceptions of the architecture: vectors 0 to 31.
pub const EXCEPTIONS: usize = 32;

/// Vector of the event upcall, the same on every vCPU.
pub const UPCALL: u8 = 0xf3;
/// Vector of the local APIC's spurious interrupt.
pub const SPURIOUS: u8 = 0xff;
/// Vector of a non-maskable interrupt.
pub const NMI: u8 = 2;
/// Vector of a machine check.
pub const MACHINE_CHECK: u8 = 18;

/// What the stub of Xen's failsafe callback (PV) puts in the vector's place: a segment could not be
/// loaded on the way back. As an interrupt (PVH) the number means nothing special.
pub const FAILSAFE: u8 = 0xfe;

/// What the guest does about a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Handles the events that are pending.
    Upcall,
    /// Goes on. Counted, and told at a growing interval.
    Nmi,
    /// Goes on if the processor says that it can; else the kernel is lost. Counted and told.
    MachineCheck,
    /// Takes the trap flag back and goes on. Counted and told.
    DebugException,
    /// Goes on after the two faults that PV has by nature; else the kernel is lost.
    PageFault,
    /// The kernel is lost: a panic that says where.
    Lost,
    /// Ends it at the local APIC, if it came from there, and goes on. Counted and told.
    Stray,
}

use Rule::{DebugException, Lost, MachineCheck, Nmi, PageFault, Stray, Upcall};

/// Name and rule of each exception. Intel SDM volume 3, table 6-1; AMD APM volume 2, table 8-1.
const TABLE: [(&str, Rule); EXCEPTIONS] = [
    ("divide error", Lost),
    ("debug", DebugException),
    ("NMI", Nmi),
    ("breakpoint", Lost),
    ("overflow", Lost),
    ("bound range", Lost),
    ("invalid opcode", Lost),
    ("device not available", Lost),
    ("double fault", Lost),
    ("coprocessor segment overrun", Stray),
    ("invalid TSS", Lost),
    ("segment not present", Lost),
    ("stack fault", Lost),
    ("general protection", Lost),
    ("page fault", PageFault),
    ("reserved", Stray),
    ("x87 floating point", Lost),
    ("alignment check", Lost),
    ("machine check", MachineCheck),
    ("SIMD floating point", Lost),
    ("virtualization", Lost),
    ("control protection", Lost),
    ("reserved", Stray),
    ("reserved", Stray),
    ("reserved", Stray),
    ("reserved", Stray),
    ("reserved", Stray),
    ("reserved", Stray),
    ("hypervisor injection", Lost),
    ("VMM communication", Lost),
    ("security", Lost),
    ("reserved", Stray),
];

/// What the guest does about `vector`, which the CPU (PVH) or Xen (PV) has taken.
pub fn rule(vector: u8) -> Rule {
    match vector {
        UPCALL => Upcall,
        _ => TABLE
            .get(usize::from(vector))
            .map_or(Stray, |&(_, rule)| rule),
    }
}

/// Its name.
pub fn name(vector: u8) -> &'static str {
    match vector {
        UPCALL => "event upcall",
        SPURIOUS => "spurious",
        _ => TABLE
            .get(usize::from(vector))
            .map_or("interrupt", |&(name, _)| name),
    }
}
