//! The xenstore connection: the ring's driver in `xen-bindings`, with the waiting and the reconnecting
//! that it leaves to the kernel. It is `migration`'s [`Xenstore`].

use core::fmt;
use core::time::Duration;

use migration::standing::Repeats;
use migration::xenstore::{StoreError, Tree, Xenstore};
use migration::{Blame, Party};
use xen_bindings::xenstore::{names, Buffers, Client, Error, Notice, Request, Tx};
use xen_bindings::HypercallError;

use crate::doorbell::Doorbell;
use crate::kernel::Kernel;
use crate::waiting::Waiting;

/// Longest wait for an answer. A dom0 on an emulated machine may be away for seconds.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// A node to be watched. Its place in the list is its number in [`Changes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The node, relative to the domain's own directory.
    pub path: &'static str,
    /// The token, another for each.
    pub token: &'static str,
}

/// What changed since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes(u32);

impl Changes {
    /// Nothing is known: all of it may have.
    pub const EVERYTHING: Changes = Changes(u32::MAX);
    /// The most watches that are told apart.
    pub const MOST: usize = 31;

    /// Did a watch fire that is not in the list? Whoever set it, by [`Xenstore::watch`], looks at
    /// what it is about.
    #[must_use]
    pub fn has_others(self) -> bool {
        self.contains(Self::MOST)
    }

    /// Did what the watch of this number is about change?
    #[must_use]
    pub fn contains(self, watch: usize) -> bool {
        self.0 >> watch & 1 != 0
    }
}

/// How the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// The domain has no xenstore.
    Absent,
    /// This domain's ring is not taken up: nothing can be sent.
    Away,
    /// It works, as far as is known.
    Up,
    /// The other side broke the protocol: nothing can be sent until the connection is made anew.
    Broken,
}

/// The connection. There is one.
pub struct Store<K, W> {
    kernel: K,
    waiting: W,
    watches: &'static [Watch],
    /// Until the first ring is taken up.
    buffers: Option<&'static mut Buffers>,
    client: Option<Client<'static, Doorbell>>,
    link: Link,
    /// What was told of a ring that fails while nothing is asked.
    told: Repeats,
}

impl<K: Kernel, W: Waiting> Store<K, W> {
    /// A connection that does not stand yet, and waits as `waiting` says. `watches`, at most
    /// [`Changes::MOST`], are those that [`Wants`](crate::wants::Wants) sets.
    #[must_use]
    pub fn new(
        kernel: K,
        waiting: W,
        watches: &'static [Watch],
        buffers: &'static mut Buffers,
    ) -> Self {
        debug_assert!(watches.len() <= Changes::MOST);
        Store {
            kernel,
            waiting,
            watches,
            buffers: Some(buffers),
            client: None,
            link: Link::Away,
            told: Repeats::NOTHING,
        }
    }

    /// Takes up the ring that the toolstack made: at boot, and in each new domain, where watches and
    /// transactions are gone ([`Wants`](crate::wants::Wants)).
    ///
    /// # Errors
    /// Xen refused a call. The connection is broken then, and this can be called again.
    pub fn attach(&mut self) -> xen_bindings::Result<()> {
        self.link = Link::Away;
        let Some(ring) = self.kernel.store_ring()? else {
            self.link = Link::Absent;
            return Ok(());
        };
        let doorbell = Doorbell(ring.port);
        match (self.client.as_mut(), self.buffers.take()) {
            (Some(client), _) => drop(client.reset(doorbell)),
            (None, Some(buffers)) => self.client = Some(Client::new(ring.page, buffers, doorbell)),
            // The buffers go into the client, which stays.
            (None, None) => {}
        }
        self.waiting.take_up(ring.port)?;
        self.link = Link::Up;
        Ok(())
    }

    /// Drops what the watches have said and nobody has looked at.
    pub fn forget_notices(&mut self) {
        if let Some(client) = self.client.as_mut() {
            while client.next_notice().is_some() {}
        }
    }

