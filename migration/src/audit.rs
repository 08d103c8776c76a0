//! The page-table audit: reads every table before Xen's tools do, and finds what they would drop,
//! refuse or get wrong.
//!
//! A PV domain's page tables are translated when it is saved. A table that cannot be translated is
//! left out of the stream without a message, and the restored domain finds an empty page in
//! its place, or fails to be restored at all (`normalise_pagetable`,
//! `tools/libs/guest/xg_sr_save_x86_pv.c:870`, and `write_batch`, `xg_sr_save.c:193`: the check
//! that would make it fatal asks for a flag that `xl save` never sets). `xl save` exits 0. So the
//! guest has to check itself, with everything quiet, and cancel the suspend.
//!
//! | rule | finding | what happens without it |
//! |---|---|---|
//! | [`foreign`](Rules::foreign) | a present entry maps a frame that is not this domain's memory: another domain's page; with [`xen_frames`](Rules::xen_frames) a grant frame or the shared info page; with [`holes`](Rules::holes) I/O memory or nothing | PV: the whole table is dropped. PVH: another domain's page is a hole after a restore |
//! | [`superpage`](Rules::superpage) | `PSE` above L1 | `Cannot migrate superpage`, the save fails |
//! | [`linear`](Rules::linear) | a linear entry that is writable, too deep, unordered, or not allowed at all | the save succeeds, the restore fails with `Failed to pin batch of pagetables` |
//! | [`l1tf`](Rules::l1tf) | a non-present entry with address bits, or `PSE` above L1 | the domain is crashed, or forced into shadow mode, when the table is validated (`pv_l1tf_check_pte`, `xen/arch/x86/include/asm/shadow.h`) |
//! | [`structure`](Rules::structure) | an entry above L1 points to a page that the guest does not list as a table of the level below | that table would go unaudited |
//! | [`accounts`](Rules::accounts) | a typed table that belongs to no live address space | a cache was not drained |
//! | [`constructed`](Rules::constructed) | a table without a type that still holds entries | it is saved as plain data, with machine frames of the old host inside |
//!
//! The guest lists its tables through [`PageTables`]; the audit reads them, allocates nothing, and
//! stops at a limit of findings or when it is told to.

use core::fmt;

/// Entries of a table. A PAE root has 4 that count, in a page of 512.
pub const SLOTS: usize = 512;

/// The level of a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Maps 4 KiB pages.
    L1 = 1,
    /// A page directory.
    L2 = 2,
    /// The root of a PAE address space; a page directory pointer table of a 64-bit one.
    L3 = 3,
    /// The root of a 64-bit address space.
    L4 = 4,
}

impl Level {
    /// The level that this one's entries point to; `None` for L1.
    pub const fn below(self) -> Option<Level> {
        match self {
            Level::L1 => None,
            Level::L2 => Some(Level::L1),
            Level::L3 => Some(Level::L2),
            Level::L4 => Some(Level::L3),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", *self as u8)
    }
}

/// The format of a domain's page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// 32-bit PAE, three levels.
    Pae,
    /// 64-bit, four levels.
    Long,
}

impl Mode {
    /// The level of a root.
    pub const fn root(self) -> Level {
        match self {
            Mode::Pae => Level::L3,
            Mode::Long => Level::L4,
        }
    }

    /// Whether a slot of a PV guest's table is Xen's own, to be left alone by guest and tools
    /// alike.
    ///
    /// L4: 256 to 271. A PAE L3: 4 to 511. The L2 in slot 3 of a PAE root: 428 to 511
    /// (`is_guest_l2_slot` and `is_guest_l4_slot`, `xen/arch/x86/include/asm/x86_64/page.h`).
    pub const fn is_xens(self, level: Level, pae_xen_l2: bool, slot: u16) -> bool {
        match (self, level) {
            (Mode::Long, Level::L4) => slot >= 256 && slot <= 271,
            (Mode::Pae, Level::L3) => slot >= 4,
            (Mode::Pae, Level::L2) => pae_xen_l2 && slot >= 428,
            _ => false,
        }
    }
}

/// A page-table entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry(pub u64);

impl Entry {
    const PRESENT: u64 = 1;
    const WRITABLE: u64 = 1 << 1;
    const PSE: u64 = 1 << 7;
    const FRAME: u64 = 0x000f_ffff_ffff_f000;

    /// The processor follows it.
    pub const fn is_present(self) -> bool {
        self.0 & Entry::PRESENT != 0
    }

    /// What it points to may be written through it.
    pub const fn is_writable(self) -> bool {
        self.0 & Entry::WRITABLE != 0
    }

