//! The protocol of `control/shutdown`: the toolstack's requests and the guest's answers.
//!
//! The toolstack writes a word; the guest acknowledges by writing the empty string
//! (`docs/misc/xenstore-paths.pandoc`, "`~/control/shutdown`"). What the documents leave open is taken
//! from the implementations on both sides:
//!
//! - libxl writes a word, waits 60 s for another value, and takes `suspend` back by a transaction
//!   that writes the empty string if the word is still there
//!   (`domain_suspend_common_pvcontrol_suspending`, `libxl_dom_suspend.c`). So an acknowledgement
//!   **must** read and write in one transaction; otherwise the guest may suspend after the toolstack
//!   has given up.
//! - *Any* other value counts as the acknowledgement of `suspend`, a missing node too
//!   (`domain_suspend_pvcontrol_acked`, `libxl_dom_suspend.c`); for `poweroff` and `reboot` only
//!   the empty string or a missing node do (`pvcontrol_acked`, `libxl_domain.c`).
//! - A word that the guest does not obey is left in place. An acknowledgement is a promise, so
//!   there is none. The toolstack then reports that the guest did not answer. Linux does
//!   the same (`shutdown_handler`, `drivers/xen/manage.c`: "Only acknowledge commands which we are
//!   prepared to handle").
//! - `crash` is obeyed by FreeBSD (`sys/dev/xen/control/control.c`) and unknown to Linux;
//!   [`Accepts`] lets the guest choose.
//! - A watch fires also when nothing was asked: once when it is set, after each acknowledgement of
//!   the guest's own, and after a withdrawal. The empty value and the missing node are therefore
//!   [`Request::Nothing`].

use core::fmt;

use crate::failure::{Blame, SuspendFailed};
use crate::text::{Buf, Text};
use crate::xenstore::{transaction, StoreError, Xenstore};

/// The node, relative to the domain's own directory.
pub const NODE: &str = "control/shutdown";

/// Where [`report_failure`] says why a suspend was given up. `data/` is the part of a domain's
/// directory that the guest may write; libxl reads none of it.
pub const FAILURE_NODE: &str = "data/suspend-failed";

/// Where a guest says why it cannot be suspended now, and nothing when it can: XAPI asks there
/// before it asks for a suspend (`cant_suspend_reason`, `ocaml/xenopsd/xc/xenops_server_xen.ml`).
/// An empty node counts as a reason, so it has to be removed.
pub const CANT_SUSPEND_NODE: &str = "data/cant_suspend_reason";

/// What the toolstack asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Nothing: the node is empty or missing.
    Nothing,
    /// `poweroff`: shut down in order (`xl shutdown`).
    Poweroff,
    /// `halt`: as `poweroff`; the distinction is the toolstack's.
    Halt,
    /// `reboot`: shut down in order and be started again (`xl reboot`).
    Reboot,
    /// `suspend`: be saved, migrated or checkpointed.
    Suspend,
    /// `crash`: end at once, as if the kernel had crashed.
    Crash,
    /// A word this crate does not know.
    Unknown(Text),
}

impl Request {
    /// Reads a node's value. One closing NUL is ignored: some writers send it.
    pub fn parse(value: &[u8]) -> Request {
        match value.strip_suffix(b"\0").unwrap_or(value) {
            b"" => Request::Nothing,
            b"poweroff" => Request::Poweroff,
            b"halt" => Request::Halt,
            b"reboot" => Request::Reboot,
            b"suspend" => Request::Suspend,
            b"crash" => Request::Crash,
            unknown => Request::Unknown(Text::new(unknown)),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Nothing => Ok(()),
            Request::Poweroff => f.write_str("poweroff"),
            Request::Halt => f.write_str("halt"),
            Request::Reboot => f.write_str("reboot"),
            Request::Suspend => f.write_str("suspend"),
            Request::Crash => f.write_str("crash"),
            Request::Unknown(text) => text.fmt(f),
        }
    }
}

