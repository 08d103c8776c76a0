//! How long a drain takes while every other CPU is idle, and what an idle CPU pays for it.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::design::Design;
use crate::designs::{fill, with_sleepers, Gated};
use crate::locked::LockEach;
use crate::queued::WorkOnEach;

/// Drains of so many CPUs, all but the drainer's idle.
pub struct Latency {
    pub cpus: usize,
    pub designs: [Drains; 3],
}

pub struct Drains {
    pub shortest_ns: u64,
    pub median_ns: u64,
    /// A drain and an idle CPU.
    pub wake_ups: f64,
    pub idle_ns: f64,
}

pub const SETS_EACH: usize = 8;
pub const ROUNDS: usize = 51;

/// Waits until the idle CPUs sleep, those that have to be woken.
fn fall_asleep(design: &impl Design, idle: Range<usize>) {
    for cpu in idle {
        while !design.sleeps(cpu) {
            std::thread::yield_now();
        }
    }
    // From saying so to sleeping.
    let began = Instant::now();
    while began.elapsed() < Duration::from_micros(20) {
        std::hint::spin_loop();
    }
}

fn drains_of<D: Design>(design: &D, cpus: usize) -> Drains {
    let before = design.idle_paid();
    let mut times = with_sleepers(design, 1..cpus, || {
        (0..ROUNDS)
            .map(|_| {
                (0..cpus).for_each(|cpu| fill(design, cpu, SETS_EACH));
                fall_asleep(design, 1..cpus);
                let took = design.drain(0, Duration::ZERO);
                assert_eq!(took.sets, cpus * SETS_EACH, "the drain took what was put");
                took.ns
            })
            .collect::<Vec<_>>()
    });
    times.sort_unstable();
    // The threads have ended, so all that they paid is there.
    let paid = design.idle_paid();
    let each = |sum: u64| sum as f64 / (ROUNDS * (cpus - 1)) as f64;
    Drains {
        shortest_ns: times[0],
        median_ns: times[ROUNDS / 2],
        wake_ups: each(paid.wake_ups - before.wake_ups),
        idle_ns: each(paid.ns - before.ns),
    }
}

fn latency<const CPUS: usize>(
    ours: &'static Gated<CPUS>,
    locked: &'static LockEach<CPUS>,
    queued: &'static WorkOnEach<CPUS>,
) -> Latency {
    Latency {
        cpus: CPUS,
        designs: [
            drains_of(ours, CPUS),
            drains_of(locked, CPUS),
            drains_of(queued, CPUS),
        ],
    }
}

macro_rules! latencies {
    ($($cpus:literal)*) => {
        vec![$({
            static DESIGNS: (Gated<$cpus>, LockEach<$cpus>, WorkOnEach<$cpus>) =
                (Gated::new(), LockEach::new(), WorkOnEach::new());
            latency(&DESIGNS.0, &DESIGNS.1, &DESIGNS.2)
        }),*]
    };
}

pub fn latencies() -> Vec<Latency> {
    latencies![2 4 8 16 32 64]
}
