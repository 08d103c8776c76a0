//! The vCPUs: which run, the loop each runs, parking them, and one going or coming.
//!
//! There are no threads. A vCPU passes through its loop, and each pass begins at a point where it is
//! inside no pool operation: a quiescent state. Whatever another vCPU wants of it (park, leave, check) is
//! a word it reads there; an event only wakes it early.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

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
    /// The value of [`PARK`] under which this vCPU is parked, or the one after that when it has gone on.
    parked: AtomicU32,
    verified: AtomicU32,
    /// Parked, and in a nap or on its way into one.
    asleep: AtomicBool,
    /// Not zero: leave.
    leave: AtomicU32,
    /// What the drain of its own cache found as it left, and what was left after it.
    drained: AtomicU32,
    left: AtomicU32,
    spaces: AtomicU64,
    checks: AtomicU64,
    wrong: AtomicU64,
}

static CPUS: [Mailslot; MAX_CPUS] = [const {
    Mailslot {
        filled: AtomicU32::new(0),
        parked: AtomicU32::new(0),
        verified: AtomicU32::new(0),
        asleep: AtomicBool::new(false),
        leave: AtomicU32::new(0),
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

/// Waits until `done`, giving the CPU away meanwhile; false once the guest's clock passes `deadline`.
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

/// Looks that [`wait_until`] takes before it looks at the clock.
const CLOCK_EVERY: u32 = 16;

/// The life of a vCPU that has its tables: it joins the others, works, leaves when it is told to, and joins again when
/// `VCPUOP_up` brings it back.
///
/// Each time round begins at the same depth of the stack. A vCPU comes back where it went down, so calling this function from
/// there would take a little more of its stack with each hotplug, until none is left.
pub fn run(me: usize) -> ! {
    loop {
        join(me);
        work(me);
        leave(me);
    }
}

/// Joins the others: the timer runs, events are taken, the pool and the workload count on this vCPU.
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
        if CPUS[me].leave.load(Ordering::Acquire) != 0 {
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
        || CPUS[me].leave.load(Ordering::Acquire) != 0
        || trim::is_wanted(me)
        || CPUS[me].verified.load(Ordering::Relaxed) != VERIFY.load(Ordering::Acquire)
        || CPUS[me].filled.load(Ordering::Relaxed) != FILL.load(Ordering::Acquire)
}

/// Waits, interrupts off and outside the pool, until vCPU 0 lets go on; touches no shared-info page meanwhile.
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
    CPUS[me].parked.store(park.wrapping_add(1), Ordering::Release);
}

/// Looks that a parked vCPU takes before it sleeps between them. On hardware a suspend is over by then.
const LOOKS_BEFORE_SLEEP: u32 = 64;
/// How long it sleeps at most, nanoseconds.
const NAP: u64 = 2_000_000;

/// Parked vCPUs may sleep: until just before the suspend call.
static MAY_SLEEP: AtomicBool = AtomicBool::new(false);

/// Sleeps for a moment, if that is allowed: many vCPUs that take looks in turns leave little of few processors to the one that
/// works.
///
/// The end of a nap is a time of this host's. On another host it may be days away, so no vCPU may be on its way into a nap when the domain
/// is saved: it says that it goes and then looks whether it may, and [`wake_parked`] forbids it and then looks who has gone. One
/// of the two sees the other.
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
            return Err(Stuck { cpu, asked: "wake up" });
        }
    }
    Ok(())
}

