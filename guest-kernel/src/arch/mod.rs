//! The layer that may use `unsafe`: entry code, CPU state, traps, page-table
//! words. Everything above is checked by the compiler.

#![allow(unsafe_code)]

pub mod apic;
pub mod balloon;
pub mod boot;
pub mod changes;
pub mod cpu;
pub mod direct;
pub mod frames;
pub mod host;
mod mode;
mod page;
pub mod pv;
pub mod rings;
pub mod shared_info;
pub mod start_info;
pub mod strays;
pub mod suspend;
pub mod tables;
pub mod traps;
pub mod unlock;
pub mod user;
pub mod vcpu;
pub mod vectors;

pub use mode::is_pv;
