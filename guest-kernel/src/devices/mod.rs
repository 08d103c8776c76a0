//! Devices with a backend in another domain, and what the guest does with them: a disk and a network
//! interface, which the `xen-guest-frontends` crate drives, and a service on both of them.
//!
//! vCPU 0 sees to them in its loop: their events wake it. Only a guest whose command line has
//! `service=` looks for devices at all.

mod attached;
mod exchange;
mod http;
mod links;
mod record;
mod service;
mod slot;
mod status;
mod store;
mod wire;

use frontends::blk::Blkfront;
use frontends::net::Netfront;

pub use attached::{look_again, pause, poll, returned};
pub use links::Links;

/// An interface: one queue, 64 pages for each direction.
type Nic = Netfront<Links, 1, 64>;
/// A disk: one queue, 16 requests that wait or are in flight.
type Disk = Blkfront<Links, 1, 16, 64>;
