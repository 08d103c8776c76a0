//! Which physical memory is RAM, as the toolstack said at start.

use super::layout::PAGE_SIZE;
use super::Pfn;

/// RAM ranges kept; more are dropped, with a message.
const MAX_RANGES: usize = 16;

/// The RAM of the guest as page ranges, rounded inwards.
#[derive(Clone, Copy, Debug)]
pub struct MemoryMap {
    ranges: [(u32, u32); MAX_RANGES],
    len: usize,
    /// Ranges that did not fit.
    pub dropped: usize,
}

impl MemoryMap {
    /// A map without RAM.
    pub const fn new() -> Self {
        MemoryMap {
            ranges: [(0, 0); MAX_RANGES],
            len: 0,
            dropped: 0,
        }
    }

    /// Adds the bytes `start..start + size`.
    pub fn add_ram(&mut self, start: u64, size: u64) {
        let page = PAGE_SIZE as u64;
        let first = start.div_ceil(page);
        let end = start.saturating_add(size) / page;
        let (Ok(first), Ok(end)) = (u32::try_from(first), u32::try_from(end)) else {
            return; // beyond 16 TiB: far outside the direct map
        };
        if first >= end {
            return;
        }
        if self.len == MAX_RANGES {
            self.dropped += 1;
            return;
        }
        self.ranges[self.len] = (first, end);
        self.len += 1;
    }

    /// Is the frame RAM?
    pub fn is_ram(&self, pfn: Pfn) -> bool {
        self.ranges[..self.len]
            .iter()
            .any(|&(first, end)| (first..end).contains(&pfn.0))
    }

    /// One past the highest frame of RAM below `limit`.
    pub fn end_below(&self, limit: u32) -> Pfn {
        Pfn(self.ranges[..self.len]
            .iter()
            .filter(|r| r.0 < limit)
            .map(|r| r.1.min(limit))
            .max()
            .unwrap_or(0))
    }

    /// Frames of RAM among those from `first` to `end`, exclusive.
    pub fn count(&self, first: u32, end: u32) -> u32 {
        self.ranges[..self.len]
            .iter()
            .map(|r| r.1.min(end).saturating_sub(r.0.max(first)))
            .sum()
    }

    /// All RAM, in KiB.
    pub fn kib(&self) -> u64 {
        self.ranges[..self.len]
            .iter()
            .map(|r| u64::from(r.1 - r.0) * 4)
            .sum()
    }
}
