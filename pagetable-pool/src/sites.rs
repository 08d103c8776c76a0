//! The memory orderings that the algorithm relies on, each with a name.
//!
//! Every ordering stronger than relaxed stands here and nowhere else, so that the loom suite can
//! weaken them one at a time and show that a model then fails (`tests/loom.rs`, `weakened_*`).
//!
//! What each one is for, and which model fails without it, stands in `docs/orderings.md`
//! ([`crate::guide::orderings`]).

use crate::sync::{fence, AtomicBool, AtomicU32, Ordering};

/// A place where the algorithm needs an ordering.
#[allow(missing_docs)] // the table says what each one is
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    GateRead,
    GateOpen,
    GateGeneration,
    GraceStart,
    QuiescentRead,
    QuiescentAnnounce,
    QuiescentCheck,
    IdleEnter,
    IdleExitAnnounce,
    IdleExitFence,
    GraceFence,
    DeferTag,
    ControlAcquire,
    ControlRelease,
}

#[cfg(not(loom))]
#[inline(always)]
const fn weakened(_: Site) -> bool {
    false
}

#[cfg(loom)]
std::thread_local! {
    static WEAKENED: core::cell::Cell<Option<Site>> = const { core::cell::Cell::new(None) };
}

#[cfg(loom)]
fn weakened(site: Site) -> bool {
    WEAKENED.with(|w| w.get() == Some(site))
}

/// Makes one site relaxed on this thread, or none: for the suite that shows each one is needed.
#[cfg(loom)]
pub fn weaken(site: Option<Site>) {
    WEAKENED.with(|w| w.set(site));
}

#[inline(always)]
fn unless(site: Site, ordering: Ordering) -> Ordering {
    if weakened(site) {
        Ordering::Relaxed
    } else {
        ordering
    }
}

#[inline(always)]
pub(crate) fn acquire(site: Site, from: &AtomicU32) -> u32 {
    from.load(unless(site, Ordering::Acquire))
}

#[inline(always)]
pub(crate) fn release(site: Site, to: &AtomicU32, value: u32) {
    to.store(value, unless(site, Ordering::Release));
}

pub(crate) fn full_fence(site: Site) {
    if !weakened(site) {
        fence(Ordering::SeqCst);
    }
}

/// Moves the grace period's number from `from` to `to`, if it still is `from`.
pub(crate) fn start_grace(number: &AtomicU32, from: u32, to: u32) -> Result<u32, u32> {
    number.compare_exchange(
        from,
        to,
        unless(Site::GraceStart, Ordering::Release),
        Ordering::Relaxed,
    )
}

/// The grace period's number, the newest there is: a read-modify-write cannot read an old one.
pub(crate) fn tag(number: &AtomicU32) -> u32 {
    number.fetch_add(0, unless(Site::DeferTag, Ordering::Release))
}

pub(crate) fn try_control(taken: &AtomicBool) -> bool {
    taken
        .compare_exchange(
            false,
            true,
            unless(Site::ControlAcquire, Ordering::Acquire),
            Ordering::Relaxed,
        )
        .is_ok()
}

pub(crate) fn release_control(taken: &AtomicBool) {
    taken.store(false, unless(Site::ControlRelease, Ordering::Release));
}
