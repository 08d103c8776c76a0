//! `cargo lab demo`: the main job, live, for both word sizes.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::base::packages;
use crate::base::progress;
use crate::base::repo;
use crate::base::runs;
use crate::base::stop;
use crate::build::kernel::{self, Arch};
use crate::guest::standard;
use crate::host::machine::Machine;
use crate::host::qemu;
use crate::host::xen_build::{self, Xen};
use crate::life::{main_job, Action, Life, Step, Timeline};
use crate::report;

/// Runs it.
///
/// # Errors
/// If the lab cannot be set up. A guest that fails is in the table and in the exit status.
pub fn run(json: bool) -> Result<ExitCode> {
    packages::ensure(packages::LAB)?;
    kernel::ensure()?;
    let start = Instant::now();
    let run = runs::new("demo")?;
    // Both guests run on either Xen, where they can run at all: one machine that suits the choosier
    // one.
    let (accel, _) = qemu::accel();
    let needed = Arch::ALL.map(|arch| xen_build::needed_xen(arch, accel).0);
    let xen = if needed.contains(&Xen::Pv32) {
        Xen::Pv32
    } else {
        Xen::Debian12
    };
    // Without Xen's source there is still the 64-bit guest, on Debian's own build.
    let (machine, without) = match Machine::boot(&run, false, xen) {
        Err(why) if xen.is_built() && !stop::asked() => {
            eprintln!("The 32-bit guest cannot run: {why:#}");
            (
                Machine::boot(&run, false, Xen::Debian12)?,
                Some(format!("{why:#}")),
            )
        }
        other => (other?, None),
    };
    let timeline = Timeline::open(&run)?;
    let mut guests = Vec::new();
    for arch in Arch::ALL {
        let config = standard::pvh(arch);
        let name = config.name.clone();
        if let (Arch::I686, Some(why)) = (arch, &without) {
            let step = Step {
                step: "xl create".into(),
                findings: vec![format!("the Xen it needs could not be had: {why}")],
                ..Step::default()
            };
            guests.push((name, vec![step]));
            continue;
        }
        eprintln!(
            "{} as PVH: {} vCPUs, {} MiB, churn on every vCPU",
            repo::shown(&arch.elf(false)),
            config.vcpus,
            config.mem
        );
        let mut life = Life::new(
            &machine,
            &timeline,
            config,
            arch.elf(false),
            standard::LIMIT,
        )?;
        let steps = live(&mut life, &main_job())?;
        life.end()?;
        guests.push((name, steps));
    }
    let wanted = Arch::ALL.len() * main_job().len();
    finish(&run, &guests, wanted, start, json, "the main job failed")
}

/// The end of a demo: `summary.json`; on the terminal the same, or the table, the time since
/// `start` and the page of the report. It succeeded if all of the `wanted` steps were done and went
/// well; `failure` says that it did not.
///
/// # Errors
/// If the summary cannot be written.
pub fn finish(
    run: &Path,
    guests: &[(String, Vec<Step>)],
    wanted: usize,
    start: Instant,
    json: bool,
    failure: &str,
) -> Result<ExitCode> {
    let summary = serde_json::to_vec_pretty(guests)?;
    repo::write(&run.join("summary.json"), &summary)?;
    if json {
        println!("{}", String::from_utf8_lossy(&summary));
    } else {
        println!("\n{}", report::steps(guests));
        println!(
            "{} from power-on to the end; logs and timeline in {}",
            progress::seconds(start.elapsed()),
            repo::shown(run)
        );
        report::after_a_run();
    }
    let steps: Vec<&Step> = guests.iter().flat_map(|(_, steps)| steps).collect();
    Ok(if steps.len() == wanted && steps.iter().all(|s| s.ok()) {
        ExitCode::SUCCESS
    } else {
        eprintln!("xenlab: {failure}");
        ExitCode::FAILURE
    })
}

/// Does the actions with a line for each; stops after the first that fails.
///
/// # Errors
/// As [`Life::act`].
pub fn live(life: &mut Life<'_>, actions: &[Action]) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for action in actions {
        let step = life.act(action)?;
        let drained = if step.drained.is_empty() {
            String::new()
        } else {
            format!("; drained {}", step.drained)
        };
        eprintln!(
            "  {:>6.1} s  {:<28} {}{drained}",
            step.secs,
            step.step,
            if step.ok() {
                step.checked.clone()
            } else {
                format!("FAILED: {}", step.findings.join("; "))
            },
        );
        for line in &step.xen {
            eprintln!("            Xen: {line}");
        }
        let ok = step.ok();
        steps.push(step);
        if !ok {
            break;
        }
    }
    Ok(steps)
}
