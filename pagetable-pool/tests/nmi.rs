//! A non-maskable interrupt after every single instruction of every call.
//!
//! The processor's trap flag gives a `SIGTRAP` after each instruction of the call under test; the
//! signal's handler is the NMI. It calls what `docs/contexts.md` allows there. Some handlers also
//! let another CPU drain or invalidate at that very instruction: the same thread plays both, one
//! call at a time, so what happens at instruction `k` happens again in every run.
//!
//! A release build is interrupted at every instruction. In a debug build a call has ten times as
//! many, and an interrupt that comes only once comes at one in 29 (`proofs.md` has the command for
//! the release build).
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(any(loom, shuttle))))]

mod common;
#[path = "common/stepping.rs"]
mod stepping;

use std::sync::atomic::Ordering::SeqCst;

use common::*;
use pagetable_pool::*;
use stepping::{Interrupted, Nmi};

type P = Pool<Table, 3, 2, 2>;

/// The CPU that is interrupted, and the one that acts while it is.
const HERE: usize = 1;
const OTHER: usize = 0;

/// What an NMI handler has: no right to lock or to wait.
fn in_nmi() -> CpuGuard {
    on_with(HERE, Context::empty())
}

/// Another CPU waits, and CPU 1 is made to pass by its NMI. Remembers nothing: a signal handler may
/// not allocate.
struct PassedByNmi {
    pool: &'static P,
    patience: u32,
}

impl Wait for PassedByNmi {
    fn kick(&mut self, cpu: CpuId) {
        assert_eq!(cpu.0, HERE);
    }
    fn relax(&mut self, _: CpuId) -> bool {
        self.pool.quiescent(&in_nmi());
        self.patience -= 1;
        self.patience > 0
    }
}

/// What is there while a call is interrupted.
struct World {
    pool: P,
    /// Sets that the call under test puts, or got.
    hand: Vec<Constructed<u32>>,
    /// The handler's slot, for a set that `try_put` refused.
    slot: Option<Constructed<u32>>,
    proof: Option<Drained<'static>>,
    generation: u32,
    wrong: Option<&'static str>,
}

impl World {
    /// CPU 1 with `cached` sets in its cache, `depot` in the depot, and `hand` taken; CPU 0 online,
    /// CPU 2 away.
    fn new(cached: usize, depot: usize, hand: usize) -> Box<World> {
        let mut world = Box::new(World {
            pool: P::new(
                Config::new()
                    .cpus::<3>()
                    .magazines::<2>()
                    .rounds::<2>()
                    .construct_batch(2)
                    .high_water(4)
                    .low_water(2),
                Table::new(48),
            ),
            hand: Vec::with_capacity(16),
            slot: None,
            proof: None,
            generation: 1,
            wrong: None,
        });
        let pool = &world.pool;
        pool.cpu_online(&on(OTHER)).unwrap();
        pool.cpu_online(&on(HERE)).unwrap();
        pool.cpu_online(&on(2)).unwrap();
        // Everything that CPU 1 will cache or have comes from elsewhere, so that its cache holds
        // just so many.
        let elsewhere =
            |n: usize| -> Vec<_> { (0..n).map(|_| pool.get(&on(2)).unwrap()).collect() };
        let (cache, mut taken) = (elsewhere(cached), elsewhere(hand));
        pool.drain_cpu(&on(2)).unwrap();
        // What overflows a cache of four goes to the depot.
        let surplus = if depot > 0 {
            elsewhere(4 + depot)
        } else {
            Vec::new()
        };
        surplus
            .into_iter()
            .for_each(|set| pool.put(&on(2), set).unwrap());
        pool.drain_cpu(&on(2)).unwrap();
        assert_eq!(pool.stats(&on(2)).unwrap().depot, depot);
        cache
            .into_iter()
            .for_each(|set| pool.put(&on(HERE), set).unwrap());
        pool.idle_enter(&on(2)).unwrap();
        world.hand.append(&mut taken);
        world
    }

    fn defer(self: Box<Self>, sets: usize) -> Box<World> {
        let mut world = self;
        for _ in 0..sets {
            let set = world.hand.pop().unwrap();
            world.pool.put_deferred(&on(HERE), set).unwrap();
        }
        world
    }

