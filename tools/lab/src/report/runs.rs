//! What the runs' folders hold. A file that is missing or torn leaves a gap on the page, never an
//! error: the page is wanted most when something broke.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::found::{split_name, Bench, Found, Life, Run, Step, Test};
use super::lives::{began, read_lives};
use super::logs::Log;
use crate::base::document::{Chart, Table};
use crate::base::repo;

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
            "life" => {
                if let Some(life) = read_bench(&path, &folder) {
                    if !found.guests.iter().any(|other| other.title == life.title) {
                        found.guests.push(life);
                    }
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
}
