//! `cargo lab life`: anyone's guest through a life on real Xen.
//!
//! The guest is a black box: an xl configuration, or a kernel. After each step the domain must
//! exist, must not have crashed, and must be alive in the way that the caller can tell ([`alive`]).
//! Every image goes through savelint. A guest that fails gets what an engineer needs next
//! ([`autopsy`]).

mod action;
mod alive;
mod autopsy;
mod subject;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{bail, Result};
use serde::Serialize;

use crate::base::packages;
use crate::base::runs;
use crate::base::stop;
use crate::host::channel::Channel;
use crate::host::detached::UpState;
use crate::host::hypervisor;
use crate::host::machine::Machine;
use crate::host::xen_build::Xen;
use crate::host::xl;
pub use action::Action;
pub use alive::Alive;
use alive::Sign;
pub use subject::Made;
use subject::Subject;

/// What to put through it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The guest's xl configuration; its kernel and ramdisk are taken from this host
    #[arg(required_unless_present_any = ["kernel", "linux"], conflicts_with_all = ["kernel", "linux"])]
    config: Option<std::path::PathBuf>,
    #[command(flatten)]
    made: Made,
    /// What is done with it, in this order: create, save, restore, checkpoint, migrate, vcpu-set=N,
    /// mem-set=MIB, nmi, pause=SECONDS, reboot, shutdown. Without it: create, checkpoint, save,
    /// restore, migrate, save, restore, and shutdown if the guest is not Debian's kernel, whose
    /// initramfs has nobody that would power off
    #[arg(long, value_delimiter = ',')]
    actions: Vec<Action>,
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
            Action::Migrate,
            Action::Save,
            Action::Restore,
        ];
        if !self.made.is_linux() {
            actions.push(Action::Shutdown);
        }
        actions
    }
}

/// The longest that a command of Xen's tools may take.
const XL: Duration = Duration::from_secs(300);

/// What came of one step.
#[derive(Debug, Serialize)]
pub struct Step {
    /// What was done.
    pub step: String,
    /// Whether the guest came through.
    pub ok: bool,
    /// How long it took.
    pub secs: f64,
    /// What it was seen by that the guest lives.
    pub seen: String,
    /// What savelint says of the image, if the step made one.
    image: Option<String>,
    /// What is wrong.
    pub findings: Vec<String>,
    /// What else there is to look at, if something is wrong.
    autopsy: Vec<String>,
}

/// Puts a guest through a life; exit status 1 if it did not come through.
///
/// # Errors
/// If the machine does not boot, or what was given makes no sense.
pub fn run(args: &Args) -> Result<ExitCode> {
    let actions = args.actions();
    if actions.first() != Some(&Action::Create) {
        bail!("a life begins with create");
    }
    packages::ensure(packages::LAB)?;
    let given = args.config.as_deref().map(Subject::from_config);
    let given = given.transpose()?;
    let pv = given.as_ref().map_or(args.made.is_pv(), Subject::is_pv);
    let xen = args
        .xen
        .unwrap_or(if pv { Xen::Pv32 } else { Xen::default() });
    let machine = match UpState::load(xen) {
        Some(state) => Machine::attach(&state)?,
        None => Machine::boot(&runs::new("life")?, false, xen)?,
    };
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
    let life = Life::new(&machine, &subject, sign, ready, limit)?;
    let steps = life.go(
        &actions,
        |action| {
            if !args.json {
                eprintln!("  {action} ...");
            }
        },
        |step| {
            if !args.json {
                print_step(step);
            }
        },
    )?;
    let failed = steps.iter().any(|step| !step.ok);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&steps)?);
    } else {
        print_sum(&steps, actions.len());
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Puts a kernel through a life on a machine that runs, up to the first step that it does not come
/// through; gives the steps. `told` hears of each.
///
/// # Errors
/// If the machine is lost.
pub fn of_kernel(
    machine: &Machine,
    made: &Made,
    sign: Alive,
    actions: &[Action],
    limit: Duration,
    told: impl FnMut(&Step),
) -> Result<Vec<Step>> {
    let subject = made.subject(machine)?;
    let life = Life::new(machine, &subject, sign, None, limit)?;
    life.go(actions, |_| {}, told)
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

struct Life<'m> {
    machine: &'m Machine,
    name: String,
    /// Where the configuration lies in dom0.
    place: String,
    sign: Sign,
    ready: Option<String>,
    limit: Duration,
}

impl<'m> Life<'m> {
    /// Puts the guest into dom0.
    fn new(
        machine: &'m Machine,
        subject: &Subject,
        sign: Alive,
        ready: Option<String>,
        limit: Duration,
    ) -> Result<Self> {
        subject.put(&machine.dom0)?;
        Ok(Life {
            machine,
            name: subject.name.clone(),
            place: subject.place(),
            sign: Sign::new(sign, &subject.name),
            ready,
            limit,
        })
    }

    /// Does one thing after the other, up to the first that goes wrong.
    fn go(
        &self,
        actions: &[Action],
        mut begins: impl FnMut(&Action),
        mut ended: impl FnMut(&Step),
    ) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for action in actions {
            begins(action);
            let step = self.act(action)?;
            ended(&step);
            let ok = step.ok;
            steps.push(step);
            if !ok {
                break;
            }
        }
        self.end()?;
        Ok(steps)
    }

    fn dom0(&self) -> &Channel {
        &self.machine.dom0
    }

    /// Does one thing, and looks whether the guest lives.
    fn act(&self, action: &Action) -> Result<Step> {
        let began = Instant::now();
        let from = hypervisor::length(&self.machine.run);
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
            step.autopsy = autopsy::of(self.machine, &self.name, from, &step.findings)?;
        }
        step.secs = began.elapsed().as_secs_f64();
        Ok(step)
    }

    fn perform(&self, action: &Action, step: &mut Step) -> Result<()> {
        let mark = self.sign.mark(self.dom0())?;
        self.dom0()
            .must(&action.script(&self.name, &self.place), XL)?;
        if let Some(image) = action.image() {
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
        let name = &self.name;
        let destroy = xl::destroy_script(&[name, &format!("{name}--incoming")]);
        self.dom0()
            .run(&format!("{destroy}; rm -f /lab/life.*"), XL)
            .map(drop)
    }
}
