//! The churn: every online vCPU takes sets from its own cache, fills, checks and frees address
//! spaces, keeps some for long, and hands some to another vCPU to free.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use spin::Mutex;

use super::space::{Space, CHECKS};
use crate::arch;
use crate::arch::cpu::{CpuGuard, MAX_CPUS};
use crate::cmdline::{self, MAX_LIVE};
use crate::sets::pool;
use crate::sets::set::SetError;
use crate::xen::cpus;
use crate::xen::report::{self, Party};

/// What one vCPU has done. Written by that vCPU alone.
#[derive(Default)]
pub struct Counters {
    /// Steps: an address space built or changed, checked, and freed or kept.
    pub ops: AtomicU64,
    /// Words compared.
    pub checks: AtomicU64,
    /// Words that were wrong.
    pub mismatches: AtomicU64,
    /// Spaces freed here that another vCPU built.
    pub remote_frees: AtomicU64,
    /// Sets and address spaces that there were no frames for.
    pub no_frames: AtomicU64,
    /// State of this vCPU's random numbers.
    random: AtomicU64,
}

impl Counters {
    const fn new() -> Self {
        Counters {
            ops: AtomicU64::new(0),
            checks: AtomicU64::new(0),
            mismatches: AtomicU64::new(0),
            remote_frees: AtomicU64::new(0),
            no_frames: AtomicU64::new(0),
            random: AtomicU64::new(0),
        }
    }
}

static COUNTERS: [Counters; MAX_CPUS] = [const { Counters::new() }; MAX_CPUS];

/// The spaces that live long: each vCPU fills its own part of the table, every vCPU checks them
/// all.
static LIVE: [Mutex<Option<Space>>; MAX_CPUS * MAX_LIVE] =
    [const { Mutex::new(None) }; MAX_CPUS * MAX_LIVE];

/// Spaces on their way to the vCPU that frees them.
struct Mailbox {
    open: bool,
    spaces: [Option<Space>; MAILBOX],
}
const MAILBOX: usize = 4;
static MAILBOXES: [Mutex<Mailbox>; MAX_CPUS] = [const {
    Mutex::new(Mailbox {
        open: false,
        spaces: [const { None }; MAILBOX],
    })
}; MAX_CPUS];

static NEXT_NUMBER: AtomicU32 = AtomicU32::new(1);

/// The guest came back from a suspend, and no user work was done since.
static BACK: AtomicBool = AtomicBool::new(false);

/// Has the first user work that any vCPU does from now on reported: a space read through its user
/// mapping.
pub fn await_first_work() {
    BACK.store(true, Ordering::Release);
}

fn did_user_work() {
    if BACK.load(Ordering::Relaxed) && BACK.swap(false, Ordering::AcqRel) {
        report::event("work").send();
    }
}

/// What vCPU `cpu` has done.
pub fn counters(cpu: usize) -> &'static Counters {
    &COUNTERS[cpu]
}

/// Steps done by all vCPUs that run but the running one.
pub fn steps_of_others() -> u64 {
    cpus::others()
        .map(|cpu| COUNTERS[cpu].ops.load(Ordering::Relaxed))
        .sum()
}

/// Words that were wrong, over all vCPUs.
pub fn mismatches() -> u64 {
    COUNTERS
        .iter()
        .map(|c| c.mismatches.load(Ordering::Relaxed))
        .sum()
}

/// Address spaces in the table. Those on their way between vCPUs are not counted.
pub fn alive() -> u64 {
    LIVE.iter().filter(|slot| slot.lock().is_some()).count() as u64
}

/// This vCPU takes part from now on.
pub fn join(me: usize) {
    MAILBOXES[me].lock().open = true;
}

/// This vCPU takes no more part: what others sent it is freed, and no more is accepted.
/// Its long-lived spaces stay, for the others to check.
pub fn leave(me: usize) {
    MAILBOXES[me].lock().open = false;
    empty_mailbox(me);
}

