//! The kernel in `guest-kernel/examples/minimal`: its life on real Xen, and that it is as short as the
//! README says.

use std::time::Duration;

use anyhow::Result;

use crate::base::outcome::Outcome;
use crate::black_box::Made;
use crate::build::kernel;
use crate::host::machine::Machine;
use crate::suite::example;

/// The whole kernel.
const SOURCE: &str = "guest-kernel/examples/minimal/main.rs";
/// The most lines that it may have, comments and empty ones included.
const MOST_LINES: usize = 150;

/// Puts it through its life.
///
/// # Errors
/// If the machine is lost.
pub fn run(machine: &Machine, limit: Duration) -> Result<Outcome> {
    let made = Made::pvh(kernel::ensure_minimal()?, 1, example::MEM);
    example::live(example::begin(machine, &made, limit)?)
}

/// Counts its lines. The README names it, and how many it may have.
///
/// # Errors
/// A file that cannot be read.
pub fn count_lines() -> Result<Outcome> {
    Ok(judge(
        example::read(SOURCE)?.lines().count(),
        &example::read("README.md")?,
    ))
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
