//! The xenstore connection: the ring driver of `xen-bindings` with the waiting that it leaves to
//! the kernel.

use core::fmt;
use core::time::Duration;

use migration::balloon::TARGET;
use migration::standing::Repeats;
use migration::xenstore::{StoreError, Xenstore};
use migration::{availability, shutdown};
use spin::{Mutex, MutexGuard};
use xen_bindings::xenstore::{self as wire, Buffers, Error, Notice, Request, Tx};

use crate::xen::ports::{self, Doorbell};
use crate::xen::report::{self, Party};
use crate::xen::{calls, time};
use crate::{arch, cmdline};

/// Longest wait for an answer, nanoseconds. A dom0 on an emulated machine may be away for seconds.
const ANSWER_LIMIT: u64 = 20_000_000_000;

/// Where somebody in dom0 asks whether the guest lives.
pub const PING: &str = "data/ping";

/// What a watch is about; its token tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `control/shutdown`.
    Shutdown,
    /// `cpu/*/availability`.
    Availability,
    /// `data/ping`.
    Ping,
    /// `memory/target`.
    Memory,
}

impl Change {
    /// Every one.
    pub const ALL: [Change; 4] = [
        Change::Shutdown,
        Change::Availability,
        Change::Ping,
        Change::Memory,
    ];

    /// What is watched.
    pub fn path(self) -> &'static str {
        match self {
            Change::Shutdown => shutdown::NODE,
            Change::Availability => availability::WATCH,
            Change::Ping => PING,
            Change::Memory => TARGET,
        }
    }

    /// The token of the watch.
    pub fn token(self) -> &'static str {
        match self {
            Change::Shutdown => "shutdown",
            Change::Availability => "availability",
            Change::Ping => "ping",
            Change::Memory => "memory",
        }
    }
}

/// What changed since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes(u8);

impl Changes {
    const EVERYTHING: Changes = Changes(0xff);

    /// Did this change?
    pub fn contains(self, change: Change) -> bool {
        self.0 >> change as u8 & 1 != 0
    }
}

type Client = wire::Client<'static, Doorbell>;

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

/// The connection.
pub struct Store {
    client: Option<Client>,
    link: Link,
    /// What was told of a ring that fails while nothing is asked.
    told: Repeats,
}

/// 16 KiB that are never on a stack.
static BUFFERS: Mutex<Buffers> = Mutex::new(Buffers::new());

impl Store {
    /// A connection that does not stand yet. There is one.
    pub fn new() -> Store {
        Store {
            client: None,
            link: Link::Away,
            told: Repeats::NOTHING,
        }
    }

    /// Takes up the ring that the toolstack made: at boot, and in each new domain.
    ///
    /// # Errors
    /// Xen refused a call. The connection is broken then, and this can be called again.
    pub fn attach(&mut self) -> xen_bindings::Result<()> {
        self.link = Link::Away;
        let Some(ring) = arch::rings::store_ring()? else {
            self.link = Link::Absent;
            return Ok(());
        };
        match self.client.as_mut() {
            Some(client) => drop(client.reset(Doorbell(ring.port()))),
            None => {
                let buffers = MutexGuard::leak(BUFFERS.lock());
                let page = ring.page();
                self.client = Some(wire::Client::new(page, buffers, Doorbell(ring.port())));
            }
        }
        if cmdline::options().switches.no_reread() {
            // Events that waited, the one of our own acknowledgement among them, have become one
            // "look at everything", which would do the very thing that is to be left out.
            while self
                .client
                .as_mut()
                .is_some_and(|client| client.next_notice().is_some())
            {}
        }
        ports::listen(0, ring.port())?;
        self.link = Link::Up;
        Ok(())
    }

    /// Has the domain a xenstore?
    pub fn is_there(&self) -> bool {
        self.link != Link::Absent
    }

