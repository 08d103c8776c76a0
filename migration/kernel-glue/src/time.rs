//! The guest's clock: time since boot that never goes back.
//!
//! Xen's own system time is that of the host, and a migration may take the guest to one that booted
//! later. So the guest adds an offset, set anew on each way back, and across the suspend call the
//! clock stands still. The two times are two types: [`SystemTime`] is Xen's, for timers and
//! `SCHEDOP_poll`; [`GuestTime`] is the guest's, and [`GuestClock::to_system`] leads from one to
//! the other.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

pub use xen_bindings::shared_info::{NotMapped, SystemTime};
use xen_bindings::shared_info::{SharedInfo, VcpuInfo};

/// Nanoseconds since the guest's boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestTime(pub u64);

impl GuestTime {
    /// As the `migration` crate counts.
    #[must_use]
    pub const fn since_boot(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// So much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> GuestTime {
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        GuestTime(self.0.saturating_add(wait))
    }
}

/// The clock stands still: no page of Xen's may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandsStill {
    /// The last time that anybody was told.
    pub latest: GuestTime,
}

impl fmt::Display for StandsStill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the clock stands still: the shared-info page is not mapped")
    }
}

impl core::error::Error for StandsStill {}

/// The clock. It stands still until [`go_on`](GuestClock::go_on). Each function that takes a
/// `VcpuInfo` takes that of the running vCPU.
#[derive(Debug)]
pub struct GuestClock {
    /// Added to Xen's system time, wrapping.
    offset: AtomicU64,
    /// The last time that anybody was told.
    latest: AtomicU64,
    still: AtomicBool,
}

impl GuestClock {
    /// At 0, and still.
    #[must_use]
    pub const fn new() -> GuestClock {
        GuestClock {
            offset: AtomicU64::new(0),
            latest: AtomicU64::new(0),
            still: AtomicBool::new(true),
        }
    }

    /// The time. Never less than any vCPU was told before.
    ///
    /// # Errors
    /// [`StandsStill`], with the last time; also if the page turns out not to be mapped.
    pub fn now(&self, me: &VcpuInfo) -> Result<GuestTime, StandsStill> {
        let latest = self.latest();
        if self.stands_still() {
            return Err(StandsStill { latest });
        }
        let Ok(SystemTime(system)) = me.now() else {
            return Err(StandsStill { latest });
        };
        // Two looks at Xen's clock may differ by a little the wrong way, right after boot below the
        // guest's zero.
        let now = system.wrapping_add(self.offset.load(Ordering::Relaxed)) as i64;
        let now = now.max(0) as u64;
        Ok(GuestTime(
            self.latest.fetch_max(now, Ordering::AcqRel).max(now),
        ))
    }

    /// The last time that anybody was told, without a look at Xen's clock: that may be dear, for Xen
    /// may have to emulate the time-stamp counter.
    #[must_use]
    pub fn latest(&self) -> GuestTime {
        GuestTime(self.latest.load(Ordering::Acquire))
    }

    /// Does the clock stand still? Then it is no measure of a wait.
    #[must_use]
    pub fn stands_still(&self) -> bool {
        self.still.load(Ordering::Acquire)
    }

    /// Xen's time for one of the guest's, as timers of this domain want it. Right until the next
    /// suspend.
    #[must_use]
    pub fn to_system(&self, guest: GuestTime) -> SystemTime {
        SystemTime(guest.0.wrapping_sub(self.offset.load(Ordering::Relaxed)))
    }

    /// Stops the clock. Interrupts off, the other vCPUs parked.
    pub fn stop(&self, me: &VcpuInfo) {
        // The last look decides where it stops; a clock that stands still already stays there.
        let _ = self.now(me);
        self.still.store(true, Ordering::Release);
    }

    /// Starts the clock where it stopped, in this domain or another. The shared-info page must be
    /// mapped.
    ///
    /// # Errors
    /// [`NotMapped`]: it is not, and the clock stands still.
    pub fn go_on(&self, me: &VcpuInfo) -> Result<(), NotMapped> {
        let SystemTime(system) = me.now()?;
        let offset = self.latest.load(Ordering::Acquire).wrapping_sub(system);
        self.offset.store(offset, Ordering::Relaxed);
        self.still.store(false, Ordering::Release);
        Ok(())
    }

