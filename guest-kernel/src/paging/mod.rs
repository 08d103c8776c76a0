//! Page tables: the layout, entries, and the sets that the pool keeps.

pub mod entry;
pub mod layout;
pub mod order;
pub mod set;
pub mod windows;
