//! Three designs whose caches one CPU empties for all: this crate's, a lock for each CPU, and work
//! queued on each CPU. The same backend and the same work for each: what a hit costs, how long a
//! drain takes, what the others pay for it, and whether anything is cached again once it has
//! returned.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::Release};
use std::time::{Duration, Instant};

use pagetable_pool::*;

use crate::backend::{on, Simulated, Spin};
use crate::design::{Design, Idle, Took};
use crate::locked::LockEach;
use crate::pairs::measure;
use crate::queued::WorkOnEach;

/// This crate's pool, with batches of one, so that a cache holds exactly what was put.
pub struct Gated<const CPUS: usize> {
    pool: Pool<Simulated, CPUS, 1>,
    kicked: AtomicU64,
}

impl<const CPUS: usize> Gated<CPUS> {
    pub const fn new() -> Self {
        Gated {
            pool: Pool::new(
                Config::new()
                    .cpus::<CPUS>()
                    .magazines::<1>()
                    .construct_batch(1),
                Simulated::new(),
            ),
            kicked: AtomicU64::new(0),
        }
    }
}

/// Counts whom a drain kicks out of its sleep.
struct Kicks<'a>(Spin, &'a AtomicU64);

impl Wait for Kicks<'_> {
    fn kick(&mut self, _: CpuId) {
        self.1.fetch_add(1, Relaxed);
    }
    fn relax(&mut self, cpu: CpuId) -> bool {
        self.0.relax(cpu)
    }
    fn now_ns(&self) -> u64 {
        self.0.now_ns()
    }
}

impl<const CPUS: usize> Design for Gated<CPUS> {
    type Set = Constructed<u32>;

    fn backend(&self) -> &Simulated {
        self.pool.backend()
    }

    #[inline(always)]
    fn get(&self, cpu: usize) -> Option<Constructed<u32>> {
        self.pool.get(&on(cpu)).ok()
    }

    #[inline(always)]
    fn put(&self, cpu: usize, set: Constructed<u32>) {
        self.pool.put(&on(cpu), set).expect("a put is not refused");
    }

    fn start(&self, cpu: usize) {
        self.pool.cpu_online(&on(cpu)).expect("it has a place");
    }

    fn between(&self, cpu: usize) {
        self.pool.quiescent(&on(cpu));
    }

    fn leave(&self, cpu: usize) {
        self.pool
            .idle_enter(&on(cpu))
            .expect("it is outside the pool");
    }

    fn drain(&self, me: usize, pause: Duration) -> Took {
        let began = Instant::now();
        let mut wait = Kicks(Spin(began), &self.kicked);
        let drained = self
            .pool
            .drain(&on(me), &mut wait)
            .expect("whoever runs passes all the time");
        Took::new(drained.sets(), began, pause, || {
            match drained.recheck(&on(me)) {
                Ok(()) => 0,
                Err(broken) => panic!("{broken}"),
            }
        })
    }

    /// Nobody's time: there is no thread to spend it. A kick would be one wake-up.
    fn idle_paid(&self) -> Idle {
        Idle {
            wake_ups: self.kicked.load(Relaxed),
            ns: 0,
        }
    }
}

/// Names, in the order of everything below.
pub const NAMES: [&str; 3] = [
    "pagetable-pool",
    "a lock for each CPU",
    "work queued on each CPU",
];

static PAIRS: (LockEach<8>, WorkOnEach<8>) = (LockEach::new(), WorkOnEach::new());

/// Hit pairs: what callgrind counts.
#[inline(never)]
pub fn pairs(design: &impl Design, cpu: usize, pairs: u64) {
    for _ in 0..pairs {
        let set = design.get(cpu).expect("nobody drains");
        design.put(cpu, std::hint::black_box(set));
    }
}

pub fn locked_pairs(cpu: usize, count: u64) {
    pairs(&PAIRS.0, cpu, count);
}

pub fn queued_pairs(cpu: usize, count: u64) {
    pairs(&PAIRS.1, cpu, count);
}

/// Nanoseconds of a hit pair of the two others at each number of threads.
pub fn hits(threads: &[usize]) -> [Vec<f64>; 2] {
    [
        threads.iter().map(|&n| measure(n, locked_pairs)).collect(),
        threads.iter().map(|&n| measure(n, queued_pairs)).collect(),
    ]
}

/// Fills CPU `cpu`'s cache and leaves it idle, unless it is the drainer's.
pub fn fill(design: &impl Design, cpu: usize, count: usize) {
    design.start(cpu);
    let sets: Vec<_> = (0..count)
        .map(|_| design.get(cpu).expect("the gate is open"))
        .collect();
    sets.into_iter().for_each(|set| design.put(cpu, set));
    if cpu != 0 {
        design.leave(cpu);
    }
}

/// Runs `body` while each of the CPUs `idle` sleeps, if the design needs that.
pub fn with_sleepers<D: Design, R>(
    design: &D,
    idle: impl Iterator<Item = usize>,
    body: impl FnOnce() -> R,
) -> R {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        let threads: Vec<_> = idle
            .filter(|_| D::IDLE_MUST_BE_WOKEN)
            .map(|cpu| scope.spawn(move || design.sleep(cpu, stop)))
            .collect();
        let result = body();
        stop.store(true, Release);
        for thread in threads {
            thread.thread().unpark();
        }
        result
    })
}
