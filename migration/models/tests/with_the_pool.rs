//! The machine with the real pool's proof: the pool is closed and empty at the hypercall, and open
//! when the other vCPUs go on, whichever way the suspend goes.

#![cfg(not(loom))]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use migration::xenstore::{StoreError, Xenstore};
use migration::{Clock, Deadline, Limits, Machine, Outcome, Phase, Platform, Return};
use pagetable_pool::{
    Backend, Config, ConstructError, Constructed, Context, CpuGuard, CpuId, DestructError, Drained,
    GetError, Pool, Spent, Wait,
};

const NO_SET: u32 = u32::MAX;
const SETS: usize = 64;

struct Tables {
    used: [AtomicU32; SETS],
    next: [AtomicU32; SETS],
}

impl Tables {
    fn constructed(&self) -> usize {
        self.used
            .iter()
            .filter(|used| used.load(Relaxed) == 1)
            .count()
    }
}

impl Backend for Tables {
    type Set = u32;
    type Error = ();
    const EMPTY: u32 = NO_SET;

    fn construct(&self, out: &mut [u32]) -> Result<Spent, ConstructError<()>> {
        for slot in out {
            let free = self.used.iter().position(|used| used.swap(1, Relaxed) == 0);
            *slot = free.expect("the tests use few sets") as u32;
        }
        Ok(Spent::default())
    }
    fn destruct(&self, sets: &[u32]) -> Result<Spent, DestructError<()>> {
        for set in sets {
            self.used[*set as usize].store(0, Relaxed);
        }
        Ok(Spent::default())
    }
    fn set_next(&self, set: u32, next: Option<u32>) {
        self.next[set as usize].store(next.unwrap_or(NO_SET), Relaxed);
    }
    fn next(&self, set: u32) -> Option<u32> {
        Some(self.next[set as usize].load(Relaxed)).filter(|next| *next != NO_SET)
    }
}

type Sets = Pool<Tables, 2, 4, 7>;

fn pool() -> Sets {
    Pool::new(
        Config::new()
            .cpus::<2>()
            .magazines::<4>()
            .rounds::<7>()
            .construct_batch(4),
        Tables {
            used: [const { AtomicU32::new(0) }; SETS],
            next: [const { AtomicU32::new(NO_SET) }; SETS],
        },
    )
}

fn on<R>(cpu: usize, f: impl FnOnce(&CpuGuard) -> R) -> R {
    // SAFETY: one thread plays both CPUs, one after the other: nothing interrupts it.
    let guard = unsafe { CpuGuard::new(CpuId(cpu), Context::all()) };
    f(&guard)
}

/// Gives up after so many looks.
struct Looks(u32);

impl Wait for Looks {
    fn kick(&mut self, _: CpuId) {}
    fn relax(&mut self, _: CpuId) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

/// Nobody asks for these suspends.
enum NoStore {}

impl Xenstore for NoStore {
    type Tx = ();
    fn read(&mut self, _: Option<()>, _: &str, _: &mut [u8]) -> Result<usize, StoreError> {
        match *self {}
    }
    fn write(&mut self, _: Option<()>, _: &str, _: &[u8]) -> Result<(), StoreError> {
        match *self {}
    }
    fn transaction_start(&mut self) -> Result<(), StoreError> {
        match *self {}
    }
    fn transaction_end(&mut self, _: (), _: bool) -> Result<(), StoreError> {
        match *self {}
    }
    fn watch(&mut self, _: &str, _: &str) -> Result<(), StoreError> {
        match *self {}
    }
}

struct Kernel<'p> {
    pool: &'p Sets,
    outcome: Result<Outcome, &'static str>,
    audit: Result<(), &'static str>,
    parks: bool,
    sets_at_hypercall: Option<usize>,
}

