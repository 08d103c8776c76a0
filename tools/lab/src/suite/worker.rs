//! A worker: it takes tests from a queue and has a machine of its own for those on Xen.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::base::outcome::Outcome;
use crate::base::repo;
use crate::base::stop;
use crate::host::detached::UpState;
use crate::host::hypervisor::{self, EmulatorFault};
use crate::host::machine::Machine;
use crate::host::network::Host;
use crate::host::xen_build::Xen;
use crate::suite::args::Args;
use crate::suite::host::{behind, finish};
use crate::suite::list::{Test, What};
use crate::suite::on_xen;

/// How often a lab test is run again because the emulator broke its guest, as Xen's log shows
/// ([`EmulatorFault`]). Nothing else is ever tried twice.
const AGAIN: usize = 2;

/// What came of one test.
#[derive(Serialize)]
pub struct Done {
    pub test: String,
    pub secs: f64,
    pub run: String,
    /// What the test left, below the run's folder: a host test's log, a lab test's folder.
    pub log: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What all workers of a run share.
pub struct Shared<'a> {
    pub args: &'a Args,
    /// The run's folder.
    pub run: &'a Path,
    /// How many tests there are.
    pub total: usize,
    /// How many have begun.
    pub begun: AtomicUsize,
    pub done: Mutex<Vec<Done>>,
    /// Runs that the emulator broke, in words.
    pub broken_runs: Mutex<Vec<String>>,
}

/// A worker of [`work`].
struct Worker<'a> {
    shared: &'a Shared<'a>,
    machine: Option<Machine>,
}

/// What a test left.
struct Ran {
    outcome: Result<Outcome>,
    /// Where its machine's logs are, or the run's.
    folder: String,
    /// As [`Done::log`].
    log: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs tests until the queue is empty.
///
/// # Errors
/// If we are interrupted. A test that fails is in what the workers share.
pub fn work(shared: &Shared<'_>, queue: &Mutex<VecDeque<Test>>) -> Result<()> {
    let (args, total) = (shared.args, shared.total);
    let mut worker = Worker {
        shared,
        machine: None,
    };
    // The test that is run again, and how often the emulator has broken it.
    let mut again: Option<(Test, usize)> = None;
    loop {
        let next = again.take().or_else(|| Some((lock(queue).pop_front()?, 0)));
        let Some((test, broken)) = next else {
            break;
        };
        let number = match broken {
            0 => shared.begun.fetch_add(1, Ordering::Relaxed) + 1,
            _ => shared.begun.load(Ordering::Relaxed),
        };
        println!("[{number}/{total}] {} ...", test.name);
        let start = Instant::now();
        let since = worker.length_of_log();
        let ran = worker.attempt(&test, broken);
        stop::check()?;
        let fault = worker.emulator_fault(&test, since);
        if let (Some(fault), true) = (fault, broken < AGAIN && !args.keep) {
            // Also if the test passed: a control expects a failure, and this would be the wrong
            // one.
            println!(
                "[{number}/{total}] {}: {fault}; this run of it says nothing, it is run again on a new machine",
                test.name
            );
            let broken_run = format!("{}: {fault}; logs: {}", test.name, ran.folder);
            lock(&shared.broken_runs).push(broken_run);
            worker.machine = None;
            again = Some((test, broken + 1));
            continue;
        }
        let failed = worker.report(number, &test, ran, start.elapsed())?;
        if failed && matches!(test.what, What::Lab(_)) {
            if args.keep {
                lock(queue).clear();
                println!(
                    "the machine is left running: cargo lab exec --xen {}; cargo lab down",
                    xen_of(args, &test)
                );
                return Ok(());
            }
            // A guest that failed may have left anything behind: the next test gets a fresh
            // machine.
            worker.machine = None;
        }
    }
    if args.keep {
        worker.stop_detached();
    }
    Ok(())
}

impl Worker<'_> {
    fn length_of_log(&self) -> u64 {
        let machine = self.machine.as_ref();
        machine.map_or(0, |machine| hypervisor::length(&machine.run))
    }

    /// Runs it once.
    fn attempt(&mut self, test: &Test, broken: usize) -> Ran {
        let Shared { args, run, .. } = *self.shared;
        let name = test.name.split(' ').next().unwrap_or_default();
        let mut log = name.replace('/', "-");
        if broken > 0 {
            log.push_str(&format!("-again-{broken}"));
        }
        if !matches!(test.what, What::Lab(_)) {
            log.push_str(".log");
        }
        let place = run.join(&log);
        let outcome = match &test.what {
            What::Host(host) => host(&place),
            What::Proof(command) => {
                let mut bash = behind("bash");
                bash.args(["-c", command]);
                finish(&place, bash)
            }
            What::Lab(lab) => on_xen::run(args, lab, run, &place, &mut self.machine),
        };
        let folder = match (&test.what, &self.machine) {
            (What::Lab(_), Some(machine)) => repo::shown(&machine.run),
            _ => repo::shown(run),
        };
        Ran {
            outcome,
            folder,
            log,
        }
    }

    fn emulator_fault(&self, test: &Test, since: u64) -> Option<EmulatorFault> {
        match (&test.what, &self.machine) {
            (What::Lab(_), Some(machine)) => hypervisor::emulator_fault_since(&machine.run, since),
            _ => None,
        }
    }

    /// Prints and keeps what came of it; gives whether it failed.
    fn report(&mut self, number: usize, test: &Test, ran: Ran, took: Duration) -> Result<bool> {
        let outcome = ran.outcome.unwrap_or_else(|error| {
            // Whatever broke, it is not to be the next test's trouble.
            self.machine = None;
            Outcome::Failed(format!("{error:#}"))
        });
        let secs = took.as_secs_f64();
        let (word, why) = match &outcome {
            Outcome::Passed(why) => ("ok", why),
            Outcome::Failed(why) => ("FAILED", why),
            Outcome::Skipped(why) => ("skipped", why),
        };
        let failed = word == "FAILED";
        let total = self.shared.total;
        println!("[{number}/{total}] {} {word}, {secs:.1} s {why}", test.name);
        let one = Done {
            test: test.name.clone(),
            secs,
            run: ran.folder,
            log: ran.log,
            outcome,
        };
        if self.shared.args.json {
            println!("{}", serde_json::to_string(&one)?);
        }
        lock(&self.shared.done).push(one);
        Ok(failed)
    }

    /// Ends what `--keep` would have left running after a failure.
    fn stop_detached(&self) {
        let states = match &self.machine {
            Some(m) if m.peer.is_some() => Host::ALL.map(UpState::load_host).to_vec(),
            Some(m) => vec![UpState::load(m.spec.xen)],
            None => Vec::new(),
        };
        states.iter().flatten().for_each(UpState::stop);
    }
}

fn xen_of(args: &Args, test: &Test) -> &'static str {
    match &test.what {
        What::Lab(lab) => args.xen.unwrap_or(lab.xen).name(),
        _ => Xen::Debian12.name(),
    }
}
