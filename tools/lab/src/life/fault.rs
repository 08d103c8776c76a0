//! What goes wrong on purpose, and what must follow: the guest goes on where it should, nothing is
//! lost, Xen's tools say so in one clear message.
//!
//! Most of it needs one host: `xl migrate -s '' GUEST COMMAND` gives the stream to any command, and
//! the commands here let it through up to a point that is counted in bytes or seen in the guest's
//! events, never timed. What was cut is cut for sure.

use anyhow::{bail, Result};

use super::{Findings, Life, Step, XL};
use crate::base::child::Output;
use crate::base::stop;
use crate::guest::event::Event;
use crate::host::network::CARD;
use crate::life::check;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The receiver of a migration dies with 1 MiB received: the guest was not asked to suspend.
    ReceiverDiesBefore,
    /// It dies in the final pass: the guest is suspended.
    ReceiverDiesDuring,
    /// It dies with the whole guest received, before it is told to start it.
    ReceiverDiesAfter,
    /// The sender's `xl` is killed with 1 MiB sent.
    SenderKilled,
    /// The network between two hosts is cut in the final pass.
    NetworkCut,
    /// `xl save` to a disk that is too small.
    DiskFull,
    /// `xl save -p`, `xl unpause`.
    PausedCheckpoint,
    /// So many `xl save -c` in a row, one a second where the machine is quick enough.
    Checkpoints(u64),
    /// Two `xl save -c` at the same time.
    TwoSaves,
    /// The request to suspend is written three times before the guest reads it.
    RepeatedRequest,
    /// It is written and taken back before the guest reads it.
    WithdrawnRequest,
    /// Hundreds of watch events during an `xl save -c`.
    WatchStorm,
    /// An `xl save -c` with a xenstore that stops and goes on.
    SlowStore,
    /// So many `vcpu-set`s, random by this seed, none waited for.
    HotplugStorm(u64, u64),
    /// `poweroff` is asked for while the guest is suspended by `xl save -c`: the domain is gone
    /// afterwards.
    PoweroffMeetsSuspend,
}

impl Fault {
    /// As a person would write it.
    pub fn name(self) -> String {
        match self {
            Self::ReceiverDiesBefore => "the receiver dies before the final pass".into(),
            Self::ReceiverDiesDuring => "the receiver dies during the final pass".into(),
            Self::ReceiverDiesAfter => "the receiver dies after the final pass".into(),
            Self::SenderKilled => "the sender's xl is killed".into(),
            Self::NetworkCut => "the network is cut in the final pass".into(),
            Self::DiskFull => "xl save to a full disk".into(),
            Self::PausedCheckpoint => "xl save -p, xl unpause".into(),
            Self::Checkpoints(n) => format!("{n} times xl save -c"),
            Self::TwoSaves => "two xl save -c at once".into(),
            Self::RepeatedRequest => "suspend asked for three times".into(),
            Self::WithdrawnRequest => "suspend asked for and taken back".into(),
            Self::WatchStorm => "a storm of watches during xl save -c".into(),
            Self::SlowStore => "xl save -c with a stuttering xenstore".into(),
            Self::HotplugStorm(n, seed) => format!("{n} random vcpu-sets (seed {seed})"),
            Self::PoweroffMeetsSuspend => "poweroff during xl save -c".into(),
        }
    }
}

/// So many `vcpu-set`s of a storm are one command in dom0: on a busy emulated machine each takes a
/// second, and a command has a limit.
const WRITES: usize = 20;

/// What `xl migrate-receive` says when it is ready for the stream (`tools/xl/xl.h` of Xen 4.17 and
/// 4.20).
const BANNER: &str = "xl migration receiver ready, send binary domain data.\n";

