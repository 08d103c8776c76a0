//! What benchmarks ask of a guest.

use anyhow::{bail, Result};

use crate::guest::event::Event;
use crate::host::channel::quoted;
use crate::host::xl::Xl;
use crate::life::check;
use crate::life::state::{Life, XL};

impl Life<'_> {
    /// Has the guest measure itself; gives its `bench` events.
    ///
    /// # Errors
    /// If it does not end its bench in time, or dom0 does not answer.
    pub fn bench(&mut self) -> Result<Vec<Event>> {
        self.type_line("bench")?;
        self.wait("bench-end", |e| e.ev == "bench-end")?;
        let mut events = self.window();
        events.retain(|event| event.ev == "bench");
        Ok(events)
    }

    /// Where dom0 types on the guest's console, as long as it is the same domain.
    ///
    /// # Errors
    /// If dom0 does not answer.
    pub fn tty(&self) -> Result<String> {
        let id = self.domid()?;
        let read = format!("xenstore-read /local/domain/{id}/console/tty");
        Ok(self.machine.dom0.must(&read, XL)?.trim().to_owned())
    }

    /// Types lines there; gives the event that answers the last one.
    ///
    /// # Errors
    /// If it does not come in time, or dom0 does not answer.
    pub fn ask(&mut self, tty: &str, lines: &[&str], answer: &str) -> Result<Event> {
        let words: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
        self.sh(&format!("printf '%s\\n' {} > \"{tty}\"", words.join(" ")))?;
        let event = self.wait(answer, |e| e.ev == answer)?;
        self.mark += self.window().len();
        Ok(event)
    }

    /// `xl save -c`, the image thrown away; gives what the guest said of it. For figures: unlike
    /// [`Action::Checkpoint`](crate::life::action::Action::Checkpoint) it asks for no churn.
    ///
    /// # Errors
    /// If `xl` fails, the guest does not come back, or it says that something is wrong.
    pub fn checkpoint(&mut self) -> Result<Vec<Event>> {
        self.xl(&Xl::checkpoint(&self.config.name, "/dev/null"))?;
        self.round += 1;
        self.unwatched = true;
        self.wait("verify", |e| e.is("verify", "why", "cancelled"))?;
        let events = self.window();
        let alarms = check::alarms(&events);
        if !alarms.is_empty() {
            bail!("the guest said: {}", alarms.join("; "));
        }
        self.mark += events.len();
        Ok(events)
    }
}
