//! What a caller may rely on whatever others do: proofs that last, errors that name the remedy,
//! figures that do not lie, and ways of ending that all end alike.
#![cfg(not(any(loom, shuttle)))]

mod common;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use common::*;
use pagetable_pool::*;

type P = Pool<Table, 3, 4, 4>;

fn pool_of(sets: usize) -> P {
    let pool = P::new(
        Config::new()
            .cpus::<3>()
            .magazines::<4>()
            .rounds::<4>()
            .construct_batch(1),
        Table::new(sets),
    );
    (0..3).for_each(|cpu| pool.cpu_online(&on(cpu)).unwrap());
    pool
}

fn take(pool: &P, cpu: usize, n: usize) -> Vec<Constructed<u32>> {
    (0..n).map(|_| pool.get(&on(cpu)).unwrap()).collect()
}

fn fill(pool: &P, cpu: usize, n: usize) {
    let sets = take(pool, cpu, n);
    sets.into_iter()
        .for_each(|set| pool.put(&on(cpu), set).unwrap());
}

/// CPUs pass by going idle for a moment, so that none of them collects or destructs anything.
fn all_pass_without_collecting(pool: &P) -> impl Wait + '_ {
    meanwhile(|cpu: CpuId| {
        pool.idle_enter(&on(cpu.0)).unwrap();
        pool.idle_exit(&on(cpu.0)).unwrap();
    })
}

mod a_proof {
    use super::*;

    #[test]
    fn lasts_whatever_is_called() {
        let pool = pool_of(32);
        fill(&pool, 1, 3);
        let mut out = take(&pool, 1, 3);
        let bad = out[0].set();
        pool.backend().indestructible.store(bad, SeqCst);
        let proof = pool.drain(&on(0), &mut all_pass(&pool)).unwrap();
        let holds = || assert_eq!(proof.recheck(&on(0)), Ok(()));
        holds();
        // A put that cannot destruct gives the set back: it stays in use.
        let put = pool.put(&on(1), out.remove(0));
        let Err(PutError::NotDestructed(set, Fault::Injected)) = put else {
            panic!("{put:?}")
        };
        assert_eq!((set.set(), proof.in_use()), (bad, 3));
        holds();
        pool.put(&on(2), out.remove(0)).unwrap();
        holds();
        let Err(PutError::Refused(Refused::Closed, third)) =
            pool.put_deferred(&on(1), out.remove(0))
        else {
            panic!("accepted")
        };
        let Err(PutError::Refused(Refused::Closed, third)) = pool.try_put(&on(1), third) else {
            panic!("accepted")
        };
        assert_eq!(
            pool.retry_quarantined(&on(1)),
            Err(TrimError::Refused(Refused::Busy))
        );
        for cpu in 1..3 {
            pool.quiescent(&on(cpu));
            pool.idle_enter(&on(cpu)).unwrap();
            pool.idle_exit(&on(cpu)).unwrap();
            assert!(pool.get(&on(cpu)).is_err() && pool.try_get(&on(cpu)).is_none());
            assert!(pool.shrink(&on(cpu), 0).is_err() && pool.replenish(&on(cpu)).is_err());
            assert!(pool.reclaim(&on(cpu), &mut Impatient::default()).is_err());
            assert!(pool.barrier(&on(cpu), &mut Impatient::default()).is_err());
            pool.cpu_offline(&on(cpu)).unwrap();
            pool.cpu_online(&on(cpu)).unwrap();
            holds();
        }
        drop(proof);
        pool.put(&on(1), third).unwrap();
        pool.put(&on(1), set).unwrap();
        pool.validate(&on(0), true).unwrap();
    }

    #[test]
    fn belongs_to_one_pool() {
        let (ours, theirs) = (pool_of(8), pool_of(8));
        fill(&ours, 0, 2);
        let proof = theirs.drain(&on(0), &mut all_pass(&theirs)).unwrap();
        assert!(proof.is_of(&theirs) && !proof.is_of(&ours));
    }

