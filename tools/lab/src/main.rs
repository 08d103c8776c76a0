//! The lab: real Xen, dom0 and our guests on any machine that runs QEMU.
//!
//! Each folder uses only those below it:
//!
//! - [`commands`]: what the command line offers beside the next three;
//! - [`suite`]: the tests; [`mod@bench`]: the figures; [`report`]: one page of both;
//! - [`life`]: actions on a guest, each with a check of what must follow;
//! - [`guest`]: how a guest is configured, and what it says;
//! - [`host`]: Xen, dom0 and its image, QEMU, the channel to dom0;
//! - [`build`]: the guest kernels, the bindings;
//! - [`base`]: processes, files, packages, progress.

mod base;
mod bench;
mod build;
mod commands;
mod guest;
mod host;
mod life;
mod report;
mod suite;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{bail, Result};
use base::{packages, repo, stop};
use build::{bindings, kernel};
use clap::{Parser, Subcommand};
use commands::{by_hand, demo, demo_pv, doctor, trial};
use host::machine::{self, Machine, Spec, UpState};
use host::pair::{self, Host};
use host::xen_build::Xen;
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
    Up {
        /// Leave the machine running and return; `try`, `exec` and `up` use it, `down` stops it
        #[arg(long)]
        detach: bool,
        /// Keep the machine running without a shell, until Ctrl-C
        #[arg(long, conflicts_with = "detach")]
        hold: bool,
        /// The hypervisor, of each host if they differ; one machine of each may be left running
        #[arg(long, default_value = "debian12", value_delimiter = ',')]
        xen: Vec<Xen>,
        /// Two hosts, joined by a network: `xl migrate GUEST b` in host a's dom0 moves a guest to
        /// host b
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
        hosts: u8,
        /// The host's memory, MiB, of each host if they differ; what nobody touches is not taken
        /// from this machine
        #[arg(long, value_name = "MIB", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1536..=1 << 20))]
        mem: Vec<u32>,
    },
    /// Stops the machine that `up --detach` left running
    Down {
        /// Its hypervisor
        #[arg(long, default_value = "debian12")]
        xen: Xen,
        /// 2: the two hosts of `up --hosts 2 --detach`
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
        hosts: u8,
    },
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
    /// Makes xen-bindings/src/ffi from Xen's headers, or checks that it is current
    Bindings {
        /// Change nothing; fail if the files are not what the headers give
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
        Cmd::Clean { runs } => {
            for state in UpState::all() {
                println!(
                    "stopping the detached machine with Xen {}",
                    state.xen.name()
                );
                state.stop();
            }
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
        Cmd::Up {
            detach,
            hold,
            xen,
            hosts,
            mem,
        } => up(detach, hold, &xen, &mem, hosts)?,
        Cmd::Down { hosts: 2, .. } => {
            let running: Vec<UpState> = Host::ALL
                .into_iter()
                .filter_map(UpState::load_host)
                .collect();
            if running.is_empty() {
                bail!("no two detached hosts are running");
            }
            running.iter().for_each(UpState::stop);
        }
        Cmd::Down { xen, .. } => match UpState::load(xen) {
            Some(state) => state.stop(),
            None => bail!("no detached machine with Xen {} is running", xen.name()),
        },
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
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn up(detach: bool, hold: bool, xens: &[Xen], mem: &[u32], hosts: u8) -> Result<()> {
    packages::ensure(packages::LAB)?;
    let specs = specs(xens, mem, hosts.into())?;
    // --hold is for a machine of one's own, which ends with us.
    let machine = match specs[..] {
        [a, b] => up_two(detach, hold, [a, b])?,
        [spec, ..] => match UpState::load(spec.xen).filter(|_| !hold) {
            Some(_) if !mem.is_empty() => {
                bail!("a machine is running already, and --mem cannot change it: cargo lab down")
            }
            Some(state) => Machine::attach(&state)?,
            None => Machine::boot(&machine::new_run("up")?, detach, spec)?,
        },
        [] => bail!("no host was asked for"),
    };
    for one in std::iter::once(&machine).chain(machine.peer.as_deref()) {
        let about = "uname -r; xl info | grep -E 'xen_version|free_memory'; xl list";
        println!("{}", one.dom0.must(about, Duration::from_secs(60))?.trim());
    }
    if detach {
        println!(
            "{}",
            if hosts == 2 {
                "The hosts run on. cargo lab exec --host b -- xl list; cargo lab down --hosts 2"
            } else {
                "The machine runs on. cargo lab exec -- xl list; cargo lab put FILE; cargo lab try ELF; cargo lab down"
            }
        );
        for one in std::iter::once(&machine).chain(machine.peer.as_deref()) {
            println!("{}", one.dom0.line());
        }
        return Ok(());
    }
    if hold {
        println!("The machine runs until Ctrl-C");
        loop {
            stop::check()?;
            machine.check()?;
            std::thread::sleep(stop::POLL);
        }
    }
    let mut shell = machine.dom0.interactive();
    let _ = shell.status()?;
    Ok(())
}

/// What each of `hosts` hosts is made of.
fn specs(xens: &[Xen], mem: &[u32], hosts: usize) -> Result<Vec<Spec>> {
    let each = |option: &str, len: usize| match len {
        0 | 1 => Ok(()),
        len if len == hosts => Ok(()),
        _ => bail!("{option} takes one value for each host, or one for all"),
    };
    each("--xen", xens.len())?;
    each("--mem", mem.len())?;
    Ok((0..hosts)
        .map(|host| {
            let xen = xens.get(host).or(xens.first()).copied().unwrap_or_default();
            let mut spec = Spec::from(xen);
            if let Some(&mib) = mem.get(host).or(mem.first()) {
                spec.hardware.mib = mib;
            }
            spec
        })
        .collect())
}

fn up_two(detach: bool, hold: bool, specs: [Spec; 2]) -> Result<Machine> {
    match pair::attach()?.filter(|_| !hold) {
        Some(a)
            if [Some(a.spec.xen), a.peer.as_ref().map(|b| b.spec.xen)]
                == specs.map(|spec| Some(spec.xen)) =>
        {
            Ok(a)
        }
        Some(_) => bail!("two other hosts are running: cargo lab down --hosts 2"),
        None => Machine::boot_pair(&machine::new_run("up")?, detach, specs),
    }
}
