//! What vCPU 0 has to do by way of xenstore. Each stands until it is done: no single error leaves
//! the guest deaf.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use migration::shutdown::{self, Accepts};
use migration::standing::{Repeats, Standing};
use migration::xenstore::{StoreError, Xenstore};

use crate::cmdline;
use crate::xen::report::{self, Party};
use crate::xen::store::{Change, NotMended, Store};
use crate::xen::{calls, time};

/// Whether the watches of this domain number may be reset: not every xenstored knows the request.
const RESET_OFFERED: &str = "control/platform-feature-xs_reset_watches";

/// `control/shutdown` and `cpu/` are to be read again, whatever the watches say.
static LOOK_AGAIN: AtomicBool = AtomicBool::new(false);

/// Has the nodes read again at vCPU 0's next pass.
pub fn look_again() {
    LOOK_AGAIN.store(true, Ordering::Relaxed);
}

/// Was that asked for since the last question?
pub fn take_look_again() -> bool {
    LOOK_AGAIN.swap(false, Ordering::Relaxed)
}

/// Now, on the clock that pauses are counted by.
fn now() -> Duration {
    Duration::from_nanos(time::now())
}

/// One thing to be done, and what was told of its failures.
#[derive(Clone, Copy)]
pub struct Duty {
    /// What errors name.
    place: &'static str,
    standing: Standing,
    told: Repeats,
}

impl Duty {
    /// Nothing is to be done yet.
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
    pub fn is_due(&self) -> bool {
        self.standing.is_due(now())
    }

    /// Is it still to be done, now or after a pause?
    pub fn stands(&self) -> bool {
        self.standing.stands()
    }

    /// It was done, or is wanted no more.
    pub fn done(&mut self) {
        self.standing.done();
    }

    /// It could not be done: to be tried again after a pause, which grows.
    pub fn failed(&mut self) {
        if cmdline::options().switches.store_once() {
            return self.standing.done();
        }
        self.standing.failed(now());
    }

    /// Tells of something about it, unless that was told already.
    pub fn complain(&mut self, party: Party, message: impl fmt::Display) {
        if self.is_news(&message) {
            report::error(party, self.place, message);
        }
    }

    /// Is this to be told now?
    pub fn is_news(&mut self, message: impl fmt::Display) -> bool {
        self.told.is_news(now(), message)
    }

    /// Notes how a try ended; `party` is at fault if it failed. Gives whether it did not.
    pub fn settle<E: fmt::Display>(&mut self, result: Result<(), E>, party: Party) -> bool {
        match result {
            Ok(()) => self.done(),
            Err(error) => {
                self.failed();
                self.complain(party, error);
                return false;
            }
        }
        true
    }
}

/// One try at a duty.
type Attempt = fn(&mut Store) -> Result<(), StoreError>;

/// What the guest wants of xenstore, apart from what it is asked there.
pub struct Wants {
    connection: Duty,
    domid: Duty,
    features: Duty,
    watches: Duty,
}

impl Wants {
    /// Everything, as in a new domain.
    pub fn everything() -> Self {
        let mut wants = Wants {
            connection: Duty::new("xenstore"),
            domid: Duty::new("domid"),
            features: Duty::new("control/feature-*"),
            watches: Duty::new("watches"),
        };
        wants.anew();
        wants.watches.ask();
        wants
    }

    /// What was written and learnt in another domain is written and learnt in this one.
    pub fn anew(&mut self) {
        self.domid.ask();
        self.features.ask();
    }

    /// So are the watches.
    pub fn watches_anew(&mut self) {
        self.watches.ask();
    }

    /// Is any of it still to be done?
    pub fn stand(&self) -> bool {
        [&self.connection, &self.domid, &self.features, &self.watches]
            .into_iter()
            .any(Duty::stands)
    }

    /// Does what is due. Stops at the first request that has no answer: the next would wait as
    /// long.
    ///
    /// Gives whether xenstored answers.
    pub fn pursue(&mut self, store: &mut Store) -> bool {
        self.connect(store) && self.pursue_each(store)
    }

    /// Whether the connection stands. One that is broken is made anew when that is due.
    fn connect(&mut self, store: &mut Store) -> bool {
        if !store.is_broken() {
            return store.is_there();
        }
        self.connection.ask_again();
        if !self.connection.is_due() {
            return false;
        }
        let mended = store.mend();
        let party = match mended {
            Err(NotMended::Xen(_)) => Party::Xen,
            _ => Party::Toolstack,
        };
        if !self.connection.settle(mended, party) {
            return false;
        }
        report::event("xenstore")
            .text("is", "connected-anew")
            .send();
        self.anew();
        self.watches_anew();
        true
    }

    fn pursue_each(&mut self, store: &mut Store) -> bool {
        let duties: [(&mut Duty, Attempt); 3] = [
            (&mut self.domid, learn_domid),
            (&mut self.features, advertise),
            (&mut self.watches, set_watches),
        ];
        for (duty, attempt) in duties {
            if !duty.is_due() {
                continue;
            }
            let result = attempt(store);
            let answered = !result.is_err_and(is_unanswered) && !store.is_broken();
            duty.settle(result, Party::Toolstack);
            if !answered {
                return false;
            }
        }
        true
    }
}

/// Whether nobody answers, rather than somebody that says no.
fn is_unanswered(error: StoreError) -> bool {
    error == StoreError::TimedOut
}

/// Asks xenstore for the domain's number, which nobody else tells a PV guest.
fn learn_domid(store: &mut Store) -> Result<(), StoreError> {
    let mut text = [0; 8];
    let len = store.read(None, "domid", &mut text)?;
    let number = core::str::from_utf8(&text[..len.min(text.len())]).ok();
    let domid = number.and_then(|number| number.parse().ok());
    calls::set_domid(domid.ok_or(StoreError::Other("no number for this domain"))?);
    Ok(())
}

/// Says which requests the guest obeys. A toolstack may ask before it asks for anything, also in a
/// restored domain.
fn advertise(store: &mut Store) -> Result<(), StoreError> {
    match shutdown::advertise(store, &Accepts::USUAL).failed {
        // Older toolstacks make no such node; the requests are obeyed all the same.
        Some((node, error @ (StoreError::Denied | StoreError::NotFound))) => {
            log::warn!("{node}: {error}");
            Ok(())
        }
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Sets the watches; each fires once at once. One that is refused does not keep the others from
/// being set.
fn set_watches(store: &mut Store) -> Result<(), StoreError> {
    forget_others(store)?;
    let mut result = Ok(());
    for change in Change::ALL {
        match store.watch(change.path(), change.token()) {
            Err(error) if is_unanswered(error) => return Err(error),
            one => result = result.and(one),
        }
    }
    result
}

/// Has xenstored forget the watches and transactions of whoever had this domain number before,
/// where it offers that.
///
/// It is no part of a transaction (XSA-484).
fn forget_others(store: &mut Store) -> Result<(), StoreError> {
    let mut offered = [0; 1];
    match store.read(None, RESET_OFFERED, &mut offered) {
        Ok(1) if offered == *b"1" => {}
        Err(error) if is_unanswered(error) => return Err(error),
        _ => return Ok(()),
    }
    match store.reset_watches() {
        Err(error) if is_unanswered(error) => Err(error),
        // Watches that are set twice are said to exist, which is as good.
        Err(error) => {
            log::warn!("resetting the watches: {error}");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
