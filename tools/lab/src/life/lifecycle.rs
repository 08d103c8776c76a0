//! A domain's way from `xl create` to its end.

use std::fs::File;
use std::io::Write;

use anyhow::{bail, Context, Result};

use crate::base::child::Output;
use crate::base::stop;
use crate::guest::event::Event;
use crate::host::labprobe;
use crate::host::xl::{Xl, RECEIVE};
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

/// MiB of a guest whose image may not fit into dom0's memory.
const LARGE: u32 = 512;

/// How a command that asked for a suspend ended.
pub(super) enum Asked {
    /// By itself.
    Answered(Output),
    /// We ended it, because the guest had given the suspend up.
    Refused(Event),
}

impl Life<'_> {
    /// `xl create`, until the guest is ready.
    pub(super) fn boot(&mut self, step: &mut Step) -> Result<()> {
        self.xl(&Xl::create(&self.file("cfg")))?;
        self.begins_here()?;
        let event = self.wait("ready", |e| e.ev == "ready")?;
        step.findings.extend(self.ready());
        self.check_wall_clock(&event, step)
    }

    pub(super) fn restore(&mut self, step: &mut Step) -> Result<()> {
        let image = self.file("save");
        self.xl(&Xl::restore(&image))?;
        self.machine.dom0.run(&format!("rm -f {image}"), XL)?;
        self.came_back(step, "restored")
    }

    /// `xl save -c`, with a real image.
    pub(super) fn save_and_go_on(&mut self, step: &mut Step) -> Result<()> {
        let image = self.file("check");
        let save = Xl::checkpoint(&self.config.name, &image);
        self.sh(&format!("{save} && rm {image}"))?;
        self.cancelled(step)
    }

    /// Migrates to the same host.
    pub(super) fn migrate(&mut self, step: &mut Step) -> Result<()> {
        self.migrate_and_count()?;
        self.round += 1;
        self.suspended(step)?;
        self.came_back(step, "restored")
    }

    pub(super) fn reboot(&mut self, step: &mut Step) -> Result<()> {
        self.xl(&Xl::reboot(&self.config.name))?;
        self.rebooted(step)
    }

    /// `xl shutdown`: the domain goes.
    pub(super) fn power_off(&mut self, step: &mut Step) -> Result<()> {
        self.xl(&Xl::shutdown(&self.config.name))?;
        self.ended(step, "poweroff")
    }

    /// The same by a word that no toolstack of today writes.
    pub(super) fn halt(&mut self, step: &mut Step) -> Result<()> {
        self.request("halt")?;
        self.ended(step, "halt")
    }

    /// `xl save`, which must succeed; the domain is gone.
    pub(super) fn save(&mut self) -> Result<()> {
        self.round += 1;
        let image = self.file("save");
        let asked = if self.config.mem >= LARGE {
            self.save_sparsely(&image)?
        } else {
            self.ask_for_suspend(&Xl::save(&self.config.name, &image))?
        };
        match asked {
            Asked::Refused(event) => bail!("the guest refused: {}", event.body),
            Asked::Answered(output) => output.success("in dom0: xl save")?,
        };
        if self.exists()? {
            bail!("the domain is still there after xl save");
        }
        Ok(())
    }

    /// Runs a command of Xen's tools that asks the guest to suspend itself.
    ///
    /// A guest that acknowledges the request and then gives it up has no way to tell libxl, which
    /// waits for 60 s. So the command is ended as soon as the guest has said `suspend-failed`. That
    /// leaves nothing behind: until the guest has suspended itself, a save that is not live has
    /// only read. What `xl` says after a minute ("guest did not suspend, timed out") is libxl's to
    /// test.
    pub(super) fn ask_for_suspend(&self, command: &Xl) -> Result<Asked> {
        let pid = self.file("pid");
        let script = format!("echo $$ > {pid}; exec {command}");
        self.run_that_suspends(&script, &pid)
    }

    /// The same with `xl save` to a file of which the zeros are left out: an image as large as the
    /// guest's memory would not fit into dom0's, where its files are.
    fn save_sparsely(&self, image: &str) -> Result<Asked> {
        let dom0 = &self.machine.dom0;
        labprobe::put(dom0)?;
        let (pid, pipe) = (self.file("pid"), self.file("pipe"));
        let save = Xl::save(&self.config.name, &pipe);
        let script = format!(
            "rm -f {pipe}; mkfifo {pipe} || exit
             {} sparse {image} < {pipe} & writer=$!
             {save} & echo $! > {pid}; wait $!; status=$?
             wait $writer || status=1; rm -f {pipe}; exit $status",
            labprobe::PLACE
        );
        self.run_that_suspends(&script, &pid)
    }

    /// Runs a script in dom0, of which the process that `pid` names asks the guest to suspend itself.
    fn run_that_suspends(&self, script: &str, pid: &str) -> Result<Asked> {
        let dom0 = &self.machine.dom0;
        let limit = self.xl_limit();
        let id = self.domid()?;
        std::thread::scope(|scope| {
            let running = scope.spawn(|| dom0.run(script, limit));
            let mut refused = None;
            while refused.is_none() && !running.is_finished() {
                std::thread::sleep(stop::POLL);
                refused = self
                    .window()
                    .into_iter()
                    .find(|event| event.ev == "suspend-failed");
            }
            if refused.is_some() {
                dom0.run(&format!("kill $(cat {pid})"), XL)?;
                // A request that was refused before it was acknowledged stands, and nobody is left
                // to take it back.
                self.sh(&format!(
                    "xenstore-write /local/domain/{id}/control/shutdown ''"
                ))?;
            }
            let output = running
                .join()
                .unwrap_or_else(|_| bail!("the thread that ran {script} panicked"))?;
            Ok(refused.map_or(Asked::Answered(output), Asked::Refused))
        })
    }

    /// Migrates to the same host, with a reader in the stream that counts the pages of each pass.
    fn migrate_and_count(&self) -> Result<()> {
        let name = &self.config.name;
        let dom0 = &self.machine.dom0;
        let passes = self.file("passes");
        let receive = match labprobe::put(dom0) {
            Ok(()) => format!("{} passes {passes} | {RECEIVE}", labprobe::PLACE),
            Err(why) => {
                stop::check()?;
                eprintln!("the pages of each pass are not counted: {why:#}");
                RECEIVE.to_owned()
            }
        };
        self.xl(&Xl::migrate_into(name, &receive))?;
        let counted = dom0.run(&format!("cat {passes} && rm {passes}"), XL)?;
        if counted.ok() {
            let place = self.timeline.dir.join(format!("passes-{name}.log"));
            File::options()
                .create(true)
                .append(true)
                .open(place)
                .and_then(|mut f| write!(f, "round {}\n{}", self.round + 1, counted.stdout))
                .context("cannot write the passes' log")?;
        }
        Ok(())
    }
}
