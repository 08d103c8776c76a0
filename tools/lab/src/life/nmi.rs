//! Non-maskable interrupts from dom0: to a guest that works, through its suspends, and to vCPUs
//! that are not online.

use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::base::stop;
use crate::guest::event::Event;
use crate::host::labprobe;
use crate::host::xl::Xl;
use crate::life::check;
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

/// Pause after each round of a storm, milliseconds. Each round is one NMI for each vCPU.
const PAUSE: u64 = 10;

impl Life<'_> {
    /// `xl trigger nmi` for each online vCPU, and then as many more by [`labprobe`], which is
    /// quicker, until so many have arrived. Xen merges those that come while one is pending.
    pub(super) fn nmis(&mut self, wanted: u64, step: &mut Step) -> Result<()> {
        let before = self.counted()?;
        let arrived = |now: &[u64]| check::grown(&before, now).iter().sum::<u64>();
        for vcpu in &self.online {
            self.xl(&Xl::nmi(&self.config.name, *vcpu))?;
        }
        let mut sent = self.online.len() as u64;
        let mut after = self.counted()?;
        if arrived(&after) < wanted {
            let storm = self.begin_nmis()?;
            let result = stop::wait_for("the NMIs to be counted", self.limit, || {
                after = self.counted()?;
                Ok((arrived(&after) >= wanted).then_some(()))
            });
            sent += self.end_nmis(&storm)?;
            result?;
        }
        self.told(&before, &after, sent, step);
        self.churn_on(step, 1)
    }

    /// Begins to send NMIs to every vCPU of the guest, online or not, and of whatever domain takes
    /// its place. It goes on for as long as the file exists whose name this gives.
    pub(super) fn begin_nmis(&self) -> Result<String> {
        let vcpus = self.config.max_vcpus;
        labprobe::put(&self.machine.dom0)?;
        let (file, probe) = (self.file("nmis"), labprobe::PLACE);
        self.sh(&format!(
            "rm -f {file}.sent; touch {file}; \
             setsid {probe} nmis {vcpus} {PAUSE} {file} >{file}.sent 2>&1 </dev/null &"
        ))?;
        Ok(file)
    }

    /// Ends that; gives how many Xen took.
    pub(super) fn end_nmis(&self, file: &str) -> Result<u64> {
        self.sh(&format!("rm -f {file}"))?;
        let said = stop::wait_for("the end of the NMIs", Duration::from_secs(60), || {
            let said = self.machine.dom0.must(&format!("cat {file}.sent"), XL)?;
            Ok((!said.is_empty()).then_some(said))
        })?;
        said.trim()
            .parse()
            .with_context(|| format!("labprobe said {said:?}"))
    }

    /// `xl trigger nmi` for a vCPU that is not online: it stays pending until the vCPU comes.
    pub(super) fn nmi_offline(&mut self, vcpu: u64, step: &mut Step) -> Result<()> {
        if self.online.contains(&vcpu) {
            bail!("vCPU {vcpu} is online");
        }
        self.xl(&Xl::nmi(&self.config.name, vcpu))?;
        self.churn_on(step, 1)
    }

    /// The other words that `xl trigger` knows: whatever `xl` says to them, the guest is as it was.
    pub(super) fn triggers(&mut self, step: &mut Step) -> Result<()> {
        let mut said = Vec::new();
        for word in ["power", "sleep", "reset", "init", "s3resume"] {
            // Its exit status is 0 whatever came of it.
            let out = Xl::trigger(&self.config.name, word).run(&self.machine.dom0, XL)?;
            let words = out.stderr.lines().next_back().unwrap_or("nothing");
            said.push(format!("{word}: {words}"));
        }
        self.churn_on(step, 2)?;
        step.checked
            .insert_str(0, &format!("{}; ", said.join(", ")));
        Ok(())
    }

    /// Interrupts on vectors that nothing in the guest uses, one of them an exception's and one
    /// above the upcall's, which would be kept away if it were not ended. PVH only.
    pub(super) fn vectors(&mut self, step: &mut Step) -> Result<()> {
        let vectors = [22, 80, 248, 255];
        for vector in vectors {
            self.type_line(&format!("interrupt {vector}"))?;
        }
        // Told at the first, the second and the fourth.
        let last = format!("; {} so far", vectors.len());
        let error = self.wait("the last interrupt", |e| {
            e.is("error", "where", "interrupt")
                && e.text("msg").is_some_and(|msg| msg.ends_with(&last))
        })?;
        self.type_line("machine-check")?;
        self.wait("the machine check", |e| {
            e.is("error", "where", "machine check")
        })?;
        step.checked = error.text("msg").unwrap_or_default().to_owned();
        self.churn_on(step, 2)
    }

    /// NMIs that each vCPU has counted, by the next `churn` event.
    pub(super) fn counted(&self) -> Result<Vec<u64>> {
        let from = self.console.said().events.len();
        let mut last: Option<Event> = None;
        self.until("a churn event", |all| {
            last = all[from..].iter().rfind(|e| e.ev == "churn").cloned();
            last.is_some()
        })?;
        last.and_then(|event| event.nums("nmis"))
            .context("churn has no nmis: the guest does not count them")
    }

    pub(super) fn told(&mut self, before: &[u64], after: &[u64], sent: u64, step: &mut Step) {
        let window = self.window();
        step.findings
            .extend(check::nmis(&window, before, after, &self.online));
        let grown = check::grown(before, after);
        let told = window.iter().filter(|e| e.ev == "nmi").count();
        step.checked = format!(
            "{sent} NMIs sent, {} arrived ({grown:?}), told {told} times",
            grown.iter().sum::<u64>()
        );
    }
}
