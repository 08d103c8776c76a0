//! savelint against `xl restore`: images of our guest and of Debian's Linux, as PVH and as PV, each
//! whole and with one thing changed. For each the verdicts must agree, and where savelint knows
//! what xl will print, xl must print it.

mod edits;
mod image;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use savelint::{lint, Options, Report, Verdict};
use serde::Serialize;

use crate::base::outcome::Outcome;
use crate::base::stop;
use crate::guest::config::Kind;
use crate::guest::linux::{self, Guest};
use crate::host::channel::Channel;
use crate::host::image as lab_image;
use crate::host::machine::Machine;
use crate::host::xl::{self, Xl};
use edits::Edit;
use image::{Image, Splice};

/// The longest a step in dom0 may take.
const LIMIT: Duration = Duration::from_secs(240);
/// The configuration in dom0.
const CONFIG: &str = "/lab/agreement.cfg";
/// Where the image and its edited form lie in dom0.
const GOOD: &str = "/lab/agreement.save";
const EDITED: &str = "/lab/agreement.edited";
/// Guests: which one, as what, MiB, how it says on its console that it is there, of how many edits
/// one is tried. An image is read whole before most are refused, so Linux's, which are large, get
/// some.
const GUESTS: [(Guest, Kind, u32, &str, usize); 4] = [
    (Guest::Ours, Kind::Pvh, 16, "\"ev\":\"ready\"", 1),
    (Guest::Ours, Kind::Pv, 8, "\"ev\":\"ready\"", 1),
    (Guest::Linux, Kind::Pvh, 112, "user-work ready", 5),
    (Guest::Linux, Kind::Pv, 112, "user-work ready", 5),
];

/// What came of one image.
#[derive(Debug, Clone, Serialize)]
struct Verdicts {
    guest: String,
    edit: String,
    savelint: bool,
    xl: bool,
    /// What savelint expects of xl's words, if it does, and whether xl said so.
    says: Option<String>,
    said: bool,
    why: String,
    xl_said: String,
}

impl Verdicts {
    fn agree(&self) -> bool {
        self.savelint == self.xl && (self.xl || self.says.is_none() || self.said)
    }
}

/// Saves each guest, edits, reads, restores.
///
/// # Errors
/// If dom0 does not answer, or a guest does not boot or cannot be saved.
pub fn run(machine: &Machine) -> Result<Outcome> {
    let dom0 = &machine.dom0;
    linux::put(dom0, &lab_image::ensure(machine.spec.xen.release())?)?;
    let mut file = std::fs::File::create(machine.run.join("agreement.jsonl"))?;
    let mut all = Vec::new();
    for (guest, kind, mem, ready, one_of) in GUESTS {
        let name = format!("{guest:?} as {}", kind.words());
        let image = save(dom0, guest, kind, mem, ready).with_context(|| name.clone())?;
        let mut edits = edits::of(&image).with_context(|| name.clone())?;
        let whole = image.put(0, image.number(0, 1), 1);
        edits.insert(0, ("nothing".into(), whole));
        for edit in edits.iter().step_by(one_of) {
            let one = try_one(dom0, &name, &image, edit)
                .with_context(|| format!("{name}, {}", edit.0))?;
            writeln!(file, "{}", serde_json::to_string(&one)?)?;
            all.push(one);
            stop::check()?;
        }
        dom0.must(&format!("rm -f {GOOD} {EDITED}"), LIMIT)?;
    }
    Ok(judge(&all))
}

/// A guest's image, in dom0 and here.
fn save(dom0: &Channel, guest: Guest, kind: Kind, mem: u32, ready: &str) -> Result<Image> {
    let name = linux::NAME;
    let log = format!("/var/log/xen/console/guest-{name}.log");
    let config = linux::config(guest, kind, 2, mem, "burst=4");
    dom0.put(CONFIG, config.as_bytes())?;
    let (create, save) = (Xl::create(CONFIG), Xl::save(name, GOOD));
    dom0.must(
        &format!(
            "rm -f {log}; {create} && until grep -q '{ready}' {log}; do usleep 50000; done; \
             {save}"
        ),
        LIMIT,
    )?;
    let bytes = dom0.read(&format!("cat {GOOD}"), LIMIT, |out| {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes)?;
        Ok(bytes)
    })?;
    Image::new(bytes)
}

fn try_one(dom0: &Channel, guest: &str, image: &Image, (edit, splice): &Edit) -> Result<Verdicts> {
    let edited = image.edited(splice);
    let report = lint(&edited[..], &Options::default(), &mut |_| {});
    place(dom0, image, splice)?;
    let out = dom0.run(
        &format!(
            "{}; status=$?; {}; exit $status",
            Xl::restore_paused(EDITED),
            xl::destroy_script(&[linux::NAME])
        ),
        LIMIT,
    )?;
    undo(dom0, image, splice)?;
    let text = format!("{}{}", out.stdout, out.stderr);
    let says = report.as_ref().ok().and_then(expected);
    Ok(Verdicts {
        guest: guest.to_owned(),
        edit: edit.clone(),
        savelint: report.as_ref().is_ok_and(Report::restores),
        xl: out.ok(),
        said: says
            .as_ref()
            .is_some_and(|says| text.contains(says.as_str())),
        says,
        why: match &report {
            Ok(report) => match &report.verdict {
                Verdict::Fails { why, .. } => why.clone(),
                Verdict::Restores => String::new(),
            },
            Err(why) => why.to_string(),
        },
        xl_said: text,
    })
}

