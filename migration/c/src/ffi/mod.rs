//! What C calls. All unsafe code of this library is here.
//!
//! # What every function asks of its caller
//!
//! - A pointer is null, where that is allowed, or to a valid object of its type, which nobody else
//!   changes during the call. (A null where it is not allowed gives XGL_NULL.)
//! - The functions in tables behave as the header says and have the types that it gives them.
//! - A `struct xgl_set` was filled in by the library and is not copied to be used twice.
//!
//! These hold of every function here, and are what "the header's rules" means in the arguments below.
#![allow(unsafe_code)]
// Those rules are every function's `# Safety` section; in the header they stand once, at its top.
#![allow(clippy::missing_safety_doc)]

mod hooks;
mod pool;
mod proofs;
mod shutdown;
mod suspend;
mod waiting;
pub(crate) mod word;

pub use hooks::*;
pub use pool::*;
pub use proofs::*;
pub use shutdown::*;
pub use suspend::*;
pub use waiting::*;

use core::mem::MaybeUninit;

use pagetable_pool::{Constructed, Context, CpuGuard, CpuId, Parts};

use crate::error::{xgl_detail, xgl_error, Failure};
use crate::pool::xgl_pool;
use crate::tables::{xgl_set, XGL_INTERRUPTS_OFF, XGL_MAY_LOCK, XGL_MAY_WAIT};

/// The pool that C means.
///
/// # Safety
/// The header's rules: null, or memory that `xgl_pool_init` was given, or is as large and may be read.
unsafe fn pool_at<'a>(pool: *const xgl_pool) -> Result<&'a xgl_pool, Failure> {
    if pool.is_null() {
        return Err(xgl_error::XGL_NULL.into());
    }
    if !pool.is_aligned() {
        return Err(xgl_error::XGL_NOT_A_POOL.into());
    }
    // SAFETY: not null, aligned, and by the caller's promise as large as a pool. All parts of one are
    // atomics or guarded by them, and `has_begun` is looked at before any other.
    let pool = unsafe { &*pool };
    if pool.has_begun() {
        Ok(pool)
    } else {
        Err(xgl_error::XGL_NOT_A_POOL.into())
    }
}

/// A place that C gave for a result, written as a whole and not read before.
///
/// # Safety
/// The header's rules.
unsafe fn place_at<'a, T>(place: *mut T) -> Result<&'a mut MaybeUninit<T>, Failure> {
    // SAFETY: the caller's promise; `MaybeUninit` asks nothing of what lies there.
    unsafe { place.cast::<MaybeUninit<T>>().as_mut() }.ok_or(xgl_error::XGL_NULL.into())
}

/// Something of C's that is read only.
///
/// # Safety
/// The header's rules.
unsafe fn given_at<'a, T>(given: *const T) -> Result<&'a T, Failure> {
    // SAFETY: the caller's promise.
    unsafe { given.as_ref() }.ok_or(xgl_error::XGL_NULL.into())
}

/// The number that C gets, and the detail if it wants it.
///
/// # Safety
/// The header's rules for `detail`, which may be null.
unsafe fn answer(result: Result<(), Failure>, detail: *mut xgl_detail) -> xgl_error {
    let failure = result.err().unwrap_or(Failure::from(xgl_error::XGL_OK));
    // SAFETY: the caller's promise.
    if let Ok(detail) = unsafe { place_at(detail) } {
        detail.write(failure.detail);
    }
    failure.error
}

/// Has the pool do something on this CPU; the number that C gets, and the detail if it wants it.
///
/// # Safety
/// The header's rules for both pointers; `detail` may be null.
unsafe fn on_this_cpu(
    pool: *const xgl_pool,
    detail: *mut xgl_detail,
    call: impl FnOnce(&xgl_pool, &CpuGuard) -> Result<(), Failure>,
) -> xgl_error {
    let result = || {
        // SAFETY: the caller's promise.
        let pool = unsafe { pool_at(pool)? };
        call(pool, &pool.guard()?)
    };
    // SAFETY: the caller's promise.
    unsafe { answer(result(), detail) }
}

impl xgl_pool {
    /// C's evidence that interrupts are off here, as a guard.
    pub(crate) fn guard(&self) -> Result<CpuGuard, Failure> {
        let here = self.ops()?.here();
        if here.flags & XGL_INTERRUPTS_OFF == 0 {
            return Err(xgl_error::XGL_INTERRUPTS_ON.into());
        }
        let mut context = Context::empty();
        context.set(Context::MAY_LOCK, here.flags & XGL_MAY_LOCK != 0);
        context.set(Context::MAY_WAIT, here.flags & XGL_MAY_WAIT != 0);
        // SAFETY: the header's rules for `xgl_pool_ops.here`: the flag says that interrupts are off for the
        // whole call, which this guard does not outlive, and no two CPUs have one number.
        Ok(unsafe { CpuGuard::new(CpuId(here.cpu as usize), context) })
    }
}

impl xgl_set {
    /// What C keeps of a token.
    fn holding(token: Constructed<usize>) -> Self {
        let (set, parts) = token.into_parts();
        xgl_set {
            set,
            token: parts.to_bits(),
        }
    }

    /// The token, which C gives back: its place is empty from here on.
    fn take(&mut self) -> Result<Constructed<usize>, Failure> {
        let taken = core::mem::take(self);
        if taken.set == 0 {
            return Err(xgl_error::XGL_NO_SET.into());
        }
        // SAFETY: the header's rules: the place was filled in by `holding`, which split a token, was not
        // copied, and is empty now.
        Ok(unsafe { Constructed::from_parts(taken.set, Parts::from_bits(taken.token)) })
    }
}

/// The set that C gives back.
///
/// # Safety
/// The header's rules.
unsafe fn set_at<'a>(set: *mut xgl_set) -> Result<&'a mut xgl_set, Failure> {
    // SAFETY: the caller's promise; a `struct xgl_set` that C gives back was written by `holding`, or is
    // zeroed: both are values of the type.
    unsafe { set.as_mut() }.ok_or(xgl_error::XGL_NULL.into())
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::size_of;
    assert!(size_of::<xgl_set>() == 16 && size_of::<crate::tables::xgl_here>() == 8);
    assert!(size_of::<xgl_detail>() == 24 && size_of::<crate::tables::xgl_spent>() == 8);
    assert!(size_of::<crate::tables::xgl_pool_ops>() == 80);
    assert!(size_of::<crate::tables::xgl_store>() == 48);
    assert!(size_of::<crate::tables::xgl_suspend_ops>() == 136);
    assert!(size_of::<crate::tables::xgl_cpu_stats>() == 104);
    assert!(size_of::<crate::tables::xgl_stats>() == 176);
    assert!(size_of::<crate::tables::xgl_suspended>() == 208);
};
#[cfg(target_pointer_width = "32")]
const _: () = {
    use core::mem::size_of;
    assert!(size_of::<xgl_set>() == 12 && size_of::<crate::tables::xgl_here>() == 8);
    assert!(size_of::<xgl_detail>() == 16 && size_of::<crate::tables::xgl_spent>() == 8);
    assert!(size_of::<crate::tables::xgl_pool_ops>() == 40);
    assert!(size_of::<crate::tables::xgl_store>() == 24);
    assert!(size_of::<crate::tables::xgl_suspend_ops>() == 68);
    assert!(size_of::<crate::tables::xgl_cpu_stats>() == 52);
    assert!(size_of::<crate::tables::xgl_stats>() == 88);
    assert!(size_of::<crate::tables::xgl_suspended>() == 208);
};
