//! Models, checked exhaustively (two threads) or within a bound on preemptions (three), and with
//! each ordering weakened.
//!
//! `proofs.md` says how to run them.
//!
//! Every cache, and the contents of every set, is one of loom's cells: a model fails as soon as two
//! CPUs can touch one without an order between them, even if no wrong value comes of it in that
//! execution.
#![cfg(loom)]

use std::sync::atomic::{AtomicU32 as PlainU32, Ordering::SeqCst};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
use loom::sync::Arc;
use loom::thread;
use pagetable_pool::sites::{weaken, Site};
use pagetable_pool::*;

const NO_SET: u32 = u32::MAX;
/// More than any model constructs: a number is used once, so that the backend adds no ordering of
/// its own.
const SETS: usize = 24;

/// A backend whose sets' contents loom watches.
struct Table {
    /// What a set's pages hold. Written when it is constructed, cached, handed out and destructed.
    contents: [UnsafeCell<u32>; SETS],
    /// 0, alive, or gone: plain atomics, so that they are no scheduling points.
    alive: [PlainU32; SETS],
    next: [PlainU32; SETS],
    /// The form of the kernel's entries, which a model may change and watch: read when a set is
    /// constructed, without an order of its own.
    form: Option<AtomicU32>,
    made_in: [PlainU32; SETS],
    /// A set that cannot be destructed, so many times.
    stubborn: [PlainU32; 2],
}

// SAFETY: loom checks every access to the cells.
unsafe impl Sync for Table {}

impl Table {
    fn new() -> Self {
        Table {
            contents: std::array::from_fn(|_| UnsafeCell::new(0)),
            alive: std::array::from_fn(|_| PlainU32::new(0)),
            next: std::array::from_fn(|_| PlainU32::new(NO_SET)),
            form: None,
            made_in: std::array::from_fn(|_| PlainU32::new(0)),
            stubborn: [PlainU32::new(NO_SET), PlainU32::new(0)],
        }
    }

    /// From now on `set` cannot be destructed, so many times.
    fn refuse(&self, set: u32, times: u32) {
        self.stubborn[0].store(set, SeqCst);
        self.stubborn[1].store(times, SeqCst);
    }

    fn write(&self, set: u32, value: u32) {
        // SAFETY: loom checks it.
        self.contents[set as usize].with_mut(|contents| unsafe { *contents = value });
    }

    /// Reads a set's contents, as its owner or as a reader without a lock.
    fn read(&self, set: u32) -> u32 {
        // SAFETY: loom checks it.
        self.contents[set as usize].with(|contents| unsafe { *contents })
    }

    fn alive(&self) -> usize {
        self.alive
            .iter()
            .filter(|alive| alive.load(SeqCst) == 1)
            .count()
    }
}

impl Backend for Table {
    type Set = u32;
    type Error = ();
    const EMPTY: u32 = NO_SET;

    fn construct(&self, out: &mut [u32]) -> Result<Spent, ConstructError<()>> {
        for place in out.iter_mut() {
            let free = self
                .alive
                .iter()
                .position(|alive| alive.compare_exchange(0, 1, SeqCst, SeqCst).is_ok())
                .expect("the model has enough sets");
            if let Some(form) = &self.form {
                self.made_in[free].store(form.load(Relaxed), SeqCst);
            }
            *place = free as u32;
        }
        Ok(Spent::default())
    }

