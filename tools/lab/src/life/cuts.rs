//! Migrations that are cut.
//!
//! Most of it needs one host: `xl migrate -s '' GUEST COMMAND` gives the stream to any command, and
//! the commands here let it through up to a point that is counted in bytes or seen in the guest's
//! events, never timed. What was cut is cut for sure.

use anyhow::{bail, Result};

use crate::base::child::Output;
use crate::base::stop;
use crate::guest::console;
use crate::host::channel::quoted;
use crate::host::network::CARD;
use crate::host::xl::{self, Xl, RECEIVE};
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

/// What `xl migrate-receive` says when it is ready for the stream (`tools/xl/xl.h` of Xen 4.17 and
/// 4.20).
const BANNER: &str = "xl migration receiver ready, send binary domain data.\n";

/// Lets 1 MiB through.
const FIRST_MIB: &str = "dd bs=65536 count=16 iflag=fullblock 2>/dev/null";

/// What `xl migrate` says when the guest goes on where it was.
const RESUMED: &str = "Migration failed, resuming at sender";

impl Life<'_> {
    /// With 1 MiB received: the guest was not asked to suspend.
    pub(super) fn receiver_dies_before(&mut self, step: &mut Step) -> Result<()> {
        let out = self.migrate_into(&format!(
            "{{ {FIRST_MIB}; kill -9 $(cat {}); }} | {}",
            self.file("pid"),
            self.receiver()
        ))?;
        self.failed(&out, RESUMED, step)?;
        self.untouched(step)
    }

    /// In the final pass: the guest is suspended.
    pub(super) fn receiver_dies_during(&mut self, step: &mut Step) -> Result<()> {
        let (pid, cat) = (self.file("pid"), self.file("cat"));
        let stream = format!("sh -c 'echo $$ > {cat}; exec cat' | {}", self.receiver());
        let out = self.cut_in_final_pass(
            &self.migrate_through(&stream)?,
            &format!("kill -STOP $(cat {cat})"),
            &format!("kill -9 $(cat {pid}) $(cat {cat})"),
        )?;
        self.sweep()?;
        self.failed(&out, RESUMED, step)?;
        self.cancelled(step)
    }

    /// With the whole guest received, before the receiver is told to start it.
    pub(super) fn receiver_dies_after(&mut self, step: &mut Step) -> Result<()> {
        let (pid, cat, err) = (self.file("pid"), self.file("cat"), self.file("err"));
        let banner = BANNER.len();
        let out = self.migrate_into(&format!(
            "sh -c 'echo $$ > {cat}; exec cat' | {} 2>{err} | \
             {{ dd bs=1 count={banner} 2>/dev/null; \
             until grep -q 'requesting permission' {err}; do usleep 50000; done; \
             kill -9 $(cat {pid}) $(cat {cat}); }}",
            self.receiver()
        ))?;
        self.failed(&out, RESUMED, step)?;
        self.cancelled(step)
    }

    /// With 1 MiB sent.
    pub(super) fn sender_killed(&mut self, step: &mut Step) -> Result<()> {
        let (pid, err) = (self.file("sender"), self.file("err"));
        let migrate = self.migrate_through(&format!(
            "{{ {FIRST_MIB}; kill -9 $(cat {pid}); exec cat >/dev/null; }} | {}",
            self.receiver()
        ))?;
        let sender = quoted(&format!("echo $$ > {pid}; exec {migrate}"));
        let out = self
            .machine
            .dom0
            .run(&format!("sh -c {sender} >{err} 2>&1; exit $?"), XL)?;
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

    pub(super) fn network_cut(&mut self, step: &mut Step) -> Result<()> {
        let name = self.config.name.clone();
        let there = self.elsewhere()?;
        let to = self.host().other().name();
        let out = self.cut_in_final_pass(
            &Xl::migrate_to(&name, to),
            &format!("ip link set {CARD} down"),
            ":",
        )?;
        self.sh(&format!("ip link set {CARD} up"))?;
        // The receiver notices when TCP gives up, which takes a quarter of an hour.
        let sweep = format!(
            "kill $(pidof libxl-save-helper) 2>/dev/null; {}",
            xl::destroy_script(&[&format!("{name}--incoming")])
        );
        there.dom0.run(&sweep, XL)?;
        self.failed(&out, RESUMED, step)?;
        self.cancelled(step)
    }

    /// `xl migrate` with the stream into this command; it need not succeed.
    fn migrate_into(&self, script: &str) -> Result<Output> {
        let dom0 = &self.machine.dom0;
        let migrate = self.migrate_through(script)?;
        let out = dom0.run(&format!("{migrate} 2>&1"), XL)?;
        self.sweep()?;
        Ok(out)
    }

    /// `xl migrate` with the stream into this script.
    fn migrate_through(&self, script: &str) -> Result<Xl> {
        let file = self.file("rune");
        self.machine.dom0.put(&file, script.as_bytes())?;
        Ok(Xl::migrate_into(&self.config.name, &format!("sh {file}")))
    }

    /// Runs a migration that is cut (`first`) after the guest was asked to suspend and before it
    /// does, so that the last pass cannot arrive; `then` is done with the guest suspended. Until it
    /// is asked, the guest is paused: it cannot be quicker than the cut, however slow the machine
    /// is.
    fn cut_in_final_pass(&self, migrate: &Xl, first: &str, then: &str) -> Result<Output> {
        let (name, out) = (&self.config.name, self.file("out"));
        let script = format!(
            "{pause}; {migrate} >{out} 2>&1 & move=$!; {asked}; {first}; {unpause}; \
             until {suspended}; do usleep 50000; done; {then}; \
             wait $move; rc=$?; cat {out}; exit $rc",
            pause = Xl::pause(name),
            asked = self.until_asked()?,
            unpause = Xl::unpause(name),
            suspended = self.is_suspended()
        );
        self.machine.dom0.run(&script, XL)
    }

    /// The receiver, which leaves its process id.
    fn receiver(&self) -> String {
        format!("sh -c 'echo $$ > {}; exec {RECEIVE}'", self.file("pid"))
    }

    /// Removes what a receiver that was killed leaves; one whose host dies leaves nothing.
    fn sweep(&self) -> Result<()> {
        let name = &self.config.name;
        let script = format!(
            "{}; rm -f /lab/{name}.pid /lab/{name}.err",
            xl::destroy_script(&[&format!("{name}--incoming")])
        );
        self.machine.dom0.run(&script, XL)?;
        Ok(())
    }

    /// A shell's test whether the guest has gone through the last phase of its next suspend: then
    /// that event is the last line on its console.
    pub(super) fn is_suspended(&self) -> String {
        let logs = console::logs(&self.config.name).join(" ");
        format!(
            "tail -q -n 2 {logs} | grep -q '\"round\":{},\"phase\":\"detached\"'",
            self.round + 1
        )
    }

    /// Xen's tools must have failed, with these words.
    pub(super) fn failed(&self, out: &Output, words: &str, step: &mut Step) -> Result<()> {
        if out.ok() {
            bail!("Xen's tools say that it worked{}", out.said());
        }
        if !out.stdout.contains(words) {
            bail!("nobody says \"{words}\"{}", out.said());
        }
        step.checked = format!("said: {words}; ");
        Ok(())
    }

    /// The guest noticed nothing.
    pub(super) fn untouched(&mut self, step: &mut Step) -> Result<()> {
        self.churn_on(step, 2)?;
        if let Some(event) = self.window().iter().find(|e| e.ev == "suspend") {
            bail!("the guest went into a suspend: {}", event.body);
        }
        Ok(())
    }
}
