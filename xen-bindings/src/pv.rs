//! What a PV kernel asks of Xen because it may not do it itself: page tables, traps, stacks,
//! segments.
//!
//! Thin on purpose: whether an update keeps Rust's rules is known to the paging code only.

use crate::frame::{DomainId, Mfn, Pfn};
#[cfg(target_pointer_width = "64")]
use crate::hypercall::hypercall3;
use crate::hypercall::{hypercall1, hypercall2, hypercall4};
use crate::{ffi, Call, HypercallError, Result, Subject};
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// A batch of operations stopped in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchError {
    /// How many were done, from the front: the one at this index is what failed.
    pub done: usize,
    /// Xen's reason.
    pub error: HypercallError,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at operation {}", self.error, self.done)
    }
}

impl core::error::Error for BatchError {}

/// A page-table entry's new value, or another of the `MMU_*` updates, by machine address.
///
/// `MMU_NORMAL_PT_UPDATE` and its like go into the low two bits of `ptr`.
pub type MmuUpdate = ffi::mmu_update;

/// Applies `updates` in order.
///
/// # Errors
/// Xen's, with the number of updates that were done.
///
/// # Safety
/// The page tables that result map nothing that Rust code relies on otherwise.
#[doc(alias = "HYPERVISOR_mmu_update")]
pub unsafe fn mmu_update(updates: &mut [MmuUpdate]) -> core::result::Result<(), BatchError> {
    let mut done: u32 = 0;
    // SAFETY: Xen reads the updates and writes the count, which live across the call; the rest is
    // the caller's contract.
    let ret = unsafe {
        hypercall4::<{ ffi::__HYPERVISOR_mmu_update }>(
            updates.as_mut_ptr() as usize,
            updates.len(),
            ptr::from_mut(&mut done) as usize,
            DomainId::SELF.0 as usize,
        )
    };
    batch("mmu_update", ret, done, updates.len())
}

/// Does the extended operations in order: pin, unpin, new base pointer, flushes.
///
/// # Errors
/// Xen's, with the number of operations that were done.
///
/// # Safety
/// As [`mmu_update`].
#[doc(alias = "HYPERVISOR_mmuext_op")]
pub unsafe fn mmuext_op(ops: &mut [ffi::mmuext_op]) -> core::result::Result<(), BatchError> {
    let mut done: u32 = 0;
    // SAFETY: as in `mmu_update`.
    let ret = unsafe {
        hypercall4::<{ ffi::__HYPERVISOR_mmuext_op }>(
            ops.as_mut_ptr() as usize,
            ops.len(),
            ptr::from_mut(&mut done) as usize,
            DomainId::SELF.0 as usize,
        )
    };
    batch("mmuext_op", ret, done, ops.len())
}

fn batch(
    name: &'static str,
    ret: isize,
    done: u32,
    len: usize,
) -> core::result::Result<(), BatchError> {
    let done = (done as usize).min(len);
    match Call::on(name, Subject::Number(len as u64)).check(ret) {
        Ok(_) => Ok(()),
        Err(error) => Err(BatchError { done, error }),
    }
}

/// Sets the L1 entry that maps `address`, and flushes as `flags` (`UVMF_*`) say.
///
/// # Errors
/// Xen's.
///
/// # Safety
/// As [`mmu_update`].
#[doc(alias = "HYPERVISOR_update_va_mapping")]
pub unsafe fn update_va_mapping(address: usize, entry: u64, flags: usize) -> Result<()> {
    const OP: u32 = ffi::__HYPERVISOR_update_va_mapping;
    // SAFETY: the caller's contract. A PAE entry takes two arguments of 32 bits.
    let ret = unsafe {
        #[cfg(target_pointer_width = "32")]
        {
            hypercall4::<OP>(address, entry as usize, (entry >> 32) as usize, flags)
        }
        #[cfg(target_pointer_width = "64")]
        {
            hypercall3::<OP>(address, entry as usize, flags)
        }
    };
    Call::on("update_va_mapping", Subject::Number(address as u64))
        .check(ret)
        .map(drop)
}

