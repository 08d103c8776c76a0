//! What the entries of a PV domain's page tables point to.

use std::collections::BTreeMap;

use migration::audit::Level;
use page_types::{table_type, Pfn};

use crate::finding::{Code, Findings};
use crate::format::page;
use crate::guest::Guest;
use crate::report::{Holder, Pins, Target};
use crate::tables::present;

/// An entry that points to a page whose contents are not what the guest had.
#[derive(Clone, Copy)]
pub struct User {
    level: Level,
    table: Pfn,
    slot: u16,
}

/// The entries of one table, against what the stream says of the pages they point to.
pub fn of(
    guest: &Guest,
    findings: &mut Findings,
    lost: &mut BTreeMap<Pfn, User>,
    table: Pfn,
    level: Level,
    entries: &[u64],
) {
    for (slot, entry) in present(entries) {
        let target = entry.frame();
        if level > Level::L1 && entry.has_pse() {
            findings.add(Code::Superpage, || {
                format!("{level} page {table:#x} slot {slot}: a superpage, which Xen refuses to PV guests")
            });
            continue;
        }
        if guest.pv.max_pfn.is_none_or(|max| target > max) {
            // Found when it was read.
            continue;
        }
        let page = guest.pages.get(target);
        let empty = !page.is_filled() && page.bits() != page::XALLOC;
        let stale = page.is_filled() && !page.is_fresh();
        let plain = level > Level::L1 && page.is_plain();
        if empty || stale || plain {
            let user = User { level, table, slot };
            let first = lost.entry(target).or_insert(user);
            // What takes it for a table says more than what maps it.
            if level > first.level {
                *first = user;
            }
        }
    }
}

/// One finding for each page, however many entries point to it.
pub fn lost_pages(guest: &Guest, findings: &mut Findings, lost: &BTreeMap<Pfn, User>) {
    for (pfn, User { level, table, slot }) in lost {
        let page = guest.pages.get(*pfn);
        let (code, fate) = if !page.is_filled() {
            (
                Code::DroppedPage,
                "has no contents in the stream and will be empty",
            )
        } else if !page.is_fresh() {
            (
                Code::StalePage,
                "was left out of the last pass: an older copy stays",
            )
        } else {
            (Code::PlainAsTable, "is plain memory in the stream")
        };
        findings.add(code, || match level.below() {
            Some(below) => format!(
                "page {pfn:#x}, an {below} table of {level} page {table:#x} slot {slot}, {fate}"
            ),
            None => format!("page {pfn:#x}, mapped by {level} page {table:#x} slot {slot}, {fate}"),
        });
    }
}

pub fn linear(
    guest: &Guest,
    findings: &mut Findings,
    tables: &BTreeMap<Pfn, Vec<u64>>,
    pins: &mut Pins,
) {
    let place = |pfn: Pfn| {
        let place = pins.pinned.binary_search_by_key(&pfn, |pin| pin.page);
        place.ok().map(|n| n as u64 + 1)
    };
    let (mut count, mut holders) = (0, Vec::new());
    for (pfn, entries) in tables {
        let Some((level, _)) = table_type(guest.pages.get(*pfn).bits()) else {
            continue;
        };
        if level == Level::L1 {
            continue;
        }
        let mut holder: Option<Holder> = None;
        for (slot, entry) in present(entries) {
            let target = entry.frame();
            if table_type(guest.pages.get(target).bits()).map(|(level, _)| level) != Some(level) {
                continue;
            }
            count += 1;
            let holder = holder.get_or_insert_with(|| Holder {
                page: *pfn,
                level: level as u8,
                place: place(*pfn),
                targets: Vec::new(),
                too_early: false,
            });
            let target = Target {
                slot,
                page: target,
                place: place(target),
            };
            holder.too_early |= match (holder.place, target.place) {
                (Some(holder), Some(target)) => holder < target,
                _ => false,
            };
            if holder.targets.len() < 16 {
                holder.targets.push(target);
            }
        }
        if let Some(holder) = holder {
            findings.add(Code::LinearEntries, || {
                format!("{}", crate::text::Linear(&holder))
            });
            if holders.len() < Pins::HOLDERS {
                holders.push(holder);
            }
        }
    }
    pins.linear_entries = count;
    pins.holders = holders;
}
