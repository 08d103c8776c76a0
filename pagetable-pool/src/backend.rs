//! What the kernel supplies: how a set is made and unmade, and a word of metadata for each.

use core::fmt::{self, Debug};
use core::sync::atomic::AtomicU32;

/// What a batch cost, for the statistics. Only the backend knows.
///
/// ```
/// # use pagetable_pool::Spent;
/// const SPENT: Spent = Spent::nothing().hypercalls(2).tlb_flushes(1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spent {
    /// Hypercalls made (or another operation that is expensive on this kernel).
    pub hypercalls: u32,
    /// TLB flushes made. At most one for a batch is the aim.
    pub tlb_flushes: u32,
}

impl Spent {
    /// Neither hypercalls nor flushes.
    pub const fn nothing() -> Self {
        Spent {
            hypercalls: 0,
            tlb_flushes: 0,
        }
    }

    /// The same, but so many hypercalls.
    pub const fn hypercalls(mut self, calls: u32) -> Self {
        self.hypercalls = calls;
        self
    }

    /// The same, but so many TLB flushes.
    pub const fn tlb_flushes(mut self, flushes: u32) -> Self {
        self.tlb_flushes = flushes;
        self
    }
}

/// Construction failed. Nothing of the batch may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConstructError<E> {
    /// What went wrong.
    pub error: E,
    /// The first `stuck` sets of the batch could not be rolled back; they stand in the first
    /// `stuck` places. They go into quarantine. 0 if the roll-back was complete, as it should be.
    pub stuck: usize,
}

impl<E> ConstructError<E> {
    /// Construction failed and everything was rolled back.
    pub const fn rolled_back(error: E) -> Self {
        ConstructError { error, stuck: 0 }
    }

    /// Construction failed, and so did the roll-back of the sets that stand in the first `stuck`
    /// places.
    pub const fn with_stuck(error: E, stuck: usize) -> Self {
        ConstructError { error, stuck }
    }
}

impl<E: Debug> fmt::Display for ConstructError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "construction failed: {:?}", self.error)?;
        match self.stuck {
            0 => Ok(()),
            n => write!(f, "; {n} sets could not be rolled back"),
        }
    }
}

impl<E: Debug> core::error::Error for ConstructError<E> {}

/// Destruction failed at one set of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestructError<E> {
    /// The place of the set that could not be destructed. Those before it are gone; those after it
    /// were not touched.
    pub at: usize,
    /// What went wrong.
    pub error: E,
    /// What the part of the batch up to here cost.
    pub spent: Spent,
}

impl<E> DestructError<E> {
    /// Destruction failed at the set in place `at`, after `spent`.
    pub const fn new(at: usize, error: E, spent: Spent) -> Self {
        DestructError { at, error, spent }
    }
}

impl<E: Debug> fmt::Display for DestructError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DestructError { at, error, .. } = self;
        write!(f, "destruction failed at set {at} of the batch: {error:?}")
    }
}

impl<E: Debug> core::error::Error for DestructError<E> {}

/// How the kernel makes and unmakes sets.
///
/// The pool calls these with interrupts off, with no lock held that `get` or `put` takes, and may
/// do so on several CPUs at once. A call back into the pool from here is refused
/// ([`Refused::Reentered`](crate::Refused::Reentered)), not undefined.
pub trait Backend {
    /// A small handle for a set: a frame number, four of them, an index. The pool copies it and
    /// never looks inside.
    type Set: Copy + PartialEq + Debug;
    /// What can go wrong.
    type Error: Copy + Debug;

    /// A handle that names no set. Fills unused places.
    const EMPTY: Self::Set;

    /// Constructs `out.len()` sets, all or none: on an error halfway, it takes apart what it had
    /// made.
    ///
    /// # Errors
    /// [`ConstructError`]. The pool tries once more with a batch of one before it gives up.
    fn construct(&self, out: &mut [Self::Set]) -> Result<Spent, ConstructError<Self::Error>>;

    /// Destructs sets, in order, with one multi-operation call and one TLB flush if it can.
    ///
    /// # Errors
    /// [`DestructError`] names the first set that failed. The pool quarantines that one and calls again for the rest.
    fn destruct(&self, sets: &[Self::Set]) -> Result<Spent, DestructError<Self::Error>>;

    /// Stores `next` in the metadata of `set`'s frames. The pool links sets this way where it has
    /// no array for them (deferred frees that overflow, quarantine). Only sets that are
    /// not in use are linked.
    fn set_next(&self, set: Self::Set, next: Option<Self::Set>);

    /// What [`set_next`](Backend::set_next) stored.
    fn next(&self, set: Self::Set) -> Option<Self::Set>;

    /// A word of metadata of `set`'s frames, 0 when they are first handed to the pool. With it a
    /// debug build finds a double put, and a put of a set that is not this pool's. With None, the
    /// default, only the token is checked.
    fn mark(&self, _set: Self::Set) -> Option<&AtomicU32> {
        None
    }

    /// In a debug build, called when a set goes into a cache (after its grace period if it was
    /// deferred): fills it with a pattern, so that later writes are found.
    fn poison(&self, _set: Self::Set) {}

    /// In a debug build, called when a set comes out of a cache: removes the pattern. False if it
    /// was overwritten.
    fn unpoison(&self, _set: Self::Set) -> bool {
        true
    }
}
