//! One test on the worker's machine, which is booted if there is none of its kind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::base::outcome::Outcome;
use crate::base::repo;
use crate::base::stop;
use crate::build::{self, kernel};
use crate::guest::config::{Config, Kind};
use crate::host::detached::UpState;
use crate::host::image;
use crate::host::machine::{Machine, Spec};
use crate::host::network::Host;
use crate::host::pair;
use crate::life::{Life, Step, Timeline};
use crate::suite::args::Args;
use crate::suite::scenarios::test::{judge, LabTest, Other};
use crate::suite::{agreement, c_guest, differential, minimal};

/// Runs one lab test on the worker's machine. What the guest says and what is done to it goes to
/// `log`, a folder.
///
/// # Errors
/// If the machine cannot be had or is lost.
pub fn run(
    args: &Args,
    test: &LabTest,
    run: &Path,
    log: &Path,
    machine: &mut Option<Machine>,
) -> Result<Outcome> {
    let xen = args.xen.unwrap_or(test.xen);
    if xen != test.xen && (test.fixed || test.peer.is_some()) {
        return Ok(Outcome::Skipped(format!(
            "it is about Xen {}",
            test.xen.name()
        )));
    }
    let spec = Spec {
        xen,
        hardware: test.hardware,
    };
    // Also when no test of the build was asked for: yesterday's kernels would be tested.
    match test.other {
        Some(Other::Differential | Other::Agreement) => kernel::ensure()?,
        Some(Other::Minimal) => drop(kernel::ensure_minimal()?),
        Some(Other::InC | Other::InCUndrained) => drop(build::c_guest::ensure()?),
        None => kernel::ensure_one(test.arch, test.switches)?,
    }
    let fits = |m: &Machine| {
        let peer = m.peer.as_ref().map(|peer| peer.spec);
        (m.spec, peer) == (spec, test.peer) && m.check().is_ok()
    };
    if !machine.as_ref().is_some_and(fits) {
        *machine = None;
        match boot(args, test, spec, run)? {
            Ok(booted) => *machine = Some(booted),
            Err(skipped) => return Ok(skipped),
        }
    }
    let machine = machine.as_ref().context("no machine")?;
    match test.other {
        Some(Other::Differential) => differential::run(machine, test.arch),
        Some(Other::Agreement) => agreement::run(machine),
        Some(Other::Minimal) => minimal::run(machine, test.limit),
        Some(Other::InC) => c_guest::run(machine, test.limit),
        Some(Other::InCUndrained) => c_guest::run_undrained(machine, test.limit),
        None => live(args, test, machine, log),
    }
}

/// The machine that a test needs, or why it is skipped.
fn boot(
    args: &Args,
    test: &LabTest,
    spec: Spec,
    run: &Path,
) -> Result<std::result::Result<Machine, Outcome>> {
    let xen = spec.xen;
    let running = match test.peer {
        None => UpState::load(xen),
        Some(_) => Host::ALL.into_iter().find_map(UpState::load_host),
    };
    if args.keep && running.is_some() {
        bail!("a detached machine is running already: cargo lab down");
    }
    if let Err(why) = image::ensure(xen.release()).and_then(|image| xen.hypervisor(&image)) {
        stop::check()?;
        if xen.is_optional() {
            return Ok(Err(Outcome::Skipped(format!(
                "the Xen or dom0 it needs could not be had: {why:#}"
            ))));
        }
        return Err(why);
    }
    let folder = fresh(run)?;
    let machine = match test.peer {
        None => Machine::boot(&folder, args.keep, spec)?,
        Some(peer) => pair::boot(&folder, args.keep, [spec, peer])?,
    };
    Ok(Ok(machine))
}

/// The same guest with more reports of its churn: after each step the lab waits for two of them.
/// Not with shadow paging on an emulated machine: there vCPU 0 may take longer than that for one
/// pass through its loop, and would do nothing but report.
fn reporting_often(config: &Config) -> Config {
    let mut config = config.clone();
    let is_slow = config.kind == Kind::Pvh && !config.hap;
    if !is_slow && !config.cmdline.contains("churn=off") {
        config.cmdline.push_str(" report=400");
    }
    config
}

/// A guest's life, up to the first thing that is found.
fn live(args: &Args, test: &LabTest, machine: &Machine, log: &Path) -> Result<Outcome> {
    repo::make_dir(log)?;
    let timeline = Timeline::open(log)?;
    let mut life = Life::new(
        machine,
        &timeline,
        reporting_often(&test.config),
        test.elf(),
        test.limit,
    )?;
    let mut steps = Vec::new();
    for (n, action) in test.actions.iter().enumerate() {
        if let (Some(limit), true) = (test.last_limit, n + 1 == test.actions.len()) {
            life.set_limit(limit.max(first_took(&steps) * 3));
        }
        let step = life.act(action)?;
        let ok = step.ok();
        println!(
            "        {:>6.1} s  {:<34} {}",
            step.secs,
            step.step,
            match (ok, test.is_control()) {
                (true, true) => format!("ok {}", step.checked),
                (true, false) => "ok".to_owned(),
                (false, _) => "finding".to_owned(),
            }
        );
        steps.push(step);
        if !ok {
            break;
        }
    }
    repo::write(&log.join("steps.json"), &serde_json::to_vec_pretty(&steps)?)?;
    for line in steps.iter().flat_map(|step| &step.xen) {
        println!("        Xen: {line}");
    }
    let outcome = judge(&steps, test.actions.len(), test.expect);
    if !matches!(outcome, Outcome::Failed(_)) || !args.keep {
        life.end()?;
    }
    Ok(outcome)
}

/// How long the guest took to boot and to be at work: how quick the machine is now. Silence says
/// something only if it lasts longer than an answer would have taken.
fn first_took(steps: &[Step]) -> Duration {
    let first = steps.first();
    first.map_or(Duration::ZERO, |step| Duration::from_secs_f64(step.secs))
}

/// A folder below the run's for one machine.
fn fresh(run: &Path) -> Result<PathBuf> {
    for n in 1..1000 {
        let dir = run.join(format!("machine-{n}"));
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).context("cannot make the machine's folder"),
        }
    }
    bail!("a thousand machines in one run")
}
