//! The guest's clock: `kernel-glue`'s, of which there is one, in nanoseconds since boot.

use kernel_glue::time::{GuestClock, GuestTime, NotMapped, SystemTime};

use crate::arch::cpu;
use crate::arch::shared_info::shared_info;

static CLOCK: GuestClock = GuestClock::new();

/// Nanoseconds of guest time since boot. Never less than any vCPU was told before; the last of them
/// while the clock stands still.
pub fn now() -> u64 {
    let now = CLOCK.now(cpu::my_info());
    now.unwrap_or_else(|still| still.latest).0
}

/// Does the clock stand still? Then [`now`] is no measure of a wait.
pub fn stands_still() -> bool {
    CLOCK.stands_still()
}

/// The last time that anybody was told, without a look at the clock: that may be dear, for Xen may
/// have to emulate the time-stamp counter.
pub fn latest() -> u64 {
    CLOCK.latest().0
}

/// The time of day by Xen: microseconds since 1970. 0 while the clock stands still.
pub fn wall_us() -> u64 {
    CLOCK
        .wall_us(shared_info(), cpu::my_info())
        .unwrap_or_default()
}

/// Xen's system time for a time of the guest's, as timers want it.
pub fn to_system(guest: u64) -> SystemTime {
    CLOCK.to_system(GuestTime(guest))
}

/// Stops the clock. Interrupts off, the other vCPUs parked.
pub fn freeze() {
    CLOCK.stop(cpu::my_info());
}

/// Starts the clock where it stopped.
///
/// # Errors
/// Xen's time page is not mapped.
pub fn thaw() -> Result<(), NotMapped> {
    CLOCK.go_on(cpu::my_info())
}
