//! Reading: wrappings, truncations, limits, and inputs that break.

use super::*;

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
