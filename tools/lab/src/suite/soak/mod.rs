//! `cargo lab soak`: random lives of guests for as long as one likes, the same ones for the same
//! seed.

mod counts;
mod plan;
pub mod short;
mod variant;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{bail, Context, Result};

use crate::base::packages;
use crate::base::progress;
use crate::base::repo;
use crate::base::runs;
use crate::base::stop;
use crate::build::kernel;
use crate::guest::standard;
use crate::host::hypervisor::{self, EmulatorFault};
use crate::host::image;
use crate::host::machine::Machine;
use crate::host::xen_build::Xen;
use crate::life::{Action, Life, Timeline};
use counts::Counts;
use variant::Variant;

/// Options of `cargo lab soak`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How long; the list that runs then is ended
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// The same seed gives the same lists in the same order; without it one is drawn and printed
    #[arg(long)]
    seed: Option<u64>,
    /// Begin with this list of the seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Print the lists of the seed and run none
    #[arg(long)]
    list: bool,
    /// Only variants whose name contains this, e.g. x86_64-pvh or pv32
    #[arg(long, default_value = "")]
    only: String,
    /// Run this list once instead: what a failure printed; with --only
    #[arg(long, value_name = "WORDS", conflicts_with_all = ["seed", "list", "from"])]
    replay: Option<String>,
    /// One JSON object per list and one for the counts
    #[arg(long)]
    json: bool,
}

/// Actions between `create` and the end of a life.
const LENGTH: usize = 10;
/// Lists that a variant gets before the next one's turn: booting another Xen takes a while.
const TURN: u64 = 2;
/// Lists that `--list` prints.
const SHOWN: u64 = 24;
/// Runs that making a failing list shorter may take.
const TRIES: u32 = 12;

/// How a list ended.
enum End {
    Good,
    /// The index of the action, and what was found.
    Bad(usize, String),
    /// The time was over.
    Cut,
    /// The emulator broke the guest: nothing was seen of ours.
    Broken(EmulatorFault),
}

struct Soak {
    run: PathBuf,
    machine: Option<Machine>,
    machines: u32,
    counts: Counts,
    /// Off while a failing list is made shorter: those tries are not part of the soak.
    counting: bool,
}

impl Soak {
    /// The machine for this variant; booted if it is not the one that runs.
    fn machine(&mut self, xen: Xen) -> Result<&Machine> {
        if self
            .machine
            .as_ref()
            .is_some_and(|m| m.spec != xen.into() || m.check().is_err())
        {
            self.machine = None;
        }
        if self.machine.is_none() {
            self.machines += 1;
            let dir = self.run.join(format!("machine-{}", self.machines));
            repo::make_dir(&dir)?;
            self.machine = Some(Machine::boot(&dir, false, xen)?);
        }
        self.machine.as_ref().context("no machine")
    }

    fn list(&mut self, variant: Variant, actions: &[Action], end: Option<Instant>) -> Result<End> {
        // What was done counts however the list ends.
        let mut counts = Counts::default();
        let log = |soak: &Self| {
            let run = soak.machine.as_ref().map(|machine| machine.run.clone());
            run.map(|run| (hypervisor::length(&run), run))
        };
        let before = log(self);
        let mut result = self.live(variant, actions, end, &mut counts);
        if let Some((_, run)) = log(self) {
            let since = before
                .filter(|(_, old)| *old == run)
                .map_or(0, |(length, _)| length);
            if let Some(fault) = hypervisor::emulator_fault_since(&run, since) {
                self.machine = None;
                result = Ok(End::Broken(fault));
            }
        }
        if self.counting {
            self.counts.add(&counts);
        }
        if matches!(result, Err(_) | Ok(End::Bad(..))) {
            // What failed may have left anything behind.
            self.machine = None;
        }
        result
    }

