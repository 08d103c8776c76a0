//! A device's place in xenstore: its own folder and its backend's.

use core::fmt;

use migration::xenstore::{StoreError, Xenstore as _};
use migration::Text;

use crate::error::{Name, Problem};
use crate::kernel::Kernel;
use crate::path::{self, Path};
use crate::state::State;
use crate::Tree;

/// The highest domain number is below this (`DOMID_FIRST_RESERVED`, `xen.h`).
const DOMAINS: u64 = 0x7ff0;

/// What a `state` node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is not there, or may not be read.
    Nothing,
    /// 0, or no number of a state.
    Nonsense,
    /// A state.
    State(State),
}

/// A device and its backend, as xenstore named them when it was found.
#[derive(Clone, Copy)]
pub struct Peer {
    name: Name,
    dir: Path,
    backend: Path,
    domain: u16,
}

impl Peer {
    /// Looks a device up. `None` if there is none of this name, or none complete.
    pub(crate) fn find<K: Kernel>(kernel: &mut K, name: Name) -> Result<Option<Peer>, Problem> {
        let dir = Path::new(format_args!("device/{}/{}", name.kind, name.number))?;
        let tree = kernel.tree();
        let mut buf = [0; 128];
        let Some(backend) = path::text(tree, dir.as_str(), "backend", &mut buf)? else {
            return Ok(None);
        };
        let text = core::str::from_utf8(backend).ok();
        let text = text.filter(|t| t.starts_with('/') && t.bytes().all(|b| b.is_ascii_graphic()));
        let Some(text) = text else {
            let value = Text::new(backend);
            let node = "backend";
            return Err(Problem::Value { node, value });
        };
        let backend = Path::new(format_args!("{text}"))?;
        let domain = path::number(tree, dir.as_str(), "backend-id")?;
        let domain = domain.ok_or(Problem::Missing("backend-id"))?;
        if domain >= DOMAINS {
            let node = "backend-id";
            let mut digits = [0; 24];
            let value = path::text(tree, dir.as_str(), node, &mut digits)?.unwrap_or(b"");
            let value = Text::new(value);
            return Err(Problem::Value { node, value });
        }
        Ok(Some(Peer {
            name,
            dir,
            backend,
            domain: domain as u16,
        }))
    }

    /// Which device.
    pub fn name(&self) -> Name {
        self.name
    }

    /// The device's own folder, relative to the domain's.
    pub fn dir(&self) -> &str {
        self.dir.as_str()
    }

    /// The backend's folder.
    pub fn backend(&self) -> &str {
        self.backend.as_str()
    }

    /// The backend's domain.
    pub fn domain(&self) -> u16 {
        self.domain
    }

    /// Whether both name the same backend.
    pub(crate) fn is_same(&self, other: &Peer) -> bool {
        self.domain == other.domain && self.backend.as_str() == other.backend.as_str()
    }

    /// Reads the backend's state.
    pub(crate) fn state<K: Kernel>(&self, kernel: &mut K) -> Result<Seen, Problem> {
        match path::number(kernel.tree(), self.backend.as_str(), "state") {
            Ok(None) => Ok(Seen::Nothing),
            Ok(Some(number)) => Ok(State::from_number(number).map_or(Seen::Nonsense, Seen::State)),
            Err(Problem::Value { .. }) => Ok(Seen::Nonsense),
            Err(problem) => Err(problem),
        }
    }

    /// Whether the toolstack wants the device to be there: a backend that closes while it does
    /// comes back. Missing is yes, as for a backend that does not know the node.
    pub(crate) fn is_online<K: Kernel>(&self, kernel: &mut K) -> Result<bool, Problem> {
        let online = path::number(kernel.tree(), self.backend.as_str(), "online")?;
        Ok(online != Some(0))
    }

    /// Says where the frontend is.
    pub(crate) fn announce<K: Kernel>(&self, kernel: &mut K, state: State) -> Result<(), Problem> {
        path::put(kernel.tree(), self.dir.as_str(), "state", state)
    }

    /// Sets the watch on the backend's state.
    pub(crate) fn watch<K: Kernel>(&self, kernel: &mut K) -> Result<(), Problem> {
        let node = Path::new(format_args!("{}/state", self.backend()))?;
        let token = token(self.name)?;
        match kernel.tree().watch(node.as_str(), token.as_str()) {
            Ok(()) | Err(StoreError::Exists) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the watch. It may be gone already, with its connection.
    pub(crate) fn unwatch<K: Kernel>(&self, kernel: &mut K) {
        let node = Path::new(format_args!("{}/state", self.backend()));
        if let (Ok(node), Ok(token)) = (node, token(self.name)) {
            if let Err(error) = kernel.tree().unwatch(node.as_str(), token.as_str()) {
                log::debug!("{}: its watch was not ended: {error}", self.name);
            }
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.backend())
    }
}

/// The token of a device's watch.
pub(crate) fn token(name: Name) -> Result<Path, Problem> {
    Path::new(format_args!("frontend/{}/{}", name.kind, name.number))
}
