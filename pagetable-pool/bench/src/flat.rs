//! What one CPU caches in the two designs that [`crate::locked`] and [`crate::queued`] drain: a
//! stack, and nothing else. No counters, no generations, no depot, so that what they cost is a
//! lower bound.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use pagetable_pool::Backend;

use crate::backend::{Simulated, NO_SET};

/// As many as a CPU's two magazines hold in pagetable-pool.
pub const ROOM: usize = 30;
/// As many as pagetable-pool destructs at once.
pub const BATCH: usize = 64;

/// One party at a time works on it: whoever has its lock, or its owner. The atomics are plain loads
/// and stores on x86, and spare this program `unsafe`.
pub struct Flat {
    len: AtomicUsize,
    slots: [AtomicU32; ROOM],
}

impl Flat {
    pub const fn new() -> Self {
        Flat {
            len: AtomicUsize::new(0),
            slots: [const { AtomicU32::new(NO_SET) }; ROOM],
        }
    }

    /// May be asked by anybody, who then knows how many there were.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    #[inline(always)]
    pub fn pop(&self) -> Option<u32> {
        let top = self.len.load(Relaxed).wrapping_sub(1);
        let set = self.slots.get(top)?.load(Relaxed);
        self.len.store(top, Relaxed);
        Some(set)
    }

    #[inline(always)]
    pub fn push(&self, set: u32) -> bool {
        let len = self.len.load(Relaxed);
        match self.slots.get(len) {
            Some(slot) => {
                slot.store(set, Relaxed);
                self.len.store(len + 1, Relaxed);
                true
            }
            None => false,
        }
    }
}

/// Sets on their way out, in batches as large as pagetable-pool's.
pub struct Out<'a> {
    backend: &'a Simulated,
    batch: [u32; BATCH],
    filled: usize,
    sets: usize,
}

impl<'a> Out<'a> {
    pub fn new(backend: &'a Simulated) -> Self {
        Out {
            backend,
            batch: [NO_SET; BATCH],
            filled: 0,
            sets: 0,
        }
    }

    /// Room that is left in the batch.
    pub fn room(&self) -> usize {
        BATCH - self.filled
    }

    pub fn add(&mut self, set: u32) {
        self.batch[self.filled] = set;
        self.filled += 1;
        self.sets += 1;
    }

    pub fn flush(&mut self) {
        if self.filled > 0 {
            destruct(self.backend, &self.batch[..self.filled]);
            self.filled = 0;
        }
    }

    /// Destructs the rest and says how many there were in all.
    pub fn end(mut self) -> usize {
        self.flush();
        self.sets
    }
}

#[cold]
pub fn construct(backend: &Simulated) -> u32 {
    let mut one = [NO_SET];
    backend.construct(&mut one).expect("it always can");
    one[0]
}

#[cold]
pub fn destruct(backend: &Simulated, sets: &[u32]) {
    backend.destruct(sets).expect("it always can");
}
