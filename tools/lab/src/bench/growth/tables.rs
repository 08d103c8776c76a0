//! The figures of `cargo lab bench growth` as tables and charts.

use std::time::Duration;

use serde_json::json;

use crate::base::document::{Chart, Document, Table};
use crate::base::progress;
use crate::bench::growth::measured::{All, Point};
use crate::bench::samples::{number, Samples};
use crate::guest::config::Kind;
use crate::host::qemu;

/// The median, or 0 where nothing was measured.
fn median(samples: &Samples) -> f64 {
    samples.median().unwrap_or(0.0)
}

/// Tables and charts of all points.
pub fn report(rounds: u32, all: &All, failures: &[String], took: Duration) -> Document {
    let machine = match qemu::accel().0 {
        qemu::Accel::Tcg => "QEMU emulating everything: good for ratios, not for times",
        qemu::Accel::Kvm => "KVM with nesting",
    };
    let mut notes = vec![
        format!(
            "x86_64, no churn; Debian's Xen 4.17 on 2 processors that dom0 and the guest share; {machine}. {} suspends at each \
             point by xl save -c, drained as usual and trimmed early in turns; {} in all.",
            rounds,
            progress::seconds(took)
        ),
        "Trimmed early (`trim=early`): from the request on each vCPU empties its own cache, all at once, and the drain finds what is \
         left. The drain, which proves that nothing is cached, is done in either case."
            .to_owned(),
        "Milliseconds by the guest's clock: median (least to greatest), each phase from the end of the one before. Hypercalls: those of \
         the pool, and all that the guest made from the request to the suspend call. Sets are constructed four at a time, so that a few more may \
             be cached than were asked for."
            .to_owned(),
    ];
    notes.extend(failures.iter().cloned());
    Document {
        title: "How a suspend grows".to_owned(),
        notes,
        tables: [false, true]
            .into_iter()
            .filter_map(|pv| table(all, pv))
            .collect(),
        charts: charts(all),
        data: serde_json::Map::from_iter([(
            "points".to_owned(),
            all.iter()
                .map(|(point, measured)| json!({"point": point, "samples": measured}))
                .collect(),
        )]),
    }
}

fn words(pv: bool) -> &'static str {
    if pv {
        Kind::Pv.words()
    } else {
        Kind::Pvh.words()
    }
}

pub(super) fn table(all: &All, pv: bool) -> Option<Table> {
    let rows: Vec<Vec<String>> = all
        .iter()
        .filter(|(point, _)| point.pv == pv)
        .map(|(point, m)| {
            let plain = all.get(&Point {
                early: false,
                ..*point
            });
            // Of the same run, taken in turns: the only thing that is compared on an emulated
            // machine.
            let gain = plain
                .filter(|_| point.early && median(&m.work) > 0.0)
                .map(|plain| format!("×{}", number(median(&plain.work) / median(&m.work))));
            vec![
                point.mem.to_string(),
                point.vcpus.to_string(),
                point.sets.to_string(),
                if point.early { "early" } else { "-" }.to_owned(),
                number(median(&m.trimmed_sets)),
                number(median(&m.drained_sets)),
                m.acknowledge.words(),
                m.park.words(),
                m.drained.words(),
                m.audit.words(),
                m.work.words(),
                gain.unwrap_or_default(),
                number(median(&m.trim_hypercalls)),
                number(median(&m.drain_hypercalls)),
                number(median(&m.hypercalls)),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        title: format!("As {}", words(pv)),
        columns: Table::headings(&[
            "MiB",
            "vCPUs",
            "sets cached",
            "trimmed",
            "sets trimmed",
            "sets drained",
            "acknowledge",
            "park",
            "drain",
            "audit",
            "acknowledged to audited",
            "plain to early",
            "hypercalls: trim",
            "drain",
            "whole suspend",
        ]),
        rows,
        notes: Vec::new(),
    })
}

/// Park, drain and audit together against the sets, for the fewest and the most vCPUs, both ways.
pub(super) fn charts(all: &All) -> Vec<Chart> {
    // What grows with memory is in the table: here the least of it.
    let mem = all.keys().map(|point| point.mem).min().unwrap_or_default();
    let of_kind = |pv: bool| {
        let points = || {
            all.keys()
                .filter(move |point| point.pv == pv && point.mem == mem)
        };
        let mut sets: Vec<u32> = points().map(|point| point.sets).collect();
        sets.sort_unstable();
        sets.dedup();
        let mut vcpus: Vec<u32> = [
            points().map(|p| p.vcpus).min(),
            points().map(|p| p.vcpus).max(),
        ]
        .into_iter()
        .flatten()
        .collect();
        vcpus.dedup();
        let mut lines = Vec::new();
        for &vcpus in &vcpus {
            for early in [false, true] {
                let values = sets.iter().map(|&sets| {
                    let point = Point {
                        pv,
                        mem,
                        vcpus,
                        sets,
                        early,
                    };
                    all.get(&point)?.work.median()
                });
                let name = format!(
                    "{vcpus} vCPU{}, {}",
                    if vcpus == 1 { "" } else { "s" },
                    if early { "trimmed early" } else { "drained" }
                );
                lines.push((name, values.collect()));
            }
        }
        (!sets.is_empty()).then(|| Chart {
            title: format!("As {}: acknowledged to audited", words(pv)),
            along: "sets cached".to_owned(),
            points: sets.iter().map(u32::to_string).collect(),
            unit: "ms".to_owned(),
            lines,
        })
    };
    [false, true].into_iter().filter_map(of_kind).collect()
}
