//! How much memory the toolstack wants the guest to have, and what to do next to get there.
//!
//! `memory/target` holds the size in KiB. `xl mem-set` writes it, and the guest gives frames back to
//! Xen or asks for some until it has that much. A domain made with less memory than it may come
//! to have (`memory` below `maxmem`) begins above its target as PVH: its map has all frames, and
//! Xen fills them as they are touched (populate-on-demand), but no more than the target allows. So
//! the target is read, and the rest given back, before more frames are touched than that.
//!
//! A domain that has more than its target cannot be restored, whatever `xl save` says: the new
//! domain may have the target and 1 MiB (`libxl__build_pre`, `LIBXL_MAXMEM_CONSTANT`), and the
//! image has more. [`Balloon::check`] is for the step before a suspend is acknowledged.
//!
//! ```
//! use core::time::Duration;
//! use migration::balloon::{Balloon, Step, Why};
//!
//! // 96 MiB in its map, all of them its own as far as it knows, and 32 MiB wanted.
//! let mut balloon = Balloon::new(24576, 24576);
//! balloon.measure(b"98304").unwrap();
//! balloon.wish(b"32768").unwrap();
//! let now = Duration::ZERO;
//! assert_eq!(balloon.next(now), Step::Give(16384));
//! balloon.gave(16000);
//! balloon.stuck(Why::NoFreeFrames, now);
//! assert!(balloon.check().is_err());
//! assert_eq!(balloon.next(now), Step::Rest);
//! assert_eq!(balloon.next(now + Duration::from_secs(1)), Step::Give(384));
//! balloon.gave(384);
//! assert!(balloon.check().is_ok());
//! ```

use core::fmt;
use core::time::Duration;

use crate::failure::Blame;
use crate::party::Party;
use crate::text::Text;

/// Where the wanted size stands, in KiB, decimal.
pub const TARGET: &str = "memory/target";

/// Where the toolstack says how much memory the domain may ever have, in KiB, decimal.
pub const STATIC_MAX: &str = "memory/static-max";

/// KiB in a frame.
pub const KIB_PER_FRAME: u64 = 4;

/// The pause after the first failed attempt.
pub const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// The longest: each is twice the one before.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A node that should hold a number of KiB holds this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASize(pub Text);

impl fmt::Display for NotASize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no number of KiB", self.0)
    }
}

impl core::error::Error for NotASize {}

impl Blame for NotASize {
    fn party(&self) -> Party {
        Party::Toolstack
    }
}

/// Reads a node's value. One closing NUL is ignored.
///
/// # Errors
/// If it is anything but decimal digits, or more than 64 bits hold.
pub fn parse_kib(value: &[u8]) -> Result<u64, NotASize> {
    let digits = value.strip_suffix(b"\0").unwrap_or(value);
    let add = |sum: u64, digit: &u8| {
        let digit = char::from(*digit).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(digit.into())
    };
    match digits.iter().try_fold(0, add) {
        Some(kib) if !digits.is_empty() => Ok(kib),
        _ => Err(NotASize(Text::new(value))),
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, or nothing yet.
    Rest,
    /// Give so many frames back to Xen.
    Give(u64),
    /// Ask Xen for so many frames.
    Take(u64),
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The guest uses all frames that it has.
    NoFreeFrames,
    /// Xen does not take frames back.
    Refused,
    /// Xen has no frames to give, or not for this domain.
    NoneToHave,
}

impl Blame for Why {
    fn party(&self) -> Party {
        match self {
            Why::NoFreeFrames => Party::Guest,
            Why::Refused | Why::NoneToHave => Party::Xen,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::NoFreeFrames => "the guest uses all frames that it has",
            Why::Refused => "Xen refuses to take frames back",
            Why::NoneToHave => "Xen gives no more frames",
        })
    }
}

/// Something to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The guest has what is wanted.
    Reached,
    /// The guest has all that it can have, and more is wanted.
    AtMost,
    /// An attempt failed; there will be another.
    Stuck(Why),
}

