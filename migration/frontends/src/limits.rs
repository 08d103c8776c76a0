//! How long a device waits for its backend.

use core::time::Duration;

use crate::error::Wait;

/// A limit for each [`Wait`]. When one is over, the error names it, once; the device keeps looking,
/// so that a backend that is late is still welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// [`Wait::Offer`].
    pub offer: Duration,
    /// [`Wait::Connect`].
    pub connect: Duration,
    /// [`Wait::Drain`]. When it is over the device closes all the same.
    pub drain: Duration,
    /// [`Wait::Return`]. When it is over a disk answers what it kept for a new backend with
    /// [`Failure::Gone`](crate::blk::Failure::Gone).
    pub back: Duration,
}

impl Limits {
    /// For any host: a hotplug script in dom0 may take seconds.
    pub const DEFAULT: Limits = Limits {
        offer: Duration::from_secs(10),
        connect: Duration::from_secs(10),
        drain: Duration::from_secs(10),
        back: Duration::from_secs(30),
    };

    /// The limit of one.
    pub const fn of(&self, wait: Wait) -> Duration {
        match wait {
            Wait::Offer => self.offer,
            Wait::Connect => self.connect,
            Wait::Drain => self.drain,
            Wait::Return => self.back,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}
