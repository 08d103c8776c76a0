//! Parking: the vCPUs but vCPU 0 wait, inside no pool operation, while it suspends the domain.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::arch::cpu::{self, CpuGuard, MAX_CPUS};
use crate::arch::park::{self, Asked};
#[cfg(feature = "switches")]
use crate::cmdline;
use crate::sets::pool;
use crate::xen::cpus::{others, wait_until, Stuck};
use crate::xen::{calls, events, time};

pub use crate::arch::park::{asked, welcome, Parked};

/// Each vCPU: parked, and in a nap or on its way into one.
static ASLEEP: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];

/// Waits, interrupts off and outside the pool, until vCPU 0 lets go on; touches no shared-info page
/// meanwhile.
pub fn stay(me: usize, park: u32) {
    let guard = CpuGuard::new();
    pool::idle_enter(&guard);
    let mut looks = 0u32;
    park::stay(&guard, park, || {
        looks = looks.saturating_add(1);
        if looks < LOOKS_BEFORE_SLEEP || !sleep_parked(me) {
            calls::yield_cpu();
        }
    });
    pool::idle_exit(&guard);
    // The domain may be another one now; a timer that was armed is lost with the old one.
    events::arm(me);
    park::went_on(park);
}

/// Looks that a parked vCPU takes before it sleeps between them. On hardware a suspend is over by
/// then.
const LOOKS_BEFORE_SLEEP: u32 = 64;
/// How long it sleeps at most, nanoseconds.
const NAP: u64 = 2_000_000;

/// Parked vCPUs may sleep: until just before the suspend call.
static MAY_SLEEP: AtomicBool = AtomicBool::new(false);

/// Sleeps for a moment, if that is allowed: many vCPUs that take looks in turns leave little of few
/// processors to the one that works.
///
/// The end of a nap is a time of this host's. On another host it may be days away, so no vCPU may
/// be on its way into a nap when the domain is saved: it says that it goes and then looks whether
/// it may, and [`wake_parked`] forbids it and then looks who has gone. One of the two sees the
/// other.
fn sleep_parked(me: usize) -> bool {
    let asleep = &ASLEEP[me];
    asleep.store(true, Ordering::SeqCst);
    let may = MAY_SLEEP.load(Ordering::SeqCst);
    if may {
        calls::sleep_until(time::to_system(time::now() + NAP));
    }
    asleep.store(false, Ordering::SeqCst);
    may
}

/// Has the parked vCPUs stay awake from now on, and waits until they are.
pub fn wake_parked(deadline: u64) -> Result<(), Stuck> {
    MAY_SLEEP.store(false, Ordering::SeqCst);
    for cpu in others() {
        if !wait_until(deadline, || !ASLEEP[cpu].load(Ordering::SeqCst)) {
            return Err(Stuck {
                cpu,
                asked: "wake up",
            });
        }
    }
    Ok(())
}

/// Parks the other vCPUs. On failure they run on.
pub fn park_others(deadline: u64) -> Result<Parked, Stuck> {
    #[cfg(feature = "switches")]
    if cmdline::options().switches.no_park() {
        return Ok(Parked::untrue());
    }
    MAY_SLEEP.store(true, Ordering::SeqCst);
    let request = Asked::new();
    others().for_each(events::kick);
    for cpu in others() {
        if !wait_until(deadline, || request.is_parked(cpu)) {
            MAY_SLEEP.store(false, Ordering::SeqCst);
            return Err(Stuck { cpu, asked: "park" });
        }
    }
    let cpu = cpu::id();
    // One that has joined meanwhile is not there. Hotplug is held, so that none does.
    request.all().ok_or(Stuck { cpu, asked: "park" })
}

/// Lets the parked vCPUs go on and waits until each has set its timer and does.
pub fn unpark(parked: Parked, deadline: u64) -> Result<(), Stuck> {
    MAY_SLEEP.store(false, Ordering::SeqCst);
    drop(parked);
    for cpu in others() {
        if !wait_until(deadline, || park::has_gone_on(cpu)) {
            return Err(Stuck {
                cpu,
                asked: "go on",
            });
        }
    }
    Ok(())
}
