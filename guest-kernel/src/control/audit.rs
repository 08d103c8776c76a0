//! What the `migration` crate's page-table audit needs to know: every page that is a page table,
//! and every frame.
//!
//! Under PVH Xen does not read a guest's page tables. What must not be there is a mapping of memory
//! that is not the domain's own, and a table in no use: that is a cache that was not drained.

use core::time::Duration;

use migration::audit::{self, Entry, Frame, Level, Mode, PageTables, Rules, Table};
use migration::Deadline;

pub use migration::audit::Finding;

use crate::arch::{direct, frames, is_pv, shared_info, tables};
use crate::cmdline;
use crate::memory::Pfn;
use crate::sets::kinds::{all_marked, is_marked, Kind};
use crate::xen::time;

/// Findings reported one by one; the rest only count.
const REPORTED: u32 = 8;

/// The clock is looked at once for so many tables: Xen may have to emulate the time-stamp counter,
/// and then that takes longer than a table.
const CLOCK_EVERY: u32 = 32;

/// Looks at every page table. The first finding, if there is any, is the error; the others are
/// logged.
pub fn run(deadline: Deadline) -> Result<(), Finding> {
    if cmdline::options().switches.no_audit() {
        return Ok(());
    }
    let mode = if cfg!(target_arch = "x86_64") {
        Mode::Long
    } else {
        Mode::Pae
    };
    let mut tables = 0u32;
    let in_time = || {
        tables += 1;
        !tables.is_multiple_of(CLOCK_EVERY)
            || !deadline.has_passed(Duration::from_nanos(time::now()))
    };
    let seen = audit::audit(
        &Tables,
        &if is_pv() {
            Rules::pv(mode)
        } else {
            Rules {
                // All tables are listed, so that each can be held to it.
                structure: true,
                ..Rules::pvh(mode)
            }
        },
        REPORTED,
        in_time,
        |finding| log::error!("audit: {finding}"),
    );
    log::debug!(
        "audit: {} tables, {} entries, {} findings",
        seen.tables,
        seen.entries,
        seen.findings
    );
    // One that did not end in time is the machine's to report: the step was late.
    seen.first.map_or(Ok(()), Err)
}

/// This kernel's tables.
struct Tables;

impl Tables {
    fn describe(pfn: Pfn) -> Option<Table> {
        let table = |level, typed, live| Table {
            pfn: u64::from(pfn.0),
            level,
            typed,
            live,
            pae_xen_l2: false,
        };
        if frames::is_managed(pfn) {
            let is = |kind| is_marked(pfn, kind);
            return if is(Kind::IdleL2) {
                Some(table(Level::L2, true, false))
            } else if is(Kind::LiveL2) || is(Kind::LiveHolder) {
                Some(table(Level::L2, true, true))
            } else if is(Kind::L1) {
                Some(table(Level::L1, true, true))
            } else if is(Kind::StaleL2) {
                Some(table(Level::L2, false, false))
            } else {
                None
            };
        }
        let kernels = tables::kernel_table(pfn)?;
        let level = match kernels.level {
            1 => Level::L1,
            2 => Level::L2,
            3 => Level::L3,
            _ => Level::L4,
        };
        Some(Table {
            pae_xen_l2: kernels.pae_xen_l2,
            ..table(level, true, true)
        })
    }
}

impl PageTables for Tables {
    fn tables(&self, visit: &mut dyn FnMut(Table) -> bool) {
        // The kernel's own lie below all that the allocator manages. Those of the far map are most of
        // them under PV, and what can be wrong in them Xen would have refused.
        let kernels = (0..frames::first_managed().0)
            .map(Pfn)
            .filter(|&pfn| !tables::is_far_l1(pfn));
        let _ = kernels
            .chain(all_marked().map(|(pfn, _)| pfn))
            .filter_map(Tables::describe)
            .all(visit);
    }

    fn table(&self, pfn: u64) -> Option<Table> {
        u32::try_from(pfn)
            .ok()
            .and_then(|pfn| Tables::describe(Pfn(pfn)))
    }

    fn entries(&self, table: &Table, visit: &mut dyn FnMut(u16, Entry) -> bool) {
        let shared_info = shared_info_slot(table);
        // The number came from `describe`, so it is in the direct map.
        tables::for_each_used(Pfn(table.pfn as u32), |slot, bits| {
            Some(slot) == shared_info || visit(slot as u16, Entry(bits))
        });
    }

    fn frame(&self, frame: u64) -> Frame {
        match frames::own_frame(frame) {
            Some(pfn) => Frame::Own(u64::from(pfn.0)),
            // The rings' pages, which the toolstack made above RAM and makes again at the same
            // place.
            None if tables::is_ring(frame) => Frame::Xen,
            None => Frame::Foreign,
        }
    }
}

/// The slot, if it is in this table, of the one entry that maps shared-info under PV. It does so
/// until the last moment, and the step right before the call puts the domain's own page there; a
/// failure of that is the call's own error.
fn shared_info_slot(table: &Table) -> Option<usize> {
    if !is_pv() || table.level != Level::L1 {
        return None;
    }
    let (l1, slot) = direct::place(shared_info::place());
    (u64::from(l1.0) == table.pfn).then_some(slot)
}
