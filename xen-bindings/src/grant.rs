//! Grants: leave for another domain to use one of this domain's frames. `public/grant_table.h`,
//! version 1.
//!
//! A frame of the table holds 512 entries of 8 bytes. A restore gives the domain an empty table of
//! version 1 and unmapped frames: every grant is gone, and the frames are to be mapped again
//! ([`Space::GrantTable`](crate::memory::Space::GrantTable), or [`setup_table`] in a PV guest).
//! After a cancelled suspend all is as before.

use crate::frame::{DomainId, Gfn, Mfn};
use crate::hypercall::hypercall3;
use crate::{ffi, Call, Result};
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// Entries in one frame of a table of version 1.
pub const ENTRIES_PER_FRAME: usize = crate::frame::PAGE_SIZE / size_of::<ffi::grant_entry_v1>();

/// The first entries belong to the toolstack: the console's and xenstore's pages are granted there.
#[doc(alias = "GNTTAB_NR_RESERVED_ENTRIES")]
pub const RESERVED: u32 = ffi::GNTTAB_NR_RESERVED_ENTRIES;

fn op<T>(cmd: u32, name: &'static str, arg: &mut T) -> Result<()> {
    // SAFETY: every caller in this module passes one of the structures that the operation takes.
    let ret = unsafe {
        hypercall3::<{ ffi::__HYPERVISOR_grant_table_op }>(
            cmd as usize,
            ptr::from_mut(arg) as usize,
            1,
        )
    };
    Call::new(name).check(ret).map(drop)
}

/// Why Xen did not do a grant operation: a refused call, or the operation's own status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The call as a whole.
    Call(crate::HypercallError),
    /// `GNTST_*`, a negative number.
    Status {
        /// The operation.
        op: &'static str,
        /// Its status.
        status: i16,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => write!(f, "{error}"),
            Self::Status { op, status } => {
                let name = match i32::from(*status) {
                    ffi::GNTST_general_error => "general error",
                    ffi::GNTST_bad_domain => "bad domain",
                    ffi::GNTST_bad_virt_addr => "bad address",
                    ffi::GNTST_permission_denied => "permission denied",
                    ffi::GNTST_no_space => "no space",
                    _ => "unknown status",
                };
                write!(f, "{op}: {name} ({status})")
            }
        }
    }
}

impl core::error::Error for Error {}

impl From<crate::HypercallError> for Error {
    fn from(error: crate::HypercallError) -> Self {
        Self::Call(error)
    }
}

fn status(op: &'static str, status: i16) -> core::result::Result<(), Error> {
    if i32::from(status) == ffi::GNTST_okay as i32 {
        Ok(())
    } else {
        Err(Error::Status { op, status })
    }
}

/// How many frames this domain's table has, and how many it may have.
///
/// # Errors
/// Xen's.
#[doc(alias = "GNTTABOP_query_size")]
pub fn query_size() -> core::result::Result<(u32, u32), Error> {
    let mut arg = ffi::gnttab_query_size {
        dom: DomainId::SELF.0,
        ..Default::default()
    };
    op(ffi::GNTTABOP_query_size, "GNTTABOP_query_size", &mut arg)?;
    status("GNTTABOP_query_size", arg.status)?;
    Ok((arg.nr_frames, arg.max_nr_frames))
}

/// Makes the table as long as `frames` and fills in where its frames are (PV; the guest then maps
/// them).
///
/// # Errors
/// Xen's.
#[doc(alias = "GNTTABOP_setup_table")]
pub fn setup_table(frames: &mut [Mfn]) -> core::result::Result<(), Error> {
    // An Mfn is one machine word, as xen_pfn_t is.
    const _: () = assert!(size_of::<Mfn>() == size_of::<ffi::xen_pfn_t>());
    let mut arg = ffi::gnttab_setup_table {
        dom: DomainId::SELF.0,
        nr_frames: frames.len() as u32,
        ..Default::default()
    };
    arg.frame_list.p = frames.as_mut_ptr().cast();
    op(ffi::GNTTABOP_setup_table, "GNTTABOP_setup_table", &mut arg)?;
    status("GNTTABOP_setup_table", arg.status)
}

/// Sees to it that the table is of version 1, which is the only one this module knows.
///
/// # Errors
/// Xen's.
#[doc(alias = "GNTTABOP_set_version")]
pub fn set_version_1() -> Result<()> {
    let mut arg = ffi::gnttab_set_version { version: 1 };
    op(ffi::GNTTABOP_set_version, "GNTTABOP_set_version", &mut arg)
}

