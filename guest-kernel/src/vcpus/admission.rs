//! A vCPU coming or going: what vCPU 0 and the other one tell each other.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use migration::hotplug::Seen;
use xen_bindings::vcpu;

use super::{park, requests};
use crate::arch::changes::TableError;
use crate::arch::cpu::MAX_CPUS;
use crate::arch::vcpu::InitialiseError;
use crate::xen::cpus::{is_online, wait_while_running, Stuck};
use crate::xen::{calls, events, report};

struct Words {
    /// Whether it may join the others: [`UNINVITED`], [`INVITED`] or [`JOINED`].
    admission: AtomicU32,
    /// Whether it is to leave: [`STAY`], [`ASKED`] or [`GOING`].
    leave: AtomicU32,
    /// What the drain of its own cache found as it left, and what was left after it.
    drained: AtomicU32,
    left: AtomicU32,
}

/// A vCPU that comes now goes down again.
const UNINVITED: u32 = 0;
/// It may join. Whoever invited it may take that back: one of the two changes the word first.
const INVITED: u32 = 1;
/// It has taken the invitation, and will be online in a moment.
const JOINED: u32 = 2;

/// Nobody wants a vCPU to leave.
const STAY: u32 = 0;
/// Somebody does, and may take that back.
const ASKED: u32 = 1;
/// It has begun to leave, and will be down in a moment.
const GOING: u32 = 2;

static CPUS: [Words; MAX_CPUS] = [const {
    Words {
        admission: AtomicU32::new(UNINVITED),
        leave: AtomicU32::new(STAY),
        drained: AtomicU32::new(0),
        left: AtomicU32::new(0),
    }
}; MAX_CPUS];

/// Is this vCPU still expected? One that comes too late is not: a suspend may be under way by now.
pub fn may_join(me: usize) -> bool {
    let take = |word: &AtomicU32| {
        word.compare_exchange(INVITED, JOINED, Ordering::AcqRel, Ordering::Acquire)
    };
    me == 0 || take(&CPUS[me].admission).is_ok()
}

/// Is vCPU `me` invited?
pub fn is_invited(me: usize) -> bool {
    CPUS[me].admission.load(Ordering::Acquire) == INVITED
}

/// Is vCPU `me` asked to leave?
pub fn is_asked_to_leave(me: usize) -> bool {
    CPUS[me].leave.load(Ordering::Acquire) == ASKED
}

/// vCPU `me`, the running one, begins to leave, if that is asked of it.
pub fn begins_to_leave(me: usize) -> bool {
    is_asked_to_leave(me)
        && CPUS[me]
            .leave
            .compare_exchange(ASKED, GOING, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
}

/// vCPU `me`, the running one, notes what it leaves behind.
pub fn leaves_behind(me: usize, drained: u32, left: u32) {
    CPUS[me].drained.store(drained, Ordering::Relaxed);
    CPUS[me].left.store(left, Ordering::Relaxed);
}

/// vCPU `me`, the running one, has left when `last` is done, and needs an invitation to come again.
pub fn has_left(me: usize, last: impl FnOnce()) {
    CPUS[me].admission.store(UNINVITED, Ordering::Release);
    last();
    CPUS[me].leave.store(STAY, Ordering::Release);
}

/// What a vCPU left behind.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// Sets that its cache held and that were drained.
    pub drained: u32,
    /// Sets that its cache still held.
    pub left: u32,
}

/// Why a vCPU did not go in time.
#[derive(Clone, Copy, Debug)]
pub enum TakeDownError {
    /// It had not begun to. It is asked no more, and runs on.
    Stays(Stuck),
    /// It has begun to, and may be down at any time: look at [`seen`].
    Going(Stuck),
}

/// Has vCPU `cpu` leave; returns once it runs no kernel code any more, and Xen says that it is
/// down.
pub fn take_down(cpu: usize, limit: u64) -> Result<Left, TakeDownError> {
    assert!(
        cpu != 0,
        "vCPU 0 never leaves: the suspend call must come from it"
    );
    let slot = &CPUS[cpu];
    slot.leave.store(ASKED, Ordering::Release);
    events::kick(cpu);
    let gone = || seen(cpu).is_some_and(|seen| !seen.up && !seen.working);
    if wait_while_running(limit, gone) {
        return Ok(clear_away(cpu));
    }
    let stuck = Stuck {
        cpu,
        asked: "leave",
    };
    let taken_back = slot
        .leave
        .compare_exchange(ASKED, STAY, Ordering::AcqRel, Ordering::Acquire);
    Err(match taken_back {
        Ok(_) => TakeDownError::Stays(stuck),
        Err(_) => TakeDownError::Going(stuck),
    })
}

