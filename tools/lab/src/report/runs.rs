//! What the runs' folders hold. A file that is missing or torn leaves a gap on the page, never an
//! error: the page is wanted most when something broke.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::logs::Log;
use super::passes::{self, Migration};
use crate::base::repo;
use crate::guest::event::{self, Event, Line};

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

/// A table of figures.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Table {
    /// Its caption.
    pub title: String,
    /// Headings.
    pub columns: Vec<String>,
    /// Rows of cells.
    pub rows: Vec<Vec<String>>,
    /// What a reader must know.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Values of several lines at a few points.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Chart {
    /// Its caption.
    pub title: String,
    /// What the points are.
    pub along: String,
    /// One name for each point.
    pub points: Vec<String>,
    /// Of the values.
    pub unit: String,
    /// Each with a name, and a value for each point where there is one.
    pub lines: Vec<(String, Vec<Option<f64>>)>,
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
}

/// Splits `20261121-072024-demo` (or `...-demo-1`) into time and kind.
fn split_name(folder: &str) -> Option<(&str, &str)> {
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let (stamp, kind) = (folder.get(..15)?, folder.get(15..)?.strip_prefix('-')?);
    let (day, time) = stamp.split_once('-')?;
    let kind = match kind.rsplit_once('-') {
        Some((kind, n)) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => kind,
        _ => kind,
    };
    (digits(day, 8) && digits(time, 6)).then_some((stamp, kind))
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

/// Reads what the runs below this folder left: the newest of each kind.
///
/// # Errors
/// If the folder cannot be read; that it is not there is none, nothing was run yet.
pub fn collect(runs: &Path) -> Result<Found> {
    let mut folders: Vec<String> = match fs::read_dir(runs) {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| split_name(name).is_some())
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", repo::shown(runs)))
        }
    };
    // The name begins with the time; of two within a second the later one is longer.
    folders.sort_by(|a, b| (&b[..15], b.len(), b).cmp(&(&a[..15], a.len(), a)));
    let mut found = Found::default();
    let mut tests: BTreeMap<String, Test> = BTreeMap::new();
    for folder in folders {
        let Some((_, kind)) = split_name(&folder) else {
            continue;
        };
        let path = runs.join(&folder);
        match kind {
            "up" | "try" => {}
            "test" => {
                for test in read_tests(&path, &folder) {
                    tests.entry(test.name.clone()).or_insert(test);
                }
            }
            kind if kind.starts_with("bench") => {
                let have = |b: &Bench| split_name(&b.folder).is_some_and(|(_, k)| k == kind);
                if !found.benches.iter().any(have) {
                    found.benches.extend(read_bench(&path, &folder));
                }
            }
            kind => {
                if !found.runs.iter().any(|run| run.kind == kind) {
                    let run = read_run(&path, &folder, kind);
                    if !run.lives.is_empty() || !run.counts.is_empty() {
                        found.runs.push(run);
                    }
                }
            }
        }
    }
    found.tests = tests.into_values().collect();
    Ok(found)
}

fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn read_bench(path: &Path, folder: &str) -> Option<Bench> {
    #[derive(Deserialize)]
    struct File {
        title: String,
        #[serde(default)]
        notes: Vec<String>,
        tables: Vec<Table>,
        #[serde(default)]
        charts: Vec<Chart>,
    }
    let Some(file) = json::<File>(&path.join("bench.json")) else {
        let rows: Vec<serde_json::Map<String, Value>> = json(&path.join("summary.json"))?;
        return Some(Bench {
            folder: folder.to_owned(),
            title: folder.get(16..).unwrap_or(folder).replace('-', " "),
            notes: Vec::new(),
            tables: vec![table_of(&rows)],
            charts: Vec::new(),
        });
    };
    Some(Bench {
        folder: folder.to_owned(),
        title: file.title,
        notes: file.notes,
        tables: file.tables,
        charts: file.charts,
    })
}

/// Objects as a table: words first, then numbers.
fn table_of(rows: &[serde_json::Map<String, Value>]) -> Table {
    let mut columns: Vec<String> = rows
        .first()
        .map_or_else(Vec::new, |row| row.keys().cloned().collect());
    columns.sort_by_key(|key| rows[0].get(key).is_some_and(Value::is_number));
    let cells = |row: &serde_json::Map<String, Value>| {
        columns
            .iter()
            .map(|key| row.get(key).map_or_else(String::new, plain))
            .collect()
    };
    Table {
        rows: rows.iter().map(cells).collect(),
        columns,
        ..Table::default()
    }
}

