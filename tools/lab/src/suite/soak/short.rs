//! The soak among the tests: three minutes of the same lists each time.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;

use crate::base::child;
use crate::base::outcome::Outcome;
use crate::base::stop;

/// The lists of this seed begin with checkpoints, hotplug storms, migrations and deaths of the
/// receiver.
const SEED: &str = "2026";
const MINUTES: &str = "3";
/// Making a failing list shorter takes longer than the soak.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Runs it, and prints what it says as it comes.
pub fn run(log: &Path) -> Result<Outcome> {
    let out = File::create(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["soak", "--minutes", MINUTES, "--seed", SEED])
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out);
    let mut running = child::Guarded::spawn(command)?;
    let mut printed = 0;
    let status = stop::wait_for("the end of the soak", LIMIT, || {
        let ended = running.ended()?;
        for line in said(log).lines().skip(printed) {
            println!("        {line}");
            printed += 1;
        }
        Ok(ended)
    })?;
    let text = said(log);
    let sum: Vec<&str> = text.lines().rev().take(3).collect();
    let sum = sum.into_iter().rev().collect::<Vec<_>>().join(" ");
    Ok(match child::code(status) {
        0 => Outcome::Passed(sum),
        code => Outcome::Failed(format!("exit status {code}: {sum}")),
    })
}

/// Whole lines only.
fn said(log: &Path) -> String {
    let mut text = std::fs::read_to_string(log).unwrap_or_default();
    text.truncate(text.rfind('\n').map_or(0, |at| at + 1));
    text
}
