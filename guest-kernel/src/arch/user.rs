//! What the active set maps: the user half, the window, and the holder's copy of the kernel.

use super::frames::entry_of;
use crate::memory::entry::Entry;
use crate::memory::layout::{HOLDER_BASE, KERNEL_BASE, PAGE_SIZE, USER_END, WINDOW_BASE};

/// Reads a word of the user half. The address must be mapped by the active set, or the kernel
/// panics on a page fault.
pub fn read_user(va: usize) -> u64 {
    assert!(va < USER_END && va.is_multiple_of(8));
    // SAFETY: below the kernel, where no Rust object lives; aligned.
    unsafe { (va as *const u64).read_volatile() }
}

/// Writes a word of the user half; see [`read_user`].
pub fn write_user(va: usize, value: u64) {
    assert!(va < USER_END && va.is_multiple_of(8));
    // SAFETY: below the kernel, where no Rust object lives; aligned.
    unsafe { (va as *mut u64).write_volatile(value) }
}

/// Reads, through the active set's window, the L1 entry that maps `va` (below 4 GiB).
pub fn read_window(va: usize) -> Entry {
    let place = WINDOW_BASE + va / PAGE_SIZE * 8;
    // SAFETY: inside the window, which maps page tables alone, and read-only.
    entry_of(unsafe { (place as *const u64).read_volatile() })
}

/// A word that every holder maps, to see that a set's kernel entries are right.
static KERNEL_MARK: u64 = 0x7365_7473_206b_6e6c;

/// Reads [`KERNEL_MARK`] through the active set's holder; gives what was read and what was right.
pub fn read_kernel_mark() -> (u64, u64) {
    let address = HOLDER_BASE + (&raw const KERNEL_MARK as usize - KERNEL_BASE);
    // SAFETY: on i686 it is the static itself; on x86_64 its alias, through the holder's copy of
    // the kernel's entries.
    (
        unsafe { (address as *const u64).read_volatile() },
        KERNEL_MARK,
    )
}