    fn destruct(&self, sets: &[u32]) -> Result<Spent, DestructError<()>> {
        for (at, &set) in sets.iter().enumerate() {
            let [stubborn, times] = &self.stubborn;
            if set == stubborn.load(SeqCst) && times.load(SeqCst) > 0 {
                times.fetch_sub(1, SeqCst);
                return Err(DestructError::new(at, (), Spent::nothing()));
            }
            self.write(set, 0);
            assert_eq!(
                self.alive[set as usize].swap(2, SeqCst),
                1,
                "destructed twice"
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
        self.write(set, 1);
    }

    fn unpoison(&self, set: u32) -> bool {
        let was = self.read(set);
        self.write(set, 2);
        was == 1
    }
}

type P<const CPUS: usize> = Pool<Table, CPUS, 1, 1>;

fn on(cpu: usize) -> CpuGuard {
    // SAFETY: each CPU is one thread of the model.
    unsafe { CpuGuard::new(CpuId(cpu), Context::all()) }
}

/// Waits by letting others run, so many times.
struct Yield(u32);

impl Wait for Yield {
    fn kick(&mut self, _: CpuId) {}
    fn relax(&mut self, _: CpuId) -> bool {
        thread::yield_now();
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

fn pool<const CPUS: usize>() -> Arc<P<CPUS>> {
    pool_with(Table::new())
}

fn pool_with<const CPUS: usize>(table: Table) -> Arc<P<CPUS>> {
    let config = Config::new()
        .cpus::<CPUS>()
        .magazines::<1>()
        .rounds::<1>()
        .construct_batch(1)
        .high_water(1)
        .low_water(1);
    Arc::new(Pool::new(config, table))
}

/// Puts one set into `cpu`'s cache, and leaves the CPU online.
fn fill<const CPUS: usize>(pool: &P<CPUS>, cpu: usize) {
    pool.cpu_online(&on(cpu)).unwrap();
    let set = pool.get(&on(cpu)).unwrap();
    pool.put(&on(cpu), set).unwrap();
}

/// A get and a put, where the gate is open.
fn work<const CPUS: usize>(pool: &P<CPUS>, cpu: usize) {
    if let Ok(set) = pool.get(&on(cpu)) {
        assert_eq!(
            pool.backend().read(set.set()),
            2,
            "a set that is out is in the form it has when it is out"
        );
        pool.put(&on(cpu), set).unwrap();
    }
}

/// Drains, and if that gives a proof, looks at the backend's own books.
fn drain<const CPUS: usize>(pool: &P<CPUS>, cpu: usize, patience: u32) -> bool {
    match pool.drain(&on(cpu), &mut Yield(patience)) {
        Ok(drained) => {
            assert_eq!(drained.left(), 0);
            let cached: usize = (0..CPUS)
                .map(|cpu| pool.cpu_stats(CpuId(cpu)).unwrap().cached)
                .sum();
            assert_eq!(cached, 0);
            true
        }
        Err(DrainError::Timeout(_) | DrainError::Refused(Refused::Busy)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

/// A proof lives: nothing is cached, in flight, or in quarantine.
fn nothing_is_kept<const CPUS: usize>(pool: &P<CPUS>, cpu: usize) {
    let stats = pool.stats(&on(cpu)).unwrap();
    assert_eq!(
        (
            stats.total.cached,
            stats.depot,
            stats.in_flight,
            stats.quarantined
        ),
        (0, 0, 0, 0),
        "a proof lives"
    );
}

/// Everything is accounted for once all have ended.
fn settle<const CPUS: usize>(pool: &P<CPUS>, cpu: usize) {
    let stats = pool.stats(&on(cpu)).unwrap();
    let held =
        stats.total.cached + stats.depot + stats.in_use + stats.in_flight + stats.quarantined;
    assert_eq!(pool.backend().alive(), held);
}

/// One CPU drains; the other gets and puts, passes a quiescent state, and gets and puts again.
fn drain_against_get_and_put() {
    let pool = pool::<2>();
    fill(&pool, 1);
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            for _ in 0..2 {
                work(&pool, 1);
                pool.quiescent(&on(1));
            }
            work(&pool, 1);
        })
    };
    drain(&pool, 0, 3);
    other.join().unwrap();
    settle(&pool, 0);
}

/// As above, but the other CPU lets a drain that waits go on, before it gets and puts again:
/// perhaps through a gate that has been opened again. (Loom lets a thread read no store that is
/// older than its last yield, so both models are needed.)
fn drain_and_reopen_against_get_and_put() {
    let pool = pool::<2>();
    fill(&pool, 1);
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            pool.quiescent(&on(1));
            thread::yield_now();
            work(&pool, 1);
        })
    };
    drain(&pool, 0, 3);
    other.join().unwrap();
    settle(&pool, 0);
}

/// One CPU drains twice; the other gets and puts, and passes.
fn drain_twice_against_get_and_put() {
    let pool = pool::<2>();
    fill(&pool, 1);
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            for _ in 0..3 {
                work(&pool, 1);
                pool.quiescent(&on(1));
                thread::yield_now();
            }
        })
    };
    drain(&pool, 0, 3);
    drain(&pool, 0, 3);
    other.join().unwrap();
    settle(&pool, 0);
}

