//! Where a frame is seen: in the near map or in the far one ([`crate::memory::layout`]).

use core::sync::atomic::{AtomicU32, Ordering};

#[cfg(target_arch = "x86_64")]
use crate::memory::layout::{CHUNK, FAR_BASE};
use crate::memory::layout::{KERNEL_BASE, MOST_FRAMES, NEAR_FRAMES, PAGE_SIZE};
use crate::memory::Pfn;

/// Where the near map ends: at a multiple of 2 MiB.
static NEAR_END: AtomicU32 = AtomicU32::new(NEAR_FRAMES as u32);

/// The first frame that is not in the near map. On i686 the kernel uses no others.
pub fn near_end() -> Pfn {
    Pfn(NEAR_END.load(Ordering::Relaxed))
}

/// Ends the near map at `end`, a multiple of 2 MiB. Once, at boot, before anything behind it is
/// touched.
#[cfg(target_arch = "x86_64")]
pub fn end_near(end: Pfn) {
    assert!(end.0.is_multiple_of(CHUNK) && end.0 as usize <= NEAR_FRAMES);
    NEAR_END.store(end.0, Ordering::Relaxed);
}

/// Where a frame is seen.
pub fn address(pfn: Pfn) -> usize {
    #[cfg(target_arch = "x86_64")]
    if pfn >= near_end() {
        return FAR_BASE + pfn.0 as usize * PAGE_SIZE;
    }
    KERNEL_BASE + pfn.0 as usize * PAGE_SIZE
}

/// The frame that is seen at an address; none outside the direct map.
pub fn frame_at(address: usize) -> Option<Pfn> {
    let frame = |base| {
        let frame = address.checked_sub(base)? / PAGE_SIZE;
        (frame < MOST_FRAMES).then_some(Pfn(frame as u32))
    };
    if let Some(pfn) = frame(KERNEL_BASE) {
        return (pfn < near_end()).then_some(pfn);
    }
    #[cfg(target_arch = "x86_64")]
    return frame(FAR_BASE).filter(|&pfn| pfn >= near_end());
    #[cfg(target_arch = "x86")]
    None
}

/// The first of `count` frames from `first` on, or a little later, that are seen one behind the
/// other.
pub fn side_by_side(first: Pfn, count: u32) -> Pfn {
    let end = near_end();
    if first < end && end.0 - first.0 < count && cfg!(target_arch = "x86_64") {
        end
    } else {
        first
    }
}