fn read_run(path: &Path, folder: &str, kind: &str) -> Run {
    let mut steps: BTreeMap<String, Vec<Step>> =
        json::<Vec<(String, Vec<Step>)>>(&path.join("summary.json"))
            .unwrap_or_default()
            .into_iter()
            .collect();
    let mut lives: Vec<(f64, Life)> = read_lives(path, folder)
        .into_iter()
        .map(|mut life| {
            life.steps = steps.remove(&life.name).unwrap_or_default();
            (began(path, &life), life)
        })
        .collect();
    // A run of several parts keeps each in a folder of its own.
    for part in folders(path) {
        let dir = path.join(&part);
        let steps: Vec<Step> = json(&dir.join("steps.json")).unwrap_or_default();
        for mut life in read_lives(&dir, &format!("{folder}/{part}")) {
            let at = began(&dir, &life);
            life.part.clone_from(&part);
            life.steps.clone_from(&steps);
            lives.push((at, life));
        }
    }
    // In the order in which they lived.
    lives.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lives = lives.into_iter().map(|(_, life)| life).collect();
    let logs = ["xen.log", "dom0.log", "qemu.log"]
        .iter()
        .filter_map(|name| Log::read(&path.join(name), &format!("{folder}/{name}")))
        .collect();
    Run {
        folder: folder.to_owned(),
        kind: kind.to_owned(),
        lives,
        counts: read_counts(path),
        logs,
    }
}

/// A summary that is one object: its plain values, as a soak has them.
fn read_counts(path: &Path) -> Vec<(String, String)> {
    let counts: Option<serde_json::Map<String, Value>> = json(&path.join("summary.json"));
    counts
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_object() && !value.is_array() && !value.is_null())
        .map(|(key, value)| (key, plain(&value)))
        .collect()
}

/// A value as it is shown in a table.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => format!("{:.2}", n.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

/// The folders in a folder, by name.
fn folders(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            entry
                .path()
                .is_dir()
                .then(|| entry.file_name().into_string().ok())?
        })
        .collect();
    names.sort();
    names
}

fn began(path: &Path, life: &Life) -> f64 {
    entries(path, &life.name)
        .first()
        .map_or(f64::INFINITY, |entry| entry.unix)
}

#[derive(Deserialize)]
struct TestEntry {
    test: String,
    #[serde(default)]
    secs: f64,
    #[serde(default)]
    run: String,
    #[serde(default)]
    log: String,
    result: String,
    #[serde(default)]
    why: String,
}

fn read_tests(path: &Path, folder: &str) -> Vec<Test> {
    let entries: Vec<TestEntry> = json(&path.join("summary.json")).unwrap_or_default();
    entries
        .into_iter()
        .map(|entry| {
            let mut test = Test {
                name: entry.test,
                result: entry.result,
                why: entry.why,
                secs: entry.secs,
                folder: folder.to_owned(),
                ..Test::default()
            };
            // The names come from a file: they must not lead out of the run's folder.
            let Some(log) = below(path, &entry.log) else {
                return test;
            };
            if log.is_dir() {
                let shown = format!("{folder}/{}", entry.log);
                test.lives = read_lives(&log, &shown);
                if let [life] = &mut test.lives[..] {
                    life.steps = json(&log.join("steps.json")).unwrap_or_default();
                }
                let machine = entry.run.rsplit('/').next().unwrap_or_default();
                if let Some(machine) = below(path, machine).filter(|_| test.result == "failed") {
                    let name = format!(
                        "{folder}/{}/xen.log",
                        entry.run.rsplit('/').next().unwrap_or_default()
                    );
                    test.logs.extend(Log::read(&machine.join("xen.log"), &name));
                }
            } else {
                let name = format!("{folder}/{}", entry.log);
                test.logs.extend(Log::read(&log, &name));
            }
            test
        })
        .collect()
}

/// A file or folder directly below another, if `name` is a plain name.
fn below(path: &Path, name: &str) -> Option<PathBuf> {
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains('/');
    plain.then(|| path.join(name)).filter(|path| path.exists())
}

fn read_lives(path: &Path, shown: &str) -> Vec<Life> {
    let mut names: Vec<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some(
                name.strip_prefix("console-")?
                    .strip_suffix(".log")?
                    .to_owned(),
            )
        })
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| read_life(path, name, shown))
        .collect()
}

/// An entry of `timeline.jsonl`.
#[derive(Deserialize)]
struct Entry {
    unix: f64,
    #[serde(default)]
    guest: String,
    what: String,
    result: String,
}