/// Numbers that look random, xorshift64.
fn random(me: usize) -> u64 {
    let state = &COUNTERS[me].random;
    let mut x = state.load(Ordering::Relaxed) ^ (me as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    state.store(x, Ordering::Relaxed);
    x
}

/// One step on vCPU `me`. Gives false if there was nothing it could do (the pool's gate is closed,
/// or no memory).
pub fn step(me: usize) -> bool {
    empty_mailbox(me);
    let dice = random(me);
    let live = cmdline::options().live;
    let done = if live > 0 && dice & 1 == 0 {
        let slot = &LIVE[me * MAX_LIVE + (dice >> 8) as usize % live];
        step_live(me, slot, dice)
    } else {
        match build(me) {
            Some(space) => {
                check(me, &space);
                dispose(me, space, dice);
                true
            }
            None => false,
        }
    };
    if done {
        COUNTERS[me].ops.fetch_add(1, Ordering::Relaxed);
    }
    done
}

/// A step on a long-lived space: made if there is none; else checked, and aged or, one time in
/// eight, replaced.
fn step_live(me: usize, slot: &Mutex<Option<Space>>, dice: u64) -> bool {
    let mut slot = slot.lock();
    if let Some(space) = slot.as_mut() {
        check(me, space);
        if dice >> 32 & 7 != 0 {
            space.rewrite();
            check(me, space);
            return true;
        }
    }
    let Some(fresh) = build(me) else { return false };
    if let Some(old) = slot.replace(fresh) {
        drop(slot);
        dispose(me, old, dice);
    }
    true
}

fn build(me: usize) -> Option<Space> {
    let set = match pool::take(&CpuGuard::new()) {
        Ok(set) => set,
        Err(why) => {
            if why == pool::Untaken::NoFrames {
                count_no_frames(me);
            }
            return None;
        }
    };
    let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
    match Space::build(set, number) {
        Ok(mut space) => {
            space.rewrite();
            Some(space)
        }
        Err((set, SetError::Frames(_))) => {
            count_no_frames(me);
            pool::give(&CpuGuard::new(), set);
            None
        }
        Err((set, SetError::Tables(error))) => {
            report::error(
                Party::Xen,
                "churn",
                format_args!("an address space: {error}"),
            );
            pool::give(&CpuGuard::new(), set);
            None
        }
    }
}

/// Counts, and says so the first time, the second, the fourth, ...: memory may be short for long.
fn count_no_frames(me: usize) {
    let times = COUNTERS[me].no_frames.fetch_add(1, Ordering::Relaxed) + 1;
    if times.is_power_of_two() {
        log::warn!("no frames for an address space on vCPU {me}, {times} times so far");
    }
}

fn check(me: usize, space: &Space) {
    let wrong = space.check();
    did_user_work();
    COUNTERS[me].checks.fetch_add(CHECKS, Ordering::Relaxed);
    COUNTERS[me].mismatches.fetch_add(wrong, Ordering::Relaxed);
}

/// Frees a space here, or every other time has another vCPU free it.
fn dispose(me: usize, space: Space, dice: u64) {
    if dice >> 40 & 1 == 0 {
        return free(space);
    }
    let other = cpus::online()
        .nth((dice >> 48) as usize % cpus::online().count().max(1))
        .unwrap_or(me);
    let mut mailbox = MAILBOXES[other].lock();
    if other != me && mailbox.open {
        if let Some(place) = mailbox.spaces.iter_mut().find(|place| place.is_none()) {
            *place = Some(space);
            return;
        }
    }
    drop(mailbox);
    free(space);
}

fn empty_mailbox(me: usize) {
    let spaces = core::mem::replace(&mut MAILBOXES[me].lock().spaces, [const { None }; MAILBOX]);
    for space in spaces.into_iter().flatten() {
        check(me, &space);
        free(space);
        COUNTERS[me].remote_frees.fetch_add(1, Ordering::Relaxed);
    }
}

fn free(space: Space) {
    let set = space.take_down();
    if let Some((page, slot, is)) = set.set().find_damage() {
        report::error(
            Party::Guest,
            "churn",
            format_args!(
                "a set goes back damaged: frame {:#x} slot {slot} is {is:#x}",
                page.0
            ),
        );
    }
    pool::give(&CpuGuard::new(), set);
}

/// Reads every long-lived space back on this vCPU. Gives spaces, checks and mismatches.
pub fn verify(me: usize) -> (u64, u64, u64) {
    let (mut spaces, mut wrong) = (0, 0);
    if !arch::vcpu::descriptors_are_mine() {
        wrong += 1;
        report::error(
            Party::Guest,
            "verify",
            format_args!("vCPU {me} has another's descriptor table"),
        );
    }
    for slot in &LIVE {
        if let Some(space) = slot.lock().as_ref() {
            spaces += 1;
            wrong += space.check();
        }
    }
    COUNTERS[me]
        .checks
        .fetch_add(spaces * CHECKS, Ordering::Relaxed);
    COUNTERS[me].mismatches.fetch_add(wrong, Ordering::Relaxed);
    (spaces, spaces * CHECKS, wrong)
}