impl Clock for Kernel<'_> {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl<'p> Platform for Kernel<'p> {
    type Error = &'static str;
    type Drained = Drained<'p>;
    type Store = NoStore;

    fn xenstore(&mut self) -> Option<&mut NoStore> {
        None
    }
    fn park(&mut self, _: Deadline) -> Result<(), &'static str> {
        if self.parks {
            on(1, |guard| self.pool.idle_enter(guard)).map_err(|_| "idle_enter")?;
        }
        Ok(())
    }
    fn unpark(&mut self, _: Return, _: Deadline) -> Result<(), &'static str> {
        if self.parks {
            on(1, |guard| self.pool.idle_exit(guard)).map_err(|_| "idle_exit")?;
        }
        // The pool is open before the others go on.
        let set = on(1, |guard| self.pool.get(guard)).map_err(|_| "the pool is closed")?;
        on(1, |guard| self.pool.put(guard, set)).map_err(|_| "put")
    }
    fn drain(&mut self, _: Deadline) -> Result<Drained<'p>, &'static str> {
        on(0, |guard| self.pool.drain(guard, &mut Looks(100))).map_err(|_| "a CPU is late")
    }
    fn audit(&mut self, _: &Drained<'p>, _: Deadline) -> Result<(), &'static str> {
        self.audit
    }
    fn detach(&mut self, _: &Drained<'p>, _: Deadline) -> Result<(), &'static str> {
        Ok(())
    }
    fn reattach(&mut self, _: Return) -> Result<(), &'static str> {
        Ok(())
    }
    fn suspend(&mut self, proof: &Drained<'p>) -> Result<Outcome, &'static str> {
        assert!(proof.is_of(self.pool));
        on(0, |guard| proof.recheck(guard)).map_err(|_| "the proof does not hold")?;
        assert!(matches!(
            on(0, |guard| self.pool.get(guard)),
            Err(GetError::Refused(_))
        ));
        self.sets_at_hypercall = Some(self.pool.backend().constructed());
        self.outcome
    }
    fn reread(&mut self, _: Return) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Fills both CPUs' caches; one set stays in use.
fn fill(pool: &Sets) -> Constructed<u32> {
    for cpu in 0..2 {
        on(cpu, |guard| pool.cpu_online(guard)).unwrap();
        let set = on(cpu, |guard| pool.get(guard)).unwrap();
        on(cpu, |guard| pool.put(guard, set)).unwrap();
    }
    on(0, |guard| pool.get(guard)).unwrap()
}

#[test]
fn drained_at_the_hypercall_and_open_afterwards() {
    for outcome in [
        Ok(Outcome::Restored),
        Ok(Outcome::Cancelled),
        Err("refused"),
    ] {
        let pool = pool();
        let live = fill(&pool);
        assert!(pool.backend().constructed() > 1);
        let mut kernel = Kernel {
            pool: &pool,
            outcome,
            audit: Ok(()),
            parks: true,
            sets_at_hypercall: None,
        };
        let mut machine = Machine::new(&mut kernel, &mut [], Limits::DEFAULT);
        let result = machine.suspend();
        assert!(machine.faults().is_empty(), "{:?}", machine.faults());
        assert_eq!(result.map(|r| r.outcome).ok(), outcome.ok());
        // The one in use, and no other.
        assert_eq!(kernel.sets_at_hypercall, Some(1));
        on(0, |guard| pool.put(guard, live)).unwrap();
    }
}

#[test]
fn a_failure_after_the_drain_opens_the_pool() {
    let pool = pool();
    let live = fill(&pool);
    let mut kernel = Kernel {
        pool: &pool,
        outcome: Ok(Outcome::Restored),
        audit: Err("a superpage"),
        parks: true,
        sets_at_hypercall: None,
    };
    let mut machine = Machine::new(&mut kernel, &mut [], Limits::DEFAULT);
    assert_eq!(machine.suspend().unwrap_err().phase, Phase::Audited);
    assert!(machine.faults().is_empty());
    assert_eq!(kernel.sets_at_hypercall, None);
    on(0, |guard| pool.put(guard, live)).unwrap();
}

#[test]
fn a_cpu_that_is_not_parked_stops_the_suspend() {
    let pool = pool();
    let live = fill(&pool);
    let mut kernel = Kernel {
        pool: &pool,
        outcome: Ok(Outcome::Restored),
        audit: Ok(()),
        parks: false,
        sets_at_hypercall: None,
    };
    let mut machine = Machine::new(&mut kernel, &mut [], Limits::DEFAULT);
    let failure = machine.suspend().unwrap_err();
    assert!(failure.to_string().contains("a CPU is late"));
    assert_eq!(failure.phase, Phase::Drained);
    assert!(machine.faults().is_empty(), "{:?}", machine.faults());
    assert_eq!(kernel.sets_at_hypercall, None);
    on(0, |guard| pool.put(guard, live)).unwrap();
}
