//! What other toolstacks than plain `xl` do to a guest.
//!
//! What is special about Ganeti is how it calls `xl migrate`, and about xapi how it writes its
//! requests.
//!
//! Remus is `xl remus`: checkpoints without end, each a suspend that is cancelled, sent to a backup
//! that waits for the primary to die.

use anyhow::{Context, Result};

use super::{verified, Life, Step, XL};
use crate::base::stop;
use crate::guest::event::Event;
use crate::host::labprobe;
use crate::life::check;

/// Where Ganeti's socat listens in the lab.
const PORT: u16 = 8002;

impl Life<'_> {
    /// Protects the guest by Remus until so many checkpoints were taken. In the pages of the next
    /// one the primary dies, and the backup takes over from the last that was whole, on the other
    /// host where there are two.
    pub(super) fn remus(&mut self, checkpoints: u64, step: &mut Step) -> Result<()> {
        let first = self.round + 1;
        let cut = self.begin_remus(checkpoints)?;
        for round in first..first + checkpoints {
            self.wait(&format!("checkpoint {round}"), |e| {
                e.is("resumed", "how", "cancelled") && e.num("round") == Some(round)
            })
            .with_context(|| format!("xl remus said: {}", self.remus_said()))?;
        }
        stop::wait_for("the cut of the stream", self.limit, || {
            let there = self.machine.dom0.run(&format!("test -e {cut}"), XL)?;
            Ok(there.ok().then_some(()))
        })
        .with_context(|| format!("xl remus said: {}", self.remus_said()))?;
        // The end of the stream comes last: while there is a domain of its name the backup cannot
        // take it.
        let name = self.config.name.clone();
        self.xl(&format!(
            "kill -9 $(cat /lab/{name}.pid) && xl destroy {name} && rm {cut}"
        ))?;
        if self.first.peer.is_some() {
            self.machine = self.elsewhere()?;
        }
        self.taken_over(first, first + checkpoints - 1, step)
    }

    /// Starts `xl remus`. The stream goes through [`labprobe`], which stops it after so many
    /// checkpoints, makes the file whose name this gives, and ends when that is gone.
    fn begin_remus(&self, checkpoints: u64) -> Result<String> {
        let (name, dom0) = (&self.config.name, &self.machine.dom0);
        labprobe::put(dom0)?;
        let (probe, cut) = (labprobe::PLACE, format!("/lab/{name}.cut"));
        let receive = match self.first.peer {
            Some(_) => format!("ssh {} xl migrate-receive -r", self.host().other().name()),
            None => "xl migrate-receive -r".to_owned(),
        };
        dom0.put(
            &format!("/lab/{name}.receive"),
            format!("{probe} backup {checkpoints} {cut} | {receive}\n").as_bytes(),
        )?;
        // Unsafe, for it has no disk to replicate (-d) and no network whose output would be held
        // back (-n).
        dom0.put(
            &format!("/lab/{name}.rune"),
            format!(
                "echo $$ > /lab/{name}.pid\nexec xl remus -Fnd -s '' {name} 'sh /lab/{name}.receive'\n"
            )
            .as_bytes(),
        )?;
        self.xl(&format!(
            "rm -f {cut}; setsid sh /lab/{name}.rune >/lab/{name}.remus 2>&1 </dev/null &"
        ))?;
        Ok(cut)
    }

    /// The backup runs from this round, `last`, and nothing is lost.
    fn taken_over(&mut self, first: u64, last: u64, step: &mut Step) -> Result<()> {
        let resumed = self
            .wait("the backup to take over", |e| {
                e.is("resumed", "how", "restored")
            })
            .with_context(|| format!("xl remus said: {}", self.remus_said()))?;
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

    /// `xl migrate` as Ganeti's `lib/hypervisor/hv_xen.py` calls it: with a configuration file, and
    /// through socat, which on the receiving side starts `xl` itself. The `#` ends the command
    /// before what `xl` adds for ssh.
    pub(super) fn ganeti(&mut self, step: &mut Step) -> Result<()> {
        let name = self.config.name.clone();
        let (to, target) = match self.first.peer {
            Some(_) => (self.elsewhere()?, self.host().other().address()),
            None => (self.machine, "127.0.0.1"),
        };
        to.dom0.must(
            &format!(
                "setsid socat -b524288 TCP-LISTEN:{PORT},bind={target},reuseaddr SYSTEM:'xl migrate-receive' \
                 >/lab/{name}.receive 2>&1 </dev/null & \
                 until netstat -ltn | grep -q ':{PORT} '; do usleep 50000; done"
            ),
            XL,
        )?;
        self.xl(&format!(
            "xl migrate -s 'socat -b524288 - TCP:{target}:{PORT} #' -C /lab/{name}.cfg {name} {target}"
        ))?;
        self.machine = to;
        self.round += 1;
        self.suspended(step)?;
        self.came_back(step, "restored")
    }

    /// The guest says in xenstore what it can do, without which xapi does not ask it.
    pub(super) fn advertised(&self, step: &mut Step) -> Result<()> {
        let store = format!("/local/domain/{}", self.domid()?);
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
        self.xl(&ask("dance"))?;
        let event = self.wait("control", |e| e.is("control", "request", "dance"))?;
        if event.text("answer") != Some("refused") {
            let answer = event.text("answer");
            step.findings
                .push(format!("an unknown request was {answer:?}"));
        }
        // Asked again before the first was read. The guest is paused, so that it cannot be quicker.
        let name = self.config.name.clone();
        let suspend = ask("suspend");
        self.xl(&format!(
            "xl pause {name}; xl save -c {name} /dev/null & save=$!; \
             until [ \"$(xenstore-read {store}/control/shutdown)\" = suspend ]; do usleep 20000; done; \
             {suspend} && {suspend}; xl unpause {name}; wait $save"
        ))?;
        self.round += 1;
        self.suspended(step)?;
        self.came_back(step, "cancelled")?;
        step.checked
            .insert_str(0, "asked three times, answered once; ");
        Ok(())
    }

    /// `poweroff`, asked for as xapi asks.
    pub(super) fn xapi_poweroff(&mut self, step: &mut Step) -> Result<()> {
        let store = self.xapi_store()?;
        let probe = labprobe::PLACE;
        self.xl(&format!(
            "{probe} replace {store}/control/shutdown poweroff"
        ))?;
        self.wait("end", |e| e.is("end", "why", "poweroff"))?;
        self.leave()?;
        step.checked = "its last line said; the domain is gone".into();
        Ok(())
    }

    /// The domain's place in xenstore, with `control` the guest's own, as xapi makes it: a node
    /// that is written anew has its permissions.
    fn xapi_store(&self) -> Result<String> {
        let id = self.domid()?;
        let store = format!("/local/domain/{id}");
        labprobe::put(&self.machine.dom0)?;
        self.xl(&format!("xenstore-chmod {store}/control n{id}"))?;
        Ok(store)
    }

    fn remus_said(&self) -> String {
        let script = format!("tail -n 5 /lab/{}.remus", self.config.name);
        let said = self.first.dom0.run(&script, XL);
        said.map_or_else(|error| format!("{error:#}"), |out| out.stdout)
    }
}
