//! The report as a page for a person.

use std::fmt;

use crate::finding::Weight;
use crate::report::{Holder, Pages, Pins, Report, Verdict};

/// How wide a bar gets.
const BAR: u64 = 40;
/// The name of pages without memory.
const HOLE: &str = "hole";
/// How many steps of the pinning order are shown.
const STEPS: usize = 12;
/// How many are shown on each side of one that matters.
const AROUND: usize = 3;
/// How wide a line gets.
const WIDTH: usize = 110;

/// Where a finding's words stand.
const INDENT: &str = "                              ";

/// A holder of linear entries, in a sentence.
pub struct Linear<'a>(pub &'a Holder);

impl fmt::Display for Linear<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holder = self.0;
        write!(f, "L{} page {:#x}", holder.level, holder.page)?;
        match holder.place {
            Some(place) => write!(f, " (pinned as no. {place})")?,
            None => write!(f, " (not pinned)")?,
        }
        write!(f, " holds linear entries to ")?;
        let mut first = true;
        for target in &holder.targets {
            let comma = if first { "" } else { ", " };
            first = false;
            write!(f, "{comma}{:#x}", target.page)?;
            if target.page == holder.page {
                write!(f, " (itself)")?;
            } else if let Some(place) = target.place {
                write!(f, " (no. {place})")?;
            }
        }
        if holder.too_early {
            let first = holder.targets.iter().find(|t| t.place > holder.place);
            if let Some(first) = first {
                write!(
                    f,
                    ": when it is pinned, page {:#x} is nothing yet and is taken for an L{}",
                    first.page,
                    holder.level - 1
                )?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guest = &self.guest;
        write!(f, "guest    {}", guest.kind)?;
        if let Some(name) = &guest.name {
            // A name from a stream is not to steer a terminal.
            write!(f, " {:?}", name.chars().take(100).collect::<String>())?;
        }
        write!(f, ", saved by {}", guest.saved_by)?;
        if let Some(p2m) = guest.p2m {
            write!(f, ", p2m as a {p2m}")?;
        }
        writeln!(f)?;
        writeln!(f, "stream   {}", self.format_words())?;
        writeln!(f, "memory   {}", memory(&self.pages))?;
        writeln!(f, "vCPUs    {}", self.vcpu_words())?;
        match &self.verdict {
            Verdict::Restores => {
                let clean = if self.is_clean() {
                    ""
                } else {
                    ", but see the findings"
                };
                writeln!(f, "verdict  CAN BE RESTORED by Xen {}{clean}", self.for_xen)?;
            }
            Verdict::Fails { why, says, .. } => {
                writeln!(f, "verdict  CANNOT BE RESTORED by Xen {}", self.for_xen)?;
                wrapped(f, "         ", "         ", why)?;
                if let Some(says) = says {
                    writeln!(f, "         xl restore will say: {says}")?;
                }
            }
        }
        bars(f, &self.pages)?;
        if let Some(pins) = &self.pins {
            order(f, pins)?;
        }
        self.write_findings(f)?;
        writeln!(f, "\nNot judged")?;
        for words in &self.not_judged {
            wrapped(f, "  - ", "    ", words)?;
        }
        Ok(())
    }
}

impl Report {
    fn format_words(&self) -> String {
        let mut words = format!("libxc version {}", self.format.libxc);
        if let Some(libxl) = self.format.libxl {
            words += &format!(" in libxl version {libxl}");
        }
        if self.format.xl {
            words += " with xl's header";
        }
        if let Some(version) = self.format.libvirt {
            words += &format!(" with libvirt's header of version {version}");
        }
        if let Some(seen) = &self.format.xapi {
            words += &format!(" in xapi's image ({})", seen.join(", "));
        }
        match self.format.checkpoints {
            0 => {}
            1 => words += ", 1 checkpoint",
            count => words += &format!(", {count} checkpoints"),
        }
        words + &format!(", {} bytes", self.format.bytes)
    }

    fn vcpu_words(&self) -> String {
        let mut words = ranges(&self.guest.vcpus);
        if words.is_empty() {
            words = "none".into();
        }
        if let Some(max) = self.guest.max_vcpus {
            words = format!("{words} online, {max} at most");
        }
        words
    }

    fn write_findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.findings.is_empty() {
            return writeln!(f, "\nNothing found.");
        }
        writeln!(f, "\nFindings")?;
        for finding in &self.findings {
            let few = if finding.weight == Weight::Note { 3 } else { 5 };
            for (n, seen) in finding.seen.iter().take(few).enumerate() {
                let first = match n {
                    0 => format!("  {:<8} {:<18} ", finding.weight, finding.code),
                    _ => format!("{INDENT}- "),
                };
                wrapped(f, &first, INDENT, seen)?;
            }
            let shown = few.min(finding.seen.len()) as u64;
            // One line may stand for many.
            if finding.count > shown && finding.seen.len() > 1 {
                let more = finding.count - shown;
                writeln!(f, "{INDENT}and {more} more")?;
            }
        }
        Ok(())
    }
}

