//! The kernel in C of `guest-kernel/examples/c`: its life on real Xen, what becomes of it undrained, and that it is as
//! short as the docs say.

use std::fs;
use std::time::Duration;

use anyhow::{ensure, Result};

use crate::base::outcome::Outcome;
use crate::base::repo;
use crate::black_box::{Life, Made};
use crate::build::c_guest::{self, FOLDER};
use crate::host::machine::Machine;
use crate::suite::example;
use crate::suite::scenarios::controls::PIN;

/// The guest itself, and the most lines that it may have.
const GUEST: (&str, usize) = ("main.c", 300);
/// What a kernel has before it takes up the library, which is counted too and is not the guest's.
const BELOW: [&str; 3] = ["pv.h", "pv.c", "start.S"];
/// Who is told how many they are.
const DOCUMENT: &str = "docs/from-c.md";

/// Puts it through its life.
///
/// # Errors
/// If the machine is lost.
pub fn run(machine: &Machine, limit: Duration) -> Result<Outcome> {
    example::live(begin(machine, "", limit)?)
}

/// The same guest with its cached sets left pinned: the save succeeds, and no Xen restores it.
///
/// # Errors
/// If the machine is lost.
pub fn run_undrained(machine: &Machine, limit: Duration) -> Result<Outcome> {
    let life = begin(machine, "undrained", limit)?;
    Ok(match life.not_restored() {
        Ok([verdict, said]) if said.contains(PIN) => {
            Outcome::Passed(format!("control: xl restore: {PIN}; {verdict}"))
        }
        Ok([_, said]) => Outcome::Failed(format!("it is refused otherwise than it should: {said}")),
        Err(why) => Outcome::Failed(format!("{why:#}")),
    })
}

fn begin<'m>(machine: &'m Machine, cmdline: &str, limit: Duration) -> Result<Life<'m>> {
    let made = Made::pv(c_guest::ensure()?, example::MEM, cmdline);
    example::begin(machine, &made, limit)
}

/// Counts the lines of all its files.
///
/// # Errors
/// A file that cannot be read.
pub fn count_lines() -> Result<Outcome> {
    let lines = |file: &str| Ok(example::read(&format!("{FOLDER}/{file}"))?.lines().count());
    let below = BELOW.map(lines).into_iter().sum::<Result<usize>>()?;
    ensure!(
        fs::read_dir(repo::root().join(FOLDER))?.count() == 1 + BELOW.len(),
        "{FOLDER} has files that are not counted"
    );
    Ok(judge(lines(GUEST.0)?, below, &example::read(DOCUMENT)?))
}

fn judge(guest: usize, below: usize, document: &str) -> Outcome {
    let (file, most) = GUEST;
    let words = format!("{guest} lines, and {below} below them");
    if guest > most {
        Outcome::Failed(format!(
            "{FOLDER}/{file} has {guest} lines, and {most} is the most"
        ))
    } else if !document.contains(&words) {
        Outcome::Failed(format!("{DOCUMENT} does not say \"{words}\""))
    } else {
        Outcome::Passed(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_is_too_long_or_counted_wrong_fails() {
        let passed = |guest, below, text| matches!(judge(guest, below, text), Outcome::Passed(_));
        assert!(passed(300, 7, "300 lines, and 7 below them"));
        assert!(!passed(301, 7, "301 lines, and 7 below them"));
        assert!(!passed(300, 8, "300 lines, and 7 below them"));
    }
}
