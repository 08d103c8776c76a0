//! Whole streams: good ones, and each kind of bad one.

mod envelopes;
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

#[test]
fn the_place_of_the_holder_decides() {
    for wide in [true, false] {
        for (set, restores) in [
            (Set::None, true),
            (Set::NoLinear, true),
            (Set::HolderLast, true),
            (Set::HolderFirst, false),
        ] {
            let report = report(&stream(&pv(wide, set)));
            assert_eq!(report.restores(), restores, "{wide} {set:?}:\n{report}");
            assert_eq!(report.errno(), (!restores).then_some(22));
            assert_eq!(report.is_clean(), restores);
        }
    }
    let report = report(&stream(&pv(true, Set::HolderFirst)));
    assert_eq!(codes(&report), [Code::PinRefused, Code::LinearEntries]);
    let text = flat(&report);
    for part in [
        "CANNOT BE RESTORED",
        "Failed to pin batch of pagetables (22 = Invalid argument)",
        "L2 page 0x1f cannot be pinned",
        "L2 page 0x1e (pinned as no. 2) holds linear entries to 0x1e (itself), 0x1f (no. 3)",
        "page 0x1f is nothing yet and is taken for an L1",
        "pin no. 2: L2 page 0x1e linear entries, before their targets",
        "pin no. 3: L2 page 0x1f REFUSED",
        "2 more would be refused",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn a_host_without_linear_tables_refuses_all_of_them() {
    let bytes = stream(&pv(true, Set::HolderLast));
    let options = Options {
        linear: false,
        ..Options::default()
    };
    let report = lint(&bytes[..], &options, &mut |_| {}).unwrap();
    assert!(codes(&report).contains(&Code::PinRefused));
}

#[test]
fn a_root_is_refused_before_any_pin() {
    // The user's L2 points to an L2 in use: not a linear entry, it is writable.
    let records = pages(Set::None, |pages| {
        write(&mut pages[L3 as usize], 0, L3 << 12 | 3);
    });
    let report = expect(&records, Code::RootRefused);
    assert!(report
        .to_string()
        .contains("Failed to set vcpu0's basic info"));
    assert_eq!(report.errno(), Some(22));
}

#[test]
fn the_user_root_of_a_64_bit_guest_is_loaded_too() {
    let records = with(&pv(true, Set::None), 4, |body| {
        body[8 + 4992..8 + 5000].copy_from_slice(&(ROOT << 12 | 1).to_le_bytes());
    });
    let good = report(&stream(&records));
    assert!(good.restores(), "{good}");
    assert!(good.pins.unwrap().roots.iter().any(|root| root.user));
    for (cr1, word) in [(PLAIN << 12 | 1, "no L4 table"), (ROOT << 12, "user cr3")] {
        let records = with(&pv(true, Set::None), 4, |body| {
            body[8 + 4992..8 + 5000].copy_from_slice(&cr1.to_le_bytes());
        });
        let report = expect(&records, Code::VcpuState);
        assert!(report.to_string().contains(word), "{report}");
    }
    // In user mode without one.
    let records = with(&pv(true, Set::None), 4, |body| body[8 + 512] = 0);
    expect(&records, Code::VcpuState);
}

#[test]
fn the_state_of_a_vcpu() {
    for wide in [true, false] {
        let (cr3, edx, gdt, entries) = if wide {
            (5008, 616, 4832, 4960)
        } else {
            (2728, 524, 2640, 2704)
        };
        let set = |at: usize, value: u32| {
            with(&pv(wide, Set::None), 4, |body| {
                body[8 + at..12 + at].copy_from_slice(&value.to_le_bytes());
            })
        };
        expect(&set(cr3, (PLAIN as u32) << 12), Code::VcpuState);
        expect(&set(cr3, 0x7fff_f000), Code::VcpuState);
        expect(&set(gdt, ROOT as u32), Code::VcpuState);
        expect(&set(entries, 7169), Code::VcpuState);
        expect(&set(edx, MAX_PFN as u32), Code::StartInfo);
        expect(&set(edx, 1 << 30), Code::StartInfo);
    }
    expect(&without(&pv(true, Set::None), 4), Code::RecordMissing);
    // Its ring is nowhere.
    let records = pages(Set::None, |pages| {
        pages[START_INFO as usize].contents[56] = 0xff;
    });
    expect(&records, Code::StartInfo);
}

#[test]
fn the_p2m_table() {
    let replace = |pfn: u64| {
        with(&pv(true, Set::None), 3, |body| {
            body[8..16].copy_from_slice(&pfn.to_le_bytes());
        })
    };
    expect(&replace(MAX_PFN + 1), Code::P2mFrame);
    expect(&replace(ROOT), Code::P2mFrame);
    expect(&replace(MAX_PFN), Code::P2mFrame);
    // The domain is larger than its table.
    let mut records = pv(true, Set::None);
    let more = [512u32, 600].map(u32::to_le_bytes).concat();
    let more = [more, P2M.to_le_bytes().to_vec()].concat();
    records.insert(
        5,
        Record {
            kind: 3,
            body: more,
        },
    );
    records.remove(4);
    let report = expect(&records, Code::P2mFrame);
    assert!(codes(&report).contains(&Code::PagesMissing));
}

#[test]
fn entries_and_pages_outside() {
    let records = pages(Set::None, |pages| {
        write(&mut pages[L1 as usize], 9, (MAX_PFN + 1) << 12 | 1);
    });
    expect(&records, Code::EntryOutside);
    let records = pages(Set::None, |pages| pages[40].pfn = MAX_PFN + 1);
    let report = expect(&records, Code::PageOutside);
    assert!(codes(&report).contains(&Code::PagesMissing));
    let records = pages(Set::None, |pages| {
        write(&mut pages[L2 as usize], 9, PLAIN << 12 | 0x81);
    });
    expect(&records, Code::Superpage);
}

#[test]
fn pages_that_were_left_out() {
    // Dropped when it was saved: an L1 in use has become a hole.
    let records = pages(Set::None, |pages| {
        pages[L1 as usize].bits = 0xf;
        pages[L1 as usize].contents.clear();
    });
    let dropped = expect(&records, Code::DroppedPage);
    assert!(dropped.restores() && !dropped.is_clean());
    // Left out of the last pass only.
    let mut records = pv(true, Set::None);
    let hole = Page {
        pfn: L1,
        bits: 0xf,
        contents: Vec::new(),
    };
    records.insert(6, page_data(&[hole]));
    let stale = expect(&records, Code::StalePage);
    assert!(stale.restores());
    assert_eq!((stale.pages.holes, dropped.pages.holes), (38, 38));
    // Plain memory where a table should be.
    let records = pages(Set::None, |pages| pages[L1 as usize].bits = 0);
    expect(&records, Code::PlainAsTable);
}

#[test]
fn a_later_copy_replaces_an_earlier_one() {
    // First the bad set, then its holder once more without linear entries, as a live stream would
    // send it.
    let good = pv_pages(true, Set::NoLinear);
    let mut records = pv(true, Set::HolderFirst);
    records.insert(6, page_data(&good[SET as usize..=SET as usize]));
    let live = report(&stream(&records));
    assert!(live.restores(), "{live}");
    assert_eq!(live.pages.copies, live.pages.filled + 1);
    assert!(live.to_string().contains("saved while it ran"));
    // Unpinned and emptied in the last pass.
    let mut drained: Vec<Page> = good[SET as usize..SET as usize + 4].to_vec();
    for page in &mut drained {
        page.bits = 0;
        page.contents.fill(0);
    }
    records[6] = page_data(&drained);
    let live = report(&stream(&records));
    assert!(live.restores(), "{live}");
    assert_eq!(live.pages.pinned, [0, 0, 0, 1]);
    // And the other way round.
    let bad = pv_pages(true, Set::HolderFirst);
    let mut records = pv(true, Set::NoLinear);
    records.insert(6, page_data(&bad[SET as usize..=SET as usize]));
    expect(&records, Code::PinRefused);
    // In verify mode nothing is replaced, only compared.
    records.insert(
        6,
        Record {
            kind: 0xd,
            body: vec![],
        },
    );
    let verify = expect(&records, Code::VerifyMismatch);
    assert!(verify.restores(), "{verify}");
}

#[test]
fn tables_that_nothing_leads_to() {
    let records = pages(Set::NoLinear, |pages| pages[SET as usize].bits = 2);
    let report = expect(&records, Code::LooseTable);
    assert!(report.is_clean() && report.restores());
}

#[test]
fn an_l4_in_a_32_bit_domain() {
    let mut records = pv(false, Set::NoLinear);
    let mut pages = pv_pages(false, Set::NoLinear);
    pages[SET as usize].bits = 0xc;
    let n = find(&records, 1);
    records[n] = page_data(&pages);
    expect(&records, Code::PinRefused);
}

#[test]
fn records_that_are_missing() {
    for kind in [2, 3, 4] {
        let code = if kind == 2 {
            Code::RecordOrder
        } else {
            Code::RecordMissing
        };
        expect(&without(&pv(true, Set::None), kind), code);
    }
    for kind in [7, 8] {
        let report = expect(&without(&pv(true, Set::None), kind), Code::StateMissing);
        assert!(report.restores() && !report.is_clean());
    }
    expect(&without(&pv(true, Set::None), 0x10), Code::RecordOrder);
    let no_context = without(&hvm(), 9);
    let report = report(&libxc(3, false, &no_context));
    assert!(codes(&report).contains(&Code::RecordMissing));
    expect(&without(&hvm(), 0xa), Code::StateMissing);
    expect(&without(&hvm(), 0x10), Code::RecordOrder);
}

#[test]
fn records_out_of_place() {
    let mut records = pv(true, Set::None);
    records.swap(0, 4);
    expect(&records, Code::RecordOrder);
    let mut records = pv(true, Set::None);
    records.swap(4, 5);
    expect(&records, Code::RecordOrder);
    for (kind, code) in [
        (2, Code::RecordUnexpected),
        (0x10, Code::RecordUnexpected),
        (0x11, Code::RecordOdd),
    ] {
        let mut records = pv(true, Set::None);
        let copy = records[find(&records, kind)].clone();
        records.insert(5, copy);
        expect(&records, code);
    }
    for (kind, code) in [
        (9, Code::RecordUnexpected),
        (0xa, Code::RecordUnexpected),
        (0xb, Code::RecordUnexpected),
        (0xe, Code::RecordUnexpected),
        (0xf, Code::RecordUnexpected),
        (0x13, Code::RecordUnknown),
        (0x8000_0001, Code::RecordIgnored),
    ] {
        let mut records = pv(true, Set::None);
        records.insert(5, Record { kind, body: vec![] });
        let report = report(&libxc(3, true, &records));
        assert!(codes(&report).contains(&code), "{kind:#x}:\n{report}");
        assert_eq!(report.restores(), kind == 0x8000_0001);
    }
    let mut records = hvm();
    records.insert(
        3,
        Record {
            kind: 7,
            body: vec![0; 4096],
        },
    );
    expect(&records, Code::RecordUnexpected);
}

#[test]
fn records_of_the_wrong_size() {
    // Each record but the empty ones, 8 bytes longer: EXTENDED may be, a blob of vCPU 0.
    for records in [pv(true, Set::None), pv(false, Set::None), hvm()] {
        for n in 0..records.len() {
            let kind = records[n].kind;
            let mut records = records.clone();
            records[n].body.extend([0; 8]);
            let report = report(&stream(&records));
            let fatal = !matches!(kind, 0 | 2 | 5 | 9 | 0x10);
            assert_eq!(report.restores(), !fatal, "{kind:#x}:\n{report}");
            let mut records = records.clone();
            records[n].body.clear();
            let report = report_of(&records);
            assert_eq!(
                report.restores(),
                matches!(kind, 0 | 0x10),
                "{kind:#x} emptied:\n{report}"
            );
        }
    }
}

fn report_of(records: &[Record]) -> Report {
    report(&libxc(
        3,
        records.iter().all(|r| r.kind != 9 && r.kind != 0xa),
        records,
    ))
}

#[test]
fn vcpu_records() {
    let base = pv(true, Set::None);
    // Tolerated: Xen 4.6 to 4.8 made empty ones.
    let empty = with(&base, 5, |body| body.truncate(8));
    let report = expect(&empty, Code::RecordIgnored);
    assert!(report.restores() && report.is_clean());
    expect(
        &with(&base, 5, |body| body.truncate(4)),
        Code::RecordMalformed,
    );
    expect(
        &with(&base, 5, |body| body.resize(8 + 129, 0)),
        Code::RecordMalformed,
    );
    for (kind, size) in [(6, 15), (0xc, 24)] {
        let mut records = base.clone();
        records.insert(
            9,
            Record {
                kind,
                body: vec![0; 8 + size],
            },
        );
        expect(&records, Code::RecordMalformed);
    }
    // Of a vCPU that the configuration does not have.
    let mut records = base.clone();
    records.insert(9, vcpu_basic(true, 2));
    let wrapped = xl(PV_CONFIG, &libxl(&stream(&records)));
    assert!(codes(&super::tests::report(&wrapped)).contains(&Code::RecordMalformed));
    assert!(super::tests::report(&stream(&records)).restores());
    records[9] = vcpu_basic(true, 8192);
    expect(&records, Code::RecordMalformed);
}

#[test]
fn page_data_records() {
    let base = pv(true, Set::None);
    let count = |n: u32| with(&base, 1, |body| body[..4].copy_from_slice(&n.to_le_bytes()));
    expect(&count(0), Code::RecordMalformed);
    expect(&count(1), Code::RecordMalformed);
    expect(&count(u32::MAX), Code::RecordMalformed);
    for bits in 5..=8 {
        let records = pages(Set::None, |pages| pages[40].bits = bits);
        expect(&records, Code::PageType);
    }
    let reserved = with(&base, 1, |body| body[8 + 6] = 0x10);
    let report = expect(&reserved, Code::Reserved);
    assert!(report.restores() && !report.is_clean());
    expect(&with(&base, 1, |body| body[4] = 1), Code::Reserved);
    // An HVM page beyond all addresses.
    let hvm = with(&hvm(), 1, |body| body[8 + 5] = 1);
    expect(&hvm, Code::PageOutside);
}

#[test]
fn the_hvm_context() {
    let good = report(&stream(&hvm()));
    assert_eq!(good.guest.vcpus, [0, 2]);
    assert_eq!(good.pages.holes, 1);
    let context = |edit: &dyn Fn(&mut Vec<u8>)| with(&hvm(), 9, |body| edit(body));
    for bad in [
        context(&|body| body.truncate(20)),
        context(&|body| body.truncate(body.len() - 8)),
        context(&|body| body[0] = 2),
        context(&|body| body[8] = 0),
        context(&|body| body[12] = 2),
        context(&|body| body[32] = 21),
        context(&|body| body[36..40].fill(0xff)),
    ] {
        expect(&bad, Code::HvmContext);
    }
    let wrapped = |config| xl(config, &libxl(&stream(&hvm())));
    let small = HVM_CONFIG.replace('4', "2");
    assert!(codes(&report(&wrapped(&small))).contains(&Code::HvmContext));
    let params = with(&hvm(), 0xa, |body| body[16] = 3);
    let report = expect(&params, Code::StateMissing);
    assert!(report.restores());
    expect(&with(&hvm(), 0xa, |body| body[8] = 200), Code::HvmParam);
    expect(
        &with(&hvm(), 0xa, |body| body[0] = 3),
        Code::RecordMalformed,
    );
}

#[test]
fn version_2_has_no_end_of_static_data() {
    let records: Vec<_> = [0x10, 0x11, 0x12]
        .iter()
        .fold(pv(true, Set::None), |records, kind| {
            without(&records, *kind)
        });
    let old = report(&libxc(2, true, &records));
    assert!(old.findings.is_empty(), "{old}");
    let odd = report(&libxc(2, true, &pv(true, Set::None)));
    assert_eq!(codes(&odd), [Code::RecordOdd]);
    assert!(odd.restores());
}

#[test]
fn every_truncation_is_found() {
    let bytes = xl(PV_CONFIG, &libxl(&stream(&pv(true, Set::HolderLast))));
    let mut seen = [0, 0];
    for length in (0..bytes.len())
        .step_by(61)
        .chain(bytes.len() - 9..bytes.len())
    {
        match judge(&bytes[..length]) {
            // libxl's END is eight zeros, and xl takes the file's end for it.
            Ok(report) if length >= bytes.len() - 8 => {
                assert_eq!(codes(&report), [Code::EndMissing, Code::LinearEntries]);
                assert!(report.restores() && !report.is_clean());
            }
            Ok(report) => {
                assert!(codes(&report).contains(&Code::Truncated), "{length}");
                assert!(!report.restores());
                seen[0] += 1;
            }
            Err(Unreadable::NotAStream { why }) => {
                assert!(length < 300, "{length}: {why}");
                seen[1] += 1;
            }
            Err(why) => panic!("{why}"),
        }
    }
    assert!(seen[0] > 100 && seen[1] > 2, "{seen:?}");
    let cut = report(&bytes[..bytes.len() / 2]);
    assert!(cut
        .to_string()
        .contains("not judged: the stream is incomplete"));
}

#[test]
fn what_is_no_stream() {
    let bare = stream(&hvm());
    let edit = |at: usize, value: u8| {
        let mut bytes = bare.clone();
        bytes[at] = value;
        bytes
    };
    for (bytes, word) in [
        (Vec::new(), "empty"),
        (b"\x7fELF and so on".to_vec(), "ELF"),
        (vec![b'x'; 5000], "no header"),
        (edit(8, 0), "marker"),
        (edit(15, 4), "version 4"),
        (edit(15, 1), "version 1"),
        (edit(17, 1), "big-endian"),
        (edit(24, 3), "type 0x3"),
        (edit(28, 16), "2^16"),
        (b"LibxlFmt\0\0\0\x03\0\0\0\0".to_vec(), "version 3"),
        (b"LibxlFmt\0\0\0\x02\0\0\0\x01".to_vec(), "big-endian"),
        (libxl(&[])[..16].to_vec(), "inside the headers"),
        ([&libxl(&[])[..16], &[0; 8]].concat(), "no LIBXC_CONTEXT"),
        (xl(PV_CONFIG, &[1; 8]), "no header"),
    ] {
        match judge(&bytes) {
            Err(Unreadable::NotAStream { why }) => assert!(why.contains(word), "{why}"),
            other => panic!("{word}: {other:?}"),
        }
    }
    let mut old = xl(PV_CONFIG, &libxl(&bare));
    old[36] = 1;
    assert!(judge(&old).unwrap_err().to_string().contains("Xen 4.5"));
    old[32] = 1;
    assert!(judge(&old).unwrap_err().to_string().contains("byte order"));
}

/// Seen on Xen 4.17.5 with memory=8 maxmem=16:
/// `Failed to populate physmap (16 = Device or resource busy)`.
#[test]
fn more_pages_than_the_configuration_allows() {
    let plain = |pages: u64| -> Vec<Record> {
        let mut records = hvm();
        let pages: Vec<Page> = (8..pages + 1)
            .map(|pfn| Page {
                pfn,
                bits: 0xe,
                contents: vec![],
            })
            .collect();
        let n = find(&records, 1);
        records.insert(n + 1, page_data(&pages));
        records
    };
    let config = |fields: &str| format!(r#"{{"c_info":{{"type":"pvh"}},"b_info":{{{fields}}}}}"#);
    let judged = |fields: &str, pages| report(&xl(&config(fields), &libxl(&stream(&plain(pages)))));
    // 4096 KiB and libxl's 1024 are 1280 pages.
    for fields in [
        r#""target_memkb":4096,"max_memkb":8192"#,
        r#""target_memkb":4096"#,
        r#""max_memkb":4096"#,
        r#""target_memkb":4099"#,
    ] {
        let good = judged(fields, 1280);
        assert_eq!(good.pages.populated, 1280);
        assert!(good.findings.is_empty(), "{good}");
        assert_eq!(good.pages.allowed, Some(1280));
        let bad = judged(fields, 1281);
        assert_eq!(codes(&bad), [Code::OverAllocation], "{bad}");
        assert!(!bad.restores());
        assert_eq!(bad.errno(), Some(16));
        let text = flat(&bad);
        for part in [
            "xl restore will say: Failed to populate physmap (16 = Device or resource busy)",
            "PAGE_DATA at byte",
            "the domain has 1281 pages, and Xen gives it 1280 at most",
            "1281 pages",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    }
    // Pages that tables ask for count too: of a PV guest those that no record brings.
    let small = PV_CONFIG.replace("192", "0");
    let pv_report = report(&xl(&small, &libxl(&stream(&pv(true, Set::None)))));
    assert!(pv_report.restores(), "{pv_report}");
    // Nothing is said without a configuration.
    assert!(report(&stream(&plain(4000))).restores());
    assert!(judged("", 8448).restores());
    assert!(!judged("", 8449).restores());
}

#[test]
fn the_wrappings() {
    let bare = stream(&hvm());
    let good = xl(HVM_CONFIG, &libxl(&bare));
    let edit = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        report(&bytes)
    };
    assert_eq!(codes(&edit(36, 7)), [Code::XlHeader]);
    assert_eq!(codes(&edit(53, b'x')), [Code::XlHeader]);
    let wrong = report(&xl(PV_CONFIG, &libxl(&bare)));
    assert_eq!(codes(&wrong), [Code::WrongType, Code::HvmContext]);
    assert_eq!(
        codes(&report(&[&bare[..], b"more"].concat())),
        [Code::TrailingData]
    );
    assert_eq!(
        codes(&report(&xl(HVM_CONFIG, &bare))),
        [Code::RecordMissing]
    );
    // A recorded migration ends with the sender's word.
    let go = b"domain is yours, you are cleared to unpause\0";
    assert!(report(&[&good[..], go].concat()).findings.is_empty());
    assert_eq!(
        codes(&report(&[&good[..], go, b"x"].concat())),
        [Code::TrailingData]
    );
    // Padding: the configuration's end is not aligned, the records are.
    let mut padded = hvm();
    padded[0].kind = 0x8000_0000;
    padded[0].body.truncate(13);
    let mut bytes = stream(&padded);
    bytes[40 + 8 + 14] = 1;
    assert_eq!(codes(&report(&bytes)), [Code::Padding, Code::RecordIgnored]);
    // What libxl passes over.
    for (at, length) in [
        (20, 8u8),
        (good.len() - 4 - (good.len() - libxl(&bare).len()), 8),
    ] {
        let mut bytes = libxl(&bare);
        bytes[at] = length;
        let end = if at == 20 { 24 } else { bytes.len() };
        bytes.splice(end..end, [1; 8]);
        let report = report(&bytes);
        assert_eq!(codes(&report), [Code::RecordOdd], "{report}");
        assert!(report.restores());
    }
    // libxl's own records.
    let records = |extra: &[u32]| {
        let mut bytes = libxl(&bare);
        let end = bytes.len() - 8;
        let extra: Vec<u8> = extra.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.splice(end..end, extra);
        bytes
    };
    let emulator = records(&[3, 16, 2, 0, 1, 2]);
    assert_eq!(report(&emulator).guest.kind, "HVM");
    assert!(report(&emulator).findings.is_empty());
    assert_eq!(
        codes(&report(&xl(HVM_CONFIG, &emulator))),
        [Code::RecordUnexpected]
    );
    assert_eq!(codes(&report(&records(&[3, 0]))), [Code::RecordMalformed]);
    assert_eq!(codes(&report(&records(&[4, 0]))), [Code::RecordUnexpected]);
    assert_eq!(codes(&report(&records(&[6, 0]))), [Code::RecordUnknown]);
    assert_eq!(codes(&report(&records(&[1, 0]))), [Code::RecordUnexpected]);
}

#[test]
fn a_record_that_is_too_long_ends_the_reading() {
    let mut bytes = stream(&hvm());
    bytes[44..48].copy_from_slice(&(129u32 << 20).to_le_bytes());
    let report = report(&bytes);
    assert_eq!(codes(&report), [Code::RecordTooLong]);
}

#[test]
fn claims_allocate_nothing_and_the_limit_holds() {
    // A record that claims 128 MiB of pages, in a stream of a few bytes.
    let mut bytes = libxc(3, false, &hvm()[..3]);
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 8]);
    bytes.extend([0xfe, 0xff, 0xff, 0, 0, 0, 0, 0]);
    let small = Options {
        memory: 1 << 20,
        ..Options::default()
    };
    // Its list alone is more than the limit allows.
    let judged = lint(&bytes[..], &small, &mut |_| {});
    assert!(
        matches!(judged, Err(Unreadable::TooBig { .. })),
        "{judged:?}"
    );
    assert!(codes(&report(&bytes)).contains(&Code::Truncated));
    // Pages far apart, each in a piece of its own.
    let far: Vec<Page> = (0..4096)
        .map(|n| Page {
            pfn: n << 20,
            bits: 0xf,
            contents: vec![],
        })
        .collect();
    let mut records = hvm();
    records.insert(4, page_data(&far));
    let judged = lint(&libxc(3, false, &records)[..], &small, &mut |_| {});
    assert!(
        matches!(judged, Err(Unreadable::TooBig { .. })),
        "{judged:?}"
    );
    // An endless input of tables is no match for it either.
    let tables = Repeat {
        head: libxc(3, true, &pv(true, Set::None)[..5]),
        body: libxc(3, true, &[page_data(&pv_pages(true, Set::NoLinear))])[40..].to_vec(),
        at: 0,
    };
    let endless = lint(tables.take(64 << 20), &small, &mut |_| {}).unwrap();
    assert!(codes(&endless).contains(&Code::Truncated));
}

/// A head, then the same for ever.
struct Repeat {
    head: Vec<u8>,
    body: Vec<u8>,
    at: usize,
}

impl Read for Repeat {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let from = match self.head.get(self.at..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => &self.body[(self.at - self.head.len()) % self.body.len()..],
        };
        let n = from.len().min(into.len());
        into[..n].copy_from_slice(&from[..n]);
        self.at += n;
        Ok(n)
    }
}

#[test]
fn an_input_that_breaks_is_named() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is on fire"))
        }
    }
    let bytes = stream(&hvm());
    let judged = lint(
        bytes[..5000].chain(Broken),
        &Options::default(),
        &mut |_| {},
    );
    let why = judged.unwrap_err();
    assert!(matches!(why, Unreadable::Io { at: 5000, .. }));
    assert!(why.to_string().contains("on fire"));
}

/// The fuzz target's edits, in a fixed random order: a guard that runs with every test.
#[test]
fn edited_streams_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut verdicts = [0u32; 3];
    for _ in 0..1500 {
        let bytes: Vec<u8> = (0..96)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        let options = Options {
            memory: 8 << 20,
            ..Options::default()
        };
        match lint(&edited(&bytes)[..], &options, &mut |_| {}) {
            Ok(report) => {
                let fatal = report.findings.iter().any(|f| f.weight == Weight::Fatal);
                assert_eq!(report.restores(), !fatal);
                assert!(!report.to_string().is_empty());
                verdicts[usize::from(fatal)] += 1;
            }
            Err(_) => verdicts[2] += 1,
        }
    }
    // All three ways were gone.
    assert!(verdicts.iter().all(|n| *n > 5), "{verdicts:?}");
}
