//! The figures as tables: for the report's page and as Markdown.

use std::collections::BTreeMap;

use super::life::Figure;
use crate::base::document::Table;
use crate::bench::samples::{number, Samples};
use crate::guest::config::Kind;
use crate::guest::linux::Guest;

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
                columns: Table::headings(&[
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
        columns: Table::headings(&["guest", "goal", "vCPUs", "Linux to ours", ""]),
        rows,
        notes: Vec::new(),
    }
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
        let text = comparison(&all(), &[Kind::Pvh], &[4])[0].markdown();
        assert!(text.contains(
            "| Restored to first user work, ms | 4 | 11.0 (10.0 to 12.0) | 60.0 | ×5.45 | 3 / 1 |"
        ));
    }
}
