//! `cargo lab life`: anyone's guest through a life on real Xen ([`crate::black_box`]).

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{bail, Result};

use crate::base::document::{Document, Table};
use crate::base::packages;
use crate::base::runs;
use crate::black_box::{Action, Alive, Life, Made, Step, Subject, Toolstack};
use crate::host::detached::UpState;
use crate::host::machine::{Machine, Spec};
use crate::host::pair;
use crate::host::qemu;
use crate::host::xen_build::Xen;
use crate::report;

/// What to put through it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The guest's xl configuration; its kernel and ramdisk are taken from this host
    #[arg(required_unless_present_any = ["kernel", "linux"], conflicts_with_all = ["kernel", "linux"])]
    config: Option<std::path::PathBuf>,
    #[command(flatten)]
    made: Made,
    /// What is done with it, in this order: create, save, restore, checkpoint, migrate, across (to
    /// the other of two hosts), remus=CHECKPOINTS, vcpu-set=N, mem-set=MIB, nmi, pause=SECONDS,
    /// reboot, shutdown. Without it: create, checkpoint, save, restore, migrate or across, save,
    /// restore, and shutdown if the guest is not Debian's kernel, whose initramfs has nobody that
    /// would power off
    #[arg(long, value_delimiter = ',')]
    actions: Vec<Action>,
    /// Who does it
    #[arg(long, value_enum, default_value_t)]
    by: Toolstack,
    /// 2: two hosts, joined by a network
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    hosts: u8,
    /// The host's processors
    #[arg(long, default_value_t = qemu::CPUS, value_parser = clap::value_parser!(u8).range(1..=64))]
    cpus: u8,
    /// How it shows that it lives, after each step: console:WORDS (they come again),
    /// answer:LINE=WORDS (LINE is typed on its console), node:PATH (a xenstore node of its own that
    /// changes), ping (it copies data/ping to data/pong), cpu (it uses processor time)
    #[arg(long, value_name = "FORM")]
    alive: Option<Alive>,
    /// Words on its console that say that it has come up
    #[arg(long, value_name = "WORDS")]
    ready: Option<String>,
    /// Seconds that it may take to come up, or to show that it lives
    #[arg(long, default_value_t = 90)]
    limit: u64,
    /// The hypervisor; without it Debian's own, or for a PV guest one that can migrate it live
    #[arg(long)]
    xen: Option<Xen>,
    /// The steps as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    fn actions(&self) -> Vec<Action> {
        if !self.actions.is_empty() {
            return self.actions.clone();
        }
        let mut actions = vec![
            Action::Create,
            Action::Checkpoint,
            Action::Save,
            Action::Restore,
            match self.hosts {
                2 => Action::Across,
                _ => Action::Migrate,
            },
            Action::Save,
            Action::Restore,
        ];
        if !self.made.is_linux() {
            actions.push(Action::Shutdown);
        }
        if self.by == Toolstack::Libvirt {
            // It has nothing of the kind on one host.
            actions.retain(|action| *action != Action::Migrate);
        }
        actions
    }

    /// What can be seen to be wrong before anything is booted.
    fn check(&self, actions: &[Action]) -> Result<()> {
        if actions.first() != Some(&Action::Create) {
            bail!("a life begins with create");
        }
        if self.hosts == 1 && actions.contains(&Action::Across) {
            bail!("across needs --hosts 2");
        }
        for action in actions {
            if let Err(why) = self.by.command(action, "", "", "") {
                bail!("{action}: {why}");
            }
        }
        Ok(())
    }

    /// The machine: one that was left running, or one of our own, or two.
    fn machine(&self, pv: bool, run: &Path) -> Result<Machine> {
        let xen = match (self.xen, self.by) {
            (Some(xen), _) => xen,
            (None, Toolstack::Libvirt) => Xen::Debian12Toolstacks,
            (None, Toolstack::Xl) if pv => Xen::Pv32,
            (None, Toolstack::Xl) => Xen::default(),
        };
        if self.by == Toolstack::Libvirt && xen != Xen::Debian12Toolstacks {
            bail!(
                "libvirt is in the dom0 of Xen {} only",
                Xen::Debian12Toolstacks.name()
            );
        }
        let mut spec = Spec::from(xen);
        spec.hardware.cpus = self.cpus;
        if self.hosts == 2 {
            return pair::boot(run, false, [spec, spec]);
        }
        match UpState::load(xen).filter(|_| self.cpus == qemu::CPUS) {
            Some(state) => Machine::attach(&state),
            None => Machine::boot(run, false, spec),
        }
    }
}

