//! Page tables, vCPUs and the p2m table of PV domains.

use super::*;

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