/// The number of a grant, which the other domain is told.
#[doc(alias = "grant_ref_t")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantRef(pub u32);

/// A frame that may be shared with another domain. Holding one proves that no Rust reference
/// reaches its memory, and that nobody else in this domain uses it: whatever another domain writes
/// there, no memory that Rust answers for changes.
#[derive(Debug, PartialEq, Eq)]
pub struct SharedFrame(Gfn);

impl SharedFrame {
    /// Says that the frame `gfn` (in a PV guest a machine frame) is there to be shared.
    ///
    /// # Safety
    /// For as long as the value lives, and for ever if it is leaked: this domain reads and writes
    /// the frame through raw pointers (volatile) or atomics only, no reference to plain memory of
    /// it exists, and it is used for nothing else.
    #[must_use]
    pub const unsafe fn new(gfn: Gfn) -> Self {
        Self(gfn)
    }

    /// Its number.
    #[must_use]
    pub const fn gfn(&self) -> Gfn {
        self.0
    }
}

/// A grant that was given out: the frame belongs to it until it has ended. Dropping one leaves the
/// frame shared and lost, which is safe.
#[must_use = "dropping this leaves the frame with the other domain for good"]
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    at: GrantRef,
    frame: SharedFrame,
    /// Of which table, counted by [`GrantTable::reset`]: a later table gives the same numbers to
    /// others.
    table: u32,
}

impl Grant {
    /// The number that the other domain is told.
    #[must_use]
    pub const fn number(&self) -> GrantRef {
        self.at
    }

    /// The frame's number.
    #[must_use]
    pub const fn gfn(&self) -> Gfn {
        self.frame.0
    }
}

/// What the other domain may do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// Why a frame was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantError {
    /// Every entry is in use.
    Full,
    /// A table of version 1 holds 32-bit frame numbers only.
    FrameTooHigh(Gfn),
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("every entry of the grant table is in use"),
            Self::FrameTooHigh(gfn) => write!(f, "{gfn:?} does not fit a version 1 grant entry"),
        }
    }
}

impl core::error::Error for GrantError {}

/// A grant that was not ended: the other domain has the frame mapped still. Try again later.
#[derive(Debug, PartialEq, Eq)]
pub struct StillMapped {
    /// The grant, as it was.
    pub grant: Grant,
    /// Who has the frame.
    pub by: DomainId,
}

impl fmt::Display for StillMapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "domain {} has the frame mapped still", self.by.0)
    }
}

impl core::error::Error for StillMapped {}

/// The domain's grant table, `FRAMES` frames long, and the account of which entries are in use.
///
/// The account is this side's own: what the table says is not needed to know what is given out,
/// which is what a suspend wants to know.
pub struct GrantTable<const FRAMES: usize> {
    entries: NonNull<ffi::grant_entry_v1>,
    used: [[u64; ENTRIES_PER_FRAME / 64]; FRAMES],
    in_use: u32,
    /// How often the table was [reset](Self::reset).
    number: u32,
}

// SAFETY: the table is memory of the domain's and not of a thread's; all access to it is through
// `&mut self` on this side, and atomic.
unsafe impl<const FRAMES: usize> Send for GrantTable<FRAMES> {}

impl<const FRAMES: usize> GrantTable<FRAMES> {
    /// A table whose frames are mapped one after the other at `entries`, with none but the reserved
    /// ones in use.
    ///
    /// # Safety
    /// For the value's life, `FRAMES` frames of the domain's grant table (version 1) are mapped
    /// there, readable and writable, except between a suspend and [`reset`](Self::reset), when
    /// nothing here is called; and nothing else uses their entries from [`RESERVED`] on.
    #[must_use]
    pub unsafe fn new(entries: NonNull<ffi::grant_entry_v1>) -> Self {
        Self {
            entries,
            used: [[0; ENTRIES_PER_FRAME / 64]; FRAMES],
            in_use: 0,
            number: 0,
        }
    }

    fn entry(&self, at: GrantRef) -> (&AtomicU16, &AtomicU16, &AtomicU32) {
        debug_assert!((at.0 as usize) < FRAMES * ENTRIES_PER_FRAME);
        // SAFETY: callers pass numbers within the table only; by `new`'s contract the entry is
        // mapped. Both sides see its fields as atomics of their size.
        unsafe {
            let entry = self.entries.as_ptr().add(at.0 as usize);
            (
                AtomicU16::from_ptr(ptr::addr_of_mut!((*entry).flags)),
                AtomicU16::from_ptr(ptr::addr_of_mut!((*entry).domid)),
                AtomicU32::from_ptr(ptr::addr_of_mut!((*entry).frame)),
            )
        }
    }

