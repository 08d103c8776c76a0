//! Event channels: each vCPU's timer and IPI, and the ports of console and xenstore.
//!
//! Handlers count and wake; the work is done in the vCPUs' loops ([`crate::smp`]).

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use xen_bindings::HypercallError;

use crate::arch::cpu::{self, MAX_CPUS};
use crate::report::{self, Party};
use crate::{time, xen};

/// Time between two ticks of a vCPU's timer, nanoseconds.
const TICK: u64 = 20_000_000;

/// No port: Xen never hands out port 0.
const NONE: u32 = 0;

struct CpuEvents {
    timer: AtomicU32,
    ipi: AtomicU32,
    /// An event other than the tick came since the loop last looked.
    woken: AtomicBool,
    ticks: AtomicU64,
}

static CPUS: [CpuEvents; MAX_CPUS] = [const {
    CpuEvents {
        timer: AtomicU32::new(NONE),
        ipi: AtomicU32::new(NONE),
        woken: AtomicBool::new(false),
        ticks: AtomicU64::new(0),
    }
}; MAX_CPUS];

/// Forgets every port: at boot, and in a new domain, where all channels are closed.
pub fn forget() {
    for cpu in &CPUS {
        cpu.timer.store(NONE, Ordering::Relaxed);
        cpu.ipi.store(NONE, Ordering::Relaxed);
    }
    xen::mask_all();
}

/// Gives vCPU `cpu`, which may be any, its timer and its IPI. What it has already stays.
pub fn bind_cpu(cpu: usize) -> Result<(), HypercallError> {
    let events = &CPUS[cpu];
    if events.timer.load(Ordering::Relaxed) == NONE {
        let port = xen::bind_timer(cpu)?;
        events.timer.store(port, Ordering::Release);
        xen::unmask(port)?;
    }
    if events.ipi.load(Ordering::Relaxed) == NONE {
        let port = xen::bind_ipi(cpu)?;
        events.ipi.store(port, Ordering::Release);
        xen::unmask(port)?;
    }
    Ok(())
}

/// Takes timer and IPI of vCPU `cpu`, which is down, away.
pub fn unbind_cpu(cpu: usize) {
    let events = &CPUS[cpu];
    for port in [&events.timer, &events.ipi] {
        let port = port.swap(NONE, Ordering::AcqRel);
        if port != NONE {
            if let Err(error) = xen::close(port) {
                report::error(Party::Xen, "cpu-down", error);
            }
        }
    }
}

/// Wakes vCPU `cpu`, if it sleeps. It looks at its requests then.
pub fn kick(cpu: usize) {
    let port = CPUS[cpu].ipi.load(Ordering::Acquire);
    // Without a port, or if Xen refuses: the vCPU's own tick ends its sleep a little later.
    if port != NONE {
        if let Err(error) = xen::send(port) {
            log::debug!("waking vCPU {cpu}: {error}");
        }
    }
}

/// The upcall: handles what is pending for this vCPU. Interrupts are off.
pub fn upcall(me: usize) {
    let events = &CPUS[me];
    xen::take_pending(me, |port| {
        if port == events.timer.load(Ordering::Acquire) {
            events.ticks.fetch_add(1, Ordering::Relaxed);
            rearm(me);
        } else {
            events.woken.store(true, Ordering::Release);
        }
    });
}

/// Did an event other than the tick come since the last question?
pub fn take_wakeup(me: usize) -> bool {
    CPUS[me].woken.swap(false, Ordering::AcqRel)
}

/// Arms the timer of vCPU `me`, which is the running one (Xen refuses it for another), for the next tick.
pub fn rearm(me: usize) {
    debug_assert_eq!(me, cpu::id());
    let at = time::now() + TICK;
    if let Err(error) = xen::set_timer(me, time::to_system(at)) {
        // Without a tick the loop still runs on every other event; say so once each time.
        report::error(Party::Xen, "timer", error);
    }
}

/// Stops the timer of vCPU `me`, the running one.
pub fn stop_timer(me: usize) {
    if let Err(error) = xen::stop_timer(me) {
        report::error(Party::Xen, "timer", error);
    }
}

/// Ticks that vCPU `cpu` has seen.
pub fn ticks(cpu: usize) -> u64 {
    CPUS[cpu].ticks.load(Ordering::Relaxed)
}
