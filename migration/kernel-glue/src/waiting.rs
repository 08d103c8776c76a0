//! The two ways to wait for xenstored. Each takes up the ring's port by itself, in each new domain,
//! so that they cannot be mixed up: a port that an upcall handles never ends a `SCHEDOP_poll`, for
//! the handler clears the event first, and the guest would blame xenstored for not answering.

use core::time::Duration;

use xen_bindings::event_channel::Port;
use xen_bindings::shared_info::SharedInfo;
use xen_bindings::{sched, two_level, Result};

use crate::kernel::{Kernel, Upcalls};

/// How a [`Store`](crate::store::Store) waits for an answer. Not for others to implement: there are
/// [`ByPoll`] and [`ByUpcall`].
pub trait Waiting: sealed::Sealed {
    /// Takes up the port of this domain's ring.
    #[doc(hidden)]
    fn take_up(&mut self, port: Port) -> Result<()>;

    /// Waits until there may be something new, or the time is `until` on the guest's clock; false
    /// when it is past that.
    #[doc(hidden)]
    fn wait(&mut self, until: Duration) -> bool;
}

mod sealed {
    pub trait Sealed {}
    impl<K> Sealed for super::ByPoll<K> {}
    impl<K> Sealed for super::ByUpcall<K> {}
}

/// Waits in `SCHEDOP_poll`: needs no interrupt, no handler, and no descriptor table. The port stays
/// masked, so that no upcall is raised for it.
#[derive(Clone, Copy)]
pub struct ByPoll<K> {
    kernel: K,
    shared: &'static SharedInfo,
    port: Option<Port>,
}

impl<K: Kernel> ByPoll<K> {
    /// `shared` is the shared-info page, mapped whenever xenstore is asked something.
    #[must_use]
    pub fn new(kernel: K, shared: &'static SharedInfo) -> ByPoll<K> {
        ByPoll {
            kernel,
            shared,
            port: None,
        }
    }
}

impl<K: Kernel> Waiting for ByPoll<K> {
    fn take_up(&mut self, port: Port) -> Result<()> {
        two_level::mask(self.shared, port);
        self.port = Some(port);
        Ok(())
    }

    fn wait(&mut self, until: Duration) -> bool {
        // Refused at worst, and then the next look comes sooner.
        let _ = sched::poll(self.port.as_slice(), Some(self.kernel.to_system(until)));
        // Before the ring is looked at again: xenstored writes it first, and then sends the event.
        if let Some(port) = self.port {
            two_level::clear_pending(self.shared, port);
        }
        self.kernel.now() < until
    }
}

/// Waits for the upcall, which the kernel handles as it likes; meanwhile the CPU is given away
/// ([`Kernel::relax`]).
#[derive(Clone, Copy)]
pub struct ByUpcall<K>(K);

impl<K: Upcalls> ByUpcall<K> {
    /// The kernel's upcall is set up.
    #[must_use]
    pub fn new(kernel: K) -> ByUpcall<K> {
        ByUpcall(kernel)
    }
}

impl<K: Upcalls> Waiting for ByUpcall<K> {
    fn take_up(&mut self, port: Port) -> Result<()> {
        self.0.listen(port)
    }

    fn wait(&mut self, until: Duration) -> bool {
        self.0.relax();
        self.0.now() < until
    }
}
