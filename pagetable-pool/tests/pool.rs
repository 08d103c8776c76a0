//! What each call does, and what it refuses.
#![cfg(not(any(loom, shuttle)))]

mod common;

use common::*;
use pagetable_pool::*;
use std::sync::atomic::Ordering::SeqCst;

type P = Pool<Table, 3, 4, 4>;

/// Three CPUs, four magazines of four.
fn small() -> Config<3, 4, 4> {
    Config::new().cpus::<3>().magazines::<4>().rounds::<4>()
}

fn pool_with(config: Config<3, 4, 4>) -> P {
    let pool = P::new(config, Table::new(128));
    (0..3).for_each(|cpu| pool.cpu_online(&on(cpu)).unwrap());
    pool
}

fn pool() -> P {
    pool_with(small().construct_batch(2))
}

/// Takes `n` sets on `cpu` and puts them all back there.
fn fill(pool: &P, cpu: usize, n: usize) {
    let sets: Vec<_> = (0..n).map(|_| pool.get(&on(cpu)).unwrap()).collect();
    sets.into_iter()
        .for_each(|set| pool.put(&on(cpu), set).unwrap());
}

fn cached(pool: &P) -> [usize; 3] {
    [0, 1, 2].map(|cpu| pool.cpu_stats(CpuId(cpu)).unwrap().cached)
}

#[test]
fn a_miss_constructs_a_batch_and_the_rest_are_hits() {
    let pool = pool_with(small().construct_batch(4));
    let sets: Vec<_> = (0..4).map(|_| pool.get(&on(0)).unwrap()).collect();
    let stats = pool.stats(&on(0)).unwrap();
    assert_eq!(
        (
            stats.total.hits,
            stats.total.misses,
            stats.total.constructed,
            stats.in_use
        ),
        (3, 1, 4, 4)
    );
    assert_eq!(pool.backend().construct_calls.load(SeqCst), 1);
    assert!(pool.try_get(&on(0)).is_none(), "try_get never constructs");
    sets.into_iter()
        .for_each(|set| pool.put(&on(0), set).unwrap());
    assert!(pool
        .try_get(&on(0))
        .map(|set| pool.put(&on(0), set).unwrap())
        .is_some());
    pool.validate(&on(0), true).unwrap();
}

#[test]
fn a_full_cache_moves_a_magazine_to_the_depot_and_another_cpu_takes_it() {
    let pool = pool();
    fill(&pool, 0, 9); // 8 fit
    let stats = pool.stats(&on(0)).unwrap();
    // 10 were constructed in pairs; one magazine of 4 moved.
    assert_eq!((stats.total.cached, stats.depot), (6, 4));
    let constructed = stats.total.constructed;
    let set = pool.get(&on(1)).unwrap();
    assert_eq!(
        pool.stats(&on(1)).unwrap().total.constructed,
        constructed,
        "CPU 1 was served from the depot"
    );
    assert_eq!(cached(&pool), [6, 3, 0]);
    pool.put(&on(1), set).unwrap();
    pool.validate(&on(1), true).unwrap();
}

#[test]
fn a_drain_takes_everything_and_says_from_where() {
    let pool = pool();
    fill(&pool, 0, 9);
    fill(&pool, 1, 2);
    fill(&pool, 2, 3);
    let out = pool.get(&on(2)).unwrap();
    let before = pool.stats(&on(0)).unwrap();
    let here = cached(&pool);
    let drained = pool.drain(&on(0), &mut all_pass(&pool)).unwrap();
    let taken = [0, 1, 2].map(|cpu| drained.taken_from(CpuId(cpu)));
    assert_eq!(taken, here);
    assert_eq!(drained.report().depot, before.depot);
    assert_eq!(drained.sets(), before.total.cached + before.depot);
    assert_eq!((drained.left(), drained.in_use()), (0, 1));
    assert_eq!(
        drained.report().backend_calls,
        1,
        "one batch for all of them"
    );
    assert_eq!(drained.report().tlb_flushes, 1);
    assert_eq!(
        pool.backend().alive(),
        1,
        "the backend agrees: one is out, none is cached"
    );

    // Closed: no get, a put destructs, a deferred free stays with its owner.
    assert_eq!(pool.get(&on(1)), Err(GetError::Refused(Refused::Closed)));
    assert_eq!(pool.try_get(&on(1)), None);
    let Err(PutError::Refused(Refused::Closed, out)) = pool.put_deferred(&on(2), out) else {
        panic!("accepted")
    };
    pool.put(&on(2), out).unwrap();
    assert_eq!(pool.backend().alive(), 0);

    drop(drained);
    let set = pool.get(&on(1)).unwrap();
    pool.put(&on(1), set).unwrap();
    pool.validate(&on(1), true).unwrap();
}