/// Takes away what vCPU `cpu`, which has gone down, had; gives what it left behind.
pub fn clear_away(cpu: usize) -> Left {
    events::unbind_cpu(cpu);
    Left {
        drained: CPUS[cpu].drained.load(Ordering::Relaxed),
        left: CPUS[cpu].left.load(Ordering::Relaxed),
    }
}

/// What can be seen of vCPU `cpu`; none if Xen does not say.
pub fn seen(cpu: usize) -> Option<Seen> {
    // In this order: a vCPU says that it goes, and then goes down.
    let up = vcpu::is_up(cpu as u32).ok()?;
    let working = is_online(cpu);
    Some(Seen { up, working })
}

/// Brings vCPU `cpu` into its loop; returns once it is there.
///
/// `fresh` says that Xen knows no state of it: it starts at the entry code. Otherwise it goes on
/// where it went down.
pub fn bring_up(cpu: usize, fresh: bool, limit: u64) -> Result<(), BringUpError> {
    let slot = &CPUS[cpu];
    // One that was called back may not have heard of it yet.
    if !wait_while_running(limit, || vcpu::is_up(cpu as u32) == Ok(false)) {
        return Err(BringUpError::Stuck(Stuck {
            cpu,
            asked: "go down",
        }));
    }
    requests::welcome(cpu);
    park::welcome(cpu);
    if fresh {
        calls::vcpu_initialise(cpu)?;
    }
    slot.admission.store(INVITED, Ordering::Release);
    let started = calls::set_upcall_vector(cpu)
        .and_then(|()| events::bind_cpu(cpu))
        .and_then(|()| vcpu::up(cpu as u32));
    if let Err(error) = started {
        call_back(cpu);
        return Err(error.into());
    }
    if wait_while_running(limit, || is_online(cpu)) {
        return Ok(());
    }
    let stuck = Stuck {
        cpu,
        asked: "start",
    };
    if call_back(cpu) {
        return Err(BringUpError::Stuck(stuck));
    }
    // It has joined meanwhile.
    if wait_while_running(limit, || is_online(cpu)) {
        return Ok(());
    }
    Err(BringUpError::Coming(stuck))
}

/// Takes the invitation of vCPU `cpu` back, and what it was given; false if the vCPU was quicker.
///
/// It goes down again by itself when it comes. Xen is asked to stop it in any case, for it may not
/// run at all for long. Until it has joined it holds no lock.
fn call_back(cpu: usize) -> bool {
    let admission = &CPUS[cpu].admission;
    let called_back = admission
        .compare_exchange(INVITED, UNINVITED, Ordering::AcqRel, Ordering::Acquire)
        .is_ok();
    if called_back {
        if let Err(error) = vcpu::down(cpu as u32) {
            report::error(report::Party::Xen, "cpu-up", error);
        }
        events::unbind_cpu(cpu);
    }
    called_back
}

/// Why a vCPU did not come.
#[derive(Clone, Copy, Debug)]
pub enum BringUpError {
    /// Xen refused a call.
    Xen(xen_bindings::HypercallError),
    /// It did not reach its loop. It was called back, and is or goes down.
    Stuck(Stuck),
    /// It did not reach its loop, but it is on the way and cannot be called back: look at [`seen`].
    Coming(Stuck),
    /// Xen refused a change to its tables.
    Tables(TableError),
}

impl From<InitialiseError> for BringUpError {
    fn from(error: InitialiseError) -> Self {
        match error {
            InitialiseError::Call(error) => BringUpError::Xen(error),
            InitialiseError::Tables(error) => BringUpError::Tables(error),
        }
    }
}

impl From<xen_bindings::HypercallError> for BringUpError {
    fn from(error: xen_bindings::HypercallError) -> Self {
        BringUpError::Xen(error)
    }
}

impl fmt::Display for BringUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BringUpError::Xen(error) => write!(f, "{error}"),
            BringUpError::Stuck(stuck) | BringUpError::Coming(stuck) => write!(f, "{stuck}"),
            BringUpError::Tables(error) => write!(f, "{error}"),
        }
    }
}