    #[test]
    fn is_not_given_while_something_is_in_quarantine_and_a_retry_excludes_a_drain() {
        let pool = pool_of(8);
        let set = pool.get(&on(1)).unwrap();
        pool.backend().indestructible.store(set.set(), SeqCst);
        pool.put(&on(1), set).unwrap();
        assert!(pool.drain_cpu(&on(1)).is_err());
        assert!(matches!(
            pool.drain(&on(0), &mut all_pass(&pool)),
            Err(DrainError::Quarantined { count: 1, .. })
        ));
        assert_eq!(pool.retry_quarantined(&on(1)), Ok(1));
        pool.backend().indestructible.store(NO_SET, SeqCst);
        assert_eq!(pool.retry_quarantined(&on(1)), Ok(0));
        assert!(pool.drain(&on(0), &mut all_pass(&pool)).is_ok());
    }
}

mod a_backend_that_panics {
    use super::*;

    #[test]
    fn leaves_no_old_set_that_counts_as_new() {
        let pool = pool_of(32);
        fill(&pool, 1, 6); // more than a magazine
        pool.backend().form.store(2, SeqCst);
        pool.invalidate(&on(0), &mut all_pass_without_collecting(&pool))
            .unwrap();
        pool.backend().panic_in.store(1, SeqCst);
        let result = catch_unwind(AssertUnwindSafe(|| pool.get(&on(1)).map(drop)));
        assert!(result.is_err());
        assert_eq!(
            pool.try_get(&on(1)),
            None,
            "the rest is of the old form still"
        );
        let set = pool.get(&on(1)).unwrap();
        assert_eq!(pool.backend().form_of(set.set()), 2);
    }

    #[test]
    fn leaves_the_gate_open_and_control_free() {
        let pool = pool_of(32);
        fill(&pool, 1, 3);
        pool.backend().panic_in.store(1, SeqCst);
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.drain(&on(0), &mut all_pass(&pool)).map(drop)
        }));
        assert!(result.is_err());
        let set = pool.get(&on(1)).expect("the gate is open");
        pool.put(&on(1), set).unwrap();
        assert!(pool.drain(&on(2), &mut all_pass(&pool)).is_ok());
    }

    #[test]
    fn leaves_what_a_barrier_held_for_the_next() {
        let pool = pool_of(32);
        let mut sets = take(&pool, 1, 6);
        pool.backend().form.store(2, SeqCst);
        pool.invalidate(&on(0), &mut all_pass(&pool)).unwrap();
        while let Some(set) = sets.pop() {
            pool.put_deferred(&on(1), set).unwrap();
        }
        pool.backend().panic_in.store(2, SeqCst);
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.barrier(&on(0), &mut all_pass_without_collecting(&pool))
        }));
        assert!(result.is_err());
        assert_eq!(
            pool.barrier(&on(0), &mut all_pass_without_collecting(&pool)),
            Ok(4)
        );
    }
}

mod hoarding {
    use super::*;

    #[test]
    fn is_named_with_its_remedy_and_reclaim_is_one() {
        let pool = pool_of(8);
        // CPU 0 only gets, CPU 1 only puts.
        let error = loop {
            match pool.get(&on(0)) {
                Ok(set) => pool.put(&on(1), set).unwrap(),
                Err(error) => break error,
            }
        };
        let expected = GetError::Hoarded {
            error: Fault::NoMemory,
            idle: 8,
        };
        assert_eq!(error, expected);
        assert!(error.to_string().contains("Pool::reclaim"), "{error}");
        let reclaimed = pool.reclaim(&on(0), &mut all_pass(&pool)).unwrap();
        assert_eq!((reclaimed.to_depot, reclaimed.destructed), (8, 0));
        let sets = take(&pool, 0, 8);
        // Now they are all out, and nobody hoards.
        assert_eq!(pool.get(&on(0)), Err(GetError::Construct(Fault::NoMemory)));
        sets.into_iter()
            .for_each(|set| pool.put(&on(0), set).unwrap());
        pool.validate(&on(0), true).unwrap();
    }

    #[test]
    fn of_deferred_and_old_sets_ends_too() {
        let pool = pool_of(8);
        let mut sets = take(&pool, 1, 8);
        sets.drain(..3)
            .for_each(|set| pool.put_deferred(&on(1), set).unwrap());
        sets.drain(..4)
            .for_each(|set| pool.put(&on(1), set).unwrap());
        pool.backend().form.store(2, SeqCst);
        pool.invalidate(&on(2), &mut all_pass_without_collecting(&pool))
            .unwrap();
        let error = pool.get(&on(0)).unwrap_err();
        assert!(
            matches!(error, GetError::Hoarded { idle: 7, .. }),
            "{error}"
        );
        let reclaimed = pool
            .reclaim(&on(0), &mut all_pass_without_collecting(&pool))
            .unwrap();
        assert_eq!((reclaimed.to_depot, reclaimed.destructed), (0, 7));
        let got = take(&pool, 0, 7);
        assert!(got.iter().all(|set| pool.backend().form_of(set.set()) == 2));
    }
}