#[test]
fn a_drain_wakes_nobody_who_is_away_and_empties_them_all_the_same() {
    let pool = pool();
    (0..3).for_each(|cpu| fill(&pool, cpu, 2));
    pool.idle_enter(&on(1)).unwrap();
    pool.idle_enter(&on(2)).unwrap();
    let mut wait = Impatient::default();
    let drained = pool.drain(&on(0), &mut wait).unwrap();
    assert_eq!(wait.kicked, []);
    assert_eq!(
        [0, 1, 2].map(|cpu| drained.taken_from(CpuId(cpu))),
        [2, 2, 2]
    );
    drop(drained);
    assert_eq!(
        pool.get(&on(1)),
        Err(GetError::Refused(Refused::NotOnline(CpuId(1)))),
        "still away"
    );
    pool.idle_exit(&on(1)).unwrap();
    let set = pool.get(&on(1)).unwrap();
    pool.put(&on(1), set).unwrap();
}

#[test]
fn a_cpu_that_does_not_pass_is_kicked_once_and_named_and_its_cache_left_alone() {
    let pool = pool();
    (0..3).for_each(|cpu| fill(&pool, cpu, 2));
    pool.idle_enter(&on(1)).unwrap();
    let mut wait = Meanwhile {
        kicked: Vec::new(),
        patience: 5,
        step: |_| {},
    };
    let error = pool.drain(&on(0), &mut wait).unwrap_err();
    assert!(
        matches!(error, DrainError::Timeout(late) if late.cpu == CpuId(2)),
        "{error}"
    );
    assert_eq!(wait.kicked, [2]);
    assert_eq!(cached(&pool), [2, 2, 2]);
    assert!(
        pool.try_get(&on(0))
            .map(|set| pool.put(&on(0), set).unwrap())
            .is_some(),
        "the gate is open again"
    );
    // The late CPU comes round; the next drain takes everything.
    let drained = pool.drain(&on(0), &mut all_pass(&pool)).unwrap();
    assert_eq!(drained.sets(), 6);
}

#[test]
fn a_hostile_wait_that_works_the_pool_on_other_cpus_cannot_spoil_the_proof() {
    let pool = pool();
    (0..3).for_each(|cpu| fill(&pool, cpu, 3));
    let mut held = vec![pool.get(&on(1)).unwrap(), pool.get(&on(2)).unwrap()];
    let mut refused = 0;
    let mut steps = 0;
    let mut wait = meanwhile(|late: CpuId| {
        steps += 1;
        // CPUs 1 and 2 get and put wildly, defer, and pass only after a while.
        for cpu in [1, 2] {
            if let Some(set) = held.pop() {
                match pool.put(&on(cpu), set) {
                    Ok(()) => {}
                    Err(PutError::Refused(_, set)) => held.push(set),
                    Err(other) => panic!("{other}"),
                }
            }
            match pool.get(&on(cpu)) {
                Ok(set) => held.push(set),
                Err(_) => refused += 1,
            }
        }
        if steps > 20 {
            pool.quiescent(&on(late.0));
        }
    });
    let drained = pool.drain(&on(0), &mut wait).unwrap();
    assert_eq!(drained.left(), 0);
    let in_use = drained.in_use();
    assert_eq!(pool.backend().alive(), in_use);
    assert!(refused > 0);
    drop(drained);
    drop(held);
}

/// A kick that does everything but what it is asked for, on the CPU that it is sent to and on
/// others.
struct HostileKick<'a> {
    pool: &'a P,
    kicks: usize,
    patience: usize,
}

impl Wait for HostileKick<'_> {
    fn kick(&mut self, cpu: CpuId) {
        self.kicks += 1;
        let (pool, here) = (self.pool, on(cpu.0));
        assert!(pool.get(&here).is_err(), "the gate is closed");
        assert_eq!(pool.try_get(&here), None);
        assert_eq!(
            pool.drain_cpu(&here),
            Err(TrimError::Refused(Refused::Closed))
        );
        assert_eq!(
            pool.shrink(&here, 0),
            Err(TrimError::Refused(Refused::Closed))
        );
        // The drainer has control: nobody else gets it, and nobody waits for ever.
        assert!(matches!(
            pool.drain(&here, &mut Impatient::default()),
            Err(DrainError::Refused(Refused::Busy))
        ));
        assert_eq!(
            pool.barrier(&here, &mut Impatient::default()),
            Err(WaitError::Refused(Refused::Busy))
        );
        // Leaves with its cache full, and comes back at once, again and again.
        for _ in 0..3 {
            let left = pool.cpu_offline(&here).unwrap();
            assert_eq!(left.drained, 0, "its cache is the drainer's");
            pool.cpu_online(&here).unwrap();
        }
    }

    fn relax(&mut self, _: CpuId) -> bool {
        self.patience = self.patience.saturating_sub(1);
        self.patience > 0
    }
}

