//! savelint on streams that are broken on purpose: raw bytes, or a good sample with edits that the
//! bytes choose.
#![no_main]

use savelint::{lint, sample, Options, Unreadable, Weight, Xen};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((how, rest)) = bytes.split_first() else {
        return;
    };
    let stream = if how & 1 == 0 {
        sample::edited(rest)
    } else {
        rest.to_vec()
    };
    let options = Options {
        memory: 16 << 20,
        linear: how & 2 == 0,
        backup: how >> 4 & 1 != 0,
        for_xen: [None, Some(Xen::V4_14), Some(Xen::V4_17), Some(Xen::V4_20)]
            [usize::from(how >> 2 & 3)],
    };
    match lint(&stream[..], &options, &mut |_| {}) {
        Ok(report) => {
            let fatal = report.findings.iter().any(|f| f.weight == Weight::Fatal);
            assert_eq!(report.restores(), !fatal);
            assert!(report.format.bytes <= stream.len() as u64);
            assert!(report.findings.iter().all(|f| !f.seen.is_empty()));
            assert!(report.to_string().len() < 1 << 20);
            serde_json::to_string(&report).expect("a report is JSON");
        }
        Err(Unreadable::Io { .. }) => panic!("a slice was not read"),
        Err(why) => assert!(!why.to_string().is_empty()),
    }
});
