//! What the host tools share.

pub mod savelint;
