//! Suspends that go wrong on purpose, one after the other or all at once. The guest goes on where it
//! should, nothing is lost, and Xen's tools say what was wrong.

use anyhow::{bail, Result};

use crate::guest::event::Event;
use crate::host::xl::{self, Listed, Xl};
use crate::life::check::{self, Findings};
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

/// So many `vcpu-set`s of a storm are one command in dom0: on a busy emulated machine each takes a
/// second, and a command has a limit.
const WRITES: usize = 20;

impl Life<'_> {
    /// A disk that is too small for the image.
    pub(super) fn disk_full(&mut self, step: &mut Step) -> Result<()> {
        let save = Xl::save(&self.config.name, "/lab/full/image");
        let script = format!(
            "mkdir -p /lab/full && mount -t tmpfs -o size=6m full /lab/full; \
             {save} 2>&1; rc=$?; umount /lab/full; exit $rc"
        );
        let out = self.machine.dom0.run(&script, XL)?;
        self.failed(&out, "Failed to save domain, resuming domain", step)?;
        if !out.stdout.contains("No space left on device") {
            bail!("nobody says that the disk is full{}", out.said());
        }
        self.cancelled(step)
    }

    /// `xl save -p`, `xl unpause`.
    pub(super) fn paused_checkpoint(&mut self, step: &mut Step) -> Result<()> {
        let (name, image) = (&self.config.name, self.file("check"));
        let save = Xl::save_and_pause(name, &image);
        self.sh(&format!("{save} && rm {image}"))?;
        let listed = xl::listed(&self.machine.dom0, name, XL)?;
        if !listed.as_ref().is_some_and(Listed::is_paused) {
            bail!("after xl save -p the domain is not paused: {listed:?}");
        }
        self.xl(&Xl::unpause(name))?;
        self.cancelled(step)
    }

    /// Two `xl save -c` at the same time. The second may find the guest running again and give up,
    /// after a minute: that is for xl to say.
    pub(super) fn two_saves(&mut self, step: &mut Step) -> Result<()> {
        let save = self.throw_away();
        let script = format!("{save} & {save}; wait");
        self.machine.dom0.run(&script, XL)?;
        self.all_cancelled(step)
    }

    /// The request to suspend is written again and again before the guest reads it.
    pub(super) fn repeated_request(&mut self, step: &mut Step) -> Result<()> {
        let (name, ask) = (&self.config.name, self.request_script()?);
        self.sh(&format!(
            "{}; {} & save=$!; {}; {ask} suspend; {ask} suspend; {}; wait $save",
            Xl::pause(name),
            self.throw_away(),
            self.until_asked()?,
            Xl::unpause(name)
        ))?;
        self.cancelled(step)
    }

    /// It is written and taken back before the guest reads it.
    pub(super) fn withdrawn_request(&mut self, step: &mut Step) -> Result<()> {
        let (name, ask) = (&self.config.name, self.request_script()?);
        self.sh(&format!(
            "{}; {ask} suspend; {ask} ''; {}",
            Xl::pause(name),
            Xl::unpause(name)
        ))?;
        self.untouched(step)
    }

    /// Hundreds of watch events during an `xl save -c`: each vCPU is told what it is already.
    pub(super) fn watch_storm(&mut self, step: &mut Step) -> Result<()> {
        let ask = self.request_script()?;
        let same = self.availability(&self.store()?, |vcpu| self.online.contains(&vcpu));
        self.sh(&format!(
            "storm() {{ for i in 1 2 3 4 5 6 7 8; do xenstore-write{}; done; }}; \
             storm & storm=$!; {}; rc=$?; wait $storm; {ask} ''; {ask} ''; exit $rc",
            same.repeat(8),
            self.throw_away()
        ))?;
        self.cancelled(step)
    }

    /// An `xl save -c` with a xenstore that stops and goes on.
    pub(super) fn slow_store(&mut self, step: &mut Step) -> Result<()> {
        self.sh(&format!(
            "p=$(pidof xenstored); stutter() {{ for i in 1 2 3 4 5 6 7 8; do \
             kill -STOP $p; usleep 300000; kill -CONT $p; usleep 100000; done; }}; \
             stutter & stutter=$!; {}; rc=$?; wait $stutter; exit $rc",
            self.throw_away()
        ))?;
        self.cancelled(step)
    }

    /// `poweroff` is asked for while the guest is suspended.
    pub(super) fn poweroff_meets_suspend(&mut self, step: &mut Step) -> Result<()> {
        self.sh(&format!(
            "{} & save=$!; until {}; do usleep 20000; done; {} poweroff; wait $save",
            self.throw_away(),
            self.is_suspended(),
            self.request_script()?
        ))?;
        self.round += 1;
        self.suspended(step)?;
        self.wait("end", |e| e.is("end", "why", "poweroff"))?;
        self.unwatched = true;
        self.leave()?;
        step.checked = "came back, and went as it was asked to".into();
        Ok(())
    }

    /// `xl save -c` without keeping the image.
    fn throw_away(&self) -> Xl {
        Xl::checkpoint(&self.config.name, "/dev/null")
    }

    /// Every suspend that began was cancelled, one at least.
    fn all_cancelled(&mut self, step: &mut Step) -> Result<()> {
        let first = self.round + 1;
        let begun = |events: &[Event]| {
            let rounds = events.iter().filter(|e| e.ev == "suspend");
            rounds.filter_map(|e| e.num("round")).max()
        };
        self.wait("a suspend", |e| {
            e.ev == "resumed" && e.num("round") >= Some(first)
        })?;
        let last = begun(&self.window()).unwrap_or(first);
        self.wait("the last resumed", |e| {
            e.ev == "resumed" && e.num("round") == Some(last)
        })?;
        self.rounds(first, last, step);
        self.round = last;
        let said = format!("{} suspends; ", last + 1 - first);
        self.came_back(step, "cancelled")?;
        step.checked.insert_str(0, &said);
        Ok(())
    }

    fn rounds(&self, first: u64, last: u64, step: &mut Step) {
        let window = self.window();
        let vcpus = self.config.max_vcpus as usize;
        for round in first..=last {
            step.findings.extend(check::suspend(&window, round, vcpus));
            let resumed = check::resumed(&window, round, "cancelled", &self.online);
            step.findings.extend(resumed);
        }
    }

    pub(super) fn checkpoints(&mut self, n: u64, step: &mut Step) -> Result<()> {
        let save = self.throw_away();
        let (first, last) = (self.round + 1, self.round + n);
        let started = std::time::Instant::now();
        for _ in 0..n {
            // The pause belongs to what is asked for, one a second; nothing is waited for by it.
            self.sh(&format!("sleep 1 & {save} && wait"))?;
        }
        let took = started.elapsed().as_secs_f64() / n.max(1) as f64;
        self.wait("the last resumed", |e| {
            e.ev == "resumed" && e.num("round") == Some(last)
        })?;
        self.rounds(first, last, step);
        self.round = last;
        self.came_back(step, "cancelled")?;
        step.checked
            .insert_str(0, &format!("{n} suspends, {took:.1} s each; "));
        Ok(())
    }

    pub(super) fn hotplug_storm(&mut self, count: u64, seed: u64, step: &mut Step) -> Result<()> {
        let max = u64::from(self.config.max_vcpus);
        let mut random = fastrand::Rng::with_seed(seed);
        let (rune, store) = (self.file("rune"), self.store()?);
        let mut writes = Vec::new();
        for _ in 0..count {
            let n = random.u64(1..=max);
            let wish = self.availability(&store, |vcpu| vcpu < n);
            writes.push(format!("xenstore-write{wish} || exit 1\n"));
        }
        for script in writes.chunks(WRITES) {
            self.machine.dom0.put(&rune, script.concat().as_bytes())?;
            self.sh(&format!("sh {rune}"))?;
        }
        let n = random.u64(1..=max);
        self.xl(&Xl::vcpu_set(&self.config.name, n))?;
        // How many of them the guest takes is its choice; it must end with the last one. It answers
        // a ping after what xenstore told it before: until then an earlier wish may pass for the
        // last.
        self.ping(step)?;
        step.checked.clear();
        self.online = (0..n).collect();
        self.churn_on(step, 2)?;
        let window = self.window();
        let mut moves = 0;
        for event in window.iter().filter(|e| e.ev == "cpu-down") {
            if event.num("left") != Some(0) {
                step.findings
                    .push(format!("sets were left in a cache: {}", event.body));
            }
            moves += 1;
        }
        moves += window.iter().filter(|e| e.ev == "cpu-up").count();
        let bad: Findings = window
            .iter()
            .filter(|e| e.is("verify", "why", "hotplug") && e.num("mismatches") != Some(0))
            .map(|e| format!("read back wrong: {}", e.body))
            .collect();
        step.findings.extend(bad);
        step.checked
            .insert_str(0, &format!("{moves} vCPUs went or came, {n} at the end; "));
        Ok(())
    }
}
