//! Error numbers, their texts, and which of the libraries' errors is which.

use pagetable_pool::{
    Broken, DrainError, GetError, GracePeriodTimeout, PutError, Reason, Refused, TrimError,
    WaitError,
};

/// What a call gives back. `xgl_error_text` has a sentence for each, which names the party at fault.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum xgl_error {
    /// Done.
    XGL_OK = 0,
    /// A pointer that must not be null is.
    XGL_NULL = 1,
    /// The storage is too small or not aligned.
    XGL_BAD_STORAGE = 2,
    /// The pointer is to no pool that was initialised.
    XGL_NOT_A_POOL = 3,
    /// A function that the table must have is missing.
    XGL_BAD_TABLE = 4,
    /// The hook is set already.
    XGL_ALREADY = 5,
    /// The kernel called with interrupts on.
    XGL_INTERRUPTS_ON = 6,
    /// The kernel gave a `struct xgl_set` that holds no set: it was put already, or never got.
    XGL_NO_SET = 7,
    /// The kernel used a proof after its function had returned, or on another CPU.
    XGL_PROOF_OVER = 8,
    /// A number that means nothing here.
    XGL_BAD_NUMBER = 9,

    /// The pool's gate is closed: a drain is under way. It will open again.
    XGL_CLOSED = 20,
    /// The pool is closed for good.
    XGL_CLOSED_FOR_GOOD = 21,
    /// The kernel's CPU number is not below `xgl_pool_cpus`.
    XGL_NO_SUCH_CPU = 22,
    /// The kernel used the pool on a CPU that is idle or offline, and had said so.
    XGL_NOT_ONLINE = 23,
    /// An operation of the pool on this CPU is under way: this is an NMI, or a call from inside a
    /// function of the pool's table.
    XGL_REENTERED = 24,
    /// The kernel's context may not take locks, or may not wait, and the call must.
    XGL_WRONG_CONTEXT = 25,
    /// The set cannot be cached on this CPU now: `xgl_pool_put` can deal with it.
    XGL_NEEDS_MORE = 26,
    /// Another drain, invalidation or barrier did not end before the deadline.
    XGL_BUSY = 27,
    /// The kernel could not construct a set; `detail.number` says why.
    XGL_CONSTRUCT = 28,
    /// As XGL_CONSTRUCT, while `detail.count` sets lie idle on other CPUs: `xgl_pool_reclaim`.
    XGL_HOARDED = 29,
    /// The kernel wrote to a set while it was free. It is in quarantine.
    XGL_WRITE_AFTER_FREE = 30,
    /// The kernel put a set that is not this pool's.
    XGL_FOREIGN = 31,
    /// The kernel put a set twice.
    XGL_DOUBLE_PUT = 32,
    /// The kernel could not destruct `detail.set`; `detail.number` says why. It is in quarantine.
    XGL_QUARANTINED = 33,
    /// As XGL_QUARANTINED, but the gate is closed, and the set is still the caller's.
    XGL_NOT_DESTRUCTED = 34,
    /// CPU `detail.cpu` passed no quiescent state before the deadline.
    XGL_TIMEOUT = 35,
    /// The pool's mistake: its own check found `detail.count` sets after a drain.
    XGL_NOT_EMPTY = 36,
    /// There is nothing to take: `xgl_pool_try_get` found this CPU's cache empty.
    XGL_NONE = 37,

    /// The toolstack took its request back before it was acknowledged: nobody waits for a suspend.
    XGL_WITHDRAWN = 50,
    /// A step took longer than its limit.
    XGL_LATE = 51,
    /// The limits do not fit into libxl's windows of 60 s.
    XGL_LIMITS = 52,
    /// xenstore did not do what was asked; `detail.number` is the store's error number.
    XGL_STORE = 53,
    /// A function of the suspend's table failed; `number` is what it returned.
    XGL_STEP = 54,
}

/// What an error number is about, beside its text. What does not apply is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xgl_detail {
    /// The CPU that is late, or whose number is too high.
    pub cpu: u32,
    /// What the kernel's own function returned.
    pub number: i32,
    /// The set that it is about.
    pub set: usize,
    /// How many sets it is about; in a trim, how many others were destructed.
    pub count: usize,
}

/// An error on its way to C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its number.
    pub error: xgl_error,
    /// What it is about.
    pub detail: xgl_detail,
}

impl From<xgl_error> for Failure {
    fn from(error: xgl_error) -> Self {
        let detail = xgl_detail::default();
        Failure { error, detail }
    }
}

