//! What the `migration` crate's page-table audit needs to know: every page that is a page table, and every frame.
//!
//! Under PVH Xen does not read a guest's page tables. What must not be there is a mapping of memory that is not the
//! domain's own, and a table in no use: that is a cache that was not drained.

use core::sync::atomic::{AtomicU8, Ordering};

use migration::audit::{self, Entry, Frame, Level, Mode, PageTables, Rules, Table};
use migration::Deadline;

pub use migration::audit::Finding;

use crate::arch::memory as raw;
use crate::memory::Pfn;
use crate::paging::layout::DIRECT_MAP_FRAMES;
use crate::{cmdline, time};

/// What a managed frame is, for the audit. One byte each.
static KINDS: [AtomicU8; DIRECT_MAP_FRAMES] = [const { AtomicU8::new(Kind::Plain as u8) }; DIRECT_MAP_FRAMES];

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// No page table.
    Plain = 0,
    /// An L2 page of a set that nobody uses.
    IdleL2 = 1,
    /// An L2 page of a set in use.
    LiveL2 = 2,
    /// An L1 table of a space.
    L1 = 3,
}

/// Notes what a frame is from now on.
pub fn mark(pfn: Pfn, kind: Kind) {
    KINDS[pfn.0 as usize].store(kind as u8, Ordering::Relaxed);
}

/// Findings reported one by one; the rest only count.
const REPORTED: u32 = 8;

/// Looks at every page table. The first finding, if there is any, is the error; the others are logged.
pub fn run(deadline: Deadline) -> Result<(), Finding> {
    if cmdline::options().switches.no_audit() {
        return Ok(());
    }
    let mode = if cfg!(target_arch = "x86_64") {
        Mode::Long
    } else {
        Mode::Pae
    };
    let late = || deadline.has_passed(core::time::Duration::from_nanos(time::now()));
    let seen = audit::audit(
        &Tables,
        &Rules::pvh(mode),
        REPORTED,
        || !late(),
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
        let (level, live) = if let Some(level) = raw::kernel_table(pfn) {
            (level, true)
        } else if raw::is_managed(pfn) {
            match KINDS[pfn.0 as usize].load(Ordering::Relaxed) {
                kind if kind == Kind::IdleL2 as u8 => (2, false),
                kind if kind == Kind::LiveL2 as u8 => (2, true),
                kind if kind == Kind::L1 as u8 => (1, true),
                _ => return None,
            }
        } else {
            return None;
        };
        let level = if level == 1 { Level::L1 } else { Level::L2 };
        Some(Table {
            pfn: u64::from(pfn.0),
            level,
            typed: true,
            live,
            pae_xen_l2: false,
        })
    }
}

impl PageTables for Tables {
    fn tables(&self, visit: &mut dyn FnMut(Table) -> bool) {
        for pfn in 0..raw::end_of_memory().0 {
            if let Some(table) = Tables::describe(Pfn(pfn)) {
                if !visit(table) {
                    return;
                }
            }
        }
    }

    fn table(&self, pfn: u64) -> Option<Table> {
        u32::try_from(pfn).ok().and_then(|pfn| Tables::describe(Pfn(pfn)))
    }

    fn entry(&self, table: &Table, slot: u16) -> Entry {
        // The number came from `describe`, so it is in the direct map.
        Entry(raw::read_table(Pfn(table.pfn as u32), usize::from(slot)).bits())
    }

    fn next_entry(&self, table: &Table, from: u16) -> Option<(u16, Entry)> {
        let (slot, entry) = raw::next_used(Pfn(table.pfn as u32), usize::from(from))?;
        Some((slot as u16, Entry(entry.bits())))
    }

    fn frame(&self, frame: u64) -> Frame {
        match u32::try_from(frame) {
            Ok(pfn) if raw::is_ram(Pfn(pfn)) => Frame::Own(frame),
            // The rings' pages, which the toolstack made above RAM and makes again at the same place.
            _ if raw::is_ring(frame) => Frame::Xen,
            _ => Frame::Foreign,
        }
    }
}