/// One CPU closes the pool for good; the other defers a free, and then goes.
fn close_against_deferred_free() {
    let pool = pool::<2>();
    pool.cpu_online(&on(1)).unwrap();
    let set = pool.get(&on(1)).unwrap();
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            match pool.put_deferred(&on(1), set) {
                Ok(()) => {}
                Err(PutError::Refused(_, set)) => pool.put(&on(1), set).unwrap(),
                Err(other) => panic!("{other:?}"),
            }
            pool.cpu_offline(&on(1)).unwrap();
        })
    };
    let closed = pool.close(&on(0), &mut Yield(3)).is_ok();
    other.join().unwrap();
    if closed {
        assert_eq!(pool.backend().alive(), 0, "nothing is kept, nothing waits");
    }
    settle(&pool, 0);
}

/// One CPU drains; the other comes back from idle, gets and puts, and goes idle again.
fn drain_against_idle() {
    let pool = pool::<2>();
    fill(&pool, 1);
    pool.idle_enter(&on(1)).unwrap();
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            for _ in 0..2 {
                pool.idle_exit(&on(1)).unwrap();
                work(&pool, 1);
                pool.idle_enter(&on(1)).unwrap();
            }
        })
    };
    drain(&pool, 0, 3);
    other.join().unwrap();
    settle(&pool, 0);
}

/// Three CPUs: one drains, one works and passes, one comes back from idle.
fn drain_against_two() {
    let pool = pool::<3>();
    fill(&pool, 1);
    fill(&pool, 2);
    pool.idle_enter(&on(2)).unwrap();
    let working = {
        let pool = pool.clone();
        thread::spawn(move || {
            work(&pool, 1);
            pool.quiescent(&on(1));
        })
    };
    let waking = {
        let pool = pool.clone();
        thread::spawn(move || {
            pool.idle_exit(&on(2)).unwrap();
            work(&pool, 2);
            pool.idle_enter(&on(2)).unwrap();
        })
    };
    drain(&pool, 0, 2);
    working.join().unwrap();
    waking.join().unwrap();
    settle(&pool, 0);
}

/// One CPU drains, and at the end knows that nobody can have sets cached; the other leaves.
fn drain_against_offline() {
    let pool = pool::<2>();
    fill(&pool, 1);
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            pool.cpu_offline(&on(1)).unwrap();
        })
    };
    let drained = drain(&pool, 0, 3);
    other.join().unwrap();
    if drained {
        assert_eq!(pool.backend().alive(), 0);
    }
    settle(&pool, 0);
}

/// One CPU changes the constructed form; the other gets and puts all the time. Once `invalidate`
/// has returned, no old set comes out any more; the flag that says so carries no ordering of its
/// own.
fn invalidate_against_get() {
    let pool = pool::<2>();
    fill(&pool, 1);
    let returned = Arc::new(AtomicU32::new(0));
    let other = {
        let (pool, returned) = (pool.clone(), returned.clone());
        thread::spawn(move || {
            for _ in 0..2 {
                let done = returned.load(Relaxed) == 1;
                let set = pool.get(&on(1)).unwrap();
                assert!(!done || set.generation().get() == 2, "an old set came out");
                pool.put(&on(1), set).unwrap();
                pool.quiescent(&on(1));
            }
        })
    };
    if pool.invalidate(&on(0), &mut Yield(4)).is_ok() {
        returned.store(1, Relaxed);
    }
    other.join().unwrap();
    settle(&pool, 0);
}

/// One CPU closes the pool for good; the other still has a set out, and puts it.
fn close_against_put() {
    let pool = pool::<2>();
    pool.cpu_online(&on(1)).unwrap();
    let set = pool.get(&on(1)).unwrap();
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            pool.put(&on(1), set).unwrap();
            pool.quiescent(&on(1));
            work(&pool, 1);
        })
    };
    let closed = pool.close(&on(0), &mut Yield(3)).is_ok();
    other.join().unwrap();
    if closed {
        assert_eq!(
            pool.backend().alive(),
            0,
            "whatever was out has come back, and nothing is kept"
        );
    }
    settle(&pool, 0);
}

