//! Histories: a string of bytes is a list of actions on three CPUs, done on the pool and on a plain
//! model of it.
//!
//! The model knows nothing of caches, depots or magazines. It knows which sets are out, which wait
//! and for whom, which can not be destructed, who is running, and what an action may answer then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::SeqCst;

use pagetable_pool::*;

use super::common::*;

const CPUS: usize = 3;
const SETS: usize = 64;
type P = Pool<Table, CPUS, 2, 3>;

/// A free that waits: the CPUs that have not passed since.
struct Waiting {
    for_cpus: BTreeSet<usize>,
}

struct Model {
    pool: P,
    running: [bool; CPUS],
    generation: u32,
    out: Vec<Constructed<u32>>,
    waiting: BTreeMap<u32, Waiting>,
    quarantined: BTreeSet<u32>,
    closed_for_good: bool,
    /// What happened, for coverage of the test itself.
    pub seen: BTreeMap<&'static str, usize>,
}

/// Runs a history, three bytes an action. Panics where pool and model part. Gives how often what
/// happened.
pub fn run(bytes: &[u8]) -> BTreeMap<&'static str, usize> {
    let config = Config::new()
        .cpus::<CPUS>()
        .magazines::<2>()
        .rounds::<3>()
        .construct_batch(2)
        .high_water(5)
        .low_water(2);
    let mut model = Model {
        pool: P::new(config, Table::new(SETS)),
        running: [false; CPUS],
        generation: 1,
        out: Vec::new(),
        waiting: BTreeMap::new(),
        quarantined: BTreeSet::new(),
        closed_for_good: false,
        seen: BTreeMap::new(),
    };
    model.online(0);
    for action in bytes.chunks_exact(3) {
        model.act(
            action[0],
            usize::from(action[1]) % CPUS,
            usize::from(action[2]),
        );
        model.check();
    }
    model.finish();
    model.seen
}

impl Model {
    fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn act(&mut self, action: u8, cpu: usize, arg: usize) {
        match action % 24 {
            0..=4 => self.get(cpu),
            5..=8 => self.put(cpu, arg),
            9 => self.try_get(cpu),
            10 | 11 => self.put_deferred(cpu, arg),
            12 | 13 => self.quiescent(cpu),
            14 => self.drain(cpu, arg),
            15 => self.invalidate(cpu, arg),
            16 => self.barrier(cpu, arg),
            17 if arg % 2 == 0 => self.idle_enter(cpu),
            17 | 18 => self.online(cpu),
            19 => self.offline(cpu),
            20 => self.drain_cpu(cpu),
            21 if arg % 2 == 0 => self.shrink(cpu, arg / 16),
            21 => self.replenish(cpu),
            22 => self.inject(arg),
            23 if arg < 250 => self.heal(cpu),
            _ => self.close(cpu),
        }
    }

    /// What begins an operation that needs the cache.
    fn refusal(&self, cpu: usize) -> Option<Refused> {
        if self.closed_for_good {
            Some(Refused::ClosedForGood)
        } else if !self.running[cpu] {
            Some(Refused::NotOnline(CpuId(cpu)))
        } else {
            None
        }
    }

    /// CPU `cpu` is outside the pool at this moment.
    fn passes(&mut self, cpu: usize) {
        self.waiting.values_mut().for_each(|waiting| {
            waiting.for_cpus.remove(&cpu);
        });
    }

    /// A set has come out: it must be one that nobody has, in the present form.
    fn came_out(&mut self, set: Constructed<u32>) {
        let name = set.set();
        assert!(
            self.out.iter().all(|other| other.set() != name),
            "set {name} is out twice"
        );
        if let Some(waiting) = self.waiting.remove(&name) {
            assert!(
                waiting.for_cpus.is_empty(),
                "set {name} came out while {:?} may read it",
                waiting.for_cpus
            );
        }
        assert!(
            !self.quarantined.contains(&name),
            "set {name} came out of quarantine"
        );
        assert_eq!(set.generation().get(), self.generation);
        assert_eq!(
            self.pool.backend().form_of(name),
            self.generation,
            "set {name} is of an old form"
        );
        self.out.push(set);
    }

