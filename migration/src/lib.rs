//! Suspend, resume, CPU hotplug and page-table audit for a kernel that runs as a Xen guest.
//!
//! # Principles
//!
//! - **The way back is written once.** States are types that own the state before them; dropping one undoes its step. A
//!   failed step, a cancelled suspend and a restore take the same way in the same order ([`machine`]).
//! - **Without proof there is no suspend.** The hypercall takes the pool's `Drained`, and the chain of types leads through
//!   the audit.
//! - **Cancelled until proven restored.** And before the hypercall has returned: failed.
//! - **Nothing waits for ever.** Every step has a limit inside libxl's two windows ([`Limits`]); running out is an error with
//!   a name.
//! - **What the other side sends is input.** Unknown, missing, repeated and withdrawn requests are answers to give, not
//!   reasons to stop. Nothing here panics on them.
//! - **Errors name a party**: the guest, Xen or the toolstack.
//! - No allocation, no unsafe code, no hypercall: the kernel brings those through small traits ([`Platform`],
//!   [`Participant`], [`Xenstore`](xenstore::Xenstore), [`Clock`]).
//!
//! Where a rule of Xen's is followed, its source is named with the line in Xen 4.20.2.
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(test, feature = "model"))]
extern crate std;

pub mod audit;
pub mod availability;
mod failure;
pub mod hotplug;
mod limits;
pub mod machine;
#[cfg(any(test, feature = "model"))]
pub mod model;
mod outcome;
mod participant;
mod phase;
mod platform;
pub mod shutdown;
mod text;
pub mod xenstore;

pub use failure::{Blame, Cause, Fault, Faults, Party, SuspendFailed};
pub use limits::{Deadline, Late, Limits, LIBXL_ACKNOWLEDGE_WINDOW, LIBXL_SUSPEND_WINDOW};
pub use machine::{Machine, Resumed};
pub use outcome::{Outcome, Refused, Return};
pub use participant::{Participant, ParticipantRef, Stage};
pub use phase::{Clock, Phase, Timeline};
pub use platform::Platform;
pub use text::Text;
