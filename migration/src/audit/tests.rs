//! Every finding is planted and seen; with its rule off it is not seen.

use std::collections::BTreeMap;
use std::format;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use super::*;

const P: u64 = 1;
const RW: u64 = 2;
const PSE: u64 = 1 << 7;

/// Frames at and above this are not the domain's own.
const FOREIGN: u64 = 0x8000;
const XEN: u64 = 0x9000;
const NONE: u64 = 0xa000;
/// Machine frame = page frame + this, as under PV: an audit that mixed the two up would find
/// nothing.
const SHIFT: u64 = 0x100;

#[derive(Clone, Default)]
struct Guest {
    tables: BTreeMap<u64, (Table, Vec<u64>)>,
}

impl Guest {
    fn add(&mut self, pfn: u64, level: Level) -> &mut Table {
        let table = Table {
            pfn,
            level,
            typed: true,
            live: true,
            pae_xen_l2: false,
        };
        &mut self.tables.entry(pfn).or_insert((table, vec![0; SLOTS])).0
    }

    fn set(&mut self, pfn: u64, slot: u16, raw: u64) {
        self.tables.get_mut(&pfn).unwrap().1[usize::from(slot)] = raw;
    }

    /// An address space with one of each, and memory mapped below it.
    fn healthy(mode: Mode) -> Guest {
        let mut guest = Guest::default();
        let top = match mode {
            Mode::Pae => 3,
            Mode::Long => 4,
        };
        for (pfn, level) in [
            (1, Level::L1),
            (2, Level::L2),
            (3, Level::L3),
            (4, Level::L4),
        ] {
            if pfn <= top {
                guest.add(pfn, level);
            }
        }
        for pfn in 2..=top {
            guest.set(pfn, 0, to(pfn - 1, P | RW));
        }
        guest.set(1, 7, to(0x500, P | RW));
        // In an L1 the bit is part of the cache attributes.
        guest.set(1, 8, to(0x501, P | PSE));
        // Not present, nothing but flags: harmless.
        guest.set(1, 9, RW);
        guest
    }

    fn audit(&self, rules: &Rules) -> (Audit, Vec<Finding>) {
        let mut findings = Vec::new();
        let audit = audit(self, rules, 1000, || true, |f| findings.push(*f));
        assert_eq!(audit.findings as usize, findings.len());
        assert_eq!(audit.first, findings.first().copied());
        (audit, findings)
    }
}

/// An entry to one of the domain's own pages.
fn to(pfn: u64, flags: u64) -> u64 {
    (pfn + SHIFT) << 12 | flags
}

impl PageTables for Guest {
    fn tables(&self, visit: &mut dyn FnMut(Table) -> bool) {
        for (table, _) in self.tables.values() {
            if !visit(*table) {
                return;
            }
        }
    }
    fn table(&self, pfn: u64) -> Option<Table> {
        self.tables.get(&pfn).map(|t| t.0)
    }
    fn entries(&self, table: &Table, visit: &mut dyn FnMut(u16, Entry) -> bool) {
        for (slot, &raw) in self.tables[&table.pfn].1.iter().enumerate() {
            if raw != 0 && !visit(slot as u16, Entry(raw)) {
                return;
            }
        }
    }
    fn frame(&self, frame: u64) -> Frame {
        match frame {
            NONE.. => Frame::None,
            XEN.. => Frame::Xen,
            FOREIGN.. => Frame::Foreign,
            SHIFT.. => Frame::Own(frame - SHIFT),
            _ => Frame::None,
        }
    }
}

fn all_modes() -> [(Mode, Level); 2] {
    [(Mode::Pae, Level::L3), (Mode::Long, Level::L4)]
}

#[test]
fn a_healthy_guest_is_clean_under_all_rules() {
    for (mode, root) in all_modes() {
        let guest = Guest::healthy(mode);
        for rules in [
            Rules::pv(mode),
            Rules::pvh(mode),
            Rules {
                linear: Linear::Restorable,
                ..Rules::pv(mode)
            },
        ] {
            let (audit, findings) = guest.audit(&rules);
            assert_eq!(findings, [], "{mode:?}");
            assert!(audit.is_clean());
            assert_eq!(audit.tables, root as u64);
            // Three in the L1, one in each table above.
            assert_eq!(audit.entries, 3 + root as u64 - 1);
        }
    }
}

