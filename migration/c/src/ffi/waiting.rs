//! The pool's calls that wait for other CPUs.

use core::ffi::c_void;

use pagetable_pool::{CpuPinned, DrainReport};

use super::{answer, place_at, pool_at};
use crate::error::{xgl_detail, xgl_error, Failure};
use crate::pool::{xgl_pool, Waiting};
use crate::tables::{xgl_drain_report, xgl_reclaimed, xgl_under_proof};

/// Empties the cache of every CPU and the depot, finishes all deferred frees, and calls `under(arg, proof)`
/// while the pool is empty and stays so; what that returned goes to `*answered`, which may be null. When it
/// has returned the gate opens. A CPU that is idle, parked or offline is neither woken nor interrupted; one
/// that runs is kicked once if it passes no quiescent state. Meanwhile `xgl_pool_get` gives XGL_CLOSED.
///
/// `under` is called with interrupts off as they were, may put sets, and must not wait for a CPU that wants
/// one. XGL_OK: it was called. XGL_TIMEOUT: no cache was touched. XGL_QUARANTINED: all else is drained. After
/// any error the gate is open again and `under` was not called.
///
/// Interrupts off; XGL_MAY_LOCK and XGL_MAY_WAIT. `detail` may be null.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_drain(
    pool: *mut xgl_pool,
    timeout_ns: u64,
    under: xgl_under_proof,
    arg: *mut c_void,
    answered: *mut i32,
    detail: *mut xgl_detail,
) -> xgl_error {
    let drain = || {
        // SAFETY: the header's rules.
        let pool = unsafe { pool_at(pool)? };
        let under = under.ok_or(Failure::from(xgl_error::XGL_NULL))?;
        let (guard, ops) = (pool.guard()?, pool.ops()?);
        let mut wait = Waiting::for_ns(ops, timeout_ns);
        let proof = pool.pool.drain(&guard, &mut wait)?;
        let cpu = guard.cpu().0 as u32;
        let said = pool.loan.lend(cpu, &proof, |number| under(arg, number));
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(answered) } {
            place.write(said);
        }
        Ok(())
    };
    // SAFETY: the header's rules for `detail`.
    unsafe { answer(drain(), detail) }
}

/// Closes the pool for good: drains it and never opens it again. Sets still out are counted in
/// `report->in_use`, and destructed when they are put. After XGL_TIMEOUT it is open again.
///
/// Interrupts off; XGL_MAY_LOCK and XGL_MAY_WAIT. `report` and `detail` may be null.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_close(
    pool: *mut xgl_pool,
    timeout_ns: u64,
    report: *mut xgl_drain_report,
    detail: *mut xgl_detail,
) -> xgl_error {
    let close = || {
        // SAFETY: the header's rules.
        let pool = unsafe { pool_at(pool)? };
        let mut wait = Waiting::for_ns(pool.ops()?, timeout_ns);
        let closed = pool.pool.close(&pool.guard()?, &mut wait)?;
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(report) } {
            place.write(xgl_drain_report::of(&closed.report, closed.in_use));
        }
        Ok(())
    };
    // SAFETY: the header's rules for `detail`.
    unsafe { answer(close(), detail) }
}

/// Makes the free sets of every CPU usable by all: for a kernel whose `xgl_pool_get` gave XGL_HOARDED, which
/// then tries again. Waits as a drain does.
///
/// Interrupts off; XGL_MAY_LOCK and XGL_MAY_WAIT. `reclaimed` and `detail` may be null.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_reclaim(
    pool: *mut xgl_pool,
    timeout_ns: u64,
    reclaimed: *mut xgl_reclaimed,
    detail: *mut xgl_detail,
) -> xgl_error {
    let reclaim = || {
        // SAFETY: the header's rules.
        let pool = unsafe { pool_at(pool)? };
        let mut wait = Waiting::for_ns(pool.ops()?, timeout_ns);
        let back = pool.pool.reclaim(&pool.guard()?, &mut wait)?;
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(reclaimed) } {
            place.write(xgl_reclaimed {
                to_depot: back.to_depot,
                destructed: back.destructed,
            });
        }
        Ok(())
    };
    // SAFETY: the header's rules for `detail`.
    unsafe { answer(reclaim(), detail) }
}

/// The constructed form changes (a kernel L2 entry is added): raises the generation and waits until no set
/// constructed before can be handed out by any CPU. Call it after the change. Old sets in use are destructed
/// when they are put. The new generation goes to `*generation`, which may be null.
///
/// Interrupts off; XGL_MAY_LOCK and XGL_MAY_WAIT. XGL_TIMEOUT: CPU `detail->cpu` may still be handing one out;
/// the generation has gone up all the same. `detail` may be null.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_invalidate(
    pool: *mut xgl_pool,
    timeout_ns: u64,
    generation: *mut u32,
    detail: *mut xgl_detail,
) -> xgl_error {
    let invalidate = || {
        // SAFETY: the header's rules.
        let pool = unsafe { pool_at(pool)? };
        let mut wait = Waiting::for_ns(pool.ops()?, timeout_ns);
        let new = pool.pool.invalidate(&pool.guard()?, &mut wait)?;
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(generation) } {
            place.write(new.get());
        }
        Ok(())
    };
    // SAFETY: the header's rules for `detail`.
    unsafe { answer(invalidate(), detail) }
}

/// Waits until every free deferred before the call, on whichever CPU, is finished; their number goes to
/// `*finished`, which may be null.
///
/// Interrupts off; XGL_MAY_LOCK and XGL_MAY_WAIT. XGL_TIMEOUT: none is lost. `detail` may be null.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_barrier(
    pool: *mut xgl_pool,
    timeout_ns: u64,
    finished: *mut usize,
    detail: *mut xgl_detail,
) -> xgl_error {
    let barrier = || {
        // SAFETY: the header's rules.
        let pool = unsafe { pool_at(pool)? };
        let mut wait = Waiting::for_ns(pool.ops()?, timeout_ns);
        let done = pool.pool.barrier(&pool.guard()?, &mut wait)?;
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(finished) } {
            place.write(done);
        }
        Ok(())
    };
    // SAFETY: the header's rules for `detail`.
    unsafe { answer(barrier(), detail) }
}

impl xgl_drain_report {
    /// As C reads it.
    pub(super) fn of(report: &DrainReport, in_use: usize) -> Self {
        xgl_drain_report {
            cached: report.cached,
            depot: report.depot,
            deferred: report.deferred,
            backend_calls: report.backend_calls,
            hypercalls: report.hypercalls,
            tlb_flushes: report.tlb_flushes,
            in_use,
            ns: report.ns,
        }
    }
}
