//! A guest in the middle of its life: where it is, what it has said, and waiting for more.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use crate::base::stop;
use crate::guest::config::Config;
use crate::guest::console::{self, Console};
use crate::guest::event::Event;
use crate::host::hypervisor;
use crate::host::machine::Machine;
use crate::host::network::Host;
use crate::host::pair;
use crate::host::xl::{self, Xl};
use crate::life::timeline::Timeline;

/// A guest in its life.
pub struct Life<'m> {
    /// Where the guest is.
    pub(super) machine: &'m Machine,
    /// Where it was made.
    pub(super) first: &'m Machine,
    pub(super) config: Config,
    pub(super) console: Console,
    pub(super) timeline: &'m Timeline,
    pub(super) online: Vec<u64>,
    pub(super) round: u64,
    /// Events before this index belong to earlier actions.
    pub(super) mark: usize,
    /// Events before this index are of a primary whose backup took over since: its last rounds are
    /// not the backup's.
    pub(super) history: usize,
    /// How long to wait for an event.
    pub(super) limit: Duration,
    pub(super) pings: u32,
    /// When the present action began.
    pub(super) began: Instant,
    /// A suspend was cancelled since the domain was made: see [`Life::leave`].
    pub(super) unwatched: bool,
    /// How long Xen's log was when this life began.
    pub(super) born: u64,
    /// The present action's: whose log, and how long it was when the action began.
    pub(super) xen_log: (PathBuf, u64),
    /// What the guest's service was asked for.
    pub(super) served: Served,
}

/// What a client in dom0 has asked of the guest's service so far.
#[derive(Debug, Default)]
pub struct Served {
    /// Texts of the records that were acknowledged.
    pub(super) records: Vec<String>,
    /// Lines that came back on the one TCP connection; none if it was not opened yet.
    pub(super) lines: Option<u64>,
}

/// The longest a command of Xen's tools may take.
pub(super) const XL: Duration = Duration::from_secs(240);

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
        xl::destroy_if_there(dom0, &[&name], XL)?;
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
            served: Served::default(),
        };
        life.meet_peer()?;
        Ok(life)
    }

    /// Follows the guest's console on the other host too, and prepares that host for it.
    fn meet_peer(&mut self) -> Result<()> {
        let Some(peer) = self.first.peer.as_deref() else {
            return Ok(());
        };
        let name = &self.config.name;
        let clean = xl::destroy_script(&[name]);
        peer.dom0
            .run(&format!("{clean}; rm -f /lab/{name}.*"), XL)?;
        self.console.also(&peer.dom0, name)
    }

    /// How long to wait for an event from now on.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// What the guest has said so far.
    pub fn events(&self) -> Vec<Event> {
        self.console.said().events.clone()
    }

    /// Where the guest is.
    pub(super) fn host(&self) -> Host {
        self.first.host_of(self.machine)
    }

    /// The host on which it is not.
    pub(super) fn elsewhere(&self) -> Result<&'m Machine> {
        self.first.beside(self.machine)
    }

    /// Destroys the domain.
    ///
    /// # Errors
    /// If dom0 does not answer.
    pub fn end(&mut self) -> Result<()> {
        let name = &self.config.name;
        let (incoming, other) = (format!("{name}--incoming"), other_name(name));
        let clean = format!(
            "{}; rm -f /lab/{name}.* /lab/{other}.*",
            xl::destroy_script(&[name, &incoming, &other])
        );
        for (machine, _) in self.first.hosts() {
            machine.dom0.run(&clean, XL)?;
        }
        Ok(())
    }

    /// A file of this guest's in dom0.
    pub(super) fn file(&self, end: &str) -> String {
        format!("/lab/{}.{end}", self.config.name)
    }

    /// How long a command of Xen's tools may take. They copy a large guest's memory, and so take as
    /// long as the guest may take for an event.
    pub(super) fn xl_limit(&self) -> Duration {
        XL.max(self.limit)
    }

    /// A command of `xl` that must succeed.
    pub(super) fn xl(&self, command: &Xl) -> Result<()> {
        command.must(&self.machine.dom0, self.xl_limit()).map(drop)
    }

    /// A script of dom0's shell that must succeed.
    pub(super) fn sh(&self, script: &str) -> Result<()> {
        self.machine.dom0.must(script, XL).map(drop)
    }

    /// The guest's place in xenstore.
    pub(super) fn store(&self) -> Result<String> {
        Ok(format!("/local/domain/{}", self.domid()?))
    }

    /// The beginning of a shell command that writes the word behind it to `control/shutdown`.
    pub(super) fn request_script(&self) -> Result<String> {
        Ok(format!("xenstore-write {}/control/shutdown", self.store()?))
    }

    /// A shell's loop until the toolstack has asked the guest to suspend itself.
    pub(super) fn until_asked(&self) -> Result<String> {
        Ok(format!(
            "until [ \"$(xenstore-read {}/control/shutdown)\" = suspend ]; do usleep 20000; done",
            self.store()?
        ))
    }

    /// Every vCPU's node and value, each after a space, as `xenstore-write` takes them.
    pub(super) fn availability(&self, store: &str, online: impl Fn(u64) -> bool) -> String {
        (0..u64::from(self.config.max_vcpus))
            .map(|vcpu| {
                let is = if online(vcpu) { "online" } else { "offline" };
                format!(" {store}/cpu/{vcpu}/availability {is}")
            })
            .collect()
    }

    pub(super) fn exists(&self) -> Result<bool> {
        let id = xl::domid(&self.machine.dom0, &self.config.name, XL)?;
        Ok(id.is_some())
    }

    pub(super) fn domid(&self) -> Result<u32> {
        let name = &self.config.name;
        xl::domid(&self.machine.dom0, name, XL)?.with_context(|| format!("{name} is gone"))
    }

    pub(super) fn type_line(&self, line: &str) -> Result<()> {
        let id = self.domid()?;
        self.sh(&console::type_line(id, line))
    }

    pub(super) fn request(&self, word: &str) -> Result<()> {
        self.sh(&format!("{} {word}", self.request_script()?))
    }

    pub(super) fn window(&self) -> Vec<Event> {
        let said = self.console.said();
        said.events.get(self.mark..).unwrap_or_default().to_vec()
    }

    /// Waits until this action's events hold one that `wanted` takes.
    pub(super) fn wait(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Result<Event> {
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

    pub(super) fn until(&self, what: &str, mut holds: impl FnMut(&[Event]) -> bool) -> Result<()> {
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

pub(super) fn other_name(name: &str) -> String {
    format!("{name}-other")
}
