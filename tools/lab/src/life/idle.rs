//! A guest that has nothing to do.

use anyhow::{Context, Result};

use crate::host::xl::Xl;
use crate::life::check;
use crate::life::state::Life;
use crate::life::timeline::Step;

impl Life<'_> {
    /// From one report to the `n`th after it hardly anything wakes a vCPU.
    pub(super) fn idle(&mut self, n: usize, step: &mut Step) -> Result<()> {
        let from = self.console.said().events.len();
        self.until(&format!("{} churn events", n + 1), |all| {
            all[from..].iter().filter(|e| e.ev == "churn").count() > n
        })?;
        let events = self.events();
        let reports: Vec<_> = events[from..].iter().filter(|e| e.ev == "churn").collect();
        let woken = |at: usize| {
            let event = reports.get(at).context("a report")?;
            event.nums("wakeups").context("churn has no wakeups")
        };
        let (before, after) = (woken(0)?, woken(n)?);
        let more: Vec<u64> = before
            .iter()
            .zip(&after)
            .map(|(a, b)| b.saturating_sub(*a))
            .collect();
        step.findings.extend(check::idle(&more, n as u64));
        step.checked = format!("woken {more:?} times in {n} s");
        Ok(())
    }

    /// `xl save -c`: the request, and each vCPU's part in it, is found although nothing ticks.
    pub(super) fn idle_checkpoint(&mut self, step: &mut Step) -> Result<()> {
        let image = self.file("check");
        let save = Xl::checkpoint(&self.config.name, &image);
        self.sh(&format!("{save} && rm {image}"))?;
        self.round += 1;
        self.suspended(step)?;
        // There is no address space to read back; each vCPU says so.
        let online = Some(self.online.clone());
        self.wait("the answer of each vCPU", |e| {
            e.is("verify", "why", "cancelled") && e.nums("online") == online
        })?;
        Ok(())
    }
}
