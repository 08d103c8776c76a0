//! Grace periods from quiescent states.
//!
//! A grace period has an odd number. Each CPU has a word that says which number it has seen while
//! it was inside no pool operation, or 0: it is idle, parked or offline, and touches nothing until
//! it says otherwise. A grace period is over when every CPU's word is 0 or has come up to its
//! number. So a CPU that is away is neither woken nor waited for.

use core::fmt;
use core::sync::atomic::{AtomicU32 as OwnU32, Ordering as OwnOrdering};

use crate::guard::CpuId;
use crate::sites::{acquire, full_fence, release, start_grace, tag, Site};
use crate::sync::{const_fn, AtomicU32, Ordering};

/// The kernel's part in waiting for other CPUs. Every wait in this crate ends: when its condition
/// holds, or when
/// [`relax`](Wait::relax) says that the deadline has passed.
pub trait Wait {
    /// Makes a running CPU pass a quiescent state soon: sends an interrupt, or does nothing where
    /// every CPU has a tick. Called at most once for each CPU and grace period, and not for a CPU
    /// that is idle, parked or offline, unless it comes back during the wait and does not pass.
    fn kick(&mut self, cpu: CpuId);

    /// Called repeatedly while `cpu` has not passed. May enable interrupts for a moment, if the
    /// caller stays on its CPU. False once the deadline has passed.
    fn relax(&mut self, cpu: CpuId) -> bool;

    /// A clock, in nanoseconds. Only for
    /// [`Stats::longest_drain_ns`](crate::Stats::longest_drain_ns).
    fn now_ns(&self) -> u64 {
        0
    }
}

/// The [`Wait`] of a kernel with one CPU: there is no other to wait for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Wait for Alone {
    fn kick(&mut self, _: CpuId) {}

    fn relax(&mut self, _: CpuId) -> bool {
        false
    }
}

/// A CPU did not pass a quiescent state before the deadline. That CPU is at fault: it runs kernel
/// code that neither returns to the main loop nor takes its tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GracePeriodTimeout {
    /// The CPU.
    pub cpu: CpuId,
}

impl fmt::Display for GracePeriodTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed no quiescent state before the deadline",
            self.cpu
        )
    }
}

impl core::error::Error for GracePeriodTimeout {}

/// What a CPU has seen. Its CPU alone writes it, through [`Busy`](crate::local::Busy), which keeps
/// interrupts out meanwhile.
pub(crate) struct Seen {
    number: AtomicU32,
    /// The last grace period for which it was kicked. Written by who waits, of whom there is one.
    kicked: OwnU32,
}

const AWAY: u32 = 0;
const STEP: u32 = 2;

impl Seen {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Seen { number: AtomicU32::new(AWAY), kicked: OwnU32::new(AWAY) }
        }
    }

    /// Called on its own CPU: is it running, as far as the pool knows?
    pub(crate) fn is_running(&self) -> bool {
        self.number.load(Ordering::Relaxed) != AWAY
    }

    fn passed(&self, ticket: Ticket) -> bool {
        let seen = acquire(Site::QuiescentCheck, &self.number);
        seen == AWAY || at_least(seen, ticket.0)
    }

    /// Must it be kicked for `ticket`? Once.
    fn kick_for(&self, ticket: Ticket) -> bool {
        let first = !self.passed(ticket) && self.kicked.load(OwnOrdering::Relaxed) != ticket.0;
        if first {
            self.kicked.store(ticket.0, OwnOrdering::Relaxed);
        }
        first
    }

    /// Called on its own CPU, outside of any operation: it goes away.
    pub(crate) fn leave(&self) {
        release(Site::IdleEnter, &self.number, AWAY);
    }
}

/// The number of a grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

impl Ticket {
    pub(crate) const NONE: Ticket = Ticket(0);

    /// The later of two.
    pub(crate) fn max(self, other: Ticket) -> Ticket {
        if self == Ticket::NONE || (other != Ticket::NONE && at_least(other.0, self.0)) {
            other
        } else {
            self
        }
    }
}

/// Numbers wrap; two that are compared are never 2^31 apart, for a grace period starts only if
/// somebody waits for it.
fn at_least(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 >= 0
}

/// The newest grace period's number.
#[repr(align(128))]
pub(crate) struct Grace {
    current: AtomicU32,
}

