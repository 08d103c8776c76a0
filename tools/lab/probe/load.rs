//! The user program of the Linux guest: a little work on every vCPU, and a line when it has been
//! away.
//!
//! One thread per vCPU writes to some pages, then sleeps 20 ms, as the lab's own guest works once
//! per tick of 20 ms. The first thread looks at its clocks every millisecond as well, and says once
//! a second that it lives.

use std::time::{Duration, Instant};

use crate::sys::{now, stay_on, Clock};

/// Bytes that each thread writes to per round.
const WORK: usize = 256 << 10;
/// A monotonic gap that is worth a line, nanoseconds.
const GAP: i64 = 60_000_000;

fn work(memory: &mut [u8], round: u8) {
    for page in memory.chunks_mut(4096) {
        page.fill(round);
    }
}

/// By how much the clocks' difference must grow to be a suspend, nanoseconds: every one takes
/// longer.
const SUSPEND: i64 = 2_000_000;

/// One look at both clocks. The thread may be held up between two readings, so the monotonic one is
/// read before and after the other: their difference is known within bounds.
#[derive(Debug, Clone, Copy)]
struct Look {
    before: i64,
    boot: i64,
    after: i64,
}

impl Look {
    fn take() -> Self {
        Self {
            before: now(Clock::Monotonic),
            boot: now(Clock::Boot),
            after: now(Clock::Monotonic),
        }
    }
}

/// What the first thread knows of its clocks.
#[derive(Debug)]
struct Seen {
    last: Look,
}

impl Seen {
    /// Looks again. A suspend shows in the clock that counts it: the other one stands still
    /// meanwhile.
    fn look(&mut self, new: Look) -> Option<String> {
        let last = std::mem::replace(&mut self.last, new);
        let gap = new.after - last.before;
        // The least that the difference can have grown by.
        let away = (new.boot - new.after) - (last.boot - last.before);
        if away > SUSPEND {
            Some(format!("resumed gap {gap} away {away}"))
        } else if gap > GAP {
            Some(format!("late gap {gap}"))
        } else {
            None
        }
    }
}

/// Runs for ever.
///
/// # Errors
/// If a thread cannot be started.
pub fn run(vcpus: usize) -> Result<(), String> {
    for cpu in 1..vcpus {
        std::thread::Builder::new()
            .spawn(move || {
                stay_on(cpu);
                let mut memory = vec![0; WORK];
                for round in (0..=u8::MAX).cycle() {
                    work(&mut memory, round);
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
    }
    stay_on(0);
    let mut said = Instant::now();
    let mut memory = vec![0; WORK];
    let mut seen = Seen { last: Look::take() };
    for round in (0..=u8::MAX).cycle() {
        for _ in 0..20 {
            if let Some(text) = seen.look(Look::take()) {
                println!("user-work {text}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        work(&mut memory, round);
        if said.elapsed() >= Duration::from_secs(1) {
            println!("user-work tick");
            said = Instant::now();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspend_is_told_from_lateness() {
        let look = |before, boot, after| Look {
            before,
            boot,
            after,
        };
        let mut seen = Seen {
            last: look(0, 100, 200),
        };
        assert_eq!(seen.look(look(1_000_000, 1_000_200, 1_000_300)), None);
        // Held up for 30 ms between two readings, which is no suspend.
        assert_eq!(seen.look(look(2_000_000, 32_000_000, 32_000_100)), None);
        assert_eq!(
            seen.look(look(99_000_000, 99_000_100, 99_000_200))
                .as_deref(),
            Some("late gap 97000200")
        );
        assert_eq!(
            seen.look(look(100_000_000, 2_000_000_000, 100_000_100))
                .as_deref(),
            Some("resumed gap 1000100 away 1899999800")
        );
    }
}