/// The requests that a guest obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepts {
    /// Obeys [`Request::Poweroff`].
    pub poweroff: bool,
    /// Obeys [`Request::Halt`].
    pub halt: bool,
    /// Obeys [`Request::Reboot`].
    pub reboot: bool,
    /// Obeys [`Request::Suspend`].
    pub suspend: bool,
    /// Obeys [`Request::Crash`].
    pub crash: bool,
}

impl Accepts {
    /// What Linux obeys: everything but `crash`.
    pub const USUAL: Accepts = Accepts {
        poweroff: true,
        halt: true,
        reboot: true,
        suspend: true,
        crash: false,
    };

    /// Whether `request` is obeyed.
    pub fn contains(&self, request: &Request) -> bool {
        match request {
            Request::Poweroff => self.poweroff,
            Request::Halt => self.halt,
            Request::Reboot => self.reboot,
            Request::Suspend => self.suspend,
            Request::Crash => self.crash,
            Request::Nothing | Request::Unknown(_) => false,
        }
    }
}

/// What the guest is doing while a request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Nothing that stands in the way.
    Running,
    /// It suspends: from [`Phase::Requested`](crate::Phase::Requested) until the machine is running
    /// again.
    Suspending,
    /// It is about to power off, to reboot or to halt.
    GoingDown,
}

/// Why a request is not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No guest knows this word.
    Unknown,
    /// This guest does not do it ([`Accepts`]).
    NotAccepted,
    /// The guest is going down already.
    GoingDown,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Unknown => "unknown request",
            Refusal::NotAccepted => "this guest does not do that",
            Refusal::GoingDown => "the guest is going down already",
        })
    }
}

/// What to do about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing was asked.
    Nothing,
    /// Acknowledge, then do it. For a suspend the acknowledgement is the machine's own step
    /// ([`Requested::acknowledge`](crate::machine::Requested::acknowledge)), not [`receive`]'s.
    Obey,
    /// Leave the node as it is.
    Refuse(Refusal),
    /// Leave the node as it is and read it again when the suspend is over.
    Defer,
}

/// Decides about a request. Pure: the whole policy in one table.
///
/// | request | running | suspending | going down |
/// |---|---|---|---|
/// | nothing | nothing | nothing | nothing |
/// | unknown | refuse | refuse | refuse |
/// | known, not accepted | refuse | refuse | refuse |
/// | known, accepted | obey | defer | refuse |
pub fn decide(request: &Request, activity: Activity, accepts: &Accepts) -> Answer {
    match (request, activity) {
        (Request::Nothing, _) => Answer::Nothing,
        (Request::Unknown(_), _) => Answer::Refuse(Refusal::Unknown),
        (known, _) if !accepts.contains(known) => Answer::Refuse(Refusal::NotAccepted),
        (_, Activity::Running) => Answer::Obey,
        (_, Activity::Suspending) => Answer::Defer,
        (_, Activity::GoingDown) => Answer::Refuse(Refusal::GoingDown),
    }
}

/// Reads `control/shutdown` and answers it. To be called when the watch fires, at boot, and after
/// every return from a suspend.
///
/// What is to be obeyed was acknowledged when this returns, in the transaction that read it; except
/// a suspend, which the caller hands to the [`Machine`](crate::Machine). An error means that
/// nothing was acknowledged and nothing must be done.
pub fn receive<X: Xenstore + ?Sized>(
    xs: &mut X,
    activity: Activity,
    accepts: &Accepts,
    tries: u32,
) -> Result<(Request, Answer), StoreError> {
    transaction(xs, tries, |xs, tx| {
        let request = read(xs, tx)?;
        let answer = decide(&request, activity, accepts);
        if answer == Answer::Obey && request != Request::Suspend {
            xs.write(tx, NODE, b"")?;
        }
        Ok((request, answer))
    })
}

/// The result of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Acknowledgement {
    /// The request was there and is answered: the toolstack waits for the suspend.
    Given,
    /// The request was gone or replaced by another. Nobody waits for a suspend: the guest must not
    /// suspend.
    Withdrawn,
}

