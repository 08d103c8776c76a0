//! What can go wrong with a request, and with the connection.

use core::fmt;

use super::wire::{BadRequest, Op, Refusal, PAYLOAD_MAX};
use crate::ring::BadIndices;
use crate::{ffi, Errno, HypercallError};

/// xenstored broke the protocol, or reports that this domain did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The indices are further apart than the ring is long.
    BadIndices(BadIndices),
    /// A message that claims to be longer than [`PAYLOAD_MAX`].
    Oversize {
        /// What it claims.
        len: u32,
    },
    /// A message of a type that the protocol does not have.
    UnknownType {
        /// The type's number.
        kind: u32,
    },
    /// A reply of another type than its request.
    WrongType {
        /// What was asked.
        asked: Op,
        /// The type of the reply.
        kind: u32,
    },
    /// A reply to no request.
    Unasked {
        /// The request number it repeats.
        id: u32,
    },
    /// A watch event without path and token.
    BadWatchEvent,
    /// A transaction without a number.
    BadTransaction,
    /// xenstored wrote an error code into the page: it gave up on this domain's side of the ring.
    Complaint {
        /// `XENSTORE_ERROR_*`.
        code: u32,
    },
}

impl From<BadIndices> for Violation {
    fn from(bad: BadIndices) -> Self {
        Self::BadIndices(bad)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadIndices(bad) => write!(f, "{bad}"),
            Self::Oversize { len } => write!(
                f,
                "sent a message of {len} bytes, and {PAYLOAD_MAX} is the most"
            ),
            Self::UnknownType { kind } => write!(f, "sent a message of unknown type {kind}"),
            Self::WrongType { asked, kind } => write!(f, "answered {asked} with type {kind}"),
            Self::Unasked { id } => write!(f, "answered request {id}, which was not under way"),
            Self::BadWatchEvent => f.write_str("sent a watch event without path and token"),
            Self::BadTransaction => f.write_str("began a transaction without a number"),
            Self::Complaint { code } => {
                let what = match *code {
                    ffi::XENSTORE_ERROR_COMM => "a communication problem",
                    ffi::XENSTORE_ERROR_RINGIDX => "an invalid ring index",
                    ffi::XENSTORE_ERROR_PROTO => "a protocol violation",
                    _ => "an unknown error",
                };
                write!(f, "reports {what} of this domain ({code})")
            }
        }
    }
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// This guest's own mistake: the request was not sent.
    BadRequest {
        /// What was asked.
        op: Op,
        /// What is wrong with it.
        why: BadRequest,
    },
    /// xenstored refused.
    Refused {
        /// What was asked.
        op: Op,
        /// The reason it gave.
        refusal: Refusal,
    },
    /// xenstored broke the protocol. The client is of no use until [`Client::reset`](super::Client::reset) or
    /// [`Client::reconnect`](super::Client::reconnect).
    Violation(Violation),
    /// Xen refused the ring's event. The next poll tries again.
    Notify(HypercallError),
    /// xenstored did not answer in the time it was given. A reply that comes later is dropped.
    TimedOut {
        /// What was asked.
        op: Op,
    },
    /// There is no reply: nothing was asked, or it is not done, or it was taken already.
    NoReply,
    /// xenstored does not offer to begin the connection anew.
    NoReconnection,
}

impl Error {
    /// The number of the error that xenstored gave, if that is what this is and Xen has a number
    /// for it.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { refusal, .. } => refusal.errno(),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest { op, why } => write!(f, "{op} not sent: {why}"),
            Self::Refused { op, refusal } => write!(f, "xenstored refused {op}: {refusal}"),
            Self::Violation(violation) => write!(f, "xenstored: {violation}"),
            Self::Notify(error) => write!(f, "xenstore event: {error}"),
            Self::TimedOut { op } => write!(f, "xenstored did not answer {op} in time"),
            Self::NoReply => f.write_str("no xenstore reply to take"),
            Self::NoReconnection => {
                f.write_str("xenstored does not offer to begin the connection anew")
            }
        }
    }
}

impl core::error::Error for Error {}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}
