//! What a guest is asked by its console or by xenstore.

use anyhow::Result;

use crate::base::stop;
use crate::life::check;
use crate::life::expected::drained;
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

impl Life<'_> {
    pub(super) fn ping(&mut self, step: &mut Step) -> Result<()> {
        self.pings += 1;
        let token = format!("console{}", self.pings);
        self.type_line(&format!("ping {token}"))?;
        self.wait("pong on the console", |e| {
            e.is("pong", "via", "console") && e.text("token") == Some(&token)
        })?;
        let token = format!("store{}", self.pings);
        let id = self.domid()?;
        self.sh(&format!(
            "xenstore-write /local/domain/{id}/data/ping {token}"
        ))?;
        self.wait("pong through xenstore", |e| {
            e.is("pong", "via", "xenstore") && e.text("token") == Some(&token)
        })?;
        let path = format!("/local/domain/{id}/data/pong");
        stop::wait_for("the answer in xenstore", self.limit, || {
            let out = self
                .machine
                .dom0
                .run(&format!("xenstore-read {path}"), XL)?;
            Ok((out.stdout.trim() == token).then_some(()))
        })?;
        step.checked = "both answered, the value is in xenstore".into();
        Ok(())
    }

    /// The console's `faults`: each hypercall of a rehearsed suspend fails once.
    pub(super) fn faults(&mut self, step: &mut Step) -> Result<()> {
        self.type_line("faults")?;
        let event = self.wait("faults-end", |e| e.ev == "faults-end")?;
        step.findings.extend(check::faults(&self.window()));
        step.findings
            .extend(check::verify(&self.window(), "faults", &self.online));
        step.checked = format!(
            "{} faults: {} suspends given up, {} went on",
            event.num("faults").unwrap_or(0),
            event.num("gave_up").unwrap_or(0),
            event.num("went_on").unwrap_or(0)
        );
        self.churn_on(step, 2)
    }

    /// The console's `drain`.
    pub(super) fn drain(&mut self, step: &mut Step) -> Result<()> {
        self.type_line("drain")?;
        let event = self.wait("drain", |e| e.is("drain", "why", "request"))?;
        step.drained = drained(&event);
        step.findings
            .extend(check::drain(&event, self.config.max_vcpus as usize));
        self.churn_on(step, 1)
    }

    /// A word in `control/shutdown` that nobody knows.
    pub(super) fn unknown(&mut self, step: &mut Step) -> Result<()> {
        // Another word each time: the same is told of at a growing interval.
        self.pings += 1;
        let word = format!("dance{}", self.pings);
        self.request(&word)?;
        let event = self.wait("control", |e| e.is("control", "request", &word))?;
        if event.text("answer") != Some("refused") {
            step.findings
                .push(format!("an unknown request was {:?}", event.text("answer")));
        }
        step.checked = "refused".into();
        self.churn_on(step, 1)
    }
}
