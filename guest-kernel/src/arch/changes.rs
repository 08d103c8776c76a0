//! Changes to page tables, many in one call.
//!
//! Under PVH each is made at once, in place. Under PV they collect and go to Xen in batches:
//! `mmu_update` for entries, `mmuext_op` for pins and flushes. What may be changed this way is what
//! makes the functions safe to call: tables are managed frames or the kernel's own, and what an
//! entry maps is managed (checked here), or a table of the kernel's own (this layer). Xen itself
//! sees to it that no table is ever mapped writable.

use core::fmt;

use xen_bindings::frame::Mfn;
use xen_bindings::pv::{self as xen, BatchError, MmuUpdate};
use xen_bindings::{ffi, HypercallError};

use super::direct;
#[cfg(feature = "switches")]
use super::frames::own_frame;
use super::frames::{bits_of, entry_bits, is_managed, write_word};
use super::mode::is_pv;
use super::page::Page;
use super::pv::m2p;
use crate::memory::entry::{Entry, Flags};
use crate::memory::layout::ENTRIES;
use crate::memory::Pfn;

/// Xen refused a change to a page table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TableError {
    /// The call, and Xen's reason.
    pub error: HypercallError,
    /// How many changes of this batch were made: the one after them is the refused one.
    pub done: usize,
    /// The table that was to be changed or typed.
    pub page: Pfn,
    /// The entry in it; none if it was to be pinned or unpinned.
    pub slot: Option<usize>,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at change {}, frame {:#x}",
            self.error, self.done, self.page.0
        )?;
        match self.slot {
            Some(slot) => write!(f, " slot {slot}"),
            None => Ok(()),
        }
    }
}

/// The pool prints a backend's errors this way, in messages for people.
impl fmt::Debug for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An operation that Xen takes many of in one call.
trait Operation: Copy + Default {
    /// Has Xen do all of these, one after the other.
    fn issue(operations: &mut [Self]) -> Result<(), BatchError>;

    /// The table that it changes or types, and which entry if it changes one.
    fn place(&self) -> (Mfn, Option<usize>);
}

impl Operation for MmuUpdate {
    fn issue(operations: &mut [Self]) -> Result<(), BatchError> {
        // SAFETY: see the module's documentation: what the entries map is nothing that Rust code
        // relies on otherwise.
        unsafe { xen::mmu_update(operations) }
    }

    fn place(&self) -> (Mfn, Option<usize>) {
        (
            Mfn((self.ptr >> 12) as usize),
            Some((self.ptr & 0xfff) as usize / 8),
        )
    }
}

impl Operation for ffi::mmuext_op {
    fn issue(operations: &mut [Self]) -> Result<(), BatchError> {
        // SAFETY: what Xen types and lets go changes no mapping; a new root is one of the kernel's
        // own, which map it all.
        unsafe { xen::mmuext_op(operations) }
    }

    fn place(&self) -> (Mfn, Option<usize>) {
        // SAFETY: every operation that names a page does so in this member; in the others it is
        // zero.
        (Mfn(unsafe { self.arg1.mfn } as usize), None)
    }
}

/// Up to `ROOM` operations in one call; more make more calls. None is issued after one that Xen
/// refused.
struct Batch<O, const ROOM: usize> {
    operations: [O; ROOM],
    len: usize,
    done: usize,
    calls: u32,
    failed: Option<TableError>,
}

impl<O: Operation, const ROOM: usize> Batch<O, ROOM> {
    fn new() -> Self {
        Batch {
            operations: [O::default(); ROOM],
            len: 0,
            done: 0,
            calls: 0,
            failed: None,
        }
    }

    fn push(&mut self, operation: O) {
        if self.len == ROOM {
            self.flush();
        }
        self.operations[self.len] = operation;
        self.len += 1;
    }

    fn flush(&mut self) {
        let len = core::mem::take(&mut self.len);
        if len == 0 || self.failed.is_some() {
            return;
        }
        self.calls += 1;
        match O::issue(&mut self.operations[..len]) {
            Ok(()) => self.done += len,
            Err(BatchError { done, error }) => {
                self.done += done;
                let (frame, slot) = self.operations[done.min(len - 1)].place();
                self.failed = Some(TableError {
                    error,
                    done: self.done,
                    page: m2p::pfn(frame).unwrap_or_default(),
                    slot,
                });
            }
        }
    }

    fn commit(&mut self) -> Result<u32, TableError> {
        self.flush();
        match self.failed {
            None => Ok(self.calls),
            Some(error) => Err(error),
        }
    }
}

/// Up to `ROOM` changed entries in one call; more make more calls.
pub struct Changes<const ROOM: usize>(Batch<MmuUpdate, ROOM>);

impl<const ROOM: usize> Changes<ROOM> {
    /// None yet.
    pub fn new() -> Self {
        Changes(Batch::new())
    }

    /// Writes an entry of a table that is a managed frame. What it maps must be managed as well.
    pub fn set(&mut self, table: Pfn, slot: usize, entry: Entry) {
        assert!(
            !entry.is_present() || is_managed(entry.frame()),
            "{entry:?} maps the kernel's own memory"
        );
        self.set_bits(table, slot, bits_of(entry));
    }

    /// Takes an entry down but keeps its flags in it: not present, no address.
    pub fn take_down(&mut self, table: Pfn, slot: usize) {
        let flags = entry_bits(table, slot) & Flags::KEPT;
        self.set_bits(table, slot, flags & !Flags::PRESENT.bits());
    }

