//! `cargo lab bench`: figures, never tests. What is measured and how stands with each benchmark.

mod growth;
mod linux;
mod pv;
pub mod samples;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::base::document::{Document, Table};
use crate::base::repo;
use crate::base::runs;

/// What is measured.
#[derive(Subcommand)]
pub enum What {
    /// The pool against others: hits, scaling, drains, hold-off, misses (needs valgrind for the
    /// instruction count)
    Pool {
        /// For a script
        #[arg(long)]
        json: bool,
        /// Write the tables into the pool's README
        #[arg(long, conflicts_with = "json")]
        readme: bool,
    },
    /// A constructed set under PV: construct, destruct, hit, drain; hypercalls and cycles, measured
    /// by the guest on Xen
    Pv {
        /// For a script
        #[arg(long)]
        json: bool,
    },
    /// How a suspend grows with vCPUs and cached sets, drained as usual and trimmed early
    Growth(growth::Args),
    /// Our guest beside Debian's Linux on Xen: boot, suspend, restore, migrate (about an hour under
    /// emulation)
    Linux(linux::Args),
}

/// Runs a benchmark in the foreground, its output as it comes.
///
/// # Errors
/// If cargo cannot be started, or the lab cannot be set up.
pub fn run(what: &What) -> Result<ExitCode> {
    match what {
        What::Pool { json, readme } => pool(*json, *readme),
        What::Pv { json } => pv::run(*json),
        What::Linux(args) => linux::run(args),
        What::Growth(args) => growth::run(args),
    }
}

/// The pool's own benchmark; its tables go into a run's folder too.
fn pool(json: bool, readme: bool) -> Result<ExitCode> {
    let run = runs::new("bench-pool")?;
    let tables = run.join("bench.md");
    let mut command = Command::new("cargo");
    command
        .current_dir(repo::root())
        .args(["run", "--quiet", "--release", "--manifest-path"])
        .args(["pagetable-pool/bench/Cargo.toml", "--", "--tables"])
        .arg(&tables);
    if json {
        command.arg("--json");
    }
    if readme {
        command.args(["--readme", "pagetable-pool/README.md"]);
    }
    let status = command.status().context("cargo did not start")?;
    if !status.success() {
        return Ok(ExitCode::FAILURE);
    }
    let text = std::fs::read_to_string(&tables)
        .with_context(|| format!("the benchmark left no {}", repo::shown(&tables)))?;
    let (tables, notes) = Table::from_markdown(&text);
    let document = Document {
        title: "The pool against others".to_owned(),
        notes,
        tables,
        ..Document::default()
    };
    document.write(&run)?;
    Ok(ExitCode::SUCCESS)
}
