//! Who is held off by a drain, and whether anything is cached again after it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::design::Design;
use crate::designs::{fill, with_sleepers, Gated};
use crate::locked::LockEach;
use crate::pairs::processor_time;
use crate::queued::WorkOnEach;

/// Who is held off by a drain of 4 CPUs, on a backend with hypercalls' costs. Nanoseconds.
pub struct HeldOff {
    /// The drainer, the other three idle: the shortest drain.
    pub drainer: u64,
    /// Sets that it took.
    pub sets: usize,
    /// The longest single step (a get, a put, what lies between two) of a CPU that works, in each
    /// drain, in processor time, so that what the host's scheduler does is mostly left out.
    pub in_drains: Spread,
    /// The same in the time before each of these drains, for comparison.
    pub undisturbed: Spread,
    /// Of all gets that began or ended in a drain, the part that was refused.
    pub refused: f64,
    /// After so many drains something was cached again [`PAUSE`] later, with the proof alive if
    /// there is one.
    pub cached_again: usize,
    pub drains: usize,
}

/// Of many figures.
pub struct Spread {
    pub least: u64,
    pub median: u64,
    pub most: u64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = u64>) -> Spread {
        let mut figures: Vec<_> = figures.collect();
        figures.sort_unstable();
        Spread {
            least: figures[0],
            median: figures[figures.len() / 2],
            most: figures[figures.len() - 1],
        }
    }
}

/// How long after a drain it is asked whether anything is cached.
pub const PAUSE: Duration = Duration::from_micros(100);

/// So many drains count.
const DRAINS: usize = 50;
/// So many are tried at most: one during which the other CPU's thread did not run, because this
/// machine had other work, counts for nothing.
const TRIES: usize = 2000;
const HELD_OFF_CPUS: usize = 4;
/// Sets that the CPU that works takes before it gives them back.
const AT_ONCE: usize = 8;

/// What the CPU that works and the drainer tell each other.
#[derive(Default)]
struct Shared {
    /// Odd while a drain is under way.
    phase: AtomicUsize,
    /// Steps that the CPU that works has begun.
    steps: AtomicUsize,
    stop: AtomicBool,
}

impl Shared {
    /// Waits until the other CPU has made `count` steps from now on, `limit` at most.
    fn has_worked(&self, count: usize, limit: Duration) -> bool {
        let (began, first) = (Instant::now(), self.steps.load(Relaxed));
        while self.steps.load(Relaxed).wrapping_sub(first) < count {
            if began.elapsed() > limit {
                return false;
            }
            std::hint::spin_loop();
        }
        true
    }
}

/// What the CPU that works saw in one phase: between two drains, or in one.
#[derive(Clone, Copy, Default)]
struct Phase {
    longest: u64,
    gets: u64,
    refused: u64,
}

/// Works on CPU 1. A step counts for a drain if it began or ended in it.
fn work(design: &impl Design, shared: &Shared) -> Vec<Phase> {
    let mut phases = vec![Phase::default(); 2 * TRIES];
    let mut step = |what: &mut dyn FnMut() -> bool, is_get: bool| {
        let before = shared.phase.load(Relaxed);
        shared.steps.fetch_add(1, Relaxed);
        let began = processor_time();
        let refused = what();
        let took = processor_time() - began;
        let after = shared.phase.load(Relaxed);
        let counts = if before % 2 == 1 { before } else { after };
        if let Some(seen) = phases.get_mut(counts) {
            seen.longest = seen.longest.max(took);
            seen.gets += u64::from(is_get);
            seen.refused += u64::from(refused);
        }
    };
    let mut held = Vec::with_capacity(AT_ONCE);
    design.start(1);
    while !shared.stop.load(Relaxed) {
        for _ in 0..AT_ONCE {
            let mut get = || match design.get(1) {
                Some(set) => {
                    held.push(set);
                    false
                }
                None => true,
            };
            step(&mut get, true);
        }
        while let Some(set) = held.pop() {
            let mut set = Some(set);
            let mut put = || {
                set.take().into_iter().for_each(|set| design.put(1, set));
                false
            };
            step(&mut put, false);
        }
        let mut between = || {
            design.between(1);
            false
        };
        step(&mut between, false);
    }
    phases
}

/// Drains from CPU 0 while another CPU works. Gives the phases that count, and after how many
/// drains something was cached again.
fn drain_beside_work(design: &impl Design, shared: &Shared) -> (Vec<usize>, usize) {
    let (mut count, mut cached_again) = (Vec::new(), 0);
    for round in 0..TRIES {
        if count.len() == DRAINS {
            break;
        }
        shared.phase.store(2 * round, Relaxed);
        [0, 2, 3]
            .into_iter()
            .for_each(|cpu| fill(design, cpu, 2 * AT_ONCE));
        // It runs, and not in turns with this thread.
        if !shared.has_worked(4 * AT_ONCE, Duration::from_millis(20)) {
            std::thread::yield_now();
            continue;
        }
        let before = shared.steps.load(Relaxed);
        shared.phase.store(2 * round + 1, Relaxed);
        let took = design.drain(0, PAUSE);
        if shared.steps.load(Relaxed).wrapping_sub(before) > 2 * AT_ONCE {
            count.push(2 * round + 1);
            cached_again += usize::from(took.again > 0);
        }
    }
    shared.stop.store(true, Relaxed);
    (count, cached_again)
}

fn held_off_by<D: Design>(design: &D, call_ns: u32, set_ns: u32) -> HeldOff {
    design.backend().call_ns.store(call_ns, Relaxed);
    design.backend().set_ns.store(set_ns, Relaxed);
    let alone = with_sleepers(design, 1..HELD_OFF_CPUS, || {
        (0..DRAINS)
            .map(|_| {
                (0..HELD_OFF_CPUS).for_each(|cpu| fill(design, cpu, 2 * AT_ONCE));
                design.drain(0, Duration::ZERO)
            })
            .min_by_key(|took| took.ns)
            .expect("some drains")
    });

    let shared = Shared::default();
    let (phases, (counting, cached_again)) = with_sleepers(design, 2..HELD_OFF_CPUS, || {
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| work(design, &shared));
            // From here on no drain ends before the worker has passed.
            while shared.steps.load(Relaxed) == 0 {
                std::thread::yield_now();
            }
            let drained = drain_beside_work(design, &shared);
            (worker.join().expect("the worker"), drained)
        })
    });
    assert!(
        !counting.is_empty(),
        "the other CPU's thread never ran beside a drain: too much other work here"
    );
    let sum = |part: fn(&Phase) -> u64| counting.iter().map(|&at| part(&phases[at])).sum::<u64>();
    HeldOff {
        drainer: alone.ns,
        sets: alone.sets,
        in_drains: Spread::of(counting.iter().map(|&at| phases[at].longest)),
        undisturbed: Spread::of(counting.iter().map(|&at| phases[at - 1].longest)),
        refused: sum(|seen| seen.refused) as f64 / sum(|seen| seen.gets).max(1) as f64,
        cached_again,
        drains: counting.len(),
    }
}

pub fn held_off(call_ns: u32, set_ns: u32) -> [HeldOff; 3] {
    static DESIGNS: (Gated<4>, LockEach<4>, WorkOnEach<4>) =
        (Gated::new(), LockEach::new(), WorkOnEach::new());
    [
        held_off_by(&DESIGNS.0, call_ns, set_ns),
        held_off_by(&DESIGNS.1, call_ns, set_ns),
        held_off_by(&DESIGNS.2, call_ns, set_ns),
    ]
}
