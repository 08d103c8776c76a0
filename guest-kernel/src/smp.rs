//! The vCPUs: which run, the loop each runs, parking them, and one going or coming.
//!
//! There are no threads. A vCPU passes through its loop, and each pass begins at a point where it
//! is inside no pool operation: a quiescent state. Whatever another vCPU wants of it (park, leave,
//! check) is a word it reads there; an event only wakes it early.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use migration::hotplug::Seen;
use xen_bindings::vcpu;

use crate::arch::changes::TableError;
use crate::arch::cpu::{self, CpuGuard, MAX_CPUS};
use crate::workload::churn;
use crate::{cmdline, control, events, pool, report, time, trim, xen};

/// One bit for each vCPU that runs its loop.
static ONLINE: AtomicU32 = AtomicU32::new(0);

/// Odd while the other vCPUs are to be parked.
static PARK: AtomicU32 = AtomicU32::new(0);

/// What vCPU 0 has asked for, counted; each vCPU answers with the same number.
static VERIFY: AtomicU32 = AtomicU32::new(0);

/// Caches that vCPU 0 wants filled, counted likewise.
static FILL: AtomicU32 = AtomicU32::new(0);
/// Sets that each is to hold then.
static FILL_WITH: AtomicU32 = AtomicU32::new(0);

struct Mailslot {
    filled: AtomicU32,
    /// The value of [`PARK`] under which this vCPU is parked, or the one after that when it has
    /// gone on.
    parked: AtomicU32,
    verified: AtomicU32,
    /// Parked, and in a nap or on its way into one.
    asleep: AtomicBool,
    /// Whether it may join the others: [`UNINVITED`], [`INVITED`] or [`JOINED`].
    admission: AtomicU32,
    /// Whether it is to leave: [`STAY`], [`ASKED`] or [`GOING`].
    leave: AtomicU32,
    /// What the drain of its own cache found as it left, and what was left after it.
    drained: AtomicU32,
    left: AtomicU32,
    spaces: AtomicU64,
    checks: AtomicU64,
    wrong: AtomicU64,
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

static CPUS: [Mailslot; MAX_CPUS] = [const {
    Mailslot {
        filled: AtomicU32::new(0),
        parked: AtomicU32::new(0),
        verified: AtomicU32::new(0),
        asleep: AtomicBool::new(false),
        admission: AtomicU32::new(UNINVITED),
        leave: AtomicU32::new(STAY),
        drained: AtomicU32::new(0),
        left: AtomicU32::new(0),
        spaces: AtomicU64::new(0),
        checks: AtomicU64::new(0),
        wrong: AtomicU64::new(0),
    }
}; MAX_CPUS];

/// The vCPUs that run, lowest first.
pub fn online() -> impl Iterator<Item = usize> {
    let mask = ONLINE.load(Ordering::Acquire);
    (0..MAX_CPUS).filter(move |cpu| mask >> cpu & 1 != 0)
}

/// Does vCPU `cpu` run its loop?
pub fn is_online(cpu: usize) -> bool {
    ONLINE.load(Ordering::Acquire) >> cpu & 1 != 0
}

fn others() -> impl Iterator<Item = usize> {
    let me = cpu::id();
    online().filter(move |&cpu| cpu != me)
}

/// A vCPU did not do what it was asked to in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The vCPU.
    pub cpu: usize,
    /// What it was asked.
    pub asked: &'static str,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vCPU {} did not {} in time", self.cpu, self.asked)
    }
}

/// Waits until `done`, giving the CPU away meanwhile; false once the guest's clock passes
/// `deadline`.
pub fn wait_until(deadline: u64, mut done: impl FnMut() -> bool) -> bool {
    loop {
        // The clock may be dearer than all the rest.
        for _ in 0..CLOCK_EVERY {
            if done() {
                return true;
            }
            xen::yield_cpu();
        }
        if time::now() > deadline {
            return done();
        }
    }
}

/// Waits until `done` for as long as `limit`, nanoseconds in which this vCPU ran; false once they
/// are over.
///
/// While the domain is paused, or the host is busy with others, nobody gets any nearer to what is
/// waited for. So of the time between two looks only the first second counts.
pub fn wait_while_running(limit: u64, mut done: impl FnMut() -> bool) -> bool {
    const LONGEST_STEP: u64 = 1_000_000_000;
    let (mut ran, mut last) = (0, time::now());
    loop {
        let until = last + LONGEST_STEP / 2;
        if wait_until(until, &mut done) {
            return true;
        }
        let now = time::now();
        ran += (now - last).min(LONGEST_STEP);
        last = now;
        if ran > limit {
            return done();
        }
    }
}