#[test]
fn a_hostile_kick_cannot_spoil_the_proof() {
    let pool = pool();
    (0..3).for_each(|cpu| fill(&pool, cpu, 4));
    let mut wait = HostileKick {
        pool: &pool,
        kicks: 0,
        patience: 10,
    };
    // Having left and come back, both have passed, if not in the way that was meant.
    let drained = pool.drain(&on(0), &mut wait).unwrap();
    assert_eq!(wait.kicks, 2);
    assert_eq!(
        (drained.sets(), drained.left(), pool.backend().alive()),
        (12, 0, 0)
    );
}

#[test]
fn two_drains_exclude_each_other() {
    let pool = pool();
    let drained = pool.drain(&on(0), &mut all_pass(&pool)).unwrap();
    let second = pool.drain(&on(1), &mut Impatient::default());
    assert_eq!(second.unwrap_err(), DrainError::Refused(Refused::Busy));
    assert_eq!(
        pool.invalidate(&on(1), &mut Impatient::default()),
        Err(WaitError::Refused(Refused::Busy))
    );
    drop(drained);
    assert!(pool.drain(&on(1), &mut all_pass(&pool)).is_ok());
}

#[test]
fn after_invalidate_no_old_set_is_handed_out() {
    let pool = pool();
    fill(&pool, 1, 3);
    fill(&pool, 0, 10);
    assert!(pool.stats(&on(0)).unwrap().depot > 0);
    let in_use = pool.get(&on(1)).unwrap();
    pool.backend().form.store(2, SeqCst);
    let generation = pool.invalidate(&on(2), &mut all_pass(&pool)).unwrap();
    assert_eq!((generation.get(), in_use.generation().get()), (2, 1));
    assert_eq!(
        pool.stats(&on(2)).unwrap().depot,
        0,
        "the depot's went at once"
    );
    let calls = pool.backend().destruct_calls.load(SeqCst);
    assert_eq!(
        pool.try_get(&on(0)),
        None,
        "and try_get does not give a stale one"
    );
    assert_eq!(
        pool.backend().destruct_calls.load(SeqCst),
        calls,
        "nor destructs it: that may take a lock"
    );
    pool.put(&on(1), in_use).unwrap(); // destructed, not cached
    for cpu in 0..3 {
        let sets: Vec<_> = (0..12).map(|_| pool.get(&on(cpu)).unwrap()).collect();
        sets.iter()
            .for_each(|set| assert_eq!(pool.backend().form_of(set.set()), 2));
        sets.into_iter()
            .for_each(|set| pool.put(&on(cpu), set).unwrap());
    }
    assert!(pool.stats(&on(0)).unwrap().total.stale_refused >= 4);
    pool.validate(&on(0), true).unwrap();
}

#[test]
fn a_drained_pool_can_change_its_generation_without_waiting() {
    let pool = pool();
    let old = pool.get(&on(0)).unwrap();
    let drained = pool.drain(&on(0), &mut all_pass(&pool)).unwrap();
    assert_eq!(drained.invalidate().get(), 2);
    drop(drained);
    pool.put(&on(0), old).unwrap();
    assert_eq!(
        cached(&pool),
        [0, 0, 0],
        "a set of the old form is not kept"
    );
    assert_eq!(pool.get(&on(0)).unwrap().generation().get(), 2);
}

#[test]
fn a_set_that_cannot_be_destructed_is_kept_named_and_stands_in_the_way_of_a_proof() {
    let pool = pool();
    fill(&pool, 0, 6);
    let bad = pool.get(&on(0)).unwrap();
    let name = bad.set();
    pool.put(&on(0), bad).unwrap();
    pool.backend().indestructible.store(name, SeqCst);
    let error = pool.drain(&on(1), &mut all_pass(&pool)).unwrap_err();
    let expected = DrainError::Quarantined {
        count: 1,
        set: name,
        reason: Reason::Destruct(Fault::Injected),
    };
    assert_eq!(error, expected);
    assert_eq!(pool.backend().alive(), 1, "everything else is gone");
    assert_eq!(
        pool.drain(&on(1), &mut all_pass(&pool)).unwrap_err(),
        expected,
        "and it is not forgotten"
    );
    // Not used again.
    let sets: Vec<_> = (0..20).map(|_| pool.get(&on(0)).unwrap()).collect();
    assert!(sets.iter().all(|set| set.set() != name));
    sets.into_iter()
        .for_each(|set| pool.put(&on(0), set).unwrap());
    pool.validate(&on(0), true).unwrap();
    assert_eq!(pool.retry_quarantined(&on(0)), Ok(1));
    pool.backend().indestructible.store(NO_SET, SeqCst);
    assert_eq!(pool.retry_quarantined(&on(0)), Ok(0));
    assert!(pool.drain(&on(1), &mut all_pass(&pool)).is_ok());
    assert_eq!(pool.backend().alive(), 0);
}

