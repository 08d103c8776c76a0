//! The lab: real Xen, dom0 and our guests on any machine that runs QEMU.
//!
//! One module per thing: [`packages`] and [`image`] get what is needed, [`qemu`], [`channel`] and
//! [`machine`] run it, [`guest`] says how a guest is made.

mod bindings;
mod channel;
mod child;
mod cpio;
mod guest;
mod image;
mod machine;
mod packages;
mod progress;
mod qemu;
mod repo;
mod sshkey;
mod stop;
mod trial;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{bail, Result};
use clap::{Parser, Subcommand};
use machine::{Machine, UpState};

#[derive(Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", about = "Real Xen, dom0 and our guests on any machine that runs QEMU")]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    /// Boots Xen and dom0 and gives you a shell in dom0
    Up {
        /// Leave the machine running and return; `try`, `exec` and `up` use it, `down` stops it
        #[arg(long)]
        detach: bool,
    },
    /// Stops the machine that `up --detach` left running
    Down,
    /// Runs one shell command in dom0 of the machine that `up --detach` left running
    Exec {
        /// The command
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
        /// Seconds it may take
        #[arg(long, default_value_t = 120)]
        limit: u64,
    },
    /// Boots one guest kernel and shows its console, then Xen's messages
    Try(trial::Args),
    /// Makes xen-bindings/src/ffi from Xen's headers, or checks that it is current
    Bindings {
        /// Change nothing; fail if the files are not what the headers give
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let result = stop::install().and_then(|()| run(Cli::parse().command));
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
        Cmd::Up { detach } => up(detach)?,
        Cmd::Down => match UpState::load() {
            Some(state) => state.stop(),
            None => bail!("no detached machine is running"),
        },
        Cmd::Exec { command, limit } => {
            let Some(state) = UpState::load() else {
                bail!("no detached machine is running: cargo lab up --detach starts one");
            };
            let machine = Machine::attach(&state)?;
            let out = machine.dom0.run(&command.join(" "), Duration::from_secs(limit))?;
            print!("{}", out.stdout);
            eprint!("{}", out.stderr);
            return Ok(ExitCode::from(out.status.clamp(0, 255) as u8));
        }
        Cmd::Try(args) => {
            packages::ensure(packages::LAB)?;
            trial::run(&args)?;
        }
        Cmd::Bindings { check } => {
            packages::ensure(packages::BINDINGS)?;
            bindings::run(check).map_err(anyhow::Error::msg)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn up(detach: bool) -> Result<()> {
    packages::ensure(packages::LAB)?;
    let machine = match UpState::load() {
        Some(state) => Machine::attach(&state)?,
        None => Machine::boot(&machine::new_run("up")?, detach)?,
    };
    println!("{}", machine.dom0.must("uname -r; xl info | grep -E 'xen_version|free_memory'; xl list", Duration::from_secs(60))?.trim());
    if detach {
        println!("The machine runs on. cargo lab exec -- xl list; cargo lab try ELF; cargo lab down");
        return Ok(());
    }
    let mut shell = machine.dom0.interactive();
    let _ = shell.status()?;
    Ok(())
}
