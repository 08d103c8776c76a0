//! The suspend machine.

use core::ptr;

use super::{answer, given_at, place_at, pool_at};
use crate::error::xgl_error;
use crate::pool::xgl_pool;
use crate::suspend::{default_limits, run, Kernel, Store};
use crate::tables::{xgl_limits, xgl_store, xgl_suspend_ops, xgl_suspended};

/// Limits for any host, inside libxl's windows. XGL_NULL.
#[no_mangle]
pub unsafe extern "C" fn xgl_limits_default(limits: *mut xgl_limits) -> xgl_error {
    let give = || {
        // SAFETY: the header's rules.
        unsafe { place_at(limits)? }.write(default_limits());
        Ok(())
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(give(), ptr::null_mut()) }
}

/// A whole suspend, from the request to running again: `quiet(REQUESTED)`, the request is acknowledged in
/// one transaction, `hold_hotplug`, `quiet(AWAKE)`, `park`, the pool is drained, `unlink_windows`, `audit`,
/// `quiet(ALONE)`, `detach`, `suspend`; and back in reverse, whether it failed, was cancelled or restored:
/// `reattach`, `wake(ALONE)`, `relink_windows`, the pool opens, `unpark`, `wake(AWAKE)`, `release_hotplug`,
/// `wake(REQUESTED)`, `reread`. From the drain to `relink_windows` the pool is empty and closed.
///
/// `store` may be null: nobody is to be answered. `limits` may be null: those of `xgl_limits_default`. `came` may
/// be null.
///
/// On the CPU that Xen wants the call from: vCPU 0. Interrupts on, where the kernel may sleep; `park` turns them
/// off. XGL_OK: the call was made, and `came->how` says into which domain it returned; look at `came->faults`.
/// XGL_WITHDRAWN, XGL_LATE, XGL_LIMITS, XGL_STORE, XGL_STEP, or the pool's error if it could not be drained:
/// the guest runs as before, and `data/suspend-failed` says why. A negative `came->number` is Xen's.
#[no_mangle]
pub unsafe extern "C" fn xgl_suspend(
    pool: *mut xgl_pool,
    steps: *const xgl_suspend_ops,
    store: *const xgl_store,
    limits: *const xgl_limits,
    came: *mut xgl_suspended,
) -> xgl_error {
    let suspend = || {
        // SAFETY: the header's rules, for both.
        let (pool, steps) = unsafe { (pool_at(pool)?, given_at(steps)?) };
        // SAFETY: the header's rules; null is allowed.
        let (store, limits) = unsafe { (given_at(store).ok(), given_at(limits).ok()) };
        let store = store.map(Store::of).transpose()?;
        let kernel = Kernel::of(pool, steps, store)?;
        let default = default_limits();
        let (result, told) = run(kernel, limits.unwrap_or(&default).limits());
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(came) } {
            place.write(told);
        }
        result
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(suspend(), ptr::null_mut()) }
}
