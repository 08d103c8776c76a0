//! Event channels: each vCPU's timer and IPI, and the ports of console and xenstore.
//!
//! Handlers count and wake; the work is done in the vCPUs' loops ([`crate::vcpus`]).

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use kernel_glue::insist::insist;
use xen_bindings::event_channel::{self as channel, Port, Virq};
use xen_bindings::{vcpu, Result};

use crate::arch::cpu::{self, MAX_CPUS};
use crate::arch::is_pv;
use crate::cmdline;
use crate::xen::report::{self, Party};
use crate::xen::{ports, time};

/// How long a vCPU with work rests between two passes through its loop, nanoseconds.
pub const TICK: u64 = 20_000_000;

/// By how much a tick may come before it is due, nanoseconds. Xen's timer goes by the clock of the
/// processor on which it was set, and each processor's clock is set right once a second
/// (`local_time_calibration` in `xen/arch/x86/time.c`): a little is no fault.
const EARLY: u64 = TICK / 4;

/// No time: the loop runs again when there is an event.
pub const NEVER: u64 = u64::MAX;

/// No port: Xen never hands out port 0.
const NONE: u32 = 0;

struct CpuEvents {
    timer: AtomicU32,
    ipi: AtomicU32,
    /// An event other than the tick came since the loop last looked.
    woken: AtomicBool,
    ticks: AtomicU64,
    /// Upcalls: how often something interrupted the vCPU or ended its sleep.
    wakeups: AtomicU64,
    /// When the timer is due, by the guest's clock; [`NEVER`] if it is not armed.
    due: AtomicU64,
    /// Ticks that came more than [`EARLY`] before they were due.
    early: AtomicU64,
}

static CPUS: [CpuEvents; MAX_CPUS] = [const {
    CpuEvents {
        timer: AtomicU32::new(NONE),
        ipi: AtomicU32::new(NONE),
        woken: AtomicBool::new(false),
        ticks: AtomicU64::new(0),
        wakeups: AtomicU64::new(0),
        due: AtomicU64::new(NEVER),
        early: AtomicU64::new(0),
    }
}; MAX_CPUS];

/// Forgets every port: at boot, and in a new domain, where all channels are closed.
pub fn forget() {
    channel::restored();
    ports::forget();
    for cpu in &CPUS {
        cpu.timer.store(NONE, Ordering::Relaxed);
        cpu.ipi.store(NONE, Ordering::Relaxed);
    }
}

/// Gives vCPU `cpu`, which may be any, its timer and its IPI. What it has already stays, so that
/// this can be done again after a refusal: a port that was bound then and could not be unmasked is
/// unmasked now.
pub fn bind_cpu(cpu: usize) -> Result<()> {
    ports::prepare(cpu)?;
    let vcpu = cpu as u32;
    let events = &CPUS[cpu];
    if events.timer.load(Ordering::Relaxed) == NONE {
        let port = channel::bind_virq(Virq::Timer, vcpu)?;
        events.timer.store(port.number(), Ordering::Release);
    }
    ports::listen(cpu, Port::new(events.timer.load(Ordering::Relaxed)))?;
    if events.ipi.load(Ordering::Relaxed) == NONE {
        let port = channel::bind_ipi(vcpu)?;
        events.ipi.store(port.number(), Ordering::Release);
    }
    ports::listen(cpu, Port::new(events.ipi.load(Ordering::Relaxed)))
}

/// Takes timer and IPI of vCPU `cpu`, which is down, away.
pub fn unbind_cpu(cpu: usize) {
    let events = &CPUS[cpu];
    for port in [&events.timer, &events.ipi] {
        let port = port.swap(NONE, Ordering::AcqRel);
        if port != NONE {
            ports::ignore(cpu, Port::new(port));
            if let Err(error) = channel::close(Port::new(port)) {
                report::error(Party::Xen, "cpu-down", error);
            }
        }
    }
}

/// Wakes vCPU `cpu`, if it sleeps. It looks at its requests then.
///
/// One that has no work has no timer that would wake it a little later: what Xen refuses is asked
/// for again.
pub fn kick(cpu: usize) {
    let port = CPUS[cpu].ipi.load(Ordering::Acquire);
    if port != NONE {
        if let Err(error) = insist(|| channel::send(Port::new(port)), drop) {
            report::error(Party::Xen, "wake", format_args!("vCPU {cpu}: {error}"));
        }
    }
}

