//! What a kernel brings.

use core::fmt;
use core::time::Duration;

use migration::Party;
use xen_bindings::event_channel::Port;
use xen_bindings::shared_info::SystemTime;
use xen_bindings::{console, sched, xenstore, Result};

/// A ring of this domain's: its page, mapped, and the port that tells the other side.
#[derive(Clone, Copy)]
pub struct Ring<P: 'static> {
    /// The page.
    pub page: &'static P,
    /// The port. It is another in each new domain.
    pub port: Port,
}

/// What a kernel brings to this crate: a value that stands for it, and is copied freely. A kernel
/// whose parts are statics uses a unit struct.
///
/// Everything else that this crate needs, it asks of Xen by itself.
pub trait Kernel: Copy {
    /// Guest time. It never goes back, and stands still across a suspend:
    /// [`GuestClock`](crate::time::GuestClock).
    fn now(self) -> Duration;

    /// The same time as Xen's timers count in this domain:
    /// [`GuestClock::to_system`](crate::time::GuestClock::to_system).
    fn to_system(self, guest: Duration) -> SystemTime;

    /// xenstore's ring; none if the domain has none. Asked at boot and in each new domain. PVH:
    /// [`hvm::store_ring`](xen_bindings::hvm::store_ring), and the page mapped at the same place
    /// each time.
    ///
    /// # Errors
    /// Xen's.
    fn store_ring(self) -> Result<Option<Ring<xenstore::Page>>>;

    /// The console's ring, in the same way.
    ///
    /// # Errors
    /// Xen's.
    fn console_ring(self) -> Result<Option<Ring<console::Page>>>;

    /// Lets somebody else have this CPU for a moment. `SCHEDOP_yield` by default.
    fn relax(self) {
        // Refused at worst, and then it was only slower.
        let _ = sched::yield_now();
    }

    /// Something went wrong that nobody else will hear of. A log line by default.
    fn report(self, party: Party, place: &str, message: &dyn fmt::Display) {
        log::error!("{place} ({party}): {message}");
    }

    /// xenstore says that this is the domain's number, at boot and in each new domain. A PV guest is
    /// told nowhere else.
    fn told_domid(self, domid: u32) {
        let _ = domid;
    }
}

/// A kernel whose event channels raise an upcall.
pub trait Upcalls: Kernel {
    /// Has the upcall of vCPU 0 handle `port`, which is bound to it, and unmasks the port.
    ///
    /// # Errors
    /// Xen's.
    fn listen(self, port: Port) -> Result<()>;
}