impl Life<'_> {
    /// Lets it happen, and checks what must follow.
    pub(super) fn suffer(&mut self, fault: Fault, step: &mut Step) -> Result<()> {
        let name = self.config.name.clone();
        let store = format!("/local/domain/{}", self.domid()?);
        let ask = format!("xenstore-write {store}/control/shutdown");
        match fault {
            Fault::ReceiverDiesBefore => {
                let out = self.migrate_into(&format!(
                    "{{ dd bs=65536 count=16 iflag=fullblock 2>/dev/null; kill -9 $(cat /lab/{name}.pid); }} | {}",
                    self.receiver()
                ))?;
                self.failed(&out, "Migration failed, resuming at sender", step)?;
                self.untouched(step)
            }
            Fault::ReceiverDiesDuring => {
                let rune = format!(
                    "sh -c 'echo $$ > /lab/{name}.cat; exec cat' | {}",
                    self.receiver()
                );
                self.machine
                    .dom0
                    .put(&format!("/lab/{name}.rune"), rune.as_bytes())?;
                let out = self.cut_in_final_pass(
                    &store,
                    &format!("xl migrate -s '' {name} 'sh /lab/{name}.rune'"),
                    &format!("kill -STOP $(cat /lab/{name}.cat)"),
                    &format!("kill -9 $(cat /lab/{name}.pid) $(cat /lab/{name}.cat)"),
                )?;
                self.sweep()?;
                self.failed(&out, "Migration failed, resuming at sender", step)?;
                self.cancelled(step)
            }
            Fault::ReceiverDiesAfter => {
                let banner = BANNER.len();
                let out = self.migrate_into(&format!(
                    "sh -c 'echo $$ > /lab/{name}.cat; exec cat' | {} 2>/lab/{name}.err | \
                     {{ dd bs=1 count={banner} 2>/dev/null; \
                     until grep -q 'requesting permission' /lab/{name}.err; do usleep 50000; done; \
                     kill -9 $(cat /lab/{name}.pid) $(cat /lab/{name}.cat); }}",
                    self.receiver()
                ))?;
                self.failed(&out, "Migration failed, resuming at sender", step)?;
                self.cancelled(step)
            }
            Fault::SenderKilled => {
                let script = format!(
                    "{{ dd bs=65536 count=16 iflag=fullblock 2>/dev/null; kill -9 $(cat /lab/{name}.sender); \
                     exec cat >/dev/null; }} | {}",
                    self.receiver()
                );
                self.machine
                    .dom0
                    .put(&format!("/lab/{name}.rune"), script.as_bytes())?;
                let out = self.machine.dom0.run(
                    &format!(
                        "sh -c 'echo $$ > /lab/{name}.sender; exec xl migrate -s \"\" {name} \
                         \"sh /lab/{name}.rune\"' >/lab/{name}.err 2>&1; exit $?"
                    ),
                    XL,
                )?;
                if out.status != 137 {
                    bail!(
                        "xl migrate was to be killed, its status is {}{}",
                        out.status,
                        out.said()
                    );
                }
                stop::wait_for("the end of the migration's helpers", self.limit, || {
                    let out = self.machine.dom0.run("pidof libxl-save-helper", XL)?;
                    Ok((!out.ok()).then_some(()))
                })?;
                self.sweep()?;
                self.untouched(step)
            }
            Fault::NetworkCut => self.network_cut(&store, step),
            Fault::DiskFull => {
                let script = format!(
                    "mkdir -p /lab/full && mount -t tmpfs -o size=6m full /lab/full; \
                     xl save {name} /lab/full/image 2>&1; rc=$?; umount /lab/full; exit $rc"
                );
                let out = self.machine.dom0.run(&script, XL)?;
                self.failed(&out, "Failed to save domain, resuming domain", step)?;
                if !out.stdout.contains("No space left on device") {
                    bail!("nobody says that the disk is full{}", out.said());
                }
                self.cancelled(step)
            }
            Fault::PausedCheckpoint => {
                self.xl(&format!(
                    "xl save -p {name} /lab/{name}.check && rm /lab/{name}.check"
                ))?;
                let state = self
                    .machine
                    .dom0
                    .must(&format!("xl list {name} | tail -n 1"), XL)?;
                if !state
                    .split_whitespace()
                    .nth(4)
                    .is_some_and(|s| s.contains('p'))
                {
                    bail!(
                        "after xl save -p the domain is not paused: {}",
                        state.trim()
                    );
                }
                self.xl(&format!("xl unpause {name}"))?;
                self.cancelled(step)
            }
            Fault::Checkpoints(n) => self.checkpoints(n, step),
            Fault::TwoSaves => {
                // The second may find the guest running again and give up, after a minute: that is
                // for xl to say.
                let save = format!("xl save -c {name} /dev/null");
                let script = format!("{save} & {save}; wait");
                self.machine.dom0.run(&script, XL)?;
                self.all_cancelled(step)
            }
            Fault::RepeatedRequest => {
                self.xl(&format!(
                    "xl pause {name}; xl save -c {name} /dev/null & save=$!; \
                     until [ \"$(xenstore-read {store}/control/shutdown)\" = suspend ]; do usleep 20000; done; \
                     {ask} suspend; {ask} suspend; xl unpause {name}; wait $save"
                ))?;
                self.cancelled(step)
            }
            Fault::WithdrawnRequest => {
                self.xl(&format!(
                    "xl pause {name}; {ask} suspend; {ask} ''; xl unpause {name}"
                ))?;
                self.untouched(step)
            }
            Fault::WatchStorm => {
                let same: String = (0..u64::from(self.config.max_vcpus))
                    .map(|vcpu| {
                        let is = if self.online.contains(&vcpu) {
                            "online"
                        } else {
                            "offline"
                        };
                        format!(" {store}/cpu/{vcpu}/availability {is}")
                    })
                    .collect();
                self.xl(&format!(
                    "storm() {{ for i in 1 2 3 4 5 6 7 8; do xenstore-write{}; done; }}; \
                     storm & storm=$!; xl save -c {name} /dev/null; rc=$?; wait $storm; {ask} ''; {ask} ''; exit $rc",
                    same.repeat(8)
                ))?;
                self.cancelled(step)
            }
            Fault::SlowStore => {
                self.xl(&format!(
                    "p=$(pidof xenstored); stutter() {{ for i in 1 2 3 4 5 6 7 8; do \
                     kill -STOP $p; usleep 300000; kill -CONT $p; usleep 100000; done; }}; \
                     stutter & stutter=$!; xl save -c {name} /dev/null; rc=$?; wait $stutter; exit $rc"
                ))?;
                self.cancelled(step)
            }
            Fault::HotplugStorm(count, seed) => self.hotplug_storm(&store, count, seed, step),
            Fault::PoweroffMeetsSuspend => {
                self.xl(&format!(
                    "xl save -c {name} /dev/null & save=$!; until {}; do usleep 20000; done; \
                     {ask} poweroff; wait $save",
                    self.is_suspended()
                ))?;
                self.round += 1;
                self.suspended(step)?;
                self.wait("end", |e| e.is("end", "why", "poweroff"))?;
                self.unwatched = true;
                self.leave()?;
                step.checked = "came back, and went as it was asked to".into();
                Ok(())
            }
        }
    }

    /// `xl migrate` with the stream into this command; it need not succeed.
    fn migrate_into(&self, script: &str) -> Result<Output> {
        let name = &self.config.name;
        let dom0 = &self.machine.dom0;
        dom0.put(&format!("/lab/{name}.rune"), script.as_bytes())?;
        let out = dom0.run(
            &format!("xl migrate -s '' {name} 'sh /lab/{name}.rune' 2>&1"),
            XL,
        )?;
        self.sweep()?;
        Ok(out)
    }

    /// Runs a migration that is cut (`first`) after the guest was asked to suspend and before it
    /// does, so that the last pass cannot arrive; `then` is done with the guest suspended. Until it
    /// is asked, the guest is paused: it cannot be quicker than the cut, however slow the machine
    /// is.
    fn cut_in_final_pass(
        &self,
        store: &str,
        migrate: &str,
        first: &str,
        then: &str,
    ) -> Result<Output> {
        let name = &self.config.name;
        let script = format!(
            "xl pause {name}; {migrate} >/lab/{name}.out 2>&1 & move=$!; \
             until [ \"$(xenstore-read {store}/control/shutdown)\" = suspend ]; do usleep 50000; done; \
             {first}; xl unpause {name}; until {}; do usleep 50000; done; {then}; \
             wait $move; rc=$?; cat /lab/{name}.out; exit $rc",
            self.is_suspended()
        );
        self.machine.dom0.run(&script, XL)
    }

    /// The receiver, which leaves its process id.
    fn receiver(&self) -> String {
        let name = &self.config.name;
        format!("sh -c 'echo $$ > /lab/{name}.pid; exec xl migrate-receive'")
    }

    /// Removes what a receiver that was killed leaves; one whose host dies leaves nothing.
    fn sweep(&self) -> Result<()> {
        let name = &self.config.name;
        let script = format!(
            "xl destroy {name}--incoming 2>/dev/null; rm -f /lab/{name}.pid /lab/{name}.err"
        );
        self.machine.dom0.run(&script, XL)?;
        Ok(())
    }

    /// A shell's test whether the guest has gone through the last phase of its next suspend: then
    /// that event is the last line on its console.
    fn is_suspended(&self) -> String {
        let name = &self.config.name;
        let logs = format!(
            "/var/log/xen/console/guest-{name}.log /var/log/xen/console/guest-{name}--incoming.log"
        );
        format!(
            "tail -q -n 2 {logs} | grep -q '\"round\":{},\"phase\":\"detached\"'",
            self.round + 1
        )
    }

    /// Xen's tools must have failed, with these words.
    fn failed(&self, out: &Output, words: &str, step: &mut Step) -> Result<()> {
        if out.ok() {
            bail!("Xen's tools say that it worked{}", out.said());
        }
        if !out.stdout.contains(words) {
            bail!("nobody says \"{words}\"{}", out.said());
        }
        step.checked = format!("said: {words}; ");
        Ok(())
    }

    /// The guest suspended once and came back.
    pub(super) fn cancelled(&mut self, step: &mut Step) -> Result<()> {
        let said = std::mem::take(&mut step.checked);
        self.round += 1;
        self.suspended(step)?;
        self.came_back(step, "cancelled")?;
        step.checked.insert_str(0, &said);
        Ok(())
    }

    /// The guest noticed nothing.
    fn untouched(&mut self, step: &mut Step) -> Result<()> {
        self.churn_on(step, 2)?;
        if let Some(event) = self.window().iter().find(|e| e.ev == "suspend") {
            bail!("the guest went into a suspend: {}", event.body);
        }
        Ok(())
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

    fn checkpoints(&mut self, n: u64, step: &mut Step) -> Result<()> {
        let name = &self.config.name;
        let (first, last) = (self.round + 1, self.round + n);
        let started = std::time::Instant::now();
        for _ in 0..n {
            // The pause belongs to what is asked for, one a second; nothing is waited for by it.
            self.xl(&format!("sleep 1 & xl save -c {name} /dev/null && wait"))?;
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

    fn hotplug_storm(&mut self, store: &str, count: u64, seed: u64, step: &mut Step) -> Result<()> {
        let max = u64::from(self.config.max_vcpus);
        let mut random = fastrand::Rng::with_seed(seed);
        let name = self.config.name.clone();
        let mut writes = Vec::new();
        for _ in 0..count {
            let n = random.u64(1..=max);
            let mut line = "xenstore-write".to_owned();
            for vcpu in 1..max {
                let is = if vcpu < n { "online" } else { "offline" };
                line.push_str(&format!(" {store}/cpu/{vcpu}/availability {is}"));
            }
            writes.push(line + " || exit 1\n");
        }
        for script in writes.chunks(WRITES) {
            self.machine
                .dom0
                .put(&format!("/lab/{name}.rune"), script.concat().as_bytes())?;
            self.xl(&format!("sh /lab/{name}.rune"))?;
        }
        let n = random.u64(1..=max);
        self.xl(&format!("xl vcpu-set --ignore-host {name} {n}"))?;
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

    fn network_cut(&mut self, store: &str, step: &mut Step) -> Result<()> {
        let name = self.config.name.clone();
        let there = self.elsewhere()?;
        let to = self.host().other().name();
        let out = self.cut_in_final_pass(
            store,
            &format!("xl migrate {name} {to}"),
            &format!("ip link set {CARD} down"),
            ":",
        )?;
        self.xl(&format!("ip link set {CARD} up"))?;
        // The receiver notices when TCP gives up, which takes a quarter of an hour.
        let sweep = format!(
            "kill $(pidof libxl-save-helper) 2>/dev/null; xl destroy {name}--incoming 2>/dev/null"
        );
        there.dom0.run(&sweep, XL)?;
        self.failed(&out, "Migration failed, resuming at sender", step)?;
        self.cancelled(step)
    }
}
