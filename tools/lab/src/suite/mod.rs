//! `cargo lab test`: every test, on the host and in the lab.

pub mod agreement;
pub mod differential;
mod layers;
pub mod scenarios;
pub mod soak;
#[cfg(test)]
mod vectors;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use serde::Serialize;

use crate::base::child;
use crate::base::outcome::Outcome;
use crate::base::packages;
use crate::base::progress;
use crate::base::repo;
use crate::base::runs;
use crate::base::stop;
use crate::build::bindings;
use crate::build::kernel;
use crate::host::detached::UpState;
use crate::host::hypervisor;
use crate::host::machine::{Machine, Spec};
use crate::host::network::Host;
use crate::host::pair;
use crate::host::xen_build::Xen;
use crate::life::{Life, Timeline};
use crate::report;
use scenarios::test::{judge, LabTest, Other};
use scenarios::two_hosts;

/// Options of `cargo lab test`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only tests whose name contains this; those called long/NAME run only if it is NAME or begins
    /// with "long"
    filter: Option<String>,
    /// Runs the lab tests on this hypervisor instead of the one each needs
    #[arg(long)]
    xen: Option<Xen>,
    /// Name the tests and run none
    #[arg(long)]
    list: bool,
    /// Tests at the same time, each with its own machine if it needs one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: u8,
    /// Stop at the first lab test that fails and leave its machine running
    #[arg(long)]
    keep: bool,
    /// One JSON object per test and one for the sums
    #[arg(long)]
    json: bool,
}

/// How often a lab test is run again because the emulator broke its guest, as Xen's log shows
/// ([`hypervisor::EmulatorFault`]). Nothing else is ever tried twice.
const AGAIN: usize = 2;

/// What a test on the host may take, its build on a busy machine included. The longest takes a
/// minute or two.
const HOST_LIMIT: Duration = Duration::from_secs(600);

/// A test on the host; gets a file for its output.
type HostTest = fn(&Path) -> Result<Outcome>;

enum What {
    /// Runs on the host.
    Host(HostTest),
    /// A shell command of a crate's list of proofs.
    Proof(String),
    /// Runs on Xen.
    Lab(Box<LabTest>),
}

struct Test {
    name: String,
    what: What,
}

impl Test {
    fn kind(&self) -> &'static str {
        match self.what {
            What::Lab(_) if two_hosts::is_long(&self.name) => "long",
            What::Lab(_) => "lab",
            _ => "host",
        }
    }
}

