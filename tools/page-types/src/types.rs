//! The types of a domain's frames, and what changes them.

use std::collections::BTreeMap;

use migration::audit::{Entry, Level, Mode};

use crate::image::Image;
use crate::page::{Pfn, Type};
use crate::refusal::{Errno, Refusal, Why};

#[derive(Clone, Copy, Debug)]
struct Info {
    ty: Type,
    count: u32,
    validated: bool,
    pinned: bool,
    /// Above zero: linear entries that this table holds. Below: linear entries that point to it.
    /// (`linear_pt_count`)
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

    pub(crate) fn refusal(&self, page: Pfn) -> Refusal {
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
            // An L1 entry: only a writable one asks for a type, and its refusal is EBUSY whatever
            // the reason.
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
