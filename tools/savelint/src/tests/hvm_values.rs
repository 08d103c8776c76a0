//! Entries of HVM contexts that Xen refuses, by length, instance and value.

use super::values::{by, put, refused};
use super::*;

fn zeros(length: usize) -> Vec<u8> {
    vec![0; length]
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
fn lengths_of_entries() {
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
}

#[test]
fn entries_of_vcpus_and_devices_that_the_domain_does_not_have() {
    // Without a configuration Xen's own limit counts.
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
}

#[test]
fn values_of_entries() {
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
}

/// Xen judges these from 4.19 on.
#[test]
fn values_of_the_pics_and_the_pit() {
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
}

#[test]
fn headers_and_types_of_entries() {
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
