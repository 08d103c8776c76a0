//! The xenstore connection: the ring driver of `xen-bindings` with the waiting that it leaves to the kernel.

use migration::xenstore::{StoreError, Xenstore};
use spin::{Mutex, MutexGuard};
use xen_bindings::xenstore::{self as wire, Buffers, Error, Notice, Request, Tx};

use crate::events::Doorbell;
use crate::report::{self, Party};
use crate::{arch, cmdline, events, time, xen};

/// Longest wait for an answer, nanoseconds. A dom0 on an emulated machine may be away for seconds.
const ANSWER_LIMIT: u64 = 20_000_000_000;

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
    const ALL: [Change; 4] = [Change::Shutdown, Change::Availability, Change::Ping, Change::Memory];

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

/// The connection. A domain without xenstore has one that refuses everything.
pub struct Store {
    client: Option<wire::Xenstore<'static, Doorbell>>,
}

/// 16 KiB that are never on a stack.
static BUFFERS: Mutex<Buffers> = Mutex::new(Buffers::new());

impl Store {
    /// Connects to the ring that the toolstack made. Once.
    pub fn connect() -> xen_bindings::Result<Store> {
        let Some(ring) = arch::xen::store_ring()? else {
            return Ok(Store { client: None });
        };
        let buffers = MutexGuard::leak(BUFFERS.lock());
        let client = wire::Xenstore::new(arch::xen::store_page(ring), buffers, Doorbell(ring.port));
        events::listen(0, ring.port)?;
        Ok(Store { client: Some(client) })
    }

    /// Begins anew with the ring of a restored domain.
    pub fn reconnect(&mut self) -> xen_bindings::Result<()> {
        let (Some(client), Some(ring)) = (self.client.as_mut(), arch::xen::store_ring()?) else {
            return Ok(());
        };
        client.reset(Doorbell(ring.port));
        if cmdline::options().switches.no_reread() {
            // Events that waited, the one of our own acknowledgement among them, have become one "look at everything",
            // which would do the very thing that is to be left out.
            while client.next_notice().is_some() {}
        }
        events::listen(0, ring.port)
    }

    /// Has the domain a xenstore?
    pub fn is_there(&self) -> bool {
        self.client.is_some()
    }

    /// Takes in what xenstored has sent, and says what changed.
    pub fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        let Some(client) = self.client.as_mut() else {
            return changes;
        };
        match client.poll() {
            // Reported where it first kept a request from being answered.
            Ok(_) | Err(Error::Violation(_)) => {}
            Err(error) => report::error(Party::Xen, "xenstore", error),
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
        self.call(Request::ResetWatches).map(drop)
    }

    fn client(&mut self) -> Result<&mut wire::Xenstore<'static, Doorbell>, StoreError> {
        self.client
            .as_mut()
            .ok_or(StoreError::Other("nothing: the domain has no xenstore"))
    }

    fn call(&mut self, request: Request<'_>) -> Result<&[u8], StoreError> {
        self.client()?
            .call(&request, patience())
            .map_err(|error| translate(&error))
    }
}

/// Waits between two polls; gives up after [`ANSWER_LIMIT`].
fn patience() -> impl FnMut() -> bool {
    let deadline = time::now() + ANSWER_LIMIT;
    move || {
        xen::yield_cpu();
        time::now() < deadline
    }
}

fn translate(error: &Error) -> StoreError {
    match error {
        Error::Refused { refusal, .. } => StoreError::from_wire(refusal.name().as_bytes()),
        Error::TimedOut { .. } => StoreError::TimedOut,
        Error::Violation(_) => {
            report::error(Party::Toolstack, "xenstore", error);
            StoreError::Other("something against its own protocol")
        }
        Error::BadRequest { .. } | Error::NoReply => {
            report::error(Party::Guest, "xenstore", error);
            StoreError::Other("nothing: the request was not sent")
        }
        Error::Notify(_) => StoreError::Other("nothing: Xen refused its event"),
        Error::NoReconnection => StoreError::Other("nothing: it does not offer a new connection"),
    }
}

impl Xenstore for Store {
    type Tx = Tx;

    fn read(&mut self, tx: Option<Tx>, path: &str, buf: &mut [u8]) -> Result<usize, StoreError> {
        let tx = tx.unwrap_or(Tx::NONE);
        let value = self.call(Request::Read { tx, path })?;
        let len = value.len().min(buf.len());
        buf[..len].copy_from_slice(&value[..len]);
        Ok(value.len())
    }

    fn write(&mut self, tx: Option<Tx>, path: &str, value: &[u8]) -> Result<(), StoreError> {
        let tx = tx.unwrap_or(Tx::NONE);
        self.call(Request::Write { tx, path, value }).map(drop)
    }

    fn transaction_start(&mut self) -> Result<Tx, StoreError> {
        let tx = self.client()?.transaction_start(patience());
        tx.map_err(|error| translate(&error))
    }

    fn transaction_end(&mut self, tx: Tx, commit: bool) -> Result<(), StoreError> {
        match self.client()?.transaction_end(tx, commit, patience()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Again),
            Err(error) => Err(translate(&error)),
        }
    }

    fn watch(&mut self, path: &str, token: &str) -> Result<(), StoreError> {
        match self.call(Request::Watch { path, token }) {
            // Set already: after a cancelled suspend, say.
            Err(StoreError::Exists) => Ok(()),
            other => other.map(drop),
        }
    }
}