    /// The time of day by Xen: microseconds since 1970.
    ///
    /// UTC plus the domain's own offset (`rtc_timeoffset` of its configuration), which Xen has added
    /// already (`update_domain_wallclock_time`, `xen/common/time.c`) and which a guest cannot tell
    /// from the time. Both of its parts, the time of day at which system time was 0 and system time,
    /// are read anew each time: after a restore they are another host's (`wc_sec`, `wc_nsec` and
    /// `wc_sec_hi` of `struct shared_info`, `xen/include/public/xen.h`).
    ///
    /// # Errors
    /// [`StandsStill`].
    pub fn wall_us(&self, page: &SharedInfo, me: &VcpuInfo) -> Result<u64, StandsStill> {
        let latest = self.latest();
        let still = StandsStill { latest };
        if self.stands_still() {
            return Err(still);
        }
        let zero = page.wall_clock().map_err(|NotMapped| still)?;
        let SystemTime(system) = me.now().map_err(|NotMapped| still)?;
        Ok(zero
            .seconds
            .wrapping_mul(1_000_000)
            .wrapping_add(u64::from(zero.nanoseconds) / 1000)
            .wrapping_add(system / 1000))
    }
}

impl Default for GuestClock {
    fn default() -> GuestClock {
        GuestClock::new()
    }
}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use super::*;
    use core::ptr::NonNull;
    use std::boxed::Box;
    use xen_bindings::ffi;

    /// A page whose system time stands at `system`: no ticks are counted onto it.
    struct Page(NonNull<ffi::shared_info>);

    impl Page {
        fn new(system: u64) -> Page {
            let page = Page(NonNull::from(Box::leak(Box::default())));
            page.set(system);
            page
        }

        fn write(&self, how: impl FnOnce(&mut ffi::shared_info)) {
            // SAFETY: the page lives on; the tests have one thread each.
            how(unsafe { &mut *self.0.as_ptr() });
        }

        fn set(&self, system: u64) {
            self.write(|page| {
                page.vcpu_info[0].time.version = 2;
                page.vcpu_info[0].time.system_time = system;
            });
        }

        fn hole(&self) {
            // SAFETY: plain integers, any bits are valid.
            self.write(|page| unsafe { core::ptr::from_mut(page).write_bytes(0xff, 1) });
        }

        fn me(&self) -> &'static VcpuInfo {
            // SAFETY: a live page that only views and this test use.
            unsafe { SharedInfo::at(self.0) }.vcpu(0).unwrap()
        }
    }

    #[test]
    fn it_counts_from_boot_and_never_goes_back() {
        let (clock, page) = (GuestClock::new(), Page::new(5000));
        assert_eq!(
            clock.now(page.me()),
            Err(StandsStill {
                latest: GuestTime(0)
            })
        );
        clock.go_on(page.me()).unwrap();
        assert_eq!(clock.now(page.me()), Ok(GuestTime(0)));
        page.set(5700);
        assert_eq!(clock.now(page.me()), Ok(GuestTime(700)));
        page.set(5600);
        assert_eq!(clock.now(page.me()), Ok(GuestTime(700)));
        assert_eq!(clock.to_system(GuestTime(700)), SystemTime(5700));
    }

    #[test]
    fn it_stands_still_across_a_suspend_and_goes_on_on_a_host_that_booted_later() {
        let (clock, page) = (GuestClock::new(), Page::new(5000));
        clock.go_on(page.me()).unwrap();
        page.set(6000);
        clock.stop(page.me());
        page.hole();
        let still = StandsStill {
            latest: GuestTime(1000),
        };
        assert_eq!(clock.now(page.me()), Err(still));
        assert_eq!(clock.go_on(page.me()), Err(NotMapped));
        assert!(clock.stands_still(), "it is not started on a hole");
        page.hole();
        page.set(40);
        page.write(|page| page.vcpu_info[0].time.tsc_to_system_mul = 0);
        clock.go_on(page.me()).unwrap();
        assert_eq!(clock.now(page.me()), Ok(GuestTime(1000)));
        page.set(45);
        assert_eq!(clock.now(page.me()), Ok(GuestTime(1005)));
        assert_eq!(clock.to_system(GuestTime(1005)), SystemTime(45));
    }

    #[test]
    fn a_page_that_went_away_under_a_running_clock_is_no_hang() {
        let (clock, page) = (GuestClock::new(), Page::new(5000));
        clock.go_on(page.me()).unwrap();
        page.set(5100);
        clock.now(page.me()).unwrap();
        page.hole();
        let latest = GuestTime(100);
        assert_eq!(clock.now(page.me()), Err(StandsStill { latest }));
    }
}