#[test]
fn a_put_that_cannot_destruct_says_so() {
    let pool = pool();
    let set = pool.get(&on(0)).unwrap();
    let name = set.set();
    pool.backend().indestructible.store(name, SeqCst);
    pool.invalidate(&on(0), &mut all_pass(&pool)).unwrap();
    assert_eq!(
        pool.put(&on(0), set),
        Err(PutError::Quarantined(name, Fault::Injected))
    );
    pool.validate(&on(0), true).unwrap();
}

#[test]
fn construction_that_fails_halfway_leaves_nothing_and_one_may_still_be_had() {
    let pool = pool_with(small().construct_batch(4));
    pool.backend().construct_budget.store(3, SeqCst); // the batch of 4 fails at its last
    assert_eq!(pool.get(&on(0)), Err(GetError::Construct(Fault::Injected)));
    assert_eq!(pool.backend().alive(), 0);
    pool.backend().construct_budget.store(1, SeqCst);
    assert_eq!(
        pool.get(&on(0)),
        Err(GetError::Construct(Fault::Injected)),
        "the first try took the last of the budget"
    );
    let crowded = Pool::new(
        Config::new()
            .cpus::<1>()
            .magazines::<1>()
            .rounds::<4>()
            .construct_batch(4),
        Table::new(3),
    );
    crowded.cpu_online(&on(0)).unwrap();
    let sets: Vec<_> = (0..3).map(|_| crowded.get(&on(0)).unwrap()).collect();
    assert_eq!(
        crowded.get(&on(0)),
        Err(GetError::Construct(Fault::NoMemory))
    );
    sets.into_iter()
        .for_each(|set| crowded.put(&on(0), set).unwrap());
    crowded.validate(&on(0), true).unwrap();
}

#[test]
fn what_cannot_be_rolled_back_is_quarantined() {
    let pool = pool_with(small().construct_batch(4));
    pool.backend().construct_budget.store(3, SeqCst);
    pool.backend().stuck.store(2, SeqCst);
    assert_eq!(pool.get(&on(0)), Err(GetError::Construct(Fault::Injected)));
    assert_eq!(pool.stats(&on(0)).unwrap().quarantined, 2);
    assert!(matches!(
        pool.drain(&on(0), &mut all_pass(&pool)),
        Err(DrainError::Quarantined {
            count: 2,
            reason: Reason::RollBack(Fault::Injected),
            ..
        })
    ));
    assert_eq!(pool.retry_quarantined(&on(0)), Ok(0));
    assert_eq!(pool.backend().alive(), 0);
}

#[test]
fn a_leaving_cpu_empties_its_cache_and_a_dead_ones_is_swept() {
    let pool = pool();
    (0..3).for_each(|cpu| fill(&pool, cpu, 3));
    let held = cached(&pool);
    let left = pool.cpu_offline(&on(1)).unwrap();
    assert_eq!((left.drained, left.cached, left.deferred), (held[1], 0, 0));
    assert_eq!(pool.backend().alive(), held[0] + held[2]);
    // CPU 2 dies without a word while it was idle.
    pool.idle_enter(&on(2)).unwrap();
    let mut wait = Impatient::default();
    let drained = pool.drain(&on(0), &mut wait).unwrap();
    assert_eq!(
        (drained.taken_from(CpuId(2)), wait.kicked.len()),
        (held[2], 0)
    );
    drop(drained);
    // Attach again and again.
    pool.cpu_online(&on(1)).unwrap();
    pool.cpu_online(&on(1)).unwrap();
    let set = pool.get(&on(1)).unwrap();
    pool.put(&on(1), set).unwrap();
    pool.validate(&on(1), true).unwrap();
}

#[test]
fn drain_cpu_concerns_its_own_cache_only() {
    let pool = pool();
    (0..3).for_each(|cpu| fill(&pool, cpu, 4));
    assert_eq!(pool.drain_cpu(&on(1)), Ok(4));
    assert_eq!(cached(&pool), [4, 0, 4]);
    assert_eq!(pool.drain_cpu(&on(1)), Ok(0));
    let bad = pool.get(&on(2)).unwrap();
    pool.backend().indestructible.store(bad.set(), SeqCst);
    let name = bad.set();
    pool.put(&on(2), bad).unwrap();
    assert_eq!(
        pool.drain_cpu(&on(2)),
        Err(TrimError::Quarantined {
            set: name,
            error: Fault::Injected,
            done: 3
        })
    );
    assert_eq!(cached(&pool), [4, 0, 0]);
}

