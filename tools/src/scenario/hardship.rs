//! What a test build of the guest is asked to bear by its console: memory that is short.

use anyhow::Result;

use super::{Life, Step};
use crate::check;
use crate::event::Event;

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
}
