//! `cargo lab bench linux`: our guest beside Debian's Linux, in the same lab and the same run, in
//! turns.
//!
//! Both are watched from dom0 by one program and by the same signs (see [`record`]); neither is
//! asked how long it took.

mod life;
mod record;
mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{bail, Result};
use serde_json::json;

use crate::base::document::{Document, Table};
use crate::base::packages;
use crate::base::progress;
use crate::base::repo;
use crate::base::runs;
use crate::bench::samples::Samples;
use crate::build::kernel;
use crate::guest::config::Kind;
use crate::guest::linux::{self, Guest};
use crate::host::image;
use crate::host::machine::Machine;
use crate::host::qemu;
use crate::host::xen_build::Xen;
use life::{Found, Plan};
use tables::{All, Key};

/// Options of `cargo lab bench linux`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Lives of each guest at each number of vCPUs
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Suspends of each way in a life
    #[arg(long, default_value_t = 2)]
    times: u32,
    /// vCPUs
    #[arg(long, value_delimiter = ',', default_value = "1,4,8", value_parser = clap::value_parser!(u32).range(1..=32))]
    vcpus: Vec<u32>,
    /// What Xen takes the guests for: pvh, pv
    #[arg(long, value_delimiter = ',', default_value = "pvh,pv")]
    kinds: Vec<Kind>,
    /// Memory of either guest, MiB; Linux needs more than ours
    #[arg(long, default_value_t = 160, value_parser = clap::value_parser!(u32).range(96..=512))]
    mem: u32,
    /// For a script
    #[arg(long)]
    json: bool,
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Pv => "PV",
        _ => "PVH",
    }
}

/// What is measured so far.
struct Bench<'a> {
    args: &'a Args,
    run: PathBuf,
    machine: Machine,
    start: Instant,
    all: All,
    /// Whose lives failed, and why.
    failures: BTreeMap<String, Vec<String>>,
    /// How many lives there were.
    lives: BTreeMap<String, u32>,
    /// The host's load average after each life: others may want its processors too.
    load: Vec<f64>,
    /// Everything that was seen.
    log: String,
}