    /// Above L1: it maps a superpage. (In an L1 the bit means something else.)
    #[doc(alias = "_PAGE_PSE")]
    pub const fn has_pse(self) -> bool {
        self.0 & Entry::PSE != 0
    }

    /// The frame it points to: a machine frame under PV, a guest frame under PVH.
    pub const fn frame(self) -> u64 {
        (self.0 & Entry::FRAME) >> 12
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

/// One page table, as the guest has recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its page frame number.
    pub pfn: u64,
    /// Its level.
    pub level: Level,
    /// Xen holds it as a page table: it is pinned, or hangs below a pinned or active root. Always
    /// true under PVH.
    pub typed: bool,
    /// It belongs to an address space that is in use, the kernel's included. A page in a cache does
    /// not.
    pub live: bool,
    /// It stands in slot 3 of a PAE root, where Xen keeps entries of its own ([`Mode::is_xens`]).
    pub pae_xen_l2: bool,
}

/// What the guest knows about a frame that an entry points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// This domain's own memory, by its page frame number; under PV only if machine-to-physical and
    /// physical-to-machine agree.
    Own(u64),
    /// Another domain's page, through a grant or a foreign mapping.
    Foreign,
    /// A page of Xen's: the shared info page, a grant table frame.
    Xen,
    /// I/O memory, or no memory at all.
    None,
}

/// The guest's page tables. Nothing may change them while the audit runs.
pub trait PageTables {
    /// Calls `visit` with every page that is or was a page table: those in use, those still in a
    /// cache, those of no use that were not cleared. Stops when `visit` returns `false`.
    fn tables(&self, visit: &mut dyn FnMut(Table) -> bool);

    /// The table on page `pfn`; `None` when that page is no page table. Called for each entry above
    /// L1: it should be quick.
    fn table(&self, pfn: u64) -> Option<Table>;

    /// Calls `visit` with each entry of `table` that is not zero, and its slot, in rising order.
    /// Stops when `visit` returns `false`.
    ///
    /// Most entries of most tables are zero, so the audit is as fast as the kernel skips them. An L1 entry that it knows to map a page of the domain's own, because it
    /// is what the kernel itself put there, may be left out too.
    fn entries(&self, table: &Table, visit: &mut dyn FnMut(u16, Entry) -> bool);

    /// What the frame number of a present entry is. Called once per present entry.
    fn frame(&self, frame: u64) -> Frame;

    /// Whether Xen, when it restores the domain, has validated `target` by the time it comes to
    /// `holder`.
    ///
    /// Pinned tables are restored in rising PFN order, so the default is right for a set that only
    /// pins hold. Tables below a vCPU's root are validated before all pins, slot by slot.
    fn validated_before(&self, target: &Table, holder: &Table) -> bool {
        target.pfn < holder.pfn
    }
}

/// What is allowed of linear entries: entries of a table that point to a table of its own level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linear {
    /// Not looked at.
    Ignored,
    /// None. Right for a guest that takes its windows down before it suspends.
    None,
    /// Those that Xen can restore: read-only, one level deep, the target validated before the
    /// holder; self entries always.
    Restorable,
}

/// Which rules apply. Each can be switched off, for tests that show what happens without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The format of the tables.
    pub mode: Mode,
    /// Xen owns some slots: PV.
    pub xen_slots: bool,
    /// No present entry maps a frame that is not this domain's. Xen's own pages are included under
    /// PV.
    pub foreign: bool,
    /// As [`foreign`](Rules::foreign), for [`Frame::Xen`]. Not under PVH: there such a page is
    /// mapped by a guest frame number, which the guest fills again after a restore.
    pub xen_frames: bool,
    /// As [`foreign`](Rules::foreign), for [`Frame::None`]. Not under PVH: there a mapping of
    /// nothing, as an identity map has many, is a mapping of nothing after a restore too.
    pub holes: bool,
    /// No superpages.
    pub superpage: bool,
    /// What is allowed of linear entries.
    pub linear: Linear,
    /// No address in a non-present entry.
    pub l1tf: bool,
    /// Every table below a table is listed.
    pub structure: bool,
    /// Every typed table is in use.
    pub accounts: bool,
    /// Every table without a type is clear.
    pub constructed: bool,
}

impl Rules {
    /// A PV guest that takes its windows down before the audit.
    pub const fn pv(mode: Mode) -> Rules {
        Rules {
            mode,
            xen_slots: true,
            foreign: true,
            xen_frames: true,
            holes: true,
            superpage: true,
            linear: Linear::None,
            l1tf: true,
            structure: true,
            accounts: true,
            constructed: true,
        }
    }