/// One CPU unlinks a set and defers its free; the other reads through the link without a lock.
fn deferred_free_against_reader() {
    let pool = pool::<2>();
    pool.cpu_online(&on(0)).unwrap();
    pool.cpu_online(&on(1)).unwrap();
    let set = pool.get(&on(0)).unwrap();
    let link = Arc::new(AtomicU32::new(set.set()));
    let reader = {
        let (pool, link) = (pool.clone(), link.clone());
        thread::spawn(move || {
            for _ in 0..2 {
                let set = link.load(Relaxed);
                if set != NO_SET {
                    pool.backend().read(set);
                }
                pool.quiescent(&on(1));
            }
        })
    };
    link.store(NO_SET, Relaxed);
    pool.put_deferred(&on(0), set).unwrap();
    pool.quiescent(&on(0));
    thread::yield_now();
    pool.quiescent(&on(0));
    reader.join().unwrap();
    settle(&pool, 0);
}

/// As above, but the reader is the one that starts the grace period (by an invalidation that does
/// not wait), and then reads.
fn deferred_free_against_starter() {
    let pool = pool::<2>();
    pool.cpu_online(&on(0)).unwrap();
    pool.cpu_online(&on(1)).unwrap();
    let set = pool.get(&on(0)).unwrap();
    let link = Arc::new(AtomicU32::new(set.set()));
    let reader = {
        let (pool, link) = (pool.clone(), link.clone());
        thread::spawn(move || {
            let _ = pool.invalidate(&on(1), &mut Yield(1));
            let set = link.load(Relaxed);
            if set != NO_SET {
                pool.backend().read(set);
            }
        })
    };
    link.store(NO_SET, Relaxed);
    pool.put_deferred(&on(0), set).unwrap();
    pool.quiescent(&on(0));
    reader.join().unwrap();
    settle(&pool, 0);
}