/// Makes several hypercalls in one. Each entry's `result` is that call's own.
///
/// # Errors
/// Xen's, for the batch as a whole.
///
/// # Safety
/// That of each call.
#[doc(alias = "HYPERVISOR_multicall")]
pub unsafe fn multicall(calls: &mut [ffi::multicall_entry]) -> Result<()> {
    // SAFETY: Xen reads and writes the entries, which live across the call; the rest is the
    // caller's contract.
    let ret = unsafe {
        hypercall2::<{ ffi::__HYPERVISOR_multicall }>(calls.as_mut_ptr() as usize, calls.len())
    };
    Call::on("multicall", Subject::Number(calls.len() as u64))
        .check(ret)
        .map(drop)
}

/// Sets this vCPU's trap handlers. The last entry has address 0 and ends the table.
///
/// # Errors
/// Xen's; `EINVAL` without a call if the table does not end.
///
/// # Safety
/// Each address is a handler fit for its trap.
#[doc(alias = "HYPERVISOR_set_trap_table")]
pub unsafe fn set_trap_table(table: &[ffi::trap_info]) -> Result<()> {
    let call = Call::new("set_trap_table");
    if table.last().is_none_or(|last| last.address != 0) {
        let errno = crate::Errno::EINVAL;
        return Err(HypercallError { call, errno });
    }
    // SAFETY: Xen reads up to the entry with address 0, which is there; the rest is the caller's
    // contract.
    let ret =
        unsafe { hypercall1::<{ ffi::__HYPERVISOR_set_trap_table }>(table.as_ptr() as usize) };
    call.check(ret).map(drop)
}

/// Makes `frames` this vCPU's descriptor table, `entries` long. They are read-only to the guest
/// from now on.
///
/// # Errors
/// Xen's.
///
/// # Safety
/// The descriptors fit the segment registers in use.
#[doc(alias = "HYPERVISOR_set_gdt")]
pub unsafe fn set_gdt(frames: &[Mfn], entries: usize) -> Result<()> {
    // Xen reads as many frame numbers as the entries fill; it would read past a list that is too
    // short.
    let call = Call::on("set_gdt", Subject::Number(entries as u64));
    if frames.len() * 512 < entries {
        let errno = crate::Errno::EINVAL;
        return Err(HypercallError { call, errno });
    }
    // SAFETY: the list is long enough; the rest is the caller's contract.
    let ret =
        unsafe { hypercall2::<{ ffi::__HYPERVISOR_set_gdt }>(frames.as_ptr() as usize, entries) };
    call.check(ret).map(drop)
}

/// Sets the stack that Xen switches to when a trap comes from user mode.
///
/// # Errors
/// Xen's.
///
/// # Safety
/// The stack is one, and unused when user mode runs.
#[doc(alias = "HYPERVISOR_stack_switch")]
pub unsafe fn stack_switch(ss: u16, stack_top: usize) -> Result<()> {
    // SAFETY: the caller's contract.
    let ret = unsafe { hypercall2::<{ ffi::__HYPERVISOR_stack_switch }>(ss.into(), stack_top) };
    Call::new("stack_switch").check(ret).map(drop)
}

/// Sets one of this vCPU's entry points: `CALLBACKTYPE_*`.
///
/// # Errors
/// Xen's.
///
/// # Safety
/// The address is that of a handler fit for it.
#[doc(alias = "CALLBACKOP_register")]
pub unsafe fn register_callback(kind: u32, flags: u32, address: ffi::xen_callback_t) -> Result<()> {
    let mut arg = ffi::callback_register {
        type_: kind as u16,
        flags: flags as u16,
        address,
    };
    // SAFETY: Xen reads the structure, which lives across the call; the rest is the caller's
    // contract.
    let ret = unsafe {
        hypercall2::<{ ffi::__HYPERVISOR_callback_op }>(
            ffi::CALLBACKOP_register as usize,
            ptr::from_mut(&mut arg) as usize,
        )
    };
    Call::on("CALLBACKOP_register", Subject::Number(kind.into()))
        .check(ret)
        .map(drop)
}

