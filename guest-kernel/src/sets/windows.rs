//! The windows of the sets in use, taken down while the domain is saved.
//!
//! Xen restores pinned tables in the order of their frames, and takes a linear entry whose target
//! it has not come to yet for one that maps an L1. A live set stays pinned, so its links go: not
//! present and without an address, but with their flags, which is how they come back exactly as
//! they were. Under PVH nobody looks, and they stay.

use super::set::{self, Set};
use crate::arch::changes::{Changes, TableError};
use crate::arch::is_pv;
use crate::memory::layout::{HOLDER, SET_PAGES, WINDOW_SLOT};

/// Links changed in one call.
const BATCH: usize = 128;

fn each(mut change: impl FnMut(&mut Changes<BATCH>, &Set, usize)) -> Result<u32, TableError> {
    let mut changes = Changes::new();
    for set in set::live() {
        (0..SET_PAGES).for_each(|i| change(&mut changes, &set, i));
    }
    changes.commit()
}

/// Takes the links of every live set down. Gives the calls that it took.
///
/// # Errors
/// Xen's; then all are put up again.
pub fn take_down() -> Result<u32, TableError> {
    if !is_pv() {
        return Ok(0);
    }
    each(|changes, set, i| changes.take_down(set.pages[HOLDER], WINDOW_SLOT + i)).inspect_err(
        |_| {
            if let Err(second) = put_up() {
                log::error!("putting the windows back up: {second}");
            }
        },
    )
}

/// Puts them up again, with the flags that they had.
pub fn put_up() -> Result<u32, TableError> {
    if !is_pv() {
        return Ok(0);
    }
    each(|changes, set, i| changes.put_up(set.pages[HOLDER], WINDOW_SLOT + i, set.pages[i]))
}
