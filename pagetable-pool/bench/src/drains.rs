//! What a drain and a miss cost.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use pagetable_pool::*;

use crate::backend::{on, Simulated, Spin, MAX_CPUS};

/// A drain of so many CPUs with so many sets in each cache.
pub struct Row {
    pub cpus: usize,
    pub sets_each: usize,
    pub ns: u64,
    pub backend_calls: usize,
    pub tlb_flushes: usize,
}

fn drain_row<const CPUS: usize>(pool: &Pool<Simulated, CPUS, 1>, sets_each: usize) -> Row {
    let mut best: Option<Row> = None;
    for _ in 0..7 {
        for cpu in 0..CPUS {
            pool.cpu_online(&on(cpu)).expect("it has a place");
            let sets: Vec<_> = (0..sets_each)
                .map(|_| pool.get(&on(cpu)).expect("the gate is open"))
                .collect();
            sets.into_iter()
                .for_each(|set| pool.put(&on(cpu), set).expect("the gate is open"));
            if cpu != 0 {
                pool.idle_enter(&on(cpu)).expect("it is outside the pool");
            }
        }
        let drained = pool
            .drain(&on(0), &mut Spin(Instant::now()))
            .expect("all others are idle");
        let report = *drained.report();
        assert_eq!(
            report.cached,
            CPUS * sets_each,
            "the drain took what was put"
        );
        if best.as_ref().is_none_or(|best| report.ns < best.ns) {
            best = Some(Row {
                cpus: CPUS,
                sets_each,
                ns: report.ns,
                backend_calls: report.backend_calls,
                tlb_flushes: report.tlb_flushes,
            });
        }
    }
    best.expect("it ran")
}

/// Batches of one, so that a cache holds exactly what was put.
const fn by_ones<const CPUS: usize>() -> Config<CPUS, 1, 15> {
    Config::new()
        .cpus::<CPUS>()
        .magazines::<1>()
        .construct_batch(1)
}

pub fn drains() -> Vec<Row> {
    static ONE: Pool<Simulated, 1, 1> = Pool::new(by_ones(), Simulated::new());
    static SIXTEEN: Pool<Simulated, 16, 1> = Pool::new(by_ones(), Simulated::new());
    static HUNDREDS: Pool<Simulated, 256, 1> = Pool::new(by_ones(), Simulated::new());
    static MOST: Pool<Simulated, MAX_CPUS, 1> = Pool::new(by_ones(), Simulated::new());
    let mut rows = Vec::new();
    for sets in [0, 1, 8, 30] {
        rows.push(drain_row(&ONE, sets));
        rows.push(drain_row(&SIXTEEN, sets));
        rows.push(drain_row(&HUNDREDS, sets));
        rows.push(drain_row(&MOST, sets));
    }
    rows
}

/// Nanoseconds of a get that misses, with batches of `batch`, and of a hit.
pub fn miss(call_ns: u32, set_ns: u32, batch: usize) -> (f64, f64) {
    static POOLS: [Pool<Simulated, 1, 1>; 2] = [
        Pool::new(by_ones(), Simulated::new()),
        Pool::new(by_ones().construct_batch(4), Simulated::new()),
    ];
    let pool = &POOLS[usize::from(batch == 4)];
    pool.backend().call_ns.store(call_ns, Relaxed);
    pool.backend().set_ns.store(set_ns, Relaxed);
    pool.cpu_online(&on(0)).expect("it has a place");
    let mut misses = Vec::new();
    for _ in 0..400 {
        pool.drain_cpu(&on(0)).expect("the gate is open");
        let began = Instant::now();
        let set = pool.get(&on(0)).expect("the gate is open");
        misses.push(began.elapsed().as_nanos() as f64);
        pool.put(&on(0), set).expect("the gate is open");
    }
    misses.sort_by(f64::total_cmp);
    let mut hit = f64::INFINITY;
    for _ in 0..20 {
        const PAIRS: u32 = 10_000;
        let began = Instant::now();
        for _ in 0..PAIRS {
            let set = pool.get(&on(0)).expect("the gate is open");
            pool.put(&on(0), std::hint::black_box(set))
                .expect("the gate is open");
        }
        hit = hit.min(began.elapsed().as_nanos() as f64 / f64::from(2 * PAIRS));
    }
    (misses[misses.len() / 2], hit)
}