/// Holding one proves that every other online vCPU is parked: interrupts off, inside no pool operation,
/// touching neither page tables nor the shared-info page.
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
        if !wait_until(deadline, || CPUS[cpu].parked.load(Ordering::Acquire) == park) {
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
        if !wait_until(deadline, || CPUS[cpu].parked.load(Ordering::Acquire) == park) {
            return Err(Stuck { cpu, asked: "go on" });
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

/// Has every online vCPU fill its cache with `sets`, [`cmdline::MAX_PREFILL`] at most. Called on vCPU 0.
pub fn fill_caches(sets: usize, deadline: u64) -> Result<(), Stuck> {
    FILL_WITH.store(sets.min(cmdline::MAX_PREFILL) as u32, Ordering::Relaxed);
    let asked = FILL.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
    others().for_each(events::kick);
    answer_fill(cpu::id());
    for cpu in online() {
        if !wait_until(deadline, || CPUS[cpu].filled.load(Ordering::Acquire) == asked) {
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
pub struct Verified {
    /// Address spaces, the fewest that any vCPU saw.
    pub spaces: u64,
    /// Words compared, all vCPUs.
    pub checks: u64,
    /// Words that were wrong.
    pub mismatches: u64,
}

/// Has every online vCPU read every long-lived address space back. Called on vCPU 0.
pub fn verify_everywhere(deadline: u64) -> Result<Verified, Stuck> {
    let asked = VERIFY.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
    others().for_each(events::kick);
    answer_verify(cpu::id());
    let mut all = Verified {
        spaces: u64::MAX,
        ..Verified::default()
    };
    for cpu in online() {
        let slot = &CPUS[cpu];
        if !wait_until(deadline, || slot.verified.load(Ordering::Acquire) == asked) {
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

/// What a vCPU left behind.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// Sets that its cache held and that were drained.
    pub drained: u32,
    /// Sets that its cache still held.
    pub left: u32,
}

/// Has vCPU `cpu` leave; returns once it runs no kernel code any more, and Xen says that it is down.
pub fn take_down(cpu: usize, deadline: u64) -> Result<Left, Stuck> {
    assert!(cpu != 0, "vCPU 0 never leaves: the suspend call must come from it");
    let slot = &CPUS[cpu];
    // Checks that begin now must not count on this vCPU.
    slot.leave.store(1, Ordering::Release);
    events::kick(cpu);
    let gone = wait_until(deadline, || !is_online(cpu) && !vcpu::is_up(cpu as u32).unwrap_or(true));
    if !gone {
        // It may still answer; withdrawing the request leaves it running if it has not.
        slot.leave.store(0, Ordering::Release);
        return Err(Stuck { cpu, asked: "leave" });
    }
    events::unbind_cpu(cpu);
    Ok(Left {
        drained: slot.drained.load(Ordering::Relaxed),
        left: slot.left.load(Ordering::Relaxed),
    })
}

/// Leaves: everything that others could still expect of this vCPU ends here, in this order. Returns when the vCPU is back, or
/// cannot go.
fn leave(me: usize) {
    let slot = &CPUS[me];
    churn::leave(me);
    answer_verify(me);
    let (drained, left) = pool::leave();
    slot.drained.store(drained, Ordering::Relaxed);
    slot.left.store(left, Ordering::Relaxed);
    let guard = CpuGuard::new();
    events::stop_timer(me);
    ONLINE.fetch_and(!(1 << me), Ordering::AcqRel);
    slot.leave.store(0, Ordering::Release);
    // The call returns when somebody says VCPUOP_up again, in the same domain.
    if let Err(error) = vcpu::down(me as u32) {
        report::error(report::Party::Xen, "cpu-down", error);
    }
    drop(guard);
}

/// Brings vCPU `cpu` into its loop; returns once it is there.
///
/// `fresh` says that Xen knows no state of it: it starts at the entry code. Otherwise it goes on where it went down.
pub fn bring_up(cpu: usize, fresh: bool, deadline: u64) -> Result<(), BringUpError> {
    CPUS[cpu]
        .verified
        .store(VERIFY.load(Ordering::Relaxed), Ordering::Relaxed);
    CPUS[cpu].filled.store(FILL.load(Ordering::Relaxed), Ordering::Relaxed);
    CPUS[cpu].parked.store(PARK.load(Ordering::Relaxed), Ordering::Relaxed);
    if fresh {
        xen::vcpu_initialise(cpu)?;
    }
    xen::set_upcall_vector(cpu)?;
    events::bind_cpu(cpu)?;
    if let Err(error) = vcpu::up(cpu as u32) {
        events::unbind_cpu(cpu);
        return Err(error.into());
    }
    if !wait_until(deadline, || is_online(cpu)) {
        return Err(Stuck { cpu, asked: "start" }.into());
    }
    Ok(())
}

/// Why a vCPU did not come.
#[derive(Clone, Copy, Debug)]
pub enum BringUpError {
    /// Xen refused a call.
    Xen(xen_bindings::HypercallError),
    /// It did not reach its loop.
    Stuck(Stuck),
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

impl From<Stuck> for BringUpError {
    fn from(stuck: Stuck) -> Self {
        BringUpError::Stuck(stuck)
    }
}

impl fmt::Display for BringUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BringUpError::Xen(error) => write!(f, "{error}"),
            BringUpError::Stuck(stuck) => write!(f, "{stuck}"),
            BringUpError::Tables(error) => write!(f, "{error}"),
        }
    }
}
