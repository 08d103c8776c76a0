//! A guest's life as a list of actions, with a check after each.
//!
//! An action ([`action`]) asks Xen's tools for something and then waits for the *events* that must
//! follow, with a generous limit (the lab is emulated); it never waits for time to pass. The checks
//! are those of [`check`]. [`state`] is a guest in its life; the other files are what can be done to
//! it, and [`perform`] says which action is which.

mod across;
mod action;
pub mod check;
mod cuts;
mod expected;
pub mod fault;
mod hardship;
mod idle;
pub mod libvirt;
mod lifecycle;
mod measure;
mod memory;
mod nmi;
mod perform;
mod refusals;
pub mod remus;
mod requests;
pub mod served;
mod state;
mod storms;
mod timeline;
mod toolstacks;
mod unheard;
mod unread;
mod vcpus;
pub mod virsh;

pub use action::{main_job, pv_job_without_migration, Action, NO_LIVE_MIGRATION};
pub use state::Life;
pub use timeline::{Step, Timeline};
