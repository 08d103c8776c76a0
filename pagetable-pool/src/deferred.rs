//! Deferred frees: sets that wait for a grace period before anybody may have them.
//!
//! Each CPU has an array, and where that is full, two lists linked through the backend's metadata: one that gathers, one that
//! waits. An array entry knows its own grace period; a list waits for its newest entry's.

use crate::backend::Backend;
use crate::grace::Ticket;

/// A set that waits.
#[derive(Clone, Copy)]
pub(crate) struct Waiting<S> {
    pub(crate) set: S,
    /// Its generation, as in its token; of no generation ([`MIXED`]) if that was not kept.
    pub(crate) word: u32,
    ticket: Ticket,
}

/// A list's word when its sets are of several generations: all of them are then destructed rather than used again.
const MIXED: u32 = 0;

/// A list through the backend's metadata.
pub(crate) struct Chain<S> {
    head: Option<S>,
    len: usize,
    word: u32,
    newest: Ticket,
}

impl<S: Copy> Chain<S> {
    pub(crate) const fn new() -> Self {
        Chain {
            head: None,
            len: 0,
            word: MIXED,
            newest: Ticket::NONE,
        }
    }

    pub(crate) fn push<B: Backend<Set = S>>(&mut self, backend: &B, waiting: Waiting<S>) {
        backend.set_next(waiting.set, self.head);
        if self.head.is_none() {
            self.word = waiting.word;
        } else if self.word != waiting.word {
            self.word = MIXED;
        }
        self.newest = self.newest.max(waiting.ticket);
        self.head = Some(waiting.set);
        self.len += 1;
    }

    fn pop<B: Backend<Set = S>>(&mut self, backend: &B) -> Option<Waiting<S>> {
        let set = self.head?;
        self.head = backend.next(set);
        self.len -= 1;
        let waiting = Waiting {
            set,
            word: self.word,
            ticket: self.newest,
        };
        if self.head.is_none() {
            *self = Chain::new();
        }
        Some(waiting)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The grace period that the list waits for.
    pub(crate) fn newest(&self) -> Ticket {
        self.newest
    }

    /// Takes a set, if the list's grace period `is_over`.
    pub(crate) fn pop_if<B: Backend<Set = S>>(
        &mut self,
        backend: &B,
        is_over: impl FnOnce(Ticket) -> bool,
    ) -> Option<Waiting<S>> {
        if self.len > 0 && is_over(self.newest) {
            return self.pop(backend);
        }
        None
    }
}

/// What one CPU has deferred.
pub(crate) struct Deferred<S, const ROUNDS: usize> {
    /// A ring, oldest first.
    array: [Waiting<S>; ROUNDS],
    oldest: usize,
    count: usize,
    gathering: Chain<S>,
    waiting: Chain<S>,
    /// Sets that have gone to a list because the array was full, ever.
    pub(crate) overflowed: usize,
}

impl<S: Copy, const ROUNDS: usize> Deferred<S, ROUNDS> {
    pub(crate) const fn new(empty: S) -> Self {
        Deferred {
            array: [Waiting {
                set: empty,
                word: MIXED,
                ticket: Ticket::NONE,
            }; ROUNDS],
            oldest: 0,
            count: 0,
            gathering: Chain::new(),
            waiting: Chain::new(),
            overflowed: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count + self.gathering.len + self.waiting.len
    }

    pub(crate) fn push<B: Backend<Set = S>>(
        &mut self,
        backend: &B,
        set: S,
        word: u32,
        ticket: Ticket,
    ) {
        let waiting = Waiting { set, word, ticket };
        if self.count < ROUNDS {
            self.array[(self.oldest + self.count) % ROUNDS] = waiting;
            self.count += 1;
        } else {
            self.gathering.push(backend, waiting);
            self.overflowed += 1;
        }
    }

    /// The grace period that must be over before anything more can be taken.
    pub(crate) fn next_ticket(&mut self) -> Option<Ticket> {
        if self.waiting.len == 0 {
            core::mem::swap(&mut self.waiting, &mut self.gathering);
        }
        if self.count > 0 {
            return Some(self.array[self.oldest].ticket);
        }
        (self.waiting.len > 0).then_some(self.waiting.newest)
    }

    /// The newest grace period that anything here waits for.
    pub(crate) fn last_ticket(&self) -> Ticket {
        let newest_in_array = match self.count {
            0 => Ticket::NONE,
            n => self.array[(self.oldest + n - 1) % ROUNDS].ticket,
        };
        newest_in_array
            .max(self.waiting.newest)
            .max(self.gathering.newest)
    }

    /// Takes a set whose grace period `is_over`.
    pub(crate) fn take<B: Backend<Set = S>>(
        &mut self,
        backend: &B,
        mut is_over: impl FnMut(Ticket) -> bool,
    ) -> Option<Waiting<S>> {
        if self.count > 0 && is_over(self.array[self.oldest].ticket) {
            let waiting = self.array[self.oldest];
            self.oldest = (self.oldest + 1) % ROUNDS;
            self.count -= 1;
            return Some(waiting);
        }
        if self.waiting.len == 0 {
            core::mem::swap(&mut self.waiting, &mut self.gathering);
        }
        if self.waiting.len > 0 && is_over(self.waiting.newest) {
            return self.waiting.pop(backend);
        }
        None
    }
}