    /// A PVH guest. Xen neither reads nor translates its tables: superpages, linear entries, stale
    /// bits, holes, and which tables it lists are its own affair. So it may list the tables of its
    /// sets alone, which share an L3 with the kernel. What it must not have is a mapping of another
    /// domain's page ([`Frame::Foreign`]), and a cache that was not drained.
    ///
    /// A guest that lists all its tables and wants them looked at can switch
    /// [`structure`](Rules::structure) on.
    pub const fn pvh(mode: Mode) -> Rules {
        Rules {
            mode,
            xen_slots: false,
            foreign: true,
            xen_frames: false,
            holes: false,
            superpage: false,
            linear: Linear::Ignored,
            l1tf: false,
            structure: false,
            accounts: true,
            constructed: false,
        }
    }
}

/// What is wrong with an entry or a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The entry maps a frame that is not this domain's memory.
    Foreign(Frame),
    /// The entry maps a superpage.
    Superpage,
    /// A linear entry, where none is allowed.
    Linear {
        /// The page it points to.
        target: u64,
    },
    /// A linear entry that may be written through.
    LinearWritable {
        /// The page it points to.
        target: u64,
    },
    /// A linear entry to a table that has linear entries of its own.
    LinearDepth {
        /// The page it points to.
        target: u64,
    },
    /// A linear entry to a table that Xen will not have validated when it comes to this one: it
    /// will take it for a table of the level below.
    LinearOrder {
        /// The page it points to.
        target: u64,
    },
    /// A linear entry in a PAE root (XSA-185).
    LinearRoot {
        /// The page it points to.
        target: u64,
    },
    /// A non-present entry with an address in it, or with `PSE` above L1.
    L1tf,
    /// The entry points to a page that is not listed as a table of the level below.
    NotATable {
        /// The page it points to.
        target: u64,
    },
    /// Xen holds the table, and no address space in use has it.
    Unaccounted,
    /// Xen does not hold the table, and it has an entry.
    Constructed,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Foreign(frame) => write!(f, "maps a frame that is not our memory ({frame:?})"),
            Problem::Superpage => f.write_str("maps a superpage"),
            Problem::Linear { target } => write!(f, "is linear, to page {target:#x}"),
            Problem::LinearWritable { target } => {
                write!(f, "is linear and writable, to page {target:#x}")
            }
            Problem::LinearDepth { target } => {
                write!(
                    f,
                    "is linear, to page {target:#x}, which has linear entries too"
                )
            }
            Problem::LinearOrder { target } => {
                write!(
                    f,
                    "is linear, to page {target:#x}, which Xen restores later"
                )
            }
            Problem::LinearRoot { target } => {
                write!(f, "is linear in a PAE root, to page {target:#x}")
            }
            Problem::L1tf => f.write_str("is not present, but not clear"),
            Problem::NotATable { target } => {
                write!(
                    f,
                    "points to page {target:#x}, which is no table of the level below"
                )
            }
            Problem::Unaccounted => f.write_str("is still a page table, and in no use"),
            Problem::Constructed => f.write_str("is no page table any more, and not cleared"),
        }
    }
}

/// One finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The table.
    pub pfn: u64,
    /// Its level.
    pub level: Level,
    /// The slot and the entry, if it is about an entry.
    pub at: Option<(u16, Entry)>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} page {:#x}", self.level, self.pfn)?;
        if let Some((slot, entry)) = self.at {
            write!(f, " slot {slot} ({entry:?})")?;
        }
        write!(f, " {}", self.problem)
    }
}

impl crate::Blame for Finding {}

/// What an audit saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Tables read.
    pub tables: u64,
    /// Entries read that were not zero.
    pub entries: u64,
    /// Findings reported.
    pub findings: u32,
    /// The first of them.
    pub first: Option<Finding>,
    /// Every table was read to its end: neither the limit of findings nor the caller ended the
    /// audit.
    pub complete: bool,
}

impl Audit {
    /// Whether the domain may be saved: everything was looked at and nothing was found.
    pub fn is_clean(&self) -> bool {
        self.complete && self.findings == 0
    }
}

