//! The disk and the interface that the toolstack has attached, and their part of a suspend.
//!
//! One of each is used, the first that is there. They may come and go while the guest runs.

use core::time::Duration;

use frontends::{blk, net, Change, Driver, Limits, Roster};
use migration::standing::Repeats;
use migration::Clock;
use spin::Mutex;

use super::links::Links;
use super::service::Service;
use super::slot::Slot;
use super::{Disk, Nic};
use crate::cmdline;
use crate::xen::report::{self, Party};
use crate::xen::{events, time};

/// So long after a connection announcements are due, for which no event comes.
const ANNOUNCED: u64 = 2_000_000_000;

/// For a dom0 that is emulated and has more to do than it can: what it does in half a second at other
/// times has taken it half a minute.
const LIMITS: Limits = Limits {
    offer: Duration::from_secs(60),
    connect: Duration::from_secs(60),
    back: Duration::from_secs(120),
    ..Limits::DEFAULT
};

struct Attached {
    /// Something in xenstore has changed, or may have.
    look: bool,
    nics: Roster<4>,
    disks: Roster<4>,
    nic: Slot<net::Nic<Links, 1, 64>>,
    disk: Slot<blk::Disk<Links, 1, 16, 64>>,
    errors: Repeats,
    service: Service,
}

static ATTACHED: Mutex<Attached> = Mutex::new(Attached {
    look: true,
    nics: Roster::new("vif"),
    disks: Roster::new("vbd"),
    nic: Slot::new(Nic::new(0, net::Wishes::ALL, LIMITS)),
    disk: Slot::new(Disk::new(0, blk::Wishes::ALL, LIMITS)),
    errors: Repeats::NOTHING,
    service: Service::new(),
});

/// Has the devices looked at at the next pass: a watch has fired, or xenstored began anew.
pub fn look_again() {
    ATTACHED.lock().look = true;
}

/// Sees to the devices and the service. Gives when to come again, if no event comes before.
pub fn poll(links: &mut Links) -> u64 {
    if cmdline::options().service.is_none() {
        return events::NEVER;
    }
    ATTACHED.lock().poll(links)
}

/// Before the domain is suspended: nothing is written to a ring any more.
pub fn pause(links: &mut Links) {
    let mut attached = ATTACHED.lock();
    attached.nic.pause(links);
    attached.disk.pause(links);
}

/// The domain is back; `is_new`: it is another one, whose devices have other backends. What they do
/// not get at once they get in [`poll`]: nobody waits for a backend here.
pub fn returned(links: &mut Links, is_new: bool) {
    let mut attached = ATTACHED.lock();
    attached.look = true;
    attached.nic.returned(links, is_new);
    attached.disk.returned(links, is_new);
    attached.service.returned();
}

impl Attached {
    fn poll(&mut self, links: &mut Links) -> u64 {
        if core::mem::take(&mut self.look) {
            self.nic.look_again();
            self.disk.look_again();
            if let Err(error) = self.scan(links) {
                self.look = true;
                if self.errors.is_news(links.now(), error) {
                    report::error(Party::Toolstack, "devices", error);
                }
            }
        }
        self.nic.poll(links);
        self.disk.poll(links);
        // One that came while the last one was leaving.
        if self.nic.is_free() {
            self.nics.names().any(|name| self.nic.take(name));
        }
        if self.disk.is_free() {
            self.disks.names().any(|name| self.disk.take(name));
        }
        let next = self
            .service
            .poll(links, self.nic.device(), self.disk.device());
        let now = time::now();
        let announces = |at| now < at + ANNOUNCED;
        let busy = self.look
            || self.nic.is_busy()
            || self.disk.is_busy()
            || self.nic.connected_at().is_some_and(announces);
        if busy {
            next.min(now + events::TICK)
        } else {
            next
        }
    }

    /// Looks which devices there are.
    fn scan(&mut self, links: &mut Links) -> Result<(), frontends::Problem> {
        self.nics.watch(links)?;
        self.disks.watch(links)?;
        let (nic, disk) = (&mut self.nic, &mut self.disk);
        self.nics.scan(links, |change| note(nic, change))?;
        self.disks.scan(links, |change| note(disk, change))
    }
}

/// A device came or went.
fn note<D: Driver<Links>>(slot: &mut Slot<D>, change: Change) {
    match change {
        Change::Came(name) if slot.take(name) => {}
        Change::Went(name) => slot.let_go(name),
        Change::Came(name) | Change::TooMany(name) => {
            log::warn!("{name} is not used: there is one already");
        }
    }
}
