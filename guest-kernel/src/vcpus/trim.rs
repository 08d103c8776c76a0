//! Trimming early: each vCPU empties its own cache as soon as a suspend is asked for, all at the
//! same time, before any is parked.
//!
//! The drain comes after it as ever and is what proves that nothing is cached; it finds next to
//! nothing to do. It works alone, while all others are parked; this works on every vCPU at once,
//! while vCPU 0 waits for xenstored's answers. From the request on no vCPU begins an address space,
//! or it would fill its cache again.
//!
//! Chosen with `trim=early` on the command line, or `trim early` and `trim off` on the console.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::arch::cpu::MAX_CPUS;
use crate::cmdline;
use crate::sets::{drain, pool};
use crate::xen::{calls, cpus, events, report};

/// Odd from a suspend's request until the vCPUs may go on.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// The console asked for the other of the two.
static SWITCHED: AtomicBool = AtomicBool::new(false);

/// What one vCPU did. Written by that vCPU alone.
struct Done {
    /// The value of [`ASKED`] that it has answered.
    answered: AtomicU32,
    own: AtomicU32,
    depot: AtomicU32,
}

static DONE: [Done; MAX_CPUS] = [const {
    Done {
        answered: AtomicU32::new(0),
        own: AtomicU32::new(0),
        depot: AtomicU32::new(0),
    }
}; MAX_CPUS];

fn is_chosen() -> bool {
    cmdline::options().trim_early != SWITCHED.load(Ordering::Relaxed)
}

/// Takes `early` and `off` from the console.
pub fn choose(word: &str) {
    let early = match word {
        "early" => true,
        "off" => false,
        _ => return log::info!("`trim {word}`: the words are early and off"),
    };
    SWITCHED.store(cmdline::options().trim_early != early, Ordering::Relaxed);
    report::event("trim-set").text("trim", word).send();
}

/// The pool's hypercalls as the last vCPU to answer saw them.
static HYPERCALLS: AtomicU64 = AtomicU64::new(0);

/// While one lives, each vCPU empties its cache once and begins no address space.
pub struct Trimming {
    hypercalls: u64,
}

impl Trimming {
    /// Has the other vCPUs begin. `None` if this was not chosen. On vCPU 0.
    pub fn begin() -> Option<Trimming> {
        if !is_chosen() {
            return None;
        }
        for done in &DONE {
            done.own.store(0, Ordering::Relaxed);
            done.depot.store(0, Ordering::Relaxed);
        }
        let trimming = Trimming {
            hypercalls: pool::hypercalls(),
        };
        HYPERCALLS.store(trimming.hypercalls, Ordering::Relaxed);
        ASKED.fetch_add(1, Ordering::AcqRel);
        cpus::online()
            .filter(|&cpu| cpu != 0)
            .for_each(events::kick);
        Some(trimming)
    }

    /// Says what was done. Once every vCPU has answered: each does before it parks.
    pub fn report(&self, round: u64) {
        let of = |which: fn(&Done) -> &AtomicU32| {
            (0..calls::max_vcpus())
                .map(move |cpu| u64::from(which(&DONE[cpu]).load(Ordering::Relaxed)))
        };
        report::event("trim")
            .num("round", round)
            .nums("per_cpu", of(|done| &done.own))
            .nums("depot", of(|done| &done.depot))
            .num(
                "sets",
                of(|done| &done.own).chain(of(|done| &done.depot)).sum(),
            )
            .num(
                "hypercalls",
                HYPERCALLS.load(Ordering::Relaxed) - self.hypercalls,
            )
            .send();
    }
}

impl Drop for Trimming {
    fn drop(&mut self) {
        ASKED.fetch_add(1, Ordering::AcqRel);
    }
}

/// Are the vCPUs to begin no address space?
pub fn is_under_way() -> bool {
    ASKED.load(Ordering::Acquire) & 1 == 1
}

/// Has vCPU `me` not done its part?
pub fn is_wanted(me: usize) -> bool {
    let asked = ASKED.load(Ordering::Acquire);
    asked & 1 == 1 && DONE[me].answered.load(Ordering::Relaxed) != asked
}

/// vCPU `me`, the running one, does its part: its own cache, then of the depot what the others have
/// not taken yet.
pub fn answer(me: usize) {
    if !is_wanted(me) {
        return;
    }
    let done = &DONE[me];
    let asked = ASKED.load(Ordering::Acquire);
    done.own.store(drain::trim_own(), Ordering::Relaxed);
    done.depot.store(drain::trim_depot(), Ordering::Relaxed);
    HYPERCALLS.fetch_max(pool::hypercalls(), Ordering::Relaxed);
    done.answered.store(asked, Ordering::Release);
}
