//! Devices and subsystems that take part in a suspend.

use crate::failure::Blame;
use crate::limits::Deadline;

/// When a participant is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// While every vCPU runs and code may sleep: frontends that talk to a backend, workloads that
    /// must stop taking new address spaces, early trimming of caches.
    Awake,
    /// While this is the only vCPU that runs, with interrupts off: clocks, grant table, event
    /// channels, console ring. No sleeping, no cross-call, no xenstore.
    Alone,
}

/// Something that has to be quiet while the domain is saved, and that has to be set up again in a
/// new domain.
///
/// | | called | what must be true when it returns |
/// |---|---|---|
/// | [`suspend`](Participant::suspend) | on the way down, in rising order | quiet; or, on an error, as if it had not been called |
/// | [`undo`](Participant::undo) | same domain: a later step failed, Xen refused, or the suspend was cancelled | as before `suspend`; nothing that Xen keeps (event channels, grants, watches, registrations) is set up again |
/// | [`restored`](Participant::restored) | new domain | works again; whatever Xen does not carry over is set up again |
///
/// Exactly one of `undo` and `restored` follows each `suspend` that succeeded, in falling order,
/// and none follows one that failed. Both run whatever went wrong before them, and an error of
/// theirs is reported and does not stop the others.
pub trait Participant<E: Blame> {
    /// The name used in messages.
    fn name(&self) -> &'static str;

    /// When it is suspended.
    fn stage(&self) -> Stage {
        Stage::Awake
    }

    /// Its place within the stage: lower numbers are suspended earlier and come back later. Equal
    /// numbers keep the order of the list.
    fn order(&self) -> u16 {
        0
    }

    /// Makes it quiet, before `deadline`.
    fn suspend(&mut self, deadline: Deadline) -> Result<(), E> {
        let _ = deadline;
        Ok(())
    }

    /// Takes the suspend back, in the same domain.
    fn undo(&mut self) -> Result<(), E> {
        Ok(())
    }

    /// Sets it up in a new domain.
    fn restored(&mut self) -> Result<(), E> {
        Ok(())
    }
}

/// A borrowed participant, as [`Machine::new`](crate::Machine::new) takes them.
pub type ParticipantRef<'p, E> = &'p mut (dyn Participant<E> + 'p);

/// Sorts by stage and order, keeping the list's order among equals. Lists are short: insertion
/// sort.
pub(crate) fn sort<E: Blame>(list: &mut [ParticipantRef<'_, E>]) {
    for end in 1..list.len() {
        let mut i = end;
        while i > 0 && key(&*list[i]) < key(&*list[i - 1]) {
            list.swap(i, i - 1);
            i -= 1;
        }
    }
}

/// The number of participants of the first stage in a sorted list.
pub(crate) fn split<E: Blame>(list: &[ParticipantRef<'_, E>]) -> usize {
    list.iter()
        .take_while(|one| one.stage() == Stage::Awake)
        .count()
}

fn key<E: Blame>(one: &dyn Participant<E>) -> (Stage, u16) {
    (one.stage(), one.order())
}
