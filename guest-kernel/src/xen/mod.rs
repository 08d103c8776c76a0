//! Xen in the guest's own words: calls, clock, events, console and xenstore, and what is said there.

pub mod calls;
pub mod console;
pub mod cpus;
pub mod duty;
pub mod events;
pub mod here;
pub mod ports;
pub mod report;
pub mod store;
pub mod time;
pub mod wants;