/// One CPU drains while the other defers a free, and passes.
fn drain_against_deferred_free() {
    let pool = pool::<2>();
    pool.cpu_online(&on(1)).unwrap();
    let set = pool.get(&on(1)).unwrap();
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            match pool.put_deferred(&on(1), set) {
                Ok(()) => {}
                Err(PutError::Refused(Refused::Closed, set)) => pool.put(&on(1), set).unwrap(),
                Err(other) => panic!("{other:?}"),
            }
            pool.quiescent(&on(1));
            pool.quiescent(&on(1));
        })
    };
    match pool.drain(&on(0), &mut Yield(3)) {
        Ok(_proof) => nothing_is_kept(&pool, 0),
        Err(DrainError::Timeout(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
    other.join().unwrap();
    settle(&pool, 0);
}

/// Two CPUs that nobody waits for drain, one after the other.
fn drain_against_drain() {
    let pool = pool::<3>();
    fill(&pool, 2);
    pool.idle_enter(&on(2)).unwrap();
    let other = {
        let pool = pool.clone();
        thread::spawn(move || drain(&pool, 1, 2))
    };
    let first = drain(&pool, 0, 2);
    let second = other.join().unwrap();
    assert!(first || second);
    assert_eq!(pool.backend().alive(), 0);
}

/// One CPU drains and opens the gate; then, or before, another changes the generation. The gate is
/// open in the end.
fn invalidate_after_drain() {
    let pool = pool::<3>();
    let other = {
        let pool = pool.clone();
        thread::spawn(move || pool.invalidate(&on(1), &mut Yield(2)).is_ok())
    };
    drain(&pool, 0, 2);
    other.join().unwrap();
    pool.cpu_online(&on(2)).unwrap();
    let set = pool.get(&on(2)).expect("the gate is open");
    pool.put(&on(2), set).unwrap();
}

/// Three CPUs: one invalidates, one works and passes, one comes back from idle.
fn invalidate_against_two() {
    let pool = pool::<3>();
    fill(&pool, 1);
    fill(&pool, 2);
    pool.idle_enter(&on(2)).unwrap();
    let returned = Arc::new(AtomicU32::new(0));
    let look = |pool: Arc<P<3>>, returned: Arc<AtomicU32>, cpu: usize| {
        let done = returned.load(Relaxed) == 1;
        let set = pool.get(&on(cpu)).unwrap();
        assert!(!done || set.generation().get() == 2, "an old set came out");
        pool.put(&on(cpu), set).unwrap();
    };
    let working = {
        let (pool, returned) = (pool.clone(), returned.clone());
        thread::spawn(move || {
            pool.quiescent(&on(1));
            thread::yield_now();
            look(pool, returned, 1);
        })
    };
    let waking = {
        let (pool, returned) = (pool.clone(), returned.clone());
        thread::spawn(move || {
            pool.idle_exit(&on(2)).unwrap();
            look(pool, returned, 2);
        })
    };
    if pool.invalidate(&on(0), &mut Yield(3)).is_ok() {
        returned.store(1, Relaxed);
    }
    working.join().unwrap();
    waking.join().unwrap();
    settle(&pool, 0);
}

/// Three CPUs: one defers a free and collects it, one reads and passes, one comes back from idle
/// and reads.
fn deferred_free_against_two_readers() {
    let pool = pool::<3>();
    (0..3).for_each(|cpu| pool.cpu_online(&on(cpu)).unwrap());
    pool.idle_enter(&on(2)).unwrap();
    let set = pool.get(&on(0)).unwrap();
    let link = Arc::new(AtomicU32::new(set.set()));
    let read = |pool: &P<3>, link: &AtomicU32| {
        let set = link.load(Relaxed);
        if set != NO_SET {
            pool.backend().read(set);
        }
    };
    let running = {
        let (pool, link) = (pool.clone(), link.clone());
        thread::spawn(move || {
            read(&pool, &link);
            pool.quiescent(&on(1));
            thread::yield_now();
            read(&pool, &link);
        })
    };
    let waking = {
        let (pool, link) = (pool.clone(), link.clone());
        thread::spawn(move || {
            pool.idle_exit(&on(2)).unwrap();
            read(&pool, &link);
            pool.idle_enter(&on(2)).unwrap();
        })
    };
    link.store(NO_SET, Relaxed);
    pool.put_deferred(&on(0), set).unwrap();
    pool.quiescent(&on(0));
    thread::yield_now();
    pool.quiescent(&on(0));
    running.join().unwrap();
    waking.join().unwrap();
    settle(&pool, 0);
}

/// Three CPUs: one drains, one leaves with a deferred free pending, one puts and passes.
fn drain_against_offline_and_put() {
    let pool = pool::<3>();
    pool.cpu_online(&on(1)).unwrap();
    pool.cpu_online(&on(2)).unwrap();
    let set = pool.get(&on(1)).unwrap();
    pool.put_deferred(&on(1), set).unwrap();
    let out = pool.get(&on(2)).unwrap();
    let leaving = {
        let pool = pool.clone();
        thread::spawn(move || {
            pool.cpu_offline(&on(1)).unwrap();
        })
    };
    let putting = {
        let pool = pool.clone();
        thread::spawn(move || {
            pool.put(&on(2), out).unwrap();
            pool.quiescent(&on(2));
        })
    };
    match pool.drain(&on(0), &mut Yield(3)) {
        Ok(drained) => {
            assert_eq!(drained.left(), 0);
            assert_eq!(pool.stats(&on(0)).unwrap().in_flight, 0);
        }
        Err(DrainError::Timeout(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
    leaving.join().unwrap();
    putting.join().unwrap();
    settle(&pool, 0);
}

/// Two CPUs exchange sets through the depot.
fn depot_between_two() {
    let pool = pool::<2>();
    pool.cpu_online(&on(0)).unwrap();
    pool.cpu_online(&on(1)).unwrap();
    let three = [
        pool.get(&on(0)).unwrap(),
        pool.get(&on(0)).unwrap(),
        pool.get(&on(0)).unwrap(),
    ];
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            work(&pool, 1);
            let _ = pool.shrink(&on(1), 0);
        })
    };
    for set in three {
        pool.put(&on(0), set).unwrap();
    }
    other.join().unwrap();
    settle(&pool, 0);
}

/// One CPU drains and opens the gate, and changes the generation at once: the other sees the new
/// generation first. What the drainer did to its cache still comes before.
fn invalidate_right_after_drain() {
    let pool = pool::<2>();
    fill(&pool, 1);
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            pool.quiescent(&on(1));
            thread::yield_now();
            work(&pool, 1);
        })
    };
    drain(&pool, 0, 3);
    let _ = pool.invalidate(&on(0), &mut Yield(1));
    other.join().unwrap();
    settle(&pool, 0);
}

/// One CPU changes the kernel's entries and then the generation; the other constructs. A set of the
/// new generation is in the new form, though the form carries no order of its own.
fn new_generation_against_construct() {
    let mut table = Table::new();
    table.form = Some(AtomicU32::new(1));
    let pool = pool_with::<2>(table);
    pool.cpu_online(&on(1)).unwrap();
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            let set = pool.get(&on(1)).unwrap();
            let made_in = pool.backend().made_in[set.set() as usize].load(SeqCst);
            assert!(
                set.generation().get() == 1 || made_in == 2,
                "a set of generation 2 in the form of generation 1"
            );
            pool.put(&on(1), set).unwrap();
        })
    };
    pool.backend().form.as_ref().unwrap().store(2, Relaxed);
    let _ = pool.invalidate(&on(0), &mut Yield(1));
    other.join().unwrap();
    settle(&pool, 0);
}

