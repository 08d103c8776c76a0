//! A guest of which nothing is known, through a life on real Xen.
//!
//! After each step the domain must exist, must not have crashed, and must be alive in the way that
//! the caller can tell ([`alive`]). Every image goes through savelint. A guest that fails gets what
//! an engineer needs next ([`autopsy`]).

mod action;
mod alive;
mod autopsy;
mod subject;
mod toolstack;

use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure, Context, Result};
use serde::Serialize;

use crate::base::stop;
use crate::host::channel::Channel;
use crate::host::hypervisor;
use crate::host::machine::Machine;
use crate::host::network::Host;
use crate::host::xl;
use crate::life::libvirt;
use crate::life::remus::Remus;
pub use action::Action;
pub use alive::Alive;
use alive::Sign;
pub use subject::{Made, Subject};
pub use toolstack::Toolstack;

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
    pub image: Option<String>,
    /// What is wrong.
    pub findings: Vec<String>,
    /// What else there is to look at, if something is wrong.
    pub autopsy: Vec<String>,
}

/// A guest in its life.
pub struct Life<'m> {
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
    /// Puts the guest's files into dom0, of both hosts if there are two. `ready` are words on its
    /// console that say that it has come up; it may take `limit` for that, and to show that it
    /// lives.
    ///
    /// # Errors
    /// If dom0 does not answer, or a file cannot be read.
    pub fn new(
        first: &'m Machine,
        by: Toolstack,
        subject: &Subject,
        sign: Alive,
        ready: Option<String>,
        limit: Duration,
    ) -> Result<Self> {
        for (machine, host) in first.hosts() {
            subject.put(&machine.dom0)?;
            if by == Toolstack::Libvirt {
                libvirt::begin_daemon(&machine.dom0, host)?;
                machine.dom0.run(&libvirt::forget(&subject.name), XL)?;
            }
        }
        Ok(Self {
            machine: first,
            first,
            by,
            name: subject.name.clone(),
            place: subject.place(),
            sign: Sign::new(sign, &subject.name),
            ready,
            limit,
        })
    }

    /// Does all of it, up to the first step that the guest does not come through, and removes what
    /// is left. `before` and `after` hear of each step.
    ///
    /// # Errors
    /// If the machine is lost.
    pub fn go(
        mut self,
        actions: &[Action],
        before: impl Fn(&Action),
        after: impl Fn(&Step),
    ) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for action in actions {
            before(action);
            let step = self.act(action)?;
            after(&step);
            let ok = step.ok;
            steps.push(step);
            if !ok {
                break;
            }
        }
        self.end()?;
        Ok(steps)
    }

    /// Creates it and saves it, which must succeed, and tries to restore it; gives what savelint and Xen's tools
    /// said of the image, if neither takes it. Removes what is left.
    ///
    /// # Errors
    /// If it does not get as far as to be saved, it is restored, or the machine is lost.
    pub fn not_restored(mut self) -> Result<[String; 2]> {
        let said = self.save_and_not_restore();
        self.end()?;
        said
    }

    fn save_and_not_restore(&mut self) -> Result<[String; 2]> {
        let created = self.act(&Action::Create)?;
        ensure!(created.ok, "create: {}", created.findings.join("; "));
        let saved = self.act(&Action::Save)?;
        let verdict = saved.image.context(saved.findings.join("; "))?;
        ensure!(!saved.ok, "savelint takes the image: {verdict}");
        let command = self
            .by
            .command(&Action::Restore, &self.name, &self.place, "");
        let restore = command.map_err(|why| anyhow!("{why}"))?;
        let output = self.dom0().run(&restore.script, XL)?;
        ensure!(!output.ok(), "Xen takes the image");
        Ok([verdict, format!("{}{}", output.stdout, output.stderr)])
    }

    fn dom0(&self) -> &'m Channel {
        &self.machine.dom0
    }

    /// On which host it is.
    fn host(&self) -> Host {
        self.first.host_of(self.machine)
    }

    /// The host on which it is not.
    fn elsewhere(&self) -> Result<&'m Machine> {
        self.first.beside(self.machine)
    }

    /// Does one thing, and looks whether the guest lives.
    fn act(&mut self, action: &Action) -> Result<Step> {
        let began = Instant::now();
        let from: Vec<u64> = self
            .first
            .hosts()
            .map(|(machine, _)| hypervisor::length(&machine.run))
            .collect();
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
        for (machine, _) in self.first.hosts() {
            machine.dom0.run(&clean, XL)?;
        }
        Ok(())
    }
}
