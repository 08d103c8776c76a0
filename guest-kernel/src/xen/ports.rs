//! Ports of event channels: which vCPU handles which.

use core::sync::atomic::Ordering;

use xen_bindings::event_channel::Port;
use xen_bindings::two_level::{self, PortSet};
use xen_bindings::Result;

use crate::arch::cpu::MAX_CPUS;
use crate::arch::shared_info::shared_info;

/// The ports that each vCPU handles. The pending bits of all vCPUs share words: without it one vCPU
/// would swallow another's events.
static MINE: [PortSet; MAX_CPUS] = [const { PortSet::new() }; MAX_CPUS];

/// Nobody handles any port: at boot, and in a new domain, where all channels are closed.
pub fn forget() {
    MINE.iter().for_each(PortSet::clear);
    for word in shared_info().mask() {
        word.store(!0, Ordering::Relaxed);
    }
}

/// The ports that vCPU `cpu` handles.
pub fn of(cpu: usize) -> &'static PortSet {
    &MINE[cpu]
}

/// Has vCPU `cpu` handle `port`, which is bound to it.
pub fn listen(cpu: usize, port: Port) -> Result<()> {
    MINE[cpu].add(port);
    two_level::unmask(shared_info(), port)
}

/// vCPU `cpu` handles `port` no more.
pub fn ignore(cpu: usize, port: Port) {
    two_level::mask(shared_info(), port);
    MINE[cpu].remove(port);
}
