//! The frame allocator: frames that nobody has touched, and a list of those that were given back,
//! linked through frame metadata.
//!
//! It is plain on purpose: one lock, last in, first out. What makes page-table pages cheap is the
//! pool above it. Interrupt handlers never allocate, so the lock is taken with interrupts as they
//! are.

use core::sync::atomic::{AtomicU32, Ordering};

use spin::{Mutex, Once};

use super::kinds;
use crate::arch;
use crate::arch::boot::TooLittleMemory;
use crate::cmdline;
use crate::memory::away::{self, set_away};
use crate::memory::layout::{CHUNK, MOST_FRAMES};
use crate::memory::map::MemoryMap;
use crate::memory::Pfn;

/// Ends the list: frame 0 is below the kernel and never managed.
const NONE: u32 = 0;

/// Next free frame for each free frame that somebody had, or NONE; for one in use, a note of its
/// owner's. The list goes through here and not through the free pages, so that a page's content
/// stays what its last user left: a stray write is seen, not followed. 4 bytes for each frame of the
/// domain.
static NEXT: Once<&'static [AtomicU32]> = Once::new();

fn next(pfn: u32) -> &'static AtomicU32 {
    &NEXT.get().copied().unwrap_or_default()[pfn as usize]
}

/// Frames that are there to begin with, before it is known how many the guest may touch: 2 MiB. It
/// takes a few dozen to get as far as xenstore.
const AT_FIRST: u32 = 512;

struct FreeList {
    /// Frames that somebody had and gave back.
    head: u32,
    /// How many can be had: those, and the untouched ones that are open.
    free: usize,
    total: usize,
    /// Of the free ones, how many nobody gets.
    withheld: usize,
    /// Frames that Xen has, linked like the free ones.
    away_head: u32,
    away: usize,
    /// Frames that nobody has touched: from the first up to this end. What is RAM from there on, and
    /// above what the kernel maps, Xen has. A frame costs nothing before it is taken from here.
    untouched: (u32, u32),
    /// Untouched ones below this frame can be had.
    open: u32,
    /// What the last [`pick`] took of the untouched ones: from the first up to this end.
    picked: (u32, u32),
    /// The highest untouched ones are taken first.
    from_top: bool,
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
    open: 0,
    picked: (0, 0),
    from_top: false,
    map: MemoryMap::new(),
});

impl FreeList {
    fn push(&mut self, pfn: Pfn) {
        next(pfn.0).store(self.head, Ordering::Relaxed);
        self.head = pfn.0;
        self.free += 1;
    }

    fn pop(&mut self) -> Option<Pfn> {
        let pfn = if self.head != NONE {
            let pfn = self.head;
            self.head = next(pfn).load(Ordering::Relaxed);
            Pfn(pfn)
        } else if self.from_top && self.untouched.1 <= self.open {
            self.pop_highest()?
        } else {
            self.pop_lowest()?
        };
        self.free -= 1;
        Some(pfn)
    }

    fn push_away(&mut self, pfn: Pfn) {
        set_away(pfn, true);
        next(pfn.0).store(self.away_head, Ordering::Relaxed);
        self.away_head = pfn.0;
        self.away += 1;
    }

    fn pop_away(&mut self) -> Option<Pfn> {
        let pfn = self.away_head;
        if pfn == NONE {
            return None;
        }
        self.away_head = next(pfn).load(Ordering::Relaxed);
        self.away -= 1;
        set_away(Pfn(pfn), false);
        Some(Pfn(pfn))
    }

    fn is_usable(&self, pfn: Pfn) -> bool {
        self.map.is_ram(pfn) && arch::frames::is_populated(pfn)
    }

    /// The lowest frame that nobody has touched and that can be had.
    fn pop_lowest(&mut self) -> Option<Pfn> {
        while self.untouched.0 < self.untouched.1.min(self.open) {
            let pfn = Pfn(self.untouched.0);
            self.untouched.0 += 1;
            if self.is_usable(pfn) {
                return Some(pfn);
            }
        }
        None
    }

    /// The highest frame that nobody has touched, whether it can be had or not.
    fn pop_highest(&mut self) -> Option<Pfn> {
        while self.untouched.0 < self.untouched.1 {
            self.untouched.1 -= 1;
            let pfn = Pfn(self.untouched.1);
            if self.is_usable(pfn) {
                return Some(pfn);
            }
        }
        None
    }

    /// The untouched frames from `first` to `end` that are memory: all RAM of a PVH guest is.
    fn count(&self, first: u32, end: u32) -> usize {
        if !arch::is_pv() {
            return self.map.count(first, end) as usize;
        }
        (first..end).filter(|&pfn| self.is_usable(Pfn(pfn))).count()
    }

