//! Xen against the model of its page-type rules (`page_types`): what becomes of guests whose sets
//! were left in a cache?
//!
//! Each guest boots with one vCPU, constructs sets whose frames lie in a given order, puts them
//! into its cache and is saved without a drain. `savelint` reads the image and gives the model's
//! verdict; `xl restore` gives Xen's. They must agree for each one, in the error number too.
//!
//! All 24 orders of a set's four frames are tried, and several sets in mixed orders. That the guest
//! did what it was asked for is read from the image: the linear entries in it show the order of the
//! frames.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use savelint::{lint, Holder, Options, Report};
use serde::Serialize;

use crate::base::outcome::Outcome;
use crate::base::stop;
use crate::build::kernel::Arch;
use crate::guest::config::{Config, Kind};
use crate::guest::standard;
use crate::host::channel::Channel;
use crate::host::machine::Machine;
use crate::host::xl::{self, Xl};

/// Guests at the same time: dom0 has two vCPUs.
const AT_ONCE: usize = 2;
/// Memory of a guest, MiB: the less, the quicker.
const MEM: u32 = 8;
/// How many sets are tried in mixed orders.
const MIXED: [usize; 3] = [5, 12, 24];
/// The longest a step in dom0 may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What a guest is told to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Layout {
    /// Every set in the permutation of this number. The pool constructs some sets ahead of the one
    /// that is asked for.
    Order(usize),
    /// So many sets or some more, in mixed orders.
    Mixed(usize),
}

impl Layout {
    fn all() -> Vec<Self> {
        (0..24)
            .map(Self::Order)
            .chain(MIXED.map(Self::Mixed))
            .collect()
    }

    fn cmdline(self) -> String {
        let order = match self {
            Self::Order(k) => format!("prefill=1 order=perm:{k}"),
            Self::Mixed(n) => format!("prefill={n} order=random"),
        };
        format!("churn=off live=0 {order} drain=off audit=off")
    }

    fn name(self) -> String {
        match self {
            Self::Order(k) => format!("order-{k}"),
            Self::Mixed(n) => format!("mixed-{n}"),
        }
    }

    fn sets(self) -> usize {
        match self {
            Self::Order(_) => 1,
            Self::Mixed(n) => n,
        }
    }
}

/// What came of one layout.
#[derive(Debug, Clone, Serialize)]
struct Verdicts {
    layout: Layout,
    /// The frames of each set, `set[0]` to `set[3]`, from the image.
    frames: Vec<Vec<u64>>,
    /// None: restores. Otherwise the error number, 0 if there is none.
    model: Option<i32>,
    /// The same of Xen, read from what `xl restore` says.
    xen: Option<i32>,
    /// Why the model says so, or what xl said.
    why: String,
}

/// Runs all layouts.
///
/// # Errors
/// If dom0 does not answer, or a guest does not boot or cannot be saved.
pub fn run(machine: &Machine, arch: Arch) -> Result<Outcome> {
    let kernel = "/lab/differential.elf";
    let elf = arch.elf(true);
    let bytes = std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    machine.dom0.put(kernel, &bytes)?;
    let queue = Mutex::new(VecDeque::from(Layout::all()));
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let dom0 = machine.dom0.another()?;
                    loop {
                        let Some(layout) = lock(&queue).pop_front() else {
                            return Ok(());
                        };
                        let one = try_one(&dom0, arch, kernel, layout)
                            .with_context(|| format!("the guest with {}", layout.cmdline()));
                        if one.is_err() {
                            lock(&queue).clear();
                        }
                        lock(&seen).push(one?);
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|w| w.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })?;
    let seen = seen
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    note(&machine.run, arch, &seen)?;
    Ok(judge(&seen))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// For whoever wants to look at them all: one object per layout.
fn note(run: &Path, arch: Arch, seen: &[Verdicts]) -> Result<()> {
    let path = run.join(format!("differential-{}.jsonl", arch.name()));
    let mut file = std::fs::File::create(path).context("cannot write the verdicts")?;
    for one in seen {
        writeln!(file, "{}", serde_json::to_string(one)?)?;
    }
    Ok(())
}

fn judge(seen: &[Verdicts]) -> Outcome {
    let apart: Vec<String> = seen
        .iter()
        .filter(|one| one.model != one.xen)
        .map(|one| {
            format!(
                "{}: the model says {}, Xen says {}; frames {:x?}: {}",
                one.layout.cmdline(),
                word(one.model),
                word(one.xen),
                one.frames,
                one.why
            )
        })
        .collect();
    if !apart.is_empty() {
        return Outcome::Failed(apart.join("; "));
    }
    let all = Layout::all().len();
    if seen.len() != all {
        return Outcome::Failed(format!("{} of {all} layouts were tried", seen.len()));
    }
    let count = |verdict| seen.iter().filter(|one| one.xen == verdict).count();
    let (good, bad) = (count(None), all - count(None));
    if good == 0 || bad == 0 {
        return Outcome::Failed(format!(
            "{good} restore and {bad} do not: one of both is missing, so nothing was compared"
        ));
    }
    Outcome::Passed(format!(
        "{all} layouts, the model and Xen agree on each: {good} restore, {} fail with EINVAL, {} with EBUSY",
        count(Some(22)),
        count(Some(16)),
    ))
}

fn word(verdict: Option<i32>) -> String {
    verdict.map_or_else(|| "restores".into(), |errno| format!("fails ({errno})"))
}

