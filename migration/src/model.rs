//! Xen's page-type rules, as far as they decide whether a saved PV domain can be restored. Host side only.
//!
//! Xen lets a frame be one thing at a time: writable memory or a page table of one level. When a reference asks for a type,
//! a frame without references takes it on (*promotion*, which walks the table's entries and asks for a type of each
//! target); a frame with references of another type refuses. A restore asks in this order:
//!
//! 1. per vCPU, rising: the root table of its `cr3` (`update_vcpu_context`), which promotes the whole tree below it;
//! 2. the pinned tables in rising PFN order (`pin_pagetables`, `tools/libs/guest/xg_sr_restore_x86_pv.c`); the first that
//!    fails ends the restore.
//!
//! What makes linear entries (an L2 entry that points to an L2) depend on the order is that Xen asks for an L1 *first*. A
//! target that nobody refers to yet becomes an L1, and can be an L2 no more.
//!
//! The rules are those of `xen/arch/x86/mm.c` (4.20.2): `_get_page_type`, `promote_l1_table` to `promote_l4_table`,
//! `get_page_from_l1e` to `get_page_from_l4e`, `define_get_linear_pagetable`, `pae_xen_mappings_check`,
//! `MMUEXT_PIN_L1_TABLE`. Left out: descriptor tables, foreign and I/O frames, cache attributes, reserved bits of
//! entries, the PAE root's place below 4 GiB, preemption. Entries hold PFNs, as in a stream.

use std::collections::BTreeMap;
use std::fmt;
use std::vec::Vec;

use crate::audit::{Entry, Level, Mode, SLOTS};

/// A page frame number, as the guest counts.
pub type Pfn = u64;

/// Reads the four type bits of a page in a stream's PAGE_DATA record (bits 60 to 63; `XEN_DOMCTL_PFINFO_*` shifted by 28,
/// `xen/include/public/domctl.h`): the level of a table, and whether it is pinned. `None`: no table.
///
/// ```
/// use migration::audit::Level;
/// use migration::model::table_type;
/// assert_eq!(table_type(0x2), Some((Level::L2, false)));
/// assert_eq!(table_type(0xa), Some((Level::L2, true)));
/// assert_eq!(table_type(0x0), None); // NOTAB: plain memory
/// assert_eq!(table_type(0xf), None); // XTAB: no data follows
/// ```
#[doc(alias = "XEN_DOMCTL_PFINFO_LPINTAB")]
pub const fn table_type(bits: u8) -> Option<(Level, bool)> {
    let level = match bits & 7 {
        1 => Level::L1,
        2 => Level::L2,
        3 => Level::L3,
        4 => Level::L4,
        _ => return None,
    };
    Some((level, bits & 8 != 0))
}

/// The errno values that the rules give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Errno {
    /// `EBUSY`, 16: a frame that a writable entry of an L1 points to is something else.
    Ebusy,
    /// `EINVAL`, 22: every other refusal.
    Einval,
}

impl Errno {
    /// The number, as in xl's `Failed to pin batch of pagetables (22 = Invalid argument)`.
    pub const fn number(self) -> i32 {
        match self {
            Errno::Ebusy => 16,
            Errno::Einval => 22,
        }
    }
}

/// Why a frame or an entry was refused, at the place where Xen saw it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The frame whose type was asked for, or the table that holds the entry.
    pub page: Pfn,
    /// The slot, if an entry was refused.
    pub slot: Option<u16>,
    /// Why.
    pub why: Why,
}

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The frame is of another type and has references.
    OtherType {
        /// What it is.
        is: Type,
        /// What was asked for.
        wanted: Type,
    },
    /// It is pinned already.
    Pinned,
    /// A PAE root without an entry in slot 3.
    NoSlot3,
    /// The L2 in slot 3 of a PAE root is shared.
    Slot3Shared,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {:#x}", self.page)?;
        if let Some(slot) = self.slot {
            write!(f, " slot {slot}")?;
        }
        match self.why {
            Why::OtherType { is, wanted } => write!(f, ": is {is}, {wanted} was asked for"),
            Why::Pinned => f.write_str(": is pinned already"),
            Why::NoSlot3 => f.write_str(": is empty"),
            Why::Slot3Shared => f.write_str(": the L2 in it is shared"),
        }
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Nothing yet.
    None,
    /// Mapped writable.
    #[doc(alias = "PGT_writable_page")]
    Writable,
    /// A page table.
    Table(Level),
    /// The L2 in slot 3 of a PAE root, which carries Xen's entries from slot 428.
    #[doc(alias = "PGT_pae_xen_l2")]
    PaeXenL2,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::None => f.write_str("untyped"),
            Type::Writable => f.write_str("writable"),
            Type::Table(level) => write!(f, "{level}"),
            Type::PaeXenL2 => f.write_str("L2 of slot 3"),
        }
    }
}

