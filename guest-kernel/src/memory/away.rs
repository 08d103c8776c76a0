//! Which frames of the guest's memory Xen has.

use core::sync::atomic::{AtomicU32, Ordering};

use spin::Once;

use super::Pfn;

/// Frames in a word.
const PER_WORD: u32 = u32::BITS;

/// One bit for each frame that Xen has: no memory is there. As long as the domain's memory.
static AWAY: Once<&'static [AtomicU32]> = Once::new();

/// Words that it takes for so many frames.
pub const fn words(frames: usize) -> usize {
    frames.div_ceil(PER_WORD as usize)
}

/// Gives the bits their place. Once, at boot; before, Xen has no frame.
pub fn place(words: &'static [AtomicU32]) {
    AWAY.call_once(|| words);
}

fn bits() -> &'static [AtomicU32] {
    AWAY.get().copied().unwrap_or_default()
}

/// Notes whether Xen has this frame.
pub fn set_away(pfn: Pfn, is: bool) {
    let (word, bit) = (
        &bits()[(pfn.0 / PER_WORD) as usize],
        1 << (pfn.0 % PER_WORD),
    );
    if is {
        word.fetch_or(bit, Ordering::Relaxed);
    } else {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Has Xen this frame?
pub fn is_away(pfn: Pfn) -> bool {
    bits()
        .get((pfn.0 / PER_WORD) as usize)
        .is_some_and(|word| word.load(Ordering::Relaxed) >> (pfn.0 % PER_WORD) & 1 != 0)
}

/// The frames that Xen has, in rising order. Words without any are passed over as one.
pub fn all() -> impl Iterator<Item = Pfn> {
    (0..)
        .step_by(PER_WORD as usize)
        .zip(bits())
        .map(|(first, word)| (first, word.load(Ordering::Relaxed)))
        .filter(|&(_, word)| word != 0)
        .flat_map(|(first, word)| {
            (0..PER_WORD)
                .filter(move |bit| word >> bit & 1 != 0)
                .map(move |bit| Pfn(first + bit))
        })
}
