//! The naps of parked vCPUs in a suspend: none is in one while the domain is saved. The end of a nap
//! is a time of this host's, and the guest may come back on another.

use migration::{Deadline, Participant, Role, Stage};

use super::error::Error;
use super::steps::{nanos, Guest};
use crate::vcpus::park;

/// Needs the clock to wait by. Nothing is undone: awake the vCPUs stay until they go on.
pub struct Naps;

impl Participant<Guest<'_>> for Naps {
    fn role(&self) -> Role {
        Role::new("naps").stages(&[Stage::Alone])
    }

    fn suspend(&mut self, _: Stage, _: &mut Guest<'_>, deadline: Deadline) -> Result<(), Error> {
        park::wake_parked(nanos(deadline.at())).map_err(Error::Stuck)
    }
}
