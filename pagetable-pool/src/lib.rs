//! A per-CPU pool of constructed page-table sets. One CPU can empty the caches of all CPUs, and
//! gets a proof of it.
//!
//! # Principles
//!
//! - **The hit path touches nothing shared.** `get` and `put` work on plain memory of their own
//!   CPU: no lock, no atomic read-modify-write, one load of a word that is rarely written.
//! - **Evidence, not comments.** Every call takes a [`CpuPinned`], which proves that the CPU cannot
//!   change. `get` gives a [`Constructed`], of which there is one for each set. `drain` gives a
//!   [`Drained`], and what must not happen with sets in caches takes `&Drained`: without the proof
//!   it does not compile.
//! - **Close, wait, take, check.** A drain closes the gate, waits until every CPU has passed a
//!   point outside the pool, and then owns all caches. It runs on one CPU. A CPU that is idle,
//!   parked or offline is neither woken nor interrupted, and no cache is skipped because a count
//!   read without a lock says that it is empty.
//! - **Every wait ends.** The kernel's [`Wait`] says when the deadline has passed; the error names
//!   the CPU that is late.
//! - **Nothing is lost.** A set that cannot be destructed is kept in quarantine and named, and
//!   there is no proof until it is gone.
//! - **No allocation.** A pool is a `static`. Where arrays are full, sets are linked through a
//!   word of the kernel's frame metadata.
//!
//! [`guide`] says what may be called in which context, where each idea comes from, how this
//! compares with other drains, and which memory orderings it needs.
//!
//! # A kernel that uses it
//!
//! ```
//! use pagetable_pool::*;
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//!
//! // 1. A set's handle, and how a set is made and unmade. Here a set is an index into a table.
//! struct Tables {
//!     used: [AtomicU32; 64],
//!     next: [AtomicU32; 64], // a word of metadata for each
//! }
//! const NO_SET: u32 = u32::MAX;
//!
//! #[derive(Clone, Copy, Debug, PartialEq)]
//! enum TablesError { NoMemory, Hypercall(i32) }
//!
//! impl Backend for Tables {
//!     type Set = u32;
//!     type Error = TablesError;
//!     const EMPTY: u32 = NO_SET;
//!
//!     fn construct(&self, out: &mut [u32]) -> Result<Spent, ConstructError<TablesError>> {
//!         for i in 0..out.len() {
//!             let free = self.used.iter().position(|used| used.swap(1, Relaxed) == 0);
//!             match free {
//!                 Some(free) => out[i] = free as u32, // and zero, kernel entries, window, pin
//!                 None => {
//!                     // All or none: take back what was made.
//!                     out[..i].iter().for_each(|&set| self.used[set as usize].store(0, Relaxed));
//!                     return Err(ConstructError::rolled_back(TablesError::NoMemory));
//!                 }
//!             }
//!         }
//!         Ok(Spent::nothing().hypercalls(1))
//!     }
//!
//!     fn destruct(&self, sets: &[u32]) -> Result<Spent, DestructError<TablesError>> {
//!         // One multi-operation hypercall for all, then the frames go back.
//!         sets.iter().for_each(|&set| self.used[set as usize].store(0, Relaxed));
//!         Ok(Spent::nothing().hypercalls(1).tlb_flushes(1))
//!     }
//!
//!     fn set_next(&self, set: u32, next: Option<u32>) {
//!         self.next[set as usize].store(next.unwrap_or(NO_SET), Relaxed);
//!     }
//!
//!     fn next(&self, set: u32) -> Option<u32> {
//!         Some(self.next[set as usize].load(Relaxed)).filter(|&next| next != NO_SET)
//!     }
//! }
//!
//! // 2. The pool: 2 CPUs, a depot of 4 magazines, 7 sets in each.
//! static POOL: Pool<Tables, 2, 4, 7> = Pool::new(
//!     Config::new().cpus::<2>().magazines::<4>().rounds::<7>().construct_batch(4),
//!     Tables { used: [const { AtomicU32::new(0) }; 64], next: [const { AtomicU32::new(NO_SET) }; 64] },
//! );
//!
//! // 3. The kernel's evidence that interrupts are off. (A kernel with a type of its own implements `CpuPinned` for it.)
//! fn interrupts_off<R>(cpu: usize, f: impl FnOnce(&CpuGuard) -> R) -> R {
//!     // cli
//!     // SAFETY: interrupts are off until `f` returns.
//!     let guard = unsafe { CpuGuard::new(CpuId(cpu), Context::all()) };
//!     f(&guard) // sti
//! }
//!
//! // 4. How it waits for other CPUs.
//! struct Deadline { polls: u32 }
//! impl Wait for Deadline {
//!     fn kick(&mut self, _cpu: CpuId) { /* send an interrupt that does nothing */ }
//!     fn relax(&mut self, _cpu: CpuId) -> bool {
//!         self.polls = self.polls.saturating_sub(1); // a kernel reads its clock
//!         self.polls > 0
//!     }
//! }
//!
//! // 5. Each CPU says when it comes, and its main loop passes quiescent states.
//! interrupts_off(0, |guard| POOL.cpu_online(guard)).unwrap();
//! interrupts_off(1, |guard| POOL.cpu_online(guard)).unwrap();
//!
//! // 6. An address space begins and ends; another CPU may free it.
//! let set = interrupts_off(0, |guard| POOL.get(guard)).unwrap();
//! interrupts_off(1, |guard| POOL.put(guard, set)).unwrap();
//! interrupts_off(1, |guard| POOL.quiescent(guard));
//!
//! // 7. Before a suspend: the others are parked, which is a quiescent state, and this CPU drains.
//! fn suspend_hypercall(guard: &CpuGuard, proof: &Drained) -> bool {
//!     proof.is_of(&POOL) && proof.recheck(guard).is_ok()
//! }
//!
//! interrupts_off(1, |guard| POOL.idle_enter(guard)).unwrap(); // on CPU 1, as it parks
//! interrupts_off(0, |guard| {
//!     let drained = POOL.drain(guard, &mut Deadline { polls: 1000 }).unwrap();
//!     assert_eq!((drained.taken_from(CpuId(0)), drained.taken_from(CpuId(1)), drained.in_use()), (3, 1, 0));
//!     assert!(suspend_hypercall(guard, &drained));
//! }); // the gate opens here
//! interrupts_off(1, |guard| POOL.idle_exit(guard)).unwrap();
//!
//! // 8. A CPU leaves: its cache goes first.
//! let left = interrupts_off(1, |guard| POOL.cpu_offline(guard)).unwrap();
//! assert_eq!((left.drained, left.cached), (0, 0));
//! ```
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(test, loom, shuttle))]
extern crate std;

mod backend;
mod cache;
mod checks;
mod config;
mod deferred;
mod depot;
mod error;
mod gate;
mod grace;
mod guard;
mod local;
mod magazine;
mod marks;
mod order;
mod pool;
mod quarantine;
#[cfg(not(loom))]
mod sites;
#[cfg(loom)]
pub mod sites;
mod stats;
mod sync;
mod token;
mod word;

pub mod guide;

pub use backend::{Backend, ConstructError, DestructError, Spent};
pub use config::Config;
pub use error::{DrainError, GetError, PutError, Reason, Refused, TrimError, WaitError};
pub use grace::{Alone, GracePeriodTimeout, Wait};
pub use guard::{Context, CpuGuard, CpuId, CpuPinned};
pub use pool::{Broken, Closed, DrainReport, Drained, Invalid, Left, Pool, Reclaimed, Shrunk};
pub use stats::{CpuStats, Stats};
pub use token::{Constructed, Parts};
pub use word::Generation;