    fn get(&mut self, cpu: usize) {
        match (self.pool.get(&on(cpu)), self.refusal(cpu)) {
            (Ok(set), None) => {
                self.note("get");
                self.came_out(set);
            }
            (Err(GetError::Refused(refused)), Some(expected)) => assert_eq!(refused, expected),
            (Err(error @ (GetError::Construct(_) | GetError::Hoarded { .. })), None) => {
                self.note("construction failed");
                let stats = self.pool.stats(&on(cpu)).unwrap();
                // This CPU's own cache and the depot are empty, or there would have been one.
                let idle = stats.total.cached + stats.in_flight;
                let told = match error {
                    GetError::Hoarded { idle, .. } => idle,
                    _ => 0,
                };
                assert_eq!(told, idle, "{error}");
                let backend = self.pool.backend();
                assert!(
                    backend.construct_budget.load(SeqCst) != usize::MAX || backend.alive() == SETS
                );
            }
            (result, expected) => panic!("get gave {result:?}, the model {expected:?}"),
        }
    }

    fn try_get(&mut self, cpu: usize) {
        let constructed = self.pool.stats(&on(cpu)).unwrap().total.constructed;
        if let Some(set) = self.pool.try_get(&on(cpu)) {
            assert_eq!(self.refusal(cpu), None);
            self.note("try_get");
            self.came_out(set);
        }
        assert_eq!(
            self.pool.stats(&on(cpu)).unwrap().total.constructed,
            constructed
        );
    }

    fn pick(&mut self, arg: usize) -> Option<Constructed<u32>> {
        (!self.out.is_empty()).then(|| self.out.swap_remove(arg % self.out.len()))
    }

    fn put(&mut self, cpu: usize, arg: usize) {
        let Some(set) = self.pick(arg) else { return };
        let (name, generation) = (set.set(), set.generation().get());
        match (self.pool.put(&on(cpu), set), self.refusal(cpu)) {
            (Ok(()), None) => {
                self.note("put");
                if generation != self.generation {
                    self.note("put of an old form");
                    assert!(
                        !self.pool.backend().is_alive(name),
                        "set {name} of an old form was kept"
                    );
                }
            }
            (Ok(()), Some(Refused::ClosedForGood)) => assert!(!self.pool.backend().is_alive(name)),
            (Err(PutError::Quarantined(set, Fault::Injected)), None) => {
                assert_eq!(
                    (set, self.pool.backend().indestructible.load(SeqCst)),
                    (name, name)
                );
            }
            (Err(PutError::NotDestructed(set, Fault::Injected)), Some(Refused::ClosedForGood)) => {
                self.note("put back to its owner");
                assert_eq!(self.pool.backend().indestructible.load(SeqCst), name);
                self.out.push(set);
            }
            (Err(PutError::Refused(refused, set)), Some(expected)) => {
                assert_eq!(refused, expected);
                self.out.push(set);
            }
            (result, expected) => panic!("put gave {result:?}, the model {expected:?}"),
        }
    }

    fn put_deferred(&mut self, cpu: usize, arg: usize) {
        let Some(set) = self.pick(arg) else { return };
        let name = set.set();
        match (self.pool.put_deferred(&on(cpu), set), self.refusal(cpu)) {
            (Ok(()), None) => {
                self.note("deferred");
                let for_cpus = (0..CPUS).filter(|&cpu| self.running[cpu]).collect();
                self.waiting.insert(name, Waiting { for_cpus });
            }
            (Err(PutError::Refused(refused, set)), Some(expected)) => {
                assert_eq!(refused, expected);
                self.out.push(set);
            }
            (result, expected) => panic!("put_deferred gave {result:?}, the model {expected:?}"),
        }
    }

    fn quiescent(&mut self, cpu: usize) {
        if self.running[cpu] {
            self.passes(cpu);
        }
        self.pool.quiescent(&on(cpu));
    }

    fn online(&mut self, cpu: usize) {
        self.pool.cpu_online(&on(cpu)).unwrap();
        self.running[cpu] = true;
    }

    fn idle_enter(&mut self, cpu: usize) {
        self.pool.idle_enter(&on(cpu)).unwrap();
        self.running[cpu] = false;
        self.passes(cpu);
    }

