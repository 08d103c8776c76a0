//! CPU hotplug: the state of each vCPU, and the lock-out of hotplug during a suspend.

use core::fmt;

use crate::availability::{CpuSet, MAX_CPUS};
use crate::outcome::Return;

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU32, Ordering};
#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};

/// Where a vCPU stands.
///
/// ```text
/// Offline { initialised: false } --VCPUOP_initialise--> Starting --it runs--> Online --it goes--> Leaving
///        ^                              ^   |                                             |
///        |                   VCPUOP_up  |   | it does not come                            | VCPUOP_down
///        | a restore                    |   v                                             v
///        +------------------------- Offline { initialised: true } <-----------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CpuState {
    /// Not running. It gets no interrupt and belongs to no grace period.
    Offline {
        /// Whether Xen holds a register state for it. `VCPUOP_up` then goes on with that state, and
        /// `VCPUOP_initialise` returns `-EEXIST`. A restore makes every offline vCPU uninitialised:
        /// there is no record of them in the stream (`hvm_save_cpu_ctxt`,
        /// `xen/arch/x86/hvm/hvm.c:856`).
        initialised: bool,
    },
    /// `VCPUOP_up` was done; the vCPU has not reported yet that it runs.
    Starting,
    /// It runs kernel code.
    Online,
    /// It is going down: it drains its own caches, then calls `VCPUOP_down`.
    Leaving,
}

/// What has to be done to bring a vCPU up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BringUp {
    /// `VCPUOP_initialise` with an entry state, then `VCPUOP_up`. `-EEXIST` from the first is no
    /// error.
    #[doc(alias = "VCPUOP_initialise")]
    InitialiseAndUp,
    /// `VCPUOP_up`: it continues where it called `VCPUOP_down`.
    #[doc(alias = "VCPUOP_up")]
    Up,
}

/// A transition that the state of the vCPU does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HotplugError {
    /// There is no such vCPU in this domain.
    NoSuchCpu {
        /// The number.
        cpu: usize,
    },
    /// It is in another state than the transition begins with.
    WrongState {
        /// The vCPU.
        cpu: usize,
        /// Its state.
        state: CpuState,
    },
    /// vCPU 0 stays online: it makes the suspend hypercall.
    Cpu0,
}

impl fmt::Display for HotplugError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HotplugError::NoSuchCpu { cpu } => write!(f, "there is no vCPU {cpu}"),
            HotplugError::WrongState { cpu, state } => write!(f, "vCPU {cpu} is {state:?}"),
            HotplugError::Cpu0 => f.write_str("vCPU 0 stays online"),
        }
    }
}

impl core::error::Error for HotplugError {}

impl crate::Blame for HotplugError {}

/// What was seen of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `VCPUOP_is_up` says that Xen lets it run. It need not run kernel code yet, or any more.
    #[doc(alias = "VCPUOP_is_up")]
    pub up: bool,
    /// It has reported that it runs kernel code, and not that it goes down.
    pub working: bool,
}

/// What [`Cpus::observe`] has found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The vCPU runs now.
    Came,
    /// It has stopped: its event channels can be closed.
    Went,
}

/// The states of all possible vCPUs. The guest keeps it under its own lock.
#[derive(Clone, Debug)]
pub struct Cpus {
    states: [CpuState; MAX_CPUS],
    count: usize,
}

impl Cpus {
    /// The table of a domain with `count` possible vCPUs (1 to [`MAX_CPUS`]) at boot: vCPU 0 runs,
    /// no other was ever initialised.
    pub fn at_boot(count: usize) -> Cpus {
        let mut states = [CpuState::Offline { initialised: false }; MAX_CPUS];
        states[0] = CpuState::Online;
        Cpus {
            states,
            count: count.clamp(1, MAX_CPUS),
        }
    }

    /// How many vCPUs are possible.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The state of one vCPU; `None` when there is no such vCPU.
    pub fn state(&self, cpu: usize) -> Option<CpuState> {
        self.states[..self.count].get(cpu).copied()
    }

    /// The vCPUs that run.
    pub fn online(&self) -> CpuSet {
        self.those(|state| state == CpuState::Online)
    }

    /// The vCPUs on their way in or out. Empty while hotplug is held.
    pub fn in_transit(&self) -> CpuSet {
        self.those(|state| matches!(state, CpuState::Starting | CpuState::Leaving))
    }