/// Plants one entry and expects exactly one finding with it; and none with the rule off.
fn planted(
    guest: &Guest,
    pfn: u64,
    slot: u16,
    raw: u64,
    rules: &Rules,
    without: &Rules,
    problem: Problem,
) {
    let mut guest = guest.clone();
    guest.set(pfn, slot, raw);
    let level = guest.tables[&pfn].0.level;
    let (audit, findings) = guest.audit(rules);
    assert_eq!(
        findings,
        [Finding {
            pfn,
            level,
            at: Some((slot, Entry(raw))),
            problem
        }]
    );
    assert!(!audit.is_clean());
    let (audit, findings) = guest.audit(without);
    assert_eq!(findings, [], "the rule is off");
    assert!(audit.is_clean());
}

#[test]
fn foreign_frames_are_found_on_every_level() {
    for (mode, root) in all_modes() {
        let guest = Guest::healthy(mode);
        for pfn in 1..=root as u64 {
            for (frame, kind) in [
                (FOREIGN, Frame::Foreign),
                (NONE, Frame::None),
                (0, Frame::None),
            ] {
                let pv = Rules::pv(mode);
                planted(
                    &guest,
                    pfn,
                    1,
                    frame << 12 | P,
                    &pv,
                    &Rules {
                        foreign: false,
                        ..pv
                    },
                    Problem::Foreign(kind),
                );
            }
        }
        // A page of Xen's under PV, not under PVH.
        let pv = Rules::pv(mode);
        planted(
            &guest,
            1,
            511,
            XEN << 12 | P | RW,
            &pv,
            &Rules {
                xen_frames: false,
                ..pv
            },
            Problem::Foreign(Frame::Xen),
        );
        planted(
            &guest,
            1,
            0,
            FOREIGN << 12 | P,
            &Rules::pvh(mode),
            &Rules {
                foreign: false,
                ..Rules::pvh(mode)
            },
            Problem::Foreign(Frame::Foreign),
        );
        let mut pvh = guest.clone();
        pvh.set(1, 0, XEN << 12 | P | RW);
        assert!(pvh.audit(&Rules::pvh(mode)).0.is_clean());
        // Nor is a hole of an identity map anything under PVH, and the rule brings it back.
        let mut pvh = guest.clone();
        pvh.set(1, 0, NONE << 12 | P | RW);
        pvh.set(2, 9, (NONE + 512) << 12 | P | RW | PSE);
        assert!(pvh.audit(&Rules::pvh(mode)).0.is_clean());
        let holes = Rules {
            holes: true,
            ..Rules::pvh(mode)
        };
        assert_eq!(pvh.audit(&holes).1.len(), 2);
    }
}

/// A PVH guest that lists the tables of its sets alone: they stand under the kernel's own L3, and
/// point to tables that it keeps no list of.
#[test]
fn a_pvh_guest_need_not_list_its_kernels_tables() {
    for (mode, _) in all_modes() {
        let mut guest = Guest::healthy(mode);
        guest.add(0x50, Level::L2);
        guest.set(0x50, 3, to(0x60, P | RW)); // an L1 of the kernel's
        guest.set(0x50, 4, to(0x50, P)); // the window
        assert!(guest.audit(&Rules::pvh(mode)).0.is_clean());
        let strict = Rules {
            structure: true,
            ..Rules::pvh(mode)
        };
        assert_eq!(
            guest.audit(&strict).0.first.map(|f| f.problem),
            Some(Problem::NotATable { target: 0x60 })
        );
    }
}

#[test]
fn superpages_are_found_above_l1() {
    for (mode, root) in all_modes() {
        let guest = Guest::healthy(mode);
        let pv = Rules::pv(mode);
        for pfn in 2..=root as u64 {
            planted(
                &guest,
                pfn,
                3,
                to(0x600, P | RW | PSE),
                &pv,
                &Rules {
                    superpage: false,
                    ..pv
                },
                Problem::Superpage,
            );
        }
        let mut pvh = guest.clone();
        pvh.set(2, 3, to(0x600, P | RW | PSE));
        assert!(pvh.audit(&Rules::pvh(mode)).0.is_clean());
    }
}

#[test]
fn addresses_in_non_present_entries_are_found() {
    for (mode, root) in all_modes() {
        let guest = Guest::healthy(mode);
        let pv = Rules::pv(mode);
        let off = Rules { l1tf: false, ..pv };
        for pfn in 1..=root as u64 {
            planted(&guest, pfn, 2, to(0x700, RW), &pv, &off, Problem::L1tf);
            // The highest bit of an address.
            planted(&guest, pfn, 2, 1 << 51, &pv, &off, Problem::L1tf);
            if pfn > 1 {
                planted(&guest, pfn, 2, PSE, &pv, &off, Problem::L1tf);
            }
        }
        let mut pvh = guest.clone();
        pvh.set(1, 2, to(0x700, RW));
        assert!(pvh.audit(&Rules::pvh(mode)).0.is_clean());
    }
}

