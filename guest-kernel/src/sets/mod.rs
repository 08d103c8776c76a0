//! Sets of page-table pages: the frames that they are made of, what constructing one is, and the
//! ledger of what each frame is.

pub mod frames;
pub mod kinds;
pub mod set;
pub mod windows;
