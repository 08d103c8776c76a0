//! Records that are missing, out of place, or of the wrong size.

use super::*;

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
    assert!(codes(&super::report(&wrapped)).contains(&Code::RecordMalformed));
    assert!(super::report(&stream(&records)).restores());
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