impl Failure {
    fn cpu(error: xgl_error, cpu: usize) -> Self {
        let mut failure = Failure::from(error);
        failure.detail.cpu = u32::try_from(cpu).unwrap_or(u32::MAX);
        failure
    }

    fn set(error: xgl_error, set: usize, number: i32, count: usize) -> Self {
        let mut failure = Failure::from(error);
        (failure.detail.set, failure.detail.number) = (set, number);
        failure.detail.count = count;
        failure
    }
}

/// A number for what this library does not know yet: the pool's errors may grow.
const UNKNOWN: xgl_error = xgl_error::XGL_BUSY;

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Closed => xgl_error::XGL_CLOSED.into(),
            Refused::ClosedForGood => xgl_error::XGL_CLOSED_FOR_GOOD.into(),
            Refused::NoSuchCpu(cpu) => Failure::cpu(xgl_error::XGL_NO_SUCH_CPU, cpu.0),
            Refused::NotOnline(cpu) => Failure::cpu(xgl_error::XGL_NOT_ONLINE, cpu.0),
            Refused::Reentered => xgl_error::XGL_REENTERED.into(),
            Refused::WrongContext => xgl_error::XGL_WRONG_CONTEXT.into(),
            Refused::NeedsMore => xgl_error::XGL_NEEDS_MORE.into(),
            Refused::Busy => xgl_error::XGL_BUSY.into(),
            _ => UNKNOWN.into(),
        }
    }
}

impl From<GetError<usize, i32>> for Failure {
    fn from(error: GetError<usize, i32>) -> Self {
        match error {
            GetError::Refused(refused) => refused.into(),
            GetError::Construct(number) => Failure::set(xgl_error::XGL_CONSTRUCT, 0, number, 0),
            GetError::Hoarded { error, idle } => {
                Failure::set(xgl_error::XGL_HOARDED, 0, error, idle)
            }
            GetError::WriteAfterFree(set) => {
                Failure::set(xgl_error::XGL_WRITE_AFTER_FREE, set, 0, 1)
            }
            _ => UNKNOWN.into(),
        }
    }
}

impl From<&PutError<usize, i32>> for Failure {
    fn from(error: &PutError<usize, i32>) -> Self {
        match error {
            PutError::Refused(refused, _) => (*refused).into(),
            PutError::Foreign(set) => Failure::set(xgl_error::XGL_FOREIGN, *set, 0, 1),
            PutError::DoublePut(set) => Failure::set(xgl_error::XGL_DOUBLE_PUT, *set, 0, 1),
            PutError::Quarantined(set, number) => {
                Failure::set(xgl_error::XGL_QUARANTINED, *set, *number, 1)
            }
            PutError::NotDestructed(token, number) => {
                Failure::set(xgl_error::XGL_NOT_DESTRUCTED, token.set(), *number, 1)
            }
            _ => UNKNOWN.into(),
        }
    }
}

impl From<GracePeriodTimeout> for Failure {
    fn from(late: GracePeriodTimeout) -> Self {
        Failure::cpu(xgl_error::XGL_TIMEOUT, late.cpu.0)
    }
}

impl From<WaitError> for Failure {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Refused(refused) => refused.into(),
            WaitError::Timeout(late) => late.into(),
            _ => UNKNOWN.into(),
        }
    }
}

impl From<DrainError<usize, i32>> for Failure {
    fn from(error: DrainError<usize, i32>) -> Self {
        match error {
            DrainError::Refused(refused) => refused.into(),
            DrainError::Timeout(late) => late.into(),
            DrainError::Quarantined { count, set, reason } => match reason {
                Reason::Destruct(number) | Reason::RollBack(number) => {
                    Failure::set(xgl_error::XGL_QUARANTINED, set, number, count)
                }
                _ => Failure::set(xgl_error::XGL_WRITE_AFTER_FREE, set, 0, count),
            },
            DrainError::NotEmpty(left) => Failure::set(xgl_error::XGL_NOT_EMPTY, 0, 0, left),
            _ => UNKNOWN.into(),
        }
    }
}

impl From<TrimError<usize, i32>> for Failure {
    fn from(error: TrimError<usize, i32>) -> Self {
        match error {
            TrimError::Refused(refused) => refused.into(),
            TrimError::Quarantined { set, error, done } => {
                Failure::set(xgl_error::XGL_QUARANTINED, set, error, done)
            }
            TrimError::Construct(number) => Failure::set(xgl_error::XGL_CONSTRUCT, 0, number, 0),
            _ => UNKNOWN.into(),
        }
    }
}

