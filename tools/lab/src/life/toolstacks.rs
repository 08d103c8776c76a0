//! What other toolstacks than plain `xl` do to a guest.
//!
//! What is special about Ganeti is how it calls `xl migrate`, and about xapi how it writes its
//! requests.
//!
//! Remus is `xl remus`: checkpoints without end, each a suspend that is cancelled, sent to a backup
//! that waits for the primary to die.

use anyhow::{Context, Result};

use crate::base::stop;
use crate::guest::event::Event;
use crate::host::labprobe;
use crate::host::xl::{Xl, RECEIVE};
use crate::life::check;
use crate::life::expected::verified;
use crate::life::remus::Remus;
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

/// Where Ganeti's socat listens in the lab.
const PORT: u16 = 8002;

impl Life<'_> {
    /// Protects the guest by Remus until so many checkpoints were taken. In the pages of the next
    /// one the primary dies, and the backup takes over from the last that was whole, on the other
    /// host where there are two.
    pub(super) fn remus(&mut self, checkpoints: u64, step: &mut Step) -> Result<()> {
        let first = self.round + 1;
        let to = self.first.peer.as_ref().map(|_| self.host().other());
        let remus = Remus::begin(&self.machine.dom0, &self.config.name, checkpoints, to)?;
        for round in first..first + checkpoints {
            self.wait(&format!("checkpoint {round}"), |e| {
                e.is("resumed", "how", "cancelled") && e.num("round") == Some(round)
            })
            .with_context(|| remus.said())?;
        }
        remus.fail_over(self.limit)?;
        if to.is_some() {
            self.machine = self.elsewhere()?;
        }
        self.taken_over(&remus, first, first + checkpoints - 1, step)
    }

    /// The backup runs from this round, `last`, and nothing is lost.
    fn taken_over(
        &mut self,
        remus: &Remus<'_>,
        first: u64,
        last: u64,
        step: &mut Step,
    ) -> Result<()> {
        let resumed = self
            .wait("the backup to take over", |e| {
                e.is("resumed", "how", "restored")
            })
            .with_context(|| remus.said())?;
        let verify = self.wait("verify", |e| e.is("verify", "why", "restored"))?;
        let (vcpus, window) = (self.config.max_vcpus as usize, self.window());
        for round in first..=last {
            step.findings.extend(check::suspend(&window, round, vcpus));
            let back = check::resumed(&window, round, "cancelled", &self.online);
            step.findings.extend(back);
        }
        // The primary came back from the same round.
        let backup: Vec<Event> = window
            .iter()
            .filter(|e| !e.is("resumed", "how", "cancelled"))
            .cloned()
            .collect();
        step.findings
            .extend(check::resumed(&backup, last, "restored", &self.online));
        step.findings
            .extend(check::verify(&window, "restored", &self.online));
        self.check_wall_clock(&resumed, step)?;
        step.checked = format!(
            "{} checkpoints, the backup runs from the last; {}",
            last + 1 - first,
            verified(&verify)
        );
        self.round = last;
        self.unwatched = false;
        self.history = self.console.said().events.len();
        self.churn_on(step, 1)
    }

    /// xenstored is replaced under a guest at work; the rings and watches are the new one's.
    pub(super) fn store_update(&mut self, step: &mut Step) -> Result<()> {
        // The new one has -U in its command line, and the old one's process id.
        self.sh(
            "/usr/lib/xen/bin/xenstore-control live-update -t 60 /usr/lib/xen/bin/xenstored && \
             tr '\\0' '\\n' < /proc/$(pidof xenstored)/cmdline | grep -q -x -e -U -e --live-update",
        )?;
        self.ping(step)?;
        self.churn_on(step, 1)
    }

    /// `xl migrate` as Ganeti's `lib/hypervisor/hv_xen.py` calls it: with a configuration file, and
    /// through socat, which on the receiving side starts `xl` itself. The `#` ends the command
    /// before what `xl` adds for ssh.
    pub(super) fn ganeti(&mut self, step: &mut Step) -> Result<()> {
        let (to, target) = match self.first.peer {
            Some(_) => (self.elsewhere()?, self.host().other().address()),
            None => (self.machine, "127.0.0.1"),
        };
        to.dom0.must(
            &format!(
                "setsid socat -b524288 TCP-LISTEN:{PORT},bind={target},reuseaddr SYSTEM:'{RECEIVE}' \
                 >{} 2>&1 </dev/null & \
                 until netstat -ltn | grep -q ':{PORT} '; do usleep 50000; done",
                self.file("receive")
            ),
            XL,
        )?;
        let way = format!("socat -b524288 - TCP:{target}:{PORT} #");
        let (name, config) = (&self.config.name, self.file("cfg"));
        self.xl(&Xl::migrate_by(&way, &config, name, target))?;
        self.machine = to;
        self.round += 1;
        self.suspended(step)?;
        self.came_back(step, "restored")
    }

    /// The guest says in xenstore what it can do, without which xapi does not ask it.
    pub(super) fn advertised(&self, step: &mut Step) -> Result<()> {
        let store = self.store()?;
        for feature in ["suspend", "poweroff", "reboot"] {
            let path = format!("{store}/control/feature-{feature}");
            stop::wait_for(&format!("{path} to be 1"), self.limit, || {
                let out = self
                    .machine
                    .dom0
                    .run(&format!("xenstore-read {path}"), XL)?;
                Ok((out.stdout.trim() == "1").then_some(()))
            })?;
        }
        step.checked = "suspend, poweroff and reboot are advertised".into();
        Ok(())
    }

    /// A request as xapi makes it, removed and written again in one transaction, whether it was
    /// read already or not. It gets the answer that the word itself gets.
    pub(super) fn xapi(&mut self, step: &mut Step) -> Result<()> {
        let store = self.xapi_store()?;
        let probe = labprobe::PLACE;
        let ask = |word: &str| format!("{probe} replace {store}/control/shutdown {word}");
        self.sh(&ask("dance"))?;
        let event = self.wait("control", |e| e.is("control", "request", "dance"))?;
        if event.text("answer") != Some("refused") {
            let answer = event.text("answer");
            step.findings
                .push(format!("an unknown request was {answer:?}"));
        }
        // Asked again before the first was read. The guest is paused, so that it cannot be quicker.
        let (name, suspend) = (&self.config.name, ask("suspend"));
        self.sh(&format!(
            "{}; {} & save=$!; {}; {suspend} && {suspend}; {}; wait $save",
            Xl::pause(name),
            Xl::checkpoint(name, "/dev/null"),
            self.until_asked()?,
            Xl::unpause(name)
        ))?;
        self.cancelled(step)?;
        step.checked
            .insert_str(0, "asked three times, answered once; ");
        Ok(())
    }

    /// `poweroff`, asked for as xapi asks.
    pub(super) fn xapi_poweroff(&mut self, step: &mut Step) -> Result<()> {
        let store = self.xapi_store()?;
        let probe = labprobe::PLACE;
        self.sh(&format!(
            "{probe} replace {store}/control/shutdown poweroff"
        ))?;
        self.ended(step, "poweroff")
    }

    /// The domain's place in xenstore, with `control` the guest's own, as xapi makes it: a node
    /// that is written anew has its permissions.
    fn xapi_store(&self) -> Result<String> {
        let id = self.domid()?;
        let store = format!("/local/domain/{id}");
        labprobe::put(&self.machine.dom0)?;
        self.sh(&format!("xenstore-chmod {store}/control n{id}"))?;
        Ok(store)
    }
}
