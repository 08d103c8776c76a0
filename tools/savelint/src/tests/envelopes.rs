//! What stands around the stream: libvirt's header, xapi's, checkpoints.

use super::*;

#[test]
fn libvirt_s_images() {
    for (records, is_pv) in [(pv(true, Set::None), true), (hvm(), false)] {
        let inner = libxl(&stream(&records));
        let xml = libvirt_xml(is_pv);
        let good = libvirt(2, &xml, &inner);
        let whole = report(&good);
        assert!(whole.findings.is_empty(), "{whole}");
        assert_eq!(whole.format.libvirt, Some(2));
        assert_eq!(whole.format.bytes, good.len() as u64);
        let text = flat(&whole);
        for part in [
            "\"sample\"",
            "in libxl version 2 with libvirt's header of version 2",
            if is_pv { "PV 64-bit" } else { "PVH" },
            "4 at most",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
        // Its memory counts like that of xl's configuration.
        let small = xml.replace("'KiB'>192", "'b'>1");
        assert_eq!(report(&libvirt(2, &small, &inner)).pages.allowed, Some(256));
        // Of another kind.
        let other = libvirt(2, &libvirt_xml(!is_pv), &inner);
        assert!(codes(&report(&other)).contains(&Code::WrongType));
        // What libvirt refuses.
        for bad in [
            libvirt(3, &xml, &inner),
            libvirt(1, &xml, &inner),
            libvirt(2, "<oops", &inner),
        ] {
            let report = report(&bad);
            assert_eq!(codes(&report), [Code::LibvirtHeader], "{report}");
            assert!(!report.restores());
        }
        let mut odd = good.clone();
        odd[40] = 1;
        assert_eq!(codes(&report(&odd)), [Code::Reserved]);
        // No end, and libxc's stream without libxl's.
        assert!(codes(&report(&good[..good.len() / 2])).contains(&Code::Truncated));
        let bare = libvirt(2, &xml, &stream(&records));
        assert!(codes(&report(&bare)).contains(&Code::RecordMissing));
    }
    let legacy = libvirt(1, &libvirt_xml(true), &[1; 100]);
    let why = judge(&legacy).unwrap_err().to_string();
    assert!(why.contains("libvirt's header of version 1"), "{why}");
    let none = libvirt(2, "", &[]);
    assert!(judge(&none[..63]).is_err() && judge(&none).is_err());
}

#[test]
fn xapi_s_images() {
    for records in [pv(true, Set::None), hvm()] {
        let inner = stream(&records);
        let good = xapi_image(&inner);
        let whole = report(&good);
        assert!(whole.findings.is_empty(), "{whole}");
        assert_eq!(whole.format.bytes, good.len() as u64);
        let text = flat(&whole);
        for part in [
            "in xapi's image (Xenops, Libxc, End_of_image)",
            "how much memory the domain may have",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
        let with = |parts: &[(u64, &[u8])]| report(&xapi(parts));
        let libxc: (u64, &[u8]) = (0xf0, &inner);
        let end: (u64, &[u8]) = (0xffff, b"");
        // A device model's state, UEFI variables, a TPM.
        let full = with(&[
            (0xf, b"()"),
            libxc,
            (0xf11, b"efi"),
            (0xf13, b"tpm"),
            (0xf00, b"qemu"),
            end,
        ]);
        assert!(full.findings.is_empty() && full.format.emulator, "{full}");
        for kind in [0xf1, 0xf01, 0x1234] {
            let report = with(&[libxc, (kind, b""), end]);
            assert_eq!(codes(&report), [Code::XapiHeader], "{report}");
            assert!(flat(&report).contains(" header at byte"));
        }
        assert_eq!(codes(&with(&[libxc, libxc, end])), [Code::RecordUnexpected]);
        assert_eq!(codes(&with(&[libxc])), [Code::Truncated]);
        let more = [&good[..], b"x"].concat();
        assert_eq!(codes(&report(&more)), [Code::TrailingData]);
        // Behind a vGPU's state nothing can be found.
        let vgpu = with(&[libxc, (0xf10, b""), (0x77, b"bytes of its own")]);
        assert!(vgpu.restores() && vgpu.findings.is_empty(), "{vgpu}");
        assert!(flat(&vgpu).contains("what stands after the vGPU's state"));
        let mut negative = xapi(&[(0xf, b"()"), libxc, end]);
        negative[15 + 8..15 + 16].fill(0xff);
        assert!(judge(&negative).is_err());
    }
    let why = |parts: &[(u64, &[u8])]| judge(&xapi(parts)).unwrap_err().to_string();
    assert!(why(&[(0xf2, b"")]).contains("Xen 4.5"));
    assert!(why(&[(0xffff, b"")]).contains("no libxc stream"));
}

fn backup(bytes: &[u8]) -> Report {
    let options = Options {
        backup: true,
        ..Options::default()
    };
    lint(bytes, &options, &mut |_| {}).unwrap()
}

#[test]
fn checkpointed_streams() {
    for (records, config, is_pv) in [
        (pv(true, Set::NoLinear), PV_CONFIG, true),
        (hvm(), HVM_CONFIG, false),
    ] {
        let [first, later] = checkpoints(&records);
        let all = [first.clone(), later.clone(), later.clone()];
        let stream = |checkpoints: &[Vec<Record>]| xl(config, &remus(is_pv, checkpoints));
        // xl restore takes none of it, and says so of the first checkpoint.
        let bytes = stream(&all);
        let plain = report(&bytes);
        assert!(!plain.restores());
        assert_eq!(
            codes(&plain),
            [Code::RecordUnexpected, Code::Truncated],
            "{plain}"
        );
        assert!(flat(&plain).contains("CHECKPOINT at byte"));
        // The backup goes on from the last one, wherever the primary was lost after it.
        let whole = backup(&bytes);
        assert_eq!(codes(&whole), [Code::FailOver], "{whole}");
        assert!(whole.restores() && whole.is_clean());
        assert_eq!(whole.format.checkpoints, 3);
        let two = stream(&all[..2]);
        for length in [
            two.len(),
            two.len() + 1,
            two.len() + 4000,
            bytes.len() - 8,
            bytes.len() - 1,
        ] {
            let cut = backup(&bytes[..length]);
            assert!(cut.restores(), "{length}:\n{cut}");
            assert_eq!(cut.format.checkpoints, 2);
            assert!(flat(&cut).contains("the backup goes on from checkpoint 2"));
            assert_eq!(cut.pages.copies, backup(&two).pages.copies);
        }
        // Before the first whole checkpoint there is nothing to go on from.
        let one = stream(&all[..1]);
        let early = backup(&one[..one.len() - 8]);
        assert!(
            !early.restores() && codes(&early).contains(&Code::Truncated),
            "{early}"
        );
        // A state that cannot be restored counts if it is the last, and not if it was replaced.
        let kind = if is_pv { 4 } else { 9 };
        let broken = with(&later, kind, |body| body[8..].fill(0xff));
        assert!(!backup(&stream(&[first.clone(), broken.clone()])).restores());
        let mended = backup(&stream(&[first.clone(), broken.clone(), later.clone()]));
        assert!(mended.restores(), "{mended}");
        let bytes = stream(&[first.clone(), later.clone(), broken]);
        assert!(backup(&bytes[..bytes.len() - 16]).restores());
        // It may also be ended by its sender.
        let mut ended = stream(&all);
        ended.extend([0; 16]);
        let ended = backup(&ended);
        assert!(ended.findings.is_empty() && ended.restores(), "{ended}");
    }
}

#[test]
fn checkpoints_are_paid_for() {
    let [first, later] = checkpoints(&pv(true, Set::NoLinear));
    let bytes = remus(true, &vec![first.clone(); 1]);
    let small = |memory| {
        let options = Options {
            memory,
            backup: true,
            ..Options::default()
        };
        lint(&bytes[..], &options, &mut |_| {})
    };
    assert!(small(1 << 20).is_ok());
    assert!(matches!(small(60_000), Err(Unreadable::TooBig { .. })));
    // A hundred of them cost no more than one.
    let many: Vec<_> = std::iter::once(first).chain(vec![later; 100]).collect();
    let options = Options {
        memory: 1 << 20,
        backup: true,
        ..Options::default()
    };
    let report = lint(&remus(true, &many)[..], &options, &mut |_| {}).unwrap();
    assert_eq!(report.format.checkpoints, 101);
}
