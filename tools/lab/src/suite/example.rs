//! What the example kernels are put through: one life for all of them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::base::outcome::Outcome;
use crate::base::repo;
use crate::black_box::{Action, Alive, Life, Made, Toolstack};
use crate::host::machine::Machine;

/// What each says again and again.
const ALIVE: &str = "address spaces so far";

/// MiB that each gets.
pub const MEM: u32 = 16;

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

/// Takes a kernel to a machine.
///
/// # Errors
/// If the machine is lost.
pub fn begin<'m>(machine: &'m Machine, made: &Made, limit: Duration) -> Result<Life<'m>> {
    let subject = made.subject(machine)?;
    let sign = Alive::Console(ALIVE.into());
    Life::new(machine, Toolstack::Xl, &subject, sign, None, limit)
}

/// Puts a kernel through its life.
///
/// # Errors
/// If the machine is lost.
pub fn live(life: Life<'_>) -> Result<Outcome> {
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
        Some(step) => Outcome::Failed(format!(
            "{}: {}\n{}",
            step.step,
            step.findings.join("; "),
            step.autopsy.join("\n")
        )),
        None if steps.len() < LIFE.len() => {
            Outcome::Failed(format!("ended after {} of {}", steps.len(), LIFE.len()))
        }
        None => Outcome::Passed(format!("{} steps", steps.len())),
    })
}

/// A file of the repository, whose lines are counted or named.
///
/// # Errors
/// If it cannot be read.
pub fn read(file: &str) -> Result<String> {
    fs::read_to_string(repo::root().join(file)).with_context(|| format!("cannot read {file}"))
}
