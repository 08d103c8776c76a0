//! Values that Xen refuses, each seen in its source and some on a running one: a good stream with
//! one thing changed.

use super::*;

pub fn put(body: &mut [u8], at: usize, value: u64, width: usize) {
    body[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// The report of an HVM or PV stream by the rules of a version.
pub fn by(xen: Xen, records: &[Record]) -> Report {
    let is_pv = records.iter().all(|r| r.kind != 9 && r.kind != 0xa);
    let options = Options {
        for_xen: Some(xen),
        ..Options::default()
    };
    lint(&libxc(3, is_pv, records)[..], &options, &mut |_| {}).unwrap()
}

/// It is refused with this code, and the page has these words.
#[track_caller]
pub fn refused(records: &[Record], code: Code, errno: i32, words: &[&str]) {
    let report = by(Xen::V4_17, records);
    let fatal = report.findings.iter().find(|f| f.weight == Weight::Fatal);
    assert_eq!(fatal.map(|f| f.code), Some(code), "{report}");
    assert_eq!(report.errno(), Some(errno), "{report}");
    let text = flat(&report);
    for part in words {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn the_mode_of_the_time_stamp_counter() {
    for records in [pv(true, Set::None), hvm()] {
        for mode in 0..=2 {
            let good = with(&records, 8, |body| body[0] = mode);
            assert!(by(Xen::V4_17, &good).findings.is_empty());
        }
        let bad = with(&records, 8, |body| body[0] = 3);
        let says = "Unable to set TSC information (22 = Invalid argument)";
        refused(
            &bad,
            Code::TscInfo,
            22,
            &["X86_TSC_INFO at byte", "mode 3", says],
        );
    }
}

#[test]
fn leaves_and_msrs() {
    let leaf = |leaf: u32, subleaf: u32| {
        with(&pv(true, Set::None), 0x11, |body| {
            put(body, 24, leaf.into(), 4);
            put(body, 28, subleaf.into(), 4);
        })
    };
    let none = u32::MAX;
    for (number, subleaf) in [
        (4, 5),
        (7, 2),
        (0xb, 1),
        (0xd, 62),
        (2, none),
        (0x8000_0021, none),
    ] {
        let report = by(Xen::V4_17, &leaf(number, subleaf));
        assert!(report.restores(), "{number:#x}, {subleaf:#x}:\n{report}");
    }
    for (number, subleaf) in [
        (1, 0),
        (4, 6),
        (4, none),
        (7, 3),
        (0xb, 2),
        (0xd, 63),
        (0xe, none),
        (0x4000_0001, none),
        (0x8000_0022, none),
        (0xc000_0000, none),
    ] {
        let says = format!("Failed to set CPUID policy: leaf {number:08x}, subleaf {subleaf:08x}, msr ffffffff (34 =");
        refused(&leaf(number, subleaf), Code::CpuPolicy, 34, &[&says]);
    }
    let many = with(&hvm(), 0x11, |body| *body = body[..24].repeat(121));
    refused(&many, Code::CpuPolicy, 7, &["121 entries, Xen takes 120"]);
    let msr = |at: usize, value: u64, width| with(&hvm(), 0x12, |body| put(body, at, value, width));
    refused(&msr(0, 0x10, 4), Code::CpuPolicy, 34, &["msr 00000010"]);
    refused(
        &msr(4, 1, 4),
        Code::CpuPolicy,
        22,
        &["MSR 0xce with flags 0x1"],
    );
    refused(
        &msr(8, 1 << 32, 8),
        Code::CpuPolicy,
        75,
        &["MSR 0xce is 0x100000000"],
    );
    let three = with(&hvm(), 0x12, |body| *body = body[..16].repeat(3));
    refused(&three, Code::CpuPolicy, 7, &[]);
    // More than any host of this Xen has: seen on 4.17.5 with leaf 0 overwritten by another's
    // values.
    for (edit, words) in [
        (
            with(&hvm(), 0x11, |body| put(body, 8, 0xe, 4)),
            "leaf 00000000, subleaf ffffffff",
        ),
        (
            with(&hvm(), 0x11, |body| put(body, 48 + 8, 3, 4)),
            "leaf 00000007, subleaf 00000000",
        ),
        (
            with(&hvm(), 0x11, |body| put(body, 120 + 8, 0x8000_0022, 4)),
            "leaf 80000000",
        ),
        (msr(8, 1, 8), "msr 000000ce (22 = Invalid argument)"),
    ] {
        refused(&edit, Code::CpuPolicy, 22, &[words]);
    }
    // ARCH_CAPABILITIES was of 32 bits in 4.14.
    let wide = msr(24, 1 << 40, 8);
    assert!(by(Xen::V4_17, &wide).restores());
    assert!(!by(Xen::V4_14, &wide).restores());
    // The last record of a kind counts, and nobody reads one that comes after the static data.
    let mut twice = leaf(1, 0);
    twice.insert(2, cpuid_policy());
    assert!(by(Xen::V4_17, &twice).restores());
}

#[test]
fn parameters() {
    let param = |index: u64, value: u64| {
        with(&hvm(), 0xa, |body| {
            body[0] += 1;
            body.extend(index.to_le_bytes());
            body.extend(value.to_le_bytes());
        })
    };
    for (index, value) in [(24, 0), (10, 9), (39, 0), (63, 7), (20, 0)] {
        let says = format!("set HVM param {index} = {value:#018x} (22 = Invalid argument)");
        refused(
            &param(index, value),
            Code::HvmParam,
            22,
            &["HVM_PARAMS at byte", &says],
        );
    }
    // Thrown away by libxc, and taken for a lower number.
    assert!(by(Xen::V4_17, &param(4, 1)).findings.is_empty());
    let odd = by(Xen::V4_17, &param(1 << 32 | 10, 1));
    assert_eq!(codes(&odd), [Code::RecordOdd]);
    // None at all is taken too: old writers made such.
    let empty = with(&hvm(), 0xa, |body| *body = vec![0; 8]);
    assert!(by(Xen::V4_17, &empty).restores());
}

#[test]
fn values_of_a_pv_vcpu() {
    let word = |kind: u32, at: usize, value: u64, width: usize| {
        with(&pv(true, Set::None), kind, |body| {
            put(body, 8 + at, value, width)
        })
    };
    let hole = 1 << 47;
    for (at, value, words) in [
        (
            648,
            hole,
            "its instruction pointer 0x800000000000 is not canonical",
        ),
        (672, hole, "stack pointer"),
        (4976, hole, "kernel stack"),
        (5152, hole, "kernel's GS base"),
        (5112, hole, "event callback"),
        (720 + 16 * 14 + 8, hole, "its handler of trap 14"),
        (4816, 0xffff_8000_0000_0000, "lies in Xen's part"),
        (4816, 0x1234, "its LDT of 0 entries at 0x1234"),
        (4824, 8193, "its LDT of 8193 entries"),
        (5136, 1 << 40, "assists 0x10000000000"),
    ] {
        let says = "Failed to set vcpu0's basic info (22 = Invalid argument)";
        let records = word(4, at, value, 8);
        refused(
            &records,
            Code::VcpuState,
            22,
            &["X86_PV_VCPU_BASIC at byte", words, says],
        );
    }
    assert!(by(Xen::V4_17, &word(4, 5136, 1 << 32 | 0x3f, 8)).restores());
    let narrow = with(&pv(false, Set::None), 4, |body| {
        put(body, 8 + 2796, 1 << 6, 4)
    });
    refused(&narrow, Code::VcpuState, 22, &["assists 0x40"]);
    // The vCPU that EXTENDED is of stands in it once more.
    refused(
        &word(5, 0, 9000, 4),
        Code::VcpuState,
        3,
        &["it is of vCPU 9000"],
    );
    for (at, value, words) in [
        (4, 31, "it says 31 bytes"),
        (8, hole, "SYSCALL callback"),
        (16, hole, "SYSENTER callback"),
        (32, 1 << 40, "machine-check"),
    ] {
        let says = "Failed to set vcpu0's extended info";
        let width = if at == 4 { 4 } else { 8 };
        refused(
            &word(5, at, value, width),
            Code::VcpuState,
            22,
            &[words, says],
        );
    }
    let msr = |index: u64| {
        let mut records = pv(true, Set::None);
        let mut body = vec![0; 8 + 16];
        put(&mut body, 8, index, 8);
        records.insert(9, Record { kind: 0xc, body });
        records
    };
    assert!(by(Xen::V4_17, &msr(0x48)).restores());
    // Seen on 4.17.5: the domain needs RDTSCP or RDPID for it.
    refused(
        &msr(0xc000_0103),
        Code::VcpuState,
        22,
        &["without RDTSCP and RDPID"],
    );
    assert!(by(Xen::V4_17, &without(&msr(0xc000_0103), 0x11)).restores());
    refused(
        &msr(0xc000_0080),
        Code::VcpuState,
        22,
        &["Failed to set vcpu0's msrs"],
    );
    refused(
        &msr(1 << 32 | 0x48),
        Code::VcpuState,
        22,
        &["reserved field 0x1"],
    );
}

#[test]
fn an_hvm_domain_has_a_device_model() {
    let config = HVM_CONFIG.replace("pvh", "hvm");
    let bare = report(&xl(&config, &libxl(&stream(&hvm()))));
    assert_eq!(codes(&bare), [Code::RecordMissing], "{bare}");
    assert!(flat(&bare).contains("no EMULATOR_CONTEXT"));
}

#[test]
fn the_device_model_s_part_of_xenstore() {
    let bytes = |data: &[u8]| {
        let mut bytes = libxl(&stream(&hvm()));
        let end = bytes.len() - 8;
        let mut record = [2u32, 8 + data.len() as u32, 2, 0]
            .map(u32::to_le_bytes)
            .concat();
        record.extend(data);
        record.resize(record.len().next_multiple_of(8), 0);
        bytes.splice(end..end, record);
        bytes
    };
    for good in [
        &b""[..],
        b"physmap/1/name\0vga\0",
        b"a\0\0b\0/c\0",
        &[&[b'x'; 9000][..], b"\0\0"].concat(),
    ] {
        assert!(report(&bytes(good)).findings.is_empty());
    }
    for (bad, words) in [
        (&b"a"[..], "a key in it without its NUL"),
        (b"a\0b", "a value in it without its NUL"),
        (b"a\0", "a value in it without its NUL"),
        (b"\0b\0", "an empty key in it"),
        (b"a\0b\0/c\0d\0", "a key in it that is not relative"),
    ] {
        let report = report(&bytes(bad));
        assert_eq!(codes(&report), [Code::RecordMalformed], "{report}");
        assert!(flat(&report).contains(words), "{report}");
    }
}

/// An image on a full disk, or copied from one that was never written to its end, has the right
/// length and zeros in it.
#[test]
fn images_that_end_in_zeros() {
    for (records, config) in [(pv(true, Set::None), PV_CONFIG), (hvm(), HVM_CONFIG)] {
        let good = xl(config, &libxl(&stream(&records)));
        // In the middle of a page, of memory.
        let mut bad = good.clone();
        let from = good.len() / 2;
        bad[from..].fill(0);
        let whole = report(&bad);
        assert!(!whole.restores());
        assert!(
            flat(&whole).contains("the file is nothing but zeros"),
            "{whole}"
        );
        assert_eq!(codes(&whole)[0], Code::ZeroEnd);
        // After its end they do no harm.
        let long = [&good[..], &[0; 5000]].concat();
        let long = report(&long);
        assert_eq!(codes(&long), [Code::TrailingData]);
        assert!(long.restores() && flat(&long).contains("5000 zeros follow"));
        assert_eq!(long.format.bytes, good.len() as u64);
    }
    // A record that is missing for another reason.
    let none = by(Xen::V4_17, &without(&pv(true, Set::None), 4));
    assert!(!codes(&none).contains(&Code::ZeroEnd));
    let nothing = judge(&[0; 4096]).unwrap_err().to_string();
    assert!(nothing.contains("zeros from byte 0 on"), "{nothing}");
    let header = [&xl(PV_CONFIG, &[])[..], &[0; 4096]].concat();
    let nothing = judge(&header).unwrap_err().to_string();
    assert!(nothing.contains("zeros from byte"), "{nothing}");
}

#[test]
fn compressed_images_are_named_with_the_command() {
    for (start, words) in [
        (
            &b"\x1f\x8b\x08\0\0\0\0\0\0\0"[..],
            "gzip -dc FILE | savelint -",
        ),
        (
            b"\x28\xb5\x2f\xfd\x04\x58\0\0\0",
            "zstd -dc FILE | savelint -",
        ),
        (b"\xfd7zXZ\0\0\x04\xe6\xd6", "xz -dc FILE | savelint -"),
        (b"BZh91AY&SY", "bzip2 -dc FILE | savelint -"),
        (
            b"\x04\x22\x4d\x18\x64\x40\xa7\0",
            "lz4 -dc FILE | savelint -",
        ),
        (b"XenSavedDomain\nx", "xapi's format of Xen 4.4"),
        (b"LinuxGuestRecord", "xend's format"),
        (b"LibvirtQemudSave", "QEMU"),
    ] {
        let why = judge(start).unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
    }
}
