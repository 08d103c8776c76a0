//! Event channels, upcall vectors and vCPU 0's timer in a suspend. The other vCPUs arm their timers
//! as they leave the place where they were parked.

use migration::{Participant, Role, Stage};

use super::error::Error;
use super::steps::Guest;
use crate::cmdline;
use crate::xen::{calls, cpus, events, ports};

/// Vital: a guest without events neither runs nor ends.
pub struct Events;

impl Participant<Guest<'_>> for Events {
    fn role(&self) -> Role {
        Role::new("events").stages(&[Stage::Alone]).vital()
    }

    fn undo(&mut self, _: Stage, _: &mut Guest<'_>) -> Result<(), Error> {
        events::arm(0);
        Ok(())
    }

    fn restored(&mut self, _: Stage, guest: &mut Guest<'_>) -> Result<(), Error> {
        let switches = cmdline::options().switches;
        if !switches.no_evtchn() {
            // The new domain's event channels are all closed; only our names for them are left.
            events::forget();
            guest
                .refusals
                .need("the kind of event channels", ports::choose)?;
            for cpu in cpus::online() {
                guest
                    .refusals
                    .need("event channels", || events::bind_cpu(cpu))?;
            }
        }
        if !switches.no_vector() {
            for cpu in cpus::online() {
                guest
                    .refusals
                    .need("the upcall vector", || calls::set_upcall_vector(cpu))?;
            }
        }
        events::arm(0);
        Ok(())
    }
}