/// Measures.
///
/// # Errors
/// If the lab cannot be set up. A guest that fails is in the notes, and what it gave before counts.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.kinds.contains(&Kind::Shim) {
        bail!("a guest in the shim is not compared: Linux would be suspended by the shim as well");
    }
    packages::ensure(packages::LAB)?;
    kernel::ensure()?;
    let run = runs::new("bench-linux")?;
    let start = Instant::now();
    let machine = Machine::boot(&run, false, Xen::Pv32)?;
    let image = image::ensure(Xen::Pv32.release())?;
    progress::step("copying both guests to dom0", || {
        linux::put(&machine.dom0, &image)
    })?;
    let mut bench = Bench {
        args,
        run,
        machine,
        start,
        all: All::new(),
        failures: BTreeMap::new(),
        lives: BTreeMap::new(),
        load: Vec::new(),
        log: String::new(),
    };
    bench.compare()?;
    let document = bench.write()?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        println!(
            "{}\nIn {}: bench.md, bench.json",
            document.markdown(),
            repo::shown(&bench.run)
        );
    }
    Ok(if bench.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Bench<'_> {
    fn plan(&self, guest: Guest, kind: Kind, vcpus: u32, words: &str) -> Plan {
        Plan {
            guest,
            kind,
            vcpus,
            mem: self.args.mem,
            words: words.to_owned(),
            times: self.args.times,
        }
    }

    /// Both guests in turns.
    fn compare(&mut self) -> Result<()> {
        for round in 0..self.args.rounds {
            for &kind in &self.args.kinds {
                for &vcpus in &self.args.vcpus {
                    let mut guests = [Guest::Ours, Guest::Linux];
                    // Neither is always the one that comes first.
                    guests.rotate_left(round as usize % 2);
                    for guest in guests {
                        let plan = self.plan(guest, kind, vcpus, "");
                        let (found, _) = self.measure(&plan)?;
                        for (figure, values) in found {
                            let key = Key {
                                pv: kind == Kind::Pv,
                                figure,
                                vcpus,
                                guest,
                            };
                            self.all.entry(key).or_default().0.extend(values);
                        }
                        // Each time, so that an interrupted run leaves what it has.
                        self.write()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn measure(&mut self, plan: &Plan) -> Result<(Found, String)> {
        let name = format!(
            "{} as {}, {} vCPU{}{}",
            match plan.guest {
                Guest::Ours => "ours",
                Guest::Linux => "Linux",
            },
            kind_name(plan.kind),
            plan.vcpus,
            if plan.vcpus == 1 { "" } else { "s" },
            if plan.words.is_empty() {
                String::new()
            } else {
                format!(" ({})", plan.words)
            },
        );
        let begin = Instant::now();
        let (found, text, failed) = life::live(&self.machine, plan)?;
        eprintln!(
            "  {:>6.1} s  {name}: {}",
            begin.elapsed().as_secs_f64(),
            failed.as_deref().unwrap_or("ok")
        );
        *self.lives.entry(name.clone()).or_default() += 1;
        self.load.extend(load_average());
        self.log.push_str(&format!("-- {name}\n{text}"));
        if let Some(why) = failed {
            self.log.push_str(&format!("-- failed: {why}\n"));
            self.failures.entry(name).or_default().push(why);
        }
        Ok((found, text))
    }

    /// Writes `bench.json` and `bench.md`.
    fn write(&self) -> Result<Document> {
        let args = self.args;
        let mut tables: Vec<Table> = vec![tables::goals(&self.all, &args.kinds, &args.vcpus)];
        tables.extend(tables::comparison(&self.all, &args.kinds, &args.vcpus));
        let machine = match qemu::accel().0 {
            qemu::Accel::Tcg => "QEMU emulating everything",
            qemu::Accel::Kvm => "KVM with nesting",
        };
        let mut notes = vec![
        format!(
            "Xen 4.17 built with shadow paging, {}, 2 processors that dom0 and the guests share; {} MiB and the same vCPUs for \
             both; in turns, {} lives each, {} of each way to suspend in a life; {} in all.",
            machine,
            args.mem,
            args.rounds,
            args.times,
            progress::seconds(self.start.elapsed())
        ),
        "Ours churns on every vCPU; Linux runs one thread per vCPU that writes 256 KiB every 20 ms. First user work is \
         the first line of Linux's init script, and after a suspend the first millisecond of its program; of ours it is \
         `ready`, and after a suspend `work`: a vCPU has read an address space through its user mapping."
            .to_owned(),
        "All times by dom0's clock: xenstore's watch, Xen's domain states every half millisecond, the consoles' logs. \
         Hypercalls are those that ours counts itself, from the request to the suspend call; Linux counts none, and Debian's Xen has no \
         performance counters. Memory is what the guest says is not free once it works, of what it was given."
            .to_owned(),
    ];
        let processors = std::thread::available_parallelism().map_or(0, |n| n.get());
        notes.push(format!(
            "The host has {processors} processors; its load average after each life: {}. A machine that does nothing \
             else shows about 2.",
            Samples(self.load.clone()).words()
        ));
        for (name, whys) in &self.failures {
            let of = self.lives.get(name).copied().unwrap_or(0);
            notes.push(format!(
                "{name}: {} of {of} lives failed: {}",
                whys.len(),
                whys.join("; ")
            ));
        }
        let samples: Vec<_> = self.all
        .iter()
        .map(|(key, samples)| {
            json!({"kind": if key.pv { "pv" } else { "pvh" }, "guest": key.guest, "vcpus": key.vcpus,
                "figure": key.figure, "values": samples, "median": samples.median()})
        })
        .collect();
        let document = Document {
            title: "Our guest beside Linux".to_owned(),
            notes,
            tables,
            charts: Vec::new(),
            data: serde_json::Map::from_iter([("samples".to_owned(), samples.into())]),
        };
        repo::write(&self.run.join("labprobe.log"), self.log.as_bytes())?;
        document.write(&self.run)?;
        Ok(document)
    }
}

/// Processes that ran or waited for a processor, on average over the last minute.
fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}