    fn is_given_out(&self, at: GrantRef) -> bool {
        let (frame, bit) = (
            at.0 as usize / ENTRIES_PER_FRAME,
            at.0 as usize % ENTRIES_PER_FRAME,
        );
        self.used
            .get(frame)
            .is_some_and(|words| words[bit / 64] >> (bit % 64) & 1 == 1)
    }

    fn toggle(&mut self, at: GrantRef) {
        let (frame, bit) = (
            at.0 as usize / ENTRIES_PER_FRAME,
            at.0 as usize % ENTRIES_PER_FRAME,
        );
        self.used[frame][bit / 64] ^= 1 << (bit % 64);
    }

    /// Lets `domain` use `frame`, until [`end_access`](Self::end_access).
    ///
    /// # Errors
    /// [`GrantError`], and the frame, with nothing granted.
    pub fn grant_access(
        &mut self,
        domain: DomainId,
        frame: SharedFrame,
        access: Access,
    ) -> core::result::Result<Grant, (GrantError, SharedFrame)> {
        let Ok(number) = u32::try_from(frame.0 .0) else {
            return Err((GrantError::FrameTooHigh(frame.0), frame));
        };
        let all = (FRAMES * ENTRIES_PER_FRAME) as u32;
        let free = (RESERVED..all)
            .map(GrantRef)
            .find(|&at| !self.is_given_out(at));
        let Some(at) = free else {
            return Err((GrantError::Full, frame));
        };
        let flags = match access {
            Access::ReadOnly => ffi::GTF_permit_access | ffi::GTF_readonly,
            Access::ReadWrite => ffi::GTF_permit_access,
        };
        let (entry_flags, entry_domain, entry_frame) = self.entry(at);
        entry_frame.store(number, Ordering::Relaxed);
        entry_domain.store(domain.0, Ordering::Relaxed);
        // Release: whoever sees the flags sees the rest.
        entry_flags.store(flags as u16, Ordering::Release);
        self.toggle(at);
        self.in_use += 1;
        Ok(Grant {
            at,
            frame,
            table: self.number,
        })
    }

