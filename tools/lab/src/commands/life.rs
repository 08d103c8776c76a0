//! `cargo lab life`: anyone's guest through a life on real Xen.
//!
//! The guest is a black box: an xl configuration, or a kernel. After each step the domain must
//! exist, must not have crashed, and must be alive in the way that the caller can tell ([`alive`]).
//! Every image goes through savelint. A guest that fails gets what an engineer needs next
//! ([`autopsy`]).

mod action;
mod alive;
mod autopsy;
pub mod subject;
mod toolstack;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, Context, Result};
use serde::Serialize;

use crate::base::document::{Document, Table};
use crate::base::packages;
use crate::base::runs;
use crate::base::stop;
use crate::host::channel::Channel;
use crate::host::detached::UpState;
use crate::host::hypervisor;
use crate::host::machine::{Machine, Spec};
use crate::host::network::Host;
use crate::host::pair;
use crate::host::qemu;
use crate::host::xen_build::Xen;
use crate::host::xl;
use crate::life::libvirt;
use crate::life::remus::Remus;
use crate::report;
use action::Action;
use alive::{Alive, Sign};
use subject::Subject;
use toolstack::Toolstack;

/// What to put through it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The guest's xl configuration; its kernel and ramdisk are taken from this host
    #[arg(required_unless_present_any = ["kernel", "linux"], conflicts_with_all = ["kernel", "linux"])]
    config: Option<std::path::PathBuf>,
    #[command(flatten)]
    made: subject::Made,
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

/// The longest that a command of Xen's tools may take.
const XL: Duration = Duration::from_secs(300);

/// What came of one step.
#[derive(Debug, Serialize)]
struct Step {
    step: String,
    ok: bool,
    secs: f64,
    /// What it was seen by that the guest lives.
    seen: String,
    /// What savelint says of the image, if the step made one.
    image: Option<String>,
    /// What is wrong.
    findings: Vec<String>,
    /// What else there is to look at, if something is wrong.
    autopsy: Vec<String>,
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
    for (machine, host) in std::iter::once((&machine, Host::A)).chain(peer_of(&machine)) {
        subject.put(&machine.dom0)?;
        if args.by == Toolstack::Libvirt {
            libvirt::begin_daemon(&machine.dom0, host)?;
            machine.dom0.run(&libvirt::forget(&subject.name), XL)?;
        }
    }
    let mut life = Life {
        machine: &machine,
        first: &machine,
        by: args.by,
        name: subject.name.clone(),
        place: subject.place(),
        sign: Sign::new(sign, &subject.name),
        ready,
        limit: Duration::from_secs(args.limit),
    };
    let mut steps = Vec::new();
    for action in &actions {
        if !args.json {
            eprintln!("  {action} ...");
        }
        let step = life.act(action)?;
        if !args.json {
            print_step(&step);
        }
        let ok = step.ok;
        steps.push(step);
        if !ok {
            break;
        }
    }
    life.end()?;
    document(args, &life, &steps, &actions).write(&run)?;
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
fn document(args: &Args, life: &Life<'_>, steps: &[Step], actions: &[Action]) -> Document {
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
    let hosts = match args.hosts {
        2 => "two hosts",
        _ => "one host",
    };
    let xen = life.first.spec.xen.name();
    Document {
        title: format!("The life of {}", life.name),
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

fn peer_of(machine: &Machine) -> Option<(&Machine, Host)> {
    machine.peer.as_deref().map(|peer| (peer, Host::B))
}

struct Life<'m> {
    /// Where it is now.
    machine: &'m Machine,
    /// Where it began: host a, if there are two.
    first: &'m Machine,
    by: Toolstack,
    name: String,
    /// Where the configuration lies in dom0.
    place: String,
    sign: Sign,
    ready: Option<String>,
    limit: Duration,
}

impl<'m> Life<'m> {
    fn dom0(&self) -> &'m Channel {
        &self.machine.dom0
    }

    /// On which host it is.
    fn host(&self) -> Host {
        match std::ptr::eq(self.machine, self.first) {
            true => Host::A,
            false => Host::B,
        }
    }

    /// The host on which it is not.
    fn elsewhere(&self) -> Result<&'m Machine> {
        match self.host() {
            Host::A => self.first.other(),
            Host::B => Ok(self.first),
        }
    }

