//! The protocol of `cpu/N/availability`: which vCPUs the toolstack wants online.
//!
//! `xl vcpu-set` writes `online` or `offline` to one node per possible vCPU
//! (`libxl__set_vcpuonline_xenstore`, `tools/libs/light/libxl_domain.c:1722`); the guest is
//! "expected to react" (`docs/misc/xenstore-paths.pandoc`). For PV and PVH this is the only
//! channel. The guest follows these rules:
//!
//! - A node that is missing or says something else leaves its vCPU as it is. Linux does the same.
//! - vCPU 0 stays: it makes the suspend hypercall, and Xen turns the last vCPU's going down into a
//!   power-off of the domain (`VCPUOP_down`, `xen/common/domain.c:1940`).
//! - The nodes describe a state, not actions: reading them twice, or after a hundred watch events,
//!   leads to the same state. So all of them are read each time, and the path of a watch event is
//!   ignored.

use core::fmt::{self, Write};

use crate::text::{Buf, Text};
use crate::xenstore::{StoreError, Xenstore};

/// The greatest number of vCPUs that can be handled: Xen's limit for HVM and PVH.
#[doc(alias = "HVM_MAX_VCPUS")]
pub const MAX_CPUS: usize = 128;

/// The directory to watch.
pub const WATCH: &str = "cpu";

/// A set of vCPUs by number, 0 to [`MAX_CPUS`]` - 1`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CpuSet(u128);

impl CpuSet {
    /// No vCPU.
    pub const EMPTY: CpuSet = CpuSet(0);

    /// The vCPUs 0 to `count - 1`; `count` above [`MAX_CPUS`] counts as that.
    pub const fn first(count: usize) -> CpuSet {
        if count >= MAX_CPUS {
            CpuSet(u128::MAX)
        } else {
            CpuSet((1 << count) - 1)
        }
    }

    /// Whether vCPU `cpu` is in the set. A number out of range is in none.
    pub const fn contains(self, cpu: usize) -> bool {
        cpu < MAX_CPUS && self.0 & (1 << cpu) != 0
    }

    /// The set with vCPU `cpu`. A number out of range changes nothing.
    #[must_use]
    pub const fn with(self, cpu: usize) -> CpuSet {
        if cpu < MAX_CPUS {
            CpuSet(self.0 | 1 << cpu)
        } else {
            self
        }
    }

    /// The set without vCPU `cpu`.
    #[must_use]
    pub const fn without(self, cpu: usize) -> CpuSet {
        if cpu < MAX_CPUS {
            CpuSet(self.0 & !(1 << cpu))
        } else {
            self
        }
    }

    /// The vCPUs that are in both.
    #[must_use]
    pub const fn and(self, other: CpuSet) -> CpuSet {
        CpuSet(self.0 & other.0)
    }

    /// The vCPUs that are in one or both.
    #[must_use]
    pub const fn or(self, other: CpuSet) -> CpuSet {
        CpuSet(self.0 | other.0)
    }

