//! The churn after a suspend: the first user work is reported, and vCPU 0 does its part of it.

use migration::{Participant, Role, Stage};

use super::error::Error;
use super::steps::Guest;
use crate::cmdline;
use crate::vcpus::trim;
use crate::workload::churn;

/// Nothing has to be quiet: churn is done in the vCPUs' loops, and they are parked.
pub struct Workload;

impl Participant<Guest<'_>> for Workload {
    fn role(&self) -> Role {
        Role::new("workload")
            .stages(&[Stage::Awake, Stage::Alone])
            .never_waits()
    }

    fn undo(&mut self, stage: Stage, guest: &mut Guest<'_>) -> Result<(), Error> {
        self.restored(stage, guest)
    }

    fn restored(&mut self, stage: Stage, _: &mut Guest<'_>) -> Result<(), Error> {
        match stage {
            Stage::Alone => churn::await_first_work(),
            // The other vCPUs work by now. So does this one, before it waits for xenstored.
            _ => step(),
        }
        Ok(())
    }
}

fn step() {
    if !cmdline::options().churn || trim::is_under_way() {
        return;
    }
    #[cfg(feature = "switches")]
    xen_bindings::faults::spare(|| churn::step(0));
    #[cfg(not(feature = "switches"))]
    churn::step(0);
}
