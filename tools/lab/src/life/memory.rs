//! Memory that the toolstack gives and takes while the guest runs.

use anyhow::{Context, Result};

use crate::base::stop;
use crate::guest::event::Event;
use crate::host::xl::{Xl, RECEIVE};
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

/// MiB that the receiving domain has when the balloon begins to move.
const RECEIVED: u64 = 8;

impl Life<'_> {
    /// `xl mem-set`, until the guest says that it has this much.
    pub(super) fn mem_set(&mut self, mib: u64, step: &mut Step) -> Result<()> {
        self.xl(&Xl::mem_set(&self.config.name, mib))?;
        self.has_memory(mib, step)
    }

    /// The guest says that it has so many MiB, as it was told to.
    pub(super) fn has_memory(&mut self, mib: u64, step: &mut Step) -> Result<()> {
        let kib = mib * 1024;
        let event = self.wait(&format!("{mib} MiB"), |e| {
            e.is("balloon", "is", "reached") && e.num("target_kib") == Some(kib)
        })?;
        step.checked = format!(
            "{} KiB of {kib} KiB, {} frames away",
            event.num("kib").unwrap_or(0),
            event.num("away").unwrap_or(0)
        );
        self.churn_on(step, 1)
    }

    /// `data/cant_suspend_reason`, which XAPI reads, says why the guest cannot be suspended, or is
    /// not there.
    pub(super) fn cannot_suspend(&self, cannot: bool, step: &mut Step) -> Result<()> {
        let id = self.domid()?;
        let read = format!("xenstore-read /local/domain/{id}/data/cant_suspend_reason");
        step.checked = stop::wait_for("the reason to come or go", self.limit, || {
            let out = self.machine.dom0.run(&read, XL)?;
            Ok((out.ok() == cannot).then(|| out.stdout.trim().to_owned()))
        })?;
        Ok(())
    }

    /// The guest has so many MiB to hand out, and its page tables lie where they should.
    pub(super) fn uses_memory(&mut self, mib: u64, at: u64, step: &mut Step) -> Result<()> {
        self.churn_on(step, 1)?;
        let events = self.events();
        let last = |ev: &str, key: &str| {
            let event = events.iter().rfind(|e| e.ev == ev)?;
            event.num(key)
        };
        let free = last("churn", "free_kib").context("churn has no free_kib")? / 1024;
        let highest = last("verify", "highest_table").context("verify has no highest_table")? / 256;
        if free < mib {
            let finding = format!("{free} MiB are free, and {mib} should be");
            step.findings.push(finding);
        }
        if highest < at {
            let finding = format!("the highest table is at {highest} MiB, and not from {at} on");
            step.findings.push(finding);
        }
        step.checked = format!("{free} MiB free, the highest table at {highest} MiB");
        Ok(())
    }

    /// What of the domain the guest does not use.
    pub(super) fn unused(&mut self, kib: u64, vcpus: u64, step: &mut Step) -> Result<()> {
        // It is said at boot, before the first report of the churn.
        let said = self.console.said();
        let event = said.events.iter().rfind(|e| e.ev == "unused").cloned();
        drop(said);
        let event = event.context("the console does not say what is not used")?;
        let said = (event.num("memory_kib"), event.num("vcpus"));
        if said != (Some(kib), Some(vcpus)) {
            step.findings.push(format!(
                "the console says {}, and not {kib} KiB and {vcpus} vCPUs",
                event.body
            ));
        }
        for (node, number) in [("unused-memory-kib", kib), ("unused-vcpus", vcpus)] {
            let path = format!("{}/data/{node}", self.store()?);
            let script = format!("xenstore-read {path} 2>/dev/null || echo 0");
            stop::wait_for(&format!("{node} to be {number}"), self.limit, || {
                let text = self.machine.dom0.must(&script, XL)?;
                Ok((text.trim() == number.to_string()).then_some(()))
            })?;
        }
        step.checked = format!("{kib} KiB and {vcpus} vCPUs");
        Ok(())
    }

    /// `xl mem-set` while `xl migrate` is under way. The new domain may have no more than the
    /// target at the start, so the migration may fail; then the guest goes on where it was. In the
    /// end it has what its domain's target says.
    pub(super) fn mem_set_during_migrate(&mut self, mib: u64, step: &mut Step) -> Result<()> {
        let (name, id) = (self.config.name.clone(), self.domid()?);
        let migrate = Xl::migrate_into(&name, RECEIVE);
        let mem_set = Xl::mem_set(&id.to_string(), mib);
        // Once the new domain has a part of the pages: what goes then has been sent, or not, as it
        // falls.
        let received =
            format!("xl list {name}--incoming 2>/dev/null | awk 'NR == 2 {{ print $3 }}'");
        let out = self.machine.dom0.run(
            &format!(
                "{migrate} & migrate=$!
                 while kill -0 $migrate 2>/dev/null; do
                     mib=$({received}); [ \"${{mib:-0}}\" -lt {RECEIVED} ] || break
                 done
                 {mem_set}; wait $migrate"
            ),
            XL,
        )?;
        let round = self.round + 1;
        let mine = |e: &Event| e.num("round") == Some(round);
        if out.ok() {
            self.round = round;
            self.wait("resumed", |e| mine(e) && e.is("resumed", "how", "restored"))?;
            self.unwatched = false;
        } else if self.window().iter().any(mine) {
            self.round = round;
            self.wait("resumed", |e| {
                mine(e) && e.is("resumed", "how", "cancelled")
            })?;
            self.unwatched = true;
        }
        let id = self.domid()?;
        let read = format!("xenstore-read /local/domain/{id}/memory/target");
        let target = self.machine.dom0.must(&read, XL)?;
        let target: u64 = target.trim().parse().context("memory/target")?;
        self.until("what the target says", |all| {
            all.iter().rfind(|e| e.ev == "balloon").is_some_and(|e| {
                e.text("is") == Some("reached") && e.num("target_kib") == Some(target)
            })
        })?;
        step.checked = format!(
            "migrated: {}, the target is {target} KiB",
            if out.ok() { "yes" } else { "no" }
        );
        self.churn_on(step, 1)
    }
}