#[test]
fn a_deferred_set_stays_a_set_until_everybody_has_passed() {
    let pool = pool();
    let set = pool.get(&on(0)).unwrap();
    let name = set.set();
    pool.put_deferred(&on(0), set).unwrap();
    assert_eq!(pool.stats(&on(0)).unwrap().in_flight, 1);
    for _ in 0..4 {
        pool.quiescent(&on(0));
        pool.quiescent(&on(1));
        assert_eq!(
            pool.stats(&on(0)).unwrap().in_flight,
            1,
            "CPU 2 may still be reading"
        );
        assert!(pool.backend().is_alive(name));
        // Others come and go, but not this one.
        let other = pool.get(&on(0)).unwrap();
        assert_ne!(other.set(), name);
        pool.put(&on(0), other).unwrap();
    }
    pool.quiescent(&on(2));
    pool.quiescent(&on(0));
    assert_eq!(pool.stats(&on(0)).unwrap().in_flight, 0);
    pool.validate(&on(0), true).unwrap();
}

#[test]
fn deferred_frees_overflow_to_a_list_and_the_barrier_waits_for_all() {
    let pool = pool();
    let sets: Vec<_> = (0..11).map(|_| pool.get(&on(0)).unwrap()).collect();
    for (i, set) in sets.into_iter().enumerate() {
        // 4 fit into CPU 0's array.
        pool.put_deferred(&on(usize::from(i >= 9)), set).unwrap();
    }
    let stats = pool.stats(&on(0)).unwrap();
    assert_eq!((stats.in_flight, stats.deferred_overflow), (11, 5));
    assert_eq!(
        pool.barrier(&on(2), &mut all_pass_without_collecting(&pool)),
        Ok(11)
    );
    assert_eq!(pool.stats(&on(0)).unwrap().in_flight, 0);
    pool.validate(&on(2), true).unwrap();
    assert_eq!(pool.barrier(&on(2), &mut all_pass(&pool)), Ok(0));
}

/// CPUs pass by going idle for a moment, so that none of them collects its own.
fn all_pass_without_collecting(pool: &P) -> impl Wait + '_ {
    meanwhile(|cpu: CpuId| {
        pool.idle_enter(&on(cpu.0)).unwrap();
        pool.idle_exit(&on(cpu.0)).unwrap();
    })
}

#[test]
fn deferred_frees_of_mixed_generations_are_destructed_not_used() {
    // On the list that the array overflows to, an old set before a new one, and after it.
    for old_first in [false, true] {
        let pool = pool();
        let mut old: Vec<_> = (0..5).map(|_| pool.get(&on(0)).unwrap()).collect();
        pool.backend().form.store(2, SeqCst);
        pool.invalidate(&on(1), &mut all_pass_without_collecting(&pool))
            .unwrap();
        let mut order = vec![old.pop().unwrap(), pool.get(&on(0)).unwrap()];
        if old_first {
            order.reverse();
        }
        old.into_iter()
            .for_each(|set| pool.put_deferred(&on(0), set).unwrap());
        while let Some(set) = order.pop() {
            pool.put_deferred(&on(0), set).unwrap();
        }
        assert_eq!(pool.stats(&on(0)).unwrap().deferred_overflow, 2);
        assert_eq!(
            pool.barrier(&on(2), &mut all_pass_without_collecting(&pool)),
            Ok(6)
        );
        for cpu in 0..3 {
            while let Some(set) = pool.try_get(&on(cpu)) {
                assert_eq!(pool.backend().form_of(set.set()), 2);
            }
        }
    }
}

#[test]
fn a_leaving_cpus_deferred_frees_are_finished_by_those_who_stay() {
    let pool = pool();
    let sets: Vec<_> = (0..6).map(|_| pool.get(&on(1)).unwrap()).collect();
    sets.into_iter()
        .for_each(|set| pool.put_deferred(&on(1), set).unwrap());
    assert_eq!(pool.cpu_offline(&on(1)).unwrap().deferred, 6);
    assert_eq!(pool.stats(&on(0)).unwrap().in_flight, 6);
    for _ in 0..3 {
        pool.quiescent(&on(0));
        pool.quiescent(&on(2));
    }
    assert_eq!(pool.stats(&on(0)).unwrap().in_flight, 0);
    pool.validate(&on(0), true).unwrap();
}

