//! What can be refused, and why. Each error names the party at fault.

use core::fmt::{self, Debug};

use crate::grace::GracePeriodTimeout;
use crate::guard::CpuId;
use crate::token::Constructed;

/// No operation could begin on this CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The gate is closed: a drain is under way, or somebody holds [`Drained`](crate::Drained). It
    /// will open again.
    Closed,
    /// The pool was closed for good.
    ClosedForGood,
    /// The kernel's mistake: the guard's CPU number is not below the pool's `CPUS`.
    NoSuchCpu(CpuId),
    /// The kernel's mistake: this CPU has not come online, or is idle or parked, and said so.
    NotOnline(CpuId),
    /// Another operation on this CPU is under way: this is an NMI, or a call from inside the
    /// backend.
    Reentered,
    /// The kernel's mistake: the guard's context may not take locks, or may not wait, and the
    /// operation must.
    WrongContext,
    /// [`try_put`](crate::Pool::try_put) cannot cache the set: there is no room, or it is of an old generation. `put` can deal with it.
    NeedsMore,
    /// Another drain, invalidation, barrier or close did not end before the deadline.
    Busy,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Closed => f.write_str("the pool's gate is closed"),
            Refused::ClosedForGood => f.write_str("the pool is closed for good"),
            Refused::NoSuchCpu(cpu) => {
                write!(f, "the kernel named {cpu}, which the pool has no place for")
            }
            Refused::NotOnline(cpu) => write!(
                f,
                "the kernel used the pool on {cpu}, which it had announced as idle or offline"
            ),
            Refused::Reentered => {
                f.write_str("an operation of the pool on this CPU was interrupted or called back")
            }
            Refused::WrongContext => {
                f.write_str("the kernel called from a context in which this may not be done")
            }
            Refused::NeedsMore => f.write_str(
                "the set cannot be cached on this CPU now, and nothing else may be done here",
            ),
            Refused::Busy => f.write_str(
                "another drain, invalidation or barrier did not end before the deadline",
            ),
        }
    }
}

/// Why a set is in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason<E> {
    /// The backend could not destruct it.
    Destruct(E),
    /// The backend could not roll it back after a failed construction.
    RollBack(E),
    /// Somebody wrote to it while it was free.
    WriteAfterFree,
}

/// `get` gives no set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GetError<S, E> {
    /// Nothing was tried.
    Refused(Refused),
    /// The backend could not construct even one.
    Construct(E),
    /// The backend could not construct even one, while sets lie idle that this CPU may not touch:
    /// in other CPUs' caches, or deferred.
    /// [`Pool::reclaim`](crate::Pool::reclaim) brings them back; then try again.
    Hoarded {
        /// What the backend said.
        error: E,
        /// How many lie idle, as far as counters of running CPUs tell.
        idle: usize,
    },
    /// The set that came out of the cache had been written to while it was free. It is in
    /// quarantine. Debug builds only.
    WriteAfterFree(S),
}

/// `put` did not do what it should.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutError<S, E> {
    /// Nothing was tried; the set is still the caller's.
    Refused(Refused, Constructed<S>),
    /// The kernel's mistake: the set is not of this pool. It is untouched.
    Foreign(S),
    /// The kernel's mistake: the set had been put already. It is untouched.
    DoublePut(S),
    /// The set was to be destructed, and the backend could not. It is in quarantine.
    Quarantined(S, E),
    /// The gate is closed, so the set was to be destructed, and the backend could not. It is still
    /// the caller's: while a proof lives, nothing goes into quarantine.
    NotDestructed(Constructed<S>, E),
}

/// Waiting for other CPUs failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// Nothing was tried.
    Refused(Refused),
    /// A CPU did not pass in time.
    Timeout(GracePeriodTimeout),
}

/// There is no proof that the pool is drained, or it could not be reclaimed. Where this comes back,
/// the gate is open again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DrainError<S, E> {
    /// Nothing was tried.
    Refused(Refused),
    /// A CPU did not pass in time; no cache was touched.
    Timeout(GracePeriodTimeout),
    /// Everything else is drained, but these sets cannot be destructed.
    Quarantined {
        /// How many there are.
        count: usize,
        /// The one that has been there longest.
        set: S,
        /// Why it is there.
        reason: Reason<E>,
    },
    /// The pool's mistake: the check after the drain still found this many sets.
    NotEmpty(usize),
}