/// All tests, in the order in which they run: what is quick and what the others need comes first.
fn all() -> Result<Vec<Test>> {
    let host: [(&str, HostTest); 16] = [
        ("host/fmt", |log| cargo(log, "fmt --all -- --check", &[])),
        ("host/fmt-guest-kernel", |log| {
            cargo(
                log,
                "fmt --manifest-path guest-kernel/Cargo.toml -- --check",
                &[],
            )
        }),
        ("host/bindings-current", |_| {
            packages::ensure(packages::BINDINGS)?;
            Ok(match bindings::run(&repo::root(), true) {
                Ok(()) => Outcome::Passed("both files are what Xen's headers give".into()),
                Err(why) => Outcome::Failed(why),
            })
        }),
        ("host/kernel-build", |_| {
            Ok(Outcome::Passed(kernel::build()?.join("; ")))
        }),
        ("host/clippy", |log| {
            cargo(
                log,
                "clippy --workspace --all-targets --locked -- -D warnings",
                &[],
            )
        }),
        ("host/clippy-guest-kernel", |log| {
            let (clean, said) = kernel::clippy()?;
            repo::write(log, said.as_bytes())?;
            Ok(if clean {
                Outcome::Passed("both word sizes, with and without switches".into())
            } else {
                Outcome::Failed(format!("clippy warns, see {}", repo::shown(log)))
            })
        }),
        ("host/layers", |_| layers::check()),
        ("host/doc", |log| {
            cargo(
                log,
                "doc --workspace --no-deps --locked",
                &[("RUSTDOCFLAGS", "-D warnings")],
            )
        }),
        ("host/unit-pagetable-pool", |log| {
            cargo(log, "test --locked -p pagetable-pool", &[])
        }),
        ("host/unit-migration", |log| {
            cargo(log, "test --locked -p xen-guest-migration", &[])
        }),
        ("host/unit-xen-bindings", |log| {
            cargo(log, "test --locked -p xen-bindings", &[])
        }),
        ("host/unit-tools", |log| {
            let packages = "test --locked -p tools -p savelint -p page-types";
            cargo(log, packages, &[])
        }),
        ("host/packaging", |log| {
            cargo(log, "test --locked -p packaging", &[])
        }),
        ("host/report-in-a-browser", report::browser_check),
        ("host/copied-checkout", copied_checkout),
        ("host/interrupt", interrupt),
    ];
    let mut tests: Vec<Test> = host
        .into_iter()
        .map(|(name, run)| Test {
            name: name.to_owned(),
            what: What::Host(run),
        })
        .collect();
    for krate in ["pagetable-pool", "migration"] {
        let list = repo::root().join(krate).join("proofs.md");
        let text = std::fs::read_to_string(&list)
            .with_context(|| format!("cannot read {}", repo::shown(&list)))?;
        for (n, command) in proofs(&text).into_iter().enumerate() {
            tests.push(Test {
                name: format!("host/proof-{krate}-{:02} {command}", n + 1),
                what: What::Proof(command),
            });
        }
    }
    tests.extend(scenarios::all().into_iter().map(|test| Test {
        name: test.name.clone(),
        what: What::Lab(Box::new(test)),
    }));
    // Last: where a list written by hand fails, it says more than a random one.
    tests.push(Test {
        name: "soak".to_owned(),
        what: What::Host(soak::short::run),
    });
    Ok(tests)
}

/// The commands in a list of proofs: the lines of its `sh` blocks.
fn proofs(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            inside = !inside && matches!(line, "```sh" | "```bash" | "```console");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            commands.push(line.trim_start_matches("$ ").to_owned());
        }
    }
    commands
}

fn cargo(log: &Path, arguments: &str, env: &[(&str, &str)]) -> Result<Outcome> {
    let mut command = behind("cargo");
    command.args(arguments.split(' ')).envs(env.iter().copied());
    let tool = arguments.split(' ').next().unwrap_or_default();
    if ["fmt", "clippy"].contains(&tool) {
        let mut version = Command::new("cargo");
        version.args([tool, "--version"]);
        if !child::run(version, b"", Duration::from_secs(60))?.ok() {
            return Ok(Outcome::Skipped(format!(
                "this toolchain has no cargo {tool}"
            )));
        }
    }
    finish(log, command)
}

/// A command that gives way to the machines of the lab tests.
fn behind(program: &str) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "10", program]);
    command
}

/// Runs a command in the repository's root, its output in `log`. One that hangs fails, and what it
/// said last is told.
fn finish(log: &Path, mut command: Command) -> Result<Outcome> {
    command
        .current_dir(repo::root())
        .env("CARGO_TERM_COLOR", "never");
    let ended = child::run_into(command, log, HOST_LIMIT);
    stop::check()?;
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let how = match ended {
        Ok(status) if status.success() => return Ok(Outcome::Passed(count(&text))),
        Ok(status) => format!("exit status {}", child::code(status)),
        Err(error) => format!("{error:#}"),
    };
    Ok(Outcome::Failed(format!(
        "{how}, see {}{}",
        repo::shown(log),
        child::last_lines(&text)
    )))
}

/// The sum of cargo's own counts, if it ran tests.
fn count(text: &str) -> String {
    let passed: u64 = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("test result: ok. ")?
                .split(' ')
                .next()?
                .parse::<u64>()
                .ok()
        })
        .sum();
    match passed {
        0 => String::new(),
        n => format!("{n} tests"),
    }
}

