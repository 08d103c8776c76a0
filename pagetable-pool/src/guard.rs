//! Evidence that the caller stays on its CPU and is not interrupted.
#![allow(unsafe_code)] // declares an unsafe trait and its implementation; contains no unsafe block

use core::fmt;
use core::marker::PhantomData;

/// A CPU's number, from 0. The pool accepts numbers below its `CPUS` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(pub usize);

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU {}", self.0)
    }
}

bitflags::bitflags! {
    /// What the context that a guard stands for may do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Context: u32 {
        /// May take the pool's spin locks. Not in an NMI, nor where the caller holds a lock that an
        /// NMI may want.
        const MAY_LOCK = 1 << 0;
        /// May wait for other CPUs, within the deadline that the caller's [`Wait`](crate::Wait)
        /// sets.
        const MAY_WAIT = 1 << 1;
    }
}

/// Holding a value of this type proves that the code runs on CPU [`cpu`](CpuPinned::cpu), and that
/// until the value is gone it neither moves to another CPU nor is interrupted by code that calls
/// the pool.
///
/// A non-maskable interrupt may still come. From there, [`Pool::try_get`](crate::Pool::try_get) and
/// [`try_put`](crate::Pool::try_put) are of use ([`contexts`](crate::guide::contexts)); the pool notices that it interrupted itself,
/// and refuses.
///
/// # Safety
/// For as long as a value lives, the code that has it runs on the CPU that `cpu` names, `cpu` gives
/// the same answer, and no other code runs on that CPU which calls the pool, except from a
/// non-maskable interrupt, and except while the pool is inside
/// [`Wait::relax`](crate::Wait::relax). No two CPUs have one number.
pub unsafe trait CpuPinned {
    /// The CPU.
    fn cpu(&self) -> CpuId;

    /// What may be done here. Everything, unless the kernel says otherwise.
    fn context(&self) -> Context {
        Context::all()
    }
}

/// A [`CpuPinned`] for kernels that have no such type of their own.
#[derive(Debug)]
pub struct CpuGuard {
    cpu: CpuId,
    context: Context,
    /// Bound to its CPU: neither `Send` nor `Sync`.
    not_send: PhantomData<*const ()>,
}

impl CpuGuard {
    /// Says that interrupts are off here, on CPU `cpu`, until the guard is dropped.
    ///
    /// # Safety
    /// As for [`CpuPinned`].
    pub const unsafe fn new(cpu: CpuId, context: Context) -> Self {
        CpuGuard {
            cpu,
            context,
            not_send: PhantomData,
        }
    }
}

// SAFETY: the caller of `new` has promised what the trait asks, and the guard cannot go to another
// thread.
unsafe impl CpuPinned for CpuGuard {
    fn cpu(&self) -> CpuId {
        self.cpu
    }

    fn context(&self) -> Context {
        self.context
    }
}
