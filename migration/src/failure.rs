//! Who is at fault, and what went wrong.

use core::fmt;

use crate::limits::Late;
use crate::phase::Phase;
use crate::xenstore::StoreError;

/// Whose fault an error is, as events name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// This kernel: a CPU that did not park, a cache that could not be drained, a page table that
    /// must not be saved.
    Guest,
    /// The hypervisor: a hypercall that failed.
    Xen,
    /// xenstored, libxl, or whoever drives them.
    Toolstack,
    /// The backend of a device, in whichever domain it runs.
    Backend,
}

impl Party {
    /// The name used in events (`docs/events.md`).
    pub const fn name(self) -> &'static str {
        match self {
            Party::Guest => "guest",
            Party::Xen => "xen",
            Party::Toolstack => "toolstack",
            Party::Backend => "backend",
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error that knows whose fault it is. The guest's own error type implements it.
pub trait Blame: fmt::Display + fmt::Debug {
    /// Who is at fault. By default the guest.
    fn party(&self) -> Party {
        Party::Guest
    }
}

impl Blame for StoreError {
    fn party(&self) -> Party {
        Party::Toolstack
    }
}

/// A plain message: the guest's own fault.
impl Blame for &'static str {}

/// What stopped a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<E> {
    /// The guest's code returned this error.
    Step(E),
    /// xenstored did not take the acknowledgement.
    Store(StoreError),
    /// The step worked, but took too long to go on.
    Late(Late),
    /// The toolstack took its request back before it was acknowledged.
    Withdrawn,
    /// The limits do not fit into libxl's windows
    /// ([`Limits::fit_libxl`](crate::Limits::fit_libxl)).
    LimitsTooLong,
}

impl<E: Blame> Cause<E> {
    /// Who is at fault.
    pub fn party(&self) -> Party {
        match self {
            Cause::Step(error) => error.party(),
            Cause::Store(error) => error.party(),
            Cause::Withdrawn => Party::Toolstack,
            Cause::Late(_) | Cause::LimitsTooLong => Party::Guest,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Cause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Step(error) => error.fmt(f),
            Cause::Store(error) => error.fmt(f),
            Cause::Late(late) => late.fmt(f),
            Cause::Withdrawn => f.write_str("the request was withdrawn before the acknowledgement"),
            Cause::LimitsTooLong => f.write_str("the guest's limits do not fit into libxl's"),
        }
    }
}

/// A suspend that did not happen. When the caller sees it, everything is undone and the guest is
/// [`Phase::Running`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuspendFailed<E> {
    /// The phase that could not be reached.
    pub phase: Phase,
    /// The step that failed: a method of [`Platform`](crate::Platform), or a participant's name.
    pub step: &'static str,
    /// Whose fault it is.
    pub party: Party,
    /// What went wrong.
    pub cause: Cause<E>,
}

impl<E: fmt::Display> fmt::Display for SuspendFailed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "suspend given up before `{}`, at {} ({}): {}",
            self.phase, self.step, self.party, self.cause
        )
    }
}

impl<E: fmt::Display + fmt::Debug> core::error::Error for SuspendFailed<E> {}

/// One thing that went wrong on the way back, where nothing is left to unwind to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault<E> {
    /// The step that failed: a method of [`Platform`](crate::Platform), or a participant's name.
    pub step: &'static str,
    /// What went wrong.
    pub cause: Cause<E>,
}

/// What went wrong on the way back: the first fault in full, the others counted (each was also
/// logged).
///
/// A fault does not stop the remaining steps: a console that does not come back must not leave the
/// disks suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults<E> {
    first: Option<Fault<E>>,
    count: u32,
}

impl<E> Faults<E> {
    /// No fault.
    pub const fn none() -> Faults<E> {
        Faults {
            first: None,
            count: 0,
        }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, step: &'static str, cause: Cause<E>)
    where
        E: fmt::Display,
    {
        log::error!("on the way back from a suspend, {step}: {cause}");
        if self.first.is_none() {
            self.first = Some(Fault { step, cause });
        }
        self.count = self.count.saturating_add(1);
    }

    /// How many there were.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first of them.
    pub fn first(&self) -> Option<&Fault<E>> {
        self.first.as_ref()
    }
}
