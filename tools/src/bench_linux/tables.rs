//! The figures as tables: for the report's page and as Markdown.

use std::collections::BTreeMap;

use serde::Serialize;

use super::guests::Guest;
use super::life::Figure;
use super::stats::{number, Samples};
use crate::event::Event;
use crate::guest::Kind;

/// A table; the report's page reads the same form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// Its caption.
    pub title: String,
    /// Headings.
    pub columns: Vec<String>,
    /// Rows of cells.
    pub rows: Vec<Vec<String>>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// Whose figure: guest, what Xen takes it for, vCPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// `pv` sorts after `pvh`.
    pub pv: bool,
    /// What is measured.
    pub figure: Figure,
    /// vCPUs.
    pub vcpus: u32,
    /// Whose.
    pub guest: Guest,
}

/// Everything measured.
pub type All = BTreeMap<Key, Samples>;

/// The word for a kind.
pub fn kind_word(kind: Kind) -> &'static str {
    kind.words()
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|&word| word.to_owned()).collect()
}

fn ratio(all: &All, key: Key) -> Option<f64> {
    let median = |guest| all.get(&Key { guest, ..key })?.median();
    let (ours, linux) = (median(Guest::Ours)?, median(Guest::Linux)?);
    (ours > 0.0).then(|| linux / ours)
}

/// One table per kind: each figure at each number of vCPUs, both guests side by side.
pub fn comparison(all: &All, kinds: &[Kind], vcpus: &[u32]) -> Vec<Table> {
    kinds
        .iter()
        .map(|kind| {
            let mut rows = Vec::new();
            for figure in Figure::ALL {
                for &vcpus in vcpus {
                    let key = |guest| Key {
                        pv: *kind == Kind::Pv,
                        figure,
                        vcpus,
                        guest,
                    };
                    let cell = |guest| {
                        all.get(&key(guest))
                            .map_or_else(|| "none".into(), Samples::words)
                    };
                    let n = |guest| all.get(&key(guest)).map_or(0, |s| s.0.len());
                    rows.push(vec![
                        figure.words().to_owned(),
                        vcpus.to_string(),
                        cell(Guest::Ours),
                        cell(Guest::Linux),
                        ratio(all, key(Guest::Ours))
                            .map_or_else(String::new, |r| format!("×{}", number(r))),
                        format!("{} / {}", n(Guest::Ours), n(Guest::Linux)),
                    ]);
                }
            }
            Table {
                title: format!("As {}", kind_word(*kind)),
                columns: words(&[
                    "figure",
                    "vCPUs",
                    "ours",
                    "Linux",
                    "Linux to ours",
                    "samples",
                ]),
                rows,
                notes: vec![
                    "Median (least to greatest); Linux to ours is the ratio of the medians.".into(),
                ],
            }
        })
        .collect()
}

/// How many times quicker than Linux the guest is meant to be.
const GOAL: f64 = 5.0;

/// The goals and what was reached.
pub fn goals(all: &All, kinds: &[Kind], vcpus: &[u32]) -> Table {
    let mut rows = Vec::new();
    for kind in kinds {
        for figure in [Figure::AcknowledgeToSuspended, Figure::RestoredToWork] {
            for &vcpus in vcpus {
                let ratio = ratio(
                    all,
                    Key {
                        pv: *kind == Kind::Pv,
                        figure,
                        vcpus,
                        guest: Guest::Ours,
                    },
                );
                rows.push(vec![
                    kind_word(*kind).to_owned(),
                    figure.words().trim_end_matches(", ms").to_owned(),
                    vcpus.to_string(),
                    ratio.map_or_else(|| "none".into(), |r| format!("×{}", number(r))),
                    match ratio {
                        Some(ratio) if ratio >= GOAL => "reached",
                        Some(_) => "not reached",
                        None => "not measured",
                    }
                    .to_owned(),
                ]);
            }
        }
    }
    Table {
        title: format!("Goals: at least {GOAL} times quicker than Linux"),
        columns: words(&["guest", "goal", "vCPUs", "Linux to ours", ""]),
        rows,
        notes: Vec::new(),
    }
}

/// What our guest said of its suspends in one life.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Own {
    /// Sets drained.
    pub sets: Samples,
    /// Calls into the backend that the drain took (under PV, multi-operation hypercalls).
    pub calls: Samples,
    /// The drain, ms.
    pub drain: Samples,
    /// From the request to the suspend call, ms.
    pub down: Samples,
    /// From its return until everything is back, ms.
    pub back: Samples,
}

