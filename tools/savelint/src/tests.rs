//! Whole streams: good ones, and each kind of bad one.

mod envelopes;
mod hvm_values;
mod page_tables;
mod reading;
mod records;
mod values;

use std::io::Read;

use super::*;
use crate::sample::*;

fn judge(bytes: &[u8]) -> Result<Report, Unreadable> {
    lint(bytes, &Options::default(), &mut |_| {})
}

fn report(bytes: &[u8]) -> Report {
    judge(bytes).unwrap_or_else(|why| panic!("{why}"))
}

/// libxc's stream of version 3.
fn stream(records: &[Record]) -> Vec<u8> {
    libxc(3, records.iter().all(|r| r.kind != 9), records)
}

fn codes(report: &Report) -> Vec<Code> {
    report.findings.iter().map(|f| f.code).collect()
}

/// The stream has this finding, and it decides the verdict if it is fatal.
#[track_caller]
fn expect(records: &[Record], code: Code) -> Report {
    let report = report(&stream(records));
    assert!(codes(&report).contains(&code), "no {code} in:\n{report}");
    if code.weight() == Weight::Fatal {
        assert!(!report.restores(), "{report}");
    }
    report
}

/// The page without its line breaks.
fn flat(report: &Report) -> String {
    let text = report.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn find(records: &[Record], kind: u32) -> usize {
    records.iter().position(|r| r.kind == kind).unwrap()
}

fn without(records: &[Record], kind: u32) -> Vec<Record> {
    let mut records = records.to_vec();
    records.remove(find(&records, kind));
    records
}

fn with(records: &[Record], kind: u32, edit: impl FnOnce(&mut Vec<u8>)) -> Vec<Record> {
    let mut records = records.to_vec();
    let n = find(&records, kind);
    edit(&mut records[n].body);
    records
}

/// The 64-bit sample with other pages.
fn pages(set: Set, edit: impl FnOnce(&mut Vec<Page>)) -> Vec<Record> {
    let mut pages = pv_pages(true, set);
    edit(&mut pages);
    let mut records = pv(true, set);
    let n = find(&records, 1);
    records[n] = page_data(&pages);
    records
}

fn write(page: &mut Page, slot: usize, entry: u64) {
    page.contents[slot * 8..slot * 8 + 8].copy_from_slice(&entry.to_le_bytes());
}

#[test]
fn good_streams_are_clean_in_every_wrapping() {
    for (pv_width, records) in [
        (Some(8), pv(true, Set::NoLinear)),
        (Some(4), pv(false, Set::NoLinear)),
        (None, hvm()),
    ] {
        let config = if pv_width.is_some() {
            PV_CONFIG
        } else {
            HVM_CONFIG
        };
        let bare = libxc(3, pv_width.is_some(), &records);
        for bytes in [bare.clone(), libxl(&bare), xl(config, &libxl(&bare))] {
            let report = report(&bytes);
            assert!(report.findings.is_empty(), "{report}");
            assert!(report.restores());
            assert_eq!(report.format.bytes, bytes.len() as u64);
            assert_eq!(report.guest.saved_by, "Xen 4.17");
            let kind = match pv_width {
                Some(8) => "PV 64-bit",
                Some(_) => "PV 32-bit PAE",
                None if report.format.xl => "PVH",
                None => "HVM or PVH",
            };
            assert_eq!(report.guest.kind, kind);
            // What comes in small portions is the same.
            let dripped = lint(Drip(&bytes, 0), &Options::default(), &mut |_| {}).unwrap();
            assert_eq!(dripped.to_string(), report.to_string());
        }
    }
}

/// Gives one to seven bytes at a time.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 % 7 + 1;
        let n = self.1.min(into.len()).min(self.0.len());
        into[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

#[test]
fn what_the_page_says_of_a_good_one() {
    let bytes = xl(PV_CONFIG, &libxl(&stream(&pv(true, Set::HolderLast))));
    let report = report(&bytes);
    let text = flat(&report);
    for part in [
        "PV 64-bit \"sample\", saved by Xen 4.17, p2m as a tree",
        "libxc version 3 in libxl version 2 with xl's header",
        "0 online, 2 at most",
        "CAN BE RESTORED",
        "L2 table 5 ",
        "4 pinned",
        "vCPU 0 cr3: page 0x1",
        "pin no. 5: L2 page 0x21 linear entries",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    assert_eq!(codes(&report), [Code::LinearEntries]);
    assert!(report.is_clean());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"]["result"], "restores");
    assert_eq!(json["pins"]["pinned"][4]["page"], 33);
    assert_eq!(json["findings"][0]["code"], "linear-entries");
}
