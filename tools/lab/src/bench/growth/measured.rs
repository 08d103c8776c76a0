//! What a guest says of one suspend, by the point at which it was measured.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::bench::samples::Samples;
use crate::guest::event::Event;

/// Every point's figures.
pub type All = BTreeMap<Point, Measured>;

/// Where it is measured. The order is that of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Point {
    /// `pv` sorts after `pvh`.
    pub pv: bool,
    /// Of the guest, MiB.
    pub mem: u32,
    pub vcpus: u32,
    pub sets: u32,
    pub early: bool,
}

/// What was measured there. Times in milliseconds, each from the phase before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Measured {
    pub acknowledge: Samples,
    /// With the early trimming, what of it is left by then.
    pub park: Samples,
    /// Of the drain alone: `drain` event.
    pub drain: Samples,
    /// The drain, and the windows of live sets taken down.
    pub drained: Samples,
    pub audit: Samples,
    /// From the acknowledgement to the end of the audit: all that depends on vCPUs, sets and
    /// memory.
    pub work: Samples,
    /// From the acknowledgement to the suspend call; in it a wait for dom0 to read the console.
    pub suspended: Samples,
    pub trimmed_sets: Samples,
    pub trim_hypercalls: Samples,
    pub drained_sets: Samples,
    pub drain_hypercalls: Samples,
    /// From the request to the suspend call, all vCPUs.
    pub hypercalls: Samples,
}

impl Measured {
    /// Adds what a guest said of one suspend.
    ///
    /// # Errors
    /// Names what it did not say.
    pub fn add(&mut self, events: &[Event]) -> Result<()> {
        let find = |ev: &str| events.iter().rfind(|e| e.ev == ev);
        let resumed = find("resumed").context("the guest said no `resumed`")?;
        let drain = events
            .iter()
            .rfind(|e| e.is("drain", "why", "suspend"))
            .context("the guest said no `drain`")?;
        let at = |phase: &str| {
            let ns = resumed
                .body
                .get("ns")
                .and_then(|ns| ns.get(phase)?.as_f64());
            ns.map(|ns| ns / 1e6)
                .with_context(|| format!("`resumed` has no time of {phase}"))
        };
        let num = |event: &Event, key: &str| {
            let value = event.num(key).map(|n| n as f64);
            value.with_context(|| format!("`{}` has no {key}", event.ev))
        };
        let phases = [
            "acknowledged",
            "quiesced",
            "drained",
            "audited",
            "suspended",
        ];
        let [acknowledged, quiesced, drained, audited, suspended] = phases.map(at);
        let (acknowledged, quiesced, drained) = (acknowledged?, quiesced?, drained?);
        let (audited, suspended) = (audited?, suspended?);
        let (trimmed, trim_calls) = match find("trim") {
            Some(trim) => (num(trim, "sets")?, num(trim, "hypercalls")?),
            None => (0.0, 0.0),
        };
        for (samples, value) in [
            (&mut self.acknowledge, acknowledged),
            (&mut self.park, quiesced - acknowledged),
            (&mut self.drain, num(drain, "ns")? / 1e6),
            (&mut self.drained, drained - quiesced),
            (&mut self.audit, audited - drained),
            (&mut self.work, audited - acknowledged),
            (&mut self.suspended, suspended - acknowledged),
            (&mut self.trimmed_sets, trimmed),
            (&mut self.trim_hypercalls, trim_calls),
            (&mut self.drained_sets, num(drain, "sets")?),
            (&mut self.drain_hypercalls, num(drain, "hypercalls")?),
            (&mut self.hypercalls, num(resumed, "hypercalls")?),
        ] {
            samples.0.push(value);
        }
        Ok(())
    }
}
