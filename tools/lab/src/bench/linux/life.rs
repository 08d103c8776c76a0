//! One guest, created, suspended in every way and measured.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use super::record::{entry_to_work, times, Entry, Record, Times, What, Work};
use crate::base::stop;
use crate::guest::config::Kind;
use crate::guest::event::{self, Line};
use crate::guest::linux::{self, Guest, NAME};
use crate::host::machine::Machine;
use crate::host::xl::{self, Xl, RECEIVE};

/// What is measured. The order is that of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// From when the new domain may run to its first user work, ms.
    EntryToWork,
    /// From the request in xenstore to its acknowledgement, ms.
    RequestToAcknowledge,
    /// From there to the suspended domain, ms.
    AcknowledgeToSuspended,
    /// From when a restored domain may run to its first user work, ms.
    RestoredToWork,
    /// What a guest is away for at `xl save -c`, ms.
    CheckpointGap,
    /// What it is away for at `xl migrate`, ms.
    MigrateGap,
    /// The file that `xl save` writes, MiB.
    ImageSize,
    /// What of its memory the guest says is not free once it works, MiB.
    Memory,
    /// From the request to the suspend call; ours counts its own.
    Hypercalls,
}

impl Figure {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::EntryToWork,
        Self::RequestToAcknowledge,
        Self::AcknowledgeToSuspended,
        Self::RestoredToWork,
        Self::CheckpointGap,
        Self::MigrateGap,
        Self::ImageSize,
        Self::Memory,
        Self::Hypercalls,
    ];

    /// As a heading.
    pub fn words(self) -> &'static str {
        match self {
            Self::EntryToWork => "Entry to first user work, ms",
            Self::RequestToAcknowledge => "Request to acknowledgement, ms",
            Self::AcknowledgeToSuspended => "Acknowledgement to suspended, ms",
            Self::RestoredToWork => "Restored to first user work, ms",
            Self::CheckpointGap => "Gap at xl save -c, ms",
            Self::MigrateGap => "Gap at xl migrate to the same host, ms",
            Self::ImageSize => "Saved image, MiB",
            Self::Memory => "Memory in use, MiB",
            Self::Hypercalls => "Hypercalls per suspend",
        }
    }
}

/// Values found, by figure.
pub type Found = BTreeMap<Figure, Vec<f64>>;

/// The longest that a guest may take to come up, and to come back. Everything here is emulated.
const BOOT: Duration = Duration::from_secs(240);
const BACK: Duration = Duration::from_secs(120);
const XL: Duration = Duration::from_secs(240);

fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

fn count(entries: &[Entry], work: Work) -> usize {
    entries
        .iter()
        .filter(|e| e.what == What::Work(work))
        .count()
}

/// What is created and how often it is suspended.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which guest.
    pub guest: Guest,
    /// What Xen takes it for.
    pub kind: Kind,
    /// Its vCPUs.
    pub vcpus: u32,
    /// Its memory, MiB.
    pub mem: u32,
    /// Ours only: its command line.
    pub words: String,
    /// Suspends of each way.
    pub times: u32,
}

/// The guest's files in dom0.
const CONFIG: &str = "/lab/bench.cfg";
const IMAGE: &str = "/lab/bench.save";

/// Measures one life. What was found before something failed counts; the failure is the second
/// part.
///
/// # Errors
/// Only if dom0 is gone or we are interrupted.
pub fn live(machine: &Machine, plan: &Plan) -> Result<(Found, String, Option<String>)> {
    let dom0 = &machine.dom0;
    let incoming = format!("{NAME}--incoming");
    xl::destroy_if_there(dom0, &[NAME, &incoming], XL)?;
    let text = linux::config(plan.guest, plan.kind, plan.vcpus, plan.mem, &plan.words);
    dom0.put(CONFIG, text.as_bytes())?;
    let record = Record::begin(dom0, NAME)?;
    let mut found = Found::new();
    let result = measure(machine, plan, &record, &mut found);
    for (figure, value) in said(&record.text(), plan.mem) {
        found.entry(figure).or_default().push(value);
    }
    let failed = match result {
        Ok(()) => None,
        Err(why) => {
            stop::check()?;
            machine.check()?;
            Some(format!("{why:#}"))
        }
    };
    xl::destroy_if_there(dom0, &[NAME, &incoming], XL)?;
    dom0.run(&format!("rm -f {IMAGE}"), XL)?;
    Ok((found, record.text(), failed))
}

