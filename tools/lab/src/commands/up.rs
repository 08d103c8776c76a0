//! `cargo lab up` and `down`: a machine to work with by hand.

use std::time::Duration;

use anyhow::{bail, Result};

use crate::base::packages;
use crate::base::runs;
use crate::base::stop;
use crate::black_box::Subject;
use crate::host::detached::UpState;
use crate::host::machine::{Machine, Spec};
use crate::host::network::Host;
use crate::host::pair;
use crate::host::xen_build::Xen;
use crate::host::xl::Xl;

/// Options of `cargo lab up`.
#[derive(Debug, clap::Args)]
pub struct Up {
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
    /// The host's processors, of each host if they differ
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=64))]
    cpus: Vec<u8>,
    /// A guest's xl configuration: it is put into dom0 with its kernel and ramdisk, and created
    guest: Option<std::path::PathBuf>,
}

/// Options of `cargo lab down`.
#[derive(Debug, clap::Args)]
pub struct Down {
    /// Its hypervisor
    #[arg(long, default_value = "debian12")]
    xen: Xen,
    /// 2: the two hosts of `up --hosts 2 --detach`
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    hosts: u8,
}

/// Boots the machine, or attaches to the one that runs, and gives a shell in dom0.
///
/// # Errors
/// If the machine does not boot, or what was asked for does not go together.
pub fn up(args: &Up) -> Result<()> {
    let Up {
        detach,
        hold,
        hosts,
        ref xen,
        ref mem,
        ref cpus,
        ref guest,
    } = *args;
    let guest = guest.as_deref().map(Subject::from_config).transpose()?;
    packages::ensure(packages::LAB)?;
    let specs = specs(xen, mem, cpus, hosts.into())?;
    // --hold is for a machine of one's own, which ends with us.
    let machine = match specs[..] {
        [a, b] => up_two(detach, hold, [a, b])?,
        [spec, ..] => match UpState::load(spec.xen).filter(|_| !hold) {
            Some(_) if !(mem.is_empty() && cpus.is_empty()) => {
                bail!("a machine is running already, and --mem and --cpus cannot change it: cargo lab down")
            }
            Some(state) => Machine::attach(&state)?,
            None => Machine::boot(&runs::new("up")?, detach, spec)?,
        },
        [] => bail!("no host was asked for"),
    };
    for (one, _) in machine.hosts() {
        let about = "uname -r; xl info | grep -E 'xen_version|free_memory'; xl list";
        println!("{}", one.dom0.must(about, Duration::from_secs(60))?.trim());
    }
    if let Some(guest) = guest {
        guest.put(&machine.dom0)?;
        let create = Xl::create(&guest.place());
        create.must(&machine.dom0, Duration::from_secs(120))?;
        println!(
            "{} runs; its console: xl console {}",
            guest.name, guest.name
        );
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
        for (one, _) in machine.hosts() {
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
fn specs(xens: &[Xen], mem: &[u32], cpus: &[u8], hosts: usize) -> Result<Vec<Spec>> {
    let each = |option: &str, len: usize| match len {
        0 | 1 => Ok(()),
        len if len == hosts => Ok(()),
        _ => bail!("{option} takes one value for each host, or one for all"),
    };
    each("--xen", xens.len())?;
    each("--mem", mem.len())?;
    each("--cpus", cpus.len())?;
    Ok((0..hosts)
        .map(|host| {
            let xen = xens.get(host).or(xens.first()).copied().unwrap_or_default();
            let mut spec = Spec::from(xen);
            if let Some(&mib) = mem.get(host).or(mem.first()) {
                spec.hardware.mib = mib;
            }
            if let Some(&cpus) = cpus.get(host).or(cpus.first()) {
                spec.hardware.cpus = cpus;
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
        None => pair::boot(&runs::new("up")?, detach, specs),
    }
}

/// Stops what `up --detach` left running.
///
/// # Errors
/// If nothing of the kind runs.
pub fn down(args: &Down) -> Result<()> {
    if args.hosts == 2 {
        let running: Vec<UpState> = Host::ALL
            .into_iter()
            .filter_map(UpState::load_host)
            .collect();
        if running.is_empty() {
            bail!("no two detached hosts are running");
        }
        running.iter().for_each(UpState::stop);
        return Ok(());
    }
    match UpState::load(args.xen) {
        Some(state) => state.stop(),
        None => bail!(
            "no detached machine with Xen {} is running",
            args.xen.name()
        ),
    }
    Ok(())
}

/// Stops every detached machine, and says which.
pub fn stop_all() {
    for state in UpState::all() {
        println!(
            "stopping the detached machine with Xen {}",
            state.xen.name()
        );
        state.stop();
    }
}
