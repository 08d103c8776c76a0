//! Reads the lives of guests out of a run's folder.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::found::{Act, Life, Timed};
use super::logs::Log;
use super::passes;
use crate::guest::event::{self, Event, Line};

/// Reads the guests of a folder: those whose console was kept.
pub fn read_lives(path: &Path, shown: &str) -> Vec<Life> {
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

pub fn began(path: &Path, life: &Life) -> f64 {
    entries(path, &life.name)
        .first()
        .map_or(f64::INFINITY, |entry| entry.unix)
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
