//! Devices and subsystems that take part in a suspend.

use core::time::Duration;

use crate::limits::Deadline;
use crate::platform::Platform;

/// When a participant takes part. One that has something to do at several of these names them all
/// and is called once in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The request was seen and is not acknowledged yet; every vCPU runs. For what other vCPUs can
    /// do while this one talks to xenstored (empty their caches), for what must be quiet from here
    /// on, and for whatever may refuse the suspend. Comes back last of all.
    Requested,
    /// The request is acknowledged and CPU hotplug is held; every vCPU runs and code may sleep: the
    /// stage of frontends that talk to a backend.
    Awake,
    /// This is the only vCPU that runs, interrupts are off, the page tables are audited: clock,
    /// event channels, grant table, rings. No sleeping, no cross-call, no xenstore. On the way back
    /// the shared-info page is mapped already ([`Platform::reattach`]).
    Alone,
}

impl Stage {
    pub(crate) const COUNT: usize = 3;
}

/// What a participant is to the machine. The same at every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Role {
    /// The name used in messages.
    pub name: &'static str,
    /// When it takes part.
    pub stages: &'static [Stage],
    /// Its place in each stage: lower numbers are suspended earlier and come back later. Equal
    /// numbers keep the order of the list.
    pub order: u16,
    /// Its [`suspend`](Participant::suspend) may wait, so the machine looks at the clock after it
    /// and names it if it is late. Not in [`Stage::Alone`], where there is one look at the end:
    /// what little is waited for there keeps to the deadline by itself.
    pub waits: bool,
    /// The domain cannot live on if this does not come back: [`Platform::lost`] is told.
    pub vital: bool,
    /// How long [`is_back`](Participant::is_back) may say no.
    pub back_within: Duration,
}

impl Role {
    /// A frontend: takes part while all vCPUs run ([`Stage::Awake`]), with order 0, may wait, is
    /// not vital, and is expected back within 10 s.
    pub const fn new(name: &'static str) -> Role {
        Role {
            name,
            stages: &[Stage::Awake],
            order: 0,
            waits: true,
            vital: false,
            back_within: Duration::from_secs(10),
        }
    }

    /// Takes part in these stages.
    pub const fn stages(mut self, stages: &'static [Stage]) -> Role {
        self.stages = stages;
        self
    }

    /// Has this [place](Role::order) in each of them.
    pub const fn order(mut self, order: u16) -> Role {
        self.order = order;
        self
    }

    /// Never waits in `suspend`. A look at the clock may cost more than the whole step, where Xen
    /// emulates the time-stamp counter: so none is taken after it.
    pub const fn never_waits(mut self) -> Role {
        self.waits = false;
        self
    }

    /// The domain cannot live on without it.
    pub const fn vital(mut self) -> Role {
        self.vital = true;
        self
    }

    /// Is given up if it is not back after `limit`.
    pub const fn back_within(mut self, limit: Duration) -> Role {
        self.back_within = limit;
        self
    }
}

/// Something that has to be quiet while the domain is saved, and that has to be set up again in a
/// new domain.
///
/// | | called | what must be true when it returns |
/// |---|---|---|
/// | [`suspend`](Participant::suspend) | on the way down, in rising order | quiet; or, on an error, as if it had not been called |
/// | [`undo`](Participant::undo) | same domain: a later step failed, or Xen refused the call | as before `suspend` |
/// | [`cancelled`](Participant::cancelled) | same domain: the call was made and came back | as before `suspend`; nothing that Xen keeps (event channels, grants, watches, registrations) is set up again |
/// | [`restored`](Participant::restored) | new domain | works again, or is on the way there; whatever Xen does not carry over is set up again |
/// | [`is_back`](Participant::is_back) | [`Stage::Awake`], after those three, again and again | |
///
/// Exactly one of `undo`, `cancelled` and `restored` follows each `suspend` that succeeded, in the
/// same stage, in falling order, and none follows one that failed. They run whatever went wrong
/// before them. An error of theirs is recorded among the [`Faults`](crate::Faults) and does not
/// keep the others from coming back; of a participant that is [vital](Role::vital)
/// [`Platform::lost`] is told first, which may end the domain.
///
/// Each call gets the platform: the clock, and whatever the kernel's parts share (a connection to
/// xenstore, a list of what Xen refused). A participant borrows nothing that the platform or
/// another participant needs too.
///
/// The machine runs on one vCPU. What each vCPU has to do for itself (its timer, its registered
/// `vcpu_info`), it does on its way out of [`Platform::unpark`].
///
/// # A network or block frontend
///
/// - In [`Stage::Awake`], where it may wait for its backend and for its own locks.
/// - `suspend` stops taking new requests and waits until no request is half written to the ring.
///   Requests in flight stay there: it keeps a copy of each, for a new backend knows none of them.
///   It uses no more than `deadline` leaves, or fails, and then it runs as before.
/// - `undo` and `cancelled` take new requests again: ring, grants, event channel and backend are
///   what they were, and what was in flight is answered meanwhile or will be.
/// - `restored` forgets ring, grants and port, makes new ones and tells xenstore, and returns. It
///   does not wait for the backend, or it would hold up every device after it.
/// - `is_back` says whether the backend is connected. The machine asks all devices in turn until
///   each has said yes, has failed, or has used up its [own time](Role::back_within): then the fault
///   has the device's name, and the device may come back later or never. When the backend is
///   there, `is_back` first queues again what was in flight.
/// - The xenstore connection comes back before the frontends: it has a higher
///   [order](Role::order).
pub trait Participant<P: Platform + ?Sized> {
    /// Name, stages, order.
    fn role(&self) -> Role;

