//! The pool's calls that wait for nobody.

use core::mem::{align_of, size_of, MaybeUninit};
use core::ptr;

use pagetable_pool::{CpuGuard, CpuId, CpuStats, PutError};

use super::{answer, given_at, on_this_cpu, place_at, pool_at, set_at};
use crate::error::{xgl_detail, xgl_error, Failure};
use crate::pool::{xgl_pool, Ops};
use crate::tables::{xgl_cpu_stats, xgl_left, xgl_pool_ops, xgl_set, xgl_shrunk, xgl_stats};
use crate::CPUS;

/// Bytes that a pool needs.
#[no_mangle]
pub extern "C" fn xgl_pool_size() -> usize {
    size_of::<xgl_pool>()
}

/// The alignment of its storage, in bytes.
#[no_mangle]
pub extern "C" fn xgl_pool_align() -> usize {
    align_of::<xgl_pool>()
}

/// CPUs that a pool has room for; their numbers are below this.
#[no_mangle]
pub extern "C" fn xgl_pool_cpus() -> u32 {
    CPUS as u32
}

/// What is copied into C's storage: a pool is too large to be made on a kernel's stack.
struct Blank(MaybeUninit<xgl_pool>);

// SAFETY: nobody uses it as a pool; its bytes are copied.
unsafe impl Sync for Blank {}

static BLANK: Blank = Blank(MaybeUninit::new(xgl_pool::blank()));

/// Makes a pool in `storage`, of `size` bytes, at least `xgl_pool_size()`, aligned to `xgl_pool_align()`; gives
/// its address, which is that of `storage`. Once for each storage, before any other CPU knows of it. The
/// storage and the table stay where they are as long as the pool is used; there is no end to a pool but
/// `xgl_pool_close`. No CPU is online: each calls `xgl_pool_cpu_online`.
///
/// From any context. XGL_OK, XGL_NULL, XGL_BAD_STORAGE, XGL_BAD_TABLE.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_init(
    storage: *mut core::ffi::c_void,
    size: usize,
    ops: *const xgl_pool_ops,
    pool: *mut *mut xgl_pool,
) -> xgl_error {
    let init = || {
        // SAFETY: the header's rules, for both.
        let (ops, result) = unsafe { (given_at(ops)?, place_at(pool)?) };
        let ops = Ops::of(ops)?;
        let storage = storage.cast::<xgl_pool>();
        if storage.is_null() {
            return Err(xgl_error::XGL_NULL.into());
        }
        if !storage.is_aligned() || size < size_of::<xgl_pool>() {
            return Err(Failure::from(xgl_error::XGL_BAD_STORAGE));
        }
        // SAFETY: by the header's rules `size` bytes may be written there and nobody else has them; they are
        // enough and aligned. A blank pool holds no pointer to itself and has no destructor that matters,
        // so its bytes are a blank pool wherever they lie.
        let made = unsafe {
            ptr::copy_nonoverlapping(BLANK.0.as_ptr(), storage, 1);
            &*storage
        };
        made.begin(ops);
        result.write(storage);
        Ok(())
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(init(), ptr::null_mut()) }
}

/// Takes a set from this CPU's cache; if it has none from the depot, and else constructs a batch.
///
/// Interrupts off; XGL_MAY_LOCK on a miss; not from an NMI. XGL_OK with the set in `*set`; XGL_CLOSED,
/// XGL_CONSTRUCT, XGL_HOARDED, XGL_WRITE_AFTER_FREE, or what was refused, and `*set` is empty. `detail` may be
/// null.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_get(
    pool: *mut xgl_pool,
    set: *mut xgl_set,
    detail: *mut xgl_detail,
) -> xgl_error {
    let get = || {
        // SAFETY: the header's rules, for both.
        let (pool, place) = unsafe { (pool_at(pool)?, place_at(set)?) };
        let place = place.write(xgl_set::default());
        *place = xgl_set::holding(pool.pool.get(&pool.guard()?)?);
        Ok(())
    };
    // SAFETY: the header's rules for `detail`.
    unsafe { answer(get(), detail) }
}

