//! The loop that a vCPU runs.
//!
//! There are no threads. A vCPU passes through its loop, and each pass begins at a point where it
//! is inside no pool operation: a quiescent state. Whatever another vCPU wants of it (park, leave,
//! check) is a word it reads there; an event only wakes it early.

use xen_bindings::vcpu;

use super::{admission, park, requests, trim};
use crate::arch;
use crate::arch::cpu::CpuGuard;
use crate::cmdline;
#[cfg(feature = "switches")]
use crate::sets::nmi;
use crate::sets::pool;
use crate::workload::churn;
use crate::xen::{calls, events, report, time};

/// The life of a vCPU that has its tables: it joins the others, works, leaves when it is told to,
/// and joins again when `VCPUOP_up` brings it back. Each time round it sees to its own `duties`,
/// which say when, by the guest's clock, they are to be looked at again whatever happens.
///
/// Each time round begins at the same depth of the stack. A vCPU comes back where it went down, so
/// calling this function from there would take a little more of its stack with each hotplug, until
/// none is left.
///
/// It arrives with interrupts off. `off` holds them so while it is not among the others.
pub fn run(me: usize, mut off: CpuGuard, duties: fn() -> u64) -> ! {
    loop {
        if admission::may_join(me) {
            join(me, off);
            work(me, duties);
            off = leave(me);
        }
        go_down(me);
    }
}

/// Stops until somebody says `VCPUOP_up`, in the same domain.
fn go_down(me: usize) {
    let mut told = false;
    while let Err(error) = vcpu::down(me as u32) {
        if !core::mem::replace(&mut told, true) {
            report::error(report::Party::Xen, "cpu-down", error);
        }
        if admission::is_invited(me) {
            return;
        }
        calls::yield_cpu();
    }
}

/// Joins the others: the timer runs, events are taken, the pool and the workload count on this
/// vCPU.
fn join(me: usize, off: CpuGuard) {
    events::arm(me);
    drop(off);
    pool::cpu_online(me);
    if me == 0 {
        pool::prefill(cmdline::options().prefill);
    }
    churn::join(me);
    arch::park::joined();
}

/// Works until this vCPU is told to leave.
fn work(me: usize, duties: fn() -> u64) {
    loop {
        pool::quiescent();
        #[cfg(feature = "switches")]
        nmi::put_back(me);
        let park = park::asked();
        // Whoever sees that it is to park sees this too, which was asked before.
        trim::answer(me);
        if let Some(park) = park.filter(|_| me != 0) {
            park::stay(me, park);
        }
        if admission::begins_to_leave(me) {
            return;
        }
        requests::answer_verify(me);
        requests::answer_fill(me);
        let mut next = duties();
        if cmdline::options().churn {
            for _ in 0..cmdline::options().burst {
                // Whoever wants something of this vCPU does not wait for the rest of its work.
                if trim::is_under_way() || wanted(me) || events::is_woken(me) || !churn::step(me) {
                    break;
                }
            }
            next = next.min(time::now() + events::TICK);
        }
        wait(me, next);
    }
}

/// Sleeps until the next event, or until `next` by the guest's clock; to the pool, an idle CPU.
fn wait(me: usize, next: u64) {
    let mut guard = CpuGuard::new();
    if events::take_wakeup(me) || wanted(me) {
        return;
    }
    events::wake_at(me, next);
    pool::idle_enter(&guard);
    guard.sleep();
    pool::idle_exit(&guard);
}

/// Does somebody want something of this vCPU?
fn wanted(me: usize) -> bool {
    (me != 0 && park::asked().is_some())
        || admission::is_asked_to_leave(me)
        || trim::is_wanted(me)
        || requests::is_wanted(me)
}

/// Leaves: everything that others could still expect of this vCPU ends here, in this order. From
/// then on interrupts are off.
fn leave(me: usize) -> CpuGuard {
    churn::leave(me);
    requests::answer_verify(me);
    let (drained, left) = pool::leave();
    admission::leaves_behind(me, drained, left);
    // A tick that came now would arm the timer again.
    let off = CpuGuard::new();
    events::stop_timer(me);
    admission::has_left(me, || arch::park::left(&off));
    off
}