    /// Puts back an entry that [`take_down`](Self::take_down) took, with the same flags.
    pub fn put_up(&mut self, table: Pfn, slot: usize, target: Pfn) {
        assert!(is_managed(target));
        let flags = entry_bits(table, slot) & Flags::KEPT;
        let frame = bits_of(Entry::new(target, Flags::PRESENT));
        self.set_bits(table, slot, frame | flags);
    }

    /// Writes an entry of a managed table as the CPU would see it.
    fn set_bits(&mut self, table: Pfn, slot: usize, bits: u64) {
        if is_pv() {
            assert!(is_managed(table) && slot < ENTRIES);
            self.push(m2p::machine(table).address() + slot as u64 * 8, bits);
        } else {
            write_word(table, slot, bits);
        }
    }

    /// Plants what a test wants the audit to find. It maps no memory of the kernel's own.
    #[cfg(feature = "switches")]
    pub fn plant(&mut self, table: Pfn, slot: usize, bits: u64) {
        let kernels = own_frame((bits & Entry::FRAME) >> 12).is_some_and(|pfn| !is_managed(pfn));
        assert!(
            bits == 0 || !kernels,
            "{bits:#x} maps the kernel's own memory"
        );
        self.set_bits(table, slot, bits);
    }

    /// Writes an entry of a table of the kernel's own (PV).
    pub(super) fn set_own(&mut self, table: &Page, slot: usize, entry: Entry) {
        self.push(
            m2p::machine(table.pfn()).address() + slot as u64 * 8,
            bits_of(entry),
        );
    }

    /// Writes the entry at a machine address (PV).
    pub(super) fn set_at(&mut self, address: u64, bits: u64) {
        self.push(address, bits);
    }

    /// Makes the direct map of `page` read-only: it is to become a table. Nothing to do under PVH.
    pub fn protect(&mut self, page: Pfn) {
        self.map_directly(page, Flags::READ_ONLY);
    }

    /// Makes the direct map of `page` writable: it is a table no more.
    pub fn unprotect(&mut self, page: Pfn) {
        self.map_directly(page, Flags::KERNEL);
    }

    fn map_directly(&mut self, page: Pfn, flags: Flags) {
        if is_pv() {
            self.push(
                direct::entry_address(page),
                bits_of(Entry::new(page, flags)),
            );
        }
    }

    fn push(&mut self, address: u64, value: u64) {
        self.0.push(MmuUpdate {
            ptr: address | u64::from(ffi::MMU_NORMAL_PT_UPDATE),
            val: value,
        });
    }

    /// Has the changes made; gives the calls that it took. Not by value: that would copy the batch,
    /// a large part of a stack.
    ///
    /// # Errors
    /// Xen's. The changes before the refused one are made.
    pub fn commit(&mut self) -> Result<u32, TableError> {
        self.0.commit()
    }
}

/// Up to `ROOM` pins, unpins and flushes in one call; more make more calls. Nothing at all under
/// PVH.
pub struct Pins<const ROOM: usize>(Batch<ffi::mmuext_op, ROOM>);

impl<const ROOM: usize> Pins<ROOM> {
    /// None yet.
    pub fn new() -> Self {
        Pins(Batch::new())
    }

    /// Has Xen hold `page` as a table of `level`, with everything below it.
    #[doc(alias = "MMUEXT_PIN_L2_TABLE")]
    pub fn pin(&mut self, level: u8, page: Pfn) {
        let cmd = match level {
            1 => ffi::MMUEXT_PIN_L1_TABLE,
            2 => ffi::MMUEXT_PIN_L2_TABLE,
            3 => ffi::MMUEXT_PIN_L3_TABLE,
            _ => ffi::MMUEXT_PIN_L4_TABLE,
        };
        self.push(cmd, page);
    }

    /// Has Xen let go of a pinned table.
    #[doc(alias = "MMUEXT_UNPIN_TABLE")]
    pub fn unpin(&mut self, page: Pfn) {
        self.push(ffi::MMUEXT_UNPIN_TABLE, page);
    }

    /// Makes `page` the root of the running CPU.
    #[doc(alias = "MMUEXT_NEW_BASEPTR")]
    pub(super) fn load_root(&mut self, page: Pfn) {
        self.push(ffi::MMUEXT_NEW_BASEPTR, page);
    }

    /// Flushes the running CPU's TLB.
    #[doc(alias = "MMUEXT_TLB_FLUSH_LOCAL")]
    pub fn flush_tlb(&mut self) {
        if is_pv() {
            self.0.push(ffi::mmuext_op {
                cmd: ffi::MMUEXT_TLB_FLUSH_LOCAL,
                ..Default::default()
            });
        }
    }

    /// Flushes the TLBs of all the domain's CPUs.
    #[doc(alias = "MMUEXT_TLB_FLUSH_ALL")]
    pub(super) fn flush_all_tlbs(&mut self) {
        if is_pv() {
            self.0.push(ffi::mmuext_op {
                cmd: ffi::MMUEXT_TLB_FLUSH_ALL,
                ..Default::default()
            });
        }
    }

    fn push(&mut self, cmd: u32, page: Pfn) {
        if is_pv() {
            let mut op = ffi::mmuext_op {
                cmd,
                ..Default::default()
            };
            op.arg1.mfn = m2p::machine(page).0 as ffi::xen_pfn_t;
            self.0.push(op);
        }
    }

    /// Has it done; gives the calls that it took.
    ///
    /// # Errors
    /// Xen's. What comes before the refused operation is done.
    pub fn commit(&mut self) -> Result<u32, TableError> {
        self.0.commit()
    }
}