    /// Makes it quiet, before `deadline`.
    ///
    /// # Errors
    /// Whatever stops the suspend.
    fn suspend(
        &mut self,
        stage: Stage,
        platform: &mut P,
        deadline: Deadline,
    ) -> Result<(), P::Error> {
        let _ = (stage, platform, deadline);
        Ok(())
    }

    /// Takes the suspend back: the hypercall was not made, or Xen refused it.
    ///
    /// # Errors
    /// If it does not work as before.
    fn undo(&mut self, stage: Stage, platform: &mut P) -> Result<(), P::Error> {
        let _ = (stage, platform);
        Ok(())
    }

    /// Takes the suspend back: the hypercall came back into the same domain. The same as
    /// [`undo`](Participant::undo), unless it matters that Xen had the domain shut down meanwhile.
    ///
    /// # Errors
    /// If it does not work as before.
    fn cancelled(&mut self, stage: Stage, platform: &mut P) -> Result<(), P::Error> {
        self.undo(stage, platform)
    }

    /// Sets it up in a new domain, or begins to: it does not wait.
    ///
    /// # Errors
    /// If it cannot work.
    fn restored(&mut self, stage: Stage, platform: &mut P) -> Result<(), P::Error> {
        let _ = (stage, platform);
        Ok(())
    }

    /// Whether it works again. Asked in [`Stage::Awake`], once every participant has been brought
    /// back, until it says yes or its time is over; not asked again then.
    ///
    /// # Errors
    /// If it will not work. It is not asked again.
    fn is_back(&mut self, platform: &mut P) -> Result<bool, P::Error> {
        let _ = platform;
        Ok(true)
    }
}

/// A participant in the machine's list, with what the machine notes of it.
pub struct Member<'p, P: Platform> {
    pub(crate) participant: &'p mut (dyn Participant<P> + 'p),
    pub(crate) role: Role,
    pub(crate) coming: Coming,
}

/// Whether a participant is on the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coming {
    /// It is back, was given up, or was never away.
    Not,
    /// It was brought back and has not been asked yet.
    Unasked,
    /// It has said that it is not back yet.
    Until(Deadline),
}

impl<'p, P: Platform> Member<'p, P> {
    /// Enters a participant in a list.
    pub fn new(participant: &'p mut (dyn Participant<P> + 'p)) -> Member<'p, P> {
        let role = participant.role();
        Member {
            participant,
            role,
            coming: Coming::Not,
        }
    }

    pub(crate) fn takes_part(&self, stage: Stage) -> bool {
        self.role.stages.contains(&stage)
    }
}

impl<P: Platform> core::fmt::Debug for Member<'_, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Member")
            .field("role", &self.role)
            .field("coming", &self.coming)
            .finish_non_exhaustive()
    }
}

/// Sorts by order, keeping the list's order among equals. Lists are short: insertion sort.
pub(crate) fn sort<P: Platform>(list: &mut [Member<'_, P>]) {
    for end in 1..list.len() {
        let mut i = end;
        while i > 0 && list[i].role.order < list[i - 1].role.order {
            list.swap(i, i - 1);
            i -= 1;
        }
    }
}
