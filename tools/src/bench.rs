//! `cargo lab bench`: figures, never tests. What is measured and how stands with each benchmark.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::{bench_linux, bench_pv, repo};

/// What is measured.
#[derive(Subcommand)]
pub enum What {
    /// The pool against others: hits, scaling, drains, hold-off, misses (needs valgrind for the instruction count)
    Pool {
        /// For a script
        #[arg(long)]
        json: bool,
        /// Write the tables into the pool's README
        #[arg(long, conflicts_with = "json")]
        readme: bool,
    },
    /// A constructed set under PV: construct, destruct, hit, drain; hypercalls and cycles, measured by the guest on Xen
    Pv {
        /// For a script
        #[arg(long)]
        json: bool,
    },
    /// Our guest beside Debian's Linux on Xen: boot, suspend, restore, migrate (about an hour under emulation)
    Linux(bench_linux::Args),
}

/// Runs a benchmark in the foreground, its output as it comes.
///
/// # Errors
/// If cargo cannot be started, or the lab cannot be set up.
pub fn run(what: &What) -> Result<ExitCode> {
    let (json, readme) = match what {
        What::Pool { json, readme } => (json, readme),
        What::Pv { json } => return bench_pv::run(*json),
        What::Linux(args) => return bench_linux::run(args),
    };
    let mut command = Command::new("cargo");
    command
        .current_dir(repo::root())
        .args(["run", "--quiet", "--release", "--manifest-path"])
        .args(["pagetable-pool/bench/Cargo.toml", "--"]);
    if *json {
        command.arg("--json");
    }
    if *readme {
        command.args(["--readme", "pagetable-pool/README.md"]);
    }
    let status = command.status().context("cargo did not start")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