/// Looks that [`wait_until`] takes before it looks at the clock.
const CLOCK_EVERY: u32 = 16;

/// The life of a vCPU that has its tables: it joins the others, works, leaves when it is told to,
/// and joins again when `VCPUOP_up` brings it back.
///
/// Each time round begins at the same depth of the stack. A vCPU comes back where it went down, so
/// calling this function from there would take a little more of its stack with each hotplug, until
/// none is left.
pub fn run(me: usize) -> ! {
    loop {
        if may_join(me) {
            join(me);
            work(me);
            leave(me);
        }
        go_down(me);
    }
}

/// Is this vCPU still expected? One that comes too late is not: a suspend may be under way by now.
fn may_join(me: usize) -> bool {
    let take = |word: &AtomicU32| {
        word.compare_exchange(INVITED, JOINED, Ordering::AcqRel, Ordering::Acquire)
    };
    me == 0 || take(&CPUS[me].admission).is_ok()
}

/// Stops until somebody says `VCPUOP_up`, in the same domain. Interrupts are off.
fn go_down(me: usize) {
    let mut told = false;
    while let Err(error) = vcpu::down(me as u32) {
        if !core::mem::replace(&mut told, true) {
            report::error(report::Party::Xen, "cpu-down", error);
        }
        if CPUS[me].admission.load(Ordering::Acquire) == INVITED {
            return;
        }
        xen::yield_cpu();
    }
}

/// Joins the others: the timer runs, events are taken, the pool and the workload count on this
/// vCPU.
fn join(me: usize) {
    events::arm(me);
    cpu::enable_interrupts();
    pool::cpu_online(me);
    if me == 0 {
        pool::prefill(cmdline::options().prefill);
    }
    churn::join(me);
    ONLINE.fetch_or(1 << me, Ordering::AcqRel);
}

