//! What the kernel notes of each frame: arrays as long as the domain's memory, in frames behind the
//! page tables.

use core::sync::atomic::{AtomicU32, AtomicU8};

use super::address::{address, side_by_side};
use crate::memory::away;
use crate::memory::layout::PAGE_SIZE;
use crate::memory::Pfn;

/// The arrays, zero at first. Those who keep them say what their elements mean.
#[derive(Clone, Copy)]
pub struct Ledger {
    /// For `sets::frames`, one for each frame.
    pub next: &'static [AtomicU32],
    /// For `sets::kinds`, one for each frame.
    pub kinds: &'static [AtomicU8],
    /// For [`away`], one bit for each frame.
    pub away: &'static [AtomicU32],
}

/// Bytes that it takes for each frame: 4, 1 and a bit.
pub(super) fn pages(frames: usize) -> u32 {
    [4 * frames, frames, 4 * away::words(frames)]
        .into_iter()
        .map(|bytes| bytes.div_ceil(PAGE_SIZE) as u32)
        .sum()
}

/// Takes frames for it from `first` on, which is moved behind them. Once, on vCPU 0, when the direct
/// map stands.
pub(super) fn take(first: &mut Pfn, frames: usize) -> Ledger {
    Ledger {
        next: carve(first, frames),
        kinds: carve(first, frames),
        away: carve(first, away::words(frames)),
    }
}

/// A type of which zeroes are a value.
trait Zero {}
impl Zero for AtomicU32 {}
impl Zero for AtomicU8 {}

fn carve<T: Zero>(first: &mut Pfn, len: usize) -> &'static [T] {
    let pages = (len * size_of::<T>()).div_ceil(PAGE_SIZE) as u32;
    let start = side_by_side(*first, pages);
    first.0 = start.0 + pages;
    let at = address(start) as *mut T;
    // SAFETY: frames of RAM behind all that stands, in the direct map one behind the other and
    // writable; nobody has had them, and the allocator begins behind them. Zeroes are a value of the
    // type, and a page's beginning is aligned for it.
    unsafe {
        at.write_bytes(0, len);
        core::slice::from_raw_parts(at, len)
    }
}
