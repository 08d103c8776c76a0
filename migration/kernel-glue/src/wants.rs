//! What a guest wants of xenstore, apart from what it is asked there: a connection, its number, its
//! `feature-*` nodes and its watches. Each stands until it is done, and all of it is due again in a
//! new domain.

use migration::shutdown::{self, Accepts};
use migration::xenstore::{StoreError, Xenstore};
use migration::{Party, Text};

use crate::duty::Duty;
use crate::kernel::Kernel;
use crate::store::Store;
use crate::waiting::Waiting;

/// Whether the watches of this domain number may be reset: not every xenstored knows the request.
const RESET_OFFERED: &str = "control/platform-feature-xs_reset_watches";

/// What became of one [`pursue`](Wants::pursue).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pursued {
    /// xenstored answers.
    pub answered: bool,
    /// The connection was broken, and was made anew.
    pub mended: bool,
}

/// One try at a duty.
type Attempt<'a, K, W> = dyn Fn(&mut Store<K, W>) -> Result<(), StoreError> + 'a;

/// What the guest wants of xenstore.
#[derive(Debug)]
pub struct Wants {
    accepts: Accepts,
    connection: Duty,
    domid: Duty,
    features: Duty,
    watches: Duty,
}

impl Wants {
    /// Everything, as in a new domain. The guest obeys what `accepts` says, and says so in
    /// `control/feature-*`.
    #[must_use]
    pub fn everything(accepts: Accepts) -> Self {
        let mut wants = Wants {
            accepts,
            connection: Duty::new("xenstore"),
            domid: Duty::new("domid"),
            features: Duty::new("control/feature-*"),
            watches: Duty::new("watches"),
        };
        wants.anew();
        wants.watches_anew();
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

    /// Is any of it still to be done, now or after a pause?
    #[must_use]
    pub fn stand(&self) -> bool {
        [&self.connection, &self.domid, &self.features, &self.watches]
            .into_iter()
            .any(Duty::stands)
    }

    /// Does what is due. Stops at the first request that has no answer: the next would wait as
    /// long.
    pub fn pursue<K: Kernel, W: Waiting>(&mut self, store: &mut Store<K, W>) -> Pursued {
        let (connected, mended) = self.connect(store);
        Pursued {
            answered: connected && self.pursue_each(store),
            mended,
        }
    }

    /// Whether the connection stands, and whether it was made anew just now. One that is broken is
    /// made anew when that is due.
    fn connect<K: Kernel, W: Waiting>(&mut self, store: &mut Store<K, W>) -> (bool, bool) {
        if !store.is_broken() {
            return (store.is_there(), false);
        }
        self.connection.ask_again();
        let kernel = store.kernel();
        if !self.connection.is_due(kernel.now()) {
            return (false, false);
        }
        let mended = self.connection.settle(kernel, store.mend());
        if mended {
            self.anew();
            self.watches_anew();
        }
        (mended, mended)
    }

    fn pursue_each<K: Kernel, W: Waiting>(&mut self, store: &mut Store<K, W>) -> bool {
        let (accepts, kernel) = (self.accepts, store.kernel());
        let advertise = |store: &mut Store<K, W>| advertise(store, &accepts);
        let duties: [(&mut Duty, &Attempt<'_, K, W>); 3] = [
            (&mut self.domid, &learn_domid),
            (&mut self.features, &advertise),
            (&mut self.watches, &set_watches),
        ];
        for (duty, attempt) in duties {
            if !duty.is_due(kernel.now()) {
                continue;
            }
            let result = attempt(store);
            let answered = !result.is_err_and(is_unanswered) && !store.is_broken();
            duty.settle(kernel, result);
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
fn learn_domid<K: Kernel, W: Waiting>(store: &mut Store<K, W>) -> Result<(), StoreError> {
    let mut text = [0; 8];
    let len = store.read(None, "domid", &mut text)?;
    let text = &text[..len.min(text.len())];
    let number = core::str::from_utf8(text).ok();
    let Some(domid) = number.and_then(|number| number.parse().ok()) else {
        let text = Text::<8>::new(text);
        let cause = format_args!("`{text}` is no domain number");
        return Err(StoreError::client(Party::Toolstack, cause));
    };
    store.kernel().told_domid(domid);
    Ok(())
}

/// Says which requests the guest obeys. A toolstack may ask before it asks for anything, also in a
/// restored domain.
fn advertise<K: Kernel, W: Waiting>(
    store: &mut Store<K, W>,
    accepts: &Accepts,
) -> Result<(), StoreError> {
    match shutdown::advertise(store, accepts).failed {
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
fn set_watches<K: Kernel, W: Waiting>(store: &mut Store<K, W>) -> Result<(), StoreError> {
    forget_others(store)?;
    let mut result = Ok(());
    for watch in store.watches() {
        match store.watch(watch.path, watch.token) {
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
fn forget_others<K: Kernel, W: Waiting>(store: &mut Store<K, W>) -> Result<(), StoreError> {
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
