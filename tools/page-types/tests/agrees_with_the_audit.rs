//! The guest's own audit and the model agree about which linear entries Xen restores.

use std::collections::BTreeMap;

use migration::audit::{audit, Entry, Frame, Level, Linear, Mode, PageTables, Rules, Table, SLOTS};
use page_types::{Image, Verdict};
use proptest::prelude::*;

const P: u64 = 1;
const RW: u64 = 2;
/// Machine frame = page frame + this, as under PV: an audit that mixed the two up would find
/// nothing.
const SHIFT: u64 = 0x100;

/// The L2 pages of a guest, pinned and in use.
struct Guest(BTreeMap<u64, Vec<u64>>);

impl Guest {
    fn describe(pfn: u64) -> Table {
        Table {
            pfn,
            level: Level::L2,
            typed: true,
            live: true,
            pae_xen_l2: false,
        }
    }
}

impl PageTables for Guest {
    fn tables(&self, visit: &mut dyn FnMut(Table) -> bool) {
        let _ = self.0.keys().map(|&pfn| Guest::describe(pfn)).all(visit);
    }
    fn table(&self, pfn: u64) -> Option<Table> {
        self.0.contains_key(&pfn).then(|| Guest::describe(pfn))
    }
    fn entries(&self, table: &Table, visit: &mut dyn FnMut(u16, Entry) -> bool) {
        let used = (0..).zip(&self.0[&table.pfn]).filter(|(_, raw)| **raw != 0);
        let _ = used
            .map(|(slot, raw)| (slot, Entry(*raw)))
            .all(|(slot, entry)| visit(slot, entry));
    }
    fn frame(&self, frame: u64) -> Frame {
        frame.checked_sub(SHIFT).map_or(Frame::None, Frame::Own)
    }
}

/// L2 pages with random linear entries between them.
fn any_windows() -> impl Strategy<Value = Vec<(u64, u16, u64, bool)>> {
    let one = (0u64..8, 0u16..4, 0u64..8, proptest::bool::weighted(0.05));
    proptest::collection::vec(one, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The audit lets linear entries pass if and only if the model restores them.
    #[test]
    fn the_audit_and_the_model_agree(mode in prop_oneof![Just(Mode::Pae), Just(Mode::Long)], windows in any_windows()) {
        let mut guest = Guest(BTreeMap::new());
        let mut image = Image::new(mode);
        for pfn in 0..8 {
            guest.0.insert(pfn, vec![0; SLOTS]);
            image.pages.entry(pfn).or_default();
            image.pinned.insert(pfn, Level::L2);
        }
        for (holder, slot, target, writable) in windows {
            let flags = if writable { P | RW } else { P };
            guest.0.get_mut(&holder).unwrap()[usize::from(slot)] = (target + SHIFT) << 12 | flags;
            image.set(holder, slot, target << 12 | flags);
        }
        let rules = Rules { linear: Linear::Restorable, ..Rules::pv(mode) };
        let mut findings = Vec::new();
        let audit = audit(&guest, &rules, 1000, || true, |finding| findings.push(*finding));
        let verdict = image.restore();
        prop_assert_eq!(audit.is_clean(), verdict == Verdict::Restores, "{:?} {:?}", findings, verdict);
    }
}
