//! How long each step may take. Nothing in a suspend waits for ever.

use core::time::Duration;

/// libxl's window for the acknowledgement: after it, libxl takes the request back with the words
/// `guest didn't acknowledge suspend, cancelling request`.
///
/// Source: `libxl__domain_pvcontrol`, `tools/libs/light/libxl_domain.c:789`, and
/// `domain_suspend_common_pvcontrol_suspending`, `libxl_dom_suspend.c` (Xen 4.20).
pub const LIBXL_ACKNOWLEDGE_WINDOW: Duration = Duration::from_secs(60);

/// libxl's second window, from the acknowledgement to the shutdown: after it, libxl gives up with
/// `guest did not suspend, timed out` and stops looking at the guest.
///
/// A guest that makes the hypercall *after* that stays shut down for ever, for nobody waits for it.
/// Therefore
/// [`Limits::until_suspended`] must be shorter.
///
/// Source: `domain_suspend_common_wait_guest`, `libxl_dom_suspend.c` (Xen 4.20).
pub const LIBXL_SUSPEND_WINDOW: Duration = Duration::from_secs(60);

/// The longest time each step of a suspend may take, and the number of tries where a step is tried
/// again.
///
/// A step that overruns is an error with a name ([`Late`]), and the suspend unwinds. On the way
/// back there is nothing to unwind to: an overrun there is reported among the
/// [`Faults`](crate::Faults).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From [`Phase::Requested`](crate::Phase::Requested) to the acknowledgement. libxl's window
    /// began before the guest saw the request, so this is shorter than
    /// [`LIBXL_ACKNOWLEDGE_WINDOW`].
    pub acknowledge: Duration,
    /// Waiting for a CPU hotplug operation in flight, suspending the participants, parking the
    /// other vCPUs: together.
    pub quiesce: Duration,
    /// The drain of every CPU's cache, with its grace period.
    pub drain: Duration,
    /// The audit of the page tables.
    pub audit: Duration,
    /// Taking down clocks and shared pages.
    pub detach: Duration,
    /// All of it, from the moment before the acknowledgement is written to the hypercall. Shorter
    /// than
    /// [`LIBXL_SUSPEND_WINDOW`], which opens when that is committed: the reply that says so may come much later.
    pub until_suspended: Duration,
    /// Waking the parked vCPUs on the way back, until each has said that it runs.
    pub unpark: Duration,
    /// How often a xenstore transaction is tried again after `EAGAIN`. Each conflict means that
    /// somebody else's write went through, so a small number is enough; a hostile or broken
    /// toolstack must not hold the guest here.
    pub transaction_tries: u32,
}

impl Limits {
    /// Limits for any host: generous for an emulated one, and still inside libxl's windows.
    pub const DEFAULT: Limits = Limits {
        acknowledge: Duration::from_secs(30),
        quiesce: Duration::from_secs(15),
        drain: Duration::from_secs(20),
        audit: Duration::from_secs(15),
        detach: Duration::from_secs(5),
        until_suspended: Duration::from_secs(50),
        unpark: Duration::from_secs(20),
        transaction_tries: 16,
    };

    /// Whether the limits fit into libxl's windows. The machine refuses to start with limits that
    /// do not: such a guest could suspend when nobody looks any more.
    pub fn fit_libxl(&self) -> bool {
        self.acknowledge < LIBXL_ACKNOWLEDGE_WINDOW
            && self.until_suspended < LIBXL_SUSPEND_WINDOW
            && self.transaction_tries > 0
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// A point in time, on the guest's [`Clock`](crate::Clock), after which a step is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    at: Duration,
    limit: Duration,
    name: &'static str,
}

impl Deadline {
    /// The deadline `limit` after `now`. `name` says in messages what was waited for.
    pub fn after(now: Duration, limit: Duration, name: &'static str) -> Deadline {
        Deadline {
            at: now.saturating_add(limit),
            limit,
            name,
        }
    }

    /// The earlier of two deadlines.
    pub fn or_earlier(self, other: Deadline) -> Deadline {
        if other.at < self.at {
            other
        } else {
            self
        }
    }

    /// The point in time itself.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// What is limited.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the deadline has passed.
    pub fn has_passed(&self, now: Duration) -> bool {
        now > self.at
    }

    /// Time left; zero when it has passed.
    pub fn left(&self, now: Duration) -> Duration {
        self.at.saturating_sub(now)
    }

    /// `Ok` while the deadline has not passed, the error with its name otherwise.
    pub fn check(&self, now: Duration) -> Result<(), Late> {
        if self.has_passed(now) {
            Err(Late {
                name: self.name,
                limit: self.limit,
            })
        } else {
            Ok(())
        }
    }
}

/// A limit ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// What was limited.
    pub name: &'static str,
    /// The time it had.
    pub limit: Duration,
}

impl core::fmt::Display for Late {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} took longer than {:?}", self.name, self.limit)
    }
}

impl core::error::Error for Late {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_into_the_windows_and_steps_fit_into_the_whole() {
        assert!(Limits::DEFAULT.fit_libxl());
        let late = Limits {
            until_suspended: LIBXL_SUSPEND_WINDOW,
            ..Limits::DEFAULT
        };
        assert!(!late.fit_libxl());
        let slow = Limits {
            acknowledge: LIBXL_ACKNOWLEDGE_WINDOW,
            ..Limits::DEFAULT
        };
        assert!(!slow.fit_libxl());
        let never = Limits {
            transaction_tries: 0,
            ..Limits::DEFAULT
        };
        assert!(!never.fit_libxl());
    }

    #[test]
    fn a_deadline_passes_after_its_limit_not_at_it() {
        let d = Deadline::after(Duration::from_secs(5), Duration::from_secs(2), "x");
        assert_eq!(d.at(), Duration::from_secs(7));
        assert!(d.check(Duration::from_secs(7)).is_ok());
        let late = d.check(Duration::from_millis(7001)).unwrap_err();
        assert_eq!(std::format!("{late}"), "x took longer than 2s");
        assert_eq!(late.limit, Duration::from_secs(2));
        assert_eq!(d.left(Duration::from_secs(6)), Duration::from_secs(1));
        assert_eq!(d.left(Duration::from_secs(9)), Duration::ZERO);
    }

    #[test]
    fn the_earlier_deadline_keeps_its_name() {
        let a = Deadline::after(Duration::ZERO, Duration::from_secs(2), "a");
        let b = Deadline::after(Duration::ZERO, Duration::from_secs(1), "b");
        assert_eq!(a.or_earlier(b).name(), "b");
        assert_eq!(b.or_earlier(a).name(), "b");
    }
}