    /// The pool, for as long as the world stands.
    fn pool(&self) -> &'static P {
        // SAFETY: a world is boxed, and its proof, which is all that keeps the reference, is
        // dropped before the pool.
        unsafe { &*std::ptr::from_ref(&self.pool) }
    }

    /// Takes a set and gives it back; keeps it in the slot if it may not.
    fn take_and_give(&mut self) {
        if self.slot.is_some() {
            return;
        }
        let Some(set) = self.pool.try_get(&in_nmi()) else {
            return;
        };
        if self.generation != u32::MAX && set.generation().get() != self.generation {
            self.wrong = Some("an NMI was given a set of an old generation");
        }
        if self.proof.is_some() {
            self.wrong = Some("an NMI was given a set while a proof lives");
        }
        match self.pool.try_put(&in_nmi(), set) {
            Ok(()) => {}
            Err(PutError::Refused(_, set)) => self.slot = Some(set),
            Err(_) => self.wrong = Some("a set that try_get gave is not known"),
        }
    }

    fn passed(&self) -> PassedByNmi {
        PassedByNmi {
            pool: self.pool(),
            patience: 3,
        }
    }

    fn drain_elsewhere(&mut self) {
        if self.proof.is_none() {
            self.proof = self.pool().drain(&on(OTHER), &mut self.passed()).ok();
        }
    }

    fn invalidate_elsewhere(&mut self) {
        if self.generation > 1 || self.proof.is_some() {
            return;
        }
        // The form changes first, as the kernel's entry would.
        self.pool.backend().form.store(2, SeqCst);
        match self.pool.invalidate(&on(OTHER), &mut self.passed()) {
            Ok(_) => self.generation = 2,
            // Raised, but nothing promised yet.
            Err(WaitError::Timeout(_)) => self.generation = u32::MAX,
            Err(_) => self.pool.backend().form.store(1, SeqCst),
        }
    }

    /// What holds once the call has ended, whatever came in between.
    fn check(&mut self) {
        if let Some(wrong) = self.wrong {
            panic!("{wrong}");
        }
        let pool = self.pool();
        let stats = pool.stats(&on(OTHER)).unwrap();
        let here = pool.cpu_stats(CpuId(HERE)).unwrap();
        assert!(
            here.running || pool.try_get(&in_nmi()).is_none(),
            "CPU 1 is away, and an NMI was given a set"
        );
        let out = self.hand.len() + usize::from(self.slot.is_some());
        assert_eq!(stats.in_use, out, "in use");
        let kept = stats.total.cached + stats.depot + stats.in_flight + stats.quarantined;
        if let Some(proof) = self.proof.take() {
            assert_eq!(
                (kept, proof.left()),
                (0, 0),
                "a proof lives, and sets are kept"
            );
            assert_eq!(
                pool.backend().alive(),
                out,
                "a proof lives, and the backend has more than what is out"
            );
        }
        assert_eq!(pool.backend().alive(), kept + out, "every set is somewhere");
        // And the pool can still do everything.
        (0..3).for_each(|cpu| pool.cpu_online(&on(cpu)).unwrap());
        if self.generation == u32::MAX {
            pool.invalidate(&on(OTHER), &mut all_pass(pool)).unwrap();
            self.generation = pool.stats(&on(OTHER)).unwrap().generation;
        }
        let generation = pool.stats(&on(OTHER)).unwrap().generation;
        for _ in 0..3 {
            let set = pool.get(&on(HERE)).unwrap();
            assert_eq!(set.generation().get(), generation);
            assert!(
                generation == 1 || pool.backend().form_of(set.set()) == 2,
                "an old form comes out"
            );
            self.hand.push(set);
        }
        for set in self.hand.drain(..).chain(self.slot.take()) {
            pool.put(&on(HERE), set).unwrap();
        }
        pool.validate(&on(HERE), true).unwrap();
        let drained = pool.drain(&on(OTHER), &mut all_pass(pool)).unwrap();
        assert_eq!((drained.in_use(), pool.backend().alive()), (0, 0));
    }
}

/// A state in which a call is made, and the call.
struct Case {
    name: &'static str,
    world: fn() -> Box<World>,
    call: fn(&mut World),
}

