//! Sets that could not be destructed: kept, counted, and never handed out again.

use crate::backend::Backend;
use crate::error::Reason;

/// A queue linked through the backend's metadata, oldest first.
pub(crate) struct Quarantine<S, E> {
    ends: Option<(S, S)>,
    count: usize,
    /// Why the first one is here that came after the quarantine was last empty.
    first: Option<(S, Reason<E>)>,
}

impl<S: Copy + PartialEq, E: Copy> Quarantine<S, E> {
    pub(crate) const fn new() -> Self {
        Quarantine {
            ends: None,
            count: 0,
            first: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// A set that is here, and why.
    pub(crate) fn first(&self) -> Option<(S, Reason<E>)> {
        self.first
    }

    pub(crate) fn push<B: Backend<Set = S, Error = E>>(
        &mut self,
        backend: &B,
        set: S,
        reason: Reason<E>,
    ) {
        backend.set_next(set, None);
        self.ends = match self.ends {
            None => Some((set, set)),
            Some((oldest, newest)) => {
                backend.set_next(newest, Some(set));
                Some((oldest, set))
            }
        };
        self.count += 1;
        self.first.get_or_insert((set, reason));
    }

    /// Takes the oldest out, to try again.
    pub(crate) fn pop_oldest<B: Backend<Set = S, Error = E>>(&mut self, backend: &B) -> Option<S> {
        let (oldest, newest) = self.ends?;
        self.ends = backend.next(oldest).map(|next| (next, newest));
        self.count -= 1;
        if self.first.is_some_and(|(set, _)| set == oldest) {
            // The reason of the next one is not kept; it is named when it fails again, and until
            // then the old reason stands.
            self.first = self
                .ends
                .and_then(|(next, _)| self.first.map(|(_, reason)| (next, reason)));
        }
        Some(oldest)
    }
}
