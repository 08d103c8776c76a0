//! The words for memory: frame numbers, what RAM there is, where things lie in the address space,
//! what a page-table entry says. Nothing here touches memory, but for one note: which frames Xen has.

pub mod away;
pub mod entry;
pub mod layout;
pub mod map;
pub mod order;
mod pfn;

pub use pfn::Pfn;
