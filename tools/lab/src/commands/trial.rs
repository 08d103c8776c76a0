//! `xenlab try`: one guest, its console live.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use object::Object;

use crate::base::child::Guarded;
use crate::base::runs;
use crate::base::stop;
use crate::build::kernel::Arch;
use crate::guest::config::{Config, Kind};
use crate::guest::console;
use crate::host::channel::Channel;
use crate::host::detached::UpState;
use crate::host::machine::Machine;
use crate::host::qemu;
use crate::host::xen_build::{self, Xen};
use crate::host::xl;

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

/// The domain's name, and its files in dom0.
const NAME: &str = "try";
const KERNEL: &str = "/lab/try.elf";
const CONFIG: &str = "/lab/try.cfg";

const SHORT: Duration = Duration::from_secs(60);

/// How often it is looked whether the domain is still there.
const LOOK: Duration = Duration::from_secs(3);

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
    let (needed, why) = args.kind().needed_xen(arch, accel);
    let xen = args.xen.unwrap_or(needed);
    if needed != Xen::default() {
        println!("-- Xen {}; {} is needed: {why}", xen.name(), needed.name());
    }
    let machine = match UpState::load(xen) {
        Some(state) => Machine::attach(&state)?,
        None => Machine::boot(&runs::new("try")?, false, xen)?,
    };
    let dom0 = &machine.dom0;
    xl::destroy_if_there(dom0, &[NAME], SHORT)?;
    let empty = console::logs(NAME).map(|log| format!("; : > {log}"));
    dom0.must(&format!("xl dmesg -c >/dev/null{}", empty.concat()), SHORT)?;
    dom0.put(KERNEL, &elf)?;
    let config = args.config(xen_build::hap(arch, accel));
    dom0.put(CONFIG, config.text().as_bytes())?;
    let shown = Shown::follow(dom0)?;
    if create(dom0, &config)? {
        watch(args, &machine, &shown)?;
    }
    shown.show(Duration::from_millis(500));
    println!("-- xl list");
    let list = format!("xl list; xl vcpu-list {NAME} 2>&1");
    print!("{}", dom0.run(&list, SHORT)?.stdout);
    println!("-- xl dmesg");
    print!("{}", dom0.run("xl dmesg", SHORT)?.stdout);
    if !args.leave {
        xl::destroy_if_there(dom0, &[NAME], SHORT)?;
    }
    Ok(())
}

impl Args {
    fn kind(&self) -> Kind {
        match (self.pv, self.shim) {
            (true, _) => Kind::Pv,
            (_, true) => Kind::Shim,
            _ => Kind::Pvh,
        }
    }

    fn config(&self, hap: bool) -> Config {
        Config {
            name: NAME.into(),
            kind: self.kind(),
            kernel: KERNEL.into(),
            max_vcpus: self.vcpus,
            vcpus: self.vcpus,
            mem: self.mem,
            cmdline: self.cmdline.clone(),
            hap,
            time_offset: 0,
            extra: String::new(),
        }
    }
}

/// Whether `xl create` succeeded.
fn create(dom0: &Channel, config: &Config) -> Result<bool> {
    println!(
        "-- xl create as {}, {} vCPUs, {} MiB",
        config.kind.words(),
        config.vcpus,
        config.mem
    );
    // Verbose: somebody tries a kernel that may not come up.
    let create = format!("xl -v create {CONFIG} 2>&1");
    let created = dom0.run(&create, Duration::from_secs(120))?;
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
    Ok(created.ok())
}

/// Shows what the guest says for the time that was asked for, with the commands in between; ends
/// with the domain, once all commands were run.
fn watch(args: &Args, machine: &Machine, shown: &Shown) -> Result<()> {
    let dom0 = &machine.dom0;
    let each = args.secs.max(1) as u32 / (args.then.len() as u32 + 1).max(1);
    for round in 0..=args.then.len() {
        let end = Instant::now() + Duration::from_secs(u64::from(each.max(1)));
        let mut looked = Instant::now();
        while Instant::now() < end {
            stop::check()?;
            machine.check()?;
            shown.show(Duration::from_millis(100));
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                let gone = xl::listed(dom0, NAME, SHORT)?.is_none();
                if gone && round == args.then.len() {
                    println!("-- the domain is gone");
                    break;
                }
            }
        }
        if let Some(command) = args.then.get(round) {
            println!("-- {command}");
            let out = dom0.run(command, Duration::from_secs(180))?;
            shown.show(Duration::from_millis(300));
            println!(
                "-- status {} after {:.1} s{}",
                out.status,
                out.took.as_secs_f64(),
                out.said()
            );
        }
    }
    Ok(())
}

/// The guest's console, each line with the time since its creation.
struct Shown {
    lines: mpsc::Receiver<Vec<u8>>,
    start: Instant,
    _followers: Vec<Guarded>,
}

impl Shown {
    fn follow(dom0: &Channel) -> Result<Self> {
        let (send, lines) = mpsc::channel::<Vec<u8>>();
        let mut followers = Vec::new();
        for log in console::logs(NAME) {
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
        Ok(Self {
            lines,
            start: Instant::now(),
            _followers: followers,
        })
    }

    /// Prints lines until none has come for so long.
    fn show(&self, quiet: Duration) {
        while let Ok(line) = self.lines.recv_timeout(quiet) {
            let text = String::from_utf8_lossy(&line);
            println!(
                "{:7.2} {}",
                self.start.elapsed().as_secs_f64(),
                text.trim_end()
            );
        }
        let _ = std::io::stdout().flush();
    }
}