/// Switches one of Xen's helps on or off: `VMASST_TYPE_*`.
///
/// # Errors
/// Xen's.
#[doc(alias = "HYPERVISOR_vm_assist")]
pub fn vm_assist(kind: u32, on: bool) -> Result<()> {
    let cmd = if on {
        ffi::VMASST_CMD_enable
    } else {
        ffi::VMASST_CMD_disable
    };
    // SAFETY: no memory is involved.
    let ret = unsafe { hypercall2::<{ ffi::__HYPERVISOR_vm_assist }>(cmd as usize, kind as usize) };
    Call::on("vm_assist", Subject::Number(kind.into()))
        .check(ret)
        .map(drop)
}

/// A page-table base as Xen writes it: 32-bit guests fold a frame's high bits into the low ones.
#[doc(alias = "xen_pfn_to_cr3")]
#[must_use]
pub const fn frame_to_cr3(frame: Mfn) -> usize {
    if cfg!(target_pointer_width = "32") {
        frame.0.rotate_left(12)
    } else {
        frame.0 << 12
    }
}

/// Where Xen's machine-to-physical table lies and how long it is, as Xen says: filled only by
/// asking it.
///
/// The constants of `public/xen.h` (`MACH2PHYS_NR_ENTRIES`) are an old hypervisor's: for a 32-bit
/// guest they end at 16 GiB, while Xen's table goes on to 166 GiB. A restored or migrated domain
/// may be on a host with another table: ask again there. Made to be a static: any number of CPUs
/// may look while one asks.
#[derive(Debug)]
pub struct MachineToPhysical {
    start: AtomicUsize,
    frames: AtomicUsize,
}

impl MachineToPhysical {
    /// Nothing is known yet: there is no frame in it.
    #[must_use]
    pub const fn unknown() -> Self {
        Self {
            start: AtomicUsize::new(0),
            frames: AtomicUsize::new(0),
        }
    }

    /// Asks Xen. PV only.
    ///
    /// # Errors
    /// Xen's; or `ERANGE` if what Xen describes is no table in the address space. What was known
    /// stays.
    #[doc(alias = "XENMEM_machphys_mapping")]
    pub fn ask(&self) -> Result<()> {
        const _: () = assert!(size_of::<Pfn>() == size_of::<ffi::xen_ulong_t>());
        let call = Call::new("XENMEM_machphys_mapping");
        let mut arg = ffi::xen_machphys_mapping::default();
        // SAFETY: Xen writes the structure, which lives across the call.
        let ret = unsafe {
            hypercall2::<{ ffi::__HYPERVISOR_memory_op }>(
                ffi::XENMEM_machphys_mapping as usize,
                ptr::from_mut(&mut arg) as usize,
            )
        };
        call.check(ret)?;
        let (start, end) = (arg.v_start as usize, arg.v_end as usize);
        let room = end.saturating_sub(start) / size_of::<Pfn>();
        let frames = (arg.max_mfn as usize).saturating_add(1).min(room);
        if start == 0 || frames == 0 || start % size_of::<Pfn>() != 0 {
            let errno = crate::Errno::ERANGE;
            return Err(HypercallError { call, errno });
        }
        // Nobody who looks meanwhile sees one table's place with another's length.
        self.frames.store(0, Ordering::Release);
        self.start.store(start, Ordering::Release);
        self.frames.store(frames, Ordering::Release);
        Ok(())
    }

    /// The virtual address of its first entry.
    #[must_use]
    pub fn start(&self) -> usize {
        self.start.load(Ordering::Acquire)
    }

