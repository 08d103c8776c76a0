//! The guest's clock: nanoseconds since boot that never go back.
//!
//! Xen's own system time is that of the host, and a migration may take the guest to one that booted
//! later. So the guest adds an offset, set anew on each way back, and around the suspend call the
//! clock stands still.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::arch::cpu;

/// Added to Xen's system time, wrapping.
static OFFSET: AtomicU64 = AtomicU64::new(0);
/// The last time that anybody was told.
static LATEST: AtomicU64 = AtomicU64::new(0);
/// While set, [`now`] gives [`LATEST`] and touches no page that Xen may have taken away.
static FROZEN: AtomicBool = AtomicBool::new(true);

/// Nanoseconds of guest time since boot. Never less than any vCPU was told before.
pub fn now() -> u64 {
    if FROZEN.load(Ordering::Acquire) {
        return LATEST.load(Ordering::Acquire);
    }
    // Two looks at Xen's clock may differ by a little the wrong way, right after boot below the
    // guest's zero.
    let now = cpu::my_info()
        .now()
        .wrapping_add(OFFSET.load(Ordering::Relaxed)) as i64;
    let now = now.max(0) as u64;
    LATEST.fetch_max(now, Ordering::AcqRel).max(now)
}

/// Does the clock stand still? Then [`now`] is no measure of a wait.
pub fn stands_still() -> bool {
    FROZEN.load(Ordering::Acquire)
}

/// The last time that anybody was told, without a look at the clock: that may be dear, for Xen may
/// have to emulate the time-stamp counter.
pub fn latest() -> u64 {
    LATEST.load(Ordering::Acquire)
}

/// The time of day by Xen: microseconds since 1970. 0 while the clock stands still.
///
/// UTC plus the domain's own offset (`rtc_timeoffset` of its configuration), which Xen has added
/// already (`update_domain_wallclock_time`, `xen/common/time.c`) and which a guest cannot tell from
/// the time.
///
/// Both of its parts, the time of day at which system time was 0 and system time, are read anew
/// each time: after a restore or a migration they are another host's. `wc_sec`, `wc_nsec` and
/// `wc_sec_hi` of `struct shared_info`, `xen/include/public/xen.h`.
pub fn wall_us() -> u64 {
    if FROZEN.load(Ordering::Acquire) {
        return 0;
    }
    let zero = crate::arch::shared_info::shared_info().wall_clock();
    zero.seconds
        .wrapping_mul(1_000_000)
        .wrapping_add(u64::from(zero.nanoseconds) / 1000)
        .wrapping_add(cpu::my_info().now() / 1000)
}

/// Xen's system time for a time of the guest's, as timers want it.
pub fn to_system(guest: u64) -> u64 {
    guest.wrapping_sub(OFFSET.load(Ordering::Relaxed))
}

/// Stops the clock. Interrupts off, the other vCPUs parked.
pub fn freeze() {
    now();
    FROZEN.store(true, Ordering::Release);
}

/// Starts the clock where it stopped. Xen's time page must be mapped.
pub fn thaw() {
    let offset = LATEST
        .load(Ordering::Acquire)
        .wrapping_sub(cpu::my_info().now());
    OFFSET.store(offset, Ordering::Relaxed);
    FROZEN.store(false, Ordering::Release);
}
