//! One thing to be done by way of xenstore, and what was told of its failures.

use core::fmt;
use core::time::Duration;

use migration::standing::{Repeats, Standing};
use migration::{Blame, Party};

use crate::kernel::Kernel;

/// One thing to be done. It stands until it is done: no single error leaves the guest deaf.
#[derive(Clone, Copy, Debug)]
pub struct Duty {
    /// What errors name.
    place: &'static str,
    standing: Standing,
    told: Repeats,
}

impl Duty {
    /// Nothing is to be done yet. `place` is what errors name.
    #[must_use]
    pub const fn new(place: &'static str) -> Self {
        Duty {
            place,
            standing: Standing::DONE,
            told: Repeats::NOTHING,
        }
    }

    /// There is a new reason: to be done at once.
    pub fn ask(&mut self) {
        self.standing.ask();
    }

    /// Somebody wants it looked at, for no new reason: a pause after a failure holds.
    pub fn ask_again(&mut self) {
        self.standing.ask_again();
    }

    /// Is it to be tried now?
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        self.standing.is_due(now)
    }

    /// Is it still to be done, now or after a pause?
    #[must_use]
    pub fn stands(&self) -> bool {
        self.standing.stands()
    }

    /// It was done, or is wanted no more.
    pub fn done(&mut self) {
        self.standing.done();
    }

    /// It could not be done: to be tried again after a pause, which grows.
    pub fn failed(&mut self, now: Duration) {
        self.standing.failed(now);
    }

    /// Tells of something about it, unless that was told already.
    pub fn complain(&mut self, kernel: impl Kernel, party: Party, message: impl fmt::Display) {
        if self.is_news(kernel.now(), &message) {
            kernel.report(party, self.place, &message);
        }
    }

    /// Is this to be told now?
    pub fn is_news(&mut self, now: Duration, message: impl fmt::Display) -> bool {
        self.told.is_news(now, message)
    }

    /// Notes how a try ended, and tells of a failure. Gives whether it was none.
    pub fn settle<E: Blame>(&mut self, kernel: impl Kernel, result: Result<(), E>) -> bool {
        match result {
            Ok(()) => self.done(),
            Err(error) => {
                self.failed(kernel.now());
                self.complain(kernel, error.party(), error);
                return false;
            }
        }
        true
    }
}
