//! Parking: the vCPUs but vCPU 0 wait, inside no pool operation, while it suspends the domain.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::arch::cpu::{CpuGuard, MAX_CPUS};
use crate::sets::pool;
use crate::xen::cpus::{others, wait_until, Stuck};
use crate::xen::{calls, events, time};

/// Odd while the other vCPUs are to be parked.
static PARK: AtomicU32 = AtomicU32::new(0);

struct Place {
    /// The value of [`PARK`] under which this vCPU is parked, or the one after that when it has
    /// gone on.
    parked: AtomicU32,
    /// Parked, and in a nap or on its way into one.
    asleep: AtomicBool,
}

static CPUS: [Place; MAX_CPUS] = [const {
    Place {
        parked: AtomicU32::new(0),
        asleep: AtomicBool::new(false),
    }
}; MAX_CPUS];

/// Is the running vCPU to park? Gives under which value of [`PARK`].
pub fn asked() -> Option<u32> {
    let park = PARK.load(Ordering::Acquire);
    (park & 1 == 1).then_some(park)
}

/// vCPU `cpu`, which comes, has missed no request.
pub fn welcome(cpu: usize) {
    CPUS[cpu]
        .parked
        .store(PARK.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// Waits, interrupts off and outside the pool, until vCPU 0 lets go on; touches no shared-info page
/// meanwhile.
pub fn stay(me: usize, park: u32) {
    let guard = CpuGuard::new();
    pool::idle_enter(&guard);
    CPUS[me].parked.store(park, Ordering::Release);
    let mut looks = 0u32;
    while PARK.load(Ordering::Acquire) == park {
        looks = looks.saturating_add(1);
        if looks < LOOKS_BEFORE_SLEEP || !sleep_parked(me) {
            calls::yield_cpu();
        }
    }
    pool::idle_exit(&guard);
    // The domain may be another one now; a timer that was armed is lost with the old one.
    events::rearm_after_suspend(me);
    CPUS[me]
        .parked
        .store(park.wrapping_add(1), Ordering::Release);
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
    let slot = &CPUS[me];
    slot.asleep.store(true, Ordering::SeqCst);
    let may = MAY_SLEEP.load(Ordering::SeqCst);
    if may {
        calls::sleep_until(time::to_system(time::now() + NAP));
    }
    slot.asleep.store(false, Ordering::SeqCst);
    may
}

/// Has the parked vCPUs stay awake from now on, and waits until they are.
pub fn wake_parked(deadline: u64) -> Result<(), Stuck> {
    MAY_SLEEP.store(false, Ordering::SeqCst);
    for cpu in others() {
        if !wait_until(deadline, || !CPUS[cpu].asleep.load(Ordering::SeqCst)) {
            return Err(Stuck {
                cpu,
                asked: "wake up",
            });
        }
    }
    Ok(())
}

/// Holding one proves that every other online vCPU is parked: interrupts off, inside no pool
/// operation, touching neither page tables nor the shared-info page.
pub struct Parked(());

/// Parks the other vCPUs. On failure they run on.
pub fn park_others(deadline: u64) -> Result<Parked, Stuck> {
    let park = PARK.load(Ordering::Relaxed).wrapping_add(1);
    debug_assert!(park & 1 == 1);
    MAY_SLEEP.store(true, Ordering::SeqCst);
    PARK.store(park, Ordering::Release);
    others().for_each(events::kick);
    let parked = Parked(());
    for cpu in others() {
        if !wait_until(deadline, || {
            CPUS[cpu].parked.load(Ordering::Acquire) == park
        }) {
            drop(parked);
            return Err(Stuck { cpu, asked: "park" });
        }
    }
    Ok(parked)
}

impl Drop for Parked {
    fn drop(&mut self) {
        MAY_SLEEP.store(false, Ordering::SeqCst);
        PARK.fetch_add(1, Ordering::AcqRel);
    }
}

/// Lets the parked vCPUs go on and waits until each has set its timer and does.
pub fn unpark(parked: Parked, deadline: u64) -> Result<(), Stuck> {
    drop(parked);
    let park = PARK.load(Ordering::Relaxed);
    for cpu in others() {
        if !wait_until(deadline, || {
            CPUS[cpu].parked.load(Ordering::Acquire) == park
        }) {
            return Err(Stuck {
                cpu,
                asked: "go on",
            });
        }
    }
    Ok(())
}