#[test]
fn a_drain_finishes_deferred_frees_even_one_made_while_it_waits() {
    let pool = pool();
    let first = pool.get(&on(1)).unwrap();
    let mut second = Some(pool.get(&on(2)).unwrap());
    pool.put_deferred(&on(1), first).unwrap();
    let mut tried = None;
    let mut wait = meanwhile(|late: CpuId| {
        if let Some(set) = second.take() {
            tried = Some(pool.put_deferred(&on(2), set));
        }
        pool.idle_enter(&on(late.0)).unwrap();
        pool.idle_exit(&on(late.0)).unwrap();
    });
    let drained = pool.drain(&on(0), &mut wait).unwrap();
    // In this interleaving CPU 2 sees the closed gate: the set stays in use.
    assert!(matches!(
        tried,
        Some(Err(PutError::Refused(Refused::Closed, _)))
    ));
    assert_eq!((drained.report().deferred, drained.in_use()), (1, 1));
}

fn shrunk<E: std::fmt::Debug>(result: Result<Shrunk, E>) -> (usize, usize) {
    let shrunk = result.unwrap();
    (shrunk.destructed, shrunk.depot)
}

#[test]
fn shrink_takes_the_coldest_in_one_batch_and_leaves_the_reserve() {
    let pool = pool_with(small().construct_batch(4).low_water(5));
    let sets: Vec<_> = (0..24).map(|_| pool.get(&on(0)).unwrap()).collect();
    let names: Vec<_> = sets.iter().map(|set| set.set()).collect();
    sets.into_iter()
        .for_each(|set| pool.put(&on(0), set).unwrap()); // 8 in the cache, 16 in the depot
    assert_eq!(pool.stats(&on(0)).unwrap().depot, 16);
    let calls = pool.backend().destruct_calls.load(SeqCst);
    assert_eq!(shrunk(pool.shrink(&on(1), 9)), (4, 12));
    let alive: Vec<_> = names
        .iter()
        .map(|&name| pool.backend().is_alive(name))
        .collect();
    assert_eq!(
        alive[..4],
        [false; 4],
        "the four that were put first are gone"
    );
    assert_eq!(alive[4..], [true; 20], "and no others");
    assert_eq!(
        shrunk(pool.shrink(&on(1), 0)),
        (4, 8),
        "magazines are not torn"
    );
    assert_eq!(shrunk(pool.shrink(&on(1), 0)), (0, 8));
    assert_eq!(pool.backend().destruct_calls.load(SeqCst), calls + 2);
    pool.validate(&on(0), true).unwrap();
}

#[test]
fn the_high_water_mark_holds_and_the_reserve_is_filled() {
    let pool = pool_with(small().construct_batch(1).high_water(6).low_water(6));
    fill(&pool, 0, 30);
    assert!(pool.stats(&on(0)).unwrap().depot <= 6);
    let empty = pool_with(small().construct_batch(1).high_water(6).low_water(6));
    assert_eq!(empty.replenish(&on(0)), Ok(4));
    assert_eq!(empty.replenish(&on(0)), Ok(2));
    assert_eq!(empty.replenish(&on(0)), Ok(0));
    assert_eq!(empty.stats(&on(0)).unwrap().depot, 6);
    empty.validate(&on(0), true).unwrap();
}

#[test]
fn the_high_water_mark_can_be_set_while_the_pool_runs() {
    let pool = pool_with(small().construct_batch(1).high_water(0).low_water(0));
    let depot = || pool.stats(&on(0)).unwrap().depot;
    fill(&pool, 0, 30);
    assert_eq!(depot(), 0);
    pool.set_high_water(8);
    fill(&pool, 0, 30);
    let stock = depot();
    assert!((1..=8).contains(&stock), "{stock}");
    // What is there stays until it is taken or trimmed; nothing is added.
    pool.set_high_water(0);
    assert_eq!(depot(), stock);
    while pool.shrink(&on(0), 0).unwrap().destructed > 0 {}
    fill(&pool, 0, 30);
    assert_eq!(depot(), 0);
    pool.validate(&on(0), true).unwrap();
}

#[test]
fn a_closed_pool_stays_closed_and_says_what_is_out() {
    let pool = pool();
    fill(&pool, 0, 5);
    let out = pool.get(&on(1)).unwrap();
    let closed = pool.close(&on(0), &mut all_pass(&pool)).unwrap();
    assert_eq!(closed.in_use, 1);
    assert_eq!(
        pool.get(&on(0)),
        Err(GetError::Refused(Refused::ClosedForGood))
    );
    pool.put(&on(1), out).unwrap();
    assert_eq!(pool.backend().alive(), 0);
    assert!(matches!(
        pool.drain(&on(0), &mut all_pass(&pool)),
        Err(DrainError::Refused(Refused::ClosedForGood))
    ));
    assert_eq!(
        pool.close(&on(0), &mut all_pass(&pool)).unwrap().in_use,
        0,
        "asked again, it looks again"
    );
}

