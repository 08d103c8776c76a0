//! The guest that most tests, the demo and the benchmarks begin with.

use std::time::Duration;

use crate::build::kernel::Arch;
use crate::guest::config::{Config, Kind};
use crate::host::qemu;
use crate::host::xen_build;

/// How long the guest may take for an event. Emulated, a suspend takes a few seconds.
pub const LIMIT: Duration = Duration::from_secs(90);

/// How much a guest churns. Shadow paging on an emulated machine makes each write to a page table
/// dear: with the usual amount an i686 guest takes the machine for itself, and dom0 takes minutes
/// for what takes seconds.
fn churn(arch: Arch) -> &'static str {
    match (arch, xen_build::hap(arch, qemu::accel().0)) {
        (Arch::I686, false) => "burst=2",
        _ => "",
    }
}

/// The guest of the main job.
pub fn pvh(arch: Arch) -> Config {
    Config {
        name: format!("guest-{}", arch.name()),
        kind: Kind::Pvh,
        kernel: String::new(),
        max_vcpus: 4,
        vcpus: 4,
        mem: 32,
        cmdline: churn(arch).to_owned(),
        hap: xen_build::hap(arch, qemu::accel().0),
        time_offset: 0,
        extra: String::new(),
    }
}

/// The same guest as PV. Each of its address spaces costs Xen work, and under emulation that is
/// dear: half the churn leaves dom0 its share.
pub fn pv(arch: Arch, kind: Kind) -> Config {
    Config {
        name: format!("guest-{}-{}", arch.name(), kind.name()),
        kind,
        cmdline: match kind {
            Kind::Shim => "burst=1 live=2",
            _ => "burst=4",
        }
        .to_owned(),
        // The shim keeps a part of it for itself.
        mem: if kind == Kind::Shim { 64 } else { 32 },
        ..pvh(arch)
    }
}
