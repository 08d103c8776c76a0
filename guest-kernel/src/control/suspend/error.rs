//! What can stop a step of a suspend, or of the way back.

use core::fmt;

use kernel_glue::time::NotMapped;
use migration::balloon::TooMuch;
use migration::{Blame, Party};
use xen_bindings::HypercallError;

use crate::arch::changes::TableError;
use crate::arch::host::NoTable;
use crate::arch::suspend::{CannotStepAway, NotOurs, TooMuchMemory};
use crate::control::audit;
use crate::sets::drain;
use crate::xen::cpus::Stuck;

/// What can stop a step.
#[derive(Clone, Copy, Debug)]
pub enum Error {
    /// A vCPU did not answer.
    Stuck(Stuck),
    /// The pool could not be drained.
    Drain(drain::DrainFailed),
    /// The proof of the drain is not accepted.
    Proof(drain::BadProof),
    /// The page tables hold something that must not be saved.
    Audit(audit::Finding),
    /// Xen refused a call.
    Xen(HypercallError),
    /// Xen refused something that the way back needs: what it is for.
    Needed(&'static str, Refusal),
    /// Xen refused a change to a page table.
    Tables(TableError),
    /// The domain is too large to be described for a save.
    TooMuchMemory(TooMuchMemory),
    /// The guest has more memory than an image of it may have.
    TooMuch(TooMuch),
    /// A hotplug operation did not end in time.
    HotplugBusy,
    /// A frame that the toolstack named is not the domain's.
    NotOurs(NotOurs),
    /// The clock cannot go on: the shared-info page is not where it should be.
    NoClock(NotMapped),
}

/// How Xen refused something that the way back needs.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// A call.
    Call(HypercallError),
    /// Machine frames cannot be looked up in the new domain.
    NoTable(NoTable),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Call(error) => error.fmt(f),
            Refusal::NoTable(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Stuck(e) => e.fmt(f),
            Error::Drain(e) => e.fmt(f),
            Error::Proof(e) => e.fmt(f),
            Error::Audit(e) => e.fmt(f),
            Error::Xen(e) => e.fmt(f),
            Error::Needed(what, e) => write!(f, "{what}: {e}"),
            Error::Tables(e) => e.fmt(f),
            Error::TooMuchMemory(e) => e.fmt(f),
            Error::TooMuch(e) => e.fmt(f),
            Error::NotOurs(e) => e.fmt(f),
            Error::NoClock(e) => e.fmt(f),
            Error::HotplugBusy => f.write_str("a hotplug operation did not end in time"),
        }
    }
}

impl Blame for Error {
    fn party(&self) -> Party {
        match self {
            Error::NotOurs(_) => Party::Toolstack,
            Error::TooMuch(e) => e.party(),
            Error::Xen(_) | Error::Needed(..) | Error::Tables(_) | Error::NoClock(_) => Party::Xen,
            Error::Stuck(_)
            | Error::Drain(_)
            | Error::Proof(_)
            | Error::Audit(_)
            | Error::TooMuchMemory(_)
            | Error::HotplugBusy => Party::Guest,
        }
    }
}

impl From<HypercallError> for Error {
    fn from(error: HypercallError) -> Self {
        Error::Xen(error)
    }
}

impl From<NotMapped> for Error {
    fn from(error: NotMapped) -> Self {
        Error::NoClock(error)
    }
}

impl From<CannotStepAway> for Error {
    fn from(error: CannotStepAway) -> Self {
        match error {
            CannotStepAway::Frame(frame) => Error::NotOurs(frame),
            CannotStepAway::Xen(error) => Error::Xen(error),
        }
    }
}

impl From<TableError> for Error {
    fn from(error: TableError) -> Self {
        Error::Tables(error)
    }
}

impl From<HypercallError> for Refusal {
    fn from(error: HypercallError) -> Self {
        Refusal::Call(error)
    }
}

impl From<NoTable> for Refusal {
    fn from(error: NoTable) -> Self {
        Refusal::NoTable(error)
    }
}
