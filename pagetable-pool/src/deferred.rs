//! Deferred frees: sets that wait for a grace period before anybody may have them.
//!
//! Each CPU has an array, and where that is full, two lists linked through the backend's metadata:
//! one that gathers, one that waits. An array entry knows its own grace period; a list waits for
//! its newest entry's. A CPU that goes idle or offline leaves what it has deferred behind, for the
//! others to finish.

use crate::backend::Backend;
use crate::grace::Ticket;
use crate::word::GateWord;

/// A set that waits.
#[derive(Clone, Copy)]
pub(crate) struct Waiting<S> {
    pub(crate) set: S,
    /// Its generation, as in its token; of no generation ([`MIXED`]) if that was not kept.
    pub(crate) word: GateWord,
    ticket: Ticket,
}

/// A list's word when its sets are of several generations: all of them are then destructed rather
/// than used again.
const MIXED: GateWord = GateWord::NONE;

/// A list through the backend's metadata.
struct Chain<S> {
    ends: Option<(S, S)>,
    len: usize,
    word: GateWord,
    newest: Ticket,
}

impl<S: Copy> Chain<S> {
    const fn new() -> Self {
        Chain {
            ends: None,
            len: 0,
            word: MIXED,
            newest: Ticket::NONE,
        }
    }

    fn push<B: Backend<Set = S>>(&mut self, backend: &B, waiting: Waiting<S>) {
        backend.set_next(waiting.set, self.ends.map(|(head, _)| head));
        let tail = self.ends.map_or(waiting.set, |(_, tail)| tail);
        if self.ends.is_none() {
            self.word = waiting.word;
        } else if self.word != waiting.word {
            self.word = MIXED;
        }
        self.newest = self.newest.max(waiting.ticket);
        self.ends = Some((waiting.set, tail));
        self.len += 1;
    }

    /// Takes over all of another list, whatever its length at the same cost.
    fn append<B: Backend<Set = S>>(&mut self, backend: &B, other: &mut Chain<S>) {
        let other = core::mem::replace(other, Chain::new());
        let Some((other_head, other_tail)) = other.ends else {
            return;
        };
        let Some((head, tail)) = self.ends else {
            *self = other;
            return;
        };
        backend.set_next(tail, Some(other_head));
        self.ends = Some((head, other_tail));
        self.len += other.len;
        if self.word != other.word {
            self.word = MIXED;
        }
        self.newest = self.newest.max(other.newest);
    }

    fn pop<B: Backend<Set = S>>(&mut self, backend: &B) -> Option<Waiting<S>> {
        let (set, tail) = self.ends?;
        let waiting = Waiting {
            set,
            word: self.word,
            ticket: self.newest,
        };
        self.len -= 1;
        self.ends = if self.len > 0 {
            backend.next(set).map(|next| (next, tail))
        } else {
            None
        };
        if self.ends.is_none() {
            *self = Chain::new();
        }
        Some(waiting)
    }
}

/// Two lists: one whose grace period is waited for, and one that gathers meanwhile, so that what is
/// deferred all the time does not put off what was deferred before.
struct Lists<S> {
    waiting: Chain<S>,
    gathering: Chain<S>,
}

impl<S: Copy> Lists<S> {
    const fn new() -> Self {
        Lists {
            waiting: Chain::new(),
            gathering: Chain::new(),
        }
    }

    fn len(&self) -> usize {
        self.waiting.len + self.gathering.len
    }

    fn newest(&self) -> Ticket {
        self.waiting.newest.max(self.gathering.newest)
    }

    /// The list that waits, which is the other one once all of it is taken.
    fn waiting(&mut self) -> &mut Chain<S> {
        if self.waiting.len == 0 {
            core::mem::swap(&mut self.waiting, &mut self.gathering);
        }
        &mut self.waiting
    }

    fn next_ticket(&mut self) -> Option<Ticket> {
        let waiting = self.waiting();
        (waiting.len > 0).then_some(waiting.newest)
    }

    fn take<B: Backend<Set = S>>(
        &mut self,
        backend: &B,
        is_over: impl FnOnce(Ticket) -> bool,
    ) -> Option<Waiting<S>> {
        let waiting = self.waiting();
        if waiting.len > 0 && is_over(waiting.newest) {
            return waiting.pop(backend);
        }
        None
    }

    fn move_to<B: Backend<Set = S>>(&mut self, backend: &B, to: &mut Chain<S>) {
        to.append(backend, &mut self.waiting);
        to.append(backend, &mut self.gathering);
    }
}

