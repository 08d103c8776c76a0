//! Tells what came though nobody here asked for it, and was counted by the handlers.
//!
//! Each kind is told at its first, second, fourth, eighth, ... time: whoever sends them without end
//! does not fill the console.

use crate::arch::strays::{nmis, Kind, Last, DEBUGS, INTERRUPTS, MACHINE_CHECKS};
use crate::arch::vectors;
use crate::sets::nmi;
use crate::xen::calls;
use crate::xen::report::{self, Party};

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

/// The last of a kind, if there is something to tell.
fn due(kind: &Kind, told: &mut Told) -> Option<Last> {
    let last = kind.last();
    told.is_due(last.count).then_some(last)
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
        if let Some(last) = due(&DEBUGS, &mut self.debugs) {
            let text = format_args!(
                "a debug exception that nobody asked for, flags {:#x}, {last}",
                last.flags
            );
            report::error(Party::Xen, "debug", text);
        }
        if let Some(last) = due(&INTERRUPTS, &mut self.interrupts) {
            let (vector, name) = (last.vector, vectors::name(last.vector));
            let text = format_args!("vector {vector} ({name}), which nothing here uses, {last}");
            report::error(Party::Toolstack, "interrupt", text);
        }
        if let Some(last) = due(&MACHINE_CHECKS, &mut self.machine_checks) {
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
            nmi::add_figures(said).send();
            log::warn!("NMIs that nobody here asked for: {count} so far");
        }
    }
}

fn possible() -> core::ops::Range<usize> {
    0..calls::max_vcpus()
}
