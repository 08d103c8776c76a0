//! The layer that may use `unsafe`: entry code, CPU state, traps, page-table words. Everything above
//! is checked by the compiler.
//!
//! What the other layers can call is safe whatever they do. A function that relies on its caller is
//! `unsafe`, or not visible outside, or takes evidence: a value that only whoever made the condition
//! true can have ([`cpu::CpuGuard`], [`park::Parked`], `pagetable_pool::Drained`).

#![allow(unsafe_code)]

mod address;
pub mod apic;
pub mod areas;
pub mod balloon;
pub mod boot;
pub mod changes;
pub mod cpu;
mod cpu_set;
pub mod direct;
pub mod event_queues;
#[cfg(target_arch = "x86_64")]
mod far;
#[cfg(target_arch = "x86_64")]
mod far_tables;
pub mod frames;
pub mod grants;
pub mod host;
pub mod ledger;
mod mode;
mod page;
pub mod park;
#[cfg(feature = "switches")]
pub mod plant;
mod pv;
pub mod rings;
pub mod shared_info;
pub mod start_info;
pub mod strays;
pub mod suspend;
pub mod tables;
pub mod traps;
pub mod user;
pub mod vcpu;
pub mod vcpu_info;
pub mod vectors;

pub use mode::is_pv;