    /// Begins to bring a vCPU up and says what has to be done.
    pub fn start(&mut self, cpu: usize) -> Result<BringUp, HotplugError> {
        match self.get(cpu)? {
            CpuState::Offline { initialised } => {
                self.states[cpu] = CpuState::Starting;
                Ok(if initialised {
                    BringUp::Up
                } else {
                    BringUp::InitialiseAndUp
                })
            }
            state => Err(HotplugError::WrongState { cpu, state }),
        }
    }

    /// The vCPU has said that it runs.
    pub fn started(&mut self, cpu: usize) -> Result<(), HotplugError> {
        self.step(cpu, CpuState::Starting, CpuState::Online)
    }

    /// The vCPU could not be brought up. `initialised` says whether `VCPUOP_initialise` had worked
    /// (or had said `-EEXIST`).
    pub fn start_failed(&mut self, cpu: usize, initialised: bool) -> Result<(), HotplugError> {
        self.step(cpu, CpuState::Starting, CpuState::Offline { initialised })
    }

    /// Begins to take a vCPU down. vCPU 0 is refused, so the last one online, whose going would
    /// power the domain off, never goes.
    pub fn leave(&mut self, cpu: usize) -> Result<(), HotplugError> {
        match self.get(cpu)? {
            _ if cpu == 0 => Err(HotplugError::Cpu0),
            CpuState::Online => {
                self.states[cpu] = CpuState::Leaving;
                Ok(())
            }
            state => Err(HotplugError::WrongState { cpu, state }),
        }
    }

    /// The vCPU was seen to be down (`VCPUOP_is_up` says 0).
    #[doc(alias = "VCPUOP_is_up")]
    pub fn left(&mut self, cpu: usize) -> Result<(), HotplugError> {
        self.step(
            cpu,
            CpuState::Leaving,
            CpuState::Offline { initialised: true },
        )
    }

    /// The vCPU did not go: it runs on.
    pub fn leave_failed(&mut self, cpu: usize) -> Result<(), HotplugError> {
        self.step(cpu, CpuState::Leaving, CpuState::Online)
    }

    /// Brings the state of a vCPU in line with what is seen of it; gives what has changed.
    ///
    /// A timeout says nothing about the vCPU: it may come or go right after, because the domain was
    /// paused or the host was busy. So after a timeout the caller leaves the vCPU
    /// [`Starting`](CpuState::Starting) or [`Leaving`](CpuState::Leaving), unless it called the vCPU
    /// back, and looks again later.
    ///
    /// # Errors
    /// [`HotplugError::NoSuchCpu`].
    pub fn observe(&mut self, cpu: usize, seen: Seen) -> Result<Option<Change>, HotplugError> {
        let (next, change) = match (self.get(cpu)?, seen.up, seen.working) {
            (CpuState::Starting | CpuState::Offline { .. }, true, true) => {
                (CpuState::Online, Change::Came)
            }
            (CpuState::Starting | CpuState::Leaving | CpuState::Online, false, false) => {
                (CpuState::Offline { initialised: true }, Change::Went)
            }
            _ => return Ok(None),
        };
        self.states[cpu] = next;
        Ok(Some(change))
    }

    /// The domain has `count` possible vCPUs from now on: after a restore with another
    /// configuration. Those that do not exist any more were offline, or the restore would have
    /// failed; one that is not counts as possible all the same.
    pub fn set_count(&mut self, count: usize) {
        let used = self.online().or(self.in_transit());
        let least = used.iter().next_back().map_or(1, |last| last + 1);
        let count = count.clamp(least, MAX_CPUS);
        self.states[count.min(self.count)..].fill(CpuState::Offline { initialised: false });
        self.count = count;
    }

    /// To be called on every return from a suspend. After a restore, offline vCPUs are
    /// uninitialised; in the same domain nothing changes.
    pub fn returned(&mut self, how: Return) {
        if how.is_same_domain() {
            return;
        }
        for state in &mut self.states[..self.count] {
            if let CpuState::Offline { initialised } = state {
                *initialised = false;
            }
        }
    }

    fn get(&self, cpu: usize) -> Result<CpuState, HotplugError> {
        self.state(cpu).ok_or(HotplugError::NoSuchCpu { cpu })
    }

    fn step(&mut self, cpu: usize, from: CpuState, to: CpuState) -> Result<(), HotplugError> {
        let state = self.get(cpu)?;
        if state != from {
            return Err(HotplugError::WrongState { cpu, state });
        }
        self.states[cpu] = to;
        Ok(())
    }