/// Looks at all tables.
///
/// `report` is called for each finding, at most `limit` times; then the audit ends. `go_on` is
/// called before each table: `false` ends the audit ([`Deadline`](crate::Deadline)).
///
/// The time is that of reading 512 entries per table, and under [`Linear::Restorable`] another 512
/// for each linear entry to another table.
pub fn audit<T: PageTables + ?Sized>(
    tables: &T,
    rules: &Rules,
    limit: u32,
    mut go_on: impl FnMut() -> bool,
    mut report: impl FnMut(&Finding),
) -> Audit {
    let mut audit = Audit::default();
    let mut stopped = false;
    tables.tables(&mut |table| {
        if !go_on() {
            stopped = true;
            return false;
        }
        audit.tables += 1;
        let mut found = |finding: Finding| {
            report(&finding);
            audit.first.get_or_insert(finding);
            audit.findings += 1;
            audit.findings < limit
        };
        let on = One {
            tables,
            rules,
            table: &table,
        };
        let room = on.table(&mut audit.entries, &mut found);
        stopped |= !room;
        room
    });
    audit.complete = !stopped;
    audit
}

/// One table under audit.
struct One<'a, T: ?Sized> {
    tables: &'a T,
    rules: &'a Rules,
    table: &'a Table,
}

impl<T: PageTables + ?Sized> One<'_, T> {
    /// Looks at the table; `false` when there is no room for more findings.
    fn table(&self, entries: &mut u64, found: &mut impl FnMut(Finding) -> bool) -> bool {
        let finding = |at, problem| Finding {
            pfn: self.table.pfn,
            level: self.table.level,
            at,
            problem,
        };
        if self.rules.accounts
            && self.table.typed
            && !self.table.live
            && !found(finding(None, Problem::Unaccounted))
        {
            return false;
        }
        let mut room = true;
        self.tables.entries(self.table, &mut |slot, entry| {
            let xens = self
                .rules
                .mode
                .is_xens(self.table.level, self.table.pae_xen_l2, slot);
            // Only a table that Xen holds has slots of Xen's; in one that it held once they must be
            // clear.
            if xens && self.rules.xen_slots && self.table.typed {
                return true;
            }
            *entries += 1;
            if !self.table.typed {
                // Xen no longer interprets its entries. One finding for the table is enough.
                if self.rules.constructed {
                    room = found(finding(Some((slot, entry)), Problem::Constructed));
                }
                return !self.rules.constructed;
            }
            if let Some(problem) = self.entry(entry) {
                room = found(finding(Some((slot, entry)), problem));
            }
            room
        });
        room
    }

    /// The first rule that an entry of a typed table breaks.
    fn entry(&self, entry: Entry) -> Option<Problem> {
        let rules = self.rules;
        let level = self.table.level;
        let pse = level.below().is_some() && entry.has_pse();
        if !entry.is_present() {
            return (rules.l1tf && (entry.frame() != 0 || pse)).then_some(Problem::L1tf);
        }
        if pse && rules.superpage {
            return Some(Problem::Superpage);
        }
        let target = match self.tables.frame(entry.frame()) {
            Frame::Own(pfn) => pfn,
            Frame::Xen if !rules.xen_frames => return None,
            Frame::None if !rules.holes => return None,
            frame => return rules.foreign.then_some(Problem::Foreign(frame)),
        };
        let below = level.below()?;
        if pse {
            return None;
        }
        match self.tables.table(target) {
            Some(table) if table.level == level => self.linear(entry, &table),
            Some(table) if table.level == below && table.typed => None,
            _ => rules.structure.then_some(Problem::NotATable { target }),
        }
    }

    fn linear(&self, entry: Entry, target: &Table) -> Option<Problem> {
        let pfn = target.pfn;
        match self.rules.linear {
            Linear::Ignored => None,
            Linear::None => Some(Problem::Linear { target: pfn }),
            Linear::Restorable => {
                if self.rules.mode == Mode::Pae && target.level == Level::L3 {
                    Some(Problem::LinearRoot { target: pfn })
                } else if entry.is_writable() {
                    Some(Problem::LinearWritable { target: pfn })
                } else if pfn == self.table.pfn {
                    None
                } else if self.has_linear(target) {
                    Some(Problem::LinearDepth { target: pfn })
                } else if !self.tables.validated_before(target, self.table) {
                    Some(Problem::LinearOrder { target: pfn })
                } else {
                    None
                }
            }
        }
    }

    /// Whether a table has linear entries other than to itself.
    fn has_linear(&self, table: &Table) -> bool {
        let mut has = false;
        self.tables.entries(table, &mut |slot, entry| {
            if self.rules.mode.is_xens(table.level, table.pae_xen_l2, slot) {
                return true;
            }
            has = entry.is_present()
                && !entry.has_pse()
                && matches!(self.tables.frame(entry.frame()), Frame::Own(pfn) if pfn != table.pfn
                    && self.tables.table(pfn).is_some_and(|other| other.level == table.level));
            !has
        });
        has
    }
}

#[cfg(test)]
mod tests;