/// One CPU waits for what was deferred; the other, whose array and list hold a set each, defers a
/// third, and collects. When the barrier has returned the first two are finished: nobody is at them
/// any more.
fn barrier_against_deferred_free() {
    let pool = pool::<2>();
    pool.cpu_online(&on(0)).unwrap();
    pool.cpu_online(&on(1)).unwrap();
    let [one, two, three] = [(); 3].map(|()| pool.get(&on(1)).unwrap());
    let before = [one.set(), two.set()];
    pool.put_deferred(&on(1), one).unwrap();
    pool.put_deferred(&on(1), two).unwrap();
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            pool.put_deferred(&on(1), three).unwrap();
            pool.quiescent(&on(1));
        })
    };
    if pool.barrier(&on(0), &mut Yield(3)).is_ok() {
        assert!(pool.stats(&on(0)).unwrap().in_flight <= 1, "only the third");
        for set in before {
            pool.backend().read(set);
        }
    }
    other.join().unwrap();
    settle(&pool, 0);
}

/// One CPU waits for what was deferred, while another leaves (or sleeps), whose sets go to those
/// who stay.
fn barrier_against_one_that_goes(offline: bool) {
    let pool = pool::<2>();
    pool.cpu_online(&on(0)).unwrap();
    pool.cpu_online(&on(1)).unwrap();
    let [one, two] = [(); 2].map(|()| pool.get(&on(1)).unwrap());
    let before = [one.set(), two.set()];
    pool.put_deferred(&on(1), one).unwrap();
    pool.put_deferred(&on(1), two).unwrap();
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            if offline {
                pool.cpu_offline(&on(1)).unwrap();
            } else {
                pool.idle_enter(&on(1)).unwrap();
                pool.idle_exit(&on(1)).unwrap();
                pool.quiescent(&on(1));
            }
        })
    };
    if pool.barrier(&on(0), &mut Yield(3)).is_ok() {
        assert_eq!(pool.stats(&on(0)).unwrap().in_flight, 0);
        for set in before {
            pool.backend().read(set);
        }
    }
    other.join().unwrap();
    settle(&pool, 0);
}

fn barrier_against_offline() {
    barrier_against_one_that_goes(true);
}

fn barrier_against_idle() {
    barrier_against_one_that_goes(false);
}

