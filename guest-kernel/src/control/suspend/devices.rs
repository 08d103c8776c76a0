//! The devices in a suspend: quiet while all vCPUs run, before the audit, which must not find Xen's
//! grant table in the guest's page tables; back last of all but user work, when xenstore is there.

use migration::{Deadline, Participant, Role, Stage};

use super::error::Error;
use super::steps::Guest;
use crate::cmdline;
use crate::devices;

/// Nobody waits for a backend here: vCPU 0's loop sees to that, and the guest is at work meanwhile.
pub struct Devices;

impl Participant<Guest<'_>> for Devices {
    fn role(&self) -> Role {
        Role::new("devices").never_waits()
    }

    fn suspend(&mut self, _: Stage, guest: &mut Guest<'_>, _: Deadline) -> Result<(), Error> {
        devices::pause(guest.links);
        let away = guest.links.step_away();
        if away.is_err() {
            devices::returned(guest.links, false);
        }
        Ok(away?)
    }

    fn undo(&mut self, _: Stage, guest: &mut Guest<'_>) -> Result<(), Error> {
        devices::returned(guest.links, false);
        Ok(())
    }

    fn restored(&mut self, _: Stage, guest: &mut Guest<'_>) -> Result<(), Error> {
        guest.links.returned(true);
        devices::returned(guest.links, !cmdline::options().switches.no_frontends());
        Ok(())
    }
}
