//! The pages of a disk: data and indirect segments.
//!
//! A page holds one request's data or none, so that the backend never sees or changes anything
//! else: a caller's buffer is not granted, its bytes are copied.

use crate::error::{Name, Problem};
use crate::kernel::{Access, Kernel, Memory, PAGE};
use crate::lingering::Lingering;

enum Slot<K: Kernel> {
    Empty,
    Own(K::Page),
    Shared(K::Grant, Access),
}

/// At most `PAGES` pages, named by their index.
pub(crate) struct Pool<K: Kernel, const PAGES: usize> {
    slots: [Slot<K>; PAGES],
    used: [bool; PAGES],
    lingering: Lingering<K, 64>,
}

impl<K: Kernel, const PAGES: usize> Pool<K, PAGES> {
    pub(crate) const fn new() -> Self {
        Pool {
            slots: [const { Slot::Empty }; PAGES],
            used: [false; PAGES],
            lingering: Lingering::new(),
        }
    }

    /// How many can be taken, if the kernel has pages enough.
    pub(crate) fn free(&self) -> usize {
        self.used.iter().filter(|used| !**used).count()
    }

    /// Takes a page: one that is granted still, if there is one.
    pub(crate) fn take(&mut self, kernel: &mut K) -> Option<u16> {
        let rank = |slot: &Slot<K>| match slot {
            Slot::Shared(..) => 0,
            Slot::Own(_) => 1,
            Slot::Empty => 2,
        };
        let free = (0..PAGES).filter(|&i| !self.used[i]);
        let at = free.min_by_key(|&i| rank(&self.slots[i]))?;
        if let Slot::Empty = self.slots[at] {
            self.slots[at] = Slot::Own(kernel.page()?);
        }
        self.used[at] = true;
        Some(at as u16)
    }

    fn slot(&self, page: u16) -> &Slot<K> {
        self.slots.get(usize::from(page)).unwrap_or(&Slot::Empty)
    }

