//! The grant table, and pages that a backend may use.
//!
//! A frame of RAM gives its place in the kernel's address space to the table: under PVH Xen puts the
//! table's frame where the RAM was, under PV the direct map's entry leads to it. Only a guest with
//! devices has one.

use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{fence, AtomicU32, Ordering};

use xen_bindings::frame::{DomainId, Gfn, Mfn};
use xen_bindings::grant::{self, Access, Grant, GrantError, GrantTable, SharedFrame};
use xen_bindings::memory::{add_to_physmap, Space};
use xen_bindings::{ffi, HypercallError};

use super::address::address;
use super::frames::{bits_of, is_managed};
use super::mode::is_pv;
use super::pv::m2p;
use crate::memory::entry::{Entry, Flags};
use crate::memory::layout::PAGE_SIZE;
use crate::memory::Pfn;

/// Frames of the table: 504 grants, of which a disk and an interface take about 300.
const FRAMES: usize = 1;

/// Why the table is not there.
#[derive(Clone, Copy, Debug)]
pub enum NoTable {
    /// Xen refused to put it into the guest's address space.
    Call(HypercallError),
    /// Xen did not give it.
    Grant(grant::Error),
}

impl fmt::Display for NoTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoTable::Call(error) => error.fmt(f),
            NoTable::Grant(error) => error.fmt(f),
        }
    }
}

/// A frame of the allocator's that nobody but its holder uses, to be shared or taken back.
#[derive(Debug)]
pub struct Page(Pfn);

impl Page {
    /// Takes a frame that was just allocated.
    ///
    /// # Panics
    /// If it is not one of the allocator's: a bug.
    pub fn new(pfn: Pfn) -> Page {
        assert!(is_managed(pfn), "frame {:#x} is not the allocator's", pfn.0);
        Page(pfn)
    }

    /// Gives the frame back.
    pub fn into_frame(self) -> Pfn {
        self.0
    }
}

/// A page that a backend may use.
#[derive(Debug)]
pub struct Shared {
    pfn: Pfn,
    grant: Grant,
}

impl Shared {
    /// The number that the backend is told.
    pub fn number(&self) -> u32 {
        self.grant.number().0
    }
}

/// The bytes of a page, whoever may use it.
#[derive(Clone, Copy)]
pub struct Bytes(Pfn);

impl From<&Page> for Bytes {
    fn from(page: &Page) -> Bytes {
        Bytes(page.0)
    }
}

impl From<&Shared> for Bytes {
    fn from(page: &Shared) -> Bytes {
        Bytes(page.pfn)
    }
}

impl Bytes {
    /// Where `len` bytes from `at` on are.
    fn at(self, at: usize, len: usize) -> *mut u8 {
        assert!(at <= PAGE_SIZE && len <= PAGE_SIZE - at);
        (address(self.0) as *mut u8).wrapping_add(at)
    }

    /// Copies out of the page: words where that can be, for a byte at a time is slow.
    pub fn read(self, at: usize, into: &mut [u8]) {
        let start = self.at(at, into.len());
        let words = into.len() / 4 * 4 * usize::from(at.is_multiple_of(4));
        let (whole, rest) = into.split_at_mut(words);
        for (n, word) in whole.chunks_exact_mut(4).enumerate() {
            // SAFETY: in the page (checked by `at`), which is mapped in the direct map and is no
            // Rust object; aligned. Volatile, for the backend may write it.
            let value = unsafe { start.cast::<u32>().wrapping_add(n).read_volatile() };
            word.copy_from_slice(&value.to_le_bytes());
        }
        for (n, byte) in rest.iter_mut().enumerate() {
            // SAFETY: as above.
            *byte = unsafe { start.wrapping_add(words + n).read_volatile() };
        }
    }

    /// Copies into the page.
    pub fn write(self, at: usize, from: &[u8]) {
        let start = self.at(at, from.len());
        let words = from.len() / 4 * 4 * usize::from(at.is_multiple_of(4));
        let (whole, rest) = from.split_at(words);
        for (n, word) in whole.chunks_exact(4).enumerate() {
            let value = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            // SAFETY: in the page (checked by `at`), which is mapped in the direct map and is no
            // Rust object; aligned. Volatile, for the backend may read it.
            unsafe { start.cast::<u32>().wrapping_add(n).write_volatile(value) };
        }
        for (n, byte) in rest.iter().enumerate() {
            // SAFETY: as above.
            unsafe { start.wrapping_add(words + n).write_volatile(*byte) };
        }
    }

    fn word(self, at: usize) -> &'static AtomicU32 {
        let word = self.at(at, size_of::<u32>()).cast::<u32>();
        assert!(word.is_aligned());
        // SAFETY: in the page, mapped for as long as the kernel runs, aligned; the other accesses
        // to the page are volatile or atomic as well.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// Reads a word; what is read afterwards is at least as new.
    pub fn load(self, at: usize) -> u32 {
        self.word(at).load(Ordering::Acquire)
    }

