//! Which frames of the direct map Xen has.

use core::sync::atomic::{AtomicU32, Ordering};

use super::layout::DIRECT_MAP_FRAMES;
use super::Pfn;

/// One bit for each frame that Xen has: no memory is there.
static AWAY: [AtomicU32; DIRECT_MAP_FRAMES.div_ceil(32)] =
    [const { AtomicU32::new(0) }; DIRECT_MAP_FRAMES.div_ceil(32)];

/// Notes whether Xen has this frame.
pub fn set_away(pfn: Pfn, is: bool) {
    let (word, bit) = (&AWAY[pfn.0 as usize / 32], 1 << (pfn.0 % 32));
    if is {
        word.fetch_or(bit, Ordering::Relaxed);
    } else {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Has Xen this frame of the direct map?
pub fn is_away(pfn: Pfn) -> bool {
    AWAY.get(pfn.0 as usize / 32)
        .is_some_and(|word| word.load(Ordering::Relaxed) >> (pfn.0 % 32) & 1 != 0)
}
