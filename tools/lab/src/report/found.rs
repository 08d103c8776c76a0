//! What was found of the runs.

use serde::Deserialize;

use super::logs::Log;
use super::passes::Migration;
use crate::base::document::{Chart, Table};
use crate::guest::event::Event;

/// An event and when it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Seconds since the life's beginning.
    pub at: f64,
    /// What.
    pub event: Event,
}

/// Something that was done to a guest.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// In words.
    pub what: String,
    /// Seconds since the life's beginning.
    pub from: f64,
    /// Its end, if it came to one.
    pub to: Option<f64>,
    /// `ok`, or what was found.
    pub result: String,
}

/// A step of a scenario, as `summary.json` and `steps.json` have it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Step {
    /// In words.
    pub step: String,
    /// Empty if all was well.
    #[serde(default)]
    pub findings: Vec<String>,
    /// Seconds.
    #[serde(default)]
    pub secs: f64,
    /// Sets drained, per vCPU.
    #[serde(default)]
    pub drained: String,
    /// What was checked.
    #[serde(default)]
    pub checked: String,
}

/// One guest's life in one run.
#[derive(Debug, Clone, Default)]
pub struct Life {
    /// The guest's name.
    pub name: String,
    /// Which part of the run it is, if there are several.
    pub part: String,
    /// Whether times are the host's; else they are the guest's own, which stand still while it is
    /// away.
    pub host_clock: bool,
    /// Everything it said.
    pub events: Vec<Timed>,
    /// Everything that was done.
    pub acts: Vec<Act>,
    /// How it was judged.
    pub steps: Vec<Step>,
    /// Its live migrations.
    pub migrations: Vec<Migration>,
    /// Its logs.
    pub logs: Vec<Log>,
}

/// A run with guests: a demo, a soak.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The folder's name.
    pub folder: String,
    /// Its kind, the folder's name without the time.
    pub kind: String,
    /// Its guests.
    pub lives: Vec<Life>,
    /// What it counted.
    pub counts: Vec<(String, String)>,
    /// The machine's logs.
    pub logs: Vec<Log>,
}

/// A test's newest result.
#[derive(Debug, Clone, Default)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// `passed`, `failed` or `skipped`.
    pub result: String,
    /// A word on it.
    pub why: String,
    /// Seconds.
    pub secs: f64,
    /// The folder's name of the run it is from.
    pub folder: String,
    /// A lab test's guests.
    pub lives: Vec<Life>,
    /// What it said.
    pub logs: Vec<Log>,
}

/// A benchmark's newest figures.
#[derive(Debug, Clone, Default)]
pub struct Bench {
    /// The folder's name.
    pub folder: String,
    /// What was measured.
    pub title: String,
    /// On what.
    pub notes: Vec<String>,
    /// The figures.
    pub tables: Vec<Table>,
    /// Some of them as pictures.
    pub charts: Vec<Chart>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Newest run of each kind, newest first.
    pub runs: Vec<Run>,
    /// Each test's newest result.
    pub tests: Vec<Test>,
    /// Newest figures of each benchmark.
    pub benches: Vec<Bench>,
    /// The newest life of each guest of `cargo lab life`.
    pub guests: Vec<Bench>,
}

/// A folder's time as `2026-11-21 07:20:24`.
pub fn time_of(folder: &str) -> String {
    split_name(folder).map_or_else(String::new, |(s, _)| {
        format!(
            "{}-{}-{} {}:{}:{}",
            &s[..4],
            &s[4..6],
            &s[6..8],
            &s[9..11],
            &s[11..13],
            &s[13..15]
        )
    })
}

/// Splits `20261121-072024-demo` (or `...-demo-1`) into time and kind.
pub fn split_name(folder: &str) -> Option<(&str, &str)> {
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let (stamp, kind) = (folder.get(..15)?, folder.get(15..)?.strip_prefix('-')?);
    let (day, time) = stamp.split_once('-')?;
    let kind = match kind.rsplit_once('-') {
        Some((kind, n)) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => kind,
        _ => kind,
    };
    (digits(day, 8) && digits(time, 6)).then_some((stamp, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_names() {
        assert_eq!(
            split_name("20261121-072024-bench-linux-1"),
            Some(("20261121-072024", "bench-linux"))
        );
        assert_eq!(split_name("latest"), None);
        assert_eq!(split_name("20261121_072024-demo"), None);
        assert_eq!(split_name("äöü61121-072024-demo"), None);
        assert_eq!(time_of("20261121-072024-demo"), "2026-11-21 07:20:24");
    }
}