/// Works until this vCPU is told to leave.
fn work(me: usize) {
    loop {
        pool::quiescent();
        #[cfg(feature = "switches")]
        pool::nmi::put_back(me);
        let park = PARK.load(Ordering::Acquire);
        // Whoever sees that it is to park sees this too, which was asked before.
        trim::answer(me);
        if me != 0 && park & 1 == 1 {
            stay_parked(me, park);
        }
        let going = &CPUS[me].leave;
        if going.load(Ordering::Acquire) == ASKED
            && going
                .compare_exchange(ASKED, GOING, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        {
            return;
        }
        answer_verify(me);
        answer_fill(me);
        if me == 0 {
            control::poll();
        }
        if cmdline::options().churn {
            for _ in 0..cmdline::options().burst {
                // Whoever wants something of this vCPU does not wait for the rest of its work.
                if trim::is_under_way() || wanted(me) || events::is_woken(me) || !churn::step(me) {
                    break;
                }
            }
        }
        wait(me);
    }
}

/// Sleeps until the next event; to the pool, an idle CPU.
fn wait(me: usize) {
    let guard = CpuGuard::new();
    if events::take_wakeup(me) || wanted(me) {
        return;
    }
    pool::idle_enter(&guard);
    cpu::wait_for_interrupt();
    cpu::disable_interrupts();
    pool::idle_exit(&guard);
    drop(guard);
}

/// Does somebody want something of this vCPU?
fn wanted(me: usize) -> bool {
    (me != 0 && PARK.load(Ordering::Acquire) & 1 == 1)
        || CPUS[me].leave.load(Ordering::Acquire) == ASKED
        || trim::is_wanted(me)
        || CPUS[me].verified.load(Ordering::Relaxed) != VERIFY.load(Ordering::Acquire)
        || CPUS[me].filled.load(Ordering::Relaxed) != FILL.load(Ordering::Acquire)
}

/// Waits, interrupts off and outside the pool, until vCPU 0 lets go on; touches no shared-info page
/// meanwhile.
fn stay_parked(me: usize, park: u32) {
    let guard = CpuGuard::new();
    pool::idle_enter(&guard);
    CPUS[me].parked.store(park, Ordering::Release);
    let mut looks = 0u32;
    while PARK.load(Ordering::Acquire) == park {
        looks = looks.saturating_add(1);
        if looks < LOOKS_BEFORE_SLEEP || !sleep_parked(me) {
            xen::yield_cpu();
        }
    }
    pool::idle_exit(&guard);
    // The domain may be another one now; a timer that was armed is lost with the old one.
    events::rearm_after_suspend(me);
    CPUS[me]
        .parked
        .store(park.wrapping_add(1), Ordering::Release);
}

/// Looks that a parked vCPU takes before it sleeps between them. On hardware a suspend is over by
/// then.
const LOOKS_BEFORE_SLEEP: u32 = 64;
/// How long it sleeps at most, nanoseconds.
const NAP: u64 = 2_000_000;

/// Parked vCPUs may sleep: until just before the suspend call.
static MAY_SLEEP: AtomicBool = AtomicBool::new(false);

/// Sleeps for a moment, if that is allowed: many vCPUs that take looks in turns leave little of few
/// processors to the one that works.
///
/// The end of a nap is a time of this host's. On another host it may be days away, so no vCPU may
/// be on its way into a nap when the domain is saved: it says that it goes and then looks whether
/// it may, and [`wake_parked`] forbids it and then looks who has gone. One of the two sees the
/// other.
fn sleep_parked(me: usize) -> bool {
    let slot = &CPUS[me];
    slot.asleep.store(true, Ordering::SeqCst);
    let may = MAY_SLEEP.load(Ordering::SeqCst);
    if may {
        xen::sleep_until(time::to_system(time::now() + NAP));
    }
    slot.asleep.store(false, Ordering::SeqCst);
    may
}

/// Has the parked vCPUs stay awake from now on, and waits until they are.
pub fn wake_parked(deadline: u64) -> Result<(), Stuck> {
    MAY_SLEEP.store(false, Ordering::SeqCst);
    for cpu in others() {
        if !wait_until(deadline, || !CPUS[cpu].asleep.load(Ordering::SeqCst)) {
            return Err(Stuck {
                cpu,
                asked: "wake up",
            });
        }
    }
    Ok(())
}

/// Holding one proves that every other online vCPU is parked: interrupts off, inside no pool
/// operation, touching neither page tables nor the shared-info page.
pub struct Parked(());

/// Parks the other vCPUs. On failure they run on.
pub fn park_others(deadline: u64) -> Result<Parked, Stuck> {
    let park = PARK.load(Ordering::Relaxed).wrapping_add(1);
    debug_assert!(park & 1 == 1);
    MAY_SLEEP.store(true, Ordering::SeqCst);
    PARK.store(park, Ordering::Release);
    others().for_each(events::kick);
    let parked = Parked(());
    for cpu in others() {
        if !wait_until(deadline, || {
            CPUS[cpu].parked.load(Ordering::Acquire) == park
        }) {
            drop(parked);
            return Err(Stuck { cpu, asked: "park" });
        }
    }
    Ok(parked)
}

impl Drop for Parked {
    fn drop(&mut self) {
        MAY_SLEEP.store(false, Ordering::SeqCst);
        PARK.fetch_add(1, Ordering::AcqRel);
    }
}

/// Lets the parked vCPUs go on and waits until each has set its timer and does.
pub fn unpark(parked: Parked, deadline: u64) -> Result<(), Stuck> {
    drop(parked);
    let park = PARK.load(Ordering::Relaxed);
    for cpu in others() {
        if !wait_until(deadline, || {
            CPUS[cpu].parked.load(Ordering::Acquire) == park
        }) {
            return Err(Stuck {
                cpu,
                asked: "go on",
            });
        }
    }
    Ok(())
}

fn answer_verify(me: usize) {
    let asked = VERIFY.load(Ordering::Acquire);
    let slot = &CPUS[me];
    if slot.verified.load(Ordering::Relaxed) == asked {
        return;
    }
    let (spaces, checks, wrong) = churn::verify(me);
    slot.spaces.store(spaces, Ordering::Relaxed);
    slot.checks.store(checks, Ordering::Relaxed);
    slot.wrong.store(wrong, Ordering::Relaxed);
    slot.verified.store(asked, Ordering::Release);
}

fn answer_fill(me: usize) {
    let asked = FILL.load(Ordering::Acquire);
    if CPUS[me].filled.load(Ordering::Relaxed) != asked {
        pool::prefill(FILL_WITH.load(Ordering::Relaxed) as usize);
        CPUS[me].filled.store(asked, Ordering::Release);
    }
}

/// Has every online vCPU fill its cache with `sets`, [`cmdline::MAX_PREFILL`] at most. Called on
/// vCPU 0.
pub fn fill_caches(sets: usize, limit: u64) -> Result<(), Stuck> {
    FILL_WITH.store(sets.min(cmdline::MAX_PREFILL) as u32, Ordering::Relaxed);
    let asked = FILL.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
    others().for_each(events::kick);
    answer_fill(cpu::id());
    for cpu in online() {
        if !wait_while_running(limit, || CPUS[cpu].filled.load(Ordering::Acquire) == asked) {
            return Err(Stuck {
                cpu,
                asked: "fill its cache",
            });
        }
    }
    Ok(())
}

/// What every vCPU read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verified {
    /// Address spaces, the fewest that any vCPU saw.
    spaces: u64,
    /// Words compared, all vCPUs.
    checks: u64,
    /// Words that were wrong.
    mismatches: u64,
}