fn entries(path: &Path, guest: &str) -> Vec<Entry> {
    fs::read_to_string(path.join("timeline.jsonl"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| serde_json::from_str::<Entry>(line).ok())
        .filter(|entry| entry.guest == guest && entry.unix.is_finite())
        .collect()
}

fn read_life(path: &Path, name: String, shown: &str) -> Life {
    let entries = entries(path, &name);
    let timed = fs::read_to_string(path.join(format!("events-{name}.jsonl"))).ok();
    let host_clock = timed.is_some();
    let mut events: Vec<(f64, Event)> = match timed {
        Some(text) => text.lines().filter_map(timed_event).collect(),
        None => fs::read(path.join(format!("console-{name}.log")))
            .unwrap_or_default()
            .split(|&b| b == b'\n')
            .filter_map(|line| match event::parse(line) {
                Line::Event(event) => Some((event.t as f64 / 1e9, event)),
                _ => None,
            })
            .collect(),
    };
    if host_clock {
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let first = events.first().map(|(at, _)| *at);
    // Where one guest follows another under the same name, the console is the last one's and so is
    // the life.
    let own = entries.iter().rposition(|entry| {
        let created = entry.result == "begins" && entry.what.starts_with("xl create");
        created && first.is_some_and(|first| entry.unix <= first)
    });
    let entries = &entries[own.unwrap_or(0)..];
    let began = if host_clock {
        let act = entries.first().map(|entry| entry.unix);
        act.into_iter().chain(first).reduce(f64::min).unwrap_or(0.0)
    } else {
        0.0
    };
    let mut acts: Vec<Act> = Vec::new();
    // Actions are on the host's clock; without events on it they have no place on the axis.
    for entry in entries.iter().filter(|_| host_clock) {
        let at = entry.unix - began;
        if entry.result == "begins" {
            acts.push(Act {
                what: entry.what.clone(),
                from: at,
                to: None,
                result: "no end is on record".into(),
            });
        } else if let Some(act) = acts
            .iter_mut()
            .rfind(|a| a.to.is_none() && a.what == entry.what)
        {
            act.to = Some(at);
            act.result.clone_from(&entry.result);
        }
    }
    let migrations = fs::read_to_string(path.join(format!("passes-{name}.log")))
        .map_or_else(|_| Vec::new(), |text| passes::parse(&text));
    let console = format!("console-{name}.log");
    let logs = Log::read(&path.join(&console), &format!("{shown}/{console}"))
        .into_iter()
        .collect();
    Life {
        name,
        part: String::new(),
        host_clock,
        events: events
            .into_iter()
            .map(|(at, event)| Timed {
                at: at - began,
                event,
            })
            .collect(),
        acts,
        steps: Vec::new(),
        migrations,
        logs,
    }
}

/// A line of `events-*.jsonl`.
fn timed_event(line: &str) -> Option<(f64, Event)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let at = value.get("unix")?.as_f64()?;
    match event::parse(format!("@{}", value.get("event")?).as_bytes()) {
        Line::Event(event) => Some((at, event)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{events as sample, write};
    use super::*;

    #[test]
    fn the_newest_of_each_kind_is_read() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).unwrap();
        let found = collect(dir.path()).unwrap();
        assert_eq!(found.runs.len(), 1);
        let life = &found.runs[0].lives[0];
        assert!(life.host_clock);
        assert_eq!(life.acts.len(), 4);
        assert_eq!(life.acts[2].to, Some(9.0));
        assert_eq!(life.acts[3].result, "<b>bad</b>");
        assert_eq!(life.events.len(), sample().len());
        assert!((life.events[0].at - 0.5).abs() < 1e-6);
        assert_eq!(life.steps.len(), 2);
        assert_eq!(life.migrations[0].passes.len(), 3);
        assert_eq!(found.benches[0].tables[0].rows[0][0], "<1>");
        let names: Vec<_> = found.tests.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["host/evil", "host/fmt", "lab/x/main"]);
        assert!(found.tests[0].logs.is_empty(), "led out of its folder");
        assert_eq!(found.tests[1].logs.len(), 1);
        assert_eq!(found.tests[2].lives.len(), 1);
        assert_eq!(found.tests[2].logs.len(), 1, "Xen's log of a failed test");
    }

    #[test]
    fn parts_counts_and_plain_figures_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("20260101-101010-soak/part-1");
        fs::create_dir_all(&part).unwrap();
        fs::write(part.join("console-g.log"), "x\n").unwrap();
        fs::write(part.join("steps.json"), "[{\"step\": \"xl create\"}]").unwrap();
        let counts = "{\"saves\": 3, \"minutes\": 1.5, \"words\": [1]}";
        fs::write(dir.path().join("20260101-101010-soak/summary.json"), counts).unwrap();
        let bench = dir.path().join("20260101-101010-bench-pv");
        fs::create_dir_all(&bench).unwrap();
        let rows = "[{\"cycles\": 5, \"what\": \"hit\"}]";
        fs::write(bench.join("summary.json"), rows).unwrap();
        let found = collect(dir.path()).unwrap();
        let run = &found.runs[0];
        assert_eq!(
            (run.lives[0].part.as_str(), run.lives[0].steps.len()),
            ("part-1", 1)
        );
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(run.counts, [pair("minutes", "1.50"), pair("saves", "3")]);
        assert_eq!(found.benches[0].title, "bench pv");
        assert_eq!(found.benches[0].tables[0].columns, ["what", "cycles"]);
        assert_eq!(found.benches[0].tables[0].rows, [["hit", "5"]]);
    }

    #[test]
    fn nothing_run_yet_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let found = collect(&dir.path().join("runs")).unwrap();
        assert!(found.runs.is_empty() && found.tests.is_empty());
    }

    #[test]
    fn without_events_of_their_own_the_console_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("20260101-101010-demo");
        fs::create_dir_all(&run).unwrap();
        let lines: String = sample().iter().map(|(_, b)| format!("@{b}\r\n")).collect();
        fs::write(run.join("console-g.log"), lines).unwrap();
        let found = collect(dir.path()).unwrap();
        let life = &found.runs[0].lives[0];
        assert!(!life.host_clock);
        assert_eq!(life.events.len(), sample().len());
        assert_eq!(life.events[1].at, 0.5);
    }

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
