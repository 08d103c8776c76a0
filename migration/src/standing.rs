//! Retries of what has to be done, and suppression of repeated messages.
//!
//! A watch fires once. A guest that reads the node, fails (xenstored did not answer in time, refused,
//! or the ring broke), and then waits for the next event never sees the request. A [`Standing`] is
//! tried again at growing intervals until it is done or withdrawn. A [`Repeats`] keeps a sender that
//! repeats a bad request from filling the console: each message is reported once, and then at
//! growing intervals.

use core::fmt::{self, Write};
use core::time::Duration;

/// The pause after the first failure, and after something was told for the first time.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(64);

fn doubled(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

/// Something that has to be done, and is retried until it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// From when on to try; none: nothing is to be done.
    due: Option<Duration>,
    /// The next failure's pause. [`FIRST_PAUSE`] unless the last try failed.
    pause: Duration,
}

impl Standing {
    /// Nothing is to be done.
    pub const DONE: Standing = Standing {
        due: None,
        pause: FIRST_PAUSE,
    };
    /// It is to be done at once.
    pub const DUE: Standing = Standing {
        due: Some(Duration::ZERO),
        pause: FIRST_PAUSE,
    };

    /// There is a new reason, such as a watch that fired: to be done at once.
    pub fn ask(&mut self) {
        self.due = Some(Duration::ZERO);
    }

    /// To be tried at once, unless a pause after a failure is running. For a trigger that is no new
    /// reason.
    pub fn ask_again(&mut self) {
        self.due.get_or_insert(Duration::ZERO);
    }

    /// Is it to be tried now?
    pub fn is_due(&self, now: Duration) -> bool {
        self.due.is_some_and(|due| now >= due)
    }

    /// Is it still to be done, now or after a pause?
    pub fn stands(&self) -> bool {
        self.due.is_some()
    }

    /// It was done, or is no longer wanted.
    pub fn done(&mut self) {
        *self = Standing::DONE;
    }

    /// It could not be done: to be tried again after a pause, which doubles from [`FIRST_PAUSE`] to
    /// [`LONGEST_PAUSE`].
    pub fn failed(&mut self, now: Duration) {
        self.due = Some(now + self.pause);
        self.pause = doubled(self.pause);
    }
}

/// Decides whether to report a message: if it is not among the last ones reported, or if it is and
/// its interval, which grows, is over.
///
/// Messages are told apart by a hash. The last [`REMEMBERED`] are kept, so a sender that alternates
/// between that many messages is still suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeats {
    /// What was told last.
    told: [Told; REMEMBERED],
    next: usize,
}

/// How many messages a [`Repeats`] remembers.
pub const REMEMBERED: usize = 4;
/// The longest interval at which the same is told again.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    hash: u64,
    at: Duration,
    /// How long it is not told again. Zero: nothing was told here.
    pause: Duration,
}

impl Repeats {
    /// Nothing was told.
    pub const NOTHING: Repeats = Repeats {
        told: [Told {
            hash: 0,
            at: Duration::ZERO,
            pause: Duration::ZERO,
        }; REMEMBERED],
        next: 0,
    };

    /// Is `message` to be told now?
    pub fn is_news(&mut self, now: Duration, message: impl fmt::Display) -> bool {
        let mut hash = Fnv::NEW;
        // Writing to a hash cannot fail.
        let _ = write!(hash, "{message}");
        let hash = hash.0;
        let known = |told: &&mut Told| !told.pause.is_zero() && told.hash == hash;
        if let Some(told) = self.told.iter_mut().find(known) {
            if now.saturating_sub(told.at) < told.pause {
                return false;
            }
            told.at = now;
            told.pause = (told.pause * 2).min(LONGEST_SILENCE);
            return true;
        }
        self.told[self.next] = Told {
            hash,
            at: now,
            pause: FIRST_PAUSE,
        };
        self.next = (self.next + 1) % REMEMBERED;
        true
    }
}

/// FNV-1a, 64 bits. If two messages collide, one line is missing on the console.
struct Fnv(u64);

impl Fnv {
    const NEW: Fnv = Fnv(0xcbf2_9ce4_8422_2325);
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_failed_stands_and_is_tried_at_a_growing_interval() {
        let mut standing = Standing::DUE;
        let (mut now, mut tries) = (s(0), std::vec::Vec::new());
        while now < s(300) {
            if standing.is_due(now) {
                tries.push(now.as_secs());
                standing.failed(now);
            }
            now += s(1);
        }
        assert_eq!(tries, [0, 1, 3, 7, 15, 31, 63, 127, 191, 255]);
        standing.ask();
        assert!(standing.is_due(now), "a new reason does not wait");
        standing.done();
        assert!(!standing.is_due(s(1 << 40)));
        standing.ask_again();
        standing.failed(now);
        assert!(!standing.is_due(now));
        assert!(standing.is_due(now + FIRST_PAUSE), "begins anew");
    }

    #[test]
    fn a_look_without_a_reason_keeps_the_pause() {
        let mut standing = Standing::DUE;
        standing.failed(s(10));
        standing.ask_again();
        assert!(!standing.is_due(s(10)));
        assert!(standing.is_due(s(11)));
        assert!(standing.stands(), "also in a pause");
        standing.done();
        assert!(!standing.stands());
        standing.ask_again();
        assert!(standing.is_due(s(11)));
    }

    #[test]
    fn the_same_nonsense_is_told_at_a_growing_interval() {
        let mut repeats = Repeats::NOTHING;
        let mut told = [0; 5];
        for tenth in 0..3000 {
            let now = Duration::from_millis(tenth * 100);
            let which = tenth as usize % REMEMBERED;
            told[which] += u32::from(repeats.is_news(now, which));
        }
        // At 0, 1, 3, 7, 15, 31, 63, 127 and 255 s, each of four kinds.
        assert_eq!(told, [9, 9, 9, 9, 0], "of 3000 times in 300 s");
        assert!(repeats.is_news(s(300), "another"));
        assert!(!repeats.is_news(s(300), "another"));
        assert!(!repeats.is_news(s(300), 3));
        assert!(repeats.is_news(s(300), 0), "the oldest made room");
        assert!(repeats.is_news(s(1_000_000), 3), "long after");
    }
}
