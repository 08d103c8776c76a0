//! What C may ask of a proof while it has one.

use core::ptr;

use pagetable_pool::{CpuGuard, CpuId, CpuPinned, Drained};

use super::{answer, place_at, pool_at};
use crate::error::{xgl_detail, xgl_error, Failure};
use crate::pool::xgl_pool;
use crate::proof::xgl_proof;
use crate::tables::xgl_drain_report;

/// Shows the proof that C means to `look`.
///
/// # Safety
/// The header's rules for `pool`. `proof` may be any number.
unsafe fn with_proof<R>(
    pool: *mut xgl_pool,
    proof: *const xgl_proof,
    look: impl FnOnce(&Drained<'_>, &CpuGuard) -> Result<R, Failure>,
) -> Result<R, Failure> {
    // SAFETY: the caller's promise.
    let pool = unsafe { pool_at(pool)? };
    let guard = pool.guard()?;
    let found = pool.loan.find(guard.cpu(), proof);
    let found = found.ok_or(Failure::from(xgl_error::XGL_PROOF_OVER))?;
    // SAFETY: `find` has shown that we are within the function that `lend` calls, on its CPU; `lend` holds a
    // reference to the proof until that function has returned, and shared references are all that there are.
    let drained = unsafe { &*found.cast::<Drained<'_>>() };
    look(drained, &guard)
}

/// What the drain did.
///
/// Only in the function that the proof was given to. XGL_PROOF_OVER.
#[no_mangle]
pub unsafe extern "C" fn xgl_proof_report(
    pool: *mut xgl_pool,
    proof: *const xgl_proof,
    report: *mut xgl_drain_report,
) -> xgl_error {
    let look = || {
        // SAFETY: the header's rules.
        let place = unsafe { place_at(report)? };
        // SAFETY: the header's rules.
        unsafe {
            with_proof(pool, proof, |drained, _| {
                place.write(xgl_drain_report::of(drained.report(), drained.in_use()));
                Ok(())
            })
        }
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(look(), ptr::null_mut()) }
}

/// Sets that the drain took from the cache of `cpu`.
///
/// Only in the function that the proof was given to. XGL_PROOF_OVER.
#[no_mangle]
pub unsafe extern "C" fn xgl_proof_taken_from(
    pool: *mut xgl_pool,
    proof: *const xgl_proof,
    cpu: u32,
    sets: *mut usize,
) -> xgl_error {
    let look = || {
        // SAFETY: the header's rules.
        let place = unsafe { place_at(sets)? };
        // SAFETY: the header's rules.
        unsafe {
            with_proof(pool, proof, |drained, _| {
                place.write(drained.taken_from(CpuId(cpu as usize)));
                Ok(())
            })
        }
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(look(), ptr::null_mut()) }
}

/// Looks at every cache, the depot, the deferred frees and the quarantine once more: for the caller that relies
/// on the proof, right before the suspend call.
///
/// Only in the function that the proof was given to; XGL_MAY_LOCK. XGL_PROOF_OVER; XGL_NOT_EMPTY is the pool's
/// mistake. `detail` may be null.
#[no_mangle]
pub unsafe extern "C" fn xgl_proof_recheck(
    pool: *mut xgl_pool,
    proof: *const xgl_proof,
    detail: *mut xgl_detail,
) -> xgl_error {
    let look = || {
        // SAFETY: the header's rules.
        unsafe { with_proof(pool, proof, |drained, guard| Ok(drained.recheck(guard)?)) }
    };
    // SAFETY: the header's rules for `detail`.
    unsafe { answer(look(), detail) }
}

/// Raises the construction generation while all is drained: sets in use are then of an old one, and are
/// destructed when they are put. For a host with other features.
///
/// Only in the function that the proof was given to. XGL_PROOF_OVER.
#[no_mangle]
pub unsafe extern "C" fn xgl_proof_invalidate(
    pool: *mut xgl_pool,
    proof: *const xgl_proof,
) -> xgl_error {
    let raise = || {
        // SAFETY: the header's rules.
        unsafe {
            with_proof(pool, proof, |drained, _| {
                drained.invalidate();
                Ok(())
            })
        }
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(raise(), ptr::null_mut()) }
}
