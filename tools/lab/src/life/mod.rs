//! A guest's life as a list of actions, with a check after each.
//!
//! An action asks Xen's tools for something and then waits for the *events* that must follow, with
//! a generous limit (the lab is emulated); it never waits for time to pass. The checks are those of
//! [`crate::life::check`]. What two hosts add is in [`across`], what goes wrong on purpose in [`fault`],
//! what other toolstacks do in [`toolstacks`] and [`libvirt`].

mod across;
pub mod check;
pub mod fault;
mod hardship;
pub mod libvirt;
mod memory;
mod nmi;
mod toolstacks;
mod unheard;
mod unread;
mod vcpus;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use serde_json::json;

use crate::base::child::Output;
use crate::base::clock::unix;
use crate::base::stop;
use crate::guest::config::Config;
use crate::guest::console::{self, Console};
use crate::guest::event::Event;
use crate::host::hypervisor;
use crate::host::labprobe;
use crate::host::machine::Machine;
use crate::host::pair;
use check::{Findings, GivenUp};
use fault::Fault;
use libvirt::Virsh;

/// Something done to a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `xl create`, until the guest is ready.
    Boot,
    /// The same, until churn runs on every vCPU.
    Create,
    /// `xl create` of a guest that cannot run here: it says so, with these words, and ends.
    BootFails(&'static str),
    /// Until this many more churn events came.
    Churn(usize),
    /// `xl vcpu-set`.
    VcpuSet(u64),
    /// `xl save`: the domain is gone afterwards.
    Save,
    /// `xl restore` of that.
    Restore,
    /// `xl save -c`: the domain goes on.
    Checkpoint,
    /// `xl migrate` to the same host.
    Migrate,
    /// A line to the console and a value in xenstore, both answered.
    Ping,
    /// The console's `drain` command.
    Drain,
    /// The console's `faults` command: suspends are rehearsed in which one hypercall after the
    /// other fails.
    Faults,
    /// `control/shutdown` with a word nobody knows.
    Unknown,
    /// `xl reboot`.
    Reboot,
    /// `xl shutdown`: the domain is gone afterwards.
    Poweroff,
    /// `control/shutdown` with `halt`: the domain is gone afterwards.
    Halt,
    /// `xl vcpu-set` while `xl save -c` is under way.
    VcpuSetDuringCheckpoint(u64),
    /// `xl restore`, and `xl vcpu-set` before the guest runs again.
    RestoreThenVcpuSet(u64),
    /// `xl save` of a guest that must refuse: its `suspend-failed` holds all these words, and it
    /// runs on.
    SaveRefused(&'static [&'static str]),
    /// The same, given up elsewhere, or by somebody else's fault.
    SaveGivenUp(GivenUp, &'static [&'static str]),
    /// `xl save` of a guest whose drain is switched off: `xl` must not notice, and the drain must
    /// be incomplete.
    SaveUndrained,
    /// `xl save` of a guest that it says nothing about, although something is wrong in it. With a
    /// place: an `error` event from there belongs to it.
    SaveAnyway(Option<&'static str>),
    /// `xl restore` of that: Xen must refuse, and `xl` must say this.
    RestoreFails(&'static str),
    /// `xl restore` succeeds, and then the guest meets an error of Xen's at this place.
    RestoreThenError(&'static str),
    /// Another domain, never run, takes the memory that the saved one had.
    Occupy,
    /// `xl migrate` to the same host, of which this Xen must say that it cannot; the guest runs on.
    MigrateRefused(&'static str),
    /// `xl migrate` to the other of two hosts.
    Across,
    /// The same, which the other host must refuse; words of its reason.
    RefusedAcross(&'static str),
    /// The saved image goes to the other host.
    Carry,
    /// Something that goes wrong.
    Fault(Fault),
    /// The console's `starve`: so many frames are left to be taken.
    Starve(u64),
    /// The console's `starve off`.
    Feed,
    /// The console's `step`: a debug exception that nobody asked for.
    Step,
    /// `xl save` and `xl restore` again and again; each time the next hypercall of the way back is
    /// refused once.
    ResumeFaults,
    /// `xl trigger nmi` for each online vCPU in turn, until so many have arrived.
    Nmis(u64),
    /// A storm of NMIs to every vCPU while these are done.
    UnderNmis(&'static [Action]),
    /// `xl trigger nmi` for a vCPU that is not online.
    NmiOffline(u64),
    /// The other words of `xl trigger`.
    Triggers,
    /// The console's `interrupt` and `machine-check`: vectors that nothing in the guest uses.
    Vectors,
    /// `cpu/*/availability` written so that exactly these vCPUs are wanted.
    Online(&'static [u64]),
    /// `xl restore` with another configuration: so many vCPUs online, and so many possible.
    RestoreAs(u32, u32),
    /// `xl vcpu-set`, in the middle of which the domain is paused for longer than the guest waits
    /// for a vCPU.
    PausedInTakeDown(u64),
    /// This vCPU is wanted online while it is kept from running.
    LateToCome(u64),
    /// This vCPU is wanted offline while it is kept from running.
    LateToLeave(u64),
    /// `xl mem-set` to so many MiB, until the guest has them.
    MemSet(u64),
    /// The same, to fewer than the guest can do with, or will: nobody waits until it has.
    MemSetBelow(u64),
    /// `xl mem-set` while `xl migrate` is under way, which may fail by it.
    MemSetDuringMigrate(u64),
    /// `xl remus` until so many checkpoints were taken; then the primary dies and the backup takes
    /// over.
    Remus(u64),
    /// `xl migrate` as Ganeti calls it.
    Ganeti,
    /// `control/feature-suspend` and others are 1.
    Advertised,
    /// Requests that are removed and written again in one transaction, as xapi does.
    Xapi,
    /// `poweroff`, asked for in that way: the domain is gone afterwards.
    XapiPoweroff,
    /// A command of libvirt's.
    Virsh(Virsh),
    /// `xl vcpu-set`, which the guest cannot read in time: xenstored is stopped.
    VcpuSetUnheard(u64),
    /// `xl save -c`, whose request the guest cannot read in time: xenstored is stopped.
    CheckpointUnheard,
    /// `xl save -c` with the console's ring full: xenconsoled is stopped.
    CheckpointUnread,
    /// `xl restore` of a guest that cannot live on: it says so, with these words, and ends as
    /// crashed.
    RestoreCrashes(&'static str),
    /// A suspend is asked for in a node that the guest cannot write.
    Unanswerable,
    /// The guest says in xenstore why it cannot be suspended, or does not.
    CannotSuspend(bool),
}

impl Action {
    /// As a person would write it.
    pub fn name(&self) -> String {
        match self {
            Self::Boot | Self::Create => "xl create".into(),
            Self::BootFails(_) => "xl create of a guest that says why it cannot run".into(),
            Self::Churn(n) => format!("churn, {n} more reports"),
            Self::VcpuSet(n) => format!("xl vcpu-set {n}"),
            Self::Save => "xl save".into(),
            Self::Restore => "xl restore".into(),
            Self::Checkpoint => "xl save -c".into(),
            Self::Migrate => "xl migrate".into(),
            Self::Ping => "ping by console and xenstore".into(),
            Self::Drain => "drain on request".into(),
            Self::Faults => "every hypercall of a suspend fails once".into(),
            Self::Unknown => "an unknown request".into(),
            Self::Reboot => "xl reboot".into(),
            Self::Poweroff => "xl shutdown".into(),
            Self::Halt => "halt".into(),
            Self::RestoreThenVcpuSet(n) => format!("xl restore, xl vcpu-set {n} before it runs"),
            Self::VcpuSetDuringCheckpoint(n) => format!("xl vcpu-set {n} during xl save -c"),
            Self::Across => "xl migrate to the other host".into(),
            Self::RefusedAcross(_) => "xl migrate, which is refused".into(),
            Self::Carry => "the image goes to the other host".into(),
            Self::Fault(fault) => fault.name(),
            Self::Starve(n) => format!("{n} frames are left"),
            Self::Feed => "all frames are there again".into(),
            Self::Step => "a debug exception from nowhere".into(),
            Self::ResumeFaults => "every hypercall after a restore fails once".into(),
            Self::Nmis(n) => format!("{n} times xl trigger nmi"),
            Self::UnderNmis(actions) => {
                let names: Vec<String> = actions.iter().map(Self::name).collect();
                format!("a storm of NMIs through {}", names.join(", "))
            }
            Self::NmiOffline(vcpu) => format!("xl trigger nmi for vCPU {vcpu}, which is offline"),
            Self::Triggers => "the other xl triggers".into(),
            Self::Vectors => "vectors that nobody uses".into(),
            Self::Online(vcpus) => format!("exactly vCPUs {vcpus:?}"),
            Self::RestoreAs(vcpus, max) => format!("xl restore with {vcpus} of {max} vCPUs"),
            Self::PausedInTakeDown(n) => format!("xl vcpu-set {n}, paused in the middle"),
            Self::LateToCome(vcpu) => format!("vCPU {vcpu} comes late"),
            Self::LateToLeave(vcpu) => format!("vCPU {vcpu} leaves late"),
            Self::MemSet(mib) => format!("xl mem-set {mib}"),
            Self::MemSetDuringMigrate(mib) => format!("xl mem-set {mib} during xl migrate"),
            Self::MemSetBelow(mib) => format!("xl mem-set {mib}, which is too little"),
            Self::Remus(n) => format!("xl remus, {n} checkpoints, then the primary dies"),
            Self::Ganeti => "xl migrate through socat".into(),
            Self::Advertised => "what the guest advertises".into(),
            Self::Xapi => "requests in a transaction".into(),
            Self::Virsh(command) => command.name(),
            Self::XapiPoweroff => "poweroff in a transaction".into(),
            Self::VcpuSetUnheard(n) => format!("xl vcpu-set {n} while xenstored is stopped"),
            Self::CheckpointUnheard => "xl save -c while xenstored is stopped".into(),
            Self::CheckpointUnread => "xl save -c while nobody reads the console".into(),
            Self::RestoreCrashes(_) => "xl restore of a guest that cannot live on".into(),
            Self::Unanswerable => "a request that cannot be answered".into(),
            Self::CannotSuspend(true) => "xenstore says why it cannot be suspended".into(),
            Self::CannotSuspend(false) => "xenstore says nothing against a suspend".into(),
            Self::SaveRefused(_) | Self::SaveGivenUp(..) => "xl save, refused by the guest".into(),
            Self::SaveUndrained => "xl save, not drained".into(),
            Self::SaveAnyway(_) => "xl save, which cannot know better".into(),
            Self::RestoreFails(_) => "xl restore, refused by Xen".into(),
            Self::RestoreThenError(_) => "xl restore, and an error".into(),
            Self::Occupy => "another domain's xl create".into(),
            Self::MigrateRefused(_) => "xl migrate, refused by Xen".into(),
        }
    }

    /// Whether the hypervisor's own words belong to what is to be seen.
    fn is_refused_by_xen(&self) -> bool {
        matches!(
            self,
            Self::RestoreFails(_) | Self::RestoreThenError(_) | Self::MigrateRefused(_)
        )
    }

    /// Whether an event that would otherwise be a finding belongs to the action.
    fn expects(&self, event: &Event) -> bool {
        match self {
            Self::SaveRefused(_) | Self::SaveGivenUp(..) | Self::Unanswerable => {
                event.ev == "suspend-failed"
            }
            Self::BootFails(_) | Self::RestoreCrashes(_) => event.ev == "panic",
            Self::SaveAnyway(Some(place)) | Self::RestoreThenError(place) => {
                event.is("error", "where", place)
            }
            // What was refused and then granted, or not needed, is told as an error too.
            Self::Faults | Self::ResumeFaults => event.is("error", "party", "xen"),
            Self::Step => event.is("error", "where", "debug"),
            Self::Vectors => {
                event.is("error", "where", "interrupt")
                    || event.is("error", "where", "machine check")
            }
            Self::LateToCome(_) => event.is("error", "where", "cpu-up"),
            Self::LateToLeave(_) => event.is("error", "where", "cpu-down"),
            Self::VcpuSetUnheard(_) => event.is("error", "where", "cpu/*/availability"),
            Self::CheckpointUnheard => event.is("error", "where", "control/shutdown"),
            Self::UnderNmis(actions) => actions.iter().any(|action| action.expects(event)),
            _ => false,
        }
    }
}

/// The main job: what the demo shows and the suite checks, for each word size.
pub fn main_job() -> Vec<Action> {
    use Action::{Checkpoint, Create, Migrate, Ping, Poweroff, Restore, Save, VcpuSet};
    vec![
        Create,
        VcpuSet(2),
        VcpuSet(4),
        Save,
        Restore,
        Ping,
        Save,
        Restore,
        Ping,
        Checkpoint,
        Ping,
        Migrate,
        Ping,
        VcpuSet(3),
        VcpuSet(4),
        Poweroff,
    ]
}

/// What `xl migrate` says of a PV guest on a Xen without shadow paging, which alone could tell it
/// what a running guest writes.
pub const NO_LIVE_MIGRATION: &str = "Migration failed, failed to suspend at sender";

/// The life of a 64-bit PV guest on a Xen that cannot migrate it live.
pub fn pv_job_without_migration() -> Vec<Action> {
    let mut job = main_job();
    for action in &mut job {
        if *action == Action::Migrate {
            *action = Action::MigrateRefused(NO_LIVE_MIGRATION);
        }
    }
    job
}

/// What an action led to.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Step {
    /// The action.
    pub step: String,
    /// What is wrong; empty if nothing.
    pub findings: Findings,
    /// Seconds.
    pub secs: f64,
    /// Sets drained from each vCPU's cache, where a drain belongs to the action.
    pub drained: String,
    /// What was checked, in words.
    pub checked: String,
    /// What the hypervisor said meanwhile, if it was asked to refuse something or something was
    /// found.
    pub xen: Vec<String>,
}

impl Step {
    /// Whether nothing was found.
    pub fn ok(&self) -> bool {
        self.findings.is_empty()
    }
}

/// The run's `timeline.jsonl`.
pub struct Timeline {
    dir: PathBuf,
    file: Mutex<File>,
    start: Instant,
}

impl Timeline {
    /// Opens the one in this folder (it may hold earlier entries).
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(run: &std::path::Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(run.join("timeline.jsonl"))
            .context("cannot write timeline.jsonl")?;
        Ok(Self {
            dir: run.to_path_buf(),
            file: Mutex::new(file),
            start: Instant::now(),
        })
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// If the disk is full, for one.
    pub fn add(&self, guest: &str, what: &str, result: &str) -> Result<()> {
        let entry = json!({
            "unix": unix(), "secs": self.start.elapsed().as_secs_f64(),
            "guest": guest, "what": what, "result": result,
        });
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        writeln!(file, "{entry}").context("cannot write timeline.jsonl")
    }
}

/// A guest in its life.
pub struct Life<'m> {
    /// Where the guest is.
    machine: &'m Machine,
    /// Where it was made.
    first: &'m Machine,
    config: Config,
    console: Console,
    timeline: &'m Timeline,
    online: Vec<u64>,
    round: u64,
    /// Events before this index belong to earlier actions.
    mark: usize,
    /// Events before this index are of a primary whose backup took over since: its last rounds are
    /// not the backup's.
    history: usize,
    /// How long to wait for an event.
    limit: Duration,
    pings: u32,
    /// When the present action began.
    began: Instant,
    /// A suspend was cancelled since the domain was made: see [`Life::leave`].
    unwatched: bool,
    /// How long Xen's log was when this life began.
    born: u64,
    /// The present action's: whose log, and how long it was when the action began.
    xen_log: (PathBuf, u64),
}

/// The longest a command of Xen's tools may take.
const XL: Duration = Duration::from_secs(240);

/// How many more churn reports a vCPU has that did nothing between the first two.
const PATIENCE: usize = 4;

impl<'m> Life<'m> {
    /// Prepares a guest; it does not exist yet.
    ///
    /// # Errors
    /// If dom0 does not answer or the kernel cannot be read.
    pub fn new(
        machine: &'m Machine,
        timeline: &'m Timeline,
        mut config: Config,
        elf: PathBuf,
        limit: Duration,
    ) -> Result<Self> {
        let name = config.name.clone();
        let dom0 = &machine.dom0;
        dom0.run(&format!("xl destroy {name} 2>/dev/null"), XL)?;
        let bytes = std::fs::read(&elf)
            .with_context(|| format!("cannot read {} (cargo lab build makes it)", elf.display()))?;
        config.kernel = format!("/lab/{name}.elf");
        dom0.put(&config.kernel, &bytes)?;
        let mut text = config.text();
        if machine.peer.is_some() {
            text.push_str(&format!("cpus = \"{}\"\n", pair::GUEST_CPU));
        }
        dom0.put(&format!("/lab/{name}.cfg"), text.as_bytes())?;
        let console = Console::follow(dom0, &name, &timeline.dir)?;
        let mut life = Self {
            machine,
            first: machine,
            online: (0..u64::from(config.vcpus)).collect(),
            config,
            console,
            timeline,
            round: 0,
            mark: 0,
            history: 0,
            limit,
            pings: 0,
            began: Instant::now(),
            unwatched: false,
            born: hypervisor::length(&machine.run),
            xen_log: (machine.run.clone(), hypervisor::length(&machine.run)),
        };
        life.meet_peer()?;
        Ok(life)
    }

    /// Does one action and checks it.
    ///
    /// # Errors
    /// Only what ends the whole run: an interruption, a machine that is gone, a full disk. What the
    /// guest does wrong is a finding in the step.
    pub fn act(&mut self, action: &Action) -> Result<Step> {
        let name = action.name();
        self.began = Instant::now();
        self.timeline.add(&self.config.name, &name, "begins")?;
        let mut step = Step {
            step: name.clone(),
            ..Step::default()
        };
        let from = hypervisor::length(&self.machine.run);
        self.xen_log = (self.machine.run.clone(), from);
        if let Err(error) = self.perform(action, &mut step) {
            stop::check()?;
            self.first.check()?;
            step.findings.push(format!("{error:#}"));
        }
        let window = self.window();
        let unexpected: Vec<Event> = window
            .iter()
            .filter(|event| !action.expects(event))
            .cloned()
            .collect();
        step.findings.extend(check::alarms(&unexpected));
        // A domain that arrives by migration has a console log of its own, and the two are read
        // side by side: there is no order between their lines.
        if !matches!(
            action,
            Action::Migrate
                | Action::MemSetDuringMigrate(_)
                | Action::Across
                | Action::Reboot
                | Action::Fault(_)
                | Action::UnderNmis(_)
                | Action::Remus(_)
                | Action::Ganeti
                | Action::Virsh(Virsh::Migrate | Virsh::Reboot)
        ) {
            step.findings.extend(check::clocks(&window));
        }
        let broken = std::mem::take(&mut self.console.said().broken);
        step.findings.extend(
            broken
                .into_iter()
                .map(|line| format!("a broken event, {line}")),
        );
        if !step.ok() || action.is_refused_by_xen() {
            step.xen = hypervisor::said_since(&self.machine.run, from);
        }
        if !step.ok() {
            let broken = hypervisor::emulator_fault_since(&self.machine.run, self.born);
            step.findings
                .extend(broken.map(|broken| broken.to_string()));
        }
        step.secs = self.began.elapsed().as_secs_f64();
        self.mark += window.len();
        let result = if step.ok() {
            "ok".to_owned()
        } else {
            step.findings.join("; ")
        };
        self.timeline.add(&self.config.name, &name, &result)?;
        Ok(step)
    }

    /// How long to wait for an event from now on.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// What the guest has said so far.
    pub fn events(&self) -> Vec<Event> {
        self.console.said().events.clone()
    }

    /// Has the guest measure itself; gives its `bench` events.
    ///
    /// # Errors
    /// If it does not end its bench in time, or dom0 does not answer.
    pub fn bench(&mut self) -> Result<Vec<Event>> {
        self.type_line("bench")?;
        self.wait("bench-end", |e| e.ev == "bench-end")?;
        let mut events = self.window();
        events.retain(|event| event.ev == "bench");
        Ok(events)
    }

    /// Where dom0 types on the guest's console, as long as it is the same domain.
    ///
    /// # Errors
    /// If dom0 does not answer.
    pub fn tty(&self) -> Result<String> {
        let id = self.domid()?;
        let read = format!("xenstore-read /local/domain/{id}/console/tty");
        Ok(self.machine.dom0.must(&read, XL)?.trim().to_owned())
    }

    /// Types lines there; gives the event that answers the last one.
    ///
    /// # Errors
    /// If it does not come in time, or dom0 does not answer.
    pub fn ask(&mut self, tty: &str, lines: &[&str], answer: &str) -> Result<Event> {
        self.xl(&format!(
            "printf '%s\n' '{}' > \"{tty}\"",
            lines.join("' '")
        ))?;
        let event = self.wait(answer, |e| e.ev == answer)?;
        self.mark += self.window().len();
        Ok(event)
    }

    /// `xl save -c`, the image thrown away; gives what the guest said of it. For figures: unlike
    /// [`Action::Checkpoint`] it asks for no churn.
    ///
    /// # Errors
    /// If `xl` fails, the guest does not come back, or it says that something is wrong.
    pub fn checkpoint(&mut self) -> Result<Vec<Event>> {
        self.xl(&format!("xl save -c {} /dev/null", self.config.name))?;
        self.round += 1;
        self.unwatched = true;
        self.wait("verify", |e| e.is("verify", "why", "cancelled"))?;
        let events = self.window();
        let alarms = check::alarms(&events);
        if !alarms.is_empty() {
            bail!("the guest said: {}", alarms.join("; "));
        }
        self.mark += events.len();
        Ok(events)
    }

    /// Destroys the domain.
    ///
    /// # Errors
    /// If dom0 does not answer.
    pub fn end(&mut self) -> Result<()> {
        let name = &self.config.name;
        let other = other_name(name);
        let clean = format!(
            "for d in {name} {name}--incoming {other}; do xl destroy $d 2>/dev/null; done; rm -f /lab/{name}.* /lab/{other}.*"
        );
        for machine in std::iter::once(self.first).chain(self.first.peer.as_deref()) {
            machine.dom0.run(&clean, XL)?;
        }
        Ok(())
    }

    fn perform(&mut self, action: &Action, step: &mut Step) -> Result<()> {
        let name = self.config.name.clone();
        match *action {
            Action::Boot | Action::Create => {
                self.xl(&format!("xl create /lab/{name}.cfg"))?;
                self.begins_here()?;
                let event = self.wait("ready", |e| e.ev == "ready")?;
                step.findings.extend(self.ready());
                self.check_wall_clock(&event, step)?;
                if *action == Action::Create {
                    self.churn_on(step, 1)?;
                }
            }
            Action::BootFails(words) => self.boot_fails(step, words)?,
            Action::Churn(n) => self.churn_on(step, n)?,
            Action::VcpuSet(n) => {
                let (old, new) = (self.online.clone(), (0..n).collect::<Vec<_>>());
                self.xl(&format!("xl vcpu-set --ignore-host {name} {n}"))?;
                self.hotplugged(&old, &new, step)?;
                self.churn_on(step, 1)?;
            }
            Action::Save => {
                self.save()?;
                self.suspended(step)?;
            }
            Action::SaveRefused(words) => self.save_refused(step, GivenUp::IN_AUDIT, words)?,
            Action::SaveGivenUp(given_up, words) => self.save_refused(step, given_up, words)?,
            Action::SaveUndrained => {
                self.save()?;
                self.undrained(step);
            }
            Action::SaveAnyway(place) => {
                self.save()?;
                if let Some(place) = place {
                    let event = self.wait("the error", |e| e.is("error", "where", place))?;
                    step.checked = event.text("msg").unwrap_or_default().to_owned();
                }
            }
            Action::RestoreFails(words) => self.restore_fails(step, words)?,
            Action::RestoreThenError(place) => {
                self.xl(&format!("xl restore /lab/{name}.save"))?;
                let event = self.wait("the error", |e| e.is("error", "where", place))?;
                step.checked = event.text("msg").unwrap_or_default().to_owned();
            }
            Action::Occupy => self.occupy()?,
            Action::MigrateRefused(words) => self.migrate_refused(step, words)?,
            Action::Restore => {
                self.xl(&format!("xl restore /lab/{name}.save"))?;
                self.machine
                    .dom0
                    .run(&format!("rm -f /lab/{name}.save"), XL)?;
                self.came_back(step, "restored")?;
            }
            Action::Checkpoint => {
                self.xl(&format!(
                    "xl save -c {name} /lab/{name}.check && rm /lab/{name}.check"
                ))?;
                self.round += 1;
                self.suspended(step)?;
                self.came_back(step, "cancelled")?;
            }
            Action::Migrate => {
                self.migrate()?;
                self.round += 1;
                self.suspended(step)?;
                self.came_back(step, "restored")?;
            }
            Action::VcpuSetDuringCheckpoint(n) => {
                let (old, new) = (self.online.clone(), (0..n).collect::<Vec<_>>());
                self.xl(&format!(
                    "xl save -c {name} /lab/{name}.check & save=$!; xl vcpu-set --ignore-host {name} {n}; wait $save && rm /lab/{name}.check"
                ))?;
                self.round += 1;
                self.unwatched = true;
                self.suspended(step)?;
                let round = self.round;
                self.wait("resumed", |e| {
                    e.ev == "resumed" && e.num("round") == Some(round)
                })?;
                // Which of the two the guest takes first is its own choice; both must be done in
                // the end.
                self.hotplugged(&old, &new, step)?;
                self.churn_on(step, 1)?;
            }
            Action::RestoreThenVcpuSet(n) => {
                let (old, new) = (self.online.clone(), (0..n).collect::<Vec<_>>());
                self.xl(&format!(
                    "xl restore -p /lab/{name}.save && xl vcpu-set --ignore-host {name} {n} && xl unpause {name}"
                ))?;
                self.unwatched = false;
                let round = self.round;
                self.wait("resumed", |e| {
                    e.ev == "resumed" && e.num("round") == Some(round)
                })?;
                self.hotplugged(&old, &new, step)?;
                self.churn_on(step, 1)?;
            }
            Action::Across => self.migrate_across(step)?,
            Action::RefusedAcross(words) => self.refused_across(words, step)?,
            Action::Carry => self.carry(step)?,
            Action::Fault(fault) => self.suffer(fault, step)?,
            Action::Starve(left) => self.starve(left, step)?,
            Action::Feed => self.feed(step)?,
            Action::Step => self.step_once(step)?,
            Action::ResumeFaults => self.resume_faults(step)?,
            Action::Nmis(n) => self.nmis(n, step)?,
            Action::UnderNmis(actions) => self.under_nmis(actions, step)?,
            Action::NmiOffline(vcpu) => self.nmi_offline(vcpu, step)?,
            Action::Triggers => self.triggers(step)?,
            Action::Vectors => self.vectors(step)?,
            Action::Online(vcpus) => self.online_exactly(vcpus, step)?,
            Action::RestoreAs(vcpus, max) => self.restore_as(vcpus, max, step)?,
            Action::PausedInTakeDown(left) => self.paused_in_take_down(left, step)?,
            Action::LateToCome(vcpu) => self.late(vcpu, true, step)?,
            Action::LateToLeave(vcpu) => self.late(vcpu, false, step)?,
            Action::MemSet(mib) => self.mem_set(mib, step)?,
            Action::MemSetDuringMigrate(mib) => self.mem_set_during_migrate(mib, step)?,
            Action::MemSetBelow(mib) => self.xl(&format!("xl mem-set {name} {mib}m"))?,
            Action::Remus(checkpoints) => self.remus(checkpoints, step)?,
            Action::Ganeti => self.ganeti(step)?,
            Action::Advertised => self.advertised(step)?,
            Action::Xapi => self.xapi(step)?,
            Action::XapiPoweroff => self.xapi_poweroff(step)?,
            Action::Virsh(command) => self.by_libvirt(command, step)?,
            Action::VcpuSetUnheard(n) => self.vcpu_set_unheard(n, step)?,
            Action::CheckpointUnheard => self.checkpoint_unheard(step)?,
            Action::CheckpointUnread => self.checkpoint_unread(step)?,
            Action::RestoreCrashes(words) => {
                self.xl(&format!("xl restore /lab/{name}.save"))?;
                self.last_words(step, words)?;
            }
            Action::Unanswerable => self.unanswerable(step)?,
            Action::CannotSuspend(cannot) => self.cannot_suspend(cannot, step)?,
            Action::Ping => self.ping(step)?,
            Action::Faults => {
                self.type_line("faults")?;
                let event = self.wait("faults-end", |e| e.ev == "faults-end")?;
                step.findings.extend(check::faults(&self.window()));
                step.findings
                    .extend(check::verify(&self.window(), "faults", &self.online));
                step.checked = format!(
                    "{} faults: {} suspends given up, {} went on",
                    event.num("faults").unwrap_or(0),
                    event.num("gave_up").unwrap_or(0),
                    event.num("went_on").unwrap_or(0)
                );
                self.churn_on(step, 2)?;
            }
            Action::Drain => {
                self.type_line("drain")?;
                let event = self.wait("drain", |e| e.is("drain", "why", "request"))?;
                step.drained = drained(&event);
                step.findings
                    .extend(check::drain(&event, self.config.max_vcpus as usize));
                self.churn_on(step, 1)?;
            }
            Action::Unknown => {
                // Another word each time: the same is told of at a growing interval.
                self.pings += 1;
                let word = format!("dance{}", self.pings);
                self.request(&word)?;
                let event = self.wait("control", |e| e.is("control", "request", &word))?;
                if event.text("answer") != Some("refused") {
                    step.findings
                        .push(format!("an unknown request was {:?}", event.text("answer")));
                }
                step.checked = "refused".into();
                self.churn_on(step, 1)?;
            }
            Action::Reboot => {
                self.xl(&format!("xl reboot {name}"))?;
                self.rebooted(step)?;
            }
            Action::Poweroff | Action::Halt => {
                let why = if *action == Action::Halt {
                    self.request("halt")?;
                    "halt"
                } else {
                    self.xl(&format!("xl shutdown {name}"))?;
                    "poweroff"
                };
                self.wait("end", |e| e.is("end", "why", why))?;
                self.leave()?;
                step.checked = "its last line said; the domain is gone".into();
            }
        }
        Ok(())
    }

    /// The guest ended for a reboot, and a new one runs in its place.
    fn rebooted(&mut self, step: &mut Step) -> Result<()> {
        self.wait("end", |e| e.is("end", "why", "reboot"))?;
        // Only what the new domain says may be compared.
        self.begins_here()?;
        // It has the vCPUs that were online: xl reads their availability out of the old domain
        // (libxl_retrieve_domain_configuration, libxl_domain.c), and starts the new one with these.
        self.round = 0;
        self.wait("ready", |e| e.ev == "ready")?;
        step.findings.extend(self.ready());
        self.churn_on(step, 1)
    }

    /// `xl save`, which must succeed; the domain is gone.
    fn save(&mut self) -> Result<()> {
        let name = self.config.name.clone();
        self.round += 1;
        match self.ask_for_suspend(&format!("xl save {name} /lab/{name}.save"))? {
            Asked::Refused(event) => bail!("the guest refused: {}", event.body),
            Asked::Answered(output) => output.success("in dom0: xl save")?,
        };
        if self.exists()? {
            bail!("the domain is still there after xl save");
        }
        Ok(())
    }

    /// Runs a command of Xen's tools that asks the guest to suspend itself.
    ///
    /// A guest that acknowledges the request and then gives it up has no way to tell libxl, which
    /// waits for 60 s. So the command is ended as soon as the guest has said `suspend-failed`. That
    /// leaves nothing behind: until the guest has suspended itself, a save that is not live has
    /// only read. What `xl` says after a minute ("guest did not suspend, timed out") is libxl's to
    /// test.
    fn ask_for_suspend(&self, command: &str) -> Result<Asked> {
        let dom0 = &self.machine.dom0;
        let pid = format!("/lab/{}.pid", self.config.name);
        let script = format!("echo $$ > {pid}; exec {command}");
        let id = self.domid()?;
        std::thread::scope(|scope| {
            let running = scope.spawn(|| dom0.run(&script, XL));
            let mut refused = None;
            while refused.is_none() && !running.is_finished() {
                std::thread::sleep(stop::POLL);
                refused = self
                    .window()
                    .into_iter()
                    .find(|event| event.ev == "suspend-failed");
            }
            if refused.is_some() {
                dom0.run(&format!("kill $(cat {pid})"), XL)?;
                // A request that was refused before it was acknowledged stands, and nobody is left
                // to take it back.
                self.xl(&format!(
                    "xenstore-write /local/domain/{id}/control/shutdown ''"
                ))?;
            }
            let output = running
                .join()
                .unwrap_or_else(|_| bail!("the thread that ran {command} panicked"))?;
            Ok(refused.map_or(Asked::Answered(output), Asked::Refused))
        })
    }

    fn save_refused(&mut self, step: &mut Step, given_up: GivenUp, words: &[&str]) -> Result<()> {
        let (name, before) = (self.config.name.clone(), self.domid()?);
        self.round += 1;
        match self.ask_for_suspend(&format!("xl save {name} /lab/{name}.save"))? {
            Asked::Answered(output) => bail!(
                "xl save ended with status {}, but the guest should have refused{}",
                output.status,
                output.said()
            ),
            Asked::Refused(event) => {
                step.findings
                    .extend(check::refused(&event, self.round, given_up, words));
                step.checked = event.text("msg").unwrap_or_default().to_owned();
            }
        }
        if self.domid()? != before {
            step.findings.push("it is another domain now".into());
        }
        self.churn_on(step, 1)
    }

    /// The drain of this round left sets behind, which nobody but the guest knows.
    fn undrained(&self, step: &mut Step) {
        let round = self.round;
        // dom0 may write the guest's last lines to its log a moment after xl is done.
        let event = match self.wait("the drain event", |e| {
            e.ev == "drain" && e.num("round") == Some(round)
        }) {
            Ok(event) => event,
            Err(error) => {
                step.findings
                    .push(format!("what was left is not known: {error:#}"));
                return;
            }
        };
        step.drained = drained(&event);
        match event.num("left") {
            Some(left @ 1..) => {
                step.checked = format!("exit status 0, with {left} sets left in caches");
            }
            left => step.findings.push(format!(
                "{left:?} sets were left in caches: this shows nothing"
            )),
        }
    }

    /// The guest says once why it cannot run, and its domain has crashed, so that the toolstack
    /// sees it too. Waits until the domain boots, and leaves out what came before: xenconsoled may
    /// write the last lines of a former domain of this name only now.
    fn begins_here(&mut self) -> Result<()> {
        self.wait("boot", |e| e.ev == "boot")?;
        let at = self.window().iter().rposition(|e| e.ev == "boot");
        self.mark += at.unwrap_or(0);
        Ok(())
    }

    fn boot_fails(&mut self, step: &mut Step, words: &str) -> Result<()> {
        self.xl(&format!("xl create /lab/{}.cfg", self.config.name))?;
        self.last_words(step, words)
    }

    /// The guest says these words and ends as crashed, so that the toolstack sees it.
    fn last_words(&mut self, step: &mut Step, words: &str) -> Result<()> {
        let name = self.config.name.clone();
        let event = self.wait("its last words", |e| e.ev == "panic")?;
        let said = event.text("msg").unwrap_or_default().to_owned();
        if !said.contains(words) {
            step.findings
                .push(format!("it did not say \"{words}\" but: {said}"));
        }
        step.checked = said;
        let state = format!("xl list {name} | awk 'NR == 2 {{ print $5 }}'");
        stop::wait_for("the domain's crash", self.limit, || {
            let state = self.machine.dom0.run(&state, XL)?.success("xl list")?;
            Ok(state.contains('c').then_some(()))
        })
    }

    fn restore_fails(&mut self, step: &mut Step, words: &str) -> Result<()> {
        let name = self.config.name.clone();
        let image = format!("/lab/{name}.save");
        let out = self.machine.dom0.run(&format!("xl restore {image}"), XL)?;
        self.machine.dom0.run(&format!("rm -f {image}"), XL)?;
        if out.ok() {
            bail!("xl restore succeeded, and it should not");
        }
        let text = format!("{}{}", out.stdout, out.stderr);
        match text.lines().find(|line| line.contains(words)) {
            Some(line) => step.checked = line.trim().to_owned(),
            None => step.findings.push(format!(
                "xl restore failed otherwise than with \"{words}\":{}",
                out.said()
            )),
        }
        if self.exists()? {
            step.findings
                .push("the domain is there, although xl restore failed".into());
        }
        Ok(())
    }

    /// Takes the frames that the saved domain had: Xen gives those out first that came back last.
    fn occupy(&self) -> Result<()> {
        let mut other = self.config.clone();
        other.name = other_name(&self.config.name);
        let path = format!("/lab/{}.cfg", other.name);
        self.machine.dom0.put(&path, other.text().as_bytes())?;
        self.xl(&format!("xl create -p {path}"))
    }

    fn migrate_refused(&mut self, step: &mut Step, words: &str) -> Result<()> {
        let name = self.config.name.clone();
        let out = self
            .machine
            .dom0
            .run(&format!("xl migrate -s '' {name} 'xl migrate-receive'"), XL)?;
        let text = format!("{}{}", out.stdout, out.stderr);
        if out.ok() {
            bail!("xl migrate succeeded: this Xen can do it after all");
        }
        match text.lines().find(|line| line.contains(words)) {
            Some(line) => step.checked = line.trim().to_owned(),
            None => step.findings.push(format!(
                "xl migrate failed otherwise than with \"{words}\":{}",
                out.said()
            )),
        }
        self.churn_on(step, 1)
    }

    /// The new vCPUs came or went, each with its event, and all memory was read back.
    fn hotplugged(&mut self, old: &[u64], new: &[u64], step: &mut Step) -> Result<()> {
        let mut gone = Vec::new();
        for &vcpu in old.iter().filter(|v| !new.contains(v)) {
            let event = self.wait(&format!("cpu-down of vCPU {vcpu}"), |e| {
                e.ev == "cpu-down" && e.num("vcpu") == Some(vcpu)
            })?;
            step.findings.extend(check::cpu_down(&self.window(), vcpu));
            gone.push(format!("{vcpu}: {}", event.num("drained").unwrap_or(0)));
        }
        if !gone.is_empty() {
            step.drained = gone.join(", ");
        }
        for &vcpu in new.iter().filter(|v| !old.contains(v)) {
            self.wait(&format!("cpu-up of vCPU {vcpu}"), |e| {
                e.ev == "cpu-up" && e.num("vcpu") == Some(vcpu)
            })?;
        }
        self.online = new.to_vec();
        if old != new {
            let last = self.wait("verify on the new vCPUs", |e| {
                e.is("verify", "why", "hotplug") && e.nums("online").as_deref() == Some(new)
            })?;
            step.findings
                .extend(check::verify(std::slice::from_ref(&last), "hotplug", new));
            step.checked = verified(&last);
        }
        Ok(())
    }

    fn suspended(&mut self, step: &mut Step) -> Result<()> {
        let round = self.round;
        let mine = |e: &Event| e.num("round") == Some(round);
        self.wait("the last phase of the suspend", |e| {
            mine(e) && e.is("suspend", "phase", "detached")
        })?;
        let window = self.window();
        step.findings.extend(check::suspend(
            &window,
            round,
            self.config.max_vcpus as usize,
        ));
        if let Some(event) = window.iter().find(|e| mine(e) && e.ev == "drain") {
            step.drained = drained(event);
            if event.num("sets") == Some(0) {
                step.findings
                    .push("drain: no set was drained under churn: this shows nothing".into());
            }
        }
        step.checked = "all phases in order, nothing left or in flight".into();
        Ok(())
    }

    fn came_back(&mut self, step: &mut Step, how: &str) -> Result<()> {
        let round = self.round;
        self.unwatched = how == "cancelled";
        let resumed = self.wait("resumed", |e| {
            e.ev == "resumed" && e.num("round") == Some(round)
        })?;
        self.check_wall_clock(&resumed, step)?;
        let event = self.wait("verify", |e| e.is("verify", "why", how))?;
        // The rounds' phases came before `mark` if saving and restoring are two actions: look at
        // all of them.
        let mut all = self.console.said().events.clone();
        // A reboot begins the rounds anew.
        let born = all.iter().rposition(|e| e.ev == "boot").unwrap_or(0);
        all.drain(..born.max(self.history));
        step.findings
            .extend(check::resumed(&all, round, how, &self.online));
        step.findings
            .extend(check::verify(&self.window(), how, &self.online));
        step.checked = verified(&event);
        let at = self
            .window()
            .iter()
            .position(|e| e.ev == "resumed")
            .unwrap_or(0);
        let skipped = self.window()[..at].to_vec();
        step.findings.extend(check::alarms(&skipped));
        self.mark += at;
        self.churn_on(step, 1)
    }

    /// Waits for `n` + 1 churn reports on the present vCPUs and compares the first with the last.
    /// On a machine with more to do than it can, a vCPU may get no step done between two reports:
    /// it has a few more to show that it runs.
    fn churn_on(&mut self, step: &mut Step, n: usize) -> Result<()> {
        let online = self.online.clone();
        let from = self.console.said().events.len();
        let reports = |all: &[Event]| all[from..].iter().filter(|e| e.ev == "churn").count();
        self.until(&format!("{} churn events", n + 1), |all| {
            match reports(all) {
                seen if seen > n + PATIENCE => true,
                seen => seen > n && check::churn(&all[from..], &online).is_empty(),
            }
        })?;
        let all = self.console.said().events.clone();
        step.findings.extend(check::churn(&all[from..], &online));
        if let Some(last) = all.iter().rfind(|e| e.ev == "churn") {
            let words = format!(
                "churn on {} vCPUs, {} spaces alive, {} checks",
                online.len(),
                last.num("alive").unwrap_or(0),
                last.num("checks").unwrap_or(0)
            );
            if !step.checked.is_empty() {
                step.checked.push_str("; ");
            }
            step.checked.push_str(&words);
        }
        Ok(())
    }

    /// The time of day in this event, which the present action has caused, is dom0's and the
    /// domain's own offset.
    fn check_wall_clock(&self, event: &Event, step: &mut Step) -> Result<()> {
        let text = self.machine.dom0.must("date +%s", XL)?;
        let now: u32 = text
            .trim()
            .parse()
            .with_context(|| format!("dom0's date says {text:?}"))?;
        // dom0's date knows whole seconds.
        let now = f64::from(now) + f64::from(self.config.time_offset);
        let since = self.began.elapsed().as_secs_f64();
        let found = check::wall_clock(event, now - since, now + 1.0);
        step.findings.extend(found);
        Ok(())
    }

    fn ready(&self) -> Findings {
        let window = self.window();
        let Some(event) = window.iter().rfind(|e| e.ev == "ready") else {
            return vec!["there is no ready event".into()];
        };
        if event.nums("online").as_ref() == Some(&self.online) {
            Findings::new()
        } else {
            vec![format!(
                "ready on {:?}, {:?} were asked for",
                event.nums("online"),
                self.online
            )]
        }
    }

    fn ping(&mut self, step: &mut Step) -> Result<()> {
        self.pings += 1;
        let token = format!("console{}", self.pings);
        self.type_line(&format!("ping {token}"))?;
        self.wait("pong on the console", |e| {
            e.is("pong", "via", "console") && e.text("token") == Some(&token)
        })?;
        let token = format!("store{}", self.pings);
        let id = self.domid()?;
        self.xl(&format!(
            "xenstore-write /local/domain/{id}/data/ping {token}"
        ))?;
        self.wait("pong through xenstore", |e| {
            e.is("pong", "via", "xenstore") && e.text("token") == Some(&token)
        })?;
        let path = format!("/local/domain/{id}/data/pong");
        stop::wait_for("the answer in xenstore", self.limit, || {
            let out = self
                .machine
                .dom0
                .run(&format!("xenstore-read {path}"), XL)?;
            Ok((out.stdout.trim() == token).then_some(()))
        })?;
        step.checked = "both answered, the value is in xenstore".into();
        Ok(())
    }

    fn type_line(&self, line: &str) -> Result<()> {
        let id = self.domid()?;
        self.xl(&console::type_line(&id, line))
    }

    fn request(&self, word: &str) -> Result<()> {
        let id = self.domid()?;
        self.xl(&format!(
            "xenstore-write /local/domain/{id}/control/shutdown {word}"
        ))
    }

    fn domid(&self) -> Result<String> {
        let name = &self.config.name;
        let id = self.machine.dom0.must(&format!("xl domid {name}"), XL)?;
        Ok(id.trim().to_owned())
    }

    /// Waits until the domain has gone, as it was made to (`on_poweroff`).
    ///
    /// The `xl` that waits for a domain's end ends itself at a suspend (`handle_domain_death` in
    /// `tools/xl/xl_vmcontrol.c` of Xen 4.17: "Domain has suspended."). After one that was
    /// cancelled nobody is left to remove the domain: then it must be shut down, and the lab
    /// removes it.
    fn leave(&self) -> Result<()> {
        let name = &self.config.name;
        stop::wait_for("the domain to go", self.limit, || {
            let list = format!("xl list {name} 2>/dev/null | tail -n +2");
            let line = self.machine.dom0.run(&list, XL)?.stdout;
            let Some(state) = line.split_whitespace().nth(4) else {
                return Ok(Some(()));
            };
            if self.unwatched && state.contains('s') {
                self.machine.dom0.run(&format!("xl destroy {name}"), XL)?;
            }
            Ok(None)
        })
    }

    fn exists(&self) -> Result<bool> {
        let name = &self.config.name;
        Ok(self
            .machine
            .dom0
            .run(&format!("xl domid {name} 2>/dev/null"), XL)?
            .ok())
    }

    /// Migrates to the same host, with a reader in the stream that counts the pages of each pass.
    fn migrate(&self) -> Result<()> {
        let name = &self.config.name;
        let dom0 = &self.machine.dom0;
        let passes = format!("/lab/{name}.passes");
        let receive = match labprobe::put(dom0) {
            Ok(()) => format!("{} passes {passes} | xl migrate-receive", labprobe::PLACE),
            Err(why) => {
                stop::check()?;
                eprintln!("the pages of each pass are not counted: {why:#}");
                "xl migrate-receive".to_owned()
            }
        };
        self.xl(&format!("xl migrate -s '' {name} '{receive}'"))?;
        let counted = dom0.run(&format!("cat {passes} && rm {passes}"), XL)?;
        if counted.ok() {
            let place = self.timeline.dir.join(format!("passes-{name}.log"));
            File::options()
                .create(true)
                .append(true)
                .open(place)
                .and_then(|mut f| write!(f, "round {}\n{}", self.round + 1, counted.stdout))
                .context("cannot write the passes' log")?;
        }
        Ok(())
    }

    fn xl(&self, script: &str) -> Result<()> {
        self.machine.dom0.must(script, XL).map(drop)
    }

    fn window(&self) -> Vec<Event> {
        let said = self.console.said();
        said.events.get(self.mark..).unwrap_or_default().to_vec()
    }

    /// Waits until this action's events hold one that `wanted` takes.
    fn wait(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Result<Event> {
        let mark = self.mark;
        let mut hit = None;
        self.until(what, |all| {
            hit = all
                .get(mark..)
                .unwrap_or_default()
                .iter()
                .rfind(|e| wanted(e))
                .cloned();
            hit.is_some()
        })?;
        hit.context("an event came and went")
    }

    fn until(&self, what: &str, mut holds: impl FnMut(&[Event]) -> bool) -> Result<()> {
        let name = &self.config.name;
        let result = stop::wait_for(what, self.limit, || {
            let said = self.console.said();
            if holds(&said.events) {
                return Ok(Some(()));
            }
            if said.events.iter().skip(self.mark).any(|e| e.ev == "panic") {
                bail!("{name} panicked while we waited for {what}");
            }
            drop(said);
            self.machine.check()?;
            // It will say nothing more.
            let (log, from) = &self.xen_log;
            if let Some(crash) = hypervisor::crash_since(log, *from) {
                bail!("{what} will not come: {crash}");
            }
            Ok(None)
        });
        result.with_context(|| {
            let last = self
                .console
                .said()
                .events
                .last()
                .map(|e| e.body.to_string());
            format!(
                "the guest's last event: {}",
                last.unwrap_or_else(|| "none".into())
            )
        })
    }
}

/// How a command that asked for a suspend ended.
enum Asked {
    /// By itself.
    Answered(Output),
    /// We ended it, because the guest had given the suspend up.
    Refused(Event),
}

fn other_name(name: &str) -> String {
    format!("{name}-other")
}

fn drained(event: &Event) -> String {
    let per_cpu: Vec<String> = event
        .nums("per_cpu")
        .unwrap_or_default()
        .iter()
        .map(u64::to_string)
        .collect();
    format!(
        "{} + depot {}",
        per_cpu.join(" "),
        event.num("depot").unwrap_or(0)
    )
}

fn verified(event: &Event) -> String {
    format!(
        "{} spaces read back, {} checks, {} mismatches",
        event.num("spaces").unwrap_or(0),
        event.num("checks").unwrap_or(0),
        event.num("mismatches").unwrap_or(0)
    )
}
