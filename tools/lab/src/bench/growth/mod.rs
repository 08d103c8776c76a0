//! `cargo lab bench growth`: how a suspend of our guest grows with its memory, its vCPUs and the
//! sets that it has cached, drained as usual and trimmed early.
//!
//! A guest without work of its own is told on its console how many sets to cache (`fill N`) and
//! whether to trim early, then suspended by `xl save -c`, again and again in one life, the two ways
//! in turns. All times are its own: what `resumed` says of the phases.

mod measured;
mod tables;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{bail, Context, Result};

use crate::base::document::Document;
use crate::base::packages;
use crate::base::repo;
use crate::base::runs;
use crate::base::stop;
use crate::build::kernel::{self, Arch};
use crate::guest::config::{Config, Kind};
use crate::guest::event::Event;
use crate::guest::standard;
use crate::host::machine::{Machine, Spec};
use crate::host::qemu::Hardware;
use crate::host::xen_build::Xen;
use crate::life::{Action, Life, Timeline};
use measured::{All, Point};
use tables::report;

/// Options of `cargo lab bench growth`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// vCPUs
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16", value_parser = clap::value_parser!(u32).range(1..=128))]
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
    /// Memory of the guest, MiB: 1000 sets take 16
    #[arg(long, value_delimiter = ',', default_value = "40", value_parser = clap::value_parser!(u32).range(40..=8192))]
    mem: Vec<u32>,
    /// For a script
    #[arg(long)]
    json: bool,
}

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
    let mut hardware = Hardware::default();
    // Room for the largest, and for dom0.
    let most = args.mem.iter().copied().max().unwrap_or_default();
    hardware.mib = hardware.mib.max(most + DOM0);
    let spec = Spec {
        xen: Xen::Debian12,
        hardware,
    };
    let machine = Machine::boot(&run, false, spec)?;
    let timeline = Timeline::open(&run)?;
    let (mut all, mut failures) = (All::new(), Vec::new());
    let mut document = Document::default();
    for &kind in &args.kinds {
        for (&mem, &vcpus) in args
            .mem
            .iter()
            .flat_map(|mem| args.vcpus.iter().map(move |vcpus| (mem, vcpus)))
        {
            let began = Instant::now();
            let size = Size { kind, mem, vcpus };
            let result = live(args, &machine, &timeline, size, &mut all);
            stop::check()?;
            machine.check()?;
            let name = format!("{} with {mem} MiB and {vcpus} vCPUs", kind.words());
            let said = match &result {
                Ok(()) => "ok".to_owned(),
                Err(why) => format!("FAILED: {why:#}"),
            };
            eprintln!("  {:>6.1} s  {name}: {said}", began.elapsed().as_secs_f64());
            if let Err(why) = result {
                failures.push(format!("{name} failed: {why:#}"));
            }
            // Each time, so that an interrupted run leaves what it has.
            document = report(args.rounds, &all, &failures, start.elapsed());
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

/// What a guest is.
#[derive(Clone, Copy)]
struct Size {
    kind: Kind,
    /// MiB.
    mem: u32,
    vcpus: u32,
}

/// Memory that dom0 and Xen have beside a guest, MiB.
const DOM0: u32 = 2048;

/// One guest of this size, suspended at every point.
fn live(
    args: &Args,
    machine: &Machine,
    timeline: &Timeline,
    size: Size,
    all: &mut All,
) -> Result<()> {
    let Size { kind, mem, vcpus } = size;
    let config = Config {
        name: format!("grow-{}-{mem}-{vcpus}", kind.name()),
        kind,
        vcpus,
        max_vcpus: vcpus,
        mem,
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
                    mem,
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