    fn those(&self, keep: impl Fn(CpuState) -> bool) -> CpuSet {
        (0..self.count)
            .filter(|cpu| keep(self.states[*cpu]))
            .collect()
    }
}

/// A hotplug operation is under way: [`Lockout`]'s word has this bit.
const BUSY: u32 = 1;
/// Hotplug is held by a suspend.
const HELD: u32 = 2;
/// An operation was turned away while it was held, or while another was under way.
const MISSED: u32 = 4;

/// Keeps CPU hotplug and a suspend apart: at most one hotplug operation or one suspend at a time.
///
/// Neither side waits here. A request that is turned away is remembered, and the holder is told at
/// the end to read `cpu/*/availability` again.
#[derive(Debug)]
pub struct Lockout {
    word: AtomicU32,
}

/// Evidence that a hotplug operation is under way and that no suspend is. [`Operation::end`] ends
/// it; so does dropping it, but then the next holder reports the requests turned away.
#[must_use = "dropping it ends the operation at once"]
#[derive(Debug)]
pub struct Operation<'a> {
    lockout: &'a Lockout,
}

/// Evidence that no hotplug operation is under way and that none can begin. [`Hold::release`] lets
/// hotplug go on; so does dropping it, but then the next holder reports the requests turned away.
#[must_use = "dropping it lets hotplug go on at once"]
#[derive(Debug)]
pub struct Hold<'a> {
    lockout: &'a Lockout,
}

/// It is taken: by an operation or by a suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A hotplug operation is under way.
    ByOperation,
    /// A suspend holds it.
    BySuspend,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Taken::ByOperation => "a CPU hotplug operation is under way",
            Taken::BySuspend => "a suspend holds CPU hotplug",
        })
    }
}

impl core::error::Error for Taken {}

impl Lockout {
    /// Nothing under way.
    #[cfg(not(loom))]
    pub const fn new() -> Lockout {
        Lockout {
            word: AtomicU32::new(0),
        }
    }

    /// Nothing under way.
    #[cfg(loom)]
    pub fn new() -> Lockout {
        Lockout {
            word: AtomicU32::new(0),
        }
    }

    /// Begins a hotplug operation. If one is under way, or hotplug is held, the request is
    /// remembered for
    /// [`Operation::end`] or [`Hold::release`] to report.
    pub fn begin(&self) -> Result<Operation<'_>, Taken> {
        self.take(BUSY, MISSED)?;
        Ok(Operation { lockout: self })
    }

    /// Holds hotplug for a suspend. With an operation under way this fails, and the caller tries
    /// again until its deadline.
    pub fn hold(&self) -> Result<Hold<'_>, Taken> {
        self.take(HELD, 0)?;
        Ok(Hold { lockout: self })
    }

    /// Takes the word with `bit`, or leaves `mark` in it.
    fn take(&self, bit: u32, mark: u32) -> Result<(), Taken> {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let taken = seen & (BUSY | HELD) != 0;
            let next = if taken { seen | mark } else { seen | bit };
            // Acquire: what the previous holder did is seen. Release: the mark comes after what the
            // request read.
            match self
                .word
                .compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if seen & HELD != 0 => return Err(Taken::BySuspend),
                Ok(_) if taken => return Err(Taken::ByOperation),
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    /// Gives the word back; whether a request was turned away in the meantime.
    fn give_back(&self) -> bool {
        self.word.swap(0, Ordering::AcqRel) & MISSED != 0
    }

    /// Gives the word back and keeps the mark of a request turned away for the next one to report.
    fn give_back_quietly(&self) {
        self.word.fetch_and(MISSED, Ordering::AcqRel);
    }
}

impl Default for Lockout {
    fn default() -> Lockout {
        Lockout::new()
    }
}

impl Operation<'_> {
    /// Ends the operation. `true`: a request was turned away meanwhile, read `cpu/*/availability`
    /// again.
    #[must_use = "a request may have been turned away"]
    pub fn end(self) -> bool {
        let missed = self.lockout.give_back();
        core::mem::forget(self);
        missed
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        self.lockout.give_back_quietly();
    }
}

impl Hold<'_> {
    /// Lets hotplug go on. `true`: a request was turned away meanwhile. (After a suspend the nodes
    /// are read again in any case: [`Platform::reread`](crate::Platform::reread).)
    #[must_use = "a request may have been turned away"]
    pub fn release(self) -> bool {
        let missed = self.lockout.give_back();
        core::mem::forget(self);
        missed
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.lockout.give_back_quietly();
    }
}