    /// The vCPUs of this set that are not in `other`.
    #[must_use]
    pub const fn minus(self, other: CpuSet) -> CpuSet {
        CpuSet(self.0 & !other.0)
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The numbers, rising.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = usize> {
        (0..MAX_CPUS).filter(move |cpu| self.contains(*cpu))
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> CpuSet {
        cpus.into_iter().fold(CpuSet::EMPTY, CpuSet::with)
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The value of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// `online`: the vCPU should run.
    Online,
    /// `offline`: the vCPU should not run.
    Offline,
}

impl Availability {
    /// Reads a node's value. One closing NUL is ignored. An unknown value comes back for the
    /// message.
    pub fn parse(value: &[u8]) -> Result<Availability, Text> {
        match value.strip_suffix(b"\0").unwrap_or(value) {
            b"online" => Ok(Availability::Online),
            b"offline" => Ok(Availability::Offline),
            junk => Err(Text::new(junk)),
        }
    }
}

/// Something in the nodes that could not be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The node says neither `online` nor `offline`.
    Junk {
        /// The vCPU.
        cpu: usize,
        /// What the node says.
        value: Text,
    },
    /// The node could not be read.
    Unreadable {
        /// The vCPU.
        cpu: usize,
        /// Why.
        error: StoreError,
    },
    /// vCPU 0 is wanted offline. It stays.
    Cpu0,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Complaint::Junk { cpu, value } => {
                write!(
                    f,
                    "cpu/{cpu}/availability says \"{value}\": vCPU {cpu} stays as it is"
                )
            }
            Complaint::Unreadable { cpu, error } => {
                write!(
                    f,
                    "cpu/{cpu}/availability: {error}: vCPU {cpu} stays as it is"
                )
            }
            Complaint::Cpu0 => f.write_str("vCPU 0 is wanted offline: it stays"),
        }
    }
}

/// What the toolstack wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// vCPUs that should be online.
    pub online: CpuSet,
    /// vCPUs that should be offline. Never vCPU 0.
    pub offline: CpuSet,
}

/// Reads all the nodes of a domain with `max` possible vCPUs (more than [`MAX_CPUS`] count as
/// that).
///
/// A vCPU whose node is missing is in neither set. Neither is one whose node cannot be followed;
/// that is passed to `complain`. One bad node does not keep the others from being followed. Only
/// when xenstored does not answer ([`StoreError::TimedOut`]) are the rest not read.
pub fn read_wanted<X: Xenstore + ?Sized>(
    xs: &mut X,
    max: usize,
    mut complain: impl FnMut(Complaint),
) -> Wanted {
    let mut wanted = Wanted::default();
    for cpu in 0..max.min(MAX_CPUS) {
        let mut path: Buf<32> = Buf::new();
        // 20 digits would still fit: nothing is cut.
        let _ = write!(path, "cpu/{cpu}/availability");
        let mut value = [0; 40];
        let len = match xs.read(None, path.as_str(), &mut value) {
            Ok(len) => len.min(value.len()),
            Err(StoreError::NotFound) => continue,
            Err(error) => {
                complain(Complaint::Unreadable { cpu, error });
                if error == StoreError::TimedOut {
                    break;
                }
                continue;
            }
        };
        match Availability::parse(&value[..len]) {
            Ok(Availability::Online) => wanted.online = wanted.online.with(cpu),
            Ok(Availability::Offline) if cpu == 0 => complain(Complaint::Cpu0),
            Ok(Availability::Offline) => wanted.offline = wanted.offline.with(cpu),
            Err(value) => complain(Complaint::Junk { cpu, value }),
        }
    }
    wanted
}

/// One step towards what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Bring this vCPU online.
    Online(usize),
    /// Take this vCPU offline.
    Offline(usize),
}

/// The steps of one round: each vCPU that is not as wanted, at most `max_actions` of them.
///
/// vCPUs come before vCPUs go, those that come in rising and those that go in falling order.
/// Calling it again with the state reached gives the rest, and nothing at all when there is none:
/// it is idempotent. vCPU 0 is never taken offline, whatever `wanted` says, and neither is the last
/// one.
pub fn plan(wanted: &Wanted, actual: CpuSet, max_actions: usize) -> impl Iterator<Item = Action> {
    let up = wanted.online.minus(actual);
    let down = wanted.offline.minus(wanted.online).and(actual).without(0);
    // If vCPU 0 is not among those online (the caller's count is wrong), keep one of the others.
    let keep = if actual.or(up).minus(down).is_empty() {
        down.iter().next()
    } else {
        None
    };
    up.iter()
        .map(Action::Online)
        .chain(
            down.iter()
                .rev()
                .filter(move |cpu| Some(*cpu) != keep)
                .map(Action::Offline),
        )
        .take(max_actions)
}