#[test]
fn contexts_that_may_not_lock_or_wait_are_refused_before_any_lock_is_touched() {
    let pool = pool();
    fill(&pool, 0, 1);
    let nmi = on_with(0, Context::empty());
    let set = pool.try_get(&nmi).unwrap();
    let _second = pool.try_get(&nmi).unwrap();
    assert_eq!(
        pool.get(&nmi),
        Err(GetError::Refused(Refused::WrongContext)),
        "the cache is empty: it would take the depot's lock"
    );
    let Err(PutError::Refused(Refused::WrongContext, set)) = pool.put_deferred(&nmi, set) else {
        panic!("accepted")
    };
    pool.put(&on(0), set).unwrap();
    assert_eq!(
        pool.shrink(&nmi, 0),
        Err(TrimError::Refused(Refused::WrongContext))
    );
    let atomic = on_with(0, Context::MAY_LOCK);
    assert!(matches!(
        pool.drain(&atomic, &mut Impatient::default()),
        Err(DrainError::Refused(Refused::WrongContext))
    ));
    assert_eq!(
        pool.invalidate(&atomic, &mut Impatient::default()),
        Err(WaitError::Refused(Refused::WrongContext))
    );
    assert_eq!(
        pool.get(&on(7)),
        Err(GetError::Refused(Refused::NoSuchCpu(CpuId(7))))
    );
}

#[test]
fn what_try_get_gave_goes_back_with_try_put_or_stays_the_callers() {
    let pool = pool();
    let nmi = on_with(0, Context::empty());
    fill(&pool, 0, 8);
    let set = pool.try_get(&nmi).unwrap();
    pool.try_put(&nmi, set).unwrap();
    // Full: one too many was constructed for it.
    let extra = pool.get(&on(1)).unwrap();
    let refused = |result| match result {
        Err(PutError::Refused(why, set)) => (why, set),
        other => panic!("{other:?}"),
    };
    let (why, extra) = refused(pool.try_put(&nmi, extra));
    assert_eq!(why, Refused::NeedsMore);
    pool.put(&on(1), extra).unwrap();
    // Taken, and the gate closes: kept in a slot, and given back later.
    let slot = pool.try_get(&nmi).unwrap();
    let drained = pool.drain(&on(1), &mut all_pass(&pool)).unwrap();
    let (why, slot) = refused(pool.try_put(&nmi, slot));
    assert_eq!((why, drained.in_use()), (Refused::Closed, 1));
    drained.invalidate();
    drop(drained);
    let (why, slot) = refused(pool.try_put(&nmi, slot));
    assert_eq!(why, Refused::NeedsMore, "of an old generation");
    pool.put(&on(0), slot).unwrap();
    assert_eq!(pool.backend().alive(), 0);
    pool.validate(&on(0), true).unwrap();
}

/// A backend that calls back into the pool, as an NMI in the middle of an operation would.
struct CallsBack(
    Table,
    std::sync::OnceLock<&'static Pool<CallsBack, 2, 2, 4>>,
    std::sync::atomic::AtomicUsize,
);

impl Backend for CallsBack {
    type Set = u32;
    type Error = Fault;
    const EMPTY: u32 = NO_SET;
    fn construct(&self, out: &mut [u32]) -> Result<Spent, ConstructError<Fault>> {
        let pool = self.1.get().unwrap();
        assert_eq!(pool.get(&on(0)), Err(GetError::Refused(Refused::Reentered)));
        assert_eq!(pool.try_get(&on(0)), None);
        assert_eq!(pool.idle_enter(&on(0)), Err(Refused::Reentered));
        assert!(matches!(
            pool.drain(&on(0), &mut Impatient::default()),
            Err(DrainError::Refused(Refused::Reentered))
        ));
        // Not true, and ignored: another CPU's drain still waits for this operation.
        let mut wait = Meanwhile {
            kicked: Vec::new(),
            patience: 3,
            step: |_: CpuId| pool.quiescent(&on(0)),
        };
        assert!(
            matches!(pool.drain(&on(1), &mut wait), Err(DrainError::Timeout(late)) if late.cpu == CpuId(0))
        );
        self.2.fetch_add(1, SeqCst);
        self.0.construct(out)
    }
    fn destruct(&self, sets: &[u32]) -> Result<Spent, DestructError<Fault>> {
        self.0.destruct(sets)
    }
    fn set_next(&self, set: u32, next: Option<u32>) {
        self.0.set_next(set, next);
    }
    fn next(&self, set: u32) -> Option<u32> {
        self.0.next(set)
    }
}

#[test]
fn a_call_back_from_inside_an_operation_is_refused() {
    let backend = CallsBack(Table::new(8), Default::default(), Default::default());
    let pool: &'static _ = Box::leak(Box::new(Pool::new(
        Config::new().cpus::<2>().magazines::<2>().rounds::<4>(),
        backend,
    )));
    pool.backend().1.set(pool).ok().unwrap();
    pool.cpu_online(&on(0)).unwrap();
    let set = pool.get(&on(0)).unwrap();
    assert_eq!(pool.backend().2.load(SeqCst), 1);
    pool.put(&on(0), set).unwrap();
}

