//! Ctrl-C and friends: one flag that every wait looks at.
//!
//! A signal handler may do next to nothing, so it only sets a flag; each wait in this program polls
//! it and returns an error, and the destructors on the way out stop QEMU and everything else we
//! started. A second signal ends the process at once; the kernel then kills our children (see
//! [`crate::base::child`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{bail, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The exit status after a signal, as shells have it for SIGINT.
pub const EXIT_INTERRUPTED: i32 = 130;

/// How often a wait looks at the flag.
pub const POLL: Duration = Duration::from_millis(50);

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Installs the handlers. Call once, before anything is started.
///
/// # Errors
/// If the operating system refuses a handler.
pub fn install() -> Result<()> {
    let flag = FLAG.get_or_init(|| Arc::new(AtomicBool::new(false)));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: the first signal finds the flag unset and only sets it, the second one
        // exits.
        signal_hook::flag::register_conditional_shutdown(signal, EXIT_INTERRUPTED, flag.clone())?;
        signal_hook::flag::register(signal, flag.clone())?;
    }
    Ok(())
}

/// Whether a signal has asked us to stop.
pub fn asked() -> bool {
    FLAG.get().is_some_and(|flag| flag.load(Ordering::SeqCst))
}

/// An error if a signal has asked us to stop.
///
/// # Errors
/// [`Interrupted`].
pub fn check() -> Result<()> {
    if asked() {
        bail!(Interrupted);
    }
    Ok(())
}

/// Waits until `ready` gives a value.
///
/// # Errors
/// What `ready` fails with, [`Interrupted`], or after `limit` an error that says what was waited
/// for.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut ready: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        check()?;
        if Instant::now() >= end {
            bail!("{what}: nothing within {} s", limit.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// A signal asked us to stop.
#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_for_gives_the_value_or_says_what_was_missing() {
        let mut calls = 0;
        let got = wait_for("third call", Duration::from_secs(10), || {
            calls += 1;
            Ok((calls == 3).then_some(calls))
        });
        assert_eq!(got.unwrap(), 3);
        let error = wait_for::<()>("a wonder", Duration::ZERO, || Ok(None)).unwrap_err();
        assert!(error.to_string().contains("a wonder"), "{error}");
    }
}
