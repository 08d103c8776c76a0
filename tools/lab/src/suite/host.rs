//! The tests that need no Xen: the checks of each crate, and those of this program itself.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::base::child;
use crate::base::outcome::Outcome;
use crate::base::packages;
use crate::base::repo;
use crate::base::stop;
use crate::build::bindings;
use crate::build::kernel;
use crate::report;
use crate::suite::{c_guest, c_library, guide, layers, minimal};

/// What a test on the host may take, its build on a busy machine included. The longest takes a
/// minute or two.
const HOST_LIMIT: Duration = Duration::from_secs(600);

/// A test on the host; gets a file for its output.
pub type HostTest = fn(&Path) -> Result<Outcome>;

/// By name, in the order in which they run.
pub const TESTS: &[(&str, HostTest)] = &[
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
    ("host/c-header-current", c_library::header),
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
    ("host/minimal-lines", |_| minimal::count_lines()),
    ("host/c-guest-lines", |_| c_guest::count_lines()),
    ("host/guide", guide::check),
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
        cargo(
            log,
            "test --locked -p xen-guest-migration -p xen-guest-frontends",
            &[],
        )
    }),
    ("host/unit-kernel-glue", |log| {
        cargo(log, "test --locked -p xen-kernel-glue", &[])
    }),
    ("host/unit-xen-bindings", |log| {
        cargo(log, "test --locked -p xen-bindings", &[])
    }),
    ("host/unit-xen-guest-c", |log| {
        cargo(log, "test --locked -p xen-guest-c", &[])
    }),
    ("host/c-library", c_library::plain),
    ("host/c-library-sanitized", c_library::sanitized),
    ("host/c-archive", c_library::complete),
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
pub fn behind(program: &str) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "10", program]);
    command
}

/// Runs a command in the repository's root, its output in `log`. One that hangs fails, and what it
/// said last is told.
pub fn finish(log: &Path, mut command: Command) -> Result<Outcome> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_s_counts_are_added() {
        assert_eq!(
            count("test result: ok. 3 passed; 0\nx\ntest result: ok. 4 passed; 0"),
            "7 tests"
        );
        assert_eq!(count(""), "");
    }
}
