//! `xenlab try`: one guest, its console live.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use object::Object;

use crate::base::runs;
use crate::base::stop;
use crate::build::kernel::Arch;
use crate::guest::config::{Config, Kind};
use crate::host::detached::UpState;
use crate::host::machine::Machine;
use crate::host::qemu;
use crate::host::xen_build::{self, Xen};

/// What to try.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The guest kernel (an ELF with a PVH or PV entry).
    elf: PathBuf,
    /// vCPUs.
    #[arg(long, default_value_t = 4)]
    vcpus: u32,
    /// Memory, MiB.
    #[arg(long, default_value_t = 32)]
    mem: u32,
    /// The kernel's command line.
    #[arg(long, default_value = "")]
    cmdline: String,
    /// How long to watch it, seconds; shorter if the guest ends.
    #[arg(long, default_value_t = 20)]
    secs: u64,
    /// Shell commands for dom0, run one after the other once the guest runs; the guest is called
    /// "try".
    #[arg(long = "then", value_name = "CMD")]
    then: Vec<String>,
    /// Leave the guest in place at the end (with a detached machine).
    #[arg(long)]
    leave: bool,
    /// As classic PV instead of PVH.
    #[arg(long)]
    pv: bool,
    /// As PV in Debian's shim (`pvshim=1`).
    #[arg(long, conflicts_with = "pv")]
    shim: bool,
    /// The hypervisor; the default is the one that this guest needs on this host.
    #[arg(long)]
    xen: Option<Xen>,
}

const LOG: &str = "/var/log/xen/console/guest-try.log";

/// Runs it.
///
/// # Errors
/// If the machine does not boot or `xl create` fails.
pub fn run(args: &Args) -> Result<()> {
    let elf = fs::read(&args.elf).with_context(|| format!("cannot read {}", args.elf.display()))?;
    let file =
        object::File::parse(&*elf).with_context(|| format!("{} is no ELF", args.elf.display()))?;
    let arch = if file.is_64() {
        Arch::X86_64
    } else {
        Arch::I686
    };
    let (accel, _) = qemu::accel();
    let kind = match (args.pv, args.shim) {
        (true, _) => Kind::Pv,
        (_, true) => Kind::Shim,
        _ => Kind::Pvh,
    };
    let (needed, why) = kind.needed_xen(arch, accel);
    let xen = args.xen.unwrap_or(needed);
    if needed != Xen::default() {
        println!("-- Xen {}; {} is needed: {why}", xen.name(), needed.name());
    }
    let machine = match UpState::load(xen) {
        Some(state) => Machine::attach(&state)?,
        None => Machine::boot(&runs::new("try")?, false, xen)?,
    };
    let dom0 = &machine.dom0;
    let short = Duration::from_secs(60);
    dom0.run("xl destroy try 2>/dev/null", short)?;
    dom0.must(
        &format!("xl dmesg -c >/dev/null; : > {LOG}; : > {}", incoming()),
        short,
    )?;
    dom0.put("/lab/try.elf", &elf)?;
    let config = Config {
        name: "try".into(),
        kind,
        kernel: "/lab/try.elf".into(),
        max_vcpus: args.vcpus,
        vcpus: args.vcpus,
        mem: args.mem,
        cmdline: args.cmdline.clone(),
        hap: xen_build::hap(arch, accel),
        time_offset: 0,
        extra: String::new(),
    };
    dom0.put("/lab/try.cfg", config.text().as_bytes())?;
    let (send, lines) = mpsc::channel::<Vec<u8>>();
    let mut followers = Vec::new();
    for log in [LOG.to_owned(), incoming()] {
        let mut follower = dom0.stream(&format!("tail -n +1 -F {log} 2>/dev/null"))?;
        let out = follower
            .child()
            .stdout
            .take()
            .context("tail has no output")?;
        followers.push(follower);
        let send = send.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(out);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                if send.send(std::mem::take(&mut line)).is_err() {
                    break;
                }
            }
        });
    }
    let start = Instant::now();
    println!(
        "-- xl create as {}, {} vCPUs, {} MiB",
        kind.words(),
        args.vcpus,
        args.mem
    );
    let created = dom0.run("xl -v create /lab/try.cfg 2>&1", Duration::from_secs(120))?;
    println!(
        "-- xl create: status {} after {:.1} s{}",
        created.status,
        created.took.as_secs_f64(),
        if created.ok() {
            String::new()
        } else {
            created.said()
        }
    );
    let show = |limit: Duration| {
        while let Ok(line) = lines.recv_timeout(limit) {
            let text = String::from_utf8_lossy(&line);
            println!("{:7.2} {}", start.elapsed().as_secs_f64(), text.trim_end());
        }
        let _ = std::io::stdout().flush();
    };
    if created.ok() {
        let each = args.secs.max(1) as u32 / (args.then.len() as u32 + 1).max(1);
        for round in 0..=args.then.len() {
            let end = Instant::now() + Duration::from_secs(u64::from(each.max(1)));
            let mut asked = Instant::now();
            while Instant::now() < end {
                stop::check()?;
                machine.check()?;
                show(Duration::from_millis(100));
                if asked.elapsed() > Duration::from_secs(3) {
                    asked = Instant::now();
                    let state = dom0.run("xl list try 2>/dev/null | tail -n 1", short)?;
                    if !state.stdout.contains("try") && round == args.then.len() {
                        println!("-- the domain is gone");
                        break;
                    }
                }
            }
            if let Some(command) = args.then.get(round) {
                println!("-- {command}");
                let out = dom0.run(command, Duration::from_secs(180))?;
                show(Duration::from_millis(300));
                println!(
                    "-- status {} after {:.1} s{}",
                    out.status,
                    out.took.as_secs_f64(),
                    out.said()
                );
            }
        }
    }
    show(Duration::from_millis(500));
    println!("-- xl list");
    print!(
        "{}",
        dom0.run("xl list; xl vcpu-list try 2>&1", short)?.stdout
    );
    println!("-- xl dmesg");
    print!("{}", dom0.run("xl dmesg", short)?.stdout);
    if !args.leave {
        dom0.run("xl destroy try 2>/dev/null", short)?;
    }
    Ok(())
}

fn incoming() -> String {
    LOG.replace("guest-try", "guest-try--incoming")
}
