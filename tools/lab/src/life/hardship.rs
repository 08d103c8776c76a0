//! What a test build of the guest is asked to bear by its console: memory that is short, a debug
//! exception from nowhere, and hypercalls that are refused on the way back from a real restore.

use anyhow::{bail, Result};

use crate::guest::event::Event;
use crate::host::xl::Xl;
use crate::life::action::Action;
use crate::life::check;
use crate::life::expected::verified;
use crate::life::state::Life;
use crate::life::timeline::Step;

/// More hypercalls than any way back has.
const MOST: u64 = 400;

impl Life<'_> {
    /// Leaves so many frames; the churn goes on with them, and says that it lacks some.
    pub(super) fn starve(&mut self, left: u64, step: &mut Step) -> Result<()> {
        let from = self.ration(&left.to_string(), step)?;
        self.until("a churn event that counts missing frames", |all| {
            check::frames(&all[from..], true).is_empty()
        })?;
        self.churn_on(step, 1)?;
        let all = self.events();
        step.findings.extend(check::frames(&all[from..], true));
        Ok(())
    }

    /// Gives all frames back; nothing is lacking any more.
    pub(super) fn feed(&mut self, step: &mut Step) -> Result<()> {
        let from = self.ration("off", step)?;
        let churns = |all: &[Event]| -> Vec<Event> {
            let churns = all[from..].iter().filter(|e| e.ev == "churn");
            churns.cloned().collect()
        };
        // The first may have been begun before.
        self.until("three churn events", |all| churns(all).len() >= 3)?;
        let all = self.events();
        step.findings
            .extend(check::frames(&churns(&all)[1..], false));
        self.churn_on(step, 1)
    }

    /// Has the guest's CPU trap after one instruction; the guest says so and goes on.
    pub(super) fn step_once(&mut self, step: &mut Step) -> Result<()> {
        self.type_line("step")?;
        let error = self.wait("the error", |e| e.is("error", "where", "debug"))?;
        step.checked = error.text("msg").unwrap_or_default().to_owned();
        self.churn_on(step, 1)
    }

    /// Says `starve` on the console; gives the place of the answer among all events.
    fn ration(&mut self, left: &str, step: &mut Step) -> Result<usize> {
        self.type_line(&format!("starve {left}"))?;
        let event = self.wait("starve", |e| e.ev == "starve")?;
        step.checked = format!(
            "{} of {} frames withheld",
            event.num("withheld").unwrap_or(0),
            event.num("frames").unwrap_or(0)
        );
        let from = self.events().iter().rposition(|e| e.ev == "starve");
        Ok(from.unwrap_or(0))
    }

    /// Saves and restores with the first hypercall of the way back refused, then the second, and so
    /// on to the last.
    ///
    /// The numbers may differ by one or two from restore to restore: a port that is pending already
    /// when it is bound takes one call more to unmask, and ticks that come meanwhile arm the timer.
    /// So a call may have its turn twice and its neighbour none; which ones were refused stands in
    /// the timeline.
    pub(super) fn resume_faults(&mut self, step: &mut Step) -> Result<()> {
        let name = self.config.name.clone();
        let (mut told, mut silent) = (0, 0);
        for nth in 1..=MOST {
            self.mark = self.events().len();
            self.type_line(&format!("fault-resume {nth}"))?;
            self.wait("the fault to be armed", |e| {
                e.is("resume-fault", "is", "armed") && e.num("nth") == Some(nth)
            })?;
            self.save()?;
            let image = self.file("save");
            let restore = Xl::restore(&image);
            self.sh(&format!("{restore} && rm -f {image}"))?;
            self.unwatched = false;
            let round = self.round;
            let what = format!("resumed, with hypercall {nth} refused");
            self.wait(&what, |e| {
                e.ev == "resumed" && e.num("round") == Some(round)
            })?;
            let verify = self.wait("verify", |e| e.is("verify", "why", "restored"))?;
            let met = self.wait("the end of the way back", |e| {
                e.ev == "resume-fault"
                    && e.num("nth") == Some(nth)
                    && !e.is("resume-fault", "is", "armed")
            })?;
            self.churn_on(step, 1)?;
            let window = self.window();
            step.findings
                .extend(check::resumed(&window, round, "restored", &self.online));
            step.findings
                .extend(check::verify(&window, "restored", &self.online));
            let (expected, unexpected): (Vec<Event>, Vec<Event>) = window
                .into_iter()
                .partition(|event| Action::ResumeFaults.expects(event));
            step.findings.extend(check::alarms(&unexpected));
            let said: Vec<&str> = expected.iter().filter_map(|e| e.text("msg")).collect();
            let Some(hypercall) = met.num("hypercall") else {
                // There are no more: this restore met no refusal.
                if !said.is_empty() {
                    step.findings
                        .push(format!("no call was refused, and yet: {}", said.join("; ")));
                }
                step.checked = format!(
                    "{} hypercalls refused: {told} of them told as errors and got over, {silent} borne without a word; {}",
                    nth - 1,
                    verified(&verify)
                );
                return Ok(());
            };
            let came = if said.is_empty() {
                silent += 1;
                "borne without a word".to_owned()
            } else {
                told += 1;
                said.join("; ")
            };
            self.timeline.add(
                &name,
                &format!("hypercall {nth} after a restore refused (number {hypercall})"),
                &came,
            )?;
            if !step.findings.is_empty() {
                bail!("with hypercall {nth} (number {hypercall}) refused: {came}");
            }
        }
        bail!("more than {MOST} hypercalls on the way back")
    }
}
