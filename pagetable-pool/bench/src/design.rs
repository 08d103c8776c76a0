//! What a design is asked, and what it answers.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::backend::Simulated;

pub trait Design: Sync {
    type Set;

    fn backend(&self) -> &Simulated;
    /// None: refused.
    fn get(&self, cpu: usize) -> Option<Self::Set>;
    fn put(&self, cpu: usize, set: Self::Set);
    /// From now on the CPU works.
    fn start(&self, _: usize) {}
    /// Between two operations of a CPU that works.
    fn between(&self, _: usize) {}
    /// From now on the CPU is idle.
    fn leave(&self, _: usize) {}
    /// Empties every CPU's cache, from CPU `me`, and looks again after `pause`: with the proof
    /// alive, if there is one.
    fn drain(&self, me: usize, pause: Duration) -> Took;

    /// Does a drain need the idle CPUs? Each is then a thread that calls `sleep`.
    const IDLE_MUST_BE_WOKEN: bool = false;
    /// What an idle CPU does until `stop` and a wake-up.
    fn sleep(&self, _: usize, _: &AtomicBool) {}
    /// Does the idle CPU sleep?
    fn sleeps(&self, _: usize) -> bool {
        true
    }
    /// What the idle CPUs have paid until now.
    fn idle_paid(&self) -> Idle;
}

pub struct Took {
    pub sets: usize,
    pub ns: u64,
    /// Sets that were cached again after the pause.
    pub again: usize,
}

impl Took {
    pub fn new(
        sets: usize,
        began: Instant,
        pause: Duration,
        cached: impl FnOnce() -> usize,
    ) -> Self {
        let ended = Instant::now();
        while ended.elapsed() < pause {
            std::hint::spin_loop();
        }
        Took {
            sets,
            ns: (ended - began).as_nanos() as u64,
            again: cached(),
        }
    }
}

/// What all idle CPUs together have paid.
#[derive(Clone, Copy, Default)]
pub struct Idle {
    pub wake_ups: u64,
    /// Of processor time.
    pub ns: u64,
}