/// Acknowledges a suspend: reads the node and, if it still says `suspend`, empties it, in one
/// transaction.
///
/// Between the watch and this, libxl may have given up and emptied the node, or somebody may have
/// written another word. Both are seen here, also when they happen during the transaction: it then
/// conflicts and is done again.
pub fn acknowledge<X: Xenstore + ?Sized>(
    xs: &mut X,
    tries: u32,
) -> Result<Acknowledgement, StoreError> {
    transaction(xs, tries, |xs, tx| {
        if read(xs, tx)? != Request::Suspend {
            return Ok(Acknowledgement::Withdrawn);
        }
        xs.write(tx, NODE, b"")?;
        Ok(Acknowledgement::Given)
    })
}

fn read<X: Xenstore + ?Sized>(xs: &mut X, tx: Option<X::Tx>) -> Result<Request, StoreError> {
    // Long enough for every known word and for the beginning of an unknown one.
    let mut buf = [0; 40];
    match xs.read(tx, NODE, &mut buf) {
        Ok(len) => Ok(Request::parse(&buf[..len.min(buf.len())])),
        Err(StoreError::NotFound) => Ok(Request::Nothing),
        Err(error) => Err(error),
    }
}

/// The `feature-*` nodes that libxl makes for a guest to fill in (`libxl__domain_make`,
/// `libxl_create.c`). There is none for `halt`.
const FEATURES: [(&str, Request); 3] = [
    ("control/feature-poweroff", Request::Poweroff),
    ("control/feature-reboot", Request::Reboot),
    ("control/feature-suspend", Request::Suspend),
];

/// The result of announcing the `feature-*` nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// How many of the nodes were written.
    pub written: u32,
    /// The first node that could not be written, and why.
    pub failed: Option<(&'static str, StoreError)>,
}

/// Says in `control/feature-*` which requests are obeyed: `1` or `0`.
///
/// `control` is read-only to a guest, so a write may fail where the toolstack did not make the
/// node; the guest then "should continue to process the corresponding command"
/// (`docs/misc/xenstore-paths.pandoc`). A failure is only reported.
/// libxl 4.17 to 4.21 does not read the nodes; other toolstacks do.
#[doc(alias = "feature-suspend")]
pub fn advertise<X: Xenstore + ?Sized>(xs: &mut X, accepts: &Accepts) -> Advertised {
    let mut result = Advertised {
        written: 0,
        failed: None,
    };
    for (node, request) in FEATURES {
        let value: &[u8] = if accepts.contains(&request) {
            b"1"
        } else {
            b"0"
        };
        match xs.write(None, node, value) {
            Ok(()) => result.written += 1,
            Err(error) => {
                result.failed.get_or_insert((node, error));
            }
        }
    }
    result
}

/// Writes to [`FAILURE_NODE`] why a suspend was given up, for somebody who investigates libxl's
/// "timed out".
///
/// The value is `PHASE PARTY MESSAGE`, at most 200 bytes.
pub fn report_failure<X, E>(xs: &mut X, failure: &SuspendFailed<E>) -> Result<(), StoreError>
where
    X: Xenstore + ?Sized,
    E: Blame,
{
    let mut buf: Buf<200> = Buf::new();
    // A `Buf` truncates and never fails.
    let _ = fmt::write(
        &mut buf,
        format_args!(
            "{} {} {}: {}",
            failure.phase, failure.party, failure.step, failure.cause
        ),
    );
    xs.write(None, FAILURE_NODE, buf.as_str().as_bytes())
}

/// Writes to [`CANT_SUSPEND_NODE`] why the guest cannot be suspended, at most 200 bytes. When it
/// can again, the node is to be removed.
pub fn say_cannot_suspend<X>(xs: &mut X, reason: impl fmt::Display) -> Result<(), StoreError>
where
    X: Xenstore + ?Sized,
{
    let mut buf: Buf<200> = Buf::new();
    // A `Buf` truncates and never fails.
    let _ = fmt::write(&mut buf, format_args!("{reason}"));
    xs.write(None, CANT_SUSPEND_NODE, buf.as_str().as_bytes())
}

/// Empties [`FAILURE_NODE`], after a suspend that worked.
pub fn clear_failure<X: Xenstore + ?Sized>(xs: &mut X) -> Result<(), StoreError> {
    xs.write(None, FAILURE_NODE, b"")
}
