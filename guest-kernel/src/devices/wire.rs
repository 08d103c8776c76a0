//! The interface as smoltcp sees one.

use migration::Blame;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use super::links::Links;
use super::Nic;
use crate::xen::report;

/// Bytes of the longest frame: an Ethernet header with a VLAN tag, and the usual MTU.
pub const FRAME: usize = 18 + 1500;

/// A frame received and one to send, which are too long for the stack.
pub struct Frames {
    received: [u8; FRAME],
    sent: [u8; FRAME],
}

impl Frames {
    /// Empty ones.
    pub const fn new() -> Frames {
        Frames {
            received: [0; FRAME],
            sent: [0; FRAME],
        }
    }
}

/// The interface, for as long as smoltcp looks at it.
pub struct Wire<'w> {
    /// The interface.
    pub nic: &'w mut Nic,
    /// The kernel.
    pub links: &'w mut Links,
    /// Room.
    pub frames: &'w mut Frames,
}

/// A frame that was received.
pub struct Received<'w>(&'w [u8]);

/// Leave to send a frame. What finds no room in the ring is dropped, as on a wire.
pub struct Sender<'w> {
    nic: &'w mut Nic,
    links: &'w mut Links,
    frame: &'w mut [u8; FRAME],
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, look: F) -> R {
        look(self.0)
    }
}

impl TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        // smoltcp asks for no more than the capabilities say.
        let frame = &mut self.frame[..len.min(FRAME)];
        let result = fill(frame);
        if let Err(why) = self.nic.send(self.links, frame) {
            log::debug!("a frame of {len} bytes was not sent: {why:?}");
        }
        result
    }
}

impl Device for Wire<'_> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Sender<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sender<'_>)> {
        match self.nic.receive(self.links, &mut self.frames.received) {
            Ok(Some(received)) => {
                let frame = self.frames.received.get(..received.bytes)?;
                let sender = Sender {
                    nic: self.nic,
                    links: self.links,
                    frame: &mut self.frames.sent,
                };
                Some((Received(frame), sender))
            }
            Ok(None) => None,
            Err(error) => {
                report::error(error.party(), "device", error);
                None
            }
        }
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_>> {
        Some(Sender {
            nic: self.nic,
            links: self.links,
            frame: &mut self.frames.sent,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 14 + 1500;
        capabilities
    }
}
