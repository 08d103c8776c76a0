//! xenstore in a suspend: nothing is asked of it while the domain is saved, and a new domain has
//! another ring and no watches.

use migration::{Participant, Role, Stage};

use super::error::Error;
use super::steps::Guest;
use crate::cmdline;
use crate::xen::{store, wants};

/// What is refused here stands, and vCPU 0 tries again later (decision 0017).
pub struct Xenstore;

impl Participant<Guest<'_>> for Xenstore {
    fn role(&self) -> Role {
        Role::new("xenstore")
            .stages(&[Stage::Awake, Stage::Alone])
            .never_waits()
    }

    fn restored(&mut self, stage: Stage, guest: &mut Guest<'_>) -> Result<(), Error> {
        match stage {
            Stage::Alone => attach(guest),
            _ => {
                ask_for_everything(guest);
                Ok(())
            }
        }
    }
}

/// Takes up the new domain's ring. No request is sent yet.
fn attach(guest: &mut Guest<'_>) -> Result<(), Error> {
    if cmdline::options().switches.no_evtchn() {
        return Ok(());
    }
    let Guest {
        links, refusals, ..
    } = guest;
    refusals.insist(|| store::attach(&mut links.store))
}

/// What was written and learnt in the old domain is written and learnt in the new one, and the
/// watches are set. What fails is told, and stands.
fn ask_for_everything(guest: &mut Guest<'_>) {
    guest.wants.anew();
    if !cmdline::options().switches.no_watches() {
        guest.wants.watches_anew();
    }
    wants::pursue(guest.wants, &mut guest.links.store);
}