/// Puts a guest through a life; exit status 1 if it did not come through.
///
/// # Errors
/// If the machine does not boot, or what was given makes no sense.
pub fn run(args: &Args) -> Result<ExitCode> {
    let actions = args.actions();
    args.check(&actions)?;
    packages::ensure(packages::LAB)?;
    let given = args.config.as_deref().map(Subject::from_config);
    let given = given.transpose()?;
    let pv = given.as_ref().map_or(args.made.is_pv(), Subject::is_pv);
    let run = runs::new("life")?;
    let machine = args.machine(pv, &run)?;
    let subject = match given {
        Some(subject) => subject,
        None => args.made.subject(&machine)?,
    };
    let sign = args
        .alive
        .clone()
        .or_else(|| args.made.sign())
        .unwrap_or(Alive::Cpu);
    let ready = args.ready.clone().or_else(|| args.made.ready());
    let limit = Duration::from_secs(args.limit);
    let life = Life::new(&machine, args.by, &subject, sign, ready, limit)?;
    let before = |action: &Action| {
        if !args.json {
            eprintln!("  {action} ...");
        }
    };
    let after = |step: &Step| {
        if !args.json {
            print_step(step);
        }
    };
    let steps = life.go(&actions, before, after)?;
    document(&subject.name, &machine, &steps, &actions).write(&run)?;
    let failed = steps.iter().any(|step| !step.ok);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&steps)?);
    } else {
        print_sum(&steps, actions.len());
        report::after_a_run();
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print_step(step: &Step) {
    let verdict = if step.ok { "ok" } else { "FAILED" };
    println!(
        "{:24} {verdict:6} {:6.1} s  {}",
        step.step, step.secs, step.seen
    );
    if let Some(image) = &step.image {
        println!("{:24} {image}", "");
    }
    for line in step.findings.iter().chain(&step.autopsy) {
        println!("    {line}");
    }
}

fn print_sum(steps: &[Step], wanted: usize) {
    let done = steps.iter().filter(|step| step.ok).count();
    println!("{done} of {wanted} steps");
    if done < wanted {
        println!("docs/does-not-survive.md says where to look next");
    }
}

/// What the report shows of it.
fn document(name: &str, machine: &Machine, steps: &[Step], actions: &[Action]) -> Document {
    let rows = steps.iter().map(|step| {
        let verdict = if step.ok { "ok" } else { "FAILED" };
        let more = step.findings.iter().chain(&step.autopsy);
        vec![
            step.step.clone(),
            verdict.to_owned(),
            format!("{:.1}", step.secs),
            step.seen.clone(),
            step.image.clone().unwrap_or_default(),
            more.cloned().collect::<Vec<_>>().join("\n"),
        ]
    });
    let hosts = match machine.peer {
        Some(_) => "two hosts",
        None => "one host",
    };
    let xen = machine.spec.xen.name();
    Document {
        title: format!("The life of {name}"),
        notes: vec![format!(
            "{} of {} steps; Xen {xen}, {hosts}",
            steps.iter().filter(|step| step.ok).count(),
            actions.len()
        )],
        tables: vec![Table {
            title: String::new(),
            columns: Table::headings(&[
                "step",
                "",
                "seconds",
                "it lives:",
                "its image",
                "what is wrong",
            ]),
            rows: rows.collect(),
            notes: Vec::new(),
        }],
        ..Document::default()
    }
}