    /// Has the domain a xenstore?
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.link != Link::Absent
    }

    /// Is there one that cannot be asked? [`mend`](Self::mend) it.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self.link, Link::Away | Link::Broken)
    }

    /// Makes the connection anew, if the other side offers that.
    ///
    /// # Errors
    /// Why it is still broken.
    pub fn mend(&mut self) -> Result<(), NotMended> {
        match (self.link, self.client.as_mut()) {
            (Link::Broken, Some(client)) => {
                let ring = self.kernel.store_ring().map_err(NotMended::Xen)?;
                let Some(ring) = ring else { return Ok(()) };
                let wait = patience(self.kernel, &mut self.waiting);
                client
                    .reconnect(Doorbell(ring.port), wait)
                    .map_err(NotMended::Store)?;
                self.link = Link::Up;
                Ok(())
            }
            (Link::Away, _) => self.attach().map_err(NotMended::Xen),
            _ => Ok(()),
        }
    }

    /// Takes in what xenstored has sent, and says what changed. It never waits. A kernel that sleeps
    /// calls it first: what a request has brought along raises no event again.
    pub fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        if self.link != Link::Up {
            return changes;
        }
        let Some(client) = self.client.as_mut() else {
            return changes;
        };
        if let Err(error) = client.poll() {
            let party = party_of(&error);
            if matches!(error, Error::Violation(_)) {
                self.link = Link::Broken;
            }
            if self.told.is_news(self.kernel.now(), error) {
                self.kernel.report(party, "xenstore", &error);
            }
        }
        while let Some(notice) = client.next_notice() {
            match notice {
                Notice::Rescan => changes = Changes::EVERYTHING,
                Notice::Event { token, .. } => {
                    let is_it = |watch: &Watch| token == watch.token.as_bytes();
                    let number = self.watches.iter().position(is_it);
                    changes.0 |= 1 << number.unwrap_or(Changes::MOST);
                }
            }
        }
        changes
    }

    /// What is to be watched.
    #[must_use]
    pub fn watches(&self) -> &'static [Watch] {
        self.watches
    }

    /// The kernel.
    pub fn kernel(&self) -> K {
        self.kernel
    }

    /// Waits until something may have come, or for as long as `limit`. By upcall this is one
    /// [`Kernel::relax`]: such a kernel has an idle loop of its own.
    pub fn idle(&mut self, limit: Duration) {
        let until = self.kernel.now() + limit;
        let _ = self.waiting.wait(until);
    }

    /// Forgets the watches of whoever had this domain number before, and half-done transactions.
    ///
    /// # Errors
    /// xenstored's, or no answer.
    pub fn reset_watches(&mut self) -> Result<(), StoreError> {
        self.call(Request::ResetWatches)
    }

    /// Removes a node. One that is not there is removed.
    ///
    /// # Errors
    /// xenstored's, or no answer.
    pub fn remove(&mut self, path: &str) -> Result<(), StoreError> {
        match self.call(Request::Rm { tx: None, path }) {
            Err(StoreError::NotFound) => Ok(()),
            other => other,
        }
    }

    /// Asks by way of the client, and notes if the connection breaks.
    fn ask<T>(
        &mut self,
        how: impl FnOnce(&mut Client<'static, Doorbell>, &mut dyn FnMut() -> bool) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        let client = match (self.link, self.client.as_mut()) {
            (Link::Up, Some(client)) => client,
            (Link::Away, _) => return Err(not_there("its ring is not taken up yet")),
            (Link::Broken, _) => return Err(not_there("the connection is broken")),
            _ => return Err(not_there("the domain has none")),
        };
        let mut wait = patience(self.kernel, &mut self.waiting);
        how(client, &mut wait).map_err(|error| {
            if matches!(error, Error::Violation(_)) {
                self.link = Link::Broken;
            }
            store_error(&error)
        })
    }

    fn call(&mut self, request: Request<'_>) -> Result<(), StoreError> {
        self.ask(|client, wait| client.call(&request, wait).map(drop))
    }
}