/// The checks of single sets: in debug builds, or with the feature.
#[cfg(any(debug_assertions, feature = "checks"))]
mod checks {
    use super::*;

    /// A second token for one set, as a kernel's bug would make it. Its put is refused, or the test
    /// ends.
    fn twins(set: Constructed<u32>) -> (u32, Constructed<u32>, Constructed<u32>) {
        let (name, parts) = set.into_parts();
        // SAFETY: see above.
        let [one, two] = [(); 2].map(|()| unsafe { Constructed::from_parts(name, parts) });
        (name, one, two)
    }

    #[test]
    fn a_double_put_is_found() {
        let pool = pool();
        let set = pool.get(&on(0)).unwrap();
        let (name, set, twin) = twins(set);
        pool.put(&on(0), set).unwrap();
        assert_eq!(pool.put(&on(1), twin), Err(PutError::DoublePut(name)));
        pool.validate(&on(0), true).unwrap();
    }

    #[test]
    fn a_deferred_set_that_is_also_put_is_found() {
        let pool = pool();
        let set = pool.get(&on(0)).unwrap();
        let (name, set, twin) = twins(set);
        pool.put_deferred(&on(0), set).unwrap();
        assert_eq!(pool.put(&on(0), twin), Err(PutError::DoublePut(name)));
        pool.validate(&on(0), true).unwrap();
    }

    #[test]
    fn a_set_of_another_pool_is_found() {
        for no_marks in [false, true] {
            let (ours, theirs) = (pool(), pool());
            ours.backend().no_marks.store(no_marks, SeqCst);
            let foreign = theirs.get(&on(0)).unwrap();
            let name = foreign.set();
            assert_eq!(ours.put(&on(0), foreign), Err(PutError::Foreign(name)));
            ours.validate(&on(0), true).unwrap();
        }
    }

    #[test]
    fn a_write_to_a_free_set_is_found_and_the_set_quarantined() {
        let pool = pool();
        let set = pool.get(&on(0)).unwrap();
        let name = set.set();
        pool.put(&on(0), set).unwrap();
        pool.backend().scribble(name);
        assert_eq!(pool.get(&on(0)), Err(GetError::WriteAfterFree(name)));
        assert!(matches!(
            pool.drain(&on(0), &mut all_pass(&pool)),
            Err(DrainError::Quarantined {
                count: 1,
                reason: Reason::WriteAfterFree,
                ..
            })
        ));
        pool.validate(&on(0), true).unwrap();
    }

    #[test]
    fn validate_finds_a_set_that_is_cached_twice() {
        // Without marks only the walk can see it.
        let pool = pool();
        pool.backend().no_marks.store(true, SeqCst);
        let set = pool.get(&on(0)).unwrap();
        let (name, set, twin) = twins(set);
        pool.put(&on(0), set).unwrap();
        pool.backend().scribble(name);
        pool.put(&on(0), twin).unwrap();
        assert_eq!(pool.validate(&on(0), true), Err(Invalid::Twice(name)));
    }
}

/// What a test build can leave out, and that the count of what is left is honest.
#[cfg(pool_switches)]
mod switches {
    use super::*;

    #[test]
    fn a_skipped_cache_is_left_and_counted() {
        let pool = pool();
        (0..3).for_each(|cpu| fill(&pool, cpu, 2));
        pool.skip_in_drains(Some(CpuId(1)));
        let drained = pool.drain(&on(0), &mut all_pass(&pool)).unwrap();
        assert_eq!(
            (
                drained.left(),
                drained.taken_from(CpuId(1)),
                drained.taken_from(CpuId(2))
            ),
            (2, 0, 2)
        );
        assert_eq!(pool.backend().alive(), 2);
        drop(drained);
        pool.skip_in_drains(None);
        assert_eq!(pool.drain(&on(0), &mut all_pass(&pool)).unwrap().left(), 0);
    }

    #[test]
    fn a_drain_of_nothing_leaves_everything() {
        let pool = pool();
        fill(&pool, 0, 9);
        let stats = pool.stats(&on(0)).unwrap();
        pool.drain_nothing();
        let drained = pool.drain(&on(0), &mut all_pass(&pool)).unwrap();
        assert_eq!(
            (drained.left(), drained.sets()),
            (stats.total.cached + stats.depot, 0)
        );
    }

    #[test]
    fn a_cpu_that_leaves_without_a_drain_leaves_its_sets() {
        let pool = pool();
        fill(&pool, 1, 4);
        assert_eq!(pool.cpu_offline_without_drain(&on(1)).unwrap().cached, 4);
        assert_eq!(pool.backend().alive(), 4);
    }
}