#[test]
fn sets_in_use_are_never_counted_too_low() {
    let pool = pool_of(64);
    let held = take(&pool, 0, 8);
    let ended = AtomicBool::new(false);
    let (send, receive) = std::sync::mpsc::sync_channel(4);
    std::thread::scope(|scope| {
        let pool = &pool;
        scope.spawn(move || {
            for _ in 0..40_000 {
                send.send(pool.get(&on(1)).unwrap()).unwrap();
            }
        });
        let ended = &ended;
        scope.spawn(move || {
            for set in receive {
                pool.put(&on(2), set).unwrap();
            }
            ended.store(true, SeqCst);
        });
        while !ended.load(SeqCst) {
            let in_use = pool.stats(&on(0)).unwrap().in_use;
            // Never too low. It may be too high by all that comes and goes while the counters are
            // read, which has no limit: this thread need not run between two of them.
            assert!(in_use >= 8, "{in_use} in use, 8 are held");
        }
    });
    assert_eq!(pool.stats(&on(0)).unwrap().in_use, 8);
    drop(held);
}

#[test]
fn what_an_idle_cpu_deferred_is_finished_by_those_who_run() {
    let pool = pool_of(32);
    for set in take(&pool, 1, 6) {
        pool.put_deferred(&on(1), set).unwrap();
    }
    pool.idle_enter(&on(1)).unwrap();
    assert_eq!(pool.stats(&on(0)).unwrap().in_flight, 6);
    for _ in 0..3 {
        pool.quiescent(&on(0));
        pool.quiescent(&on(2));
    }
    assert_eq!(pool.stats(&on(0)).unwrap().in_flight, 0);
    pool.validate(&on(0), true).unwrap();
}

#[test]
fn a_barrier_is_not_put_off_by_what_is_deferred_meanwhile() {
    let pool = pool_of(64);
    // CPU 1: an array of 4, and a list.
    let mut sets = take(&pool, 1, 12);
    for set in sets.drain(..6) {
        pool.put_deferred(&on(1), set).unwrap();
    }
    let mut wait = meanwhile(|cpu: CpuId| {
        if let Some(set) = sets.pop() {
            pool.put_deferred(&on(1), set).unwrap();
        }
        pool.idle_enter(&on(cpu.0)).unwrap();
        pool.idle_exit(&on(cpu.0)).unwrap();
    });
    assert_eq!(pool.barrier(&on(0), &mut wait), Ok(6));
    drop(wait);
    assert_eq!(pool.stats(&on(0)).unwrap().in_flight, 6 - sets.len());
}

#[test]
fn a_put_after_a_cpu_has_left_is_refused_and_loses_nothing() {
    let pool = pool_of(16);
    fill(&pool, 1, 3);
    let mut sets = take(&pool, 1, 2);
    assert_eq!(pool.cpu_offline(&on(1)).unwrap().cached, 0);
    let not_online = Refused::NotOnline(CpuId(1));
    let Err(PutError::Refused(why, one)) = pool.put(&on(1), sets.pop().unwrap()) else {
        panic!("accepted")
    };
    assert_eq!(why, not_online);
    let Err(PutError::Refused(why, two)) = pool.try_put(&on(1), sets.pop().unwrap()) else {
        panic!("accepted")
    };
    assert_eq!(why, not_online);
    let Err(PutError::Refused(why, one)) = pool.put_deferred(&on(1), one) else {
        panic!("accepted")
    };
    assert_eq!(why, not_online);
    assert_eq!(pool.cpu_stats(CpuId(1)).unwrap().cached, 0);
    pool.put(&on(0), one).unwrap();
    pool.put(&on(2), two).unwrap();
    pool.validate(&on(0), true).unwrap();
}

#[test]
fn an_idle_cpu_that_leaves_empties_its_cache_too() {
    let pool = pool_of(16);
    fill(&pool, 1, 3);
    pool.idle_enter(&on(1)).unwrap();
    let left = pool.cpu_offline(&on(1)).unwrap();
    assert_eq!((left.drained, left.cached), (3, 0));
    assert!(!pool.cpu_stats(CpuId(1)).unwrap().running);
    assert_eq!(pool.backend().alive(), 0);
}

