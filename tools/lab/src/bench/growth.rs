//! `cargo lab bench growth`: how a suspend of our guest grows with its vCPUs and with the sets that
//! it has cached, drained as usual and trimmed early.
//!
//! A guest without work of its own is told on its console how many sets to cache (`fill N`) and
//! whether to trim early, then suspended by `xl save -c`, again and again in one life, the two ways
//! in turns. All times are its own: what `resumed` says of the phases.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{bail, Context, Result};
use serde::Serialize;
use serde_json::json;

use super::samples::{number, Samples};
use crate::base::document::{Chart, Document, Table};
use crate::base::packages;
use crate::base::progress;
use crate::base::repo;
use crate::base::runs;
use crate::base::stop;
use crate::build::kernel::{self, Arch};
use crate::guest::config::{Config, Kind};
use crate::guest::event::Event;
use crate::guest::standard;
use crate::host::machine::Machine;
use crate::host::qemu;
use crate::host::xen_build::Xen;
use crate::life::{Action, Life, Timeline};

/// Options of `cargo lab bench growth`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// vCPUs
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16", value_parser = clap::value_parser!(u32).range(1..=32))]
    vcpus: Vec<u32>,
    /// Sets cached when the suspend is asked for, of all vCPUs and the depot together
    #[arg(long, value_delimiter = ',', default_value = "0,64,250,1000", value_parser = clap::value_parser!(u32).range(0..=1000))]
    sets: Vec<u32>,
    /// What Xen takes the guest for: pvh, pv
    #[arg(long, value_delimiter = ',', default_value = "pvh,pv")]
    kinds: Vec<Kind>,
    /// Suspends at each point
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Memory of the guest, MiB: 1000 sets take 16, and the audit looks at every page
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(40..=512))]
    mem: u32,
    /// For a script
    #[arg(long)]
    json: bool,
}

/// Where it is measured. The order is that of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Point {
    /// `pv` sorts after `pvh`.
    pv: bool,
    vcpus: u32,
    sets: u32,
    early: bool,
}

/// What was measured there. Times in milliseconds, each from the phase before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Measured {
    acknowledge: Samples,
    /// With the early trimming, what of it is left by then.
    park: Samples,
    /// Of the drain alone: `drain` event.
    drain: Samples,
    /// The drain, and the windows of live sets taken down.
    drained: Samples,
    audit: Samples,
    /// From the acknowledgement to the end of the audit: all that depends on vCPUs, sets and
    /// memory.
    work: Samples,
    /// From the acknowledgement to the suspend call; in it a wait for dom0 to read the console.
    suspended: Samples,
    trimmed_sets: Samples,
    trim_hypercalls: Samples,
    drained_sets: Samples,
    drain_hypercalls: Samples,
    /// From the request to the suspend call, all vCPUs.
    hypercalls: Samples,
}

impl Measured {
    /// Adds what a guest said of one suspend.
    ///
    /// # Errors
    /// Names what it did not say.
    fn add(&mut self, events: &[Event]) -> Result<()> {
        let find = |ev: &str| events.iter().rfind(|e| e.ev == ev);
        let resumed = find("resumed").context("the guest said no `resumed`")?;
        let drain = events
            .iter()
            .rfind(|e| e.is("drain", "why", "suspend"))
            .context("the guest said no `drain`")?;
        let at = |phase: &str| {
            let ns = resumed
                .body
                .get("ns")
                .and_then(|ns| ns.get(phase)?.as_f64());
            ns.map(|ns| ns / 1e6)
                .with_context(|| format!("`resumed` has no time of {phase}"))
        };
        let num = |event: &Event, key: &str| {
            let value = event.num(key).map(|n| n as f64);
            value.with_context(|| format!("`{}` has no {key}", event.ev))
        };
        let phases = [
            "acknowledged",
            "quiesced",
            "drained",
            "audited",
            "suspended",
        ];
        let [acknowledged, quiesced, drained, audited, suspended] = phases.map(at);
        let (acknowledged, quiesced, drained) = (acknowledged?, quiesced?, drained?);
        let (audited, suspended) = (audited?, suspended?);
        let (trimmed, trim_calls) = match find("trim") {
            Some(trim) => (num(trim, "sets")?, num(trim, "hypercalls")?),
            None => (0.0, 0.0),
        };
        for (samples, value) in [
            (&mut self.acknowledge, acknowledged),
            (&mut self.park, quiesced - acknowledged),
            (&mut self.drain, num(drain, "ns")? / 1e6),
            (&mut self.drained, drained - quiesced),
            (&mut self.audit, audited - drained),
            (&mut self.work, audited - acknowledged),
            (&mut self.suspended, suspended - acknowledged),
            (&mut self.trimmed_sets, trimmed),
            (&mut self.trim_hypercalls, trim_calls),
            (&mut self.drained_sets, num(drain, "sets")?),
            (&mut self.drain_hypercalls, num(drain, "hypercalls")?),
            (&mut self.hypercalls, num(resumed, "hypercalls")?),
        ] {
            samples.0.push(value);
        }
        Ok(())
    }
}

