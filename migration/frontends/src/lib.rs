//! Block and network frontends.
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod blk;
mod device;
mod error;
mod front;
mod kernel;
mod keys;
mod limits;
mod lingering;
pub mod net;
mod path;
mod peer;
mod roster;
mod state;

pub use device::{Device, Driver, Phase};
pub use error::{Error, Lie, Name, Problem, Wait};
pub use front::layout;
pub use kernel::{Access, Kernel, Memory, Refused, Tree, PAGE};
pub use limits::Limits;
pub use peer::Peer;
pub use roster::{Change, Roster};
pub use state::State;