/// Trimming or a local drain met a set that could not be destructed; the rest is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrimError<S, E> {
    /// Nothing was tried.
    Refused(Refused),
    /// This set is in quarantine; `done` others are destructed.
    Quarantined {
        /// The first one that failed.
        set: S,
        /// Why.
        error: E,
        /// Sets that were destructed.
        done: usize,
    },
    /// The backend could not construct.
    Construct(E),
}

impl<S, E> From<Refused> for GetError<S, E> {
    fn from(refused: Refused) -> Self {
        GetError::Refused(refused)
    }
}
impl From<Refused> for WaitError {
    fn from(refused: Refused) -> Self {
        WaitError::Refused(refused)
    }
}
impl From<GracePeriodTimeout> for WaitError {
    fn from(timeout: GracePeriodTimeout) -> Self {
        WaitError::Timeout(timeout)
    }
}
impl<S, E> From<WaitError> for DrainError<S, E> {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Refused(refused) => DrainError::Refused(refused),
            WaitError::Timeout(timeout) => DrainError::Timeout(timeout),
        }
    }
}
impl<S, E> From<Refused> for DrainError<S, E> {
    fn from(refused: Refused) -> Self {
        DrainError::Refused(refused)
    }
}
impl<S, E> From<GracePeriodTimeout> for DrainError<S, E> {
    fn from(timeout: GracePeriodTimeout) -> Self {
        DrainError::Timeout(timeout)
    }
}
impl<S, E> From<Refused> for TrimError<S, E> {
    fn from(refused: Refused) -> Self {
        TrimError::Refused(refused)
    }
}

impl<E: Debug> fmt::Display for Reason<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Destruct(error) => write!(f, "the backend could not destruct it: {error:?}"),
            Reason::RollBack(error) => write!(f, "the backend could not roll it back: {error:?}"),
            Reason::WriteAfterFree => f.write_str("it was written to while it was free"),
        }
    }
}
impl<S: Debug, E: Debug> fmt::Display for GetError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetError::Refused(refused) => fmt::Display::fmt(refused, f),
            GetError::Construct(error) => {
                write!(f, "the backend could not construct a set: {error:?}")
            }
            GetError::Hoarded { error, idle } => write!(
                f,
                "the backend could not construct a set ({error:?}), and {idle} lie idle on other CPUs: Pool::reclaim brings them back"
            ),
            GetError::WriteAfterFree(set) => {
                write!(f, "the kernel wrote to {set:?} while it was free")
            }
        }
    }
}
impl<S: Debug, E: Debug> fmt::Display for PutError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutError::Refused(refused, _) => fmt::Display::fmt(refused, f),
            PutError::Foreign(set) => {
                write!(f, "the kernel put {set:?}, which is not of this pool")
            }
            PutError::DoublePut(set) => write!(f, "the kernel put {set:?} twice"),
            PutError::Quarantined(set, error) => {
                write!(f, "the backend could not destruct {set:?}: {error:?}")
            }
            PutError::NotDestructed(set, error) => write!(
                f,
                "the gate is closed, and the backend could not destruct {:?}: {error:?}",
                set.set
            ),
        }
    }
}
impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitError::Refused(refused) => fmt::Display::fmt(refused, f),
            WaitError::Timeout(timeout) => fmt::Display::fmt(timeout, f),
        }
    }
}
impl<S: Debug, E: Debug> fmt::Display for DrainError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DrainError::Refused(refused) => fmt::Display::fmt(refused, f),
            DrainError::Timeout(timeout) => fmt::Display::fmt(timeout, f),
            DrainError::Quarantined { count, set, reason } => {
                write!(f, "{count} sets are in quarantine, first {set:?}: {reason}")
            }
            DrainError::NotEmpty(left) => {
                write!(f, "the pool's own check found {left} sets after the drain")
            }
        }
    }
}
impl<S: Debug, E: Debug> fmt::Display for TrimError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrimError::Refused(refused) => fmt::Display::fmt(refused, f),
            TrimError::Quarantined { set, error, done } => {
                write!(f, "the backend could not destruct {set:?}: {error:?}; {done} others are destructed")
            }
            TrimError::Construct(error) => write!(f, "the backend could not construct: {error:?}"),
        }
    }
}

impl core::error::Error for Refused {}
impl core::error::Error for WaitError {}
impl<E: Debug> core::error::Error for Reason<E> {}
impl<S: Debug, E: Debug> core::error::Error for GetError<S, E> {}
impl<S: Debug, E: Debug> core::error::Error for PutError<S, E> {}
impl<S: Debug, E: Debug> core::error::Error for DrainError<S, E> {}
impl<S: Debug, E: Debug> core::error::Error for TrimError<S, E> {}
