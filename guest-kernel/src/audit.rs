//! What the `migration` crate's page-table audit needs to know: every page that is a page table,
//! and every frame.
//!
//! Under PVH Xen does not read a guest's page tables. What must not be there is a mapping of memory
//! that is not the domain's own, and a table in no use: that is a cache that was not drained.

use core::sync::atomic::{AtomicU32, AtomicU8, Ordering};
use core::time::Duration;

use migration::audit::{self, Entry, Frame, Level, Mode, PageTables, Rules, Table};
use migration::Deadline;

pub use migration::audit::Finding;

use crate::arch::{self, is_pv, memory as raw, tables};
use crate::memory::Pfn;
use crate::paging::layout::DIRECT_MAP_FRAMES;
use crate::{cmdline, time};

/// Frames whose marks are looked at together.
const GROUP: usize = 64;
const _: () = assert!(DIRECT_MAP_FRAMES.is_multiple_of(GROUP));

/// What a managed frame is, for the audit. One byte each.
static KINDS: [AtomicU8; DIRECT_MAP_FRAMES] =
    [const { AtomicU8::new(Kind::Plain as u8) }; DIRECT_MAP_FRAMES];

/// One past the highest frame that was ever marked: the allocator hands out low frames first.
static MARKED_END: AtomicU32 = AtomicU32::new(0);

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
    /// The holder of a set in use, with the notes that lead to its other pages.
    LiveHolder = 4,
    /// An L2 page of a set that Xen was told to let go, and that was left as it was: what a test
    /// wants to be found.
    #[cfg_attr(not(feature = "switches"), allow(dead_code))]
    StaleL2 = 5,
}

/// The frames that are marked so.
pub fn marked(kind: Kind) -> impl Iterator<Item = Pfn> {
    tables_marked()
        .filter(move |&(_, is)| is == kind as u8)
        .map(|(pfn, _)| pfn)
}

/// The frames that are marked as anything but plain, and as what, in rising order.
///
/// Few of a guest's frames are page tables, and they lie close together: a group of plain ones is
/// passed over as one.
fn tables_marked() -> impl Iterator<Item = (Pfn, u8)> {
    let load = |kind: &AtomicU8| kind.load(Ordering::Relaxed);
    let groups = (MARKED_END.load(Ordering::Relaxed) as usize).div_ceil(GROUP);
    KINDS
        .chunks_exact(GROUP)
        .take(groups)
        .enumerate()
        .filter(move |(_, group)| {
            group.iter().fold(0, |all, kind| all | load(kind)) != Kind::Plain as u8
        })
        .flat_map(move |(n, group)| (n * GROUP..).zip(group.iter().map(load)))
        .filter(|&(_, kind)| kind != Kind::Plain as u8)
        .map(|(pfn, kind)| (Pfn(pfn as u32), kind))
}

/// Notes what a frame is from now on.
pub fn mark(pfn: Pfn, kind: Kind) {
    KINDS[pfn.0 as usize].store(kind as u8, Ordering::Relaxed);
    if pfn.0 >= MARKED_END.load(Ordering::Relaxed) {
        MARKED_END.fetch_max(pfn.0 + 1, Ordering::Relaxed);
    }
}

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
            Rules::pvh(mode)
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
        if raw::is_managed(pfn) {
            let kind = KINDS[pfn.0 as usize].load(Ordering::Relaxed);
            let is = |wanted: Kind| kind == wanted as u8;
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
        // The kernel's own lie below all that the allocator manages.
        let kernels = (0..raw::first_managed().0).map(Pfn);
        let _ = kernels
            .chain(tables_marked().map(|(pfn, _)| pfn))
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
        raw::for_each_used(Pfn(table.pfn as u32), |slot, bits| {
            Some(slot) == shared_info || visit(slot as u16, Entry(bits))
        });
    }

    fn frame(&self, frame: u64) -> Frame {
        match raw::own_frame(frame) {
            Some(pfn) => Frame::Own(u64::from(pfn.0)),
            // The rings' pages, which the toolstack made above RAM and makes again at the same
            // place.
            None if raw::is_ring(frame) => Frame::Xen,
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
    let (l1, slot) = tables::direct_place(arch::xen::shared_info_place());
    (u64::from(l1.0) == table.pfn).then_some(slot)
}
