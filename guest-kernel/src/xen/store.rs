//! The xenstore connection: `kernel-glue`'s, and what this guest watches.

use kernel_glue::store::{self, Changes, Watch};
use kernel_glue::waiting::ByUpcall;
use migration::balloon::TARGET;
use migration::{availability, shutdown};
use spin::{Mutex, MutexGuard};
use xen_bindings::xenstore::Buffers;
use xen_bindings::Result;

use crate::cmdline;
use crate::xen::here::Here;

/// Where somebody in dom0 asks whether the guest lives.
pub const PING: &str = "data/ping";

/// The connection.
pub type Store = store::Store<Here, ByUpcall<Here>>;

/// What a watch is about: its place among the [`WATCHES`].
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
    /// Is this one among those?
    pub fn is_in(self, changes: Changes) -> bool {
        changes.contains(self as usize)
    }
}

const WATCHES: &[Watch] = &[
    Watch {
        path: shutdown::NODE,
        token: "shutdown",
    },
    Watch {
        path: availability::WATCH,
        token: "availability",
    },
    Watch {
        path: PING,
        token: "ping",
    },
    Watch {
        path: TARGET,
        token: "memory",
    },
];

/// 16 KiB that are never on a stack.
static BUFFERS: Mutex<Buffers> = Mutex::new(Buffers::new());

/// A connection that does not stand yet. Once: there is one set of buffers.
pub fn new() -> Store {
    let buffers = MutexGuard::leak(BUFFERS.lock());
    Store::new(Here, ByUpcall::new(Here), WATCHES, buffers)
}

/// Takes up the ring that the toolstack made: at boot, and in each new domain.
///
/// # Errors
/// Xen refused a call. The connection is broken then, and this can be called again.
pub fn attach(store: &mut Store) -> Result<()> {
    store.attach()?;
    if cmdline::options().switches.no_reread() {
        // Events that waited, the one of our own acknowledgement among them, have become one "look
        // at everything", which would do the very thing that is to be left out.
        store.forget_notices();
    }
    Ok(())
}
