//! What constructing and destructing sets means to the pool.

use core::sync::atomic::{AtomicBool, Ordering};

use pagetable_pool::{Backend, ConstructError, DestructError, Spent};

use super::set::{self, Set, SetError};
#[cfg(not(feature = "switches"))]
use super::set::{construct as make, destruct as unmake};
#[cfg(feature = "switches")]
use super::unpin_only::{make, unmake};
use crate::cmdline;
use crate::memory::Pfn;

/// Makes and unmakes sets.
pub(super) struct Sets;

impl Backend for Sets {
    type Set = Set;
    type Error = SetError;
    const EMPTY: Set = Set { pages: [Pfn(0); 4] };

    fn construct(&self, out: &mut [Set]) -> Result<Spent, ConstructError<SetError>> {
        let order = cmdline::options().order;
        let mut spent = Spent::default();
        let mut done = 0;
        while done < out.len() {
            let end = out.len().min(done + batch());
            match make(&mut out[done..end], order) {
                Ok(calls) => spent.hypercalls += calls,
                Err(error) => {
                    // What cannot be taken apart again either is quarantined, from the first such
                    // set on.
                    let stuck = self.destruct(&out[..done]).err().map_or(0, |failed| {
                        out.copy_within(failed.at..done, 0);
                        done - failed.at
                    });
                    return Err(ConstructError::with_stuck(error, stuck));
                }
            }
            done = end;
        }
        Ok(spent)
    }

    fn destruct(&self, sets: &[Set]) -> Result<Spent, DestructError<SetError>> {
        // No flush of ours: a set leaves a CPU's TLB when the CPU leaves the set, and it goes back
        // only then; and Xen flushes what a page's change of type needs.
        let mut spent = Spent::default();
        let mut done = 0;
        for part in sets.chunks(batch()) {
            match unmake(part) {
                Ok(calls) => spent.hypercalls += calls,
                Err((at, error)) => return Err(DestructError::new(done + at, error.into(), spent)),
            }
            done += part.len();
        }
        Ok(spent)
    }

    fn set_next(&self, set: Set, next: Option<Set>) {
        set::link(set, next);
    }

    fn next(&self, set: Set) -> Option<Set> {
        set::linked(set)
    }
}

/// Sets handled with one call: all that fit, unless the bench wants to see what one by one costs.
fn batch() -> usize {
    if ONE_BY_ONE.load(Ordering::Relaxed) {
        1
    } else {
        set::BATCH
    }
}

/// Has sets made and unmade one at a time while `body` runs.
pub(super) fn one_by_one<T>(yes: bool, body: impl FnOnce() -> T) -> T {
    ONE_BY_ONE.store(yes, Ordering::Relaxed);
    let result = body();
    ONE_BY_ONE.store(false, Ordering::Relaxed);
    result
}

static ONE_BY_ONE: AtomicBool = AtomicBool::new(false);