    /// Frames that could be had are Xen's now, or the other way round.
    fn open_up_to(&mut self, open: u32) {
        let (first, end) = self.untouched;
        let more = self.count(first.max(self.open), end.min(open));
        self.open = open;
        self.free += more;
        self.total += more;
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

/// Takes over the RAM behind the kernel's image and builds the kernel's page tables in it, for a domain
/// with so many vCPUs. Once, on vCPU 0.
///
/// Only the first frames can be had at once; the others when [`release`] is called. None is touched.
///
/// # Errors
/// If there are not enough to begin with.
pub fn take_over(map: &MemoryMap, vcpus: usize) -> Result<Extent, TooLittleMemory> {
    let taken = arch::boot::take_over_memory(map, vcpus)?;
    NEXT.call_once(|| taken.ledger.next);
    kinds::place(taken.ledger.kinds);
    away::place(taken.ledger.away);
    let (first, end) = taken.frames;
    let ram_end = map.end_below(u32::MAX).0;
    let mut list = FREE.lock();
    list.map = *map;
    list.from_top = cmdline::options().frames_from_top;
    list.untouched = (first.0, ram_end);
    list.open_up_to(first.0.saturating_add(AT_FIRST).min(end.0));
    if !arch::is_pv() {
        let all = u64::from(map.count(0, ram_end));
        return Ok(Extent {
            have: all,
            most: all,
        });
    }
    // The builder gave the first frames memory, and the others may come to have some.
    for pfn in (first.0..end.0).rev().map(Pfn) {
        if map.is_ram(pfn) && !list.is_usable(pfn) && arch::frames::can_be_populated(pfn) {
            list.push_away(pfn);
        }
    }
    let all = || (0..ram_end).map(Pfn).filter(|&pfn| map.is_ram(pfn));
    Ok(Extent {
        have: all().filter(|&pfn| arch::frames::is_populated(pfn)).count() as u64,
        most: all()
            .filter(|&pfn| arch::frames::can_be_populated(pfn))
            .count() as u64,
    })
}

/// Lets all frames be had that the kernel maps and that Xen has not.
pub fn release() {
    FREE.lock().open_up_to(MOST_FRAMES as u32);
}

/// Takes 2 MiB that nobody has touched and that begin at a multiple of 2 MiB, for Xen.
pub fn pick_chunk() -> Option<Pfn> {
    let mut list = FREE.lock();
    let (first, end) = list.untouched;
    let start = end
        .checked_sub(CHUNK)
        .filter(|&start| start >= first && start.is_multiple_of(CHUNK))?;
    if list.count(start, end) != CHUNK as usize {
        return None;
    }
    let open = list.open.clamp(start, end) - start;
    if list.free < list.withheld + open as usize {
        return None;
    }
    list.free -= open as usize;
    list.total -= open as usize;
    list.untouched.1 = start;
    list.picked = (start, end);
    Some(Pfn(start))
}

/// Takes frames for Xen: those that nobody has touched, the highest first, and then free ones.
/// Gives how many.
pub fn pick(room: &mut [Pfn]) -> usize {
    let mut list = FREE.lock();
    let before = list.untouched.1;
    let mut count = 0;
    for place in room {
        let mut pfn = None;
        // Those that nobody may have yet are no part of what is withheld.
        if list.untouched.1 > list.open || list.free > list.withheld {
            pfn = list.pop_highest();
        }
        let opened = pfn.is_none_or(|pfn| pfn.0 < list.open);
        if pfn.is_none() && list.free > list.withheld {
            pfn = list.pop().inspect(|_| list.free += 1);
        }
        let Some(pfn) = pfn else { break };
        if opened {
            list.free -= 1;
            list.total -= 1;
        }
        *place = pfn;
        count += 1;
    }
    list.picked = (list.untouched.1, before);
    count
}

/// Xen has these frames now, which were [picked](pick).
pub fn gone(frames: impl Iterator<Item = Pfn>) {
    let mut list = FREE.lock();
    // Above what the kernel maps Xen has all from the end of the untouched ones on.
    frames
        .filter(|pfn| (pfn.0 as usize) < MOST_FRAMES)
        .for_each(|pfn| list.push_away(pfn));
}

/// Xen did not take these, which were the last that were [picked](pick): they are what they were.
pub fn put_back(frames: impl Iterator<Item = Pfn>) {
    let mut list = FREE.lock();
    let (first, end) = list.picked;
    for pfn in frames {
        let opened = if (first..end).contains(&pfn.0) {
            list.untouched.1 = list.untouched.1.max(pfn.0 + 1);
            pfn.0 < list.open
        } else {
            list.push(pfn);
            list.free -= 1;
            true
        };
        if opened {
            list.free += 1;
            list.total += 1;
        }
    }
}

/// Chooses frames that Xen has, to ask for memory there. Those that the kernel maps first: it
/// uses no others. Gives how many.
pub fn pick_away(room: &mut [Pfn]) -> usize {
    let mut list = FREE.lock();
    let mut count = 0;
    let ram_end = list.map.end_below(u32::MAX).0;
    for place in room {
        *place = match list.pop_away() {
            Some(pfn) => pfn,
            None => {
                let first = list.untouched.1.max(MOST_FRAMES as u32);
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
        (list.map, list.untouched.1.max(MOST_FRAMES as u32))
    };
    let above = (first..map.end_below(u32::MAX).0).map(Pfn);
    let is_ram = move |&pfn: &Pfn| map.is_ram(pfn);
    away::all().chain(above.filter(is_ram))
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
    next(pfn.0).store(note.0, Ordering::Relaxed);
}

/// What [`set_note`] noted.
pub fn note(pfn: Pfn) -> Pfn {
    Pfn(next(pfn.0).load(Ordering::Relaxed))
}