/// One history, ended in each of the ways in which a CPU's sets can end.
mod every_way_to_end {
    use super::*;

    /// CPU 1 with sets in its cache and deferred, in its array and its list; then perhaps they grow
    /// old. One of them cannot be destructed: the `bad`th.
    fn history(old: bool, bad: usize) -> P {
        let pool = pool_of(32);
        let mut sets = take(&pool, 1, 13);
        pool.backend().indestructible.store(sets[bad].set(), SeqCst);
        for set in sets.drain(..6) {
            pool.put_deferred(&on(1), set).unwrap();
        }
        for set in sets.drain(..6) {
            pool.put(&on(1), set).unwrap();
        }
        if old {
            pool.backend().form.store(2, SeqCst);
            pool.invalidate(&on(0), &mut all_pass_without_collecting(&pool))
                .unwrap();
        }
        std::mem::forget(sets); // one stays in use
        pool
    }

    /// Whatever is left is finished, and nothing is used again.
    fn ended(pool: &P) -> [usize; 9] {
        let _ = pool.barrier(&on(0), &mut all_pass_without_collecting(pool));
        for cpu in 0..3 {
            let _ = pool.drain_cpu(&on(cpu));
        }
        let stats = pool.stats(&on(0)).unwrap();
        pool.validate(&on(0), true).unwrap();
        [
            pool.backend().alive(),
            stats.in_use,
            stats.quarantined,
            stats.total.cached,
            stats.depot,
            stats.in_flight,
            stats.total.constructed,
            stats.total.destructed,
            stats.total.failed,
        ]
    }

    #[test]
    fn ends_alike() {
        let drain = |pool: &P| {
            let drained = pool.drain(&on(0), &mut all_pass_without_collecting(pool));
            assert!(matches!(drained, Err(DrainError::Quarantined { .. })));
        };
        type Way<'a> = (&'a str, &'a dyn Fn(&P));
        let ways: [Way<'_>; 7] = [
            ("drain", &drain),
            ("drain_cpu", &|pool| {
                let _ = pool.drain_cpu(&on(1));
            }),
            ("cpu_offline", &|pool| {
                let _ = pool.cpu_offline(&on(1));
            }),
            ("idle and swept", &|pool| {
                pool.idle_enter(&on(1)).unwrap();
                drain(pool);
            }),
            ("dead and swept", &|pool| {
                pool.idle_enter(&on(1)).unwrap();
                let _ = pool.cpu_offline(&on(1));
                drain(pool);
            }),
            ("idle, and others collect", &|pool| {
                pool.idle_enter(&on(1)).unwrap();
                for _ in 0..4 {
                    pool.quiescent(&on(0));
                    pool.quiescent(&on(2));
                }
                pool.idle_exit(&on(1)).unwrap();
            }),
            ("close", &|pool| {
                let closed = pool.close(&on(0), &mut all_pass_without_collecting(pool));
                assert!(matches!(closed, Err(DrainError::Quarantined { .. })));
            }),
        ];
        for old in [false, true] {
            for bad in 0..12 {
                for (name, end) in ways {
                    let pool = history(old, bad);
                    end(&pool);
                    if name == "close" {
                        // No barrier and no drain_cpu any more: nothing is left for them.
                        assert_eq!(pool.stats(&on(0)).unwrap().in_flight, 0);
                        assert_eq!(pool.backend().alive(), 2);
                        continue;
                    }
                    let [alive, in_use, quarantined, cached, depot, in_flight, made, unmade, failed] =
                        ended(&pool);
                    assert_eq!(
                        (alive, in_use, quarantined, cached, depot, in_flight),
                        (2, 1, 1, 0, 0, 0),
                        "{name}, old: {old}, bad: {bad}"
                    );
                    assert_eq!((made - unmade, failed), (2, 1), "{name}, {old}, {bad}");
                    // Heals in the same way too.
                    pool.backend().indestructible.store(NO_SET, SeqCst);
                    assert_eq!(pool.retry_quarantined(&on(0)), Ok(0));
                    assert_eq!(pool.backend().alive(), 1);
                }
            }
        }
    }
}
