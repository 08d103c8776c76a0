//! What came though nobody here asked for it: counted by the handlers, told later by vCPU 0, for
//! whoever was interrupted may hold the console.
//!
//! Each kind is told at its first, second, fourth, eighth, ... time: whoever sends them without end
//! does not fill the console.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU8, AtomicUsize, Ordering};

use crate::arch::cpu::{self, MAX_CPUS};
use crate::arch::vectors;
use crate::report::{self, Party};
use crate::{pool, xen};

/// One kind of thing that comes unasked.
struct Kind {
    count: AtomicU32,
    cpu: AtomicUsize,
    ip: AtomicUsize,
    flags: AtomicUsize,
    vector: AtomicU8,
}

/// The last of a kind. If two came at once, of both a part.
struct Last {
    count: u64,
    cpu: usize,
    ip: usize,
    flags: usize,
    vector: u8,
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

    fn due(&self, told: &mut Told) -> Option<Last> {
        let count = self.count.load(Ordering::Acquire).into();
        told.is_due(count).then(|| Last {
            count,
            cpu: self.cpu.load(Ordering::Relaxed),
            ip: self.ip.load(Ordering::Relaxed),
            flags: self.flags.load(Ordering::Relaxed),
            vector: self.vector.load(Ordering::Relaxed),
        })
    }
}

static DEBUGS: Kind = Kind::new();
static INTERRUPTS: Kind = Kind::new();
static MACHINE_CHECKS: Kind = Kind::new();
/// NMIs are worth a count for each vCPU.
static NMIS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

/// A debug exception: this kernel sets neither breakpoints nor the trap flag.
///
/// One was seen on a 32-bit PV guest that had just been restored; where it came from is not known.
pub fn debug(ip: usize, flags: usize) {
    DEBUGS.note(1, ip, flags);
}

/// An interrupt on a vector that nothing here uses.
pub fn interrupt(vector: u8, ip: usize, flags: usize) {
    INTERRUPTS.note(vector, ip, flags);
}

/// A machine check after which this vCPU can go on.
pub fn machine_check(ip: usize, status: u64) {
    // The architecture defines a few low bits of the status.
    MACHINE_CHECKS.note(vectors::MACHINE_CHECK, ip, status as usize);
}

/// An NMI on this vCPU.
pub fn nmi() {
    NMIS[cpu::id()].fetch_add(1, Ordering::Relaxed);
}

/// NMIs that vCPU `cpu` has taken.
pub fn nmis(cpu: usize) -> u64 {
    NMIS[cpu].load(Ordering::Relaxed).into()
}

/// The count of a kind at which there is something to tell again.
pub struct Told {
    next: u64,
}

impl Told {
    /// Nothing was told.
    pub const NOTHING: Told = Told { next: 1 };

    /// Is the `count`th of its kind to be told?
    pub fn is_due(&mut self, count: u64) -> bool {
        let due = count >= self.next;
        if due {
            self.next = count.saturating_mul(2);
        }
        due
    }
}

/// Tells what nobody was told of yet.
pub struct Teller {
    debugs: Told,
    interrupts: Told,
    machine_checks: Told,
    nmis: Told,
}

impl Teller {
    /// Nothing was told.
    pub const fn new() -> Self {
        Teller {
            debugs: Told::NOTHING,
            interrupts: Told::NOTHING,
            machine_checks: Told::NOTHING,
            nmis: Told::NOTHING,
        }
    }

    /// Tells what has come since.
    pub fn tell(&mut self) {
        if let Some(last) = DEBUGS.due(&mut self.debugs) {
            let text = format_args!(
                "a debug exception that nobody asked for, flags {:#x}, {last}",
                last.flags
            );
            report::error(Party::Xen, "debug", text);
        }
        if let Some(last) = INTERRUPTS.due(&mut self.interrupts) {
            let (vector, name) = (last.vector, vectors::name(last.vector));
            let text = format_args!("vector {vector} ({name}), which nothing here uses, {last}");
            report::error(Party::Toolstack, "interrupt", text);
        }
        if let Some(last) = MACHINE_CHECKS.due(&mut self.machine_checks) {
            let text = format_args!("a machine check, status {:#x}, {last}", last.flags);
            report::error(Party::Xen, "machine check", text);
        }
        self.tell_of_nmis();
    }

    fn tell_of_nmis(&mut self) {
        let count = possible().map(nmis).sum();
        if self.nmis.is_due(count) {
            let said = report::event("nmi")
                .num("count", count)
                .nums("per_cpu", possible().map(nmis));
            pool::nmi::add_figures(said).send();
            log::warn!("NMIs that nobody here asked for: {count} so far");
        }
    }
}

fn possible() -> core::ops::Range<usize> {
    0..xen::max_vcpus()
}