/// Takes a set from this CPU's cache, or gives none. Never spins, constructs or takes a lock.
///
/// Interrupts off; from an NMI too. XGL_OK with the set in `*set`; XGL_NONE, which is final: there is nothing to
/// try again.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_try_get(pool: *mut xgl_pool, set: *mut xgl_set) -> xgl_error {
    let get = || {
        // SAFETY: the header's rules, for both.
        let (pool, place) = unsafe { (pool_at(pool)?, place_at(set)?) };
        let place = place.write(xgl_set::default());
        let got = pool.pool.try_get(&pool.guard()?);
        *place = xgl_set::holding(got.ok_or(Failure::from(xgl_error::XGL_NONE))?);
        Ok(())
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(get(), ptr::null_mut()) }
}

/// A put's error: a set that is still the caller's goes back into its place.
fn put_back(place: &mut xgl_set, was: xgl_set, error: PutError<usize, i32>) -> Failure {
    let failure = Failure::from(&error);
    match error {
        PutError::Refused(_, token) | PutError::NotDestructed(token, _) => {
            *place = xgl_set::holding(token);
        }
        // It may go to the pool that it is of.
        PutError::Foreign(_) => *place = was,
        _ => {}
    }
    failure
}

/// Gives a set back into this CPU's cache; on any CPU. With the gate closed, or if the set is of an old
/// generation, or if cache and depot are full, it is destructed instead.
///
/// Interrupts off; XGL_MAY_LOCK unless the cache has room; not from an NMI. XGL_OK: `*set` is empty. What was
/// refused, XGL_NOT_DESTRUCTED, XGL_FOREIGN: the set is still in `*set`. XGL_NO_SET: it is empty.
/// XGL_QUARANTINED, XGL_DOUBLE_PUT (found in a library built with `checks`): it is empty now. `detail` may be
/// null.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_put(
    pool: *mut xgl_pool,
    set: *mut xgl_set,
    detail: *mut xgl_detail,
) -> xgl_error {
    let put = || {
        // SAFETY: the header's rules, for both.
        let (pool, place) = unsafe { (pool_at(pool)?, set_at(set)?) };
        let (guard, was) = (pool.guard()?, *place);
        let put = pool.pool.put(&guard, place.take()?);
        put.map_err(|error| put_back(place, was, error))
    };
    // SAFETY: the header's rules for `detail`.
    unsafe { answer(put(), detail) }
}

/// Gives a set back into this CPU's cache, or leaves it in `*set`. Never spins, destructs or takes a lock.
///
/// Interrupts off; from an NMI too. XGL_OK: `*set` is empty. XGL_NEEDS_MORE, or what was refused: the set is
/// still in `*set`; give it back later with `xgl_pool_put`.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_try_put(pool: *mut xgl_pool, set: *mut xgl_set) -> xgl_error {
    let put = || {
        // SAFETY: the header's rules, for both.
        let (pool, place) = unsafe { (pool_at(pool)?, set_at(set)?) };
        let (guard, was) = (pool.guard()?, *place);
        let put = pool.pool.try_put(&guard, place.take()?);
        put.map_err(|error| put_back(place, was, error))
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(put(), ptr::null_mut()) }
}

/// Gives a set back once every CPU has passed a quiescent state: for sets that other CPUs may still walk
/// without a lock. Call it after the set is unlinked, so that no new reader finds it.
///
/// Interrupts off; XGL_MAY_LOCK; not from an NMI. As `xgl_pool_put`; while the gate is closed XGL_CLOSED, and the
/// set stays in `*set`.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_put_deferred(
    pool: *mut xgl_pool,
    set: *mut xgl_set,
    detail: *mut xgl_detail,
) -> xgl_error {
    let put = || {
        // SAFETY: the header's rules, for both.
        let (pool, place) = unsafe { (pool_at(pool)?, set_at(set)?) };
        let (guard, was) = (pool.guard()?, *place);
        let put = pool.pool.put_deferred(&guard, place.take()?);
        put.map_err(|error| put_back(place, was, error))
    };
    // SAFETY: the header's rules for `detail`.
    unsafe { answer(put(), detail) }
}