/// Three CPUs: one drains; one defers a free just before it sees the closed gate, passes, and
/// leaves; one reads the set without a lock until it passes for the second time.
fn drain_against_deferring_and_leaving() {
    let pool = pool::<3>();
    pool.cpu_online(&on(1)).unwrap();
    pool.cpu_online(&on(2)).unwrap();
    let set = pool.get(&on(1)).unwrap();
    let link = Arc::new(AtomicU32::new(set.set()));
    let leaving = {
        let (pool, link) = (pool.clone(), link.clone());
        thread::spawn(move || {
            link.store(NO_SET, Relaxed);
            match pool.put_deferred(&on(1), set) {
                Ok(()) => {}
                Err(PutError::Refused(Refused::Closed, set)) => drop(set),
                Err(other) => panic!("{other:?}"),
            }
            pool.quiescent(&on(1));
            pool.cpu_offline(&on(1)).unwrap();
        })
    };
    let reading = {
        let (pool, link) = (pool.clone(), link.clone());
        thread::spawn(move || {
            pool.quiescent(&on(2));
            let set = link.load(Relaxed);
            if set != NO_SET {
                pool.backend().read(set);
            }
            pool.quiescent(&on(2));
        })
    };
    match pool.drain(&on(0), &mut Yield(3)) {
        Ok(_proof) => nothing_is_kept(&pool, 0),
        Err(DrainError::Timeout(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
    leaving.join().unwrap();
    reading.join().unwrap();
    settle(&pool, 0);
}

/// One CPU defers a free and sleeps; the other, a reader, finishes it.
fn deferred_free_of_one_that_sleeps() {
    let pool = pool::<2>();
    pool.cpu_online(&on(0)).unwrap();
    pool.cpu_online(&on(1)).unwrap();
    let set = pool.get(&on(0)).unwrap();
    let link = Arc::new(AtomicU32::new(set.set()));
    let sleeping = {
        let (pool, link) = (pool.clone(), link.clone());
        thread::spawn(move || {
            link.store(NO_SET, Relaxed);
            pool.put_deferred(&on(0), set).unwrap();
            pool.idle_enter(&on(0)).unwrap();
        })
    };
    for _ in 0..2 {
        let set = link.load(Relaxed);
        if set != NO_SET {
            pool.backend().read(set);
        }
        pool.quiescent(&on(1));
    }
    sleeping.join().unwrap();
    pool.quiescent(&on(1));
    assert_eq!(
        pool.stats(&on(1)).unwrap().in_flight,
        0,
        "nobody has to wake"
    );
    settle(&pool, 1);
}

/// One CPU drains; the other tries what is in quarantine again, and fails. No set comes into
/// quarantine while the proof lives.
fn drain_against_retry_quarantined() {
    let pool = pool::<2>();
    pool.cpu_online(&on(0)).unwrap();
    pool.cpu_online(&on(1)).unwrap();
    let set = pool.get(&on(1)).unwrap();
    pool.backend().refuse(set.set(), 2);
    pool.put(&on(1), set).unwrap();
    let failed = pool.drain_cpu(&on(1));
    assert!(matches!(failed, Err(TrimError::Quarantined { .. })));
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            pool.quiescent(&on(1));
            thread::yield_now();
            let _ = pool.retry_quarantined(&on(1));
        })
    };
    let proof = pool.drain(&on(0), &mut Yield(3));
    other.join().unwrap();
    if proof.is_ok() {
        nothing_is_kept(&pool, 0);
    }
    drop(proof);
    settle(&pool, 0);
}

/// One CPU drains; the other puts a set that cannot be destructed. No set comes into quarantine
/// while the proof lives.
fn drain_against_put_that_fails() {
    let pool = pool::<2>();
    pool.cpu_online(&on(0)).unwrap();
    pool.cpu_online(&on(1)).unwrap();
    let set = pool.get(&on(1)).unwrap();
    pool.backend().refuse(set.set(), 5);
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            pool.quiescent(&on(1));
            thread::yield_now();
            let _ = pool.put(&on(1), set);
        })
    };
    let proof = pool.drain(&on(0), &mut Yield(3));
    other.join().unwrap();
    if proof.is_ok() {
        nothing_is_kept(&pool, 0);
    }
    drop(proof);
    settle(&pool, 0);
}

/// One CPU drains, or closes for good; the other constructs into the depot.
fn against_replenish(close: bool) {
    let pool = pool::<2>();
    pool.cpu_online(&on(1)).unwrap();
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            let _ = pool.replenish(&on(1));
            pool.quiescent(&on(1));
            thread::yield_now();
            let _ = pool.replenish(&on(1));
        })
    };
    if close {
        let closed = pool.close(&on(0), &mut Yield(3)).is_ok();
        other.join().unwrap();
        assert!(!closed || pool.backend().alive() == 0);
    } else {
        let proof = pool.drain(&on(0), &mut Yield(3));
        other.join().unwrap();
        if proof.is_ok() {
            nothing_is_kept(&pool, 0);
        }
        drop(proof);
    }
    settle(&pool, 0);
}

fn drain_against_replenish() {
    against_replenish(false);
}

fn close_against_replenish() {
    against_replenish(true);
}

/// One CPU reclaims what lies in the other's cache; the other gets and puts.
fn reclaim_against_get_and_put() {
    let pool = pool::<2>();
    fill(&pool, 1);
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            work(&pool, 1);
            pool.quiescent(&on(1));
            work(&pool, 1);
        })
    };
    let _ = pool.reclaim(&on(0), &mut Yield(3));
    other.join().unwrap();
    settle(&pool, 0);
}

/// A wait that finds out whether each CPU that is waited for was kicked. It can wait as often as
/// `Yield`.
struct KickedFirst {
    kicked: Vec<CpuId>,
    patience: Yield,
}

impl Wait for KickedFirst {
    fn kick(&mut self, cpu: CpuId) {
        assert!(!self.kicked.contains(&cpu), "{cpu} was kicked twice");
        self.kicked.push(cpu);
    }
    fn relax(&mut self, cpu: CpuId) -> bool {
        assert!(
            self.kicked.contains(&cpu),
            "{cpu} is waited for, and nobody kicked it"
        );
        self.patience.relax(cpu)
    }
}

