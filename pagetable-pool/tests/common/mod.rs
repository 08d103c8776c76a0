//! A backend that keeps its own books, and waits of several tempers.
#![allow(dead_code)] // each test file uses a part

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};

use pagetable_pool::*;

pub const NO_SET: u32 = u32::MAX;
const FREE: u32 = 0;
const CONSTRUCTED: u32 = 1;
const POISONED: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    NoMemory,
    Injected,
}

/// A table of sets. It panics where the pool breaks its side of the contract: a set constructed
/// twice, or destructed while it is not constructed.
pub struct Table {
    state: Vec<AtomicU32>,
    next: Vec<AtomicU32>,
    mark: Vec<AtomicU32>,
    /// Form in which sets are constructed now, and of each set: what invalidation is about.
    pub form: AtomicU32,
    made_in: Vec<AtomicU32>,
    /// Construction fails after this many more sets; `usize::MAX`: never.
    pub construct_budget: AtomicUsize,
    /// A failing construction leaves this many sets that it cannot roll back.
    pub stuck: AtomicUsize,
    /// Destruction of this set fails; [`NO_SET`]: of none.
    pub indestructible: AtomicU32,
    pub construct_calls: AtomicUsize,
    pub destruct_calls: AtomicUsize,
    /// This many destructions from now one panics; 0: none.
    pub panic_in: AtomicUsize,
    /// Frames keep no metadata: no marks.
    pub no_marks: AtomicBool,
}

impl Table {
    pub fn new(sets: usize) -> Self {
        let column = |value: u32| (0..sets).map(|_| AtomicU32::new(value)).collect::<Vec<_>>();
        Table {
            state: column(FREE),
            next: column(NO_SET),
            mark: column(0),
            form: AtomicU32::new(1),
            made_in: column(0),
            construct_budget: AtomicUsize::new(usize::MAX),
            stuck: AtomicUsize::new(0),
            indestructible: AtomicU32::new(NO_SET),
            construct_calls: AtomicUsize::new(0),
            destruct_calls: AtomicUsize::new(0),
            panic_in: AtomicUsize::new(0),
            no_marks: AtomicBool::new(false),
        }
    }

    /// Sets that exist, by the backend's own books.
    pub fn alive(&self) -> usize {
        self.state
            .iter()
            .filter(|state| state.load(SeqCst) != FREE)
            .count()
    }

    pub fn is_alive(&self, set: u32) -> bool {
        self.state[set as usize].load(SeqCst) != FREE
    }

    /// The form that a set was constructed in.
    pub fn form_of(&self, set: u32) -> u32 {
        self.made_in[set as usize].load(SeqCst)
    }

    /// Writes to a set that is free, as a kernel's bug would.
    pub fn scribble(&self, set: u32) {
        self.state[set as usize].store(CONSTRUCTED, SeqCst);
    }
}

impl Backend for Table {
    type Set = u32;
    type Error = Fault;
    const EMPTY: u32 = NO_SET;

    fn construct(&self, out: &mut [u32]) -> Result<Spent, ConstructError<Fault>> {
        self.construct_calls.fetch_add(1, SeqCst);
        for made in 0..out.len() {
            let budget = self.construct_budget.load(SeqCst);
            let free = self.state.iter().position(|state| {
                budget > 0
                    && state
                        .compare_exchange(FREE, CONSTRUCTED, SeqCst, SeqCst)
                        .is_ok()
            });
            let Some(set) = free else {
                let stuck = self.stuck.load(SeqCst).min(made);
                for &set in &out[stuck..made] {
                    self.state[set as usize].store(FREE, SeqCst);
                }
                let error = if budget == 0 {
                    Fault::Injected
                } else {
                    Fault::NoMemory
                };
                return Err(ConstructError::with_stuck(error, stuck));
            };
            if budget != usize::MAX {
                self.construct_budget.store(budget - 1, SeqCst);
            }
            self.made_in[set].store(self.form.load(SeqCst), SeqCst);
            out[made] = set as u32;
        }
        Ok(Spent::nothing().hypercalls(1))
    }

