//! Wishes that xenstored, stopped for longer than the guest waits for an answer, keeps from being
//! read.

use anyhow::Result;

use crate::guest::event::Event;
use crate::host::labprobe;
use crate::host::xl::Xl;
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

impl Life<'_> {
    /// `xl vcpu-set`, of which the guest hears while xenstored is stopped: its read has no answer.
    /// Nobody writes the nodes again.
    pub(super) fn vcpu_set_unheard(&mut self, n: u64, step: &mut Step) -> Result<()> {
        let old = self.online.clone();
        let new: Vec<u64> = (0..n).collect();
        let wish = Xl::vcpu_set(&self.config.name, n);
        self.unheard(&wish.to_string(), "cpu/*/availability")?;
        self.hotplugged(&old, &new, step)?;
        self.churn_on(step, 1)
    }

    /// The same with the request of `xl save -c`.
    pub(super) fn checkpoint_unheard(&mut self, step: &mut Step) -> Result<()> {
        let save = self.file("unheard");
        // A pipe would keep the shell's session open, and with it the command.
        let wish = format!(
            "({} >{save} 2>&1; echo $? >{save}.rc) & {}",
            Xl::checkpoint(&self.config.name, "/dev/null"),
            self.until_asked()?
        );
        self.unheard(&wish, "control/shutdown")?;
        // The error is no part of the way back.
        let error = |e: &Event| e.is("error", "where", "control/shutdown");
        self.mark += self.window().iter().position(error).map_or(0, |at| at + 1);
        self.cancelled(step)?;
        self.sh(&format!(
            "until [ -s {save}.rc ]; do usleep 20000; done; cat {save}; rc=$(cat {save}.rc); rm \
             {save} {save}.rc; exit $rc"
        ))
    }

    /// Has `wish` said to the paused domain, which goes on only when xenstored is stopped;
    /// xenstored goes on when the guest has said at this place that it has no answer.
    fn unheard(&self, wish: &str, place: &str) -> Result<()> {
        let (id, probe) = (self.domid()?, labprobe::PLACE);
        labprobe::put(&self.machine.dom0)?;
        let pause = Xl::pause(&self.config.name);
        let stop = format!("{pause}; {wish}; kill -STOP $(pidof xenstored); {probe} unpause {id}");
        let said = self.sh(&stop).and_then(|()| {
            self.wait("the error", |e| {
                e.is("error", "where", place)
                    && e.text("msg").is_some_and(|msg| msg.contains("no answer"))
            })
        });
        self.machine.dom0.run("kill -CONT $(pidof xenstored)", XL)?;
        said.map(drop)
    }

    /// A suspend is asked for in a node that the guest can read and not write. It says why it does
    /// not suspend, and each time it tries again the pause before is longer.
    pub(super) fn unanswerable(&mut self, step: &mut Step) -> Result<()> {
        const TRIES: usize = 4;
        let id = self.domid()?;
        let node = format!("/local/domain/{id}/control/shutdown");
        self.sh(&format!(
            "xenstore-chmod {node} n0 r{id} && xenstore-write {node} suspend"
        ))?;
        let failed = |events: &[Event]| -> Vec<u64> {
            let failed = events.iter().filter(|e| e.ev == "suspend-failed");
            failed.map(|e| e.t).collect()
        };
        let mark = self.mark;
        let said = self.until("it to be tried again", |all| {
            failed(all.get(mark..).unwrap_or_default()).len() >= TRIES
        });
        // Nobody waits for a suspend.
        self.sh(&format!(
            "xenstore-write {node} '' && xenstore-chmod {node} n{id}"
        ))?;
        said?;
        let at = failed(&self.window());
        let pauses: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        if !pauses.windows(2).all(|pair| pair[0] < pair[1]) {
            step.findings
                .push(format!("the pauses do not grow: {pauses:?} ns"));
        }
        self.round += at.len() as u64;
        step.checked = format!("{} times given up; ", at.len());
        self.churn_on(step, 1)
    }
}