    /// Is there one that cannot be asked? [`mend`](Self::mend) it.
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
                let port = arch::rings::store_ring()
                    .map_err(NotMended::Xen)?
                    .map(|ring| ring.port());
                let Some(port) = port else { return Ok(()) };
                client
                    .reconnect(Doorbell(port), patience())
                    .map_err(NotMended::Store)?;
                self.link = Link::Up;
                Ok(())
            }
            (Link::Away, _) => self.attach().map_err(NotMended::Xen),
            _ => Ok(()),
        }
    }

    /// Takes in what xenstored has sent, and says what changed.
    pub fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        if self.link != Link::Up {
            return changes;
        }
        let Some(client) = self.client.as_mut() else {
            return changes;
        };
        if let Err(error) = client.poll() {
            let party = match error {
                Error::Violation(_) => Party::Toolstack,
                _ => Party::Xen,
            };
            if party == Party::Toolstack {
                self.link = Link::Broken;
            }
            if self.told.is_news(Duration::from_nanos(time::now()), error) {
                report::error(party, "xenstore", error);
            }
        }
        while let Some(notice) = client.next_notice() {
            match notice {
                Notice::Rescan => changes = Changes::EVERYTHING,
                Notice::Event { token, .. } => {
                    for change in Change::ALL {
                        if token == change.token().as_bytes() {
                            changes.0 |= 1 << change as u8;
                        }
                    }
                }
            }
        }
        changes
    }

    /// Forgets the watches of whoever had this domain number before, and half-done transactions.
    pub fn reset_watches(&mut self) -> Result<(), StoreError> {
        self.call(Request::ResetWatches)
    }

    /// Removes a node. One that is not there is removed.
    pub fn remove(&mut self, path: &str) -> Result<(), StoreError> {
        match self.call(Request::Rm { tx: None, path }) {
            Err(StoreError::NotFound) => Ok(()),
            other => other,
        }
    }

    fn client(&mut self) -> Result<&mut Client, StoreError> {
        match (self.link, self.client.as_mut()) {
            (Link::Absent, _) | (_, None) => Err(not_there("the domain has no xenstore")),
            (Link::Away, _) => Err(not_there("xenstore's ring is not taken up yet")),
            (Link::Broken, _) => Err(not_there("the connection to xenstored is broken")),
            (Link::Up, Some(client)) => Ok(client),
        }
    }

    /// Asks by way of the client, and notes if the connection breaks.
    fn ask<T>(
        &mut self,
        how: impl FnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        how(self.client()?).map_err(|error| {
            if matches!(error, Error::Violation(_)) {
                self.link = Link::Broken;
            }
            translate(&error)
        })
    }

    fn call(&mut self, request: Request<'_>) -> Result<(), StoreError> {
        self.ask(|client| client.call(&request, patience()).map(drop))
    }
}

/// Why the connection is still broken.
#[derive(Debug)]
pub enum NotMended {
    /// Xen refused a call.
    Xen(xen_bindings::HypercallError),
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

/// Waits between two polls; gives up after [`ANSWER_LIMIT`].
fn patience() -> impl FnMut() -> bool {
    let deadline = time::now() + ANSWER_LIMIT;
    move || {
        calls::yield_cpu();
        time::now() < deadline
    }
}

fn not_there(why: &'static str) -> StoreError {
    StoreError::client(Party::Toolstack, why)
}

fn translate(error: &Error) -> StoreError {
    let party = match error {
        Error::Refused { refusal, .. } => return StoreError::from_wire(refusal.name().as_bytes()),
        Error::TimedOut { .. } => return StoreError::TimedOut,
        Error::BadRequest { .. } | Error::NoReply => Party::Guest,
        Error::Notify(_) => Party::Xen,
        Error::Violation(_) | Error::NoReconnection => Party::Toolstack,
    };
    StoreError::client(party, error)
}

impl Xenstore for Store {
    type Tx = Tx;

    fn read(&mut self, tx: Option<Tx>, path: &str, buf: &mut [u8]) -> Result<usize, StoreError> {
        self.ask(|client| {
            let value = client.call(&Request::Read { tx, path }, patience())?;
            let len = value.len().min(buf.len());
            buf[..len].copy_from_slice(&value[..len]);
            Ok(value.len())
        })
    }

    fn write(&mut self, tx: Option<Tx>, path: &str, value: &[u8]) -> Result<(), StoreError> {
        self.call(Request::Write { tx, path, value })
    }

    fn transaction_start(&mut self) -> Result<Tx, StoreError> {
        self.ask(|client| client.transaction_start(patience()))
    }

    fn transaction_end(&mut self, tx: Tx, commit: bool) -> Result<(), StoreError> {
        match self.ask(|client| client.transaction_end(tx, commit, patience()))? {
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
