//! A word of C's memory as an atomic.

use core::sync::atomic::AtomicU32;

/// A word of C's that the pool alone uses.
pub(crate) fn word_at<'a>(word: *mut u32) -> Option<&'a AtomicU32> {
    // SAFETY: `xgl_pool_ops.mark` promises a word that is the pool's for as long as the pool is used, or
    // null; `AtomicU32` has the same layout, and a `u32` of C's is aligned as it must be on x86.
    unsafe { word.cast::<AtomicU32>().as_ref() }
}