/// This very program, started in a copy of the tree that has one proof more: it must see that one.
fn copied_checkout(log: &Path) -> Result<Outcome> {
    const PROOF: &str = "true a proof of the copy's own";
    let copy = tempfile::tempdir().context("cannot make a folder for the copy")?;
    for file in repo::MARKS
        .into_iter()
        .chain(["pagetable-pool/proofs.md", "migration/proofs.md"])
    {
        let mut bytes = std::fs::read(repo::root().join(file))
            .with_context(|| format!("cannot read {file}"))?;
        if file == "migration/proofs.md" {
            bytes.extend(format!("\n```sh\n{PROOF}\n```\n").bytes());
        }
        let to = copy.path().join(file);
        repo::make_dir(to.parent().context("a file has a folder")?)?;
        repo::write(&to, &bytes)?;
    }
    let below = copy.path().join("guest-kernel");
    for folder in [copy.path(), &below] {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["test", "--list"]).current_dir(folder);
        let said = child::run(command, b"", Duration::from_secs(60))?
            .success("the list of tests in the copy")?;
        repo::write(log, said.as_bytes())?;
        if !said.contains(PROOF) {
            return Ok(Outcome::Failed(format!(
                "in {} it does not see that tree's tests",
                folder.display()
            )));
        }
    }
    Ok(Outcome::Passed(
        "the tree it is run in is the one it acts on".into(),
    ))
}

/// Interrupts ourselves while a machine runs: nothing may stay behind and the exit status says so.
fn interrupt(log: &Path) -> Result<Outcome> {
    use nix::sys::signal::{kill, Signal};
    packages::ensure(packages::LAB)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["up", "--hold"])
        .stdin(std::process::Stdio::null())
        .stdout(std::fs::File::create(log)?)
        .stderr(std::process::Stdio::null());
    let mut running = child::Guarded::spawn(command)?;
    let ours = stop::wait_for(
        "a machine of the interrupted run",
        Duration::from_secs(300),
        || {
            if running.ended()?.is_some() {
                bail!("it ended before it was interrupted");
            }
            Ok(machines_of(running.child().id()).first().copied())
        },
    )?;
    kill(
        nix::unistd::Pid::from_raw(running.child().id() as i32),
        Signal::SIGINT,
    )?;
    let status = stop::wait_for("the end of it", Duration::from_secs(60), || running.ended())?;
    if std::fs::read(format!("/proc/{ours}/cmdline")).is_ok_and(|line| line.starts_with(b"qemu")) {
        return Ok(Outcome::Failed(format!(
            "QEMU (process {ours}) is still there"
        )));
    }
    Ok(match child::code(status) {
        stop::EXIT_INTERRUPTED => Outcome::Passed("no process left, exit status 130".into()),
        other => Outcome::Failed(format!("exit status {other}")),
    })
}

/// The process ids of the machines that a process has started itself.
fn machines_of(parent: u32) -> Vec<u32> {
    let children = format!("/proc/{parent}/task");
    let tasks = std::fs::read_dir(children).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.starts_with(b"qemu-system"))
        })
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

#[derive(Serialize)]
struct Done {
    test: String,
    secs: f64,
    run: String,
    /// What the test left, below the run's folder: a host test's log, a lab test's folder.
    log: String,
    #[serde(flatten)]
    outcome: Outcome,
}

