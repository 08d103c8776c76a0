//! The user program of the Linux guest: a little work on every vCPU, and a line when it has been away.
//!
//! One thread per vCPU writes to some pages, then sleeps 20 ms, as the lab's own guest works once per tick of
//! 20 ms. The first thread looks at its clocks every millisecond as well, and says once a second that it lives.

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

/// What the first thread knows of its clocks.
#[derive(Debug)]
struct Seen {
    monotonic: i64,
    boot: i64,
}

impl Seen {
    /// Looks again. A suspend shows in the clock that counts it: the other one stands still meanwhile.
    fn look(&mut self, monotonic: i64, boot: i64) -> Option<String> {
        let (gap, away) = (monotonic - self.monotonic, boot - self.boot);
        self.monotonic = monotonic;
        self.boot = boot;
        if away - gap > 200_000 {
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
    let mut seen = Seen {
        monotonic: now(Clock::Monotonic),
        boot: now(Clock::Boot),
    };
    for round in (0..=u8::MAX).cycle() {
        for _ in 0..20 {
            if let Some(text) = seen.look(now(Clock::Monotonic), now(Clock::Boot)) {
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
        let mut seen = Seen {
            monotonic: 0,
            boot: 0,
        };
        assert_eq!(seen.look(1_000_000, 1_000_100), None);
        assert_eq!(
            seen.look(90_000_000, 90_000_100).as_deref(),
            Some("late gap 89000000")
        );
        assert_eq!(
            seen.look(95_000_000, 2_000_000_000).as_deref(),
            Some("resumed gap 5000000 away 1909999900")
        );
    }
}