#[test]
fn a_page_used_as_a_table_must_be_listed_as_one() {
    for (mode, _) in all_modes() {
        let mut guest = Guest::healthy(mode);
        let pv = Rules::pv(mode);
        let off = Rules {
            structure: false,
            ..pv
        };
        // Plain memory; a table two levels down; a table without a type.
        let stale = guest.add(0x40, Level::L1);
        stale.typed = false;
        stale.live = false;
        for (holder, target) in [(2, 0x500), (3, 1), (2, 0x40)] {
            planted(
                &guest,
                holder,
                2,
                to(target, P | RW),
                &pv,
                &off,
                Problem::NotATable { target },
            );
        }
    }
}

#[test]
fn what_a_cache_left_behind_is_found() {
    for (mode, _) in all_modes() {
        // Still pinned.
        let mut guest = Guest::healthy(mode);
        guest.add(0x50, Level::L2).live = false;
        for rules in [Rules::pv(mode), Rules::pvh(mode)] {
            let (audit, findings) = guest.audit(&rules);
            assert_eq!(
                findings,
                [Finding {
                    pfn: 0x50,
                    level: Level::L2,
                    at: None,
                    problem: Problem::Unaccounted
                }]
            );
            assert!(!audit.is_clean());
            // One finding does not end the audit, unless it is the last one allowed.
            assert!(audit.complete);
            let one = super::audit(&guest, &rules, 1, || true, |_| ());
            assert!(!one.complete);
            let off = Rules {
                accounts: false,
                ..rules
            };
            assert!(guest.audit(&off).0.is_clean());
        }

        // Unpinned, and left as it was: one finding, not 512.
        let mut guest = Guest::healthy(mode);
        let table = guest.add(0x50, Level::L2);
        table.live = false;
        table.typed = false;
        let pv = Rules::pv(mode);
        assert!(guest.audit(&pv).0.is_clean(), "clear");
        for slot in 100..110 {
            guest.set(0x50, slot, FOREIGN << 12 | P);
        }
        let (_, findings) = guest.audit(&pv);
        assert_eq!(
            findings,
            [Finding {
                pfn: 0x50,
                level: Level::L2,
                at: Some((100, Entry(FOREIGN << 12 | P))),
                problem: Problem::Constructed
            }]
        );
        let off = Rules {
            constructed: false,
            ..pv
        };
        assert!(guest.audit(&off).0.is_clean());
    }
}

#[test]
fn xens_slots_are_skipped_where_they_are_xens_and_nowhere_else() {
    let raw = FOREIGN << 12 | P;
    let mut pae = Guest::healthy(Mode::Pae);
    pae.tables.get_mut(&2).unwrap().0.pae_xen_l2 = true;
    pae.add(5, Level::L2);
    let mut long = Guest::healthy(Mode::Long);
    long.add(5, Level::L2);
    for (mode, guest, pfn, first, last) in [
        (Mode::Pae, &pae, 2, 428, 511),
        (Mode::Pae, &pae, 3, 4, 511),
        (Mode::Long, &long, 4, 256, 271),
    ] {
        for slot in 0..SLOTS as u16 {
            let mut guest = guest.clone();
            guest.set(pfn, slot, raw);
            let clean = guest.audit(&Rules::pv(mode)).0.is_clean();
            assert_eq!(clean, (first..=last).contains(&slot), "{mode:?} {slot}");
        }
        // Under PVH they are the guest's own.
        let mut guest = guest.clone();
        guest.set(pfn, last, raw);
        assert!(!guest.audit(&Rules::pvh(mode)).0.is_clean());
    }
    // An L2 that is not in slot 3 has none; one that was in it and was given back must be clear.
    for (mode, guest) in [(Mode::Pae, &pae), (Mode::Long, &long)] {
        let mut guest = guest.clone();
        guest.set(5, 500, raw);
        assert!(!guest.audit(&Rules::pv(mode)).0.is_clean());
    }
    let mut left = pae.clone();
    let table = left.add(6, Level::L2);
    (table.typed, table.live, table.pae_xen_l2) = (false, false, true);
    left.set(6, 500, raw);
    assert_eq!(
        left.audit(&Rules::pv(Mode::Pae)).1[0].problem,
        Problem::Constructed
    );
}

