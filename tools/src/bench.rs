//! `cargo lab bench`: figures, never tests. What is measured and how stands with each benchmark.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::{bench_pv, repo};

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
}

/// Runs a benchmark in the foreground, its output as it comes.
///
/// # Errors
/// If cargo cannot be started.
pub fn run(what: &What) -> Result<ExitCode> {
    let (json, readme) = match what {
        What::Pool { json, readme } => (json, readme),
        What::Pv { json } => return bench_pv::run(*json),
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
