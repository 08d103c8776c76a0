//! How much memory a stream may use up.

use crate::source::Stop;
use crate::unreadable::Unreadable;

/// Counts what is held. Every structure that grows with the stream charges it first.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: u64,
}

impl Budget {
    /// With so many bytes to spend.
    pub fn new(limit: u64) -> Self {
        Self { limit, used: 0 }
    }

    /// Takes `bytes`; `at` is where in the stream, for the error.
    pub fn charge(&mut self, bytes: u64, at: u64) -> Result<(), Stop> {
        self.used = self.used.saturating_add(bytes);
        if self.used > self.limit {
            return Err(Stop::Unreadable(Unreadable::TooBig {
                at,
                limit: self.limit,
            }));
        }
        Ok(())
    }

    /// How many are spent.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Gives back what is no longer held.
    pub fn give_back(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }
}