/// Waits between two polls; gives up after [`ANSWER_LIMIT`].
fn patience<K: Kernel, W: Waiting>(kernel: K, waiting: &mut W) -> impl FnMut() -> bool + '_ {
    let until = kernel.now() + ANSWER_LIMIT;
    move || waiting.wait(until)
}

fn not_there(why: &'static str) -> StoreError {
    StoreError::client(Party::Toolstack, format_args!("no xenstore: {why}"))
}

fn party_of(error: &Error) -> Party {
    match error {
        Error::BadRequest { .. } | Error::NoReply => Party::Guest,
        Error::Notify(_) => Party::Xen,
        Error::Refused { .. }
        | Error::Violation(_)
        | Error::TimedOut { .. }
        | Error::NoReconnection => Party::Toolstack,
    }
}

/// The client's error as `migration` sorts it, with its cause and the party at fault.
#[must_use]
pub fn store_error(error: &Error) -> StoreError {
    match error {
        Error::Refused { refusal, .. } => StoreError::from_wire(refusal.name().as_bytes()),
        Error::TimedOut { .. } => StoreError::TimedOut,
        _ => StoreError::client(party_of(error), error),
    }
}

/// Why the connection is still broken.
#[derive(Debug)]
pub enum NotMended {
    /// Xen refused a call.
    Xen(HypercallError),
    /// xenstored did not begin it anew.
    Store(Error),
}

impl fmt::Display for NotMended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotMended::Xen(error) => error.fmt(f),
            NotMended::Store(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for NotMended {}

impl Blame for NotMended {
    fn party(&self) -> Party {
        match self {
            NotMended::Xen(_) => Party::Xen,
            NotMended::Store(error) => party_of(error),
        }
    }
}

impl<K: Kernel, W: Waiting> Xenstore for Store<K, W> {
    type Tx = Tx;

    fn read(&mut self, tx: Option<Tx>, path: &str, buf: &mut [u8]) -> Result<usize, StoreError> {
        self.ask(|client, wait| {
            let value = client.call(&Request::Read { tx, path }, wait)?;
            let len = value.len().min(buf.len());
            buf[..len].copy_from_slice(&value[..len]);
            Ok(value.len())
        })
    }

    fn write(&mut self, tx: Option<Tx>, path: &str, value: &[u8]) -> Result<(), StoreError> {
        self.call(Request::Write { tx, path, value })
    }

    fn transaction_start(&mut self) -> Result<Tx, StoreError> {
        self.ask(|client, wait| client.transaction_start(wait))
    }

    fn transaction_end(&mut self, tx: Tx, commit: bool) -> Result<(), StoreError> {
        match self.ask(|client, wait| client.transaction_end(tx, commit, wait))? {
            true => Ok(()),
            false => Err(StoreError::Again),
        }
    }

    fn watch(&mut self, path: &str, token: &str) -> Result<(), StoreError> {
        match self.call(Request::Watch { path, token }) {
            // Set already: after a cancelled suspend, say.
            Err(StoreError::Exists) => Ok(()),
            other => other,
        }
    }
}

impl<K: Kernel, W: Waiting> Tree for Store<K, W> {
    fn list(&mut self, path: &str, each: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        let directory = Request::Directory { tx: None, path };
        self.ask(|client, wait| {
            let reply = client.call(&directory, wait)?;
            // A name that is no text is none of a device's.
            names(reply)
                .filter_map(|name| core::str::from_utf8(name).ok())
                .for_each(each);
            Ok(())
        })
    }

    fn remove(&mut self, path: &str) -> Result<(), StoreError> {
        self.call(Request::Rm { tx: None, path })
    }

    fn unwatch(&mut self, path: &str, token: &str) -> Result<(), StoreError> {
        self.call(Request::Unwatch { path, token })
    }
}
