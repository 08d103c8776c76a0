//! How far reading has come.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// A line on standard error, from the second second on: rewritten on a terminal, a new one each 10
/// s elsewhere.
pub struct Progress {
    quiet: bool,
    live: bool,
    length: Option<u64>,
    start: Instant,
    next: Duration,
    shown: bool,
}

impl Progress {
    /// From now on; `length` is the input's, if it is known.
    pub fn new(quiet: bool, length: Option<u64>) -> Self {
        Self {
            quiet,
            live: io::stderr().is_terminal(),
            length,
            start: Instant::now(),
            next: Duration::from_secs(2),
            shown: false,
        }
    }

    /// So many bytes have been read.
    pub fn at(&mut self, bytes: u64) {
        let time = self.start.elapsed();
        if self.quiet || time < self.next {
            return;
        }
        self.next = time + Duration::from_millis(if self.live { 250 } else { 10_000 });
        self.shown = true;
        let mib = bytes >> 20;
        let rate = bytes as f64 / time.as_secs_f64() / (1 << 20) as f64;
        let part = match self.length {
            Some(length) if length > 0 => {
                format!(" of {} MiB, {} %", length >> 20, bytes * 100 / length)
            }
            _ => " MiB".into(),
        };
        let (start, end) = if self.live {
            ("\r", "\x1b[K")
        } else {
            ("", "\n")
        };
        // A closed standard error is no reason to stop.
        let _ = write!(
            io::stderr(),
            "{start}  read {mib}{part}, {rate:.0} MiB/s{end}"
        );
    }

    /// Clears the line.
    pub fn end(&self) {
        if self.shown && self.live {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
