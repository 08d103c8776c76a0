//! The pool in C's memory, and C's functions as its backend and its waiting.

use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering};

use pagetable_pool::{Backend, Config, ConstructError, CpuId, DestructError, Pool, Spent, Wait};
use spin::Once;

use crate::error::xgl_error;
use crate::ffi::word::word_at;
use crate::proof::Loan;
use crate::tables::{xgl_here, xgl_pool_ops, xgl_spent};
use crate::{BATCH, CPUS, MAGAZINES, RESERVE, ROUNDS};

/// What stands in initialised storage and hardly anywhere else.
const MAGIC: u32 = 0x7867_6c31;

/// The pool, as it lies in the kernel's storage.
pub struct xgl_pool {
    /// [`MAGIC`] once all else is there.
    magic: AtomicU32,
    /// The pool itself.
    pub pool: Pool<Table, CPUS, MAGAZINES, ROUNDS>,
    /// The proof, while a function of C's has it.
    pub loan: Loan,
}

impl xgl_pool {
    /// A pool without a table, as it is copied into storage.
    pub const fn blank() -> Self {
        let config = Config::new()
            .cpus::<CPUS>()
            .magazines::<MAGAZINES>()
            .rounds::<ROUNDS>()
            .construct_batch(BATCH)
            .low_water(RESERVE);
        xgl_pool {
            magic: AtomicU32::new(0),
            pool: Pool::new(config, Table(Once::new())),
            loan: Loan::new(),
        }
    }

    /// Gives a blank pool its functions: it is one from here on.
    pub fn begin(&self, ops: Ops) {
        self.pool.backend().0.call_once(|| ops);
        self.magic.store(MAGIC, Ordering::Release);
    }

    /// Whether [`begin`](Self::begin) was called on what lies here.
    pub fn has_begun(&self) -> bool {
        self.magic.load(Ordering::Acquire) == MAGIC
    }

    /// C's functions.
    pub fn ops(&self) -> Result<&Ops, xgl_error> {
        self.pool.backend().0.get().ok_or(xgl_error::XGL_NOT_A_POOL)
    }
}

/// C's table with nothing missing.
#[derive(Clone, Copy)]
pub struct Ops {
    ctx: *mut c_void,
    here: extern "C" fn(*mut c_void, *mut xgl_here),
    construct: extern "C" fn(*mut c_void, *mut usize, usize, *mut xgl_spent, *mut usize) -> i32,
    destruct: extern "C" fn(*mut c_void, *const usize, usize, *mut xgl_spent, *mut usize) -> i32,
    set_next: extern "C" fn(*mut c_void, usize, usize),
    next: extern "C" fn(*mut c_void, usize) -> usize,
    mark: Option<extern "C" fn(*mut c_void, usize) -> *mut u32>,
    kick: Option<extern "C" fn(*mut c_void, u32)>,
    relax: extern "C" fn(*mut c_void, u32) -> i32,
    now_ns: extern "C" fn(*mut c_void) -> u64,
}

impl Ops {
    /// Looks whether the functions are there that must be.
    pub fn of(table: &xgl_pool_ops) -> Result<Ops, xgl_error> {
        let all = || {
            Some(Ops {
                ctx: table.ctx,
                here: table.here?,
                construct: table.construct?,
                destruct: table.destruct?,
                set_next: table.set_next?,
                next: table.next?,
                mark: table.mark,
                kick: table.kick,
                relax: table.relax?,
                now_ns: table.now_ns?,
            })
        };
        all().ok_or(xgl_error::XGL_BAD_TABLE)
    }

    /// Where this call comes from.
    pub fn here(&self) -> xgl_here {
        let mut here = xgl_here::default();
        (self.here)(self.ctx, &mut here);
        here
    }

    /// The kernel's clock.
    pub fn now_ns(&self) -> u64 {
        (self.now_ns)(self.ctx)
    }

