//! What a Xen guest kernel needs between [`xen_bindings`], which makes hypercalls, and [`migration`],
//! which owns the order of a suspend and the toolstack's protocols.
//!
//! # Principles
//! - **A kernel brings what is its own**, behind one trait, [`Kernel`](kernel::Kernel): where its rings
//!   are mapped, its time, how it gives the CPU away. For a suspend it brings a
//!   [`Guest`](pvh::Guest): drain, audit, park, rebind.
//! - **What must not be mixed up is of two types**: Xen's time and the guest's ([`time`]), waiting by
//!   poll and by upcall ([`waiting`]).
//! - **Nothing asked of xenstore is lost.** What could not be done stands, and is tried again at a
//!   growing interval ([`duty`], [`wants`], [`asked`]); in a new domain all of it is due again.
//! - **Nothing waits for dom0's reader of the console** ([`outlet`], [`sink`]), in the suspend window
//!   least of all.
//! - No allocation, no unsafe code.
//!
//! # Which part is for whom
//!
//! | kernel | takes |
//! |---|---|
//! | PVH, one vCPU, on flat memory | [`flat::OneVcpu`] and [`control::Control`]: it writes `drain` and `audit` |
//! | PVH, tables and vCPUs of its own | the traits [`Kernel`](kernel::Kernel), [`Pvh`](pvh::Pvh) and [`Guest`](pvh::Guest), [`pvh::suspend`] |
//! | PV, or with devices | [`time`], [`store`], [`wants`], [`asked`], [`outlet`]; its own [`Platform`](migration::Platform) |
//!
//! CPU hotplug and the balloon are in `migration`, as state machines that a kernel drives.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod asked;
pub mod control;
pub mod doorbell;
pub mod duty;
#[cfg(target_arch = "x86_64")]
pub mod flat;
pub mod insist;
pub mod kernel;
pub mod outlet;
pub mod pvh;
pub mod sink;
pub mod store;
pub mod time;
pub mod waiting;
pub mod wants;