    /// Does one thing, and looks whether the guest lives.
    fn act(&mut self, action: &Action) -> Result<Step> {
        let began = Instant::now();
        let logs = |life: &Self| -> [u64; 2] {
            let length = |m: &Machine| hypervisor::length(&m.run);
            [
                length(life.first),
                peer_of(life.first).map_or(0, |(peer, _)| length(peer)),
            ]
        };
        let from = logs(self);
        let mut step = Step {
            step: action.to_string(),
            ok: true,
            secs: 0.0,
            seen: String::new(),
            image: None,
            findings: Vec::new(),
            autopsy: Vec::new(),
        };
        if let Err(error) = self.perform(action, &mut step) {
            stop::check()?;
            self.machine.check()?;
            step.findings.push(format!("{error:#}"));
        }
        step.ok = step.findings.is_empty();
        if !step.ok {
            let from = from[self.host() as usize];
            step.autopsy = autopsy::of(self.machine, &self.name, from, &step.findings)?;
        }
        step.secs = began.elapsed().as_secs_f64();
        Ok(step)
    }

    fn perform(&mut self, action: &Action, step: &mut Step) -> Result<()> {
        let other = self.host().other().name();
        let command = self
            .by
            .command(action, &self.name, &self.place, other)
            .map_err(|why| anyhow!("{why}"))?;
        step.step = command.name;
        let to = match action {
            Action::Across => self.elsewhere()?,
            Action::Remus(_) if self.first.peer.is_some() => self.elsewhere()?,
            _ => self.machine,
        };
        let mark = self.sign.mark(&to.dom0)?;
        match *action {
            Action::Remus(checkpoints) => self.remus(checkpoints)?,
            _ => self.dom0().must(&command.script, XL).map(drop)?,
        }
        self.machine = to;
        if let Some(image) = command.image {
            self.judge(image, step)?;
            if *action == Action::Checkpoint {
                self.dom0().must(&format!("rm {image}"), XL)?;
            }
        }
        if action.ends_domain() {
            self.gone()?;
            step.seen = "the domain is gone".into();
            return Ok(());
        }
        if let (Action::Create | Action::Reboot, Some(words)) = (action, self.ready.clone()) {
            self.sign
                .wait_for_words(self.dom0(), mark, &words, self.limit, || self.crashed())?;
        }
        step.seen = self
            .sign
            .wait(self.dom0(), mark, self.limit, || self.crashed())?;
        Ok(())
    }

    /// Protects it by Remus, lets the primary die, and waits until the backup has its name.
    fn remus(&self, checkpoints: u32) -> Result<()> {
        let to = self.first.peer.as_ref().map(|_| self.host().other());
        let remus = Remus::begin(self.dom0(), &self.name, checkpoints.into(), to)?;
        remus.fail_over(self.limit)?;
        let backup = match to {
            Some(_) => &self.elsewhere()?.dom0,
            None => self.dom0(),
        };
        stop::wait_for("the backup to take over", self.limit, || {
            let listed = xl::listed(backup, &self.name, XL)?;
            Ok(listed.filter(|listed| !listed.is_paused()).map(drop))
        })
        .with_context(|| remus.said())
    }

    /// savelint's verdict on an image in dom0.
    fn judge(&self, image: &str, step: &mut Step) -> Result<()> {
        let script = format!("cat {image}");
        let report = self.dom0().read(&script, XL, |out| {
            savelint::lint(out, &savelint::Options::default(), &mut |_| {})
                .map_err(|why| anyhow::anyhow!("savelint cannot read the image: {why}"))
        })?;
        let verdict = match &report.verdict {
            savelint::Verdict::Restores => "savelint: it can be restored".to_owned(),
            savelint::Verdict::Fails { why, .. } => {
                let words = format!("savelint: it CANNOT be restored: {why}");
                step.findings.push(words.clone());
                words
            }
        };
        step.image = Some(verdict);
        Ok(())
    }

    /// Fails if the domain has crashed or is gone.
    fn crashed(&self) -> Result<()> {
        match xl::listed(self.dom0(), &self.name, XL)? {
            None => bail!("the domain is gone"),
            Some(listed) if listed.has_crashed() => bail!("the domain has crashed"),
            Some(_) => Ok(()),
        }
    }

    fn gone(&self) -> Result<()> {
        stop::wait_for("the domain to go", self.limit, || {
            let id = xl::domid(self.dom0(), &self.name, XL)?;
            Ok(id.is_none().then_some(()))
        })
    }

    fn end(&self) -> Result<()> {
        let clean = self.by.clean_up(&self.name);
        for (machine, _) in std::iter::once((self.first, Host::A)).chain(peer_of(self.first)) {
            machine.dom0.run(&clean, XL)?;
        }
        Ok(())
    }
}
