//! Says what takes long, while it does.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;

/// Runs `work`; says `what` before it and the time after it.
///
/// # Errors
/// Those of `work`.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let live = std::io::stderr().is_terminal();
    if live {
        eprint!("  {what} ...");
    } else {
        eprintln!("  {what} ...");
    }
    let _ = std::io::stderr().flush();
    let start = Instant::now();
    let result = work();
    let end = if result.is_ok() { "" } else { "failed after " };
    let took = seconds(start.elapsed());
    if live {
        eprintln!(" {end}{took}");
    } else {
        eprintln!("  {what}: {end}{took}");
    }
    result
}

/// A duration for a person: `0.4 s`, `3 min 20 s`.
pub fn seconds(time: Duration) -> String {
    let s = time.as_secs_f64();
    if s < 100.0 {
        format!("{s:.1} s")
    } else {
        format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}
