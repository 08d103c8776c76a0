//! Sets of page-table pages: the frames that they are made of, what constructing one is, the ledger
//! of what each frame is, and the pool that caches them.

mod backend;
pub mod drain;
pub mod frames;
pub mod kinds;
pub mod measure;
pub mod nmi;
pub mod pool;
pub mod set;
#[cfg(feature = "switches")]
mod unpin_only;
pub mod windows;