fn expected(report: &Report) -> Option<String> {
    match &report.verdict {
        Verdict::Fails { says, .. } => says.clone(),
        Verdict::Restores => None,
    }
}

/// Makes the edited image in dom0, out of what is there: only the new bytes go over the channel. A
/// copy of the whole is made where the rest moves; otherwise [`undo`] makes it whole again.
fn place(dom0: &Channel, image: &Image, splice: &Splice) -> Result<()> {
    let bytes = &image.bytes;
    if moves(image, splice) {
        let (from, to) = (splice.from, splice.to + 1);
        let rest = if splice.to < bytes.len() {
            format!("tail -c +{to} {GOOD}")
        } else {
            ":".to_owned()
        };
        // A long run of zeros is made there.
        let zeros = splice.with.iter().all(|byte| *byte == 0);
        let (middle, input) = if zeros {
            (format!("head -c {} /dev/zero", splice.with.len()), &[][..])
        } else {
            ("cat".to_owned(), &splice.with[..])
        };
        let script = format!("{{ head -c {from} {GOOD}; {middle}; {rest}; }} > {EDITED}");
        dom0.run_with(&script, input, LIMIT)?.success(&script)?;
        return Ok(());
    }
    let mut tail = splice.with.clone();
    if splice.to - splice.from != tail.len() {
        tail.extend(&bytes[splice.to..]);
    }
    write(dom0, splice.from, &tail)?;
    let length = splice.from + tail.len();
    if splice.to - splice.from != splice.with.len() {
        dom0.must(&format!("truncate -s {length} {EDITED}"), LIMIT)?;
    }
    Ok(())
}

/// What is small enough to be sent once more.
const TAIL: usize = 256 << 10;

/// Whether too much of the image moves to be sent again.
fn moves(image: &Image, splice: &Splice) -> bool {
    let same = splice.to - splice.from == splice.with.len();
    splice.with.len() > TAIL || !same && image.bytes.len() - splice.from > TAIL
}

/// Writes into the edited image.
fn write(dom0: &Channel, at: usize, bytes: &[u8]) -> Result<()> {
    let script = format!(
        "[ -e {EDITED} ] || cp {GOOD} {EDITED}; dd of={EDITED} bs=1 seek={at} conv=notrunc 2>/dev/null"
    );
    dom0.run_with(&script, bytes, LIMIT)?.success(&script)?;
    Ok(())
}

/// Makes the edited image the good one again.
fn undo(dom0: &Channel, image: &Image, splice: &Splice) -> Result<()> {
    if moves(image, splice) {
        dom0.must(&format!("rm -f {EDITED}"), LIMIT)?;
        return Ok(());
    }
    let bytes = &image.bytes;
    if splice.to - splice.from == splice.with.len() {
        return write(dom0, splice.from, &bytes[splice.from..splice.to]);
    }
    let length = bytes.len();
    write(dom0, splice.from, &bytes[splice.from..])?;
    dom0.must(&format!("truncate -s {length} {EDITED}"), LIMIT)?;
    Ok(())
}

fn judge(all: &[Verdicts]) -> Outcome {
    let mut guests: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for one in all {
        guests.entry(&one.guest).or_default()[usize::from(!one.xl)] += 1;
    }
    let word = |restores| if restores { "restores" } else { "fails" };
    let apart: Vec<String> = all
        .iter()
        .filter(|one| !one.agree())
        .map(|one| {
            let said = one.says.as_deref().unwrap_or("nothing in particular");
            format!(
                "{}, {}: savelint says it {} ({}), xl that it {}; expected {said:?}, xl said: {}",
                one.guest,
                one.edit,
                word(one.savelint),
                one.why,
                word(one.xl),
                one.xl_said.trim().replace('\n', " | ")
            )
        })
        .collect();
    let counts: Vec<String> = guests
        .iter()
        .map(|(guest, [good, bad])| format!("{guest}: {good} restore, {bad} do not"))
        .collect();
    let counts = counts.join("; ");
    if !apart.is_empty() {
        return Outcome::Failed(format!(
            "{} of {} disagree ({counts}): {}",
            apart.len(),
            all.len(),
            apart.join("; ")
        ));
    }
    if guests.len() != GUESTS.len() || guests.values().any(|counts| counts.contains(&0)) {
        return Outcome::Failed(format!("nothing was compared of some guest: {counts}"));
    }
    let words = all.iter().filter(|one| one.said).count();
    Outcome::Passed(format!(
        "{} images, savelint and xl agree on each, and on xl's words where savelint knows them ({words}); {counts}",
        all.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(guest: usize, savelint: bool, xl: bool) -> Verdicts {
        Verdicts {
            guest: format!("{guest}"),
            edit: "e".into(),
            savelint,
            xl,
            says: None,
            said: false,
            why: String::new(),
            xl_said: String::new(),
        }
    }

    #[test]
    fn one_disagreement_is_enough() {
        let all: Vec<_> = (0..4)
            .flat_map(|guest| [one(guest, true, true), one(guest, false, false)])
            .collect();
        let passed = |all: &[Verdicts]| matches!(judge(all), Outcome::Passed(_));
        assert!(passed(&all));
        let mut other = all.clone();
        other[2].xl = false;
        assert!(!passed(&other));
        let mut silent = all.clone();
        silent[1].says = Some("words".into());
        assert!(!passed(&silent));
        silent[1].said = true;
        assert!(passed(&silent));
        assert!(!passed(&all[..6]));
        assert!(!passed(&all[..7]));
    }
}