impl Type {
    fn level(self) -> Option<Level> {
        match self {
            Type::Table(level) => Some(level),
            Type::PaeXenL2 => Some(Level::L2),
            Type::None | Type::Writable => None,
        }
    }
}

/// A saved PV domain: what the rules look at.
#[derive(Clone, Debug)]
pub struct Image {
    /// 32-bit PAE or 64-bit.
    pub mode: Mode,
    /// Whether the host allows linear page tables (Xen's `pv-linear-pt`, on by default).
    pub linear: bool,
    /// The contents of the pages that are or may be tables: 512 entries, or fewer, the rest being zero. A page not in
    /// here is an empty one, as a restore makes it.
    pub pages: BTreeMap<Pfn, Vec<u64>>,
    /// The pinned tables, with the level they are pinned at.
    pub pinned: BTreeMap<Pfn, Level>,
    /// Each vCPU's root tables, in the order in which they are loaded: `cr3`, then the user `cr3` of 64-bit.
    pub roots: Vec<Vec<Pfn>>,
}

impl Image {
    /// A domain without pages.
    pub fn new(mode: Mode) -> Image {
        Image {
            mode,
            linear: true,
            pages: BTreeMap::new(),
            pinned: BTreeMap::new(),
            roots: Vec::new(),
        }
    }

    /// Writes one entry of a page.
    pub fn set(&mut self, page: Pfn, slot: u16, entry: u64) {
        let entries = self.pages.entry(page).or_default();
        let slot = usize::from(slot);
        assert!(slot < SLOTS, "a table has 512 slots");
        if entries.len() <= slot {
            entries.resize(slot + 1, 0);
        }
        entries[slot] = entry;
    }

    /// Whether Xen will restore the domain, and if not, where it stops.
    pub fn restore(&self) -> Verdict {
        let mut types = Types::new(self);
        for (vcpu, roots) in self.roots.iter().enumerate() {
            for root in roots {
                if let Err(error) = types.load_root(*root) {
                    return Verdict::Vcpu {
                        vcpu,
                        error,
                        refusal: types.refusal(*root),
                    };
                }
            }
        }
        for (page, level) in &self.pinned {
            if let Err(error) = types.pin(*page, *level) {
                return Verdict::Pin {
                    page: *page,
                    error,
                    refusal: types.refusal(*page),
                };
            }
        }
        Verdict::Restores
    }
}

/// What becomes of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It succeeds.
    Restores,
    /// A vCPU's context is refused: `Failed to set vcpuN's basic info`.
    Vcpu {
        /// Which vCPU.
        vcpu: usize,
        /// With which error.
        error: Errno,
        /// Where it began.
        refusal: Refusal,
    },
    /// A pin is refused: `Failed to pin batch of pagetables`.
    Pin {
        /// The page that was to be pinned.
        page: Pfn,
        /// With which error.
        error: Errno,
        /// Where it began.
        refusal: Refusal,
    },
}