    fn memory(&self, page: u16) -> Option<Memory<'_, K::Page, K::Grant>> {
        match self.slot(page) {
            Slot::Empty => None,
            Slot::Own(page) => Some(Memory::Own(page)),
            Slot::Shared(grant, _) => Some(Memory::Shared(grant)),
        }
    }

    /// Copies into a page, from byte `at`.
    pub(crate) fn write(&self, kernel: &mut K, page: u16, at: usize, from: &[u8]) {
        if let Some(memory) = self.memory(page) {
            kernel.write(memory, at, from);
        }
    }

    /// Writes to a page what is in it, if the backend may have it mapped.
    pub(crate) fn touch(&self, kernel: &mut K, page: u16) {
        let mut some = [0; 256];
        for at in (0..PAGE).step_by(some.len()) {
            if let Slot::Shared(grant, _) = self.slot(page) {
                kernel.read(Memory::Shared(grant), at, &mut some);
                kernel.write(Memory::Shared(grant), at, &some);
            }
        }
    }

    /// Copies out of a page, from its beginning.
    pub(crate) fn read(&self, kernel: &K, page: u16, into: &mut [u8]) {
        if let Some(memory) = self.memory(page) {
            kernel.read(memory, 0, into);
        }
    }

    /// Sees to it that the backend may use a page that was taken; gives its grant's number.
    pub(crate) fn share(
        &mut self,
        kernel: &mut K,
        page: u16,
        domain: u16,
        access: Access,
    ) -> Result<u32, Problem> {
        let fits = |has: Access| has == access || has == Access::ReadWrite;
        if matches!(self.slot(page), Slot::Shared(_, has) if !fits(*has)) {
            self.unshare(kernel, page);
        }
        let slot = self.slots.get_mut(usize::from(page));
        let slot = slot.ok_or(Problem::NoPages)?;
        *slot = match core::mem::replace(slot, Slot::Empty) {
            Slot::Own(own) => match kernel.grant(own, domain, access) {
                Ok(grant) => Slot::Shared(grant, access),
                Err((why, own)) => {
                    *slot = Slot::Own(own);
                    return Err(why.into());
                }
            },
            other => other,
        };
        match slot {
            Slot::Shared(grant, has) if fits(*has) => Ok(kernel.reference(grant)),
            _ => Err(Problem::NoPages),
        }
    }

    /// The backend is done with a page: ends its grant, if it lets go of it.
    pub(crate) fn unshare(&mut self, kernel: &mut K, page: u16) {
        let Some(slot) = self.slots.get_mut(usize::from(page)) else {
            return;
        };
        *slot = match core::mem::replace(slot, Slot::Empty) {
            Slot::Shared(grant, access) => match kernel.end(grant) {
                Ok(page) => Slot::Own(page),
                Err(grant) => Slot::Shared(grant, access),
            },
            other => other,
        };
    }

    /// Puts a page back. If it stays shared, `keep` says that it may.
    pub(crate) fn put(&mut self, kernel: &mut K, name: Name, page: u16, keep: bool) {
        if !keep {
            self.unshare(kernel, page);
        }
        let at = usize::from(page);
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        self.used[at] = false;
        if keep {
            return;
        }
        if let Slot::Shared(..) = slot {
            // Mapped still: nothing else may lie in it.
            if let Slot::Shared(grant, _) = core::mem::replace(slot, Slot::Empty) {
                self.lingering.keep(kernel, name, grant);
            }
        }
    }

    /// Ends every grant. Data in a page that the old backend does not let go of moves to another,
    /// where the old one cannot change it any more.
    ///
    /// Gives the pages whose data is lost, because the kernel had none to move it to.
    pub(crate) fn end_all(&mut self, kernel: &mut K, name: Name, mut lost: impl FnMut(u16)) {
        for at in 0..PAGES {
            self.unshare(kernel, at as u16);
            if !matches!(self.slots[at], Slot::Shared(..)) {
                continue;
            }
            let other = match self.used[at] {
                true => kernel.page(),
                false => None,
            };
            let old = core::mem::replace(&mut self.slots[at], Slot::Empty);
            let Slot::Shared(grant, _) = old else {
                continue;
            };
            match other {
                Some(page) => {
                    move_data(kernel, &grant, &page);
                    self.slots[at] = Slot::Own(page);
                }
                None if self.used[at] => lost(at as u16),
                None => {}
            }
            self.lingering.keep(kernel, name, grant);
        }
    }

    /// Ends a ring's grant, now or later.
    pub(crate) fn end(&mut self, kernel: &mut K, name: Name, grant: K::Grant) {
        self.lingering.end(kernel, name, grant);
    }

    pub(crate) fn retry(&mut self, kernel: &mut K, name: Name) {
        self.lingering.retry(kernel, name);
    }

    /// How many pages the backend keeps mapped after their use, and how many were lost so.
    pub(crate) fn lingering(&self) -> (usize, u64) {
        (self.lingering.held(), self.lingering.abandoned())
    }

    /// Frees every page that is nobody's. Whether the backend has let go of all.
    pub(crate) fn retire(&mut self, kernel: &mut K, name: Name) -> bool {
        self.end_all(kernel, name, |_| {});
        self.used = [false; PAGES];
        for slot in &mut self.slots {
            if let Slot::Own(page) = core::mem::replace(slot, Slot::Empty) {
                kernel.free(page);
            }
        }
        self.lingering.retry(kernel, name);
        self.lingering.held() == 0
    }
}

fn move_data<K: Kernel>(kernel: &mut K, from: &K::Grant, to: &K::Page) {
    let mut some = [0; 256];
    for at in (0..PAGE).step_by(some.len()) {
        kernel.read(Memory::Shared(from), at, &mut some);
        kernel.write(Memory::Own(to), at, &some);
    }
}
