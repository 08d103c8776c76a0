//! `cargo lab bench pv`: what a constructed set costs, measured by the guest itself on real Xen.

use std::process::ExitCode;

use anyhow::{bail, Result};
use serde::Serialize;

use crate::base::document::{Document, Table};
use crate::base::packages;
use crate::base::repo;
use crate::base::runs;
use crate::base::stop;
use crate::build::kernel::{self, Arch};
use crate::guest::config::Kind;
use crate::guest::event::Event;
use crate::guest::standard;
use crate::host::machine::Machine;
use crate::host::xen_build::Xen;
use crate::life::{Action, Life, Timeline};

/// One measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Figure {
    /// The guest's word size.
    arch: &'static str,
    /// `construct`, `destruct`, `hit`, `drain`.
    what: String,
    /// `batched`: as many sets per hypercall as fit; `single`: one.
    how: String,
    sets: u64,
    hypercalls: u64,
    /// Of the time-stamp counter.
    cycles: u64,
    ns: u64,
}

impl Figure {
    fn of(arch: Arch, event: &Event) -> Option<Self> {
        Some(Self {
            arch: arch.name(),
            what: event.text("what")?.to_owned(),
            how: event.text("how").unwrap_or_default().to_owned(),
            sets: event.num("sets")?,
            hypercalls: event.num("hypercalls")?,
            cycles: event.num("cycles")?,
            ns: event.num("ns")?,
        })
    }

    fn per_set(&self, what: u64) -> f64 {
        what as f64 / self.sets.max(1) as f64
    }
}

/// Runs it.
///
/// # Errors
/// If the lab cannot be set up, or a guest does not boot or answer.
pub fn run(json: bool) -> Result<ExitCode> {
    packages::ensure(packages::LAB)?;
    kernel::ensure()?;
    let run = runs::new("bench-pv")?;
    let (machine, archs) = match Machine::boot(&run, false, Xen::Pv32) {
        Err(why) if !stop::asked() => {
            eprintln!("Without Xen's source there is only the 64-bit guest: {why:#}");
            (
                Machine::boot(&run, false, Xen::Debian12)?,
                vec![Arch::X86_64],
            )
        }
        other => (other?, Arch::ALL.to_vec()),
    };
    let timeline = Timeline::open(&run)?;
    let mut figures = Vec::new();
    for arch in archs {
        eprintln!("{} as PV, 4 vCPUs, no churn", repo::shown(&arch.elf(false)));
        let mut config = standard::pv(arch, Kind::Pv);
        config.cmdline = "churn=off live=0".to_owned();
        let mut life = Life::new(
            &machine,
            &timeline,
            config,
            arch.elf(false),
            standard::LIMIT,
        )?;
        let step = life.act(&Action::Boot)?;
        if !step.ok() {
            bail!("the guest did not boot: {}", step.findings.join("; "));
        }
        let events = life.bench()?;
        life.end()?;
        let mine: Vec<Figure> = events.iter().filter_map(|e| Figure::of(arch, e)).collect();
        if mine.is_empty() {
            bail!("the guest ended its bench without a figure");
        }
        figures.extend(mine);
    }
    let document = Document {
        title: "What a constructed set costs under PV".to_owned(),
        notes: vec![
            "4 vCPUs, no churn; measured by the guest itself. Each figure is for all sets of its row together, then per set."
                .to_owned(),
            "Cycles are of an emulated processor: good for comparing with each other only.".to_owned(),
        ],
        tables: vec![Table {
            notes: ratios(&figures),
            ..table(&figures)
        }],
        data: serde_json::Map::from_iter([("figures".to_owned(), serde_json::to_value(&figures)?)]),
        ..Document::default()
    };
    document.write(&run)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        println!("\n{}", document.markdown());
        println!("In {}: bench.md, bench.json", repo::shown(&run));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(figures: &[Figure]) -> Table {
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|f| {
            vec![
                f.arch.to_owned(),
                f.what.clone(),
                f.how.clone(),
                f.sets.to_string(),
                f.hypercalls.to_string(),
                format!("{:.3}", f.per_set(f.hypercalls)),
                f.cycles.to_string(),
                format!("{:.0}", f.per_set(f.cycles)),
                format!("{:.2}", f.per_set(f.ns) / 1000.0),
            ]
        })
        .collect();
    Table {
        columns: Table::headings(&[
            "guest",
            "what",
            "how",
            "sets",
            "hypercalls",
            "hypercalls per set",
            "cycles",
            "cycles per set",
            "us per set",
        ]),
        rows,
        ..Table::default()
    }
}

/// What the figures say, in words.
fn ratios(figures: &[Figure]) -> Vec<String> {
    let mut lines = Vec::new();
    for arch in Arch::ALL {
        let cycles = |what: &str, how: &str| {
            figures
                .iter()
                .find(|f| {
                    f.arch == arch.name() && f.what == what && (how.is_empty() || f.how == how)
                })
                .map(|f| f.per_set(f.cycles))
        };
        let name = arch.name();
        if let (Some(hit), Some(construct), Some(destruct)) = (
            cycles("hit", ""),
            cycles("construct", "batched"),
            cycles("destruct", "batched"),
        ) {
            lines.push(format!(
                "{name}: a hit is {:.0} times cheaper than a construct and a destruct",
                (construct + destruct) / hit.max(1.0)
            ));
        }
        if let (Some(batched), Some(single)) =
            (cycles("drain", "batched"), cycles("drain", "single"))
        {
            lines.push(format!(
                "{name}: a drain in batches is {:.1} times as quick as one by one",
                single / batched.max(1.0)
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::event::{parse, Line};

    fn figure(line: &str) -> Option<Figure> {
        let line = format!("@{{\"v\":1,\"ev\":\"bench\",\"t\":1,\"cpu\":0,{line}}}");
        match parse(line.as_bytes()) {
            Line::Event(event) => Figure::of(Arch::I686, &event),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn figures_are_read_and_compared() {
        let read = |what: &str, how: &str, cycles: u64| {
            figure(&format!(
                r#""what":"{what}","how":"{how}","sets":10,"hypercalls":5,"cycles":{cycles},"ns":20000"#
            ))
            .unwrap()
        };
        let all = [
            read("construct", "batched", 3000),
            read("destruct", "batched", 2000),
            read("hit", "batched", 50),
            read("drain", "batched", 100),
            read("drain", "single", 250),
        ];
        let text = table(&all).markdown();
        assert!(text.contains("0.500") && text.contains("2.00"), "{text}");
        let lines = ratios(&all);
        assert!(lines[0].contains("100 times cheaper"), "{lines:?}");
        assert!(lines[1].contains("2.5 times as quick"), "{lines:?}");
        assert_eq!(figure(r#""what":"hit","sets":1"#), None);
    }
}