    fn destruct(&self, sets: &[u32]) -> Result<Spent, DestructError<Fault>> {
        self.destruct_calls.fetch_add(1, SeqCst);
        let panic_in = self.panic_in.load(SeqCst);
        self.panic_in.store(panic_in.saturating_sub(1), SeqCst);
        assert_ne!(panic_in, 1, "the backend's own mistake");
        let spent = Spent::nothing().hypercalls(1).tlb_flushes(1);
        for (at, &set) in sets.iter().enumerate() {
            if set == self.indestructible.load(SeqCst) {
                return Err(DestructError::new(at, Fault::Injected, spent));
            }
            let was = self.state[set as usize].swap(FREE, SeqCst);
            assert_eq!(was, CONSTRUCTED, "set {set} destructed in state {was}");
        }
        Ok(spent)
    }

    fn set_next(&self, set: u32, next: Option<u32>) {
        self.next[set as usize].store(next.unwrap_or(NO_SET), SeqCst);
    }

    fn next(&self, set: u32) -> Option<u32> {
        Some(self.next[set as usize].load(SeqCst)).filter(|&next| next != NO_SET)
    }

    fn mark(&self, set: u32) -> Option<&AtomicU32> {
        (!self.no_marks.load(SeqCst)).then(|| &self.mark[set as usize])
    }

    fn poison(&self, set: u32) {
        let was = self.state[set as usize].swap(POISONED, SeqCst);
        assert_eq!(
            was, CONSTRUCTED,
            "set {set} goes into a cache in state {was}"
        );
    }

    fn unpoison(&self, set: u32) -> bool {
        self.state[set as usize].swap(CONSTRUCTED, SeqCst) == POISONED
    }
}

/// Evidence for one of the simulated CPUs of a test.
pub fn on(cpu: usize) -> CpuGuard {
    // SAFETY: each test calls the pool for one CPU from one thread at a time.
    unsafe { CpuGuard::new(CpuId(cpu), Context::all()) }
}

/// The same where less is allowed.
pub fn on_with(cpu: usize, context: Context) -> CpuGuard {
    // SAFETY: as above.
    unsafe { CpuGuard::new(CpuId(cpu), context) }
}

/// A deadline that has passed before it began; remembers who was kicked.
#[derive(Default)]
pub struct Impatient {
    pub kicked: Vec<usize>,
}

impl Wait for Impatient {
    fn kick(&mut self, cpu: CpuId) {
        self.kicked.push(cpu.0);
    }

    fn relax(&mut self, _: CpuId) -> bool {
        false
    }
}

/// A wait during which something happens: `step` is called in place of time passing, at most
/// `patience` times.
pub struct Meanwhile<F> {
    pub kicked: Vec<usize>,
    pub patience: usize,
    pub step: F,
}

pub fn meanwhile<F: FnMut(CpuId)>(step: F) -> Meanwhile<F> {
    Meanwhile {
        kicked: Vec::new(),
        patience: 1000,
        step,
    }
}

impl<F: FnMut(CpuId)> Wait for Meanwhile<F> {
    fn kick(&mut self, cpu: CpuId) {
        self.kicked.push(cpu.0);
    }

    fn relax(&mut self, cpu: CpuId) -> bool {
        if self.patience == 0 {
            return false;
        }
        self.patience -= 1;
        (self.step)(cpu);
        true
    }
}

/// A wait in which every CPU that is waited for passes a quiescent state.
pub fn all_pass<const CPUS: usize, const MAGS: usize, const ROUNDS: usize>(
    pool: &Pool<Table, CPUS, MAGS, ROUNDS>,
) -> impl Wait + '_ {
    meanwhile(|cpu: CpuId| pool.quiescent(&on(cpu.0)))
}
