//! More CPUs than loom can take: shuttle runs random schedules. It knows no weak memory; that is
//! loom's part.
//!
//! `proofs.md` says how to run them.
#![cfg(shuttle)]

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use pagetable_pool::*;
use shuttle::rand::{thread_rng, Rng};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

const CPUS: usize = 6;
const SETS: usize = 96;
const NO_SET: u32 = u32::MAX;

/// 0: free; 1: constructed; 2: in a cache.
struct Table {
    state: [AtomicU32; SETS],
    next: [AtomicU32; SETS],
}

impl Backend for Table {
    type Set = u32;
    type Error = ();
    const EMPTY: u32 = NO_SET;

    fn construct(&self, out: &mut [u32]) -> Result<Spent, ConstructError<()>> {
        // A scheduling point in the middle of an operation.
        thread::yield_now();
        for made in 0..out.len() {
            let free = self
                .state
                .iter()
                .position(|state| state.compare_exchange(0, 1, SeqCst, SeqCst).is_ok());
            let Some(free) = free else {
                out[..made]
                    .iter()
                    .for_each(|&set| self.state[set as usize].store(0, SeqCst));
                return Err(ConstructError::rolled_back(()));
            };
            out[made] = free as u32;
        }
        Ok(Spent::default())
    }

    fn destruct(&self, sets: &[u32]) -> Result<Spent, DestructError<()>> {
        thread::yield_now();
        for &set in sets {
            assert_eq!(
                self.state[set as usize].swap(0, SeqCst),
                1,
                "set {set} destructed in another state"
            );
        }
        Ok(Spent::default())
    }

    fn set_next(&self, set: u32, next: Option<u32>) {
        self.next[set as usize].store(next.unwrap_or(NO_SET), SeqCst);
    }

    fn next(&self, set: u32) -> Option<u32> {
        Some(self.next[set as usize].load(SeqCst)).filter(|&next| next != NO_SET)
    }

    fn poison(&self, set: u32) {
        assert_eq!(self.state[set as usize].swap(2, SeqCst), 1);
    }

    fn unpoison(&self, set: u32) -> bool {
        self.state[set as usize].swap(1, SeqCst) == 2
    }
}

type P = Pool<Table, CPUS, 4, 2>;

fn on(cpu: usize) -> CpuGuard {
    // SAFETY: one thread for each CPU.
    unsafe { CpuGuard::new(CpuId(cpu), Context::all()) }
}

struct Yield(u32);

impl Wait for Yield {
    fn kick(&mut self, _: CpuId) {}
    fn relax(&mut self, _: CpuId) -> bool {
        thread::yield_now();
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

fn six_cpus() {
    let config = Config::new()
        .cpus::<CPUS>()
        .magazines::<4>()
        .rounds::<2>()
        .construct_batch(2)
        .high_water(4)
        .low_water(2);
    let pool = Arc::new(P::new(
        config,
        Table {
            state: std::array::from_fn(|_| AtomicU32::new(0)),
            next: std::array::from_fn(|_| AtomicU32::new(NO_SET)),
        },
    ));
    let mail: Arc<Mutex<Vec<Constructed<u32>>>> = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = (1..CPUS)
        .map(|cpu| {
            let (pool, mail) = (pool.clone(), mail.clone());
            thread::spawn(move || {
                pool.cpu_online(&on(cpu)).unwrap();
                for _ in 0..12 {
                    match thread_rng().gen_range(0..12) {
                        0 => {
                            pool.idle_enter(&on(cpu)).unwrap();
                            thread::yield_now();
                            pool.idle_exit(&on(cpu)).unwrap();
                        }
                        1 => {
                            pool.cpu_offline(&on(cpu)).unwrap();
                            pool.cpu_online(&on(cpu)).unwrap();
                        }
                        2 => {
                            let _ = pool.invalidate(&on(cpu), &mut Yield(30));
                        }
                        3 => {
                            let _ = pool.barrier(&on(cpu), &mut Yield(30));
                        }
                        4 => {
                            let _ = pool.shrink(&on(cpu), 0);
                            let _ = pool.replenish(&on(cpu));
                        }
                        5..=7 => {
                            if let Ok(set) = pool.get(&on(cpu)) {
                                assert_eq!(
                                    pool.backend().state[set.set() as usize].load(SeqCst),
                                    1
                                );
                                mail.lock().unwrap().push(set);
                            }
                        }
                        8 => {
                            let set = mail.lock().unwrap().pop();
                            if let Some(set) = set {
                                match pool.put_deferred(&on(cpu), set) {
                                    Ok(()) => {}
                                    Err(PutError::Refused(Refused::Closed, set)) => {
                                        mail.lock().unwrap().push(set)
                                    }
                                    Err(other) => panic!("{other}"),
                                }
                            }
                        }
                        _ => {
                            let set = mail.lock().unwrap().pop();
                            if let Some(set) = set {
                                pool.put(&on(cpu), set).unwrap();
                            }
                        }
                    }
                    pool.quiescent(&on(cpu));
                }
                pool.idle_enter(&on(cpu)).unwrap();
            })
        })
        .collect();
    for _ in 0..3 {
        match pool.drain(&on(0), &mut Yield(40)) {
            Ok(drained) => {
                assert_eq!(drained.left(), 0);
                let states = &pool.backend().state;
                assert!(
                    states.iter().all(|state| state.load(SeqCst) != 2),
                    "a set is cached while the proof lives"
                );
                thread::yield_now();
                assert!(
                    states.iter().all(|state| state.load(SeqCst) != 2),
                    "a set was cached while the proof lives"
                );
            }
            Err(DrainError::Timeout(_) | DrainError::Refused(Refused::Busy)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    for worker in workers {
        worker.join().unwrap();
    }
    pool.cpu_online(&on(0)).unwrap();
    while let Some(set) = {
        let set = mail.lock().unwrap().pop();
        set
    } {
        pool.put(&on(0), set).unwrap();
    }
    pool.validate(&on(0), true).unwrap();
    assert_eq!(pool.close(&on(0), &mut Yield(2)).unwrap().in_use, 0);
    assert!(
        pool.backend()
            .state
            .iter()
            .all(|state| state.load(SeqCst) == 0),
        "everything is destructed"
    );
}

#[test]
fn random_schedules() {
    shuttle::check_random(six_cpus, 20_000);
}

/// PCT finds bugs that need few, but the right, preemptions.
#[test]
fn schedules_with_few_preemptions() {
    shuttle::check_pct(six_cpus, 20_000, 3);
}
