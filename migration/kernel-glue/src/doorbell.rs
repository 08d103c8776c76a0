//! How the other side of a ring is told.

use xen_bindings::event_channel::{self, Port};
use xen_bindings::ring::Notify;
use xen_bindings::Result;

use crate::insist::insist;

/// The port of a ring, to tell its other side that something changed. Asks again if Xen refuses:
/// what is in the ring would lie there unread.
#[derive(Clone, Copy, Debug)]
pub struct Doorbell(pub Port);

impl Notify for Doorbell {
    fn notify(&mut self) -> Result<()> {
        insist(|| event_channel::send(self.0), drop)
    }
}
