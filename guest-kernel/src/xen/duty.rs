//! One thing to be done by way of xenstore: `kernel-glue`'s, on this guest's clock.

use core::fmt;

use kernel_glue::duty;
use kernel_glue::kernel::Kernel;
use migration::{Blame, Party};

use crate::cmdline;
use crate::xen::here::Here;

/// One thing to be done, and what was told of its failures.
#[derive(Clone, Copy)]
pub struct Duty(duty::Duty);

impl Duty {
    /// Nothing is to be done yet. `place` is what errors name.
    pub const fn new(place: &'static str) -> Self {
        Duty(duty::Duty::new(place))
    }

    /// There is a new reason: to be done at once.
    pub fn ask(&mut self) {
        self.0.ask();
    }

    /// Somebody wants it looked at, for no new reason: a pause after a failure holds.
    pub fn ask_again(&mut self) {
        self.0.ask_again();
    }

    /// Is it to be tried now?
    pub fn is_due(&self) -> bool {
        self.0.is_due(Here.now())
    }

    /// Is it still to be done, now or after a pause?
    pub fn stands(&self) -> bool {
        self.0.stands()
    }

    /// It was done, or is wanted no more.
    pub fn done(&mut self) {
        self.0.done();
    }

    /// It could not be done: to be tried again after a pause, which grows.
    pub fn failed(&mut self) {
        if cmdline::options().switches.store_once() {
            return self.0.done();
        }
        self.0.failed(Here.now());
    }

    /// Tells of something about it, unless that was told already.
    pub fn complain(&mut self, party: Party, message: impl fmt::Display) {
        self.0.complain(Here, party, message);
    }

    /// Notes how a try ended.
    pub fn settle<E: Blame>(&mut self, result: Result<(), E>) {
        match result {
            Ok(()) => self.done(),
            Err(error) => {
                self.failed();
                self.complain(error.party(), error);
            }
        }
    }
}