/// What the guest said of its memory, once, and of its hypercalls, at each suspend.
fn said(record: &str, mem: u32) -> Vec<(Figure, f64)> {
    let mut found = Vec::new();
    let mut free = None;
    for line in record.lines().filter_map(|l| l.split_once(" line ")) {
        let said = line.1.split_once(' ').map_or("", |(_, said)| said);
        if let Some(kib) = said.strip_prefix("MemAvailable:") {
            free = free.or(kib.trim().trim_end_matches(" kB").parse::<f64>().ok());
        }
        let Line::Event(event) = event::parse(said.as_bytes()) else {
            continue;
        };
        free = free.or(event.num("free_kib").map(|kib| kib as f64));
        if event.ev == "resumed" {
            let calls = event.num("hypercalls").map(|n| n as f64);
            found.extend(calls.map(|calls| (Figure::Hypercalls, calls)));
        }
    }
    found.extend(free.map(|kib| (Figure::Memory, f64::from(mem) - kib / 1024.0)));
    found
}

/// What any way to suspend says of the way down.
fn way_down(times: &Times) -> impl Iterator<Item = (Figure, f64)> {
    let down = [
        (Figure::RequestToAcknowledge, Some(times.acknowledge)),
        (Figure::AcknowledgeToSuspended, times.suspend),
    ];
    down.into_iter()
        .filter_map(|(figure, ns)| Some((figure, ms(ns?))))
}

fn measure(machine: &Machine, plan: &Plan, record: &Record, found: &mut Found) -> Result<()> {
    let dom0 = &machine.dom0;
    let mut add = |figure: Figure, value: f64| found.entry(figure).or_default().push(value);
    let mark = record.mark();
    Xl::create(CONFIG).must(dom0, XL)?;
    // Two more rounds of its work: it has come to rest.
    let rest = |what: &str, mark: usize, first: Work, limit: Duration| {
        record.wait(what, mark, limit, |entries| {
            let from = entries.iter().position(|e| e.what == What::Work(first));
            from.is_some_and(|from| count(&entries[from..], Work::More) >= 2)
        })
    };
    rest("its first user work", mark, Work::First, BOOT).context("xl create")?;
    add(Figure::EntryToWork, ms(entry_to_work(&record.since(mark))?));
    for _ in 0..plan.times {
        let mark = record.mark();
        Xl::save(NAME, IMAGE).must(dom0, XL)?;
        let size = dom0.must(&format!("stat -c %s {IMAGE}"), XL)?;
        let size: f64 = size.trim().parse().context("stat")?;
        dom0.must(&format!("{} && rm {IMAGE}", Xl::restore(IMAGE)), XL)?;
        rest("user work after a restore", mark, Work::Again, BACK).context("xl restore")?;
        let all = times(&record.since(mark)).context("xl save, xl restore")?;
        way_down(&all).for_each(|(figure, value)| add(figure, value));
        add(Figure::RestoredToWork, ms(all.work));
        add(Figure::ImageSize, size / f64::from(1 << 20));

        let mark = record.mark();
        let checkpoint = Xl::checkpoint(NAME, IMAGE);
        dom0.must(&format!("{checkpoint} && rm {IMAGE}"), XL)?;
        rest("user work after a checkpoint", mark, Work::Again, BACK).context("xl save -c")?;
        let all = times(&record.since(mark)).context("xl save -c")?;
        way_down(&all).for_each(|(figure, value)| add(figure, value));
        add(Figure::CheckpointGap, ms(all.gap));

        let mark = record.mark();
        Xl::migrate_into(NAME, RECEIVE).must(dom0, XL)?;
        rest("user work after a migration", mark, Work::Again, BACK).context("xl migrate")?;
        let all = times(&record.since(mark)).context("xl migrate")?;
        way_down(&all).for_each(|(figure, value)| add(figure, value));
        add(Figure::MigrateGap, ms(all.gap));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_guests_say_what_memory_is_free() {
        let linux = "1 line bench user-work ready\n2 line bench MemAvailable:      81920 kB\n3 line bench MemAvailable: 1 kB\n";
        assert_eq!(said(linux, 160), [(Figure::Memory, 80.0)]);
        let ours = "1 line bench @{\"v\":1,\"ev\":\"churn\",\"t\":1,\"cpu\":0,\"free_kib\":153600}\n\
                    2 line bench @{\"v\":1,\"ev\":\"resumed\",\"t\":1,\"cpu\":0,\"hypercalls\":41}\n";
        assert_eq!(
            said(ours, 160),
            [(Figure::Hypercalls, 41.0), (Figure::Memory, 10.0)]
        );
    }
}
