//! Writes down, with dom0's clock, what happens to the guests: requests and their acknowledgement,
//! states, and console lines. One line each: nanoseconds, a word, the rest.
//!
//! - `store DOMAIN VALUE`: `control/shutdown` was written (VALUE is what it held when it was read a
//!   moment later)
//! - `state DOMAIN paused|running|shutdown|gone`
//! - `line LOG TEXT`

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use crate::console::Log;
use crate::domains::{Domains, State};
use crate::store::{self, Store};
use crate::sys::{go_first, now, Clock};

/// Between two looks. Everything measured is at least ten times as long.
const EVERY: Duration = Duration::from_micros(500);

/// The domain whose `control/shutdown` this path is.
fn requested(path: &str) -> Option<u16> {
    path.strip_prefix("/local/domain/")?
        .strip_suffix("/control/shutdown")?
        .parse()
        .ok()
}

/// Runs until it is killed.
///
/// # Errors
/// If this is no dom0, or xenstored is gone.
pub fn run(names: &[&str]) -> Result<(), String> {
    // What is written down late is wrong.
    go_first();
    let mut domains = Domains::open()?;
    let mut store = Store::watch("/local/domain")?;
    let mut logs: Vec<(String, Log)> = names
        .iter()
        .flat_map(|name| [name.to_string(), format!("{name}--incoming")])
        .map(|name| {
            let path = format!("/var/log/xen/console/guest-{name}.log");
            (name, Log::new(path))
        })
        .collect();
    // What is there already is of no interest.
    for (_, log) in &mut logs {
        log.lines();
    }
    let mut before: BTreeMap<u16, State> = BTreeMap::new();
    let mut out = std::io::stdout().lock();
    let mut say = |text: String| {
        writeln!(out, "{text}")
            .and_then(|()| out.flush())
            .map_err(|error| format!("cannot write: {error}"))
    };
    say(format!("{} begun", now(Clock::Monotonic)))?;
    loop {
        let found = domains.all();
        let at = now(Clock::Monotonic);
        for (domain, state) in &found {
            if before.get(domain) != Some(state) {
                say(format!("{at} state {domain} {}", state.name()))?;
            }
        }
        for domain in before.keys().filter(|d| !found.contains_key(d)) {
            say(format!("{at} state {domain} gone"))?;
        }
        before = found;
        let changed = store.changed()?;
        let at = now(Clock::Monotonic);
        for domain in changed.iter().filter_map(|path| requested(path)) {
            let path = format!("/local/domain/{domain}/control/shutdown");
            let value = store::read(&path)?.unwrap_or_default();
            say(format!("{at} store {domain} {value}"))?;
        }
        for (name, log) in &mut logs {
            let lines = log.lines();
            let at = now(Clock::Monotonic);
            for line in lines {
                say(format!("{at} line {name} {line}"))?;
            }
        }
        std::thread::sleep(EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shutdown_requests_count() {
        assert_eq!(requested("/local/domain/7/control/shutdown"), Some(7));
        assert_eq!(requested("/local/domain/7/control/shutdownx"), None);
        assert_eq!(requested("/local/domain/7/cpu/1/availability"), None);
        assert_eq!(requested("/local/domain/99999/control/shutdown"), None);
    }
}
