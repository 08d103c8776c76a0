//! The frame allocator: a list of free frames, linked through frame metadata.
//!
//! It is plain on purpose: one lock, last in, first out. What makes page-table pages cheap is the
//! pool above it. Interrupt handlers never allocate, so the lock is taken with interrupts as they
//! are.

use core::sync::atomic::{AtomicU32, Ordering};

use spin::Mutex;

use crate::arch;
use crate::memory::away::{is_away, set_away};
use crate::memory::layout::{CHUNK, DIRECT_MAP_FRAMES};
use crate::memory::map::MemoryMap;
use crate::memory::Pfn;

/// Ends the list: frame 0 is below the kernel and never managed.
const NONE: u32 = 0;

/// Next free frame for each free frame, or NONE; for one in use, a note of its owner's. The list
/// goes through here and not through the free pages, so that a page's content stays what its last
/// user left: a stray write is seen, not followed. 4 bytes for each of 196 608 frames: 768 KiB,
/// whatever the guest has.
static NEXT: [AtomicU32; DIRECT_MAP_FRAMES] = [const { AtomicU32::new(NONE) }; DIRECT_MAP_FRAMES];

/// Frames that are there to begin with, before it is known how many the guest may touch: 2 MiB. It
/// takes a few dozen to get as far as xenstore.
const AT_FIRST: u32 = 512;

struct FreeList {
    head: u32,
    free: usize,
    total: usize,
    /// Of the free ones, how many nobody gets.
    withheld: usize,
    /// Frames that Xen has, linked like the free ones.
    away_head: u32,
    away: usize,
    /// Frames that nobody has touched or may have: from the first up to this end. What is RAM from
    /// there on, and above the direct map, Xen has.
    untouched: (u32, u32),
    map: MemoryMap,
}

static FREE: Mutex<FreeList> = Mutex::new(FreeList {
    head: NONE,
    free: 0,
    total: 0,
    withheld: 0,
    away_head: NONE,
    away: 0,
    untouched: (0, 0),
    map: MemoryMap::new(),
});

impl FreeList {
    fn push(&mut self, pfn: Pfn) {
        NEXT[pfn.0 as usize].store(self.head, Ordering::Relaxed);
        self.head = pfn.0;
        self.free += 1;
    }

    fn pop(&mut self) -> Option<Pfn> {
        let pfn = self.head;
        if pfn == NONE {
            return None;
        }
        self.head = NEXT[pfn as usize].load(Ordering::Relaxed);
        self.free -= 1;
        Some(Pfn(pfn))
    }

    fn push_away(&mut self, pfn: Pfn) {
        set_away(pfn, true);
        NEXT[pfn.0 as usize].store(self.away_head, Ordering::Relaxed);
        self.away_head = pfn.0;
        self.away += 1;
    }

    fn pop_away(&mut self) -> Option<Pfn> {
        let pfn = self.away_head;
        if pfn == NONE {
            return None;
        }
        self.away_head = NEXT[pfn as usize].load(Ordering::Relaxed);
        self.away -= 1;
        set_away(Pfn(pfn), false);
        Some(Pfn(pfn))
    }

    fn is_usable(&self, pfn: Pfn) -> bool {
        self.map.is_ram(pfn) && arch::frames::is_populated(pfn)
    }

    /// The highest frame that nobody has touched.
    fn pop_untouched(&mut self) -> Option<Pfn> {
        while self.untouched.0 < self.untouched.1 {
            self.untouched.1 -= 1;
            let pfn = Pfn(self.untouched.1);
            if self.is_usable(pfn) {
                return Some(pfn);
            }
        }
        None
    }

    /// Is there nobody but Xen who can know of this frame?
    fn is_untouched(&self, pfn: Pfn) -> bool {
        pfn.0 >= self.untouched.0
    }
}

/// No frame is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrames;

/// How many frames the guest has, and how many it can have: all that its map says, below the kernel
/// too.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub have: u64,
    pub most: u64,
}

/// Takes over the RAM behind the kernel's image and builds the kernel's page tables in it. Once, on
/// vCPU 0.
///
/// Only the first frames can be had at once; the others when [`release`] is called.
pub fn take_over(map: &MemoryMap) -> Extent {
    let (first, end) = arch::boot::take_over_memory(map);
    let mut list = FREE.lock();
    list.map = *map;
    let waiting = first.0.saturating_add(AT_FIRST).min(end.0);
    list.untouched = (waiting, map.end_below(u32::MAX).0);
    for pfn in (first.0..end.0).rev().map(Pfn) {
        if !list.is_usable(pfn) {
            if map.is_ram(pfn) && arch::frames::can_be_populated(pfn) {
                list.push_away(pfn);
            }
        } else if pfn.0 < waiting {
            list.push(pfn);
        }
    }
    list.total = list.free;
    let all = || {
        (0..list.untouched.1)
            .map(Pfn)
            .filter(|&pfn| map.is_ram(pfn))
    };
    Extent {
        have: all().filter(|&pfn| arch::frames::is_populated(pfn)).count() as u64,
        most: all()
            .filter(|&pfn| arch::frames::can_be_populated(pfn))
            .count() as u64,
    }
}

/// Lets all frames be had that are in the direct map and that Xen has not.
pub fn release() {
    let mut list = FREE.lock();
    let (first, end) = list.untouched;
    let below = end.min(DIRECT_MAP_FRAMES as u32);
    if first >= below {
        return;
    }
    list.untouched.0 = below;
    for pfn in (first..below).rev().map(Pfn) {
        if list.is_usable(pfn) {
            list.push(pfn);
            list.total += 1;
        }
    }
}

