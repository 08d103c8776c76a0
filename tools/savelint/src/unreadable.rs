//! Why there is no report.

use std::fmt;
use std::io;

/// Why there is no report.
#[derive(Debug)]
pub enum Unreadable {
    /// Reading failed.
    Io {
        /// How many bytes had been read.
        at: u64,
        /// The system's words.
        error: io::Error,
    },
    /// The input is no migration stream that this program knows.
    NotAStream {
        /// What was found instead.
        why: String,
    },
    /// The stream needs more memory to be judged than [`Options::memory`](crate::Options::memory) allows.
    TooBig {
        /// Where reading stopped, in bytes.
        at: u64,
        /// The limit, in bytes.
        limit: u64,
    },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Io { at, error } => write!(f, "cannot read on after {at} bytes: {error}"),
            Unreadable::NotAStream { why } => write!(f, "not a migration stream: {why}"),
            Unreadable::TooBig { at, limit } => write!(
                f,
                "the stream needs more than {} MiB of memory to be judged (stopped after {at} bytes); --max-memory raises the limit",
                limit >> 20
            ),
        }
    }
}

impl std::error::Error for Unreadable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Unreadable::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