/// The guest has more memory than it should, and an image of it could not be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch {
    /// KiB that it has.
    pub kib: u64,
    /// KiB that it should have.
    pub target_kib: u64,
    /// What keeps it from giving the rest back, if it has tried.
    pub why: Option<Why>,
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooMuch {
            kib, target_kib, ..
        } = self;
        write!(
            f,
            "the guest has {kib} KiB of memory and its target is {target_kib} KiB: no Xen restores such an image"
        )?;
        match self.why {
            Some(why) => write!(f, "; {why}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for TooMuch {}

impl Blame for TooMuch {
    fn party(&self) -> Party {
        self.why.map_or(Party::Guest, |why| why.party())
    }
}

/// The state of the balloon. All counts are of frames (4 KiB).
#[derive(Clone, Copy, Debug)]
pub struct Balloon {
    have: u64,
    most: u64,
    /// What the toolstack counts and the guest does not see as memory of its own: video memory, for
    /// one.
    outside: i64,
    target: Option<u64>,
    pause: Duration,
    /// No attempt before this time.
    not_before: Duration,
    why: Option<Why>,
    /// Attempts that led nowhere since the wish, and at how many of them there is something to tell
    /// again.
    failures: u32,
    tell_at: u32,
    settled: bool,
}

impl Balloon {
    /// A guest that has `have` frames and can have at most `most`. Nothing is wanted of it yet.
    pub const fn new(have: u64, most: u64) -> Balloon {
        Balloon {
            have,
            most,
            outside: 0,
            target: None,
            pause: SHORTEST_PAUSE,
            not_before: Duration::ZERO,
            why: None,
            failures: 0,
            tell_at: 1,
            settled: true,
        }
    }

    /// Takes the value of [`STATIC_MAX`]: the difference to what the guest's own map has is memory
    /// that the toolstack counts and the guest cannot give or take, the same in every target. Linux
    /// does so too (`watch_target`, `drivers/xen/xen-balloon.c`). Once, at boot, and not in a PV
    /// guest, of which the toolstack counts just its frames.
    ///
    /// # Errors
    /// If it is no number of KiB; then nothing is changed.
    pub fn measure(&mut self, static_max: &[u8]) -> Result<(), NotASize> {
        let frames = parse_kib(static_max)? / KIB_PER_FRAME;
        // 2^63 frames are more than there are addresses.
        self.outside = (frames as i64).wrapping_sub(self.most as i64);
        Ok(())
    }

    /// Takes the value of [`TARGET`]. It stays until it is reached or another comes; the
    /// same one again changes nothing.
    ///
    /// # Errors
    /// If it is no number of KiB; then the former target stays.
    pub fn wish(&mut self, target: &[u8]) -> Result<(), NotASize> {
        let frames = parse_kib(target)? / KIB_PER_FRAME;
        let target = frames.saturating_add_signed(self.outside.saturating_neg());
        if self.target != Some(target) {
            self.target = Some(target);
            self.hurry();
            self.failures = 0;
            self.tell_at = 1;
            self.settled = false;
        }
        Ok(())
    }

    /// Ends a pause: frames have become free, or a suspend waits.
    pub fn hurry(&mut self) {
        self.pause = SHORTEST_PAUSE;
        self.not_before = Duration::ZERO;
    }

    /// What is to be done now.
    pub fn next(&self, now: Duration) -> Step {
        let Some(target) = self.target.filter(|_| now >= self.not_before) else {
            return Step::Rest;
        };
        let target = target.min(self.most);
        if self.have > target {
            Step::Give(self.have - target)
        } else if self.have < target {
            Step::Take(target - self.have)
        } else {
            Step::Rest
        }
    }

    /// So many frames were given back.
    pub fn gave(&mut self, frames: u64) {
        self.have = self.have.saturating_sub(frames);
        self.moved(frames);
    }

    /// So many frames came.
    pub fn took(&mut self, frames: u64) {
        self.have = self.have.saturating_add(frames).min(self.most);
        self.moved(frames);
    }

    fn moved(&mut self, frames: u64) {
        if frames > 0 {
            self.hurry();
            self.why = None;
        }
    }

    /// An attempt failed, or got only a part: the next one is made after a pause.
    pub fn stuck(&mut self, why: Why, now: Duration) {
        self.why = Some(why);
        self.not_before = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
    }

    /// What has not been reported yet: that a target was reached, once; a failure at its 1st, 2nd,
    /// 4th, 8th, ... time.
    pub fn news(&mut self) -> Option<News> {
        let target = self.target?;
        if self.have == target.min(self.most) {
            self.why = None;
            return (!core::mem::replace(&mut self.settled, true)).then_some(
                if target > self.most {
                    News::AtMost
                } else {
                    News::Reached
                },
            );
        }
        let why = self.why?;
        (self.failures >= self.tell_at).then(|| {
            self.tell_at = self.failures.saturating_mul(2);
            News::Stuck(why)
        })
    }

    /// Whether an image of the guest can be restored.
    ///
    /// # Errors
    /// If the guest has more than its target: with that reason.
    pub fn check(&self) -> Result<(), TooMuch> {
        match self.target {
            Some(target) if self.have > target => Err(TooMuch {
                kib: self.kib(),
                target_kib: self.as_kib(target),
                why: self.why,
            }),
            _ => Ok(()),
        }
    }

    /// Frames that the guest has.
    pub fn have(&self) -> u64 {
        self.have
    }

    /// What the guest has, as the toolstack counts, in KiB.
    pub fn kib(&self) -> u64 {
        self.as_kib(self.have)
    }

    /// What the guest should have, as the toolstack counts, in KiB; none if nobody has said.
    pub fn target_kib(&self) -> Option<u64> {
        self.target.map(|target| self.as_kib(target))
    }

    fn as_kib(&self, frames: u64) -> u64 {
        frames
            .saturating_add_signed(self.outside)
            .saturating_mul(KIB_PER_FRAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    const MS: Duration = Duration::from_millis(1);

    fn wished(have: u64, most: u64, kib: &[u8]) -> Balloon {
        let mut balloon = Balloon::new(have, most);
        balloon.wish(kib).unwrap();
        balloon
    }

    #[test]
    fn only_a_number_is_a_size() {
        assert_eq!(parse_kib(b"32768"), Ok(32768));
        assert_eq!(parse_kib(b"0\0"), Ok(0));
        for junk in [
            &b""[..],
            b"\0",
            b"-1",
            b"+1",
            b"1 ",
            b"0x10",
            b"many",
            b"99999999999999999999",
        ] {
            assert!(parse_kib(junk).is_err(), "{junk:?}");
        }
        let said = parse_kib(b"many").unwrap_err();
        assert_eq!(
            (said.to_string().as_str(), said.party()),
            ("`many` is no number of KiB", Party::Toolstack)
        );
    }

    #[test]
    fn junk_leaves_the_wish_as_it_was() {
        let mut balloon = wished(100, 100, b"200");
        assert!(balloon.wish(b"less").is_err());
        assert_eq!(balloon.next(Duration::ZERO), Step::Give(50));
    }

    #[test]
    fn without_a_target_nothing_is_done_and_nothing_forbidden() {
        let mut balloon = Balloon::new(100, 200);
        assert_eq!(balloon.next(MS), Step::Rest);
        assert_eq!((balloon.news(), balloon.check()), (None, Ok(())));
    }

    #[test]
    fn video_memory_is_in_every_target_and_never_given() {
        // 16 frames of video memory: the toolstack says 1016 and means 1000.
        let mut balloon = Balloon::new(1000, 1000);
        balloon.measure(b"4064").unwrap();
        balloon.wish(b"2064").unwrap();
        assert_eq!(balloon.next(MS), Step::Give(500));
        balloon.gave(500);
        assert_eq!((balloon.kib(), balloon.target_kib()), (2064, Some(2064)));
        assert_eq!(balloon.news(), Some(News::Reached));
        // A map that is larger than the toolstack says.
        let mut balloon = Balloon::new(1000, 1000);
        balloon.measure(b"3600").unwrap();
        balloon.wish(b"1600").unwrap();
        assert_eq!(balloon.next(MS), Step::Give(500));
    }

    #[test]
    fn a_target_of_nothing_asks_for_everything() {
        assert_eq!(wished(10, 10, b"0").next(MS), Step::Give(10));
        let mut balloon = Balloon::new(10, 10);
        balloon.measure(b"80").unwrap();
        balloon.wish(b"4").unwrap();
        assert_eq!(balloon.next(MS), Step::Give(10));
    }

    #[test]
    fn more_than_all_is_told_once_and_lets_save() {
        let mut balloon = wished(90, 100, b"800");
        assert_eq!(balloon.next(MS), Step::Take(10));
        balloon.took(10);
        assert_eq!(balloon.next(MS), Step::Rest);
        assert_eq!((balloon.news(), balloon.news()), (Some(News::AtMost), None));
        assert_eq!(balloon.check(), Ok(()));
    }

    #[test]
    fn a_wish_stands_through_failures_and_is_tried_less_and_less_often() {
        let mut balloon = wished(100, 100, b"200");
        let (mut now, mut tries, mut told) = (Duration::ZERO, 0, 0);
        while now < Duration::from_secs(120) {
            if balloon.next(now) == Step::Give(50) {
                tries += 1;
                balloon.stuck(Why::NoFreeFrames, now);
            }
            told += u32::from(balloon.news() == Some(News::Stuck(Why::NoFreeFrames)));
            now += 10 * MS;
        }
        // At 0, 0.1, 0.3, ... 12.7 s, then each 10 s; told at the 1st, 2nd, 4th, 8th and 16th.
        assert_eq!((tries, told), (18, 5));
        assert_eq!(balloon.check().unwrap_err().party(), Party::Guest);
        // The first frame ends the pauses.
        balloon.hurry();
        balloon.gave(1);
        assert_eq!(balloon.next(now), Step::Give(49));
        balloon.gave(49);
        assert_eq!(
            (balloon.news(), balloon.check()),
            (Some(News::Reached), Ok(()))
        );
    }

    #[test]
    fn the_same_wish_again_is_nothing_new() {
        let mut balloon = wished(100, 100, b"200");
        balloon.stuck(Why::Refused, MS);
        assert_eq!(balloon.news(), Some(News::Stuck(Why::Refused)));
        balloon.wish(b"200").unwrap();
        assert_eq!((balloon.next(2 * MS), balloon.news()), (Step::Rest, None));
        // Another one is tried at once.
        balloon.wish(b"240").unwrap();
        assert_eq!(balloon.next(2 * MS), Step::Give(40));
    }

    #[test]
    fn what_is_too_much_names_the_sizes_and_the_party() {
        let mut balloon = wished(100, 100, b"200");
        balloon.stuck(Why::Refused, MS);
        let said = balloon.check().unwrap_err();
        assert_eq!(said.party(), Party::Xen);
        assert_eq!(
            said.to_string(),
            "the guest has 400 KiB of memory and its target is 200 KiB: no Xen restores such an \
             image; Xen refuses to take frames back"
        );
        // Less than wanted is no reason.
        assert_eq!(wished(100, 200, b"800").check(), Ok(()));
    }
}