/// The upcall: handles what is pending for this vCPU. Interrupts are off.
pub fn upcall(me: usize) {
    let events = &CPUS[me];
    events.wakeups.fetch_add(1, Ordering::Relaxed);
    ports::upcall(me, |port| {
        if port.number() == events.timer.load(Ordering::Acquire) {
            events.ticks.fetch_add(1, Ordering::Relaxed);
            // The loop arms it again, if there is any work.
            let due = events.due.swap(NEVER, Ordering::Relaxed);
            if due != NEVER && time::now() + EARLY < due {
                events.early.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            events.woken.store(true, Ordering::Release);
        }
    });
}

/// Did an event other than the tick come since [`take_wakeup`] was asked?
pub fn is_woken(me: usize) -> bool {
    CPUS[me].woken.load(Ordering::Acquire)
}

/// Did an event other than the tick come since the last question?
pub fn take_wakeup(me: usize) -> bool {
    CPUS[me].woken.swap(false, Ordering::AcqRel)
}

/// Has the loop of vCPU `me`, which is the running one (Xen refuses it for another), go on at `due`
/// by the guest's clock, or sooner: [`NEVER`] asks for nothing, and a timer that is armed for an
/// earlier time stays so. Interrupts are off.
///
/// A timer whose time is past has gone off and is not heard of yet, or it is lost, as in a new
/// domain: it counts as none, and what it has left pending is dropped.
pub fn wake_at(me: usize, due: u64) {
    debug_assert_eq!(me, cpu::id());
    let now = time::now();
    let due = if cmdline::options().switches.tick_always() {
        due.min(now + TICK)
    } else {
        due
    };
    let armed = CPUS[me].due.load(Ordering::Relaxed);
    if due == NEVER || (now < armed && armed <= due) {
        return;
    }
    if armed <= now {
        drop_pending(me);
    }
    CPUS[me].due.store(due, Ordering::Relaxed);
    let at = time::to_system(due.saturating_sub(early_by()));
    // Without it the loop still runs on every other event; but there may be none.
    if let Err(error) = insist(|| vcpu::set_singleshot_timer(me as u32, at), drop) {
        CPUS[me].due.store(NEVER, Ordering::Relaxed);
        report::error(Party::Xen, "timer", error);
    }
}

/// Drops the timer event of vCPU `me` that is pending, if one is. Interrupts are off.
fn drop_pending(me: usize) {
    let port = CPUS[me].timer.load(Ordering::Acquire);
    ports::clear_pending(Port::new(port));
}

/// By how much a test build arms the timer too early, so that a test sees that it is noticed.
fn early_by() -> u64 {
    if cmdline::options().switches.timer_early() {
        TICK / 4 * 3
    } else {
        0
    }
}

/// Arms the timer of vCPU `me`, the running one, for the first time in this domain, or since the
/// vCPU was away.
///
/// What an earlier timer has left pending (the periodic one, or one that went off while nobody
/// listened) is dropped: it would be taken for the tick that is armed here. Both timers are stopped
/// before, so that no tick that counts is dropped with it.
pub fn arm(me: usize) {
    let _guard = cpu::CpuGuard::new();
    if is_pv() {
        // Xen starts each vCPU of a PV domain with a periodic timer, in every new domain; the other
        // one is all the guest wants.
        if let Err(error) = vcpu::stop_periodic_timer(me as u32) {
            report::error(Party::Xen, "timer", error);
        }
    }
    stop_timer(me);
    drop_pending(me);
    CPUS[me].due.store(NEVER, Ordering::Relaxed);
    wake_at(me, time::now() + TICK);
}

/// Stops the timer of vCPU `me`, the running one.
pub fn stop_timer(me: usize) {
    if let Err(error) = vcpu::stop_singleshot_timer(me as u32) {
        report::error(Party::Xen, "timer", error);
    }
}

/// Ticks that vCPU `cpu` has seen.
pub fn ticks(cpu: usize) -> u64 {
    CPUS[cpu].ticks.load(Ordering::Relaxed)
}

/// How many of them came before they were due, by more than [`EARLY`].
pub fn early_ticks(cpu: usize) -> u64 {
    CPUS[cpu].early.load(Ordering::Relaxed)
}

/// How often something has interrupted vCPU `cpu` or ended its sleep.
pub fn wakeups(cpu: usize) -> u64 {
    CPUS[cpu].wakeups.load(Ordering::Relaxed)
}