    /// Stores a word, after all that was written before and before all that is read afterwards.
    pub fn publish(self, at: usize, value: u32) {
        self.word(at).store(value, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

/// Why a page was not granted.
#[derive(Clone, Copy, Debug)]
pub enum NotGranted {
    /// There is no table.
    NoTable(NoTable),
    /// No entry of it can be had.
    Entry(GrantError),
}

impl fmt::Display for NotGranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotGranted::NoTable(error) => error.fmt(f),
            NotGranted::Entry(error) => error.fmt(f),
        }
    }
}

/// The domain's grant table. There is one.
pub struct Table {
    place: Page,
    table: GrantTable<FRAMES>,
    is_mapped: bool,
}

impl Table {
    /// Sets the table up, in the place of a frame. Once.
    ///
    /// # Errors
    /// Xen's, and the frame.
    pub fn new(place: Page) -> Result<Table, (NoTable, Page)> {
        if let Err(error) = map(place.0) {
            return Err((error, place));
        }
        let entries = address(place.0) as *mut ffi::grant_entry_v1;
        // SAFETY: the direct map does not begin at 0. The table is mapped there, and `place` is this
        // value's: nobody else uses it. Where it is not mapped, between `step_away` and the next
        // use, `is_mapped` says so, and each use maps it first.
        let table = unsafe { GrantTable::new(NonNull::new_unchecked(entries)) };
        Ok(Table {
            place,
            table,
            is_mapped: true,
        })
    }

    /// The domain is about to be suspended. PV: its own page stands in the place of the table from
    /// here on, which a save cannot carry, until the table is used again.
    ///
    /// # Errors
    /// Xen's; nothing has changed then.
    pub fn step_away(&mut self) -> Result<(), HypercallError> {
        if is_pv() && self.is_mapped {
            let bits = bits_of(Entry::new(self.place.0, Flags::KERNEL));
            point_at(self.place.0, bits)?;
            self.is_mapped = false;
        }
        Ok(())
    }

    /// The domain is back. In a new one the table is empty, and every grant of before has ended.
    pub fn returned(&mut self, is_new: bool) {
        if is_new {
            self.is_mapped = false;
            self.table.reset();
        }
    }

    /// The table, mapped.
    fn mapped(&mut self) -> Result<&mut GrantTable<FRAMES>, NoTable> {
        if !self.is_mapped {
            map(self.place.0)?;
            self.is_mapped = true;
        }
        Ok(&mut self.table)
    }

    /// Lets `domain` use a page.
    ///
    /// # Errors
    /// Why not; and the page.
    pub fn grant(
        &mut self,
        page: Page,
        domain: u16,
        access: Access,
    ) -> Result<Shared, (NotGranted, Page)> {
        let pfn = page.0;
        let gfn = if is_pv() {
            Gfn(m2p::machine(pfn).0)
        } else {
            Gfn(pfn.0 as usize)
        };
        let table = match self.mapped() {
            Ok(table) => table,
            Err(error) => return Err((NotGranted::NoTable(error), page)),
        };
        // SAFETY: the frame is `page`'s, which is moved into the grant: until it has ended the page
        // is reached by `Bytes` alone, with volatile and atomic accesses.
        let frame = unsafe { SharedFrame::new(gfn) };
        match table.grant_access(DomainId(domain), frame, access) {
            Ok(grant) => Ok(Shared { pfn, grant }),
            Err((error, _)) => Err((NotGranted::Entry(error), page)),
        }
    }

    /// Takes the leave back.
    ///
    /// # Errors
    /// The page as it is, if the backend has it mapped, or the table cannot be looked at.
    pub fn end(&mut self, shared: Shared) -> Result<Page, Shared> {
        let Shared { pfn, grant } = shared;
        let Ok(table) = self.mapped() else {
            return Err(Shared { pfn, grant });
        };
        match table.end_access(grant) {
            Ok(_) => Ok(Page(pfn)),
            Err(error) => {
                let grant = error.grant;
                Err(Shared { pfn, grant })
            }
        }
    }
}

/// Has the table be seen where `place` is seen.
fn map(place: Pfn) -> Result<(), NoTable> {
    if !is_pv() {
        let gfn = Gfn(place.0 as usize);
        // SAFETY: the frame is the table's own place, which holds nothing else. In a new domain
        // there is a hole.
        return unsafe { add_to_physmap(Space::GrantTable(0), gfn) }.map_err(NoTable::Call);
    }
    let mut frames = [Mfn(0); FRAMES];
    grant::setup_table(&mut frames).map_err(NoTable::Grant)?;
    point_at(place, frames[0].address() | Flags::KERNEL.bits()).map_err(NoTable::Call)
}

/// PV: has the direct map's entry of `place` lead elsewhere.
fn point_at(place: Pfn, bits: u64) -> Result<(), HypercallError> {
    let flags = ffi::UVMF_INVLPG | ffi::UVMF_ALL;
    // SAFETY: `place` is the table's, which is used through atomics alone, whatever page is there.
    unsafe { xen_bindings::pv::update_va_mapping(address(place), bits, flags as usize) }
}
