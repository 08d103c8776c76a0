//! What only a classic PV guest has: the builder's tables, machine frames, per-vCPU descriptors and
//! callbacks.

pub mod boot_tables;
pub mod m2p;
pub mod start_info;
pub mod vcpu;