    /// Lets a moment pass. False: the kernel gives up.
    pub fn relax(&self, cpu: u32) -> bool {
        (self.relax)(self.ctx, cpu) != 0
    }
}

/// C's functions as the pool's backend. Empty until the storage is initialised.
pub struct Table(Once<Ops>);

/// What a backend says that has no functions yet, which no pool that has begun lacks.
const NO_TABLE: i32 = -1;
/// What is said of a backend whose `construct` returned 0 and left a place empty.
const EMPTY_PLACE: i32 = -2;

impl Backend for Table {
    type Set = usize;
    type Error = i32;
    const EMPTY: usize = 0;

    fn construct(&self, out: &mut [usize]) -> Result<Spent, ConstructError<i32>> {
        let ops = self.0.get().ok_or(ConstructError::rolled_back(NO_TABLE))?;
        let (mut spent, mut stuck) = (xgl_spent::default(), 0);
        let number = (ops.construct)(ops.ctx, out.as_mut_ptr(), out.len(), &mut spent, &mut stuck);
        let made = out.iter().take_while(|&&set| set != 0).count();
        match number {
            0 if made == out.len() => Ok(spent.into()),
            0 => {
                log::error!("pool: the kernel's construct returned 0 and left place {made} empty");
                Err(ConstructError::with_stuck(EMPTY_PLACE, made))
            }
            number => Err(ConstructError::with_stuck(number, stuck.min(made))),
        }
    }

    fn destruct(&self, sets: &[usize]) -> Result<Spent, DestructError<i32>> {
        let Some(ops) = self.0.get() else {
            return Err(DestructError::new(0, NO_TABLE, Spent::nothing()));
        };
        let (mut spent, mut at) = (xgl_spent::default(), 0);
        match (ops.destruct)(ops.ctx, sets.as_ptr(), sets.len(), &mut spent, &mut at) {
            0 => Ok(spent.into()),
            number => Err(DestructError::new(at, number, spent.into())),
        }
    }

    fn set_next(&self, set: usize, next: Option<usize>) {
        if let Some(ops) = self.0.get() {
            (ops.set_next)(ops.ctx, set, next.unwrap_or(0));
        }
    }

    fn next(&self, set: usize) -> Option<usize> {
        let ops = self.0.get()?;
        Some((ops.next)(ops.ctx, set)).filter(|&next| next != 0)
    }

    fn mark(&self, set: usize) -> Option<&AtomicU32> {
        let ops = self.0.get()?;
        word_at(ops.mark?(ops.ctx, set))
    }
}

impl From<xgl_spent> for Spent {
    fn from(spent: xgl_spent) -> Self {
        Spent::nothing()
            .hypercalls(spent.hypercalls)
            .tlb_flushes(spent.tlb_flushes)
    }
}

/// Waiting by C's functions, until a time on its clock.
pub struct Waiting<'a> {
    ops: &'a Ops,
    until_ns: u64,
}

impl<'a> Waiting<'a> {
    /// Until that time.
    pub fn until(ops: &'a Ops, until_ns: u64) -> Self {
        Waiting { ops, until_ns }
    }

    /// For so long from now.
    pub fn for_ns(ops: &'a Ops, timeout_ns: u64) -> Self {
        Waiting::until(ops, ops.now_ns().saturating_add(timeout_ns))
    }
}

impl Wait for Waiting<'_> {
    fn kick(&mut self, cpu: CpuId) {
        if let Some(kick) = self.ops.kick {
            kick(self.ops.ctx, number_of(cpu));
        }
    }

    fn relax(&mut self, cpu: CpuId) -> bool {
        self.ops.relax(number_of(cpu)) && self.ops.now_ns() <= self.until_ns
    }

    fn now_ns(&self) -> u64 {
        self.ops.now_ns()
    }
}

/// A CPU's number as C has it: below CPUS, which is far below 2^32.
fn number_of(cpu: CpuId) -> u32 {
    cpu.0 as u32
}
