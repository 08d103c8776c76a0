//! The lab: real Xen, dom0 and our guests on any machine that runs QEMU.
//!
//! Each folder uses only those below it:
//!
//! - [`commands`]: what the command line offers beside the next three;
//! - [`suite`]: the tests; [`mod@bench`]: the figures; [`report`]: one page of both;
//! - [`black_box`]: the life of a guest of which nothing is known;
//! - [`life`]: actions on a guest, each with a check of what must follow;
//! - [`guest`]: how a guest is configured, and what it says;
//! - [`host`]: Xen, dom0 and its image, QEMU, the channel to dom0;
//! - [`build`]: the guest kernels, the bindings;
//! - [`base`]: processes, files, packages, progress.

mod base;
mod bench;
mod black_box;
mod build;
mod commands;
mod guest;
mod host;
mod life;
mod report;
mod suite;

use std::process::ExitCode;

use anyhow::Result;
use base::{packages, repo, stop};
use build::{bindings, c_library, kernel};
use clap::{CommandFactory, Parser, Subcommand};
use commands::{by_hand, completions, demo, demo_pv, doctor, trial, up};
use suite::soak;

#[derive(Parser)]
#[command(
    name = "cargo lab",
    bin_name = "cargo lab",
    about = "Real Xen, dom0 and our guests on any machine that runs QEMU",
    after_help = "Begin with:  cargo lab demo          the main job, live (first run: some minutes of set-up)\n\
                  Then:        cargo lab test --list   what is tested; docs/lab.md says how it judges\n\
                  By hand:     cargo lab up            a shell in dom0\n\n\
                  Everything it makes is below target/; as root it installs Debian packages it lacks, and says so."
)]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    /// The main job on real Xen, live: churn, hotplug, save, restore, checkpoint, migrate
    Demo {
        /// As classic PV: first undrained, which no Xen restores, then drained
        #[arg(long)]
        pv: bool,
        /// Print the steps as JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Every test, on the host and on Xen; the last line is the sum
    Test(suite::Args),
    /// Random lives of guests for as long as you like, the same ones for the same seed
    Soak(soak::Args),
    /// Figures: how quick things are, against what one would use instead
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
    /// One page of the last runs: suspends, caches, migrations, figures, tests; names it
    Report(report::Args),
    /// What this host has, what is missing, and the line that installs it
    Doctor {
        /// For a script
        #[arg(long)]
        json: bool,
    },
    /// Removes what was built: images, runs, kernels
    Clean {
        /// Only the runs' folders
        #[arg(long)]
        runs: bool,
    },
    /// Builds the guest kernels into target/guest and checks them
    Build,
    /// Boots Xen and dom0 and gives you a shell in dom0
    Up(up::Up),
    /// Stops the machine that `up --detach` left running
    Down(up::Down),
    /// Runs one shell command in dom0 of the machine that `up --detach` left running
    Exec(by_hand::Exec),
    /// Copies a file into that dom0
    Put(by_hand::Put),
    /// Copies a file out of that dom0
    Get(by_hand::Get),
    /// Any guest through a life on real Xen: does it survive save, restore, migration?
    Life(commands::life::Args),
    /// Boots one guest kernel and shows its console, then Xen's messages
    Try(trial::Args),
    /// Prints a shell's completions; bash's serve `cargo lab` as well: source <(cargo lab
    /// completions bash)
    Completions {
        /// Whose
        shell: clap_complete::Shell,
    },
    /// Makes xen-bindings/src/ffi from Xen's headers and the C library's header from its sources, or checks them
    Bindings {
        /// Change nothing; fail if the files are not what their sources give
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let result = stop::install()
        .and_then(|()| repo::find())
        .and_then(|()| run(command));
    match result {
        Ok(code) => code,
        Err(error) if error.downcast_ref::<stop::Interrupted>().is_some() || stop::asked() => {
            eprintln!("xenlab: interrupted; everything that was started is stopped");
            ExitCode::from(stop::EXIT_INTERRUPTED as u8)
        }
        Err(error) => {
            eprintln!("xenlab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Cmd) -> Result<ExitCode> {
    match command {
        Cmd::Demo { pv: true, json } => return demo_pv::run(json),
        Cmd::Demo { pv: false, json } => return demo::run(json),
        Cmd::Soak(args) => return soak::run(&args),
        Cmd::Test(args) => return suite::run(&args),
        Cmd::Bench { what } => return bench::run(&what),
        Cmd::Report(args) => report::run(&args)?,
        Cmd::Doctor { json } => return doctor::run(json),
        Cmd::Completions { shell } => completions::print(shell, Cli::command())?,
        Cmd::Clean { runs } => {
            up::stop_all();
            if runs {
                kernel::remove(&repo::lab().join("runs"))?;
            } else {
                kernel::remove(&repo::lab())?;
                kernel::clean()?;
            }
        }
        Cmd::Build => {
            for line in kernel::build()? {
                println!("{line}");
            }
        }
        Cmd::Up(args) => up::up(&args)?,
        Cmd::Down(args) => up::down(&args)?,
        Cmd::Exec(args) => return by_hand::exec(&args),
        Cmd::Put(args) => by_hand::put(&args)?,
        Cmd::Get(args) => by_hand::get(&args)?,
        Cmd::Life(args) => return commands::life::run(&args),
        Cmd::Try(args) => {
            packages::ensure(packages::LAB)?;
            trial::run(&args)?;
        }
        Cmd::Bindings { check } => {
            packages::ensure(packages::BINDINGS)?;
            bindings::run(&repo::root(), check).map_err(anyhow::Error::msg)?;
            c_library::header(check)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