impl Verdict {
    /// The error, if there is one.
    pub fn error(&self) -> Option<Errno> {
        match self {
            Verdict::Restores => None,
            Verdict::Vcpu { error, .. } | Verdict::Pin { error, .. } => Some(*error),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Info {
    ty: Type,
    count: u32,
    validated: bool,
    pinned: bool,
    /// Above zero: linear entries that this table holds. Below: linear entries that point to it. (`linear_pt_count`)
    linear: i32,
}

const UNTYPED: Info = Info {
    ty: Type::None,
    count: 0,
    validated: false,
    pinned: false,
    linear: 0,
};

/// The types of a domain's frames, and the operations that change them.
#[derive(Clone, Debug)]
pub struct Types<'a> {
    image: &'a Image,
    info: BTreeMap<Pfn, Info>,
    refusal: Option<Refusal>,
}

impl<'a> Types<'a> {
    /// A domain freshly filled: no frame has a type.
    pub fn new(image: &'a Image) -> Types<'a> {
        Types {
            image,
            info: BTreeMap::new(),
            refusal: None,
        }
    }

    /// Loads a root table into a vCPU.
    #[doc(alias = "MMUEXT_NEW_BASEPTR")]
    pub fn load_root(&mut self, page: Pfn) -> Result<(), Errno> {
        self.refusal = None;
        self.get(page, Type::Table(self.image.mode.root()))
    }

    /// Pins a table.
    #[doc(alias = "MMUEXT_PIN_L2_TABLE")]
    pub fn pin(&mut self, page: Pfn, level: Level) -> Result<(), Errno> {
        self.refusal = None;
        self.get(page, Type::Table(level))?;
        if self.at(page).pinned {
            self.put(page);
            return self.refuse(page, None, Why::Pinned);
        }
        self.at(page).pinned = true;
        Ok(())
    }

    /// Unpins a table. `false`: it was not pinned.
    #[doc(alias = "MMUEXT_UNPIN_TABLE")]
    pub fn unpin(&mut self, page: Pfn) -> bool {
        if !self.at(page).pinned {
            return false;
        }
        self.at(page).pinned = false;
        self.put(page);
        true
    }

    /// What a frame is, and by how many references.
    pub fn of(&self, page: Pfn) -> (Type, u32) {
        match self.info.get(&page) {
            Some(info) if info.count > 0 => (info.ty, info.count),
            _ => (Type::None, 0),
        }
    }

    fn refusal(&self, page: Pfn) -> Refusal {
        // Every error passes through `refuse`; the default is never seen.
        self.refusal.unwrap_or(Refusal {
            page,
            slot: None,
            why: Why::Pinned,
        })
    }

    fn refuse<T>(&mut self, page: Pfn, slot: Option<u16>, why: Why) -> Result<T, Errno> {
        self.refusal.get_or_insert(Refusal { page, slot, why });
        Err(Errno::Einval)
    }

    fn at(&mut self, page: Pfn) -> &mut Info {
        self.info.entry(page).or_insert(UNTYPED)
    }

    fn entries(&self, page: Pfn) -> impl Iterator<Item = (u16, Entry)> + 'a {
        let entries: &'a [u64] = self.image.pages.get(&page).map_or(&[], |e| e.as_slice());
        (0u16..).zip(entries.iter().map(|raw| Entry(*raw)))
    }

    /// `_get_page_type`.
    fn get(&mut self, page: Pfn, wanted: Type) -> Result<(), Errno> {
        let info = *self.at(page);
        if info.count > 0 {
            if info.ty != wanted || !info.validated {
                return self.refuse(
                    page,
                    None,
                    Why::OtherType {
                        is: info.ty,
                        wanted,
                    },
                );
            }
            self.at(page).count += 1;
            return Ok(());
        }
        *self.at(page) = Info {
            ty: wanted,
            count: 1,
            ..UNTYPED
        };
        let result = match wanted.level() {
            Some(level) => self.promote(page, level, wanted == Type::PaeXenL2),
            None => Ok(()),
        };
        match result {
            Ok(()) => self.at(page).validated = true,
            Err(_) => *self.at(page) = UNTYPED,
        }
        result
    }

    /// `_put_page_type`.
    fn put(&mut self, page: Pfn) {
        let info = self.at(page);
        info.count -= 1;
        if info.count > 0 {
            return;
        }
        let ty = info.ty;
        if let Some(level) = ty.level() {
            for (slot, entry) in self.entries(page) {
                if self.is_guests(level, ty == Type::PaeXenL2, slot) {
                    self.put_entry(page, level, entry);
                }
            }
        }
        *self.at(page) = UNTYPED;
    }

    fn is_guests(&self, level: Level, pae_xen: bool, slot: u16) -> bool {
        !self.image.mode.is_xens(level, pae_xen, slot)
    }

    /// `promote_lN_table`: asks for the type of every target; on a refusal gives back what it has.
    fn promote(&mut self, page: Pfn, level: Level, pae_xen: bool) -> Result<(), Errno> {
        let pae_root = level == Level::L3 && self.image.mode == Mode::Pae;
        let mut taken: Vec<Entry> = Vec::new();
        let mut result = Ok(());
        let mut slot3 = false;
        for (slot, entry) in self.entries(page) {
            if !entry.is_present() || !self.is_guests(level, pae_xen, slot) {
                continue;
            }
            result = if pae_root && slot == 3 {
                slot3 = true;
                self.get_slot3(page, entry)
            } else {
                self.get_entry(page, level, slot, entry)
            };
            if result.is_err() {
                break;
            }
            taken.push(entry);
        }
        if result.is_ok() && pae_root && !slot3 {
            result = self.refuse(page, Some(3), Why::NoSlot3);
        }
        if result.is_err() {
            for entry in taken {
                self.put_entry(page, level, entry);
            }
        }
        result
    }

    fn get_slot3(&mut self, page: Pfn, entry: Entry) -> Result<(), Errno> {
        self.get(entry.frame(), Type::PaeXenL2)?;
        if self.at(entry.frame()).count != 1 {
            self.put(entry.frame());
            return self.refuse(page, Some(3), Why::Slot3Shared);
        }
        Ok(())
    }

    /// `get_page_from_lNe`.
    fn get_entry(&mut self, page: Pfn, level: Level, slot: u16, entry: Entry) -> Result<(), Errno> {
        let Some(below) = level.below() else {
            // An L1 entry: only a writable one asks for a type, and its refusal is EBUSY whatever the reason.
            if !entry.is_writable() {
                return Ok(());
            }
            let result = self.get(entry.frame(), Type::Writable);
            return result.map_err(|_| {
                if let Some(refusal) = &mut self.refusal {
                    if refusal.slot.is_none() {
                        (refusal.page, refusal.slot) = (page, Some(slot));
                    }
                }
                Errno::Ebusy
            });
        };
        let before = self.refusal;
        match self.get(entry.frame(), Type::Table(below)) {
            Err(Errno::Einval)
                if self.linear_allowed(level) && self.get_linear(page, level, entry) =>
            {
                self.refusal = before;
                Ok(())
            }
            result => result,
        }
    }

    fn linear_allowed(&self, level: Level) -> bool {
        // A 32-bit root may not be linear (XSA-185).
        self.image.linear && !(level == Level::L3 && self.image.mode == Mode::Pae)
    }

    /// `get_lN_linear_pagetable`.
    fn get_linear(&mut self, page: Pfn, level: Level, entry: Entry) -> bool {
        if entry.is_writable() {
            return false;
        }
        let target = entry.frame();
        if target == page {
            return true;
        }
        let info = *self.at(target);
        if self.at(page).linear < 0
            || info.linear > 0
            || info.count == 0
            || info.ty.level() != Some(level)
            || !info.validated
        {
            return false;
        }
        self.at(page).linear += 1;
        let target = self.at(target);
        target.linear -= 1;
        target.count += 1;
        true
    }

    /// `put_page_from_lNe`.
    fn put_entry(&mut self, page: Pfn, level: Level, entry: Entry) {
        if !entry.is_present() {
            return;
        }
        let target = entry.frame();
        if level.below().is_none() {
            if entry.is_writable() {
                self.put(target);
            }
            return;
        }
        if target == page {
            return;
        }
        if self.at(target).ty.level() == Some(level) {
            self.at(page).linear -= 1;
            self.at(target).linear += 1;
        }
        self.put(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec;

    const P: u64 = 1;
    const RW: u64 = 2;

    fn entry(page: Pfn, flags: u64) -> u64 {
        page << 12 | flags
    }

    /// All orders of `n` things.
    fn orders(n: usize) -> Vec<Vec<usize>> {
        if n == 0 {
            return vec![vec![]];
        }
        let mut all = Vec::new();
        for short in orders(n - 1) {
            for place in 0..n {
                let mut order = short.clone();
                order.insert(place, n - 1);
                all.push(order);
            }
        }
        all
    }

    /// The kernel's tables, in use by vCPU 0, as NetBSD lays them out: the kernel's L1s hang below the L2 in slot 3.
    fn running_kernel(image: &mut Image) -> Vec<Pfn> {
        let (root, l2, l1s) = (10, [11, 12, 13, 14], [15, 16]);
        for (slot, l2) in (0u16..).zip(l2) {
            image.set(root, slot, entry(l2, P));
        }
        for (slot, l1) in (0u16..).zip(l1s) {
            image.set(14, slot, entry(l1, P | RW));
            image.set(l1, 0, entry(20 + u64::from(slot), P | RW));
        }
        image.roots.push(vec![root]);
        l1s.to_vec()
    }

    /// One cached set: `pfn[i]` is the PFN of its L2 number `i`; number 3 has the kernel's L1s, `holder` the window.
    fn cached_set(image: &mut Image, kernel: &[Pfn], pfn: [Pfn; 4], holder: usize) {
        for (slot, l1) in (0u16..).zip(kernel) {
            image.set(pfn[3], slot, entry(*l1, P | RW));
        }
        for (slot, target) in (100u16..).zip(pfn) {
            image.set(pfn[holder], slot, entry(target, P));
        }
        for page in pfn {
            image.pages.entry(page).or_default();
            image.pinned.insert(page, Level::L2);
        }
    }

    /// How many of the 24 orders of one set restore, fail with EBUSY, fail with EINVAL.
    fn counts(holder: usize) -> (u32, u32, u32) {
        let mut counts = (0, 0, 0);
        for order in orders(4) {
            let mut image = Image::new(Mode::Pae);
            let kernel = running_kernel(&mut image);
            let pfn = [0, 1, 2, 3].map(|i: usize| 100 + order[i] as Pfn);
            cached_set(&mut image, &kernel, pfn, holder);
            let verdict = image.restore();
            match verdict.error() {
                None => counts.0 += 1,
                Some(Errno::Ebusy) => counts.1 += 1,
                Some(Errno::Einval) => counts.2 += 1,
            }
            // It restores exactly when the holder has the highest PFN.
            assert_eq!(
                verdict == Verdict::Restores,
                order[holder] == 3,
                "{order:?}"
            );
        }
        counts
    }

    #[test]
    fn the_16_type_nibbles() {
        let tables: Vec<u8> = (0..16).filter(|bits| table_type(*bits).is_some()).collect();
        assert_eq!(tables, [1, 2, 3, 4, 9, 10, 11, 12]);
        for bits in tables {
            let (level, pinned) = table_type(bits).unwrap();
            assert_eq!(level as u8 | u8::from(pinned) << 3, bits);
        }
    }

    #[test]
    fn the_24_orders_of_one_set() {
        for holder in 0..3 {
            assert_eq!(counts(holder), (6, 12, 6), "holder {holder}");
        }
        assert_eq!(counts(3), (6, 0, 18));
    }

    #[test]
    fn without_the_window_every_order_restores() {
        for order in orders(4) {
            let mut image = Image::new(Mode::Pae);
            let kernel = running_kernel(&mut image);
            let pfn = [0, 1, 2, 3].map(|i: usize| 100 + order[i] as Pfn);
            cached_set(&mut image, &kernel, pfn, 3);
            for slot in 100..104 {
                image.set(pfn[3], slot, 0);
            }
            assert_eq!(image.restore(), Verdict::Restores);
        }
    }

    #[test]
    fn an_active_holder_must_have_the_highest_slot() {
        for (holder, restores) in [(3usize, true), (2, false), (0, false)] {
            let mut image = Image::new(Mode::Pae);
            running_kernel(&mut image);
            let pfn = [11, 12, 13, 14];
            for (slot, target) in (200u16..).zip(pfn) {
                image.set(pfn[holder], slot, entry(target, P));
            }
            let verdict = image.restore();
            assert_eq!(
                verdict == Verdict::Restores,
                restores,
                "{holder}: {verdict:?}"
            );
            if !restores {
                assert!(matches!(verdict, Verdict::Vcpu { vcpu: 0, .. }));
            }
        }
    }

    #[test]
    fn linear_entries_are_read_only_one_deep_and_can_be_switched_off() {
        let base = |image: &mut Image| {
            for page in [1, 2, 3] {
                image.pages.entry(page).or_default();
                image.pinned.insert(page, Level::L2);
            }
        };
        // 2 holds 1: fine.
        let mut image = Image::new(Mode::Long);
        base(&mut image);
        image.set(2, 0, entry(1, P));
        assert_eq!(image.restore(), Verdict::Restores);
        // ... and 3 holds 2, which holds entries itself: refused.
        let mut deep = image.clone();
        deep.set(3, 0, entry(2, P));
        assert_eq!(deep.restore().error(), Some(Errno::Einval));
        // Writable: refused.
        let mut writable = image.clone();
        writable.set(2, 0, entry(1, P | RW));
        assert_eq!(writable.restore().error(), Some(Errno::Einval));
        // Switched off: refused, the self entry too.
        let mut off = image.clone();
        off.linear = false;
        assert_eq!(off.restore().error(), Some(Errno::Einval));
        off.set(2, 0, entry(2, P));
        assert_eq!(off.restore().error(), Some(Errno::Einval));
        off.linear = true;
        assert_eq!(off.restore(), Verdict::Restores);
    }

    #[test]
    fn two_holders_may_share_a_target() {
        let mut image = Image::new(Mode::Long);
        for page in [1, 2, 3] {
            image.pages.entry(page).or_default();
            image.pinned.insert(page, Level::L2);
        }
        image.set(2, 0, entry(1, P));
        image.set(3, 0, entry(1, P));
        assert_eq!(image.restore(), Verdict::Restores);
        // And when one of them goes, the target is as it was for the other.
        let mut types = Types::new(&image);
        for page in [1, 2, 3] {
            types.pin(page, Level::L2).unwrap();
        }
        assert_eq!(types.of(1), (Type::Table(Level::L2), 3));
        assert!(types.unpin(2));
        assert_eq!(types.of(1), (Type::Table(Level::L2), 2));
        types.pin(2, Level::L2).unwrap();
        assert_eq!(types.of(1), (Type::Table(Level::L2), 3));
    }

    #[test]
    fn an_entry_to_writable_memory_is_no_linear_entry() {
        let mut image = Image::new(Mode::Pae);
        running_kernel(&mut image);
        image.set(100, 0, entry(20, P));
        image.pinned.insert(100, Level::L2);
        assert_eq!(
            image.restore(),
            Verdict::Pin {
                page: 100,
                error: Errno::Einval,
                refusal: Refusal {
                    page: 20,
                    slot: None,
                    why: Why::OtherType {
                        is: Type::Writable,
                        wanted: Type::Table(Level::L1)
                    }
                }
            }
        );
    }

    #[test]
    fn a_32_bit_root_may_not_be_linear() {
        let mut image = Image::new(Mode::Pae);
        running_kernel(&mut image);
        image.set(50, 0, entry(10, P));
        image.set(50, 3, entry(51, P));
        image.pinned.insert(50, Level::L3);
        assert_eq!(image.restore().error(), Some(Errno::Einval));
        image.mode = Mode::Long;
        image.roots.clear();
        image.pinned.insert(10, Level::L3);
        assert_eq!(image.restore(), Verdict::Restores);
    }

    #[test]
    fn the_refusal_names_the_place() {
        let mut image = Image::new(Mode::Pae);
        let kernel = running_kernel(&mut image);
        // Holder 2 lowest: the kernel's L2 is taken for an L1 whose first entry maps a page table writable.
        cached_set(&mut image, &kernel, [101, 102, 100, 103], 2);
        assert_eq!(
            image.restore(),
            Verdict::Pin {
                page: 100,
                error: Errno::Ebusy,
                refusal: Refusal {
                    page: 103,
                    slot: Some(0),
                    why: Why::OtherType {
                        is: Type::Table(Level::L1),
                        wanted: Type::Writable
                    }
                }
            }
        );
        // Holder 3 lowest: the first empty L2 became an L1, and is then to be pinned as an L2.
        let mut image = Image::new(Mode::Pae);
        let kernel = running_kernel(&mut image);
        cached_set(&mut image, &kernel, [101, 102, 103, 100], 3);
        match image.restore() {
            Verdict::Pin {
                page: 101, refusal, ..
            } => assert_eq!(
                refusal.why,
                Why::OtherType {
                    is: Type::Table(Level::L1),
                    wanted: Type::Table(Level::L2)
                }
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn slot_3_of_a_pae_root() {
        let mut image = Image::new(Mode::Pae);
        running_kernel(&mut image);
        // A plain pin on the L2 of slot 3 is refused ...
        let mut pinned = image.clone();
        pinned.pinned.insert(14, Level::L2);
        assert_eq!(pinned.restore().error(), Some(Errno::Einval));
        // ... on the others it is not.
        let mut pinned = image.clone();
        pinned.pinned.insert(13, Level::L2);
        assert_eq!(pinned.restore(), Verdict::Restores);
        // It may not be shared by two roots, nor be missing.
        let mut shared = image.clone();
        shared.set(30, 3, entry(14, P));
        shared.roots.push(vec![30]);
        assert!(matches!(
            shared.restore(),
            Verdict::Vcpu {
                vcpu: 1,
                refusal: Refusal {
                    why: Why::Slot3Shared,
                    ..
                },
                ..
            }
        ));
        let mut missing = image.clone();
        missing.set(10, 3, 0);
        assert_eq!(missing.restore().error(), Some(Errno::Einval));
        // The same L2 elsewhere in a 64-bit domain is an L2 like any other.
        let mut long = Image::new(Mode::Long);
        long.set(40, 0, entry(10, P));
        long.set(10, 3, entry(14, P));
        long.roots.push(vec![40]);
        long.pinned.insert(14, Level::L2);
        assert_eq!(long.restore(), Verdict::Restores);
    }

    #[test]
    fn xens_slots_are_not_looked_at() {
        let mut image = Image::new(Mode::Pae);
        running_kernel(&mut image);
        let mut xens = image.clone();
        xens.set(14, 428, entry(14, P | RW));
        assert_eq!(xens.restore(), Verdict::Restores);
        let mut ours = image.clone();
        ours.set(14, 427, entry(14, P | RW));
        assert!(ours.restore().error().is_some());
        let mut other = image.clone();
        other.set(13, 428, entry(14, P | RW));
        assert!(other.restore().error().is_some());
    }

    #[test]
    fn xens_slots_are_not_given_back_either() {
        let mut image = Image::new(Mode::Pae);
        running_kernel(&mut image);
        image.set(14, 428, entry(15, P));
        image.set(14, 429, entry(99, P));
        let mut types = Types::new(&image);
        types.pin(10, Level::L3).unwrap();
        assert_eq!(types.of(14), (Type::PaeXenL2, 1));
        assert_eq!(types.of(15), (Type::Table(Level::L1), 1));
        assert!(types.unpin(10));
        for page in [10, 11, 14, 15, 20, 99] {
            assert_eq!(types.of(page), (Type::None, 0));
        }
    }

    #[test]
    fn verdicts_in_words() {
        assert_eq!((Errno::Ebusy.number(), Errno::Einval.number()), (16, 22));
        let refusal = |slot, why| {
            Refusal {
                page: 0x67,
                slot,
                why,
            }
            .to_string()
        };
        assert_eq!(
            refusal(
                Some(3),
                Why::OtherType {
                    is: Type::Table(Level::L1),
                    wanted: Type::Writable
                }
            ),
            "page 0x67 slot 3: is L1, writable was asked for"
        );
        assert_eq!(
            refusal(
                None,
                Why::OtherType {
                    is: Type::PaeXenL2,
                    wanted: Type::Table(Level::L2)
                }
            ),
            "page 0x67: is L2 of slot 3, L2 was asked for"
        );
        assert_eq!(refusal(None, Why::Pinned), "page 0x67: is pinned already");
        assert_eq!(
            refusal(Some(3), Why::Slot3Shared),
            "page 0x67 slot 3: the L2 in it is shared"
        );
    }

    #[test]
    fn unpinning_gives_everything_back() {
        let mut image = Image::new(Mode::Pae);
        let kernel = running_kernel(&mut image);
        let pfn = [100, 101, 102, 103];
        cached_set(&mut image, &kernel, pfn, 3);
        let mut types = Types::new(&image);
        types.load_root(10).unwrap();
        let before = kernel.iter().map(|l1| types.of(*l1)).collect::<Vec<_>>();
        for page in pfn {
            types.pin(page, Level::L2).unwrap();
        }
        assert_eq!(types.of(100), (Type::Table(Level::L2), 2));
        assert_eq!(types.pin(100, Level::L2), Err(Errno::Einval));
        // The holder first: its linear entries go with it.
        for page in pfn.into_iter().rev() {
            assert!(types.unpin(page));
            assert_eq!(types.of(page), (Type::None, 0));
        }
        assert!(!types.unpin(100));
        assert_eq!(
            kernel.iter().map(|l1| types.of(*l1)).collect::<Vec<_>>(),
            before
        );
    }

    #[test]
    fn a_refused_promotion_leaves_no_trace() {
        let mut image = Image::new(Mode::Pae);
        let kernel = running_kernel(&mut image);
        cached_set(&mut image, &kernel, [101, 102, 100, 103], 2);
        let mut types = Types::new(&image);
        types.load_root(10).unwrap();
        let before = std::format!("{:?}", [101, 102, 100, 103, 15, 16].map(|p| types.of(p)));
        assert_eq!(types.pin(100, Level::L2), Err(Errno::Ebusy));
        assert_eq!(
            std::format!("{:?}", [101, 102, 100, 103, 15, 16].map(|p| types.of(p))),
            before
        );
    }
}