type All = BTreeMap<Point, Measured>;

/// Measures.
///
/// # Errors
/// If the lab cannot be set up. A guest that fails is in the notes, and what it gave before counts.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.kinds.contains(&Kind::Shim) {
        bail!("in the shim a suspend is the shim's: its own growth is not measured");
    }
    packages::ensure(packages::LAB)?;
    kernel::ensure()?;
    let run = runs::new("bench-growth")?;
    let start = Instant::now();
    let machine = Machine::boot(&run, false, Xen::Debian12)?;
    let timeline = Timeline::open(&run)?;
    let (mut all, mut failures) = (All::new(), Vec::new());
    let mut document = Document::default();
    for &kind in &args.kinds {
        for &vcpus in &args.vcpus {
            let began = Instant::now();
            let result = live(args, &machine, &timeline, kind, vcpus, &mut all);
            stop::check()?;
            machine.check()?;
            let name = format!("{} with {vcpus} vCPUs", kind.words());
            let said = match &result {
                Ok(()) => "ok".to_owned(),
                Err(why) => format!("FAILED: {why:#}"),
            };
            eprintln!("  {:>6.1} s  {name}: {said}", began.elapsed().as_secs_f64());
            if let Err(why) = result {
                failures.push(format!("{name} failed: {why:#}"));
            }
            // Each time, so that an interrupted run leaves what it has.
            document = report(args, &all, &failures, start);
            document.write(&run)?;
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        println!("{}", document.markdown());
        println!("In {}: bench.md, bench.json", repo::shown(&run));
    }
    Ok(if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One guest of this many vCPUs, suspended at every point.
fn live(
    args: &Args,
    machine: &Machine,
    timeline: &Timeline,
    kind: Kind,
    vcpus: u32,
    all: &mut All,
) -> Result<()> {
    let config = Config {
        name: format!("grow-{}-{vcpus}", kind.name()),
        kind,
        vcpus,
        max_vcpus: vcpus,
        mem: args.mem,
        cmdline: "churn=off live=0".to_owned(),
        ..standard::pvh(Arch::X86_64)
    };
    let elf = Arch::X86_64.elf(false);
    let mut life = Life::new(machine, timeline, config, elf, standard::LIMIT)?;
    let step = life.act(&Action::Boot)?;
    if !step.ok() {
        bail!("the guest did not boot: {}", step.findings.join("; "));
    }
    let tty = life.tty()?;
    for round in 0..args.rounds {
        for &sets in &args.sets {
            let mut ways = [false, true];
            // Neither is always the one that comes first.
            ways.rotate_left(round as usize % 2);
            for early in ways {
                let point = Point {
                    pv: kind == Kind::Pv,
                    vcpus,
                    sets,
                    early,
                };
                let events = suspend(&mut life, &tty, point)
                    .with_context(|| format!("{sets} sets, round {}", round + 1))?;
                all.entry(point).or_default().add(&events)?;
            }
        }
    }
    life.end()
}

/// Fills the caches and suspends once; what the guest said of it.
fn suspend(life: &mut Life<'_>, tty: &str, point: Point) -> Result<Vec<Event>> {
    let trim = if point.early { "early" } else { "off" };
    let lines = [format!("trim {trim}"), format!("fill {}", point.sets)];
    let filled = life.ask(tty, &[&lines[0], &lines[1]], "filled")?;
    // The pool constructs four at a time: there may be up to three more.
    let cached = filled.num("sets").unwrap_or(0);
    let most = point.sets + if point.sets > 0 { 3 } else { 0 };
    if !(u64::from(point.sets)..=u64::from(most)).contains(&cached) {
        bail!("the guest has cached {cached} sets");
    }
    let events = life.checkpoint()?;
    let drained = events.iter().rfind(|e| e.is("drain", "why", "suspend"));
    if drained.and_then(|e| e.num("left")) != Some(0) {
        bail!("the drain left sets: this is no suspend to measure");
    }
    let sets = |ev: &str| {
        let event = events.iter().rfind(|e| e.ev == ev);
        event.and_then(|e| e.num("sets")).unwrap_or(0)
    };
    let found = sets("drain") + sets("trim");
    if found != cached {
        bail!("{cached} sets were cached, {found} destructed");
    }
    Ok(events)
}

/// The median, or 0 where nothing was measured.
fn median(samples: &Samples) -> f64 {
    samples.median().unwrap_or(0.0)
}

fn report(args: &Args, all: &All, failures: &[String], start: Instant) -> Document {
    let machine = match qemu::accel().0 {
        qemu::Accel::Tcg => "QEMU emulating everything: good for ratios, not for times",
        qemu::Accel::Kvm => "KVM with nesting",
    };
    let mut notes = vec![
        format!(
            "x86_64, {} MiB, no churn; Debian's Xen 4.17 on 2 processors that dom0 and the guest share; {machine}. {} suspends at each \
             point by xl save -c, drained as usual and trimmed early in turns; {} in all.",
            args.mem,
            args.rounds,
            progress::seconds(start.elapsed())
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

fn table(all: &All, pv: bool) -> Option<Table> {
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
fn charts(all: &All) -> Vec<Chart> {
    let of_kind = |pv: bool| {
        let points = || all.keys().filter(move |point| point.pv == pv);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::event::{parse, Line};

    fn events(lines: &[&str]) -> Vec<Event> {
        lines
            .iter()
            .map(|line| {
                let line = format!("@{{\"v\":1,\"t\":1,\"cpu\":0,{line}}}");
                match parse(line.as_bytes()) {
                    Line::Event(event) => event,
                    other => panic!("{other:?}"),
                }
            })
            .collect()
    }

    const TRIM: &str = r#""ev":"trim","round":1,"sets":60,"hypercalls":6"#;
    const DRAIN: &str =
        r#""ev":"drain","round":1,"why":"suspend","sets":4,"hypercalls":2,"left":0,"ns":500000"#;
    const RESUMED: &str = r#""ev":"resumed","round":1,"how":"cancelled","hypercalls":40,"ns":{"requested":0,"acknowledged":1000000,"quiesced":3000000,"drained":4000000,"audited":6000000,"detached":9000000,"suspended":9500000}"#;

    #[test]
    fn phases_are_measured_from_one_to_the_next() {
        let mut m = Measured::default();
        m.add(&events(&[TRIM, DRAIN, RESUMED])).unwrap();
        let of = |samples: &Samples| samples.0[0];
        assert_eq!(
            [
                of(&m.acknowledge),
                of(&m.park),
                of(&m.drain),
                of(&m.drained)
            ],
            [1.0, 2.0, 0.5, 1.0]
        );
        assert_eq!(
            [of(&m.audit), of(&m.work), of(&m.suspended)],
            [2.0, 5.0, 8.5]
        );
        assert_eq!([of(&m.trimmed_sets), of(&m.drained_sets)], [60.0, 4.0]);
        assert_eq!(
            [
                of(&m.trim_hypercalls),
                of(&m.drain_hypercalls),
                of(&m.hypercalls)
            ],
            [6.0, 2.0, 40.0]
        );
    }

    #[test]
    fn what_the_guest_did_not_say_is_named() {
        let said = |lines: &[&str]| {
            Measured::default()
                .add(&events(lines))
                .unwrap_err()
                .to_string()
        };
        assert!(said(&[DRAIN]).contains("resumed"));
        assert!(said(&[RESUMED]).contains("drain"));
        let short = RESUMED.replace("\"audited\":6000000,", "");
        assert!(said(&[DRAIN, &short]).contains("audited"));
    }

    #[test]
    fn early_is_set_against_plain_at_the_same_point() {
        let mut all = All::new();
        for early in [false, true] {
            for pv in [false, true] {
                let point = Point {
                    pv,
                    vcpus: 16,
                    sets: 64,
                    early,
                };
                let measured = all.entry(point).or_default();
                let lines = if early {
                    vec![TRIM, DRAIN, RESUMED]
                } else {
                    vec![DRAIN, RESUMED]
                };
                measured.add(&events(&lines)).unwrap();
                if early {
                    measured.work.0[0] = 2.0;
                }
            }
        }
        let table = table(&all, true).unwrap();
        assert_eq!(table.rows.len(), 2);
        assert_eq!(
            (table.rows[0][10].as_str(), table.rows[1][10].as_str()),
            ("", "×2.50")
        );
        let charts = charts(&all);
        assert_eq!(charts.len(), 2);
        assert_eq!(
            charts[0].lines[1],
            ("16 vCPUs, trimmed early".to_owned(), vec![Some(2.0)])
        );
    }
}
