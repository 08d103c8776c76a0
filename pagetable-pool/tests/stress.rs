//! Every call at once on real threads. Under ThreadSanitizer this looks for races in the machine's
//! own order; see `proofs.md`.
//!
//! The contents of a set are plain memory: whoever has a set writes to it, and the backend writes
//! when it is constructed, cached, handed out and destructed. So two owners at once are a data
//! race, and a wrong value is found by an assertion.
#![cfg(not(any(loom, shuttle)))]

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pagetable_pool::*;
// Not std's: that one comes compiled without the sanitizer, which then does not see the order it
// makes.
use spin::mutex::SpinMutex as Mutex;

const CPUS: usize = 4;
const SETS: usize = 512;
const NO_SET: u32 = u32::MAX;
const FREE: u64 = 0;
const CONSTRUCTED: u64 = 1;
const POISONED: u64 = 2;

struct Table {
    contents: [UnsafeCell<u64>; SETS],
    next: [AtomicU32; SETS],
    free: Mutex<Vec<u32>>,
    /// One destruction in so many fails; 0: none.
    fail_one_in: AtomicUsize,
    destructions: AtomicUsize,
}

// SAFETY: the pool gives each set to one party at a time; that it does is what is tested.
unsafe impl Sync for Table {}

impl Table {
    fn new() -> Self {
        Table {
            contents: std::array::from_fn(|_| UnsafeCell::new(FREE)),
            next: std::array::from_fn(|_| AtomicU32::new(NO_SET)),
            free: Mutex::new((0..SETS as u32).collect()),
            fail_one_in: AtomicUsize::new(0),
            destructions: AtomicUsize::new(0),
        }
    }

    fn change(&self, set: u32, from: u64, to: u64) -> bool {
        // SAFETY: the caller has the set.
        let contents = unsafe { &mut *self.contents[set as usize].get() };
        let as_expected = *contents == from;
        *contents = to;
        as_expected
    }
}

impl Backend for Table {
    type Set = u32;
    type Error = ();
    const EMPTY: u32 = NO_SET;

    fn construct(&self, out: &mut [u32]) -> Result<Spent, ConstructError<()>> {
        let mut free = self.free.lock();
        if free.len() < out.len() {
            return Err(ConstructError::rolled_back(()));
        }
        for place in out.iter_mut() {
            *place = free.pop().unwrap();
            assert!(self.change(*place, FREE, CONSTRUCTED));
        }
        Ok(Spent::default())
    }

    fn destruct(&self, sets: &[u32]) -> Result<Spent, DestructError<()>> {
        for (at, &set) in sets.iter().enumerate() {
            let one_in = self.fail_one_in.load(Relaxed);
            let count = self.destructions.fetch_add(1, Relaxed);
            if one_in > 0 && count % one_in == 0 {
                return Err(DestructError::new(at, (), Spent::nothing()));
            }
            assert!(
                self.change(set, CONSTRUCTED, FREE),
                "set {set} destructed in another state"
            );
            self.free.lock().push(set);
        }
        Ok(Spent::default())
    }

    fn set_next(&self, set: u32, next: Option<u32>) {
        self.next[set as usize].store(next.unwrap_or(NO_SET), Relaxed);
    }

    fn next(&self, set: u32) -> Option<u32> {
        Some(self.next[set as usize].load(Relaxed)).filter(|&next| next != NO_SET)
    }

    fn poison(&self, set: u32) {
        assert!(self.change(set, CONSTRUCTED, POISONED));
    }

    fn unpoison(&self, set: u32) -> bool {
        self.change(set, POISONED, CONSTRUCTED)
    }
}

fn on(cpu: usize) -> CpuGuard {
    // SAFETY: one thread for each CPU.
    unsafe { CpuGuard::new(CpuId(cpu), Context::all()) }
}

/// Waits for a minute, but no longer than until a thread has failed: a CPU whose thread is gone
/// never passes.
struct Patient<'a>(Instant, &'a Stop);

impl Wait for Patient<'_> {
    fn kick(&mut self, _: CpuId) {}
    fn relax(&mut self, _: CpuId) -> bool {
        std::thread::yield_now();
        !self.1.failed.load(Relaxed) && self.0.elapsed() < Duration::from_secs(60)
    }
}

/// When the threads are to end: because all rounds are over, or because one of them has failed.
#[derive(Default)]
struct Stop {
    now: AtomicBool,
    failed: AtomicBool,
}

impl Stop {
    fn patient(&self) -> Patient<'_> {
        Patient(Instant::now(), self)
    }
}

/// Every thread has one. A thread that panics takes it down, and so ends the others, who would wait
/// for it.
struct WithMe<'a>(&'a Stop);