    fn offline(&mut self, cpu: usize) {
        match self.pool.cpu_offline(&on(cpu)) {
            Ok(left) => {
                if self.running[cpu] && !self.closed_for_good {
                    self.note("offline");
                    assert_eq!(left.cached, 0);
                    assert_eq!(self.pool.cpu_stats(CpuId(cpu)).unwrap().cached, 0);
                }
            }
            Err(TrimError::Quarantined { set, .. }) => self.is_indestructible(set),
            Err(other) => panic!("{other:?}"),
        }
        self.running[cpu] = false;
        self.passes(cpu);
    }

    fn is_indestructible(&self, set: u32) {
        assert_eq!(set, self.pool.backend().indestructible.load(SeqCst));
    }

    fn drain_cpu(&mut self, cpu: usize) {
        match (self.pool.drain_cpu(&on(cpu)), self.refusal(cpu)) {
            (Ok(_), None) => assert_eq!(self.pool.cpu_stats(CpuId(cpu)).unwrap().cached, 0),
            (Err(TrimError::Refused(refused)), Some(expected)) => assert_eq!(refused, expected),
            (Err(TrimError::Quarantined { set, .. }), None) => self.is_indestructible(set),
            (result, expected) => panic!("drain_cpu gave {result:?}, the model {expected:?}"),
        }
    }

    fn shrink(&mut self, cpu: usize, target: usize) {
        match (self.pool.shrink(&on(cpu), target), self.refusal(cpu)) {
            (Ok(shrunk), None) => assert!(shrunk.destructed == 0 || shrunk.depot >= target.max(2)),
            (Err(TrimError::Refused(refused)), Some(expected)) => assert_eq!(refused, expected),
            (Err(TrimError::Quarantined { set, .. }), None) => self.is_indestructible(set),
            (result, expected) => panic!("shrink gave {result:?}, the model {expected:?}"),
        }
    }

    fn replenish(&mut self, cpu: usize) {
        match (self.pool.replenish(&on(cpu)), self.refusal(cpu)) {
            (Ok(_), None) | (Err(TrimError::Construct(_)), None) => {}
            (Err(TrimError::Refused(refused)), Some(expected)) => assert_eq!(refused, expected),
            (Err(TrimError::Quarantined { set, .. }), None) => self.is_indestructible(set),
            (result, expected) => panic!("replenish gave {result:?}, the model {expected:?}"),
        }
    }