/// This CPU is inside no call of the pool and holds no reference that it got by reading without a lock. The
/// idle loop, the scheduler or the tick says so. Finishes deferred frees of this CPU that are due.
///
/// Interrupts off; ignored inside a call of the pool.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_quiescent(pool: *mut xgl_pool) -> xgl_error {
    let pass = |pool: &xgl_pool, guard: &CpuGuard| {
        pool.pool.quiescent(guard);
        Ok(())
    };
    // SAFETY: the header's rules; no detail is asked for.
    unsafe { on_this_cpu(pool, ptr::null_mut(), pass) }
}

/// This CPU uses the pool from now on. May be repeated.
///
/// Interrupts off.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_cpu_online(pool: *mut xgl_pool) -> xgl_error {
    let come = |pool: &xgl_pool, guard: &CpuGuard| Ok(pool.pool.cpu_online(guard)?);
    // SAFETY: the header's rules; no detail is asked for.
    unsafe { on_this_cpu(pool, ptr::null_mut(), come) }
}

/// This CPU leaves: its cache is destructed, its deferred frees go to the others, and from here on it is
/// neither waited for nor woken.
///
/// Interrupts off; XGL_MAY_LOCK. XGL_QUARANTINED: it is offline all the same. `left` and `detail` may be null.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_cpu_offline(
    pool: *mut xgl_pool,
    left: *mut xgl_left,
    detail: *mut xgl_detail,
) -> xgl_error {
    let leave = |pool: &xgl_pool, guard: &CpuGuard| {
        let gone = pool.pool.cpu_offline(guard)?;
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(left) } {
            place.write(xgl_left {
                drained: gone.drained,
                cached: gone.cached,
                deferred: gone.deferred,
            });
        }
        Ok(())
    };
    // SAFETY: the header's rules.
    unsafe { on_this_cpu(pool, detail, leave) }
}

/// This CPU is about to be idle or parked: until `xgl_pool_idle_exit` it does not touch the pool, and nobody
/// waits for it.
///
/// Interrupts off.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_idle_enter(pool: *mut xgl_pool) -> xgl_error {
    let leave = |pool: &xgl_pool, guard: &CpuGuard| Ok(pool.pool.idle_enter(guard)?);
    // SAFETY: the header's rules; no detail is asked for.
    unsafe { on_this_cpu(pool, ptr::null_mut(), leave) }
}

/// This CPU runs kernel code again. An interrupt handler of an idle CPU calls it too, before it uses the pool.
///
/// Interrupts off.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_idle_exit(pool: *mut xgl_pool) -> xgl_error {
    let come = |pool: &xgl_pool, guard: &CpuGuard| Ok(pool.pool.idle_exit(guard)?);
    // SAFETY: the header's rules; no detail is asked for.
    unsafe { on_this_cpu(pool, ptr::null_mut(), come) }
}

/// Destructs what this CPU's cache holds; the number goes to `*sets`, which may be null.
///
/// Interrupts off; XGL_MAY_LOCK. XGL_QUARANTINED: the rest is done. `detail` may be null.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_drain_cpu(
    pool: *mut xgl_pool,
    sets: *mut usize,
    detail: *mut xgl_detail,
) -> xgl_error {
    let drain = |pool: &xgl_pool, guard: &CpuGuard| {
        let drained = pool.pool.drain_cpu(guard)?;
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(sets) } {
            place.write(drained);
        }
        Ok(())
    };
    // SAFETY: the header's rules.
    unsafe { on_this_cpu(pool, detail, drain) }
}

/// Destructs the coldest sets of the depot until it holds `target`, at most 64 in one call: call again while
/// `shrunk->destructed` is not 0.
///
/// Interrupts off; XGL_MAY_LOCK. XGL_QUARANTINED: the rest is done. `shrunk` and `detail` may be null.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_shrink(
    pool: *mut xgl_pool,
    target: usize,
    shrunk: *mut xgl_shrunk,
    detail: *mut xgl_detail,
) -> xgl_error {
    let shrink = |pool: &xgl_pool, guard: &CpuGuard| {
        let done = pool.pool.shrink(guard, target)?;
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(shrunk) } {
            place.write(xgl_shrunk {
                destructed: done.destructed,
                depot: done.depot,
            });
        }
        Ok(())
    };
    // SAFETY: the header's rules.
    unsafe { on_this_cpu(pool, detail, shrink) }
}