/// Words in lines of a bearable width: the first line begins with `first`, the others with
/// `indent`.
fn wrapped(f: &mut fmt::Formatter<'_>, first: &str, indent: &str, words: &str) -> fmt::Result {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in words.split(' ') {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{line}")?;
            line = indent.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line += word;
        empty = false;
    }
    writeln!(f, "{line}")
}

fn memory(pages: &Pages) -> String {
    let mut words = format!("{} in {} pages", size(pages.populated), pages.populated);
    if pages.range != pages.populated {
        words += &format!(" of a range of {}", pages.range);
    }
    if let Some(allowed) = pages.allowed.filter(|allowed| pages.populated > *allowed) {
        words += &format!("; Xen gives it {allowed} at most");
    }
    if pages.copies > pages.filled {
        words += &format!(
            "; saved while it ran: {} copies of {} pages",
            pages.copies, pages.filled
        );
    }
    words
}

fn size(pages: u64) -> String {
    match pages {
        0..=2559 => format!("{} KiB", pages * 4),
        _ => format!("{} MiB", pages / 256),
    }
}

/// Numbers as `0-3, 5`.
fn ranges(numbers: &[u32]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = 0;
    while let Some(first) = numbers.get(next) {
        let mut last = *first;
        while numbers.get(next + 1) == Some(&(last.wrapping_add(1))) {
            (next, last) = (next + 1, last + 1);
        }
        next += 1;
        words.push(if last == *first {
            first.to_string()
        } else {
            format!("{first}-{last}")
        });
    }
    words.join(", ")
}

fn bars(f: &mut fmt::Formatter<'_>, pages: &Pages) -> fmt::Result {
    let mut rows = vec![("plain".to_owned(), pages.plain, 0)];
    for level in (0..4).rev() {
        rows.push((
            format!("L{} table", level + 1),
            pages.tables[level],
            pages.pinned[level],
        ));
    }
    rows.push(("empty".into(), pages.empty, 0));
    rows.push((HOLE.into(), pages.holes, 0));
    rows.push(("broken".into(), pages.broken, 0));
    rows.push(("missing".into(), pages.missing, 0));
    // Holes have no bar: a PVH guest's range has a million of them.
    let most = rows.iter().filter(|row| row.0 != HOLE).map(|row| row.1);
    let most = most.max().unwrap_or(0).max(1);
    writeln!(f, "\nPages by type")?;
    for (name, count, pinned) in rows.iter().filter(|row| row.1 > 0) {
        write!(f, "  {name:<9} {count:>10}")?;
        if name != HOLE {
            let bar = (count * BAR).div_ceil(most) as usize;
            write!(f, "  {}", "#".repeat(bar))?;
        }
        if *pinned > 0 {
            write!(f, " {pinned} pinned")?;
        }
        writeln!(f)?;
    }
    Ok(())
}

fn order(f: &mut fmt::Formatter<'_>, pins: &Pins) -> fmt::Result {
    writeln!(
        f,
        "\nPage tables, in the order in which a restore asks Xen for them"
    )?;
    if pins.unjudged {
        return writeln!(f, "  not judged: the stream is incomplete");
    }
    for root in pins.roots.iter().take(STEPS) {
        let cr3 = if root.user { "user cr3" } else { "cr3" };
        writeln!(f, "  vCPU {} {cr3}: page {:#x}", root.vcpu, root.page)?;
    }
    if pins.roots.len() > STEPS {
        writeln!(f, "  and {} more roots", pins.roots.len() - STEPS)?;
    }
    // The beginning, and what stands around the first refusal and the first holders.
    let refused = pins
        .pinned
        .iter()
        .position(|p| Some(p.page) == pins.refused);
    let early = pins.holders.iter().filter(|h| h.too_early);
    let holders = early
        .filter_map(|h| h.place)
        .map(|place| place as usize - 1);
    let places: Vec<usize> = refused.into_iter().chain(holders.take(2)).collect();
    let shown = |n: usize| {
        let few = if places.is_empty() { STEPS } else { AROUND };
        n < few
            || places
                .iter()
                .any(|place| n + AROUND > *place && n < place + AROUND)
    };
    let mut left_out = 0;
    for (n, pin) in pins.pinned.iter().enumerate() {
        if !shown(n) {
            left_out += 1;
            continue;
        }
        if left_out > 0 {
            writeln!(f, "  ... {left_out} more pinned tables")?;
            left_out = 0;
        }
        let holder = pins.holders.iter().find(|h| h.page == pin.page);
        let linear = match holder {
            Some(holder) if holder.too_early => "  linear entries, before their targets",
            Some(_) => "  linear entries",
            None => "",
        };
        let here = if Some(n) == refused { "  REFUSED" } else { "" };
        let (n, level, page) = (n + 1, pin.level, pin.page);
        writeln!(f, "  pin no. {n}: L{level} page {page:#x}{linear}{here}")?;
    }
    if left_out > 0 {
        writeln!(f, "  ... {left_out} more pinned tables")?;
    }
    if pins.pinned.is_empty() {
        writeln!(f, "  nothing is pinned")?;
    }
    if pins.more_refused > 0 {
        writeln!(
            f,
            "  {} more would be refused after the first",
            pins.more_refused
        )?;
    }
    Ok(())
}
