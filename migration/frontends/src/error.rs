//! What goes wrong with a device, whose fault it is, and how a message names both.

use core::fmt;
use core::time::Duration;

use migration::xenstore::StoreError;
use migration::{Blame, Party, Text};

use crate::kernel::Refused;

/// Which device, as xenstore names it: `device/<kind>/<number>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// `vbd` or `vif`.
    pub kind: &'static str,
    /// Its number below that.
    pub number: u32,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.number)
    }
}

/// What a device waits for, each with a limit of its own ([`Limits`](crate::Limits)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// The backend says what it can do: state 2, `InitWait`.
    Offer,
    /// The backend has mapped the rings: state 4, `Connected`.
    Connect,
    /// The backend answers what is in flight before it closes.
    Drain,
    /// A backend that closed comes back.
    Return,
}

impl Wait {
    /// What has not happened, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Wait::Offer => "to offer itself (state 2)",
            Wait::Connect => "to connect (state 4)",
            Wait::Drain => "to answer what is in flight before it closes",
            Wait::Return => "to come back after it closed",
        }
    }
}

/// How a backend broke the protocol. After any of these its rings are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// A response producer beyond what was asked, or one that went back.
    Producer {
        /// The ring.
        ring: &'static str,
        /// The backend's index.
        produced: u32,
        /// Up to where this side has taken responses.
        taken: u32,
        /// Requests that have no response yet.
        outstanding: u32,
    },
    /// A response to a request that is not in flight: never made, or answered before.
    Id {
        /// The ring.
        ring: &'static str,
        /// The number in the response.
        id: u64,
    },
    /// A response that names another operation than the request.
    Operation {
        /// What the request was.
        asked: u8,
        /// What the response says.
        answered: u8,
    },
    /// A received fragment that does not lie in the page it was given.
    Fragment {
        /// Its start in the page, bytes.
        offset: u16,
        /// Its length, bytes.
        length: u16,
    },
    /// A received frame in more slots than the protocol allows, or whose rest never came.
    Slots {
        /// How many there were.
        slots: u32,
    },
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Lie::Producer {
                ring,
                produced,
                taken,
                outstanding,
            } => write!(
                f,
                "{ring} ring: response producer {produced} with {taken} taken and {outstanding} requests outstanding"
            ),
            Lie::Id { ring, id } => {
                write!(f, "{ring} ring: response {id:#x} answers nothing in flight")
            }
            Lie::Operation { asked, answered } => {
                write!(f, "response to operation {asked} says operation {answered}")
            }
            Lie::Fragment { offset, length } => write!(
                f,
                "rx ring: a fragment of {length} bytes at {offset} leaves its page"
            ),
            Lie::Slots { slots } => write!(f, "rx ring: a frame in {slots} slots has no end"),
        }
    }
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// xenstored did not do what was asked.
    Store(StoreError),
    /// A path does not fit into the frontend's buffer.
    PathTooLong,
    /// A node that must be there is not.
    Missing(&'static str),
    /// A node's value is not one that it may have.
    Value {
        /// The node's name.
        node: &'static str,
        /// Its value, made printable.
        value: Text<24>,
    },
    /// The backend lacks something without which this frontend cannot work.
    Unsupported(&'static str),
    /// The kernel has no page.
    NoPages,
    /// The kernel or Xen gave no grant or port.
    Refused(Refused),
    /// A wait is over.
    Late {
        /// For what.
        wait: Wait,
        /// How long it was.
        limit: Duration,
    },
    /// The backend broke the protocol.
    Lie(Lie),
    /// The device was taken away.
    Gone,
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        Problem::Store(error)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        Problem::Refused(refused)
    }
}

impl From<Lie> for Problem {
    fn from(lie: Lie) -> Problem {
        Problem::Lie(lie)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Store(error) => error.fmt(f),
            Problem::PathTooLong => f.write_str("its path in xenstore is too long"),
            Problem::Missing(node) => write!(f, "there is no `{node}`"),
            Problem::Value { node, value } => write!(f, "`{node}` is \"{value}\""),
            Problem::Unsupported(what) => write!(f, "the backend has no {what}"),
            Problem::NoPages => f.write_str("the kernel has no page for it"),
            Problem::Refused(why) => why.fmt(f),
            Problem::Late { wait, limit } => {
                write!(f, "waited {limit:?} for the backend {}", wait.name())
            }
            Problem::Lie(lie) => lie.fmt(f),
            Problem::Gone => f.write_str("the device was taken away"),
        }
    }
}

/// An error of one device. Its text names the device and the backend's domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which device.
    pub device: Name,
    /// The domain of its backend.
    pub backend: u16,
    /// What went wrong.
    pub problem: Problem,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (device, backend, problem) = (self.device, self.backend, self.problem);
        match self.party() {
            Party::Backend => write!(f, "{device}: backend in domain {backend}: {problem}"),
            _ => write!(f, "{device} (backend in domain {backend}): {problem}"),
        }
    }
}

impl core::error::Error for Error {}

impl Blame for Error {
    fn party(&self) -> Party {
        match self.problem {
            Problem::Store(_) | Problem::Gone => Party::Toolstack,
            Problem::NoPages | Problem::PathTooLong | Problem::Refused(_) => Party::Guest,
            Problem::Missing(_)
            | Problem::Value { .. }
            | Problem::Unsupported(_)
            | Problem::Late { .. }
            | Problem::Lie(_) => Party::Backend,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn error(problem: Problem) -> Error {
        let device = Name {
            kind: "vbd",
            number: 51712,
        };
        Error {
            device,
            backend: 3,
            problem,
        }
    }

    #[test]
    fn a_message_names_the_device_and_the_backend() {
        let late = error(Problem::Late {
            wait: Wait::Connect,
            limit: Duration::from_secs(10),
        });
        assert_eq!(
            late.to_string(),
            "vbd 51712: backend in domain 3: waited 10s for the backend to connect (state 4)"
        );
        assert_eq!(late.party(), Party::Backend);
        let lie = error(Lie::Id { ring: "tx", id: 7 }.into());
        assert!(lie
            .to_string()
            .contains("backend in domain 3: tx ring: response 0x7"));
        assert_eq!(error(Problem::NoPages).party(), Party::Guest);
        assert_eq!(error(StoreError::TimedOut.into()).party(), Party::Toolstack);
    }
}