    /// Its length: one more than the highest machine frame that it can have an entry for.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames.load(Ordering::Acquire)
    }

    /// Where it has the entry of `frame`; none beyond its end. Xen leaves parts of it unmapped, for
    /// which the host has no memory.
    ///
    /// Reading it gives the [`Pfn`] of a frame of this domain, and anything at all for another's.
    #[must_use]
    pub fn entry(&self, frame: Mfn) -> Option<*const Pfn> {
        if frame.0 >= self.frames() {
            return None;
        }
        Some((self.start() + frame.0 * size_of::<Pfn>()) as *const Pfn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::double;
    use std::string::ToString;

    #[test]
    fn a_batch_that_fails_says_where() {
        let xen = |nr: u32, args: &[usize]| {
            assert_eq!((nr, args[1], args[3]), (26, 3, 0x7ff0));
            // SAFETY: the wrapper passes a count that lives during the call.
            unsafe { *(args[2] as *mut u32) = 2 };
            -16
        };
        let mut ops = [ffi::mmuext_op::default(); 3];
        // SAFETY: a host build changes no page table.
        let error = double::with(xen, || unsafe { mmuext_op(&mut ops) }).unwrap_err();
        assert_eq!(error.done, 2);
        assert_eq!(error.to_string(), "mmuext_op(3): EBUSY (16) at operation 2");
        // SAFETY: as above.
        let result = double::with(|_, _| 0, || unsafe { mmu_update(&mut []) });
        assert_eq!(result, Ok(()));
    }

    #[test]
    fn tables_that_xen_would_read_past_are_refused() {
        double::with(
            |_, _| 0,
            || {
                let trap = ffi::trap_info {
                    address: 1,
                    ..Default::default()
                };
                // SAFETY: a host build sets nothing.
                unsafe {
                    assert!(set_trap_table(&[]).is_err());
                    assert!(set_trap_table(&[trap]).is_err());
                    assert_eq!(set_trap_table(&[trap, ffi::trap_info::default()]), Ok(()));
                    assert_eq!(set_gdt(&[Mfn(1)], 512), Ok(()));
                    assert!(set_gdt(&[Mfn(1)], 513).is_err());
                }
            },
        );
    }

    fn asked(start: usize, end: usize, max_mfn: usize) -> Result<MachineToPhysical> {
        let xen = move |nr: u32, args: &[usize]| {
            assert_eq!((nr, args[0]), (12, 12));
            // SAFETY: the wrapper passes a structure that lives during the call.
            let arg = unsafe { &mut *(args[1] as *mut ffi::xen_machphys_mapping) };
            arg.v_start = start as ffi::xen_ulong_t;
            arg.v_end = end as ffi::xen_ulong_t;
            arg.max_mfn = max_mfn as ffi::xen_ulong_t;
            0
        };
        let table = MachineToPhysical::unknown();
        assert!(table.entry(Mfn(0)).is_none());
        double::with(xen, || table.ask()).map(|()| table)
    }

    #[test]
    fn the_machine_to_physical_table_is_where_xen_says() {
        // What Xen 4.17 says to a 32-bit guest: more than the header's 0x400000 frames.
        let table = asked(0xf580_0000, 0xffe0_0000, 0x297_ffff).unwrap();
        let words = 0xa60_0000 / size_of::<Pfn>();
        assert_eq!(table.frames(), words.min(0x298_0000));
        assert_eq!(table.start(), 0xf580_0000);
        assert_eq!(
            table.entry(Mfn(2)).unwrap() as usize,
            0xf580_0000 + 2 * size_of::<Pfn>()
        );
        assert!(table.entry(Mfn(table.frames())).is_none());
        assert!(table.entry(Mfn(usize::MAX)).is_none());
    }

    #[test]
    fn a_table_that_cannot_be_is_refused() {
        let erange =
            |answer: Result<MachineToPhysical>| answer.unwrap_err().errno == crate::Errno::ERANGE;
        assert!(erange(asked(0, 0, 0)));
        assert!(erange(asked(0x2000, 0x1000, 5)));
        assert!(erange(asked(0x1001, 0x2000, 5)));
        // No entry beyond what Xen calls its end.
        assert_eq!(
            asked(0x1000, 0x2000, usize::MAX).unwrap().frames(),
            0x1000 / size_of::<Pfn>()
        );
        let error = double::with(|_, _| -38, || MachineToPhysical::unknown().ask()).unwrap_err();
        assert_eq!(error.to_string(), "XENMEM_machphys_mapping: ENOSYS (38)");
    }

    #[test]
    fn a_root_above_4_gib_keeps_its_high_bits() {
        assert_eq!(frame_to_cr3(Mfn(5)), 0x5000);
        #[cfg(target_pointer_width = "32")]
        assert_eq!(frame_to_cr3(Mfn(0x12_3456)), 0x2345_6001);
        #[cfg(target_pointer_width = "64")]
        assert_eq!(frame_to_cr3(Mfn(0x12_3456)), 0x1_2345_6000);
    }
}
