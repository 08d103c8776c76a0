//! What came though nobody here asked for it, counted by the handlers. Whoever was interrupted may
//! hold the console, so it is told elsewhere, later.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU8, AtomicUsize, Ordering};

use super::cpu::{self, MAX_CPUS};
use super::vectors;

/// One kind of thing that comes unasked.
pub struct Kind {
    count: AtomicU32,
    cpu: AtomicUsize,
    ip: AtomicUsize,
    flags: AtomicUsize,
    vector: AtomicU8,
}

/// The last of a kind. If two came at once, of both a part.
pub struct Last {
    /// How many there were.
    pub count: u64,
    /// On which vCPU it came.
    pub cpu: usize,
    /// Where that was.
    pub ip: usize,
    /// The flags register, or the status of a machine check.
    pub flags: usize,
    /// On which vector.
    pub vector: u8,
}

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "on vCPU {} at {:#x}; {} so far",
            self.cpu, self.ip, self.count
        )
    }
}

impl Kind {
    const fn new() -> Self {
        Kind {
            count: AtomicU32::new(0),
            cpu: AtomicUsize::new(0),
            ip: AtomicUsize::new(0),
            flags: AtomicUsize::new(0),
            vector: AtomicU8::new(0),
        }
    }

    fn note(&self, vector: u8, ip: usize, flags: usize) {
        self.cpu.store(cpu::id(), Ordering::Relaxed);
        self.vector.store(vector, Ordering::Relaxed);
        self.ip.store(ip, Ordering::Relaxed);
        self.flags.store(flags, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Release);
    }

    /// How many there were so far, and the last.
    pub fn last(&self) -> Last {
        Last {
            count: self.count.load(Ordering::Acquire).into(),
            cpu: self.cpu.load(Ordering::Relaxed),
            ip: self.ip.load(Ordering::Relaxed),
            flags: self.flags.load(Ordering::Relaxed),
            vector: self.vector.load(Ordering::Relaxed),
        }
    }
}

/// Debug exceptions.
pub static DEBUGS: Kind = Kind::new();
/// Interrupts on vectors that nothing here uses.
pub static INTERRUPTS: Kind = Kind::new();
/// Machine checks after which the vCPU could go on.
pub static MACHINE_CHECKS: Kind = Kind::new();
/// NMIs are worth a count for each vCPU.
static NMIS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

/// A debug exception: this kernel sets neither breakpoints nor the trap flag.
///
/// One was seen on a 32-bit PV guest that had just been restored; where it came from is not known.
pub(super) fn debug(ip: usize, flags: usize) {
    DEBUGS.note(1, ip, flags);
}

/// An interrupt on a vector that nothing here uses.
pub(super) fn interrupt(vector: u8, ip: usize, flags: usize) {
    INTERRUPTS.note(vector, ip, flags);
}

/// A machine check after which this vCPU can go on.
pub(super) fn machine_check(ip: usize, status: u64) {
    // The architecture defines a few low bits of the status.
    MACHINE_CHECKS.note(vectors::MACHINE_CHECK, ip, status as usize);
}

/// An NMI on this vCPU.
pub(super) fn nmi() {
    NMIS[cpu::id()].fetch_add(1, Ordering::Relaxed);
}

/// NMIs that vCPU `cpu` has taken.
pub fn nmis(cpu: usize) -> u64 {
    NMIS[cpu].load(Ordering::Relaxed).into()
}
