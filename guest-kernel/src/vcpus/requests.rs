//! What vCPU 0 has every vCPU do in its loop: read the address spaces back, fill its cache.
//!
//! Requests are counted, and each vCPU answers with the same number.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::arch::cpu::{self, MAX_CPUS};
use crate::cmdline;
use crate::sets::{kinds, pool};
use crate::workload::churn;
use crate::xen::cpus::{online, others, wait_while_running, Stuck};
use crate::xen::{events, report};

/// Times that vCPU 0 wanted the address spaces read back.
static VERIFY: AtomicU32 = AtomicU32::new(0);
/// Times that it wanted the caches filled.
static FILL: AtomicU32 = AtomicU32::new(0);
/// Sets that each is to hold then.
static FILL_WITH: AtomicU32 = AtomicU32::new(0);

/// What one vCPU has answered. Written by that vCPU alone while it runs.
struct Answers {
    filled: AtomicU32,
    verified: AtomicU32,
    spaces: AtomicU64,
    checks: AtomicU64,
    wrong: AtomicU64,
}

static CPUS: [Answers; MAX_CPUS] = [const {
    Answers {
        filled: AtomicU32::new(0),
        verified: AtomicU32::new(0),
        spaces: AtomicU64::new(0),
        checks: AtomicU64::new(0),
        wrong: AtomicU64::new(0),
    }
}; MAX_CPUS];

/// Is something wanted of vCPU `me`?
pub fn is_wanted(me: usize) -> bool {
    CPUS[me].verified.load(Ordering::Relaxed) != VERIFY.load(Ordering::Acquire)
        || CPUS[me].filled.load(Ordering::Relaxed) != FILL.load(Ordering::Acquire)
}

/// vCPU `cpu`, which comes, has missed no request.
pub fn welcome(cpu: usize) {
    let slot = &CPUS[cpu];
    slot.verified
        .store(VERIFY.load(Ordering::Relaxed), Ordering::Relaxed);
    slot.filled
        .store(FILL.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// The running vCPU reads the address spaces back, if that is wanted.
pub fn answer_verify(me: usize) {
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

/// The running vCPU fills its cache, if that is wanted.
pub fn answer_fill(me: usize) {
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
            .num("highest_table", u64::from(kinds::highest_marked().0))
            .nums("online", online().map(|cpu| cpu as u64))
            .send(),
        Err(stuck) => report::error(report::Party::Guest, "verify", stuck),
    }
}
