//! Values that Xen refuses, each seen in its source and some on a running one: a good stream with
//! one thing changed.

use super::*;

fn put(body: &mut [u8], at: usize, value: u64, width: usize) {
    body[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// The report of an HVM or PV stream by the rules of a version.
fn by(xen: Xen, records: &[Record]) -> Report {
    let is_pv = records.iter().all(|r| r.kind != 9 && r.kind != 0xa);
    let options = Options {
        for_xen: Some(xen),
        ..Options::default()
    };
    lint(&libxc(3, is_pv, records)[..], &options, &mut |_| {}).unwrap()
}

/// It is refused with this code, and the page has these words.
#[track_caller]
fn refused(records: &[Record], code: Code, errno: i32, words: &[&str]) {
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

/// The HVM sample with another context.
fn context(edit: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<Record> {
    with(&hvm(), 9, |body| {
        let mut entries = Vec::new();
        let mut rest = &body[..];
        while !rest.is_empty() {
            let length = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize;
            let (entry, after) = rest.split_at(8 + length);
            entries.push(entry.to_vec());
            rest = after;
        }
        edit(&mut entries);
        *body = entries.concat();
    })
}

/// With the first entry of a kind in place of the sample's.
fn entry(kind: u16, instance: u16, contents: &[u8]) -> Vec<Record> {
    context(|entries| {
        let new = hvm_entry(kind, instance, contents);
        match entries.iter_mut().find(|entry| entry[0] == kind as u8) {
            Some(old) => *old = new,
            None => entries.insert(1, new),
        }
    })
}

const CONTEXT: &str = "Unable to restore HVM context (22 = Invalid argument)";

#[test]
fn registers_of_a_vcpu() {
    let cpu = |at: usize, value: u64, width: usize| {
        let mut cpu = hvm_cpu();
        put(&mut cpu, at, value, width);
        entry(2, 0, &cpu)
    };
    for (at, value, width, words) in [
        (656, 0x8005_0023, 8, "bad CR0 0x80050023: ET is clear"),
        (656, 0x8005_0032, 8, "PG without PE"),
        (656, 0x1_8005_0033, 8, "reserved bits"),
        (656, 0x8005_0073, 8, "reserved bits"),
        (
            672,
            1 << 46,
            8,
            "bad CR3 0x400000000000: the domain has addresses of 46 bits",
        ),
        (680, 1 << 12, 8, "bit 12 is not known to Xen 4.17"),
        (680, 1 << 24, 8, "bit 24 is not known to Xen 4.17"),
        (680, 1 << 13, 8, "VMXE (bit 13) without the feature"),
        (680, 1 << 21, 8, "SMAP (bit 21) without the feature"),
        (680, 1 << 23, 8, "CET (bit 23) without the feature"),
        (992, 1 << 1, 8, "bad EFER 0x2: bit 1 is not known"),
        (992, 1 << 10, 8, "LMA without LME"),
        (992, 1 << 14, 8, "FFXSE (bit 14) without the feature"),
        (1000, 1 << 32, 8, "MSR_TSC_AUX"),
        (1016, 0x8000_0100, 4, "invalid pending event 0x80000100"),
        (1016, 0x8000_1000, 4, "invalid pending event"),
        (1024, 2, 4, "bad flags 0x2"),
        (1028, 1, 4, "padding"),
    ] {
        let records = cpu(at, value, width);
        let whose = "its CPU entry of vCPU 0 at byte";
        refused(&records, Code::HvmContext, 22, &[whose, words, CONTEXT]);
    }
    for (at, value) in [
        (672, 0x3fff_ffff_f000),
        (680, 0x407af & !0x100),
        (680, 1 << 7),
        (992, 0),
    ] {
        let report = by(Xen::V4_17, &cpu(at, value, 8));
        assert!(report.restores(), "{at}: {value:#x}\n{report}");
    }
    // By version: from 4.18 on DR6 and DR7 are of 32 bits.
    let wide = cpu(720, 1 << 32, 8);
    assert_eq!(
        Xen::ALL.map(|xen| by(xen, &wide).restores()),
        [true, true, false]
    );
    // Of Xen before 4.7 and 3.4: shorter, the rest is zero or lies elsewhere.
    assert!(by(Xen::V4_17, &entry(2, 0, &hvm_cpu()[..1024])).restores());
    let mut old = hvm_cpu();
    old.drain(1000..1008);
    old.truncate(1016);
    old[1000..1008].fill(0xff);
    assert!(by(Xen::V4_17, &entry(2, 0, &old)).restores());
    refused(
        &entry(2, 0, &[7; 100]),
        Code::HvmContext,
        22,
        &["ET is clear"],
    );
    // What the CPUID leaves do not say is not held against it.
    let unknown = without(&cpu(680, 1 << 21, 8), 0x11);
    let report = by(Xen::V4_17, &unknown);
    assert!(report.restores(), "{report}");
    assert!(flat(&report).contains("there is no X86_CPUID_POLICY"));
}

#[test]
fn entries_by_length_instance_and_value() {
    let zeros = |length: usize| vec![0; length];
    for (kind, instance, length) in [
        (2, 0, 1033),
        (5, 0, 25),
        (6, 0, 1023),
        (7, 0, 8),
        (8, 0, 16),
        (9, 0, 4),
        (10, 0, 60),
        (14, 0, 248),
        (16, 0, 599),
        (17, 0, 224),
        (18, 0, 40),
        (19, 0, 16),
        (20, 0, 8),
    ] {
        let records = entry(kind, instance, &zeros(length));
        let report = by(Xen::V4_17, &records);
        assert!(!report.restores(), "{kind}:\n{report}");
        assert!(
            flat(&report).contains(&format!("{length} bytes")),
            "{report}"
        );
    }
    for (kind, length) in [(5, 8), (4, 400), (12, 1048), (15, 8), (17, 216), (18, 8)] {
        let report = by(Xen::V4_17, &entry(kind, 0, &zeros(length)));
        assert!(report.restores(), "{kind}:\n{report}");
    }
    // Of vCPUs that do not exist; without a configuration Xen's own limit counts.
    for (kind, length) in [(2, 1032), (5, 24), (14, 240), (19, 8)] {
        let records = entry(kind, 4, &zeros(length));
        let wrapped = report(&xl(HVM_CONFIG, &libxl(&stream(&records))));
        assert!(codes(&wrapped).contains(&Code::HvmContext), "{wrapped}");
        assert!(flat(&wrapped).contains("a vCPU that the domain does not have (it has 4)"));
    }
    refused(
        &entry(19, 128, &zeros(8)),
        Code::HvmContext,
        22,
        &["it has 128"],
    );
    refused(
        &entry(3, 2, &zeros(8)),
        Code::HvmContext,
        2,
        &["there are two"],
    );
    // A PVH domain has no such devices.
    for kind in [3, 4, 10, 11, 12, 13] {
        let length = match kind {
            4 => 400,
            10 => 56,
            11 => 24,
            12 => 1048,
            _ => 8,
        };
        let records = entry(kind, 0, &zeros(length));
        assert!(by(Xen::V4_17, &records).restores());
        let wrapped = report(&xl(HVM_CONFIG, &libxl(&stream(&records))));
        assert_eq!(codes(&wrapped), [Code::HvmContext], "{wrapped}");
        assert_eq!(wrapped.errno(), Some(19));
    }
    // Values.
    let value = |kind, length: usize, at: usize, value: u64| {
        let mut contents = zeros(length);
        put(&mut contents, at, value, 8);
        entry(kind, 0, &contents)
    };
    refused(
        &value(5, 24, 0, 0x400),
        Code::HvmContext,
        22,
        &["x2APIC mode while disabled"],
    );
    assert!(by(Xen::V4_17, &value(5, 24, 0, 0xc00)).restores());
    refused(&value(9, 8, 0, 16), Code::HvmContext, 22, &["above 15"]);
    refused(
        &value(14, 240, 224, 9),
        Code::HvmContext,
        22,
        &["9 variable ranges"],
    );
    refused(
        &value(17, 216, 8, 0x100),
        Code::HvmContext,
        22,
        &["padding"],
    );
    refused(
        &value(18, 32, 0, 1 << 40),
        Code::HvmContext,
        22,
        &["machine-check"],
    );
    let msr = |index: u64, reserved: u64| {
        let mut contents = zeros(24);
        put(&mut contents, 0, 1, 4);
        put(&mut contents, 8, index | reserved << 32, 8);
        entry(20, 0, &contents)
    };
    assert!(by(Xen::V4_17, &msr(0x48, 0)).restores());
    refused(&msr(0x10, 0), Code::HvmContext, 6, &["MSR 0x10"]);
    refused(&msr(0x48, 1), Code::HvmContext, 95, &["reserved bits"]);
    let virt = msr(0xc001_011f, 0);
    assert_eq!(
        Xen::ALL.map(|xen| by(xen, &virt).restores()),
        [false, true, true]
    );
    // From 4.19 on the PICs and the PIT by value.
    let pic = |instance: u16, at: usize, value: u8| {
        let mut contents = zeros(8);
        contents[5] = if instance == 0 { 0x40 } else { 0 };
        contents[at] = value;
        entry(3, instance, &contents)
    };
    let pit = |at: usize, value: u8| {
        let mut contents = zeros(56);
        contents[15] = 1;
        contents[31] = 1;
        contents[at] = value;
        entry(10, 0, &contents)
    };
    for good in [
        pic(0, 6, 0xfc),
        pic(1, 6, 0xde),
        pic(0, 7, 1),
        pit(48, 1),
        pit(2, 1),
        pit(13, 0xff),
        pit(47, 1),
    ] {
        assert_eq!(Xen::ALL.map(|xen| by(xen, &good).restores()), [true; 3]);
    }
    for bad in [
        pic(0, 6, 1),
        pic(1, 6, 1),
        pic(0, 5, 0),
        pic(1, 5, 0x40),
        pic(0, 7, 2),
        pit(48, 2),
        pit(52, 1),
        pit(2, 2),
        pit(15, 0),
        pit(12, 4),
    ] {
        assert_eq!(
            Xen::ALL.map(|xen| by(xen, &bad).restores()),
            [true, true, false]
        );
    }
    // The header once more.
    let twice = context(|entries| entries.insert(3, entries[0].clone()));
    refused(&twice, Code::HvmContext, 22, &["its header comes again"]);
    let unknown = context(|entries| entries.insert(1, hvm_entry(21, 0, &[])));
    refused(&unknown, Code::HvmContext, 22, &["unknown type 21"]);
}

/// Xen 4.20.1 and newer write a longer LAPIC entry, which older ones refuse: seen from 4.20 to
/// 4.17.
#[test]
fn an_image_of_a_newer_xen_on_an_older_one() {
    let newer = context(|entries| {
        for entry in entries.iter_mut().filter(|entry| entry[0] == 5) {
            *entry = hvm_entry(5, u16::from(entry[2]), &[0; 32]);
        }
    });
    assert_eq!(
        Xen::ALL.map(|xen| by(xen, &newer).restores()),
        [false, false, true]
    );
    let text = flat(&by(Xen::V4_17, &newer));
    for part in [
        "CANNOT BE RESTORED by Xen 4.17",
        "its LAPIC entry of vCPU 0 at byte",
        "32 bytes, Xen 4.17 expects 24 at most (32 are written from 4.20.1, 4.19.2 and 4.18.5 on)",
        "its LAPIC entry of vCPU 2 at byte",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    // By default the Xen that saved it is the one that restores it.
    let mut bytes = libxc(3, false, &newer);
    assert!(!report(&bytes).restores());
    bytes[36] = 20;
    assert!(report(&bytes).restores());
}

#[test]
fn contexts_in_which_nothing_runs() {
    let drop = |kinds: &[u8]| {
        context(|entries| entries.retain(|entry| !kinds.contains(&entry[0]) || entry[1] != 0))
    };
    for (kinds, words) in [
        (&[2u8][..], "no CPU entry in the HVM_CONTEXT"),
        (&[5], "vCPU 2 has no LAPIC entry"),
        (&[6], "vCPU 0 has no LAPIC_REGS entry"),
        (&[5, 6], "vCPU 0 has neither a LAPIC nor a LAPIC_REGS entry"),
    ] {
        let report = by(Xen::V4_17, &drop(kinds));
        assert_eq!(codes(&report), [Code::StateMissing], "{report}");
        assert!(report.restores() && !report.is_clean());
        assert!(flat(&report).contains(words), "{report}");
    }
}

#[test]
fn xsave_states() {
    let hvm_with = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut state = hvm_xsave();
        edit(&mut state);
        entry(16, 0, &state)
    };
    // Longer than its features need: taken if the rest is zero.
    let tail = by(Xen::V4_17, &hvm_with(&|state| state.extend([0; 1024])));
    assert!(tail.restores(), "{tail}");
    assert_eq!(codes(&tail), [Code::RecordOdd]);
    let far = hvm_with(&|state| {
        state.extend([0; 300_000]);
        state[250_000] = 1;
    });
    refused(
        &far,
        Code::HvmContext,
        95,
        &["byte 249144 of the rest is not zero"],
    );
    for (at, value, errno, words) in [
        (8, 0x1f, 22, "beyond the features used"),
        (16, 0x1f, 22, "of which the domain's CPUID has 0x7"),
        (8, 6, 22, "its xcr0 0x6 is a set that no processor takes"),
        (24 + 512, 8, 22, "beyond the features used"),
        (24 + 520, 1 << 63, 95, "compacted"),
        (24 + 528, 1, 5, "reserved bytes"),
    ] {
        let records = hvm_with(&|state| put(state, at, value, 8));
        refused(&records, Code::HvmContext, errno, &[words]);
    }
    let short = hvm_with(&|state| state.truncate(24 + 576));
    refused(
        &short,
        Code::HvmContext,
        22,
        &["600 bytes, features 0x7 need 856"],
    );
    // A host whose leaves are not in the stream may say anything.
    let no_leaves = without(&short, 0x11);
    let report = by(Xen::V4_17, &no_leaves);
    assert!(report.restores(), "{report}");
    assert!(flat(&report).contains("the length of XSAVE states"));
    // The same of PV, where no byte may be too many.
    let pv_with = |edit: &dyn Fn(&mut Vec<u8>)| with(&pv(true, Set::None), 6, |body| edit(body));
    let says = "Failed to set vcpu0's xsave info (22 = Invalid argument)";
    for (records, words) in [
        (
            pv_with(&|body| body.extend([0; 64])),
            "912 bytes, features 0x7 need 848",
        ),
        (
            pv_with(&|body| body.truncate(8 + 16)),
            "16 bytes for the features 0x7",
        ),
        (
            pv_with(&|body| put(body, 8, 0x1f, 8)),
            "beyond the features used",
        ),
        (pv_with(&|body| put(body, 16, 0, 8)), "without any feature"),
    ] {
        refused(
            &records,
            Code::VcpuState,
            22,
            &["X86_PV_VCPU_XSAVE at byte", words, says],
        );
    }
    let nothing = pv_with(&|body| *body = vec![0; 8 + 16]);
    assert!(by(Xen::V4_17, &nothing).restores());
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
