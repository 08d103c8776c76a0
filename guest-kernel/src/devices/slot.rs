//! A place for a device of one kind: the one that is in use, and the one before it, until its backend
//! has let go of its pages.

use frontends::{Device, Driver, Name, Phase};
use migration::standing::Repeats;
use migration::{Blame, Clock};

use super::links::Links;
use crate::xen::report;

/// What becomes of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// There is none.
    Free,
    /// It is in use.
    Taken,
    /// It is gone, and its backend may have pages of it mapped still.
    Leaving,
}

/// One device of a kind. It is there before it is known which it is, and stays: it is too large to be
/// moved on a stack.
pub struct Slot<D: Driver<Links>> {
    device: Device<Links, D>,
    is: Use,
    /// What was said of it.
    told: Phase,
    errors: Repeats,
    /// Nanoseconds, when it was last seen to be connected.
    connected_at: Option<u64>,
}

impl<D: Driver<Links>> Slot<D> {
    /// For this device, which is not in use; its number does not matter.
    pub const fn new(device: Device<Links, D>) -> Self {
        Slot {
            device,
            is: Use::Free,
            told: Phase::Unknown,
            errors: Repeats::NOTHING,
            connected_at: None,
        }
    }

    /// The device, if there is one.
    pub fn device(&mut self) -> Option<&mut Device<Links, D>> {
        (self.is == Use::Taken).then_some(&mut self.device)
    }

    /// Is there none, so that another can be used?
    pub fn is_free(&self) -> bool {
        self.is == Use::Free
    }

    /// Uses the device of this name, if none is in use.
    pub fn take(&mut self, name: Name) -> bool {
        let taken = self.is == Use::Free && self.device.renumber(name.number);
        if taken {
            self.is = Use::Taken;
            self.told = Phase::Unknown;
        }
        taken
    }

    /// Lets the device of this name go, if it is in use.
    pub fn let_go(&mut self, name: Name) {
        if self.is == Use::Taken && self.device.name() == name {
            say(name, "gone", self.device.connections());
            self.is = Use::Leaving;
            self.connected_at = None;
        }
    }

    /// Since when it has been connected, nanoseconds; none if it is not.
    pub fn connected_at(&self) -> Option<u64> {
        self.connected_at
    }

    /// Does something wait that no event will announce?
    pub fn is_busy(&self) -> bool {
        match self.is {
            Use::Free => false,
            Use::Taken => self.connected_at.is_none(),
            Use::Leaving => true,
        }
    }

    /// Has it look at its backend's state.
    pub fn look_again(&mut self) {
        self.device.look_again();
    }

    /// Does what there is to do for it, and says how its connection is.
    pub fn poll(&mut self, links: &mut Links) {
        match self.is {
            Use::Free => {}
            Use::Taken => {
                let polled = self.device.poll(links);
                self.note(links, polled);
            }
            Use::Leaving => {
                if self.device.retire(links) {
                    self.is = Use::Free;
                }
            }
        }
    }

    /// Before the domain is suspended.
    pub fn pause(&mut self, links: &mut Links) {
        self.device.pause(links);
    }

    /// The domain is back; `is_new`: in another one.
    pub fn returned(&mut self, links: &mut Links, is_new: bool) {
        if self.is != Use::Taken {
            // What its backend had mapped is no more in a new domain; `poll` sees to it.
            return;
        }
        let back = if is_new {
            self.told = Phase::Unknown;
            self.connected_at = None;
            self.device.renew(links)
        } else {
            self.device.resume(links)
        };
        self.note(links, back);
    }

    fn note(&mut self, links: &Links, result: Result<(), frontends::Error>) {
        if let Err(error) = result {
            if self.errors.is_news(links.now(), error) {
                report::error(error.party(), "device", error);
            }
        }
        let device = &self.device;
        let (name, phase) = (device.name(), device.phase());
        if phase == core::mem::replace(&mut self.told, phase) {
            return;
        }
        if phase == Phase::Connected {
            self.connected_at = Some(links.now().as_nanos() as u64);
            say(name, "connected", device.connections());
        } else if self.connected_at.take().is_some() {
            say(name, "away", device.connections());
        }
    }
}

/// `connections`: how often it has been connected, in this domain and those before.
fn say(name: Name, is: &str, connections: u64) {
    report::event("device")
        .text("device", name)
        .text("is", is)
        .num("connections", connections)
        .send();
}