impl Own {
    /// Adds what one event says.
    pub fn add(&mut self, event: &Event) {
        let num = |key| event.num(key).map(|n| n as f64);
        if event.is("drain", "why", "suspend") {
            self.sets.0.extend(num("sets"));
            self.calls.0.extend(num("backend_calls"));
            self.drain.0.extend(num("ns").map(|ns| ns / 1e6));
        }
        if event.ev == "resumed" {
            let at = |phase: &str| event.body.get("ns")?.get(phase)?.as_f64();
            let how = event.text("how").unwrap_or_default();
            if let (Some(down), Some(back)) = (at("suspended"), at(how)) {
                self.down.0.push(down / 1e6);
                self.back.0.push((back - down) / 1e6);
            }
        }
    }
}

/// A row of the growth of ours.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Grown {
    /// vCPUs.
    pub vcpus: u32,
    /// PV instead of PVH.
    pub pv: bool,
    /// Its command line.
    pub words: String,
    /// By dom0's clock, ms.
    pub acknowledge_to_suspended: Samples,
    /// By its own.
    pub own: Own,
}

/// How a suspend of ours grows.
pub fn growth(rows: &[Grown]) -> Table {
    Table {
        title: "How a suspend of ours grows".into(),
        columns: words(&[
            "guest",
            "vCPUs",
            "command line",
            "sets drained",
            "calls",
            "drain, ms",
            "request to suspend call, ms",
            "acknowledgement to suspended, ms",
            "suspend call to all back, ms",
        ]),
        rows: rows
            .iter()
            .map(|row| {
                vec![
                    if row.pv { "PV" } else { "PVH" }.to_owned(),
                    row.vcpus.to_string(),
                    row.words.clone(),
                    row.own.sets.words(),
                    row.own.calls.words(),
                    row.own.drain.words(),
                    row.own.down.words(),
                    row.acknowledge_to_suspended.words(),
                    row.own.back.words(),
                ]
            })
            .collect(),
        notes: vec![
            "Each is suspended by xl save -c. The guest's own clock, except acknowledgement to suspended (dom0's)."
                .into(),
        ],
    }
}

/// Markdown.
pub fn markdown(table: &Table) -> String {
    let cell = |text: &String| text.replace('|', "\\|");
    let line = |cells: &[String]| {
        format!(
            "| {} |\n",
            cells.iter().map(cell).collect::<Vec<_>>().join(" | ")
        )
    };
    let mut out = format!("### {}\n\n", table.title);
    out.push_str(&line(&table.columns));
    out.push_str(&format!("|{}\n", "---|".repeat(table.columns.len())));
    for row in &table.rows {
        out.push_str(&line(row));
    }
    for note in &table.notes {
        out.push_str(&format!("\n{note}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> All {
        let key = |guest| Key {
            pv: false,
            figure: Figure::RestoredToWork,
            vcpus: 4,
            guest,
        };
        All::from([
            (key(Guest::Ours), Samples(vec![10.0, 12.0, 11.0])),
            (key(Guest::Linux), Samples(vec![60.0])),
        ])
    }

    #[test]
    fn a_goal_is_reached_by_the_medians() {
        let table = goals(&all(), &[Kind::Pvh], &[4, 8]);
        let last: Vec<&str> = table.rows.iter().map(|row| row[4].as_str()).collect();
        assert_eq!(
            last,
            ["not measured", "not measured", "reached", "not measured"]
        );
        assert_eq!(table.rows[2][3], "×5.45");
    }

    #[test]
    fn tables_are_markdown_too() {
        let text = markdown(&comparison(&all(), &[Kind::Pvh], &[4])[0]);
        assert!(text.contains(
            "| Restored to first user work, ms | 4 | 11.0 (10.0 to 12.0) | 60.0 | ×5.45 | 3 / 1 |"
        ));
    }

    #[test]
    fn what_the_guest_says_of_itself_is_taken() {
        let mut own = Own::default();
        for line in [
            &b"@{\"v\":1,\"ev\":\"drain\",\"t\":1,\"cpu\":0,\"why\":\"suspend\",\"sets\":68,\"backend_calls\":2,\"ns\":2500000}"[..],
            b"@{\"v\":1,\"ev\":\"resumed\",\"t\":1,\"cpu\":0,\"how\":\"cancelled\",\"ns\":{\"suspended\":30000000,\"cancelled\":31000000}}",
        ] {
            if let crate::event::Line::Event(event) = crate::event::parse(line) {
                own.add(&event);
            }
        }
        assert_eq!(
            (own.sets.0[0], own.drain.0[0], own.down.0[0], own.back.0[0]),
            (68.0, 2.5, 30.0, 1.0)
        );
    }
}
