//! Which vCPUs run their loops, and waiting for one of them.

use core::fmt;

use crate::arch::cpu;
use crate::arch::park;
use crate::xen::{calls, time};

/// The vCPUs that run, lowest first.
pub fn online() -> impl Iterator<Item = usize> {
    park::running()
}

/// Does vCPU `cpu` run its loop?
pub fn is_online(cpu: usize) -> bool {
    park::is_running(cpu)
}

/// Those that run and are not the running one.
pub fn others() -> impl Iterator<Item = usize> {
    let me = cpu::id();
    online().filter(move |&cpu| cpu != me)
}

/// A vCPU did not do what it was asked to in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The vCPU.
    pub cpu: usize,
    /// What it was asked.
    pub asked: &'static str,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vCPU {} did not {} in time", self.cpu, self.asked)
    }
}

/// Waits until `done`, giving the CPU away meanwhile; false once the guest's clock passes
/// `deadline`.
pub fn wait_until(deadline: u64, mut done: impl FnMut() -> bool) -> bool {
    loop {
        // Reading the clock can trap into Xen: so many looks between two reads.
        for _ in 0..CLOCK_EVERY {
            if done() {
                return true;
            }
            calls::yield_cpu();
        }
        if time::now() > deadline {
            return done();
        }
    }
}

/// Waits until `done` for as long as `limit`, nanoseconds in which this vCPU ran; false once they
/// are over.
///
/// While the domain is paused, or the host is busy with others, nobody gets any nearer to what is
/// waited for. So of the time between two looks only the first second counts.
pub fn wait_while_running(limit: u64, mut done: impl FnMut() -> bool) -> bool {
    const LONGEST_STEP: u64 = 1_000_000_000;
    let (mut ran, mut last) = (0, time::now());
    loop {
        let until = last + LONGEST_STEP / 2;
        if wait_until(until, &mut done) {
            return true;
        }
        let now = time::now();
        ran += (now - last).min(LONGEST_STEP);
        last = now;
        if ran > limit {
            return done();
        }
    }
}

/// Looks that [`wait_until`] takes before it looks at the clock.
const CLOCK_EVERY: u32 = 16;
