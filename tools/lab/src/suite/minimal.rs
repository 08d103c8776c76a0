//! The kernel in `guest-kernel/examples/minimal`: its life on real Xen, and that it is as short as the
//! README says.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::base::outcome::Outcome;
use crate::base::repo;
use crate::black_box::{Action, Alive, Life, Made, Toolstack};
use crate::build::kernel;
use crate::host::machine::Machine;

/// The whole kernel.
const SOURCE: &str = "guest-kernel/examples/minimal/main.rs";
/// The most lines that it may have, comments and empty ones included.
const MOST_LINES: usize = 150;

/// What it says again and again.
const ALIVE: &str = "address spaces so far";

/// Its life. It reads all its address spaces back before each line that it says, and ends as crashed
/// if one is not as it was.
const LIFE: [Action; 9] = [
    Action::Create,
    Action::Checkpoint,
    Action::Save,
    Action::Restore,
    Action::Migrate,
    Action::Checkpoint,
    Action::Save,
    Action::Restore,
    Action::Shutdown,
];

/// Puts it through its life.
///
/// # Errors
/// If the machine is lost.
pub fn run(machine: &Machine, limit: Duration) -> Result<Outcome> {
    let made = Made::pvh(kernel::ensure_minimal()?, 1, 16);
    let sign = Alive::Console(ALIVE.into());
    let subject = made.subject(machine)?;
    let life = Life::new(machine, Toolstack::Xl, &subject, sign, None, limit)?;
    let steps = life.go(
        &LIFE,
        |_| {},
        |step| {
            let how = if step.ok { "ok" } else { "finding" };
            println!("        {:>6.1} s  {:<34} {how}", step.secs, step.step);
        },
    )?;
    let bad = steps.iter().find(|step| !step.ok);
    Ok(match bad {
        Some(step) => Outcome::Failed(format!("{}: {}", step.step, step.findings.join("; "))),
        None if steps.len() < LIFE.len() => {
            Outcome::Failed(format!("ended after {} of {}", steps.len(), LIFE.len()))
        }
        None => Outcome::Passed(format!("{} steps", steps.len())),
    })
}

/// Counts its lines. The README names it, and how many it may have.
///
/// # Errors
/// A file that cannot be read.
pub fn count_lines() -> Result<Outcome> {
    let read = |file: &str| {
        let path = repo::root().join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))
    };
    Ok(judge(read(SOURCE)?.lines().count(), &read("README.md")?))
}

fn judge(lines: usize, readme: &str) -> Outcome {
    let words = format!("in {MOST_LINES} lines");
    if lines > MOST_LINES {
        Outcome::Failed(format!(
            "{SOURCE} has {lines} lines, and {MOST_LINES} is the most"
        ))
    } else if !readme.contains("guest-kernel/examples/minimal") || !readme.contains(&words) {
        Outcome::Failed(format!(
            "README.md does not say that {SOURCE} is a kernel {words}"
        ))
    } else {
        Outcome::Passed(format!("{lines} lines of {MOST_LINES}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_is_too_long_or_that_nobody_is_told_of_fails() {
        let readme = "a kernel [in 150 lines](guest-kernel/examples/minimal/main.rs)";
        let passed = |lines, readme| matches!(judge(lines, readme), Outcome::Passed(_));
        assert!(passed(MOST_LINES, readme));
        assert!(!passed(MOST_LINES + 1, readme));
        assert!(!passed(MOST_LINES, ""));
    }
}