impl Grace {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Grace { current: AtomicU32::new(1) }
        }
    }

    /// Starts a grace period: everything the caller has done comes before its end, on every CPU.
    pub(crate) fn start(&self) -> Ticket {
        let mut from = self.current.load(Ordering::Relaxed);
        loop {
            let to = from.wrapping_add(STEP);
            match start_grace(&self.current, from, to) {
                Ok(_) => return Ticket(to),
                Err(newer) => from = newer,
            }
        }
    }

    /// The grace period that starts next. Everything the caller has done until now comes before
    /// its begin.
    pub(crate) fn next(&self) -> Ticket {
        Ticket(tag(&self.current).wrapping_add(STEP))
    }

    /// Starts grace period `ticket`, unless it or a later one has started.
    pub(crate) fn ensure_started(&self, ticket: Ticket) {
        let from = ticket.0.wrapping_sub(STEP);
        if self.current.load(Ordering::Relaxed) == from {
            // Refused if another CPU was faster: then it has started all the same.
            let _ = start_grace(&self.current, from, ticket.0);
        }
    }

    /// Is grace period `ticket` over?
    pub(crate) fn is_over<'a>(&self, ticket: Ticket, cpus: impl Iterator<Item = &'a Seen>) -> bool {
        self.first_late(ticket, cpus, 0).is_none()
    }

    /// The first CPU that grace period `ticket` still waits for, from `first` on.
    fn first_late<'a>(
        &self,
        ticket: Ticket,
        cpus: impl Iterator<Item = &'a Seen>,
        first: usize,
    ) -> Option<(usize, &'a Seen)> {
        // Between closing the gate (or unlinking a set) and the look at the CPUs.
        full_fence(Site::GraceFence);
        cpus.enumerate()
            .skip(first)
            .find(|(_, seen)| !seen.passed(ticket))
    }

    /// Called on the CPU that owns `seen`, outside of any operation.
    #[inline]
    pub(crate) fn announce(&self, seen: &Seen) {
        let current = acquire(Site::QuiescentRead, &self.current);
        let old = seen.number.load(Ordering::Relaxed);
        if old != AWAY && old != current {
            release(Site::QuiescentAnnounce, &seen.number, current);
        }
    }

    /// Called on the CPU that owns `seen`: it runs from now on.
    pub(crate) fn resume(&self, seen: &Seen) {
        // Release: the number may be one that somebody waits for. It then ends the wait, and what
        // this CPU did before it was away must come before that.
        release(
            Site::IdleExitAnnounce,
            &seen.number,
            self.current.load(Ordering::Relaxed),
        );
        full_fence(Site::IdleExitFence);
    }

    /// Waits until grace period `ticket` is over. The caller has passed it.
    pub(crate) fn wait<'a, C>(
        &self,
        ticket: Ticket,
        cpus: impl Fn() -> C,
        wait: &mut impl Wait,
    ) -> Result<(), GracePeriodTimeout>
    where
        C: Iterator<Item = &'a Seen>,
    {
        let mut first = 0;
        while let Some((late, seen)) = self.first_late(ticket, cpus(), first) {
            // Those before have passed; they need no second look.
            first = late;
            if seen.kick_for(ticket) {
                wait.kick(CpuId(late));
                // Kick all late CPUs at once, so that they pass at about the same time. One that comes back
                // later is kicked when its turn comes.
                for (i, seen) in cpus().enumerate().skip(late + 1) {
                    if seen.kick_for(ticket) {
                        wait.kick(CpuId(i));
                    }
                }
                continue;
            }
            if !wait.relax(CpuId(late)) {
                return Err(GracePeriodTimeout { cpu: CpuId(late) });
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap() {
        let grace = Grace {
            current: AtomicU32::new(u32::MAX - 2),
        };
        let cpus = [Seen::new(), Seen::new()];
        cpus.iter().for_each(|seen| grace.resume(seen));
        for _ in 0..4 {
            let ticket = grace.start();
            let late = |grace: &Grace| grace.first_late(ticket, cpus.iter(), 0).map(|(i, _)| i);
            assert_ne!(
                ticket,
                Ticket::NONE,
                "numbers are odd, so none is the number of nobody"
            );
            assert_eq!(late(&grace), Some(0));
            grace.announce(&cpus[0]);
            assert_eq!(late(&grace), Some(1));
            cpus[1].leave();
            assert_eq!(late(&grace), None);
            grace.resume(&cpus[1]);
        }
    }

    #[test]
    fn the_later_of_two_is_later_across_the_wrap() {
        let (before, after) = (Ticket(u32::MAX), Ticket(1));
        assert_eq!((before.max(after), after.max(before)), (after, after));
        for ticket in [before, after] {
            assert_eq!(
                (ticket.max(Ticket::NONE), Ticket::NONE.max(ticket)),
                (ticket, ticket)
            );
        }
    }

    #[test]
    fn a_free_waits_for_a_grace_period_that_has_not_begun() {
        let grace = Grace::new();
        let under_way = grace.start();
        let next = grace.next();
        assert_ne!(next, under_way);
        grace.ensure_started(next);
        grace.ensure_started(next);
        assert_ne!(grace.next(), next);
        assert_eq!(grace.start(), Ticket(next.0 + STEP), "started once");
    }
}
