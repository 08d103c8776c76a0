//! What must follow a suspend, a hotplug, a boot and an end, whoever asked for it.

use anyhow::{bail, Context, Result};

use crate::base::stop;
use crate::guest::event::Event;
use crate::host::xl;
use crate::life::check::{self, Findings};
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

/// How many more churn reports a vCPU has that did nothing between the first two: some seconds.
const PATIENCE: usize = 12;

impl Life<'_> {
    /// Waits until the domain boots, and leaves out what came before: xenconsoled may write the
    /// last lines of a former domain of this name only now.
    pub(super) fn begins_here(&mut self) -> Result<()> {
        let boot = self.wait("boot", |e| e.ev == "boot")?;
        let mut words = self.config.cmdline.split(' ');
        if let Some(wanted) = words.find_map(|word| word.strip_prefix("events=")) {
            let has = boot.text("events").unwrap_or("none");
            if has != wanted {
                bail!("the guest was to have {wanted} event channels and has {has}");
            }
        }
        let at = self.window().iter().rposition(|e| e.ev == "boot");
        self.mark += at.unwrap_or(0);
        Ok(())
    }

    pub(super) fn suspended(&mut self, step: &mut Step) -> Result<()> {
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

    pub(super) fn came_back(&mut self, step: &mut Step, how: &str) -> Result<()> {
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
    pub(super) fn churn_on(&mut self, step: &mut Step, n: usize) -> Result<()> {
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
    pub(super) fn check_wall_clock(&self, event: &Event, step: &mut Step) -> Result<()> {
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

    pub(super) fn ready(&self) -> Findings {
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

    /// The guest suspended once and came back in the same domain.
    pub(super) fn cancelled(&mut self, step: &mut Step) -> Result<()> {
        let said = std::mem::take(&mut step.checked);
        self.round += 1;
        self.suspended(step)?;
        self.came_back(step, "cancelled")?;
        step.checked.insert_str(0, &said);
        Ok(())
    }

    /// The new domain runs, with whatever vCPUs it has.
    pub(super) fn resumed(&mut self) -> Result<()> {
        self.unwatched = false;
        let round = self.round;
        self.wait("resumed", |e| {
            e.ev == "resumed" && e.num("round") == Some(round)
        })?;
        Ok(())
    }

    /// The new vCPUs came or went, each with its event, and all memory was read back.
    pub(super) fn hotplugged(&mut self, old: &[u64], new: &[u64], step: &mut Step) -> Result<()> {
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

    /// The guest ended for a reboot, and a new one runs in its place.
    pub(super) fn rebooted(&mut self, step: &mut Step) -> Result<()> {
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

    /// The guest says these words and ends as crashed, so that the toolstack sees it.
    pub(super) fn last_words(&mut self, step: &mut Step, words: &str) -> Result<()> {
        let event = self.wait("its last words", |e| e.ev == "panic")?;
        let said = event.text("msg").unwrap_or_default().to_owned();
        if !said.contains(words) {
            step.findings
                .push(format!("it did not say \"{words}\" but: {said}"));
        }
        step.checked = said;
        let name = &self.config.name;
        stop::wait_for("the domain's crash", self.limit, || {
            let listed = xl::listed(&self.machine.dom0, name, XL)?;
            let listed = listed.context("the domain is gone")?;
            Ok(listed.has_crashed().then_some(()))
        })
    }

    /// The guest says why it ends, and the domain goes.
    pub(super) fn ended(&mut self, step: &mut Step, why: &str) -> Result<()> {
        self.wait("end", |e| e.is("end", "why", why))?;
        self.leave()?;
        step.checked = "its last line said; the domain is gone".into();
        Ok(())
    }

    /// Waits until the domain has gone, as it was made to (`on_poweroff`).
    ///
    /// The `xl` that waits for a domain's end ends itself at a suspend (`handle_domain_death` in
    /// `tools/xl/xl_vmcontrol.c` of Xen 4.17: "Domain has suspended."). After one that was
    /// cancelled nobody is left to remove the domain: then it must be shut down, and the lab
    /// removes it.
    pub(super) fn leave(&self) -> Result<()> {
        let name = &self.config.name;
        let dom0 = &self.machine.dom0;
        stop::wait_for("the domain to go", self.limit, || {
            let Some(listed) = xl::listed(dom0, name, XL)? else {
                return Ok(Some(()));
            };
            if self.unwatched && listed.is_shut_down() {
                xl::destroy_if_there(dom0, &[name], XL)?;
            }
            Ok(None)
        })
    }
}

pub(super) fn drained(event: &Event) -> String {
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

pub(super) fn verified(event: &Event) -> String {
    format!(
        "{} spaces read back, {} checks, {} mismatches",
        event.num("spaces").unwrap_or(0),
        event.num("checks").unwrap_or(0),
        event.num("mismatches").unwrap_or(0)
    )
}