impl From<Broken> for Failure {
    fn from(error: Broken) -> Self {
        match error {
            Broken::Refused(refused) => refused.into(),
            Broken::Kept {
                cached,
                in_flight,
                quarantined,
            } => {
                let left = cached + in_flight + quarantined;
                Failure::set(xgl_error::XGL_NOT_EMPTY, 0, 0, left)
            }
            _ => UNKNOWN.into(),
        }
    }
}

/// A sentence as C reads it. (Not a C string literal, which Debian's cbindgen does not know.)
macro_rules! text {
    ($words:literal) => {
        match core::ffi::CStr::from_bytes_with_nul(concat!($words, "\0").as_bytes()) {
            Ok(text) => text,
            Err(_) => panic!("a NUL within a sentence"),
        }
    };
}

/// For a number that is none of them.
pub const NO_NUMBER: &core::ffi::CStr = text!("no error number of this library");

/// Each number with its sentence.
pub const TEXTS: [(xgl_error, &core::ffi::CStr); 33] = {
    use xgl_error::*;
    [
        (XGL_OK, text!("done")),
        (XGL_NULL, text!("the kernel gave a null pointer")),
        (
            XGL_BAD_STORAGE,
            text!("the kernel's storage for the pool is too small or not aligned"),
        ),
        (
            XGL_NOT_A_POOL,
            text!("the kernel gave a pointer to no initialised pool"),
        ),
        (
            XGL_BAD_TABLE,
            text!("a function is missing in the kernel's table"),
        ),
        (XGL_ALREADY, text!("the hook is set already")),
        (
            XGL_INTERRUPTS_ON,
            text!("the kernel called with interrupts on"),
        ),
        (
            XGL_NO_SET,
            text!("the kernel gave a place that holds no set"),
        ),
        (
            XGL_PROOF_OVER,
            text!("the kernel used a proof outside of the function that it was given to"),
        ),
        (
            XGL_BAD_NUMBER,
            text!("the kernel gave a number that means nothing here"),
        ),
        (XGL_CLOSED, text!("the pool's gate is closed")),
        (XGL_CLOSED_FOR_GOOD, text!("the pool is closed for good")),
        (
            XGL_NO_SUCH_CPU,
            text!("the kernel named a CPU that the pool has no place for"),
        ),
        (
            XGL_NOT_ONLINE,
            text!("the kernel used the pool on a CPU that it had announced as idle or offline"),
        ),
        (
            XGL_REENTERED,
            text!("an operation of the pool on this CPU was interrupted or called back"),
        ),
        (
            XGL_WRONG_CONTEXT,
            text!("the kernel called from a context in which this may not be done"),
        ),
        (
            XGL_NEEDS_MORE,
            text!("the set cannot be cached on this CPU now, and nothing else may be done here"),
        ),
        (
            XGL_BUSY,
            text!("another drain, invalidation or barrier did not end before the deadline"),
        ),
        (XGL_CONSTRUCT, text!("the kernel could not construct a set")),
        (
            XGL_HOARDED,
            text!("the kernel could not construct a set, and some lie idle on other CPUs"),
        ),
        (
            XGL_WRITE_AFTER_FREE,
            text!("the kernel wrote to a set while it was free"),
        ),
        (
            XGL_FOREIGN,
            text!("the kernel put a set that is not of this pool"),
        ),
        (XGL_DOUBLE_PUT, text!("the kernel put a set twice")),
        (
            XGL_QUARANTINED,
            text!("the kernel could not destruct a set, which is in quarantine"),
        ),
        (
            XGL_NOT_DESTRUCTED,
            text!("the gate is closed, and the kernel could not destruct the set"),
        ),
        (
            XGL_TIMEOUT,
            text!("a CPU of the kernel passed no quiescent state before the deadline"),
        ),
        (
            XGL_NOT_EMPTY,
            text!("the pool's own check found sets after a drain"),
        ),
        (XGL_NONE, text!("this CPU's cache has no set")),
        (XGL_WITHDRAWN, text!("the toolstack took its request back")),
        (
            XGL_LATE,
            text!("a step of the kernel's took longer than its limit"),
        ),
        (
            XGL_LIMITS,
            text!("the kernel's limits do not fit into libxl's"),
        ),
        (XGL_STORE, text!("xenstore did not do what was asked")),
        (XGL_STEP, text!("a step of the kernel's suspend failed")),
    ]
};
