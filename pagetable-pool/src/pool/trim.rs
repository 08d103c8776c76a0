//! Trimming the depot, filling its reserve, and trying quarantined sets again.

use super::{Pool, BATCH};
use crate::backend::Backend;
use crate::error::{Refused, TrimError};
use crate::guard::CpuPinned;
use crate::magazine::Magazine;

/// One step of trimming.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shrunk {
    /// Sets destructed, with one call of the backend.
    pub destructed: usize,
    /// Sets still in the depot.
    pub depot: usize,
}

type Trim<T, B> = Result<T, TrimError<<B as Backend>::Set, <B as Backend>::Error>>;

impl<B: Backend, const CPUS: usize, const MAGAZINES: usize, const ROUNDS: usize>
    Pool<B, CPUS, MAGAZINES, ROUNDS>
{
    /// Takes the coldest magazines out of the depot, under its lock, and destructs them in one
    /// batch, without it. One call destructs at most 64 sets, so that interrupts are off for no
    /// longer than that; call again while `destructed` is not 0. Leaves `target` sets, and never
    /// fewer than the low-water mark.
    ///
    /// # Errors
    /// [`TrimError`].
    pub fn shrink<G: CpuPinned>(&self, guard: &G, target: usize) -> Trim<Shrunk, B> {
        let (here, may, op) = self.begin(guard)?;
        let target = target.max(self.config.low_water);
        // Isolated first: once the lock is dropped, nobody else can see them.
        let mut batch = [B::EMPTY; BATCH];
        let mut taken = 0;
        let mut depot = self.depot.lock(may);
        while depot.coldest().is_some_and(|coldest| {
            taken + coldest.len() <= BATCH && depot.sets() >= target.saturating_add(coldest.len())
        }) {
            let Some(magazine) = depot.pop_cold() else {
                break;
            };
            batch[taken..taken + magazine.len()].copy_from_slice(magazine.as_slice());
            taken += magazine.len();
        }
        let left = depot.sets();
        drop(depot);
        let before = here.counters.destructed.get();
        let result = self.destruct_cached(&here, may, &batch[..taken]);
        let done = here.counters.destructed.get().wrapping_sub(before);
        drop(op);
        match result {
            Ok(()) => Ok(Shrunk {
                destructed: done,
                depot: left,
            }),
            Err((set, error)) => Err(TrimError::Quarantined { set, error, done }),
        }
    }

    /// Sets another high-water mark than the [`Config`](crate::Config) did, in sets: lower when
    /// memory is short, higher when many sets will be wanted. What the depot holds beyond a lower
    /// mark stays until somebody takes or [`shrink`](Pool::shrink)s it. The depot's room,
    /// `MAGAZINES` magazines, is the limit whatever the mark says.
    pub fn set_high_water(&self, sets: usize) {
        self.high_water.set(sets);
    }

    /// Constructs one batch, at most a magazine, into the depot if it holds less than the low-water
    /// mark; gives the number. Call again while it is not 0.
    ///
    /// # Errors
    /// [`TrimError`].
    pub fn replenish<G: CpuPinned>(&self, guard: &G) -> Trim<usize, B> {
        let (here, may, op) = self.begin(guard)?;
        let word = op.word();
        let missing = self
            .config
            .low_water
            .saturating_sub(self.depot.lock(may).sets());
        if missing == 0 {
            return Ok(0);
        }
        let built = self
            .construct(&here, may, missing, word)
            .map_err(TrimError::Construct)?;
        let count = built.len();
        let surplus = self
            .depot
            .lock(may)
            .push_warm(built, self.high_water.get().max(self.config.low_water));
        match surplus {
            Ok(()) => Ok(count),
            Err(surplus) => match self.destruct_cached(&here, may, surplus.as_slice()) {
                Ok(()) => Ok(0),
                Err((set, error)) => Err(TrimError::Quarantined {
                    set,
                    error,
                    done: 0,
                }),
            },
        }
    }

    /// Tries to destruct what is in quarantine, once each; gives the number that is still there.
    /// Beside a drain it could put a set back after the drain had looked, so it takes control for
    /// as long as it runs.
    ///
    /// # Errors
    /// [`TrimError::Refused`]; with [`Refused::Busy`] if a drain, invalidation or barrier is under way, or a proof lives, which there
    /// is only while nothing is in quarantine.
    pub fn retry_quarantined<G: CpuPinned>(&self, guard: &G) -> Trim<usize, B> {
        let (here, may) = self.here(guard)?;
        let _busy = here.enter()?;
        let Some(_control) = self.cpus.try_control() else {
            return Err(TrimError::Refused(Refused::Busy));
        };
        let mut tries = self.quarantine.lock(may).len();
        while tries > 0 {
            // A magazine at a time: each may fail again, and then goes to the end of the list.
            let mut some = Magazine::<B::Set, ROUNDS>::new(B::EMPTY);
            let mut quarantine = self.quarantine.lock(may);
            while tries > 0 && some.len() < ROUNDS {
                let Some(set) = quarantine.pop_oldest(&self.backend) else {
                    tries = 0;
                    break;
                };
                some.push(set);
                tries -= 1;
            }
            drop(quarantine);
            let _ = self.destruct(&here, may, some.as_slice());
        }
        Ok(self.quarantine.lock(may).len())
    }
}
