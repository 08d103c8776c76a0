//! Xen's guest interface: bindings for both word sizes and a thin safe layer over them.
//!
//! # Design principles
//! - **The headers are the truth.** [`ffi`] is bindgen's output, checked in for i686 and x86_64,
//!   with layout assertions. Nothing in this crate repeats a number that a header has.
//! - **Thin.** One hypercall, one function; no policy, no hidden state, no allocation, no waiting.
//!   What blocks in a kernel is written as a poll that says "not yet".
//! - **The other side is not trusted.** Whatever a ring, an index, a length or a string from Xen,
//!   xenstored or xenconsoled says is checked before use, and a violation is an error that names
//!   the party. Nothing here panics on what the other side sends.
//! - **Errors name the call and its subject**: `HVMOP_set_param(CALLBACK_IRQ): EINVAL (22)`.
//! - **Suspend is in the design.** What a restore loses (bindings, vectors, ring indices, watches)
//!   is state the caller can see and set again; every driver has a `reset` for the way back.
//! - Unsafe code is allowed here, and argued for at each place; the layers above stay free of it.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod console;
pub mod console_io;
pub mod count;
pub mod cpuid;
pub mod elfnote;
pub mod error;
pub mod event_channel;
#[cfg(any(test, feature = "faults"))]
pub mod faults;
pub mod ffi;
pub mod fifo;
#[cfg(target_arch = "x86_64")]
pub mod flat;
pub mod frame;
pub mod grant;
pub mod hvm;
pub mod hypercall;
pub mod memory;
pub mod pv;
pub mod pvh;
pub mod ring;
pub mod sched;
pub mod shared_info;
pub mod two_level;
pub mod vcpu;
pub mod version;
pub mod xenstore;

pub use error::{Call, Errno, HypercallError, Result, Subject};