/// Tests in the order they were given, and those that another worker does beside them: a machine
/// leaves a processor idle most of the time. With no lab tests there is nothing beside which to run.
fn split(tests: VecDeque<Test>) -> (VecDeque<Test>, VecDeque<Test>) {
    /// What the lab tests need, and what is over at once.
    const FIRST: [&str; 4] = [
        "host/fmt",
        "host/fmt-guest-kernel",
        "host/bindings-current",
        "host/kernel-build",
    ];
    if !tests.iter().any(|test| matches!(test.what, What::Lab(_))) {
        return (tests, VecDeque::new());
    }
    tests.into_iter().partition(|test| {
        // The soak has machines of its own, and comes last.
        let host = test.name.starts_with("host/");
        !host || FIRST.contains(&test.name.as_str())
    })
}

/// Runs the tests.
///
/// # Errors
/// If no test has such a name, we are interrupted, or the disk is full.
pub fn run(args: &Args) -> Result<ExitCode> {
    let filter = args.filter.clone().unwrap_or_default();
    let tests: VecDeque<Test> = all()?
        .into_iter()
        .filter(|t| t.name.contains(&filter))
        // A list shows them all.
        .filter(|t| args.list || two_hosts::asks_for(&filter, &t.name))
        .collect();
    if tests.is_empty() {
        bail!("no test's name contains \"{filter}\": cargo lab test --list names them");
    }
    if args.list {
        for test in &tests {
            if args.json {
                println!(
                    "{}",
                    serde_json::json!({"test": test.name, "kind": test.kind()})
                );
            } else {
                println!("{:<5} {}", test.kind(), test.name);
            }
        }
        if !args.json && tests.iter().any(|t| t.kind() == "long") {
            println!("Those of kind long are left out unless asked for: cargo lab test long");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.keep && args.jobs > 1 {
        bail!("--keep and --jobs do not go together");
    }
    let total = tests.len();
    if tests.iter().any(|t| matches!(t.what, What::Lab(_))) {
        packages::ensure(packages::LAB)?;
    }
    let run = runs::new("test")?;
    println!("{total} tests; logs in {}", repo::shown(&run));
    let (first, beside) = if args.jobs == 1 && !args.keep {
        split(tests)
    } else {
        (tests, VecDeque::new())
    };
    let queue = Mutex::new(first);
    let beside = Mutex::new(beside);
    let begun = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let broken_runs = Mutex::new(Vec::new());
    let start = Instant::now();
    std::thread::scope(|scope| {
        // Each worker starts its machines itself and lives as long as they do (see child::Guarded).
        let (begun, done, broken_runs, run) = (&begun, &done, &broken_runs, &run);
        let work = |queue| move || worker(args, run, queue, done, broken_runs, (begun, total));
        let workers: Vec<_> = std::iter::once(&beside)
            .chain((0..args.jobs).map(|_| &queue))
            .map(|queue| scope.spawn(work(queue)))
            .collect();
        workers
            .into_iter()
            .try_for_each(|w| w.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })?;
    let done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    repo::write(
        &run.join("summary.json"),
        &serde_json::to_vec_pretty(&done)?,
    )?;
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for one in &done {
        match &one.outcome {
            Outcome::Passed(_) => passed += 1,
            Outcome::Failed(why) => {
                failed += 1;
                println!(
                    "FAILED  {}: {why}\n        logs: {} and {}/{}",
                    one.test,
                    one.run,
                    repo::shown(&run),
                    one.log
                );
            }
            Outcome::Skipped(why) => {
                skipped += 1;
                println!("skipped {}: {why}", one.test);
            }
        }
    }
    let broken_runs = broken_runs
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for one in &broken_runs {
        println!("run again  {one}");
    }
    let spent = |host: bool| {
        let mine = done
            .iter()
            .filter(|one| one.test.starts_with("host/") == host);
        progress::seconds(Duration::from_secs_f64(mine.map(|one| one.secs).sum()))
    };
    println!(
        "{} in all; host tests {}, lab tests {} with their machines",
        progress::seconds(start.elapsed()),
        spent(true),
        spent(false)
    );
    if args.json {
        println!(
            "{}",
            serde_json::json!({"passed": passed, "failed": failed, "skipped": skipped,
                "run_again": broken_runs.len()})
        );
    }
    if !broken_runs.is_empty() {
        println!(
            "{} runs broken by the emulator and repeated",
            broken_runs.len()
        );
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn worker(
    args: &Args,
    run: &Path,
    queue: &Mutex<VecDeque<Test>>,
    done: &Mutex<Vec<Done>>,
    broken_runs: &Mutex<Vec<String>>,
    (begun, total): (&AtomicUsize, usize),
) -> Result<()> {
    fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        mutex
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
    let mut machine: Option<Machine> = None;
    // The test that is run again, and how often the emulator has broken it.
    let mut again: Option<(Test, usize)> = None;
    loop {
        let next = again.take().or_else(|| Some((lock(queue).pop_front()?, 0)));
        let Some((test, broken)) = next else {
            break;
        };
        let number = match broken {
            0 => begun.fetch_add(1, Ordering::Relaxed) + 1,
            _ => begun.load(Ordering::Relaxed),
        };
        println!("[{number}/{total}] {} ...", test.name);
        let start = Instant::now();
        let mut folder = repo::shown(run);
        let name = test.name.split(' ').next().unwrap_or_default();
        let mut log = name.replace('/', "-");
        if broken > 0 {
            log.push_str(&format!("-again-{broken}"));
        }
        if !matches!(test.what, What::Lab(_)) {
            log.push_str(".log");
        }
        let since = machine.as_ref().map_or(0, |m| hypervisor::length(&m.run));
        let result = match &test.what {
            What::Host(host) => host(&run.join(&log)),
            What::Proof(command) => {
                let mut bash = behind("bash");
                bash.args(["-c", command]);
                finish(&run.join(&log), bash)
            }
            What::Lab(lab) => {
                let result = in_lab(args, lab, run, &run.join(&log), &mut machine);
                if let Some(machine) = &machine {
                    folder = repo::shown(&machine.run);
                }
                result
            }
        };
        stop::check()?;
        let fault = match &test.what {
            What::Lab(_) => machine
                .as_ref()
                .and_then(|m| hypervisor::emulator_fault_since(&m.run, since)),
            _ => None,
        };
        if let (Some(fault), true) = (fault, broken < AGAIN && !args.keep) {
            // Also if the test passed: a control expects a failure, and this would be the wrong
            // one.
            println!(
                "[{number}/{total}] {}: {fault}; this run of it says nothing, it is run again on a new machine",
                test.name
            );
            lock(broken_runs).push(format!("{}: {fault}; logs: {folder}", test.name));
            machine = None;
            again = Some((test, broken + 1));
            continue;
        }
        let outcome = result.unwrap_or_else(|error| {
            // Whatever broke, it is not to be the next test's trouble.
            machine = None;
            Outcome::Failed(format!("{error:#}"))
        });
        let secs = start.elapsed().as_secs_f64();
        let (word, why) = match &outcome {
            Outcome::Passed(why) => ("ok", why),
            Outcome::Failed(why) => ("FAILED", why),
            Outcome::Skipped(why) => ("skipped", why),
        };
        let failed = word == "FAILED";
        println!("[{number}/{total}] {} {word}, {secs:.1} s {why}", test.name);
        let one = Done {
            test: test.name.clone(),
            secs,
            run: folder,
            log,
            outcome,
        };
        if args.json {
            println!("{}", serde_json::to_string(&one)?);
        }
        lock(done).push(one);
        if failed && matches!(test.what, What::Lab(_)) {
            if args.keep {
                lock(queue).clear();
                println!(
                    "the machine is left running: cargo lab exec --xen {}; cargo lab down",
                    word_of(args, &test)
                );
                return Ok(());
            }
            // A guest that failed may have left anything behind: the next test gets a fresh
            // machine.
            machine = None;
        }
    }
    if args.keep {
        let states = match &machine {
            Some(m) if m.peer.is_some() => Host::ALL.map(UpState::load_host).to_vec(),
            Some(m) => vec![UpState::load(m.spec.xen)],
            None => Vec::new(),
        };
        states.iter().flatten().for_each(UpState::stop);
    }
    Ok(())
}

fn word_of(args: &Args, test: &Test) -> &'static str {
    match &test.what {
        What::Lab(lab) => args.xen.unwrap_or(lab.xen).name(),
        _ => Xen::Debian12.name(),
    }
}

/// Runs one lab test on the worker's machine, booting it first if there is none of its kind. What
/// the guest says and what is done to it goes to `log`, a folder.
fn in_lab(
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
    if machine.as_ref().is_some_and(|m| {
        let peer = m.peer.as_ref().map(|peer| peer.spec);
        (m.spec, peer) != (spec, test.peer) || m.check().is_err()
    }) {
        *machine = None;
    }
    if machine.is_none() {
        let running = match test.peer {
            None => UpState::load(xen),
            Some(_) => Host::ALL.into_iter().find_map(UpState::load_host),
        };
        if args.keep && running.is_some() {
            bail!("a detached machine is running already: cargo lab down");
        }
        if let Err(why) =
            crate::host::image::ensure(xen.release()).and_then(|image| xen.hypervisor(&image))
        {
            stop::check()?;
            if xen.is_optional() {
                return Ok(Outcome::Skipped(format!(
                    "the Xen or dom0 it needs could not be had: {why:#}"
                )));
            }
            return Err(why);
        }
        // Also when no test of the build was asked for: yesterday's kernels would be tested.
        kernel::ensure()?;
        *machine = Some(match test.peer {
            None => Machine::boot(&fresh(run)?, args.keep, spec)?,
            Some(peer) => pair::boot(&fresh(run)?, args.keep, [spec, peer])?,
        });
    }
    let machine = machine.as_ref().context("no machine")?;
    if test.other == Some(Other::Differential) {
        return differential::run(machine, test.arch);
    }
    if test.other == Some(Other::Agreement) {
        return agreement::run(machine);
    }
    repo::make_dir(log)?;
    let timeline = Timeline::open(log)?;
    let mut life = Life::new(
        machine,
        &timeline,
        test.config.clone(),
        test.elf(),
        test.limit,
    )?;
    let mut steps = Vec::new();
    for (n, action) in test.actions.iter().enumerate() {
        if let (Some(limit), true) = (test.last_limit, n + 1 == test.actions.len()) {
            life.set_limit(limit);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_are_the_lines_of_sh_blocks() {
        let text =
            "x\n```sh\n# why\ncargo a\n$ cargo b\n```\n```rust\nlet x;\n```\n```sh\ncargo c\n```\n";
        assert_eq!(proofs(text), ["cargo a", "cargo b", "cargo c"]);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = all().unwrap().into_iter().map(|t| t.name).collect();
        names.sort();
        let many = names.len();
        names.dedup();
        assert_eq!(names.len(), many);
    }

    #[test]
    fn host_tests_run_beside_lab_tests_and_lose_none() {
        let tests: VecDeque<Test> = all().unwrap().into();
        let many = tests.len();
        let (first, beside) = split(tests);
        assert_eq!(first.len() + beside.len(), many);
        assert!(beside.iter().all(|t| !matches!(t.what, What::Lab(_))));
        assert!(beside.iter().any(|t| t.name == "host/clippy"));
        assert_eq!(first[3].name, "host/kernel-build");
        assert_eq!(first.back().map(|t| t.name.as_str()), Some("soak"));
        let (alone, none) = split(beside);
        assert!(!alone.is_empty() && none.is_empty());
    }

    #[test]
    fn cargo_s_counts_are_added() {
        assert_eq!(
            count("test result: ok. 3 passed; 0\nx\ntest result: ok. 4 passed; 0"),
            "7 tests"
        );
        assert_eq!(count(""), "");
    }
}
