//! How the four frames of a set lie: the order in which Xen restores pinned tables is that of their
//! frames, so it decides what becomes of a set that was not drained.

use core::sync::atomic::{AtomicU32, Ordering};

use super::layout::{HOLDER, SET_PAGES};
use super::Pfn;

/// Permutations of four.
pub const PERMUTATIONS: u8 = 24;

/// Which page of a set gets which of its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As the frames come.
    AsTheyCome,
    /// The holder has the lowest.
    HolderFirst,
    /// The holder has the highest.
    HolderLast,
    /// Any, by lot.
    Random,
    /// The permutation of this number: the ranks of the pages' frames, in lexicographic order.
    Permutation(u8),
}

impl Order {
    /// The order that a word of the command line names.
    pub fn parse(word: &str) -> Result<Order, &'static str> {
        match word {
            "holder-first" => Ok(Order::HolderFirst),
            "holder-last" => Ok(Order::HolderLast),
            "random" => Ok(Order::Random),
            _ => match word.strip_prefix("perm:").map(str::parse) {
                Some(Ok(number)) if number < PERMUTATIONS => Ok(Order::Permutation(number)),
                Some(_) => Err("a number from 0 to 23 is needed"),
                None => Err("the orders are holder-first, holder-last, random and perm:K"),
            },
        }
    }

    /// Puts frames in this order. `lot` gives a number that is another one each time, for
    /// [`Order::Random`].
    pub fn arrange(
        self,
        mut frames: [Pfn; SET_PAGES],
        lot: impl FnOnce() -> u32,
    ) -> [Pfn; SET_PAGES] {
        static DRAWS: AtomicU32 = AtomicU32::new(0);
        match self {
            Order::AsTheyCome => return frames,
            Order::HolderFirst => {
                frames.sort_unstable();
                frames.swap(0, HOLDER);
                return frames;
            }
            Order::HolderLast => frames.sort_unstable(),
            Order::Random => {
                // An odd multiplier, near the golden ratio of 2^32: neighbouring draws differ. The
                // counter makes each boot's differ too.
                let draw = DRAWS.fetch_add(1, Ordering::Relaxed).wrapping_add(lot());
                let draw = draw.wrapping_mul(0x9e37_79b1) >> 16;
                return permute((draw % u32::from(PERMUTATIONS)) as u8, frames);
            }
            Order::Permutation(number) => return permute(number, frames),
        }
        frames
    }
}

/// Puts frames in the order of a permutation.
fn permute(number: u8, mut frames: [Pfn; SET_PAGES]) -> [Pfn; SET_PAGES] {
    frames.sort_unstable();
    ranks(number).map(|rank| frames[rank])
}

/// Permutation `number` of 0 to 3, in lexicographic order.
fn ranks(number: u8) -> [usize; SET_PAGES] {
    let mut left = [0, 1, 2, 3];
    let mut rest = usize::from(number);
    let mut ranks = [0; SET_PAGES];
    for (place, ways) in [(0, 6), (1, 2), (2, 1), (3, 1)] {
        let at = rest / ways;
        rest %= ways;
        ranks[place] = left[at];
        left.copy_within(at + 1.., at);
    }
    ranks
}