    /// Takes the leave back, and gives the frame. The other domain can then neither use it nor map
    /// it again. A grant that a restore has ended ([`reset`](Self::reset)) gives its frame at once,
    /// and its number's new owner is left alone.
    ///
    /// # Errors
    /// [`StillMapped`], with the grant as it is.
    pub fn end_access(&mut self, grant: Grant) -> core::result::Result<SharedFrame, StillMapped> {
        if grant.table != self.number {
            return Ok(grant.frame);
        }
        let (flags, domain, _) = self.entry(grant.at);
        let mapped = (ffi::GTF_reading | ffi::GTF_writing) as u16;
        // In one step: Xen sets the mapped bits in this word at the moment the other domain maps
        // the frame.
        let ended = flags.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
            (now & mapped == 0).then_some(0)
        });
        if ended.is_err() {
            let by = DomainId(domain.load(Ordering::Relaxed));
            return Err(StillMapped { grant, by });
        }
        self.toggle(grant.at);
        self.in_use -= 1;
        Ok(grant.frame)
    }

    /// How many grants are given out.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// The grants that are given out: those that a suspend would lose.
    pub fn given_out(&self) -> impl Iterator<Item = GrantRef> + '_ {
        let all = (FRAMES * ENTRIES_PER_FRAME) as u32;
        (RESERVED..all)
            .map(GrantRef)
            .filter(|&at| self.is_given_out(at))
    }

    /// Forgets every grant, once the new table's frames are mapped after a restore: it is empty.
    /// Returns how many were lost.
    pub fn reset(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.used = [[0; ENTRIES_PER_FRAME / 64]; FRAMES];
        core::mem::take(&mut self.in_use)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::double;
    use std::boxed::Box;
    use std::string::ToString;
    use std::vec::Vec;

    /// A table of one frame, and what Xen sees of it.
    fn table() -> (GrantTable<1>, *mut ffi::grant_entry_v1) {
        let entries = Box::leak(Box::new(
            [ffi::grant_entry_v1::default(); ENTRIES_PER_FRAME],
        ));
        let first = NonNull::from(entries).cast();
        // SAFETY: one frame of entries that lives on; the tests look at it through the same pointer
        // only.
        (unsafe { GrantTable::new(first) }, first.as_ptr())
    }

    fn frame(gfn: usize) -> SharedFrame {
        // SAFETY: no such memory exists.
        unsafe { SharedFrame::new(Gfn(gfn)) }
    }

    #[test]
    fn a_grant_is_an_entry_that_ends_only_when_unmapped() {
        let (mut table, entries) = table();
        let grant = table
            .grant_access(DomainId(0), frame(0x1234), Access::ReadOnly)
            .unwrap();
        assert_eq!(grant.number(), GrantRef(RESERVED));
        // SAFETY: within the frame.
        let entry = unsafe { entries.add(grant.number().0 as usize) };
        // SAFETY: as above; the tests have one thread.
        let seen = unsafe { *entry };
        assert_eq!((seen.flags, seen.domid, seen.frame), (1 | 4, 0, 0x1234));
        // The other domain maps it.
        // SAFETY: as above.
        unsafe { (*entry).flags |= 8 };
        let error = table.end_access(grant).unwrap_err();
        assert_eq!(error.to_string(), "domain 0 has the frame mapped still");
        assert_eq!(table.in_use(), 1);
        // SAFETY: as above.
        unsafe { (*entry).flags &= !8 };
        assert_eq!(table.end_access(error.grant), Ok(frame(0x1234)));
        // SAFETY: as above.
        assert_eq!(unsafe { (*entry).flags }, 0);
        assert_eq!(table.in_use(), 0);
    }

    #[test]
    fn the_account_holds_until_full_and_after_a_reset() {
        let (mut table, _) = table();
        let mut grant = |n| table.grant_access(DomainId(3), frame(n), Access::ReadWrite);
        let mut all: Vec<Grant> = (0..504).map(|n| grant(n).unwrap()).collect();
        assert_eq!(grant(504), Err((GrantError::Full, frame(504))));
        assert!(table.given_out().eq(all.iter().map(Grant::number)));
        assert_eq!(table.in_use(), 504);
        let ended = all.remove(100);
        let number = ended.number();
        assert_eq!(table.end_access(ended), Ok(frame(100)));
        let again = table.grant_access(DomainId(3), frame(1000), Access::ReadWrite);
        assert_eq!(again.map(|grant| grant.number()), Ok(number));
        assert_eq!(table.reset(), 504);
        assert_eq!((table.in_use(), table.given_out().count()), (0, 0));
    }

    #[test]
    fn a_grant_of_before_a_restore_does_not_end_its_successor() {
        let (mut table, entries) = table();
        let before = table
            .grant_access(DomainId(0), frame(1), Access::ReadWrite)
            .unwrap();
        table.reset();
        let after = table
            .grant_access(DomainId(0), frame(2), Access::ReadWrite)
            .unwrap();
        assert_eq!(before.number(), after.number());
        assert_eq!(table.end_access(before), Ok(frame(1)));
        assert_eq!(table.in_use(), 1);
        // SAFETY: within the frame; the tests have one thread.
        let seen = unsafe { *entries.add(after.number().0 as usize) };
        assert_eq!(
            (seen.flags, seen.frame),
            (1, 2),
            "the successor's grant stands"
        );
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_frame_that_does_not_fit_an_entry_is_refused() {
        let (mut table, _) = table();
        let (error, back) = table
            .grant_access(DomainId(3), frame(1 << 33), Access::ReadWrite)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "gfn 0x200000000 does not fit a version 1 grant entry"
        );
        assert_eq!((table.in_use(), back), (0, frame(1 << 33)));
    }

    #[test]
    fn a_status_is_an_error_as_a_refused_call_is() {
        let xen = |nr: u32, args: &[usize]| {
            assert_eq!((nr, args[0], args[2]), (20, 6, 1));
            // SAFETY: the wrapper passes a structure that lives during the call, by exclusive
            // reference.
            let arg = unsafe { &mut *(args[1] as *mut ffi::gnttab_query_size) };
            (arg.nr_frames, arg.max_nr_frames, arg.status) = (1, 64, 0);
            0
        };
        assert_eq!(double::with(xen, query_size), Ok((1, 64)));
        let xen = |_: u32, args: &[usize]| {
            // SAFETY: as above.
            unsafe { (*(args[1] as *mut ffi::gnttab_query_size)).status = -2 };
            0
        };
        let error = double::with(xen, query_size).unwrap_err();
        assert_eq!(error.to_string(), "GNTTABOP_query_size: bad domain (-2)");
        let error = double::with(|_, _| -38, query_size).unwrap_err();
        assert_eq!(error.to_string(), "GNTTABOP_query_size: ENOSYS (38)");
    }
}
