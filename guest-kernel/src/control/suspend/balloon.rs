//! The balloon after a restore. That the guest has no more than its target was seen before the
//! suspend began ([`crate::control::balloon::prepare_suspend`]), and nothing moves while vCPU 0 is out of its
//! loop.

use migration::{Participant, Role, Stage};

use super::error::Error;
use super::steps::Guest;
use crate::control::balloon;

/// Frames that a live migration had sent before they were given away have come back, and go again.
pub struct Balloon;

impl Participant<Guest<'_>> for Balloon {
    fn role(&self) -> Role {
        Role::new("balloon").never_waits()
    }

    fn restored(&mut self, _: Stage, _: &mut Guest<'_>) -> Result<(), Error> {
        balloon::give_again();
        Ok(())
    }
}