    /// Waits for other CPUs, of which those in the mask `obliging` pass. Gives the CPU that stands
    /// in the way, if any.
    fn waits<R>(
        &mut self,
        cpu: usize,
        obliging: usize,
        wait_for: impl FnOnce(&P, &CpuGuard, &mut Obliging<'_>) -> R,
    ) -> (R, Option<usize>) {
        let mut wait = Obliging {
            pool: &self.pool,
            obliging,
            kicked: BTreeSet::new(),
            hand: std::mem::take(&mut self.out),
            deferred: Vec::new(),
            put: 0,
            back_to_owner: 0,
        };
        let result = wait_for(&self.pool, &on(cpu), &mut wait);
        let Obliging {
            kicked,
            hand,
            deferred,
            put,
            back_to_owner,
            ..
        } = wait;
        self.out = hand;
        for &other in &kicked {
            assert!(
                self.running[other] && other != cpu,
                "CPU {other} was kicked for nothing"
            );
        }
        let late = (0..CPUS)
            .find(|&other| other != cpu && self.running[other] && obliging >> other & 1 == 0);
        // Whoever obliges has passed, as has the caller.
        for other in 0..CPUS {
            if other == cpu || obliging >> other & 1 == 1 {
                self.passes(other);
            }
        }
        // What was deferred meanwhile still waits for the caller, which passed before, and for
        // whoever does not oblige.
        for name in deferred {
            self.note("deferred while another waits");
            let for_cpus = (0..CPUS)
                .filter(|&other| {
                    self.running[other] && (other == cpu || obliging >> other & 1 == 0)
                })
                .collect();
            self.waiting.insert(name, Waiting { for_cpus });
        }
        (0..put).for_each(|_| self.note("put while another waits"));
        (0..back_to_owner).for_each(|_| self.note("put back to its owner"));
        (result, late)
    }

    fn drain(&mut self, cpu: usize, arg: usize) {
        let before = self.pool.stats(&on(cpu)).unwrap();
        let (result, late) = self.waits(cpu, arg, |pool, guard, wait| {
            pool.drain(guard, wait).map(|drained| {
                assert!(drained.is_of(pool));
                assert_eq!(drained.recheck(guard), Ok(()));
                let stats = pool.stats(guard).unwrap();
                assert_eq!(
                    (
                        stats.total.cached,
                        stats.depot,
                        stats.in_flight,
                        drained.left()
                    ),
                    (0, 0, 0, 0)
                );
                assert!(matches!(pool.get(guard), Err(GetError::Refused(_))));
                (pool.backend().alive(), drained.in_use(), drained.sets())
            })
        });
        match result {
            Ok((alive, in_use, taken)) => {
                self.note("drained");
                assert_eq!(late, None);
                assert_eq!(
                    (alive, in_use),
                    (self.out.len(), self.out.len()),
                    "only what is out is left"
                );
                assert!(taken <= before.total.cached + before.depot + before.in_flight);
                self.waiting.clear();
            }
            Err(DrainError::Timeout(timeout)) => {
                self.note("drain timed out");
                assert_eq!(Some(timeout.cpu.0), late);
                let after = self.pool.stats(&on(cpu)).unwrap();
                assert_eq!(after.drains, before.drains);
            }
            Err(DrainError::Refused(Refused::ClosedForGood)) => assert!(self.closed_for_good),
            Err(DrainError::Quarantined { count, set, .. }) => {
                self.note("drain found quarantine");
                assert_eq!(late, None);
                self.sync_quarantine();
                assert_eq!(count, self.quarantined.len());
                assert!(
                    self.quarantined.contains(&set),
                    "set {set} is named, {:?} are there",
                    self.quarantined
                );
                self.waiting.clear();
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn invalidate(&mut self, cpu: usize, arg: usize) {
        if self.generation > 200 {
            return;
        }
        self.pool.backend().form.fetch_add(1, SeqCst);
        self.generation += 1;
        let (result, late) = self.waits(cpu, arg, |pool, guard, wait| pool.invalidate(guard, wait));
        match result {
            Ok(generation) => {
                self.note("invalidated");
                assert_eq!((generation.get(), late), (self.generation, None));
            }
            Err(WaitError::Timeout(timeout)) => assert_eq!(Some(timeout.cpu.0), late),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn barrier(&mut self, cpu: usize, arg: usize) {
        let refusal = self.refusal(cpu);
        let before: Vec<_> = self.waiting.keys().copied().collect();
        let (result, late) = self.waits(cpu, arg, |pool, guard, wait| pool.barrier(guard, wait));
        match result {
            Ok(_) => {
                self.note("barrier");
                assert_eq!((late, refusal), (None, None));
                // All that was deferred before is finished, whatever was deferred since.
                before.iter().for_each(|name| {
                    self.waiting.remove(name);
                });
                assert!(self.pool.stats(&on(cpu)).unwrap().in_flight <= self.waiting.len());
            }
            Err(WaitError::Timeout(timeout)) => assert_eq!(Some(timeout.cpu.0), late),
            Err(WaitError::Refused(refused)) => assert_eq!(Some(refused), refusal),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn close(&mut self, cpu: usize) {
        let (result, late) =
            self.waits(cpu, usize::MAX, |pool, guard, wait| pool.close(guard, wait));
        assert_eq!(late, None);
        match result {
            Ok(closed) => {
                self.note("closed");
                assert_eq!(closed.in_use, self.out.len());
                assert_eq!(self.pool.backend().alive(), self.out.len());
            }
            Err(DrainError::Quarantined { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
        self.closed_for_good = true;
        self.waiting.clear();
    }

    /// The next constructions fail soon, or one set cannot be destructed.
    fn inject(&mut self, arg: usize) {
        let backend = self.pool.backend();
        if arg % 2 == 0 {
            backend.construct_budget.store(arg / 2 % 5, SeqCst);
        } else if backend.indestructible.load(SeqCst) == NO_SET {
            // One that is out, if there is one: it comes back to a cache, or under a closed gate.
            let any = (arg / 2 % SETS) as u32;
            let bad = self.out.get(arg / 2 % 4).map_or(any, |set| set.set());
            backend.indestructible.store(bad, SeqCst);
        }
    }

    fn heal(&mut self, cpu: usize) {
        self.pool
            .backend()
            .construct_budget
            .store(usize::MAX, SeqCst);
        self.pool.backend().indestructible.store(NO_SET, SeqCst);
        assert_eq!(self.pool.retry_quarantined(&on(cpu)), Ok(0));
        self.quarantined.clear();
    }

    /// The one set that may not be destructed, once the pool has tried, is in quarantine.
    fn sync_quarantine(&mut self) {
        let bad = self.pool.backend().indestructible.load(SeqCst);
        let count = self.pool.stats(&on(0)).unwrap().quarantined;
        if count > self.quarantined.len() {
            assert!(self.quarantined.insert(bad));
            assert!(self
                .waiting
                .remove(&bad)
                .is_none_or(|waiting| waiting.for_cpus.is_empty()));
            self.note("quarantined");
        }
        assert_eq!(count, self.quarantined.len());
    }

    /// What holds after every action.
    fn check(&mut self) {
        self.sync_quarantine();
        let stats = self.pool.stats(&on(0)).unwrap();
        assert_eq!(stats.in_use, self.out.len());
        // What the pool has finished waited for nobody any more; what waits is alive.
        for (&set, waiting) in &self.waiting {
            if !waiting.for_cpus.is_empty() {
                assert!(
                    self.pool.backend().is_alive(set),
                    "set {set} went while {:?} may read it",
                    waiting.for_cpus
                );
            }
        }
        let held_back = self
            .waiting
            .values()
            .filter(|waiting| !waiting.for_cpus.is_empty())
            .count();
        assert!(stats.in_flight >= held_back && stats.in_flight <= self.waiting.len());
        let held =
            stats.total.cached + stats.depot + stats.in_use + stats.in_flight + stats.quarantined;
        assert_eq!(
            self.pool.backend().alive(),
            held,
            "the backend has other books"
        );
        assert!(stats.depot <= 5, "above the high-water mark");
        if self.refusal(0).is_none() {
            self.pool.validate(&on(0), true).unwrap();
        }
    }

    /// In the end everything can be given back.
    fn finish(&mut self) {
        for cpu in 0..CPUS {
            self.online(cpu);
        }
        self.heal(0);
        while let Some(set) = self.out.pop() {
            self.pool.put(&on(0), set).unwrap();
        }
        let (result, _) = self.waits(0, usize::MAX, |pool, guard, wait| pool.close(guard, wait));
        assert_eq!(result.unwrap().in_use, 0);
        assert_eq!(self.pool.backend().alive(), 0);
    }
}

/// CPUs of a mask pass when they are waited for, by a moment of idleness, which collects nothing;
/// the others never do. On the way some give sets back, at once or deferred: bits 3 and 4 of the
/// mask say so.
struct Obliging<'a> {
    pool: &'a P,
    obliging: usize,
    kicked: BTreeSet<usize>,
    hand: Vec<Constructed<u32>>,
    deferred: Vec<u32>,
    put: usize,
    back_to_owner: usize,
}

impl Obliging<'_> {
    fn give_back(&mut self, cpu: usize) {
        if self.obliging >> 3 & 1 == 1 {
            if let Some(set) = self.hand.pop() {
                let name = set.set();
                match self.pool.put_deferred(&on(cpu), set) {
                    Ok(()) => self.deferred.push(name),
                    Err(PutError::Refused(_, set)) => self.hand.push(set),
                    Err(other) => panic!("{other}"),
                }
            }
        }
        if self.obliging >> 4 & 1 == 1 {
            if let Some(set) = self.hand.pop() {
                match self.pool.put(&on(cpu), set) {
                    Ok(()) | Err(PutError::Quarantined(..)) => self.put += 1,
                    Err(PutError::Refused(_, set)) => self.hand.push(set),
                    Err(PutError::NotDestructed(set, Fault::Injected)) => {
                        self.back_to_owner += 1;
                        self.hand.push(set);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

impl Wait for Obliging<'_> {
    fn kick(&mut self, cpu: CpuId) {
        self.kicked.insert(cpu.0);
    }

    fn relax(&mut self, cpu: CpuId) -> bool {
        if self.obliging >> cpu.0 & 1 == 0 {
            return false;
        }
        self.give_back(cpu.0);
        self.pool.idle_enter(&on(cpu.0)).unwrap();
        self.pool.idle_exit(&on(cpu.0)).unwrap();
        true
    }
}
