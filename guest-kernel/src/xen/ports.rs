//! Ports of event channels: which vCPU handles which, with both kinds of event channels.

use core::sync::atomic::Ordering;

use xen_bindings::event_channel::Port;
use xen_bindings::two_level::{self, PortSet};
use xen_bindings::{Errno, Result};

use crate::arch::cpu::MAX_CPUS;
use crate::arch::shared_info::shared_info;
use crate::arch::{event_queues, vcpu_info};
use crate::cmdline::{self, Events};

/// The ports that each vCPU handles, of two-level event channels. The pending bits of all vCPUs share
/// words: without it one vCPU would swallow another's events.
static MINE: [PortSet; MAX_CPUS] = [const { PortSet::new() }; MAX_CPUS];

/// Nobody handles any port: at boot, and in a new domain, where all channels are closed and are
/// two-level ones.
pub fn forget() {
    MINE.iter().for_each(PortSet::clear);
    for word in shared_info().mask() {
        word.store(!0, Ordering::Relaxed);
    }
    event_queues::forget();
}

/// Goes over to FIFO event channels, if the command line asks for them and Xen has them.
/// Once in each domain, on vCPU 0, after [`forget`] and before any port is listened to.
pub fn choose() -> Result<()> {
    if cmdline::options().events == Events::TwoLevel {
        return Ok(());
    }
    match event_queues::give(0) {
        Err(error) if matches!(error.errno, Errno::ENOSYS | Errno::EOPNOTSUPP) => Ok(()),
        other => other,
    }
}

/// The kind of this domain's event channels, as the command line has it.
pub fn kind() -> &'static str {
    match event_queues::are_in_use() {
        true => "fifo",
        false => "2l",
    }
}

/// Has Xen know where it puts the events of vCPU `cpu`. Before a port is bound to it.
pub fn prepare(cpu: usize) -> Result<()> {
    match event_queues::are_in_use() {
        true => event_queues::give(cpu),
        false => Ok(()),
    }
}

/// Has vCPU `cpu` handle `port`, which is bound to it.
pub fn listen(cpu: usize, port: Port) -> Result<()> {
    if event_queues::are_in_use() {
        return event_queues::array().unmask(port);
    }
    MINE[cpu].add(port);
    two_level::unmask(shared_info(), port)
}

/// vCPU `cpu` handles `port` no more.
pub fn ignore(cpu: usize, port: Port) {
    if event_queues::are_in_use() {
        return event_queues::array().mask(port);
    }
    two_level::mask(shared_info(), port);
    MINE[cpu].remove(port);
}

/// Forgets that `port` was pending.
pub fn clear_pending(port: Port) {
    if event_queues::are_in_use() {
        return event_queues::array().clear_pending(port);
    }
    two_level::clear_pending(shared_info(), port);
}

/// The upcall of vCPU `me`, the running one: calls `handle` with each port that is pending for it.
/// Interrupts are off.
pub fn upcall(me: usize, handle: impl FnMut(Port)) {
    if event_queues::are_in_use() {
        return event_queues::upcall(me, handle);
    }
    two_level::upcall(vcpu_info::of(me), shared_info(), &MINE[me], handle);
}
