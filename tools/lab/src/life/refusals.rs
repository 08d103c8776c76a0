//! What must be refused: by the guest, by Xen, or by Xen's tools, in the words that belong to it.

use anyhow::{bail, Result};

use crate::base::child::Output;
use crate::host::xl::{Xl, RECEIVE};
use crate::life::check::{self, GivenUp};
use crate::life::expected::drained;
use crate::life::lifecycle::Asked;
use crate::life::state::{other_name, Life, XL};
use crate::life::timeline::Step;

impl Life<'_> {
    /// `xl create` of a guest that says why it cannot run.
    pub(super) fn boot_fails(&mut self, step: &mut Step, words: &str) -> Result<()> {
        self.xl(&Xl::create(&self.file("cfg")))?;
        self.last_words(step, words)
    }

    /// `xl restore` of a guest that says why it cannot live on.
    pub(super) fn restore_crashes(&mut self, step: &mut Step, words: &str) -> Result<()> {
        self.xl(&Xl::restore(&self.file("save")))?;
        self.last_words(step, words)
    }

    /// `xl restore` of a guest that then meets an error at this place.
    pub(super) fn restore_then_error(&mut self, step: &mut Step, place: &str) -> Result<()> {
        self.xl(&Xl::restore(&self.file("save")))?;
        self.met_error(step, place)
    }

    /// `xl save` of a guest in which something is wrong; with a place, it says so there.
    pub(super) fn save_anyway(&mut self, step: &mut Step, place: Option<&str>) -> Result<()> {
        self.save()?;
        match place {
            Some(place) => self.met_error(step, place),
            None => Ok(()),
        }
    }

    fn met_error(&self, step: &mut Step, place: &str) -> Result<()> {
        let event = self.wait("the error", |e| e.is("error", "where", place))?;
        step.checked = event.text("msg").unwrap_or_default().to_owned();
        Ok(())
    }

    pub(super) fn save_refused(
        &mut self,
        step: &mut Step,
        given_up: GivenUp,
        words: &[&str],
    ) -> Result<()> {
        let before = self.domid()?;
        self.round += 1;
        match self.ask_for_suspend(&Xl::save(&self.config.name, &self.file("save")))? {
            Asked::Answered(output) => bail!(
                "xl save ended with status {}, but the guest should have refused{}",
                output.status,
                output.said()
            ),
            Asked::Refused(event) => {
                step.findings
                    .extend(check::refused(&event, self.round, given_up, words));
                step.checked = event.text("msg").unwrap_or_default().to_owned();
            }
        }
        if self.domid()? != before {
            step.findings.push("it is another domain now".into());
        }
        self.churn_on(step, 1)
    }

    /// The drain of this round left sets behind, which nobody but the guest knows.
    pub(super) fn undrained(&self, step: &mut Step) {
        let round = self.round;
        // dom0 may write the guest's last lines to its log a moment after xl is done.
        let event = match self.wait("the drain event", |e| {
            e.ev == "drain" && e.num("round") == Some(round)
        }) {
            Ok(event) => event,
            Err(error) => {
                step.findings
                    .push(format!("what was left is not known: {error:#}"));
                return;
            }
        };
        step.drained = drained(&event);
        match event.num("left") {
            Some(left @ 1..) => {
                step.checked = format!("exit status 0, with {left} sets left in caches");
            }
            left => step.findings.push(format!(
                "{left:?} sets were left in caches: this shows nothing"
            )),
        }
    }

    pub(super) fn restore_fails(&mut self, step: &mut Step, words: &str) -> Result<()> {
        let image = self.file("save");
        let out = Xl::restore(&image).run(&self.machine.dom0, XL)?;
        self.machine.dom0.run(&format!("rm -f {image}"), XL)?;
        if out.ok() {
            bail!("xl restore succeeded, and it should not");
        }
        failed_with("xl restore", &out, words, step);
        if self.exists()? {
            step.findings
                .push("the domain is there, although xl restore failed".into());
        }
        Ok(())
    }

    /// Takes the frames that the saved domain had: Xen gives those out first that came back last.
    pub(super) fn occupy(&self) -> Result<()> {
        let mut other = self.config.clone();
        other.name = other_name(&self.config.name);
        let path = format!("/lab/{}.cfg", other.name);
        self.machine.dom0.put(&path, other.text().as_bytes())?;
        self.xl(&Xl::create_paused(&path))
    }

    pub(super) fn migrate_refused(&mut self, step: &mut Step, words: &str) -> Result<()> {
        let out = Xl::migrate_into(&self.config.name, RECEIVE).run(&self.machine.dom0, XL)?;
        if out.ok() {
            bail!("xl migrate succeeded: this Xen can do it after all");
        }
        failed_with("xl migrate", &out, words, step);
        self.churn_on(step, 1)
    }
}

/// A command failed, and one line of what it said has these words.
fn failed_with(command: &str, out: &Output, words: &str, step: &mut Step) {
    let text = format!("{}{}", out.stdout, out.stderr);
    match text.lines().find(|line| line.contains(words)) {
        Some(line) => step.checked = line.trim().to_owned(),
        None => step.findings.push(format!(
            "{command} failed otherwise than with \"{words}\":{}",
            out.said()
        )),
    }
}