/// Takes 2 MiB that nobody has touched and that begin at a multiple of 2 MiB, for Xen.
pub fn pick_chunk() -> Option<Pfn> {
    let mut list = FREE.lock();
    let (first, end) = list.untouched;
    let start = end
        .checked_sub(CHUNK)
        .filter(|&start| start >= first && start.is_multiple_of(CHUNK))?;
    if !(start..end).map(Pfn).all(|pfn| list.is_usable(pfn)) {
        return None;
    }
    list.untouched.1 = start;
    Some(Pfn(start))
}

/// Takes frames for Xen: those that nobody has touched, the highest first, and then free ones.
/// Gives how many.
pub fn pick(room: &mut [Pfn]) -> usize {
    let mut list = FREE.lock();
    let mut count = 0;
    for place in room {
        let pfn = match list.pop_untouched() {
            Some(pfn) => pfn,
            None if list.free > list.withheld => match list.pop() {
                Some(pfn) => {
                    list.total -= 1;
                    pfn
                }
                None => break,
            },
            None => break,
        };
        *place = pfn;
        count += 1;
    }
    count
}

/// Xen has these frames now, which were [picked](pick).
pub fn gone(frames: impl Iterator<Item = Pfn>) {
    let mut list = FREE.lock();
    // Above the direct map Xen has all from the end of the untouched ones on.
    frames
        .filter(|pfn| (pfn.0 as usize) < DIRECT_MAP_FRAMES)
        .for_each(|pfn| list.push_away(pfn));
}

/// Xen did not take these, which were the last that were [picked](pick): they are what they were.
pub fn put_back(frames: impl Iterator<Item = Pfn>) {
    let mut list = FREE.lock();
    for pfn in frames {
        if list.is_untouched(pfn) {
            list.untouched.1 = list.untouched.1.max(pfn.0 + 1);
        } else {
            list.push(pfn);
            list.total += 1;
        }
    }
}

/// Chooses frames that Xen has, to ask for memory there. Those of the direct map first: the kernel
/// uses no others. Gives how many.
pub fn pick_away(room: &mut [Pfn]) -> usize {
    let mut list = FREE.lock();
    let mut count = 0;
    let ram_end = list.map.end_below(u32::MAX).0;
    for place in room {
        *place = match list.pop_away() {
            Some(pfn) => pfn,
            None => {
                let first = list.untouched.1.max(DIRECT_MAP_FRAMES as u32);
                let Some(pfn) = (first..ram_end).map(Pfn).find(|&pfn| list.map.is_ram(pfn)) else {
                    break;
                };
                list.untouched.1 = pfn.0 + 1;
                pfn
            }
        };
        count += 1;
    }
    count
}

/// Memory is at these frames now, which were [chosen](pick_away).
pub fn came(frames: &[Pfn]) {
    let mut list = FREE.lock();
    for &pfn in frames.iter().filter(|&&pfn| arch::frames::is_managed(pfn)) {
        list.push(pfn);
        list.total += 1;
    }
}

/// No memory came to these, which were the last that were [chosen](pick_away).
pub fn stay_away(frames: &[Pfn]) {
    let mut list = FREE.lock();
    for &pfn in frames {
        if arch::frames::is_managed(pfn) {
            list.push_away(pfn);
        } else {
            list.untouched.1 = list.untouched.1.min(pfn.0);
        }
    }
}

/// The frames that Xen has, in rising order. Nothing may give or take any meanwhile.
pub fn all_away() -> impl Iterator<Item = Pfn> {
    let (map, first) = {
        let list = FREE.lock();
        (list.map, list.untouched.1.max(DIRECT_MAP_FRAMES as u32))
    };
    let above = (first..map.end_below(u32::MAX).0).map(Pfn);
    let is_ram = move |&pfn: &Pfn| map.is_ram(pfn);
    (0..DIRECT_MAP_FRAMES as u32)
        .map(Pfn)
        .filter(|&pfn| is_away(pfn))
        .chain(above.filter(is_ram))
}

/// Takes a frame. Its content is whatever its last user left.
pub fn allocate() -> Result<Pfn, OutOfFrames> {
    let mut list = FREE.lock();
    if list.free <= list.withheld {
        return Err(OutOfFrames);
    }
    list.pop().ok_or(OutOfFrames)
}

/// Takes a frame and zeroes it.
pub fn allocate_zeroed() -> Result<Pfn, OutOfFrames> {
    let pfn = allocate()?;
    arch::frames::zero(pfn);
    Ok(pfn)
}

/// Gives a frame back. Nothing may map or hold it any more.
pub fn free(pfn: Pfn) {
    assert!(
        arch::frames::is_managed(pfn),
        "freed frame {:#x} is not the allocator's",
        pfn.0
    );
    FREE.lock().push(pfn);
}

/// Lets no more than `left` of the frames that are free now be taken; what is given back can be
/// taken as well. Gives how many are withheld.
#[cfg(feature = "switches")]
pub fn starve(left: usize) -> usize {
    let mut list = FREE.lock();
    list.withheld = list.free.saturating_sub(left);
    list.withheld
}

/// Frames that are free, and all that the allocator has to hand out or has handed out.
pub fn counts() -> (usize, usize) {
    let list = FREE.lock();
    (list.free, list.total)
}

/// Notes a frame number with a frame that is in use; whoever has the frame has the note.
pub fn set_note(pfn: Pfn, note: Pfn) {
    NEXT[pfn.0 as usize].store(note.0, Ordering::Relaxed);
}

/// What [`set_note`] noted.
pub fn note(pfn: Pfn) -> Pfn {
    Pfn(NEXT[pfn.0 as usize].load(Ordering::Relaxed))
}
