//! The console in a suspend: dom0 is not told of its lines from the request until everything is
//! ready for the suspend call (decision 0013), and a new domain has another ring.

use migration::{Deadline, Participant, Role, Stage};

use super::error::Error;
use super::steps::Guest;
use crate::cmdline;
use crate::xen::console;

/// If a new domain's ring cannot be had, vCPU 0 tries again later.
pub struct Console {
    silence: Option<console::Silence>,
}

impl Console {
    pub const fn new() -> Self {
        Console { silence: None }
    }
}

impl Participant<Guest<'_>> for Console {
    fn role(&self) -> Role {
        Role::new("console")
            .stages(&[Stage::Requested, Stage::Alone])
            .never_waits()
    }

    fn suspend(&mut self, stage: Stage, _: &mut Guest<'_>, _: Deadline) -> Result<(), Error> {
        if stage == Stage::Requested {
            self.silence = Some(console::silence());
        } else if let Some(silence) = self.silence.take() {
            // One more line follows, for the phase that this stage leads to. It tells dom0 of all
            // that is in the ring, which is read while the domain is saved.
            silence.lift();
        }
        Ok(())
    }

    fn undo(&mut self, stage: Stage, _: &mut Guest<'_>) -> Result<(), Error> {
        if stage == Stage::Requested {
            self.silence = None;
        }
        Ok(())
    }

    fn restored(&mut self, stage: Stage, guest: &mut Guest<'_>) -> Result<(), Error> {
        if stage != Stage::Alone || cmdline::options().switches.no_evtchn() {
            return Ok(());
        }
        console::lost();
        guest.refusals.insist(console::connect)
    }
}