#[test]
fn linear_entries_are_found_by_the_rule_they_break() {
    for (mode, _) in all_modes() {
        let mut guest = Guest::healthy(mode);
        for pfn in [0x61, 0x62, 0x63] {
            guest.add(pfn, Level::L2);
        }
        // 0x62 holds 0x61 and itself.
        let none = Rules::pv(mode);
        let restorable = Rules {
            linear: Linear::Restorable,
            ..none
        };
        let off = Rules {
            linear: Linear::Ignored,
            ..none
        };
        let mut window = guest.clone();
        window.set(0x62, 8, to(0x61, P));
        window.set(0x62, 9, to(0x62, P));
        assert!(window.audit(&restorable).0.is_clean());
        assert_eq!(
            window
                .audit(&none)
                .1
                .iter()
                .map(|f| f.problem)
                .collect::<Vec<_>>(),
            [
                Problem::Linear { target: 0x61 },
                Problem::Linear { target: 0x62 }
            ]
        );
        assert!(window.audit(&off).0.is_clean());

        planted(
            &guest,
            0x62,
            8,
            to(0x61, P | RW),
            &restorable,
            &off,
            Problem::LinearWritable { target: 0x61 },
        );
        planted(
            &guest,
            0x62,
            8,
            to(0x62, P | RW),
            &restorable,
            &off,
            Problem::LinearWritable { target: 0x62 },
        );
        planted(
            &guest,
            0x62,
            8,
            to(0x63, P),
            &restorable,
            &off,
            Problem::LinearOrder { target: 0x63 },
        );
        planted(
            &window,
            0x63,
            8,
            to(0x62, P),
            &restorable,
            &off,
            Problem::LinearDepth { target: 0x62 },
        );
        // A target whose own linear entry is not present, or maps a superpage, has none.
        for raw in [to(0x61, 0), to(0x61, P | PSE)] {
            let mut guest = guest.clone();
            guest.set(0x62, 8, raw);
            guest.set(0x63, 8, to(0x62, P));
            let rules = Rules {
                l1tf: false,
                superpage: false,
                ..restorable
            };
            assert_eq!(guest.audit(&rules).1, []);
        }

        // A root that refers to a root: in 64-bit a matter of order, in PAE never.
        let (root, problem) = match mode {
            Mode::Pae => (3, Problem::LinearRoot { target: 3 }),
            Mode::Long => (4, Problem::LinearWritable { target: 4 }),
        };
        planted(
            &guest,
            root,
            2,
            to(root, P | RW),
            &restorable,
            &off,
            problem,
        );
    }
}

#[test]
fn the_audit_is_bounded_and_says_when_it_was_ended() {
    let mut guest = Guest::healthy(Mode::Long);
    for slot in 100..200 {
        guest.set(1, slot, FOREIGN << 12 | P);
    }
    let mut reported = 0;
    let result = audit(
        &guest,
        &Rules::pv(Mode::Long),
        7,
        || true,
        |_| reported += 1,
    );
    assert_eq!((reported, result.findings, result.tables), (7, 7, 1));
    assert!(!result.complete);

    // Out of time after two of four tables: not clean, although nothing was found.
    let guest = Guest::healthy(Mode::Long);
    let mut calls = 0;
    let result = audit(
        &guest,
        &Rules::pv(Mode::Long),
        7,
        || {
            calls += 1;
            calls <= 2
        },
        |_| (),
    );
    assert_eq!((result.tables, result.findings), (2, 0));
    assert!(!result.complete && !result.is_clean());

    // The last table's last finding at the limit: ended, and said so.
    let mut guest = Guest::healthy(Mode::Long);
    guest.set(4, 511, FOREIGN << 12 | P);
    let result = audit(&guest, &Rules::pv(Mode::Long), 1, || true, |_| ());
    assert_eq!(result.findings, 1);
    assert!(!result.is_clean());
}

#[test]
fn a_finding_names_page_level_slot_and_entry() {
    let finding = Finding {
        pfn: 0x1234,
        level: Level::L2,
        at: Some((511, Entry(0x8000_0000_0000_0083))),
        problem: Problem::Superpage,
    };
    assert_eq!(
        finding.to_string(),
        "L2 page 0x1234 slot 511 (0x8000000000000083) maps a superpage"
    );
    let whole = Finding {
        at: None,
        problem: Problem::Unaccounted,
        ..finding
    };
    assert_eq!(
        whole.to_string(),
        "L2 page 0x1234 is still a page table, and in no use"
    );
    assert_eq!(crate::Blame::party(&whole), crate::Party::Guest);
    let _ = format!("{:?}", whole);
}
