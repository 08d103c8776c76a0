//! The weak points of NetBSD's `pool_cache_invalidate` (`sys/kern/subr_pool.c`), each as an
//! interleaving that a drain of that shape fails and this crate's passes.
//!
//! The drain of that shape: a cross-call has each CPU move its own groups to the depot; then the
//! caller takes the depot's full groups and destructs them. The model below does just that, in
//! steps that a test can interleave.
#![cfg(not(any(loom, shuttle)))]

mod common;

use common::*;
use pagetable_pool::*;
use std::sync::atomic::Ordering::SeqCst;

/// The part of NetBSD's cache that the weak points are about. Two CPUs; a group of sets each; a
/// depot of groups. A set is a number and the form it was constructed in.
#[derive(Default)]
struct Shaped {
    cpu: [Vec<(u32, u32)>; 2],
    depot: Vec<Vec<(u32, u32)>>,
    form: u32,
    next: u32,
}

impl Shaped {
    const GROUP: usize = 2;

    fn get(&mut self, cpu: usize) -> (u32, u32) {
        if self.cpu[cpu].is_empty() {
            // A full group from the depot, if there is one.
            self.cpu[cpu] = self.depot.pop().unwrap_or_default();
        }
        self.cpu[cpu].pop().unwrap_or_else(|| {
            self.next += 1;
            (self.next, self.form)
        })
    }

    fn put(&mut self, cpu: usize, set: (u32, u32)) {
        if self.cpu[cpu].len() == Self::GROUP {
            let full = std::mem::take(&mut self.cpu[cpu]);
            self.depot.push(full);
        }
        self.cpu[cpu].push(set);
    }

    /// The cross-call's part on one CPU.
    fn move_own_groups(&mut self, cpu: usize) {
        let own = std::mem::take(&mut self.cpu[cpu]);
        if !own.is_empty() {
            self.depot.push(own);
        }
    }

    /// The caller's part, once every CPU has done its own.
    fn destruct_depot(&mut self) {
        self.depot.clear();
    }

    fn cached(&self) -> usize {
        self.cpu.iter().chain(&self.depot).map(Vec::len).sum()
    }
}

type P = Pool<Table, 2, 4, 2>;

fn pool() -> P {
    let pool = P::new(
        Config::new()
            .cpus::<2>()
            .magazines::<4>()
            .rounds::<2>()
            .construct_batch(1),
        Table::new(32),
    );
    (0..2).for_each(|cpu| pool.cpu_online(&on(cpu)).unwrap());
    pool
}

fn fill(pool: &P, cpu: usize, n: usize) {
    let sets: Vec<_> = (0..n).map(|_| pool.get(&on(cpu)).unwrap()).collect();
    sets.into_iter()
        .for_each(|set| pool.put(&on(cpu), set).unwrap());
}

/// (a) A CPU that has already moved its groups takes a stale full group back before the caller has
/// emptied the depot.
mod a_stale_group_is_taken_back {
    use super::*;

    #[test]
    fn the_netbsd_shape_hands_out_an_old_set() {
        let mut cache = Shaped::default();
        let sets = [cache.get(0), cache.get(0)];
        sets.into_iter().for_each(|set| cache.put(0, set));
        cache.form = 1;
        cache.move_own_groups(0);
        cache.move_own_groups(1);
        // CPU 1 has done its part, and gets before the caller goes on.
        let got = cache.get(1);
        cache.destruct_depot();
        assert_eq!(
            got.1, 0,
            "a set of the old form came out after the CPU had done its part"
        );
        assert_eq!(
            cache.get(1).1,
            0,
            "and the rest of its group comes out after the invalidation has returned"
        );
    }

    #[test]
    fn ours_does_not() {
        let pool = pool();
        fill(&pool, 0, 6); // 4 in the cache, 2 in the depot
        assert!(pool.stats(&on(0)).unwrap().depot > 0);
        pool.backend().form.store(2, SeqCst);
        let mut got = Vec::new();
        // CPU 1 passes, and gets before the caller goes on to the depot.
        let mut wait = meanwhile(|late| {
            pool.quiescent(&on(late.0));
            got.push(pool.get(&on(1)).unwrap());
        });
        pool.invalidate(&on(0), &mut wait).unwrap();
        got.push(pool.get(&on(1)).unwrap());
        got.push(pool.get(&on(0)).unwrap());
        assert!(got.len() >= 3);
        for set in &got {
            assert_eq!(pool.backend().form_of(set.set()), 2);
        }
    }
}

/// (b) A set in use while the form changes is put back stale.
mod b_a_set_in_use_comes_back_stale {
    use super::*;

    #[test]
    fn the_netbsd_shape_caches_it_and_hands_it_out() {
        let mut cache = Shaped::default();
        let in_use = cache.get(1);
        cache.form = 1;
        (0..2).for_each(|cpu| cache.move_own_groups(cpu));
        cache.destruct_depot();
        cache.put(1, in_use);
        assert_eq!(cache.get(1).1, 0);
    }

    #[test]
    fn ours_destructs_it() {
        let pool = pool();
        let in_use = pool.get(&on(1)).unwrap();
        let name = in_use.set();
        pool.backend().form.store(2, SeqCst);
        pool.invalidate(&on(0), &mut all_pass(&pool)).unwrap();
        pool.put(&on(1), in_use).unwrap();
        assert!(!pool.backend().is_alive(name));
        let new = pool.get(&on(1)).unwrap();
        assert_eq!(pool.backend().form_of(new.set()), 2);
    }
}

/// (c) Nothing closes the cache: it fills again at once, and the caller who needs it empty (a
/// suspend) has no way to know.
mod c_the_cache_fills_again {
    use super::*;

    #[test]
    fn the_netbsd_shape_is_not_empty_when_the_drain_has_returned() {
        let mut cache = Shaped::default();
        let in_use = cache.get(1);
        (0..2).for_each(|cpu| cache.move_own_groups(cpu));
        // CPU 1 puts between its part of the cross-call and the suspend.
        cache.put(1, in_use);
        cache.destruct_depot();
        assert_eq!(
            cache.cached(),
            1,
            "a constructed set is cached across the suspend"
        );
    }

    #[test]
    fn ours_is_empty_for_as_long_as_the_proof_lives() {
        let pool = pool();
        fill(&pool, 1, 3);
        let mut in_use = vec![pool.get(&on(1)).unwrap(), pool.get(&on(1)).unwrap()];
        // CPU 1 passes, and puts at once.
        let mut wait = meanwhile(|late| {
            pool.quiescent(&on(late.0));
            pool.put(&on(1), in_use.pop().unwrap()).unwrap();
        });
        let drained = pool.drain(&on(0), &mut wait).unwrap();
        drop(wait);
        // And again, while the proof lives.
        pool.put(&on(1), in_use.pop().unwrap()).unwrap();
        assert!(pool.get(&on(1)).is_err());
        assert_eq!(
            pool.backend().alive(),
            0,
            "nothing constructed is left anywhere"
        );
        assert_eq!(drained.left(), 0);
    }
}