/// What one CPU has deferred.
pub(crate) struct Deferred<S, const ROUNDS: usize> {
    /// A ring, oldest first.
    array: [Waiting<S>; ROUNDS],
    oldest: usize,
    count: usize,
    lists: Lists<S>,
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
            lists: Lists::new(),
            overflowed: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count + self.lists.len()
    }

    pub(crate) fn push<B: Backend<Set = S>>(
        &mut self,
        backend: &B,
        set: S,
        word: GateWord,
        ticket: Ticket,
    ) {
        let waiting = Waiting { set, word, ticket };
        if self.count < ROUNDS {
            self.array[(self.oldest + self.count) % ROUNDS] = waiting;
            self.count += 1;
        } else {
            self.lists.gathering.push(backend, waiting);
            self.overflowed += 1;
        }
    }

    fn pop_array(&mut self) -> Option<Waiting<S>> {
        self.count = self.count.checked_sub(1)?;
        let waiting = self.array[self.oldest];
        self.oldest = (self.oldest + 1) % ROUNDS;
        Some(waiting)
    }

    /// The grace period that must be over before anything more can be taken.
    pub(crate) fn next_ticket(&mut self) -> Option<Ticket> {
        if self.count > 0 {
            return Some(self.array[self.oldest].ticket);
        }
        self.lists.next_ticket()
    }

    /// The newest grace period that anything here waits for.
    pub(crate) fn newest(&self) -> Ticket {
        let newest_in_array = match self.count {
            0 => Ticket::NONE,
            n => self.array[(self.oldest + n - 1) % ROUNDS].ticket,
        };
        newest_in_array.max(self.lists.newest())
    }

    /// Takes a set whose grace period `is_over`.
    pub(crate) fn take<B: Backend<Set = S>>(
        &mut self,
        backend: &B,
        mut is_over: impl FnMut(Ticket) -> bool,
    ) -> Option<Waiting<S>> {
        if self.count > 0 && is_over(self.array[self.oldest].ticket) {
            return self.pop_array();
        }
        self.lists.take(backend, is_over)
    }

    fn move_to<B: Backend<Set = S>>(&mut self, backend: &B, to: &mut Chain<S>) {
        while let Some(waiting) = self.pop_array() {
            to.push(backend, waiting);
        }
        self.lists.move_to(backend, to);
    }
}

/// What CPUs that went idle or offline have left behind, and what a barrier holds.
///
/// Sets come here from a CPU's [`Deferred`], under both locks; never the other way. So whoever
/// wants to see all deferred sets looks at the CPUs first.
pub(crate) struct LeftBehind<S> {
    lists: Lists<S>,
    /// What was deferred before a barrier's grace period began. Only the barrier finishes it (or a
    /// drain): somebody else could still be at it when the barrier returns.
    held: Chain<S>,
}

impl<S: Copy> LeftBehind<S> {
    pub(crate) const fn new() -> Self {
        LeftBehind {
            lists: Lists::new(),
            held: Chain::new(),
        }
    }

    /// All that is here.
    pub(crate) fn len(&self) -> usize {
        self.lists.len() + self.held.len
    }

    /// What anybody may finish once its grace period is over.
    pub(crate) fn free_to_take(&self) -> usize {
        self.lists.len()
    }

    pub(crate) fn newest(&self) -> Ticket {
        self.lists.newest().max(self.held.newest)
    }

    pub(crate) fn next_ticket(&mut self) -> Option<Ticket> {
        self.lists.next_ticket()
    }

    pub(crate) fn take<B: Backend<Set = S>>(
        &mut self,
        backend: &B,
        is_over: impl FnOnce(Ticket) -> bool,
    ) -> Option<Waiting<S>> {
        self.lists.take(backend, is_over)
    }

    /// Takes over what a CPU that goes away has deferred. Gives the number.
    pub(crate) fn take_over<B: Backend<Set = S>, const ROUNDS: usize>(
        &mut self,
        backend: &B,
        deferred: &mut Deferred<S, ROUNDS>,
    ) -> usize {
        let count = deferred.len();
        deferred.move_to(backend, &mut self.lists.gathering);
        count
    }

    /// For a barrier: holds what a CPU has deferred.
    pub(crate) fn hold<B: Backend<Set = S>, const ROUNDS: usize>(
        &mut self,
        backend: &B,
        deferred: &mut Deferred<S, ROUNDS>,
    ) {
        deferred.move_to(backend, &mut self.held);
    }

    /// For a barrier: holds what was left behind.
    pub(crate) fn hold_all<B: Backend<Set = S>>(&mut self, backend: &B) {
        self.lists.move_to(backend, &mut self.held);
    }

    /// Takes a set that is held.
    pub(crate) fn take_held<B: Backend<Set = S>>(&mut self, backend: &B) -> Option<Waiting<S>> {
        self.held.pop(backend)
    }

    /// The barrier gives up: what is held waits like all else.
    pub(crate) fn let_go<B: Backend<Set = S>>(&mut self, backend: &B) {
        let LeftBehind { lists, held } = self;
        lists.gathering.append(backend, held);
    }
}