/// One guest from its creation to its restore.
fn try_one(dom0: &Channel, arch: Arch, kernel: &str, layout: Layout) -> Result<Verdicts> {
    let name = format!("{}-{}", arch.name(), layout.name());
    let config = Config {
        name: name.clone(),
        kernel: kernel.to_owned(),
        vcpus: 1,
        max_vcpus: 1,
        mem: MEM,
        cmdline: layout.cmdline(),
        ..standard::pv(arch, Kind::Pv)
    };
    let log = format!("/var/log/xen/console/guest-{name}.log");
    let (path, image) = (format!("/lab/{name}.cfg"), format!("/lab/{name}.save"));
    dom0.put(&path, config.text().as_bytes())?;
    // One command for all that needs no answer from us: each costs a tenth of a second. The wait
    // ends with the command's own limit if the guest never gets ready.
    let said =
        |event: &str| format!("until grep -q '\"ev\":\"{event}\"' {log}; do usleep 20000; done");
    dom0.must(
        &format!(
            "rm -f {log}; {} && {} && {}",
            Xl::create(&path),
            said("ready"),
            Xl::save(&name, &image)
        ),
        LIMIT,
    )?;
    let report = read(dom0, &image)?;
    let sets = frames(&report);
    if sets.len() < layout.sets() {
        bail!(
            "{} sets were to be left in the cache, {} are in the image",
            layout.sets(),
            sets.len()
        );
    }
    if let Layout::Order(k) = layout {
        if let Some(other) = sets.iter().find(|set| number(set) != Some(k)) {
            bail!("a set's frames lie in another order: {other:x?}");
        }
    }
    let out = Xl::restore(&image).run(dom0, LIMIT)?;
    if out.ok() {
        // It must also run.
        dom0.must(&said("resumed"), LIMIT)?;
    }
    dom0.run(
        &format!(
            "{}; rm -f {path} {image} {log}",
            xl::destroy_script(&[&name])
        ),
        LIMIT,
    )?;
    stop::check()?;
    let text = format!("{}{}", out.stdout, out.stderr);
    Ok(Verdicts {
        layout,
        frames: sets,
        model: (!report.restores()).then(|| report.errno().unwrap_or(0)),
        xen: (!out.ok()).then(|| errno(&text)),
        why: if out.ok() { why(&report) } else { out.said() },
    })
}

fn why(report: &Report) -> String {
    report
        .findings
        .iter()
        .flat_map(|finding| finding.seen.first().cloned())
        .collect::<Vec<_>>()
        .join("; ")
}

/// The model's verdict on an image in dom0.
fn read(dom0: &Channel, image: &str) -> Result<Report> {
    dom0.read(&format!("cat {image}"), LIMIT, |out| {
        Ok(lint(out, &Options::default(), &mut |_| {})?)
    })
    .with_context(|| format!("savelint on {image}"))
}

/// The frames of each set, `set[0]` to `set[3]`: the holder's window links them, slot by slot.
fn frames(report: &Report) -> Vec<Vec<u64>> {
    let holders = report.pins.iter().flat_map(|pins| &pins.holders);
    let mut sets: Vec<Vec<u64>> = holders.map(window).collect();
    sets.sort();
    sets
}

fn window(holder: &Holder) -> Vec<u64> {
    let mut targets: Vec<_> = holder.targets.iter().map(|t| (t.slot, t.page)).collect();
    targets.sort_unstable();
    targets.into_iter().map(|(_, page)| page).collect()
}

/// The number of the permutation in which four frames lie, in lexicographic order of their ranks.
fn number(frames: &[u64]) -> Option<usize> {
    let frames: [u64; 4] = frames.try_into().ok()?;
    let lower = |after: &[u64], than: u64| after.iter().filter(|f| **f < than).count();
    let [a, b, c, d] = frames;
    Some(lower(&[b, c, d], a) * 6 + lower(&[c, d], b) * 2 + lower(&[d], c))
}

/// The error number in `Failed to pin batch of pagetables (22 = Invalid argument)`; 0 if it says
/// something else.
fn errno(text: &str) -> i32 {
    text.lines()
        .filter_map(|line| line.split("Failed to pin batch of pagetables (").nth(1))
        .find_map(|rest| rest.split(' ').next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_are_numbered_in_lexicographic_order() {
        assert_eq!(number(&[10, 11, 12, 13]), Some(0));
        assert_eq!(number(&[10, 11, 13, 12]), Some(1));
        assert_eq!(number(&[10, 12, 11, 13]), Some(2));
        assert_eq!(number(&[13, 12, 11, 10]), Some(23));
        assert_eq!(number(&[13, 12]), None);
    }

    #[test]
    fn xl_s_words_give_the_error_number() {
        let text = "xc: error: Failed to pin batch of pagetables (16 = Device or resource busy): Internal error\n\
                    xc: error: Restore failed (16 = Device or resource busy): Internal error";
        assert_eq!(errno(text), 16);
        assert_eq!(
            errno("xc: error: Restore failed (22 = Invalid argument)"),
            0
        );
    }

    fn seen() -> Vec<Verdicts> {
        let verdict = |layout| match layout {
            Layout::Order(0) => None,
            _ => Some(22),
        };
        Layout::all()
            .into_iter()
            .map(|layout| Verdicts {
                layout,
                frames: vec![],
                model: verdict(layout),
                xen: verdict(layout),
                why: String::new(),
            })
            .collect()
    }

    #[test]
    fn one_disagreement_is_enough() {
        let passed = |seen: &[Verdicts]| matches!(judge(seen), Outcome::Passed(_));
        assert!(passed(&seen()));
        let mut other = seen();
        other[3].model = None;
        assert!(!passed(&other));
        let mut number = seen();
        number[3].xen = Some(16);
        assert!(!passed(&number));
        assert!(!passed(&seen()[1..]));
        let mut same = seen();
        (same[0].model, same[0].xen) = (Some(22), Some(22));
        assert!(!passed(&same));
    }
}
