//! What each frame is: the ledger that those who make page tables keep, and that the audit reads.

use core::sync::atomic::{AtomicU32, AtomicU8, Ordering};

use spin::Once;

use crate::memory::Pfn;

/// Frames whose marks are looked at together.
const GROUP: usize = 64;

/// What a managed frame is, for the audit. One byte each, for as many frames as the domain has.
static KINDS: Once<&'static [AtomicU8]> = Once::new();

/// Gives the marks their place: zeroes, so all frames are plain. Once, at boot.
pub fn place(kinds: &'static [AtomicU8]) {
    KINDS.call_once(|| kinds);
}

fn kinds() -> &'static [AtomicU8] {
    KINDS.get().copied().unwrap_or_default()
}

/// One past the highest frame that was ever marked: the allocator hands out low frames first.
static MARKED_END: AtomicU32 = AtomicU32::new(0);

/// The highest frame that ever was a page table or a set's page.
pub fn highest_marked() -> Pfn {
    Pfn(MARKED_END.load(Ordering::Relaxed).saturating_sub(1))
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// No page table.
    Plain = 0,
    /// An L2 page of a set that nobody uses.
    IdleL2 = 1,
    /// An L2 page of a set in use.
    LiveL2 = 2,
    /// An L1 table of a space.
    L1 = 3,
    /// The holder of a set in use, with the notes that lead to its other pages.
    LiveHolder = 4,
    /// An L2 page of a set that Xen was told to let go, and that was left as it was: what a test
    /// wants to be found.
    #[cfg_attr(not(feature = "switches"), allow(dead_code))]
    StaleL2 = 5,
}

/// The frames that are marked so.
pub fn marked(kind: Kind) -> impl Iterator<Item = Pfn> {
    all_marked()
        .filter(move |&(_, is)| is == kind as u8)
        .map(|(pfn, _)| pfn)
}

/// The frames that are marked as anything but plain, and as what, in rising order.
///
/// Few of a guest's frames are page tables, and they lie close together: a group of plain ones is
/// passed over as one.
pub fn all_marked() -> impl Iterator<Item = (Pfn, u8)> {
    let load = |kind: &AtomicU8| kind.load(Ordering::Relaxed);
    let groups = (MARKED_END.load(Ordering::Relaxed) as usize).div_ceil(GROUP);
    kinds()
        .chunks(GROUP)
        .take(groups)
        .enumerate()
        .filter(move |(_, group)| {
            group.iter().fold(0, |all, kind| all | load(kind)) != Kind::Plain as u8
        })
        .flat_map(move |(n, group)| (n * GROUP..).zip(group.iter().map(load)))
        .filter(|&(_, kind)| kind != Kind::Plain as u8)
        .map(|(pfn, kind)| (Pfn(pfn as u32), kind))
}

/// Notes what a frame is from now on.
pub fn mark(pfn: Pfn, kind: Kind) {
    kinds()[pfn.0 as usize].store(kind as u8, Ordering::Relaxed);
    if pfn.0 >= MARKED_END.load(Ordering::Relaxed) {
        MARKED_END.fetch_max(pfn.0 + 1, Ordering::Relaxed);
    }
}

/// Is it marked so?
pub fn is_marked(pfn: Pfn, kind: Kind) -> bool {
    kinds()[pfn.0 as usize].load(Ordering::Relaxed) == kind as u8
}