impl Drop for WithMe<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Relaxed);
            self.0.now.store(true, Relaxed);
        }
    }
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn everything_at_once() {
    let rounds: usize = std::env::var("STRESS_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(300);
    let config = Config::new()
        .cpus::<CPUS>()
        .magazines::<16>()
        .rounds::<4>()
        .construct_batch(3)
        .high_water(40)
        .low_water(8);
    let pool = Pool::new(config, Table::new());
    pool.backend().fail_one_in.store(1000, Relaxed);
    let mail: [Mutex<VecDeque<Constructed<u32>>>; CPUS] =
        std::array::from_fn(|_| Mutex::new(VecDeque::new()));
    let stop = Stop::default();
    let (drains, quarantined, invalidations) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        for cpu in 1..CPUS {
            let (pool, mail, stop) = (&pool, &mail, &stop);
            scope.spawn(move || {
                let _with_me = WithMe(stop);
                let mut state = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(cpu as u64 + 1);
                let mut held: Vec<Constructed<u32>> = Vec::new();
                pool.cpu_online(&on(cpu)).unwrap();
                while !stop.now.load(Relaxed) {
                    let dice = random(&mut state);
                    match dice % 64 {
                        0 => {
                            pool.idle_enter(&on(cpu)).unwrap();
                            std::thread::yield_now();
                            pool.idle_exit(&on(cpu)).unwrap();
                        }
                        1 => {
                            let _ = pool.cpu_offline(&on(cpu));
                            pool.cpu_online(&on(cpu)).unwrap();
                        }
                        2 => {
                            let _ = pool.shrink(&on(cpu), 10);
                            let _ = pool.replenish(&on(cpu));
                        }
                        3 => {
                            let _ = pool.invalidate(&on(cpu), &mut stop.patient()).unwrap();
                        }
                        4 => {
                            let _ = pool.barrier(&on(cpu), &mut stop.patient());
                        }
                        5..=30 => {
                            let set = if dice & 64 == 0 {
                                pool.get(&on(cpu)).ok()
                            } else {
                                pool.try_get(&on(cpu))
                            };
                            if let Some(set) = set {
                                // Ours: write to it.
                                assert!(pool.backend().change(
                                    set.set(),
                                    CONSTRUCTED,
                                    100 + cpu as u64
                                ));
                                assert!(pool.backend().change(
                                    set.set(),
                                    100 + cpu as u64,
                                    CONSTRUCTED
                                ));
                                held.push(set);
                            }
                        }
                        31..=36 => {
                            if let Some(set) = held.pop() {
                                mail[(dice >> 8) as usize % CPUS].lock().push_back(set);
                            }
                            held.extend(mail[cpu].lock().pop_front());
                        }
                        37..=40 => {
                            if let Some(set) = held.pop() {
                                match pool.put_deferred(&on(cpu), set) {
                                    Ok(()) => {}
                                    Err(PutError::Refused(Refused::Closed, set)) => held.push(set),
                                    Err(other) => panic!("{other}"),
                                }
                            }
                        }
                        _ => {
                            if let Some(set) = held.pop() {
                                match pool.put(&on(cpu), set) {
                                    Ok(()) | Err(PutError::Quarantined(..)) => {}
                                    Err(PutError::NotDestructed(set, ())) => held.push(set),
                                    Err(other) => panic!("{other}"),
                                }
                            }
                        }
                    }
                    pool.quiescent(&on(cpu));
                }
                mail[0].lock().extend(held);
                pool.idle_enter(&on(cpu)).unwrap();
            });
        }
        let _with_me = WithMe(&stop);
        for round in 0..rounds {
            match pool.drain(&on(0), &mut stop.patient()) {
                Ok(drained) => {
                    assert_eq!(drained.recheck(&on(0)), Ok(()));
                    drains.fetch_add(1, Relaxed);
                }
                Err(DrainError::Quarantined { count, .. }) => {
                    quarantined.fetch_add(count, Relaxed);
                    match pool.retry_quarantined(&on(0)) {
                        // Another CPU invalidates or waits for deferred frees.
                        Ok(_) | Err(TrimError::Refused(Refused::Busy)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                Err(other) => panic!("{other}"),
            }
            if round % 16 == 0 {
                pool.invalidate(&on(0), &mut stop.patient()).unwrap();
                invalidations.fetch_add(1, Relaxed);
            }
            std::thread::yield_now();
        }
        stop.now.store(true, Relaxed);
    });
    pool.backend().fail_one_in.store(0, Relaxed);
    pool.cpu_online(&on(0)).unwrap();
    for mail in &mail {
        for set in mail.lock().drain(..) {
            pool.put(&on(0), set).unwrap();
        }
    }
    assert_eq!(pool.retry_quarantined(&on(0)), Ok(0));
    pool.validate(&on(0), true).unwrap();
    let stats = pool.stats(&on(0)).unwrap();
    let closed = pool.close(&on(0), &mut stop.patient()).unwrap();
    assert_eq!(closed.in_use, 0);
    assert_eq!(
        pool.backend().free.lock().len(),
        SETS,
        "every set has come back"
    );
    println!(
        "{} drains with proof, {quarantined:?} quarantined; {stats}",
        drains.load(Relaxed)
    );
    assert!(drains.load(Relaxed) > 0 && stats.total.hits > 0 && invalidations.load(Relaxed) > 0);
}
