//! `xl remus` for a domain of any name: its stream, the cut in the stream, and the primary's death.

use anyhow::{Context, Result};

use crate::base::stop;
use crate::host::channel::Channel;
use crate::host::labprobe;
use crate::host::network::Host;
use crate::host::xl::{Xl, RECEIVE};
use crate::life::state::XL;

/// A domain that is protected by Remus. The stream goes through [`labprobe`], which stops it after
/// some checkpoints.
pub struct Remus<'m> {
    dom0: &'m Channel,
    domain: String,
}

impl<'m> Remus<'m> {
    /// Begins it: so many checkpoints, sent to a backup on host `to` or, without, on this one.
    ///
    /// # Errors
    /// If dom0 does not answer.
    pub fn begin(
        dom0: &'m Channel,
        domain: &str,
        checkpoints: u64,
        to: Option<Host>,
    ) -> Result<Self> {
        labprobe::put(dom0)?;
        let this = Self {
            dom0,
            domain: domain.to_owned(),
        };
        let (probe, cut) = (labprobe::PLACE, this.file("cut"));
        let (receiver, rune) = (this.file("receive"), this.file("rune"));
        let receive = match to {
            Some(host) => format!("ssh {} {RECEIVE} -r", host.name()),
            None => format!("{RECEIVE} -r"),
        };
        let script = format!("{probe} backup {checkpoints} {cut} | {receive}\n");
        dom0.put(&receiver, script.as_bytes())?;
        let remus = Xl::remus(domain, &format!("sh {receiver}"));
        let script = format!("echo $$ > {}\nexec {remus}\n", this.file("pid"));
        dom0.put(&rune, script.as_bytes())?;
        let log = this.file("remus");
        dom0.must(
            &format!("rm -f {cut}; setsid sh {rune} >{log} 2>&1 </dev/null &"),
            XL,
        )?;
        Ok(this)
    }

    fn file(&self, end: &str) -> String {
        format!("/lab/{}.{end}", self.domain)
    }

    /// Waits until the stream is cut, in the pages of the checkpoint after the last; then the
    /// primary dies, and the backup takes over from the last that was whole.
    ///
    /// # Errors
    /// If the stream does not come so far within the limit, with what `xl remus` said.
    pub fn fail_over(&self, limit: std::time::Duration) -> Result<()> {
        let cut = self.file("cut");
        let there = format!("test -e {cut}");
        stop::wait_for("the cut of the stream", limit, || {
            Ok(self.dom0.run(&there, XL)?.ok().then_some(()))
        })
        .with_context(|| self.said())?;
        // The end of the stream comes last: while there is a domain of its name the backup cannot
        // take it.
        let (pid, destroy) = (self.file("pid"), Xl::destroy(&self.domain));
        let script = format!("kill -9 $(cat {pid}) && {destroy} && rm {cut}");
        self.dom0.must(&script, XL).map(drop)
    }

    /// What the primary's `xl` said last.
    pub fn said(&self) -> String {
        let said = self
            .dom0
            .run(&format!("tail -n 5 {}", self.file("remus")), XL);
        let said = said.map_or_else(|error| format!("{error:#}"), |out| out.stdout);
        format!("xl remus said: {said}")
    }
}
