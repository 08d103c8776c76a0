//! Watch events that wait to be handled: bounded, and without loss of information.

/// What to look at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// Something at or below `path` changed, or the watch is new.
    Event {
        /// The node, as the watch named it or below.
        path: &'a [u8],
        /// The watch's token.
        token: &'a [u8],
    },
    /// There were more events than there was room for: anything that is watched may have changed.
    Rescan,
}

/// Bytes for waiting events: some fifty of the usual length.
const ROOM: usize = 4096;

/// Events in the order in which they came.
///
/// An event says "look again", and no more. So the same event twice is worth no more than once, and
/// if there are too many, the one word "look at everything" holds all that they said.
pub(super) struct Events {
    /// Records, each the length of path and token (two bytes each), path, token.
    bytes: [u8; ROOM],
    start: usize,
    end: usize,
    rescan: bool,
}

/// Bytes of lengths before each record.
const LENGTHS: usize = 4;

impl Events {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; ROOM],
            start: 0,
            end: 0,
            rescan: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.rescan && self.start == self.end
    }

    /// Forgets all of them, and remembers that there were some.
    pub(super) fn collapse(&mut self) {
        self.rescan |= self.start != self.end;
        (self.start, self.end) = (0, 0);
    }

    /// The record at `at`: path, token, and where the next one begins.
    fn record(&self, at: usize) -> (&[u8], &[u8], usize) {
        let length =
            |at: usize| usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]));
        let path = at + LENGTHS;
        let token = path + length(at);
        let next = token + length(at + 2);
        (&self.bytes[path..token], &self.bytes[token..next], next)
    }

    pub(super) fn push(&mut self, path: &[u8], token: &[u8]) {
        if self.rescan {
            // Covers whatever comes until it is taken.
            return;
        }
        let mut at = self.start;
        while at < self.end {
            let (queued_path, queued_token, next) = self.record(at);
            if (queued_path, queued_token) == (path, token) {
                return;
            }
            at = next;
        }
        let len = LENGTHS + path.len() + token.len();
        if ROOM - self.end < len {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if ROOM - self.end < len {
            self.rescan = true;
            (self.start, self.end) = (0, 0);
            return;
        }
        // Both are shorter than ROOM, and so than 2^16.
        for part in [
            &(path.len() as u16).to_le_bytes(),
            &(token.len() as u16).to_le_bytes(),
            path,
            token,
        ] {
            self.bytes[self.end..self.end + part.len()].copy_from_slice(part);
            self.end += part.len();
        }
    }

    pub(super) fn pop(&mut self) -> Option<Notice<'_>> {
        if core::mem::take(&mut self.rescan) {
            return Some(Notice::Rescan);
        }
        if self.start == self.end {
            return None;
        }
        let (.., next) = self.record(self.start);
        let at = core::mem::replace(&mut self.start, next);
        let (path, token, _) = self.record(at);
        Some(Notice::Event { path, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::collections::BTreeSet;
    use std::format;
    use std::string::String;

    #[test]
    fn the_same_event_waits_once_until_it_is_taken() {
        let mut events = Box::new(Events::new());
        events.push(b"a", b"t");
        events.push(b"at", b"");
        events.push(b"a", b"t");
        assert_eq!(
            events.pop(),
            Some(Notice::Event {
                path: b"a",
                token: b"t"
            })
        );
        events.push(b"a", b"t");
        assert_eq!(
            events.pop(),
            Some(Notice::Event {
                path: b"at",
                token: b""
            })
        );
        assert_eq!(
            events.pop(),
            Some(Notice::Event {
                path: b"a",
                token: b"t"
            })
        );
        assert_eq!(events.pop(), None);
    }

    #[test]
    fn an_event_too_long_for_the_queue_is_a_rescan() {
        let mut events = Box::new(Events::new());
        events.push(b"a", b"t");
        events.push(&[b'x'; 3000], &[b'y'; 1094]);
        assert_eq!(events.pop(), Some(Notice::Rescan));
        assert_eq!(events.pop(), None);
        events.push(&[b'x'; 3000], &[b'y'; 1092]);
        assert!(matches!(events.pop(), Some(Notice::Event { .. })));
        events.push(b"a", b"t");
        events.collapse();
        assert_eq!(events.pop(), Some(Notice::Rescan));
        events.collapse();
        assert!(events.is_empty());
    }

    proptest! {
        /// What changed and was not yet looked at is either in the queue or covered by a rescan.
        #[test]
        fn no_information_is_lost(steps in proptest::collection::vec((any::<bool>(), 0u32..200, 0usize..300), 1..400)) {
            let mut events = Box::new(Events::new());
            let mut dirty = BTreeSet::new();
            for (push, n, pad) in steps {
                if push {
                    let path = format!("{n:0pad$}");
                    events.push(path.as_bytes(), b"token");
                    dirty.insert(path);
                } else {
                    match events.pop() {
                        Some(Notice::Rescan) => dirty.clear(),
                        Some(Notice::Event { path, .. }) => {
                            prop_assert!(dirty.remove(&String::from_utf8(path.to_vec()).unwrap()));
                        }
                        None => prop_assert!(dirty.is_empty()),
                    }
                }
            }
            while let Some(notice) = events.pop() {
                match notice {
                    Notice::Rescan => dirty.clear(),
                    Notice::Event { path, .. } => {
                        dirty.remove(&String::from_utf8(path.to_vec()).unwrap());
                    }
                }
            }
            prop_assert!(dirty.is_empty());
        }
    }
}
