//! Trimming early ([`crate::vcpus::trim`]) in a suspend: from the request until every other vCPU is parked.

use migration::{Deadline, Participant, Role, Stage};

use super::error::Error;
use super::steps::Guest;
use crate::vcpus::trim::{self, Trimming};

/// Nothing but on the way down: when the vCPUs go on, they may begin address spaces again.
pub struct Trim {
    trimming: Option<Trimming>,
}

impl Trim {
    pub const fn new() -> Self {
        Trim { trimming: None }
    }
}

impl Participant<Guest<'_>> for Trim {
    fn role(&self) -> Role {
        Role::new("trim")
            .stages(&[Stage::Requested, Stage::Awake, Stage::Alone])
            .never_waits()
    }

    fn suspend(&mut self, stage: Stage, guest: &mut Guest<'_>, _: Deadline) -> Result<(), Error> {
        match stage {
            // Before the request is answered: xenstored takes its time, and the other vCPUs have
            // theirs.
            Stage::Requested => self.trimming = Trimming::begin(),
            // vCPU 0's own part: it is not in its loop.
            Stage::Awake => trim::answer(0),
            // Each vCPU has done its part before it was parked.
            Stage::Alone => {
                if let Some(trimming) = self.trimming.take() {
                    trimming.report(guest.round);
                }
            }
        }
        Ok(())
    }

    fn undo(&mut self, stage: Stage, _: &mut Guest<'_>) -> Result<(), Error> {
        if stage == Stage::Requested {
            self.trimming = None;
        }
        Ok(())
    }
}