/// Sets what the depot may hold, in sets. It has room for all its magazines until this is called.
///
/// From any context.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_set_high_water(pool: *mut xgl_pool, sets: usize) -> xgl_error {
    let set = || {
        // SAFETY: the header's rules.
        unsafe { pool_at(pool)? }.pool.set_high_water(sets);
        Ok(())
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(set(), ptr::null_mut()) }
}

/// Constructs one batch into the depot if it holds less than the reserve that the library was built with
/// (XEN_GUEST_RESERVE); the number goes to `*sets`, which may be null. Call again while it is not 0.
///
/// Interrupts off; XGL_MAY_LOCK. XGL_CONSTRUCT. `detail` may be null.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_replenish(
    pool: *mut xgl_pool,
    sets: *mut usize,
    detail: *mut xgl_detail,
) -> xgl_error {
    let fill = |pool: &xgl_pool, guard: &CpuGuard| {
        let built = pool.pool.replenish(guard)?;
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(sets) } {
            place.write(built);
        }
        Ok(())
    };
    // SAFETY: the header's rules.
    unsafe { on_this_cpu(pool, detail, fill) }
}

/// Tries to destruct what is in quarantine, once each; how many are still there goes to `*left`, which may be
/// null.
///
/// Interrupts off; XGL_MAY_LOCK. XGL_BUSY while a drain, invalidation or barrier is under way.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_retry_quarantined(
    pool: *mut xgl_pool,
    left: *mut usize,
) -> xgl_error {
    let retry = |pool: &xgl_pool, guard: &CpuGuard| {
        let still = pool.pool.retry_quarantined(guard)?;
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(left) } {
            place.write(still);
        }
        Ok(())
    };
    // SAFETY: the header's rules; no detail is asked for.
    unsafe { on_this_cpu(pool, ptr::null_mut(), retry) }
}

/// The pool's figures. Interrupts off; XGL_MAY_LOCK.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_stats(pool: *mut xgl_pool, stats: *mut xgl_stats) -> xgl_error {
    let look = || {
        // SAFETY: the header's rules, for both.
        let (pool, place) = unsafe { (pool_at(pool)?, place_at(stats)?) };
        let stats = pool.pool.stats(&pool.guard()?)?;
        place.write(xgl_stats {
            total: stats.total.into(),
            depot: stats.depot,
            depot_peak: stats.depot_peak,
            in_use: stats.in_use,
            in_flight: stats.in_flight,
            deferred_overflow: stats.deferred_overflow,
            quarantined: stats.quarantined,
            drains: stats.drains,
            longest_drain_ns: stats.longest_drain_ns,
            generation: stats.generation as usize,
        });
        Ok(())
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(look(), ptr::null_mut()) }
}

/// One CPU's figures. From any context. XGL_NO_SUCH_CPU.
#[no_mangle]
pub unsafe extern "C" fn xgl_pool_cpu_stats(
    pool: *mut xgl_pool,
    cpu: u32,
    stats: *mut xgl_cpu_stats,
) -> xgl_error {
    let look = || {
        // SAFETY: the header's rules, for both.
        let (pool, place) = unsafe { (pool_at(pool)?, place_at(stats)?) };
        let stats = pool.pool.cpu_stats(CpuId(cpu as usize));
        let stats = stats.ok_or(Failure::from(xgl_error::XGL_NO_SUCH_CPU))?;
        place.write(stats.into());
        Ok(())
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(look(), ptr::null_mut()) }
}

impl From<CpuStats> for xgl_cpu_stats {
    fn from(stats: CpuStats) -> Self {
        xgl_cpu_stats {
            running: stats.running.into(),
            hits: stats.hits,
            misses: stats.misses,
            constructed: stats.constructed,
            destructed: stats.destructed,
            cached: stats.cached,
            deferred: stats.deferred,
            stale_refused: stats.stale_refused,
            failed: stats.failed,
            refused: stats.refused,
            backend_calls: stats.backend_calls,
            hypercalls: stats.hypercalls,
            tlb_flushes: stats.tlb_flushes,
        }
    }
}
