//! What the service's page says of the guest.

use core::fmt;

use frontends::net::Counts;

use crate::arch;
use crate::sets::drain;
use crate::xen::{calls, time};

/// What was noted.
pub struct Status {
    /// Microseconds since 1970: when the service was first looked at, and when last.
    since: u64,
    seen: u64,
    /// Longest time between two looks, microseconds by the host's clock: the guest's own stands
    /// still while it is saved.
    gap: u64,
    /// Suspends that it came back from.
    pub suspends: u64,
    /// Of the interface.
    pub counts: Counts,
    /// How often the interface was connected.
    pub connections: u64,
    /// Records that were ever appended, if that is known.
    pub records: Option<u64>,
}

impl Status {
    /// Nothing yet.
    pub const fn new() -> Status {
        Status {
            since: 0,
            seen: 0,
            gap: 0,
            suspends: 0,
            counts: Counts {
                sent: 0,
                received: 0,
                dropped: 0,
                lost: 0,
                refused: 0,
            },
            connections: 0,
            records: None,
        }
    }

    /// Looks at the time of day.
    pub fn look(&mut self) {
        let now = time::wall_us();
        if self.since == 0 {
            (self.since, self.seen) = (now, now);
        }
        self.gap = self.gap.max(now.saturating_sub(self.seen));
        self.seen = now;
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if arch::is_pv() { "PV" } else { "PVH" };
        let seconds = |us: u64| us / 1_000_000;
        writeln!(f, "xen-guest {} {kind}", core::env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "domain: {} on Xen {}", calls::domid(), calls::version())?;
        writeln!(f, "serving for: {} s", seconds(self.seen - self.since))?;
        writeln!(f, "suspends: {}", self.suspends)?;
        writeln!(f, "sets drained: {}", drain::sets_drained())?;
        writeln!(f, "longest gap: {} ms", self.gap / 1000)?;
        let Counts { sent, received, .. } = self.counts;
        writeln!(f, "frames: {received} received, {sent} sent")?;
        writeln!(f, "network connections: {}", self.connections)?;
        match self.records {
            Some(records) => writeln!(f, "records: {records}"),
            None => writeln!(f, "records: no disk"),
        }
    }
}