/// Every call that works on the CPU's own cache or announces its state, in each of the states that
/// send it another way.
const CASES: &[Case] = &[
    Case {
        name: "get, a hit",
        world: || World::new(2, 0, 0),
        call: get,
    },
    Case {
        name: "get, from the depot",
        world: || World::new(0, 4, 0),
        call: get,
    },
    Case {
        name: "get, constructs",
        world: || World::new(0, 0, 0),
        call: get,
    },
    Case {
        name: "get, of an old generation",
        world: || stale(3, 2, 0),
        call: get,
    },
    Case {
        name: "try_get",
        world: || World::new(2, 0, 0),
        call: |world| world.hand.extend(world.pool.try_get(&on(HERE))),
    },
    Case {
        name: "try_get, of an old generation",
        world: || stale(2, 0, 0),
        call: |world| world.hand.extend(world.pool.try_get(&on(HERE))),
    },
    Case {
        name: "put, a hit",
        world: || World::new(2, 0, 1),
        call: put,
    },
    Case {
        name: "put, into the depot",
        world: || World::new(4, 0, 1),
        call: put,
    },
    Case {
        name: "put, cache and depot full",
        world: || World::new(4, 4, 1),
        call: put,
    },
    Case {
        name: "put, of an old generation",
        world: || stale(2, 0, 1),
        call: put,
    },
    Case {
        name: "try_put",
        world: || World::new(2, 0, 1),
        call: try_put,
    },
    Case {
        name: "try_put, of an old generation",
        world: || stale(2, 0, 1),
        call: try_put,
    },
    Case {
        name: "put_deferred",
        world: || World::new(2, 0, 1),
        call: put_deferred,
    },
    Case {
        name: "put_deferred, to the list",
        world: || World::new(2, 0, 4).defer(3),
        call: put_deferred,
    },
    Case {
        name: "quiescent",
        world: || World::new(2, 0, 0),
        call: |world| world.pool.quiescent(&on(HERE)),
    },
    Case {
        name: "quiescent, frees pending",
        world: || World::new(2, 0, 3).defer(3),
        call: |world| world.pool.quiescent(&on(HERE)),
    },
    Case {
        name: "idle_enter",
        world: || World::new(2, 0, 0),
        call: |world| world.pool.idle_enter(&on(HERE)).unwrap(),
    },
    Case {
        name: "idle_enter, frees pending",
        world: || World::new(2, 0, 3).defer(3),
        call: |world| world.pool.idle_enter(&on(HERE)).unwrap(),
    },
    Case {
        name: "idle_exit",
        world: || idle(2),
        call: |world| world.pool.idle_exit(&on(HERE)).unwrap(),
    },
    Case {
        name: "idle_exit, not idle",
        world: || World::new(2, 0, 0),
        call: |world| world.pool.idle_exit(&on(HERE)).unwrap(),
    },
    Case {
        name: "cpu_offline",
        world: || World::new(3, 0, 2).defer(2),
        call: |world| {
            world.pool.cpu_offline(&on(HERE)).unwrap();
        },
    },
    Case {
        name: "drain_cpu",
        world: || World::new(3, 0, 0),
        call: |world| {
            let _ = world.pool.drain_cpu(&on(HERE));
        },
    },
    Case {
        name: "shrink",
        world: || World::new(2, 4, 0),
        call: |world| {
            let _ = world.pool.shrink(&on(HERE), 0);
        },
    },
    Case {
        name: "replenish",
        world: || World::new(2, 0, 0),
        call: |world| {
            let _ = world.pool.replenish(&on(HERE));
        },
    },
    Case {
        name: "barrier",
        world: || World::new(2, 0, 3).defer(3),
        call: |world| {
            let _ = world.pool.barrier(&on(HERE), &mut all_pass(&world.pool));
        },
    },
];

fn get(world: &mut World) {
    if let Ok(set) = world.pool.get(&on(HERE)) {
        world.hand.push(set);
    }
}

fn put(world: &mut World) {
    let set = world.hand.pop().unwrap();
    if let Err(PutError::Refused(_, set)) = world.pool.put(&on(HERE), set) {
        world.hand.push(set);
    }
}

fn try_put(world: &mut World) {
    let set = world.hand.pop().unwrap();
    if let Err(PutError::Refused(_, set)) = world.pool.try_put(&on(HERE), set) {
        world.hand.push(set);
    }
}

fn put_deferred(world: &mut World) {
    let set = world.hand.pop().unwrap();
    if let Err(PutError::Refused(_, set)) = world.pool.put_deferred(&on(HERE), set) {
        world.hand.push(set);
    }
}

fn idle(cached: usize) -> Box<World> {
    let world = World::new(cached, 0, 0);
    world.pool.idle_enter(&on(HERE)).unwrap();
    world
}

/// A world whose sets are all of an old generation.
fn stale(cached: usize, depot: usize, hand: usize) -> Box<World> {
    let mut world = World::new(cached, depot, hand);
    world.pool.backend().form.store(2, SeqCst);
    // The others pass by being idle for a moment, so that nobody collects or destructs on the way.
    let mut wait = meanwhile(|cpu: CpuId| {
        world.pool.idle_enter(&on(cpu.0)).unwrap();
        world.pool.idle_exit(&on(cpu.0)).unwrap();
    });
    world.pool.invalidate(&on(OTHER), &mut wait).unwrap();
    drop(wait);
    world.generation = 2;
    world
}

/// Every case with one handler.
fn against_each(how: &[Nmi], handler: fn(&mut World)) {
    for case in CASES {
        for &nmi in how {
            let began = std::time::Instant::now();
            let interrupted = Interrupted {
                name: case.name,
                world: case.world,
                call: case.call,
                handler,
                check: World::check,
            };
            let steps = interrupted.run(nmi);
            println!(
                "{}: {nmi:?}, {steps} instructions, {:?}",
                case.name,
                began.elapsed()
            );
        }
    }
}

#[test]
fn a_handler_that_takes_and_gives_and_passes() {
    against_each(&[Nmi::AfterEach, Nmi::AfterOne], |world| {
        world.take_and_give();
        world.pool.quiescent(&in_nmi());
    });
}

#[test]
fn a_handler_that_takes_and_keeps() {
    against_each(&[Nmi::AfterEach], |world| {
        if world.slot.is_none() {
            world.slot = world.pool.try_get(&in_nmi());
        }
    });
}

#[test]
fn a_handler_that_passes_while_another_cpu_drains() {
    against_each(&[Nmi::AfterOne], |world| {
        world.take_and_give();
        world.drain_elsewhere();
        world.take_and_give();
    });
}

#[test]
fn a_handler_that_passes_while_another_cpu_invalidates() {
    against_each(&[Nmi::AfterOne], |world| {
        world.take_and_give();
        world.invalidate_elsewhere();
        world.take_and_give();
    });
}