/// Three CPUs: one drains; one runs, and is kicked; one comes back from idle meanwhile, perhaps
/// with an old number.
fn drain_against_one_that_wakes() {
    let pool = pool::<3>();
    pool.cpu_online(&on(1)).unwrap();
    let running = {
        let pool = pool.clone();
        thread::spawn(move || pool.quiescent(&on(1)))
    };
    let waking = {
        let pool = pool.clone();
        thread::spawn(move || pool.idle_exit(&on(2)).unwrap())
    };
    let mut wait = KickedFirst {
        kicked: Vec::new(),
        patience: Yield(3),
    };
    match pool.drain(&on(0), &mut wait) {
        Ok(_proof) => nothing_is_kept(&pool, 0),
        Err(DrainError::Timeout(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
    running.join().unwrap();
    waking.join().unwrap();
    settle(&pool, 0);
}

/// Runs a model: all interleavings, or those with so many preemptions.
fn check(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    // Builder::new has read LOOM_MAX_PREEMPTIONS.
    builder.preemption_bound = match (builder.preemption_bound, preemptions) {
        (Some(asked), Some(bound)) => Some(asked.min(bound)),
        (asked, bound) => asked.or(bound),
    };
    builder.max_branches = 10_000;
    builder.check(model);
}

/// Models of two threads run without a bound, those of three with this one.
const THREE: Option<usize> = Some(4);

macro_rules! models {
    ($($name:ident $bound:expr;)*) => {
        mod model {$(
            #[test]
            fn $name() {
                let executions = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
                let count = executions.clone();
                super::check($bound, move || {
                    count.fetch_add(1, super::SeqCst);
                    super::$name()
                });
                println!("{}: {} executions", stringify!($name), executions.load(super::SeqCst));
            }
        )*}
    };
}

models! {
    drain_against_get_and_put None;
    drain_and_reopen_against_get_and_put None;
    drain_twice_against_get_and_put None;
    drain_against_idle None;
    drain_against_two super::THREE;
    drain_against_offline None;
    invalidate_against_get None;
    close_against_put None;
    close_against_deferred_free None;
    deferred_free_against_reader None;
    deferred_free_against_starter None;
    drain_against_deferred_free None;
    drain_against_drain None;
    invalidate_after_drain None;
    invalidate_against_two super::THREE;
    deferred_free_against_two_readers super::THREE;
    drain_against_offline_and_put super::THREE;
    depot_between_two None;
    invalidate_right_after_drain None;
    new_generation_against_construct None;
    barrier_against_deferred_free None;
    barrier_against_offline None;
    barrier_against_idle None;
    drain_against_deferring_and_leaving Some(2);
    deferred_free_of_one_that_sleeps None;
    drain_against_retry_quarantined None;
    drain_against_put_that_fails None;
    drain_against_replenish None;
    close_against_replenish None;
    reclaim_against_get_and_put None;
    drain_against_one_that_wakes super::THREE;
}

/// Each ordering, made relaxed: the named model must fail. One that still passed would mean that
/// the ordering is not needed, or that the models do not see why it is.
macro_rules! weakened {
    ($($site:ident $model:ident)*) => {
        mod weakened {
            use super::*;
            $(
                #[test]
                #[allow(non_snake_case)]
                fn $site() {
                    weaken(Some(Site::$site));
                    let result = std::panic::catch_unwind(|| check(None, $model));
                    weaken(None);
                    assert!(result.is_err(), "{:?} relaxed, and {} found nothing", Site::$site, stringify!($model));
                }
            )*
        }
    };
}

weakened! {
    GateRead drain_and_reopen_against_get_and_put
    GateOpen drain_and_reopen_against_get_and_put
    GateGeneration invalidate_right_after_drain
    GraceStart drain_against_get_and_put
    QuiescentRead drain_against_get_and_put
    QuiescentAnnounce drain_against_get_and_put
    QuiescentCheck drain_against_get_and_put
    IdleEnter drain_against_idle
    IdleExitAnnounce drain_against_idle
    IdleExitFence drain_against_idle
    GraceFence drain_against_idle
    DeferTag deferred_free_against_starter
    ControlAcquire invalidate_after_drain
    ControlRelease drain_against_drain
}
