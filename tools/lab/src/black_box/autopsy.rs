//! What an engineer needs next when a guest has failed.

use std::time::Duration;

use anyhow::Result;

use crate::guest::console;
use crate::host::channel::quoted;
use crate::host::hypervisor;
use crate::host::machine::Machine;

const SHORT: Duration = Duration::from_secs(60);

/// Words of Xen's tools, of Xen, or of savelint, and what is likely to be behind them.
const CAUSES: &[(&str, &str)] = &[
    (
        "guest didn't acknowledge suspend",
        "it does not answer control/shutdown: no watch on it, or one that a restore took away",
    ),
    (
        "guest did not suspend",
        "it acknowledged the request and then gave it up, or hangs in a step",
    ),
    (
        "Failed to pin",
        "a pinned page table that no address space uses, with linear entries: a cache that was not drained",
    ),
    (
        "Over-allocation",
        "it has more memory than its target: no balloon driver, or one that did not get there",
    ),
    (
        "Failed to populate physmap",
        "it has more memory than its target: no balloon driver, or one that did not get there",
    ),
    (
        "failed to suspend at sender",
        "no live migration of a PV guest without shadow paging in Xen, or the guest did not suspend",
    ),
    (
        "the domain has crashed",
        "its last lines and its registers are below",
    ),
    (
        "nothing within",
        "it runs, or waits, and does not do what it should: events, the clock, or xenstore's \
         watches were not set up again",
    ),
];

/// What there is to be seen of it.
pub fn of(machine: &Machine, name: &str, from: u64, findings: &[String]) -> Result<Vec<String>> {
    let dom0 = &machine.dom0;
    let mut lines = Vec::new();
    let xen = hypervisor::said_since(&machine.run, from);
    let all = findings.iter().chain(&xen);
    let text: String = all.map(|line| format!("{line}\n")).collect();
    if let Some((_, cause)) = CAUSES.iter().find(|(words, _)| text.contains(words)) {
        lines.push(format!("likely: {cause}"));
    }
    let mut part = |title: &str, script: &str| -> Result<()> {
        let out = dom0.run(script, SHORT)?;
        let said = format!("{}{}", out.stdout, out.stderr);
        if !said.trim().is_empty() {
            lines.push(format!("{title}:"));
            lines.extend(said.lines().map(|line| format!("  {line}")));
        }
        Ok(())
    };
    let [log, incoming] = console::logs(name).map(|log| quoted(&log));
    part(
        "its console",
        &format!(
            "for f in {log} {incoming}; do tail -n 12 \"$f\" 2>/dev/null | cut -c 1-200; done"
        ),
    )?;
    let id = format!("id=$(xl domid {} 2>/dev/null) || exit 0", quoted(name));
    part("its state", &format!("{id}; xl list $id; xl vcpu-list $id"))?;
    part(
        "what stands in xenstore",
        &format!(
            "{id}; for d in control data; do xenstore-ls /local/domain/$id/$d 2>/dev/null | sed \"s,^,$d/,\"; done"
        ),
    )?;
    part(
        "its vCPUs",
        &format!("{id}; $(ls /usr/lib/xen-*/bin/xenctx | head -n 1) -C $id 2>&1 | head -n 60"),
    )?;
    if !xen.is_empty() {
        lines.push("Xen said:".into());
        let skip = xen.len().saturating_sub(20);
        lines.extend(xen.iter().skip(skip).map(|line| format!("  {line}")));
    }
    Ok(lines)
}
