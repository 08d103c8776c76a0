//! The guest's clock in a suspend: it stands still, and goes on where it stopped.

use migration::{Deadline, Participant, Role, Stage};

use super::error::Error;
use super::steps::Guest;
use crate::xen::time;

/// Suspended after all others, which may look at it, and back before them. Vital: without it every
/// wait is for ever.
pub struct Clock;

impl Participant<Guest<'_>> for Clock {
    fn role(&self) -> Role {
        Role::new("clock").stages(&[Stage::Alone]).vital()
    }

    fn suspend(&mut self, _: Stage, _: &mut Guest<'_>, _: Deadline) -> Result<(), Error> {
        time::freeze();
        Ok(())
    }

    fn undo(&mut self, _: Stage, _: &mut Guest<'_>) -> Result<(), Error> {
        Ok(time::thaw()?)
    }

    fn restored(&mut self, _: Stage, _: &mut Guest<'_>) -> Result<(), Error> {
        Ok(time::thaw()?)
    }
}
