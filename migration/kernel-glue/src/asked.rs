//! `control/shutdown`: what the toolstack asks for, dispatched. A request stands until it is obeyed or
//! withdrawn, whatever fails on the way.

use migration::shutdown::{self, Accepts, Activity, Answer, Refusal, Request};
use migration::{Blame, Cause, Limits, Phase, SuspendFailed};

use crate::duty::Duty;
use crate::kernel::Kernel;
use crate::store::Store;
use crate::waiting::Waiting;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    Nothing,
    /// Suspend, and say how it went: [`Requests::suspended`]. The machine acknowledges it.
    Suspend,
    /// End, in this way. It was acknowledged.
    End(Request),
    /// Nothing: the request is left as it is. This is said once, not at each look.
    Refused(Request, Refusal),
}

/// Whether a request for a suspend that was given up needs no more looking at: it was answered, or
/// withdrawn. A suspend that was stopped before its acknowledgement leaves the node as it was.
pub fn is_settled<E>(failed: &SuspendFailed<E>) -> bool {
    failed.phase > Phase::Acknowledged || matches!(failed.cause, Cause::Withdrawn)
}

/// Who looks at `control/shutdown`.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    accepts: Accepts,
    duty: Duty,
}

impl Requests {
    /// The node is to be read, by a guest that obeys what `accepts` says.
    #[must_use]
    pub fn new(accepts: Accepts) -> Requests {
        let mut duty = Duty::new(shutdown::NODE);
        duty.ask();
        Requests { accepts, duty }
    }

    /// The node's watch has fired.
    pub fn ask(&mut self) {
        self.duty.ask();
    }

    /// The node is to be read again, for no new reason: after each suspend, whatever came of it.
    pub fn ask_again(&mut self) {
        self.duty.ask_again();
    }

    /// Is the node still to be read or answered, now or after a pause?
    #[must_use]
    pub fn stand(&self) -> bool {
        self.duty.stands()
    }

    /// Reads the node, if that is due, and answers it.
    pub fn look<K: Kernel, W: Waiting>(&mut self, store: &mut Store<K, W>) -> Asked {
        let kernel = store.kernel();
        if !self.duty.is_due(kernel.now()) {
            return Asked::Nothing;
        }
        let tries = Limits::DEFAULT.transaction_tries;
        let received = shutdown::receive(store, Activity::Running, &self.accepts, tries);
        let (request, answer) = match received {
            Ok(received) => received,
            Err(error) => {
                self.duty.failed(kernel.now());
                self.duty.complain(kernel, error.party(), error);
                return Asked::Nothing;
            }
        };
        if (request, answer) == (Request::Suspend, Answer::Obey) {
            return Asked::Suspend;
        }
        self.duty.done();
        match answer {
            Answer::Nothing | Answer::Defer => Asked::Nothing,
            Answer::Refuse(why) if self.duty.is_news(kernel.now(), request) => {
                Asked::Refused(request, why)
            }
            Answer::Refuse(_) => Asked::Nothing,
            Answer::Obey => Asked::End(request),
        }
    }

    /// A suspend is not begun now, for a reason of the kernel's own. The request is left as it is, and
    /// is looked at when somebody asks for it again.
    pub fn refused(&mut self) {
        self.duty.done();
    }

    /// A suspend is over, or was given up; true if the request is [settled](is_settled). Then the node is read once
    /// more: what was written meanwhile is seen so or never. If it is not (it could not be
    /// acknowledged), it still stands, and is looked at after a pause: it would fail as fast as it
    /// can be tried.
    pub fn suspended(&mut self, kernel: impl Kernel, settled: bool) {
        if settled {
            self.duty.done();
            self.duty.ask();
        } else {
            self.duty.failed(kernel.now());
        }
    }
}