/// Has every online vCPU read every long-lived address space back. Called on vCPU 0.
fn verify_everywhere(limit: u64) -> Result<Verified, Stuck> {
    let asked = VERIFY.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
    others().for_each(events::kick);
    answer_verify(cpu::id());
    let mut all = Verified {
        spaces: u64::MAX,
        ..Verified::default()
    };
    for cpu in online() {
        let slot = &CPUS[cpu];
        if !wait_while_running(limit, || slot.verified.load(Ordering::Acquire) == asked) {
            return Err(Stuck {
                cpu,
                asked: "check the address spaces",
            });
        }
        all.spaces = all.spaces.min(slot.spaces.load(Ordering::Relaxed));
        all.checks += slot.checks.load(Ordering::Relaxed);
        all.mismatches += slot.wrong.load(Ordering::Relaxed);
    }
    Ok(all)
}

/// Longest wait for a vCPU to check, nanoseconds in which this one ran. Far above what an emulated
/// machine needs.
const VERIFY_LIMIT: u64 = 30_000_000_000;

/// Has every vCPU read every address space back, and says what came of it.
pub fn verify(why: &str) {
    match verify_everywhere(VERIFY_LIMIT) {
        Ok(all) => report::event("verify")
            .text("why", why)
            .num("spaces", all.spaces)
            .num("checks", all.checks)
            .num("mismatches", all.mismatches)
            .nums("online", online().map(|cpu| cpu as u64))
            .send(),
        Err(stuck) => report::error(report::Party::Guest, "verify", stuck),
    }
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

/// Leaves: everything that others could still expect of this vCPU ends here, in this order.
fn leave(me: usize) {
    let slot = &CPUS[me];
    churn::leave(me);
    answer_verify(me);
    let (drained, left) = pool::leave();
    slot.drained.store(drained, Ordering::Relaxed);
    slot.left.store(left, Ordering::Relaxed);
    // A tick that came now would arm the timer again.
    cpu::disable_interrupts();
    events::stop_timer(me);
    slot.admission.store(UNINVITED, Ordering::Release);
    ONLINE.fetch_and(!(1 << me), Ordering::AcqRel);
    slot.leave.store(STAY, Ordering::Release);
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
    slot.verified
        .store(VERIFY.load(Ordering::Relaxed), Ordering::Relaxed);
    slot.filled
        .store(FILL.load(Ordering::Relaxed), Ordering::Relaxed);
    slot.parked
        .store(PARK.load(Ordering::Relaxed), Ordering::Relaxed);
    if fresh {
        xen::vcpu_initialise(cpu)?;
    }
    slot.admission.store(INVITED, Ordering::Release);
    let started = xen::set_upcall_vector(cpu)
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

impl From<xen::InitialiseError> for BringUpError {
    fn from(error: xen::InitialiseError) -> Self {
        match error {
            xen::InitialiseError::Call(error) => BringUpError::Xen(error),
            xen::InitialiseError::Tables(error) => BringUpError::Tables(error),
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
