//! `cargo lab test`: chooses the tests, has them run, and gives the sum.

use std::collections::VecDeque;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{bail, Result};

use crate::base::outcome::Outcome;
use crate::base::packages;
use crate::base::progress;
use crate::base::repo;
use crate::base::runs;
use crate::suite::args::Args;
use crate::suite::list::{all, split, Test, What};
use crate::suite::scenarios::long;
use crate::suite::worker::{self, Done, Shared};

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
        .filter(|t| args.list || long::asks_for(&filter, &t.name))
        .collect();
    if tests.is_empty() {
        bail!("no test's name contains \"{filter}\": cargo lab test --list names them");
    }
    if args.list {
        list(args, &tests);
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
    let shared = Shared {
        args,
        run: &run,
        total,
        begun: AtomicUsize::new(0),
        done: Mutex::default(),
        broken_runs: Mutex::default(),
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        // Each worker starts its machines itself and lives as long as they do (see child::Guarded).
        let work = |queue| {
            let shared = &shared;
            move || worker::work(shared, queue)
        };
        let workers: Vec<_> = std::iter::once(&beside)
            .chain((0..args.jobs).map(|_| &queue))
            .map(|queue| scope.spawn(work(queue)))
            .collect();
        workers
            .into_iter()
            .try_for_each(|w| w.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })?;
    let done = taken(shared.done);
    let summary = serde_json::to_vec_pretty(&done)?;
    repo::write(&run.join("summary.json"), &summary)?;
    let broken_runs = taken(shared.broken_runs);
    Ok(sum(args, &run, &done, &broken_runs, start.elapsed()))
}

fn taken<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Prints the names.
fn list(args: &Args, tests: &VecDeque<Test>) {
    for test in tests {
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
}

/// Prints what failed, what was left out, and the sum; a run in which nothing passed has failed.
fn sum(args: &Args, run: &Path, done: &[Done], broken_runs: &[String], took: Duration) -> ExitCode {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for one in done {
        match &one.outcome {
            Outcome::Passed(_) => passed += 1,
            Outcome::Failed(why) => {
                failed += 1;
                println!(
                    "FAILED  {}: {why}\n        logs: {} and {}/{}",
                    one.test,
                    one.run,
                    repo::shown(run),
                    one.log
                );
            }
            Outcome::Skipped(why) => {
                skipped += 1;
                println!("skipped {}: {why}", one.test);
            }
        }
    }
    for one in broken_runs {
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
        progress::seconds(took),
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
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