    fn live(
        &mut self,
        variant: Variant,
        actions: &[Action],
        end: Option<Instant>,
        counts: &mut Counts,
    ) -> Result<End> {
        let machine = self.machine(variant.xen)?;
        let timeline = Timeline::open(&machine.run)?;
        let elf = variant.arch.elf(false);
        let mut life = Life::new(machine, &timeline, variant.config(), elf, standard::LIMIT)?;
        let mut ended = Ok(End::Good);
        for (n, action) in actions.iter().enumerate() {
            if end.is_some_and(|end| Instant::now() >= end) {
                ended = Ok(End::Cut);
                break;
            }
            match life.act(action) {
                Ok(step) if step.ok() => counts.acted(action),
                Ok(step) => {
                    ended = Ok(End::Bad(n, step.findings.join("; ")));
                    break;
                }
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
        }
        counts.heard(&life.events());
        if matches!(ended, Ok(End::Good | End::Cut)) {
            life.end()?;
        }
        ended
    }

    /// A failing list is cut after its failing action and made shorter while it still fails.
    fn explain(&mut self, variant: Variant, actions: &[Action], at: usize) -> Result<()> {
        println!("  making it shorter; a try that fails boots a new machine");
        self.counting = false;
        let failing = self.shorter(variant, actions[..=at].to_vec());
        self.counting = true;
        println!(
            "  replay: cargo lab soak --only {} --replay '{}'",
            variant.name(),
            words::words(&failing?)
        );
        Ok(())
    }

    fn shorter(&mut self, variant: Variant, mut failing: Vec<Action>) -> Result<Vec<Action>> {
        let again = matches!(self.list(variant, &failing, None)?, End::Bad(..));
        if again {
            failing = plan::shrink(variant.start(), failing, TRIES, |fewer| {
                let bad = matches!(self.list(variant, fewer, None)?, End::Bad(..));
                let word = if bad { "fails" } else { "holds" };
                println!("  {word}: {}", words::words(fewer));
                anyhow::Ok(bad)
            })?;
        } else {
            println!("  the same list did not fail again");
        }
        Ok(failing)
    }
}

/// List number `n` of a seed, which depends on nothing else.
fn nth(seed: u64, n: u64, variants: &[Variant]) -> (Variant, Vec<Action>) {
    let variant = variants[(n / TURN) as usize % variants.len()];
    // Neighbouring numbers must not give neighbouring states: the constant is 2^64 over the golden
    // ratio.
    let mut random = fastrand::Rng::with_seed(seed ^ (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (variant, plan::life(&mut random, variant.start(), LENGTH))
}

/// Runs it.
///
/// # Errors
/// If the lab cannot be set up. A guest that fails is counted and in the exit status.
pub fn run(args: &Args) -> Result<ExitCode> {
    let variants: Vec<Variant> = Variant::all()
        .into_iter()
        .filter(|variant| variant.name().contains(&args.only))
        .collect();
    if variants.is_empty() {
        let names: Vec<String> = Variant::all().into_iter().map(Variant::name).collect();
        bail!(
            "no variant's name contains \"{}\": {}",
            args.only,
            names.join(", ")
        );
    }
    let clock = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs())
    };
    let seed = args.seed.unwrap_or_else(clock);
    if args.list {
        for n in args.from..args.from + SHOWN {
            let (variant, actions) = nth(seed, n, &variants);
            println!("{n:>3} {:<22} {}", variant.name(), words::words(&actions));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let replay = args.replay.as_deref().map(parse).transpose()?;
    packages::ensure(packages::LAB)?;
    kernel::ensure()?;
    let mut soak = Soak {
        run: runs::new("soak")?,
        machine: None,
        machines: 0,
        counts: Counts::default(),
        counting: true,
    };
    let start = Instant::now();
    let result = match replay {
        Some(actions) => once(&mut soak, variants[0], &actions),
        None => {
            println!("seed {seed}; logs in {}", repo::shown(&soak.run));
            let end = start + Duration::from_secs(args.minutes.saturating_mul(60));
            many(args, &mut soak, seed, &variants, end)
        }
    };
    soak.machine = None;
    soak.counts.minutes = start.elapsed().as_secs_f64() / 60.0;
    // Also after Ctrl-C or a machine that is gone: what was done was done.
    summary(args, &soak.run, &soak.counts)?;
    result?;
    Ok(if soak.counts.failed == 0 && soak.counts.mismatches == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn summary(args: &Args, run: &Path, counts: &Counts) -> Result<()> {
    repo::write(
        &run.join("summary.json"),
        &serde_json::to_vec_pretty(counts)?,
    )?;
    if args.json {
        println!("{}", serde_json::to_string(counts)?);
    } else {
        println!("{}", counts.text());
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Action>> {
    text.split_whitespace()
        .map(|word| {
            words::action(word).with_context(|| format!("\"{word}\" is no action of a soak"))
        })
        .collect()
}

fn once(soak: &mut Soak, variant: Variant, actions: &[Action]) -> Result<()> {
    if !plan::is_legal(variant.start(), actions) {
        bail!("{} cannot do these actions in this order", variant.name());
    }
    println!("{}: {}", variant.name(), words::words(actions));
    soak.counts.lists += 1;
    match soak.list(variant, actions, None)? {
        End::Good | End::Cut => {}
        End::Bad(at, why) => {
            soak.counts.failed += 1;
            println!("FAILED at {}: {why}", actions[at].name());
        }
        End::Broken(fault) => {
            soak.counts.broken += 1;
            println!("says nothing: {fault}");
        }
    }
    Ok(())
}

fn many(args: &Args, soak: &mut Soak, seed: u64, variants: &[Variant], end: Instant) -> Result<()> {
    for n in args.from.. {
        if Instant::now() >= end {
            break;
        }
        let (variant, actions) = nth(seed, n, variants);
        println!("[{n}] {}: {}", variant.name(), words::words(&actions));
        if variant.xen.is_built() {
            let image = image::ensure(variant.xen.release())?;
            if let Err(why) = variant.xen.hypervisor(&image) {
                stop::check()?;
                println!("  skipped: the Xen it needs could not be had: {why:#}");
                soak.counts.skipped += 1;
                if variants.iter().all(|v| v.xen.is_built()) {
                    bail!("no variant can run");
                }
                continue;
            }
        }
        let began = Instant::now();
        soak.counts.lists += 1;
        let ended = match soak.list(variant, &actions, Some(end)) {
            Err(error) if !stop::asked() => {
                soak.counts.failed += 1;
                println!("  FAILED: {error:#}");
                continue;
            }
            other => other?,
        };
        let took = progress::seconds(began.elapsed());
        if args.json {
            let good = !matches!(ended, End::Bad(..));
            println!(
                "{}",
                serde_json::json!({"list": n, "variant": variant.name(), "ok": good,
                    "secs": began.elapsed().as_secs_f64(), "actions": words::words(&actions)})
            );
        }
        match ended {
            End::Good => println!("  ok, {took}"),
            End::Cut => println!("  ended with the time, {took}"),
            End::Broken(fault) => {
                soak.counts.broken += 1;
                println!("  says nothing: {fault}");
            }
            End::Bad(at, why) => {
                soak.counts.failed += 1;
                println!("  FAILED at {}: {why}", actions[at].name());
                println!("  again: cargo lab soak --seed {seed} --from {n}");
                let kept = soak.run.join(format!("machine-{}", soak.machines));
                println!("  logs: {}", repo::shown(&kept));
                if Instant::now() < end {
                    soak.explain(variant, &actions, at)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::event::{parse, Event, Line};

    #[test]
    fn a_list_of_a_seed_is_legal_and_depends_on_its_number_only() {
        let variants = Variant::all();
        for n in 0..40 {
            let (variant, actions) = nth(7, n, &variants);
            assert!(plan::is_legal(variant.start(), &actions));
            assert_eq!(nth(7, n, &variants), (variant, actions.clone()));
            let words = words::words(&actions);
            assert_eq!(super::parse(&words).unwrap(), actions);
        }
        assert_ne!(nth(7, 0, &variants).1, nth(8, 0, &variants).1);
    }

    #[test]
    fn what_was_heard_is_counted() {
        let events: Vec<Event> = [
            r#"{"v":1,"t":1,"cpu":0,"ev":"churn","checks":5}"#,
            r#"{"v":1,"t":2,"cpu":0,"ev":"churn","checks":9}"#,
            r#"{"v":1,"t":2,"cpu":0,"ev":"suspend","phase":"detached"}"#,
            r#"{"v":1,"t":2,"cpu":0,"ev":"suspend","phase":"drained"}"#,
            r#"{"v":1,"t":2,"cpu":0,"ev":"drain","sets":6}"#,
            r#"{"v":1,"t":3,"cpu":0,"ev":"verify","spaces":3,"checks":4,"mismatches":1,"online":[0,1]}"#,
            r#"{"v":1,"t":3,"cpu":0,"ev":"mismatch"}"#,
            r#"{"v":1,"t":3,"cpu":0,"ev":"cpu-down","vcpu":1}"#,
            r#"{"v":1,"t":3,"cpu":0,"ev":"cpu-up","vcpu":1,"why":"hotplug"}"#,
            r#"{"v":1,"t":3,"cpu":0,"ev":"cpu-up","vcpu":1,"why":"boot"}"#,
        ]
        .into_iter()
        .map(|json| match parse(format!("@{json}").as_bytes()) {
            Line::Event(event) => event,
            other => panic!("{other:?}"),
        })
        .collect();
        let mut counts = Counts::default();
        counts.heard(&events);
        assert_eq!(
            (
                counts.pattern_checks,
                counts.address_spaces_checked,
                counts.mismatches
            ),
            (13, 6, 2)
        );
        assert_eq!(
            (counts.suspends, counts.hotplugs, counts.sets_drained),
            (1, 2, 6)
        );
    }
}
