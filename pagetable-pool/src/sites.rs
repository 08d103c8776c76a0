//! The memory orderings that the algorithm relies on, each with a name.
//!
//! Every ordering stronger than relaxed stands in this table and nowhere else, so that the loom suite can weaken them
//! one at a time and show that a model then fails (`tests/loom.rs`, `weakened_*`).
//!
//! | site | ordering | why |
//! |---|---|---|
//! | [`Site::GateRead`] | acquire load | who sees the gate open again sees its own cache as the drainer left it |
//! | [`Site::GateOpen`] | release store | the other half of `GateRead` |
//! | [`Site::GraceStart`] | release read-modify-write | who sees the new grace period's number sees the closed gate, or the new generation |
//! | [`Site::QuiescentRead`] | acquire load | the other half of `GraceStart` and `DeferTag`; whoever starts a grace period reads its number back this way |
//! | [`Site::QuiescentAnnounce`] | release store | what this CPU did to its cache comes before the drainer's work on it |
//! | [`Site::QuiescentCheck`] | acquire load | the other half of `QuiescentAnnounce` and `IdleEnter` |
//! | [`Site::IdleEnter`] | release store | as `QuiescentAnnounce`, for a CPU that goes idle, parks or leaves |
//! | [`Site::IdleExitFence`] | sequentially consistent fence | a CPU that comes back either is seen by the drainer as running, or sees the closed gate |
//! | [`Site::GraceFence`] | sequentially consistent fence | the drainer's half of `IdleExitFence` |
//! | [`Site::DeferTag`] | release read-modify-write | who sees the number of the next grace period knows that the set was unlinked |
//! | [`Site::ControlAcquire`] | acquire half of a compare-and-swap | who has control sees the gate as its predecessor left it |
//! | [`Site::ControlRelease`] | release store | who drains sees the caches as the drain before left them |

use crate::sync::{fence, AtomicBool, AtomicU32, Ordering};

/// A place where the algorithm needs an ordering.
#[allow(missing_docs)] // the table above says what each one is
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    GateRead,
    GateOpen,
    GraceStart,
    QuiescentRead,
    QuiescentAnnounce,
    QuiescentCheck,
    IdleEnter,
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
