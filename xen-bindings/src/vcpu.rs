//! Virtual CPUs: start, stop, timers, and the places Xen writes to: `public/vcpu.h`.
//!
//! What a restore loses: the place of `vcpu_info`, runstate areas, timers; and a vCPU that was down
//! at the save is uninitialised again. After a cancelled suspend all of it is as before.

use crate::frame::{Gfn, PAGE_SIZE};
use crate::hypercall::hypercall3;
use crate::shared_info::SystemTime;
use crate::{ffi, Call, Errno, Result, Subject};
use core::ptr;

fn op(cmd: u32, name: &'static str, vcpu: u32, arg: usize) -> Result<usize> {
    // SAFETY: every caller in this module passes 0 or the address of the structure that the
    // operation takes, which lives across the call; what else the operation needs is in the
    // caller's contract.
    let ret =
        unsafe { hypercall3::<{ ffi::__HYPERVISOR_vcpu_op }>(cmd as usize, vcpu as usize, arg) };
    Call::on(name, Subject::Vcpu(vcpu)).check(ret)
}

/// Gives `vcpu` its first register contents (PVH). It stays down until [`up`].
///
/// # Errors
/// Xen's: `EEXIST` if it is initialised already (as after a cancelled suspend), `ENOENT` for a vCPU
/// the domain does not have, `EINVAL` for registers that the CPU would refuse.
///
/// # Safety
/// The registers make the vCPU run code that is fit to run there, on a stack and page tables of its
/// own.
#[doc(alias = "VCPUOP_initialise")]
pub unsafe fn initialise(vcpu: u32, context: &ffi::vcpu_hvm_context) -> Result<()> {
    let arg = ptr::from_ref(context) as usize;
    op(ffi::VCPUOP_initialise, "VCPUOP_initialise", vcpu, arg).map(drop)
}

/// Gives `vcpu` its first register contents (PV). It stays down until [`up`].
///
/// # Errors
/// As [`initialise`].
///
/// # Safety
/// As [`initialise`]; the frames named in the context are of the kinds Xen asks for.
#[doc(alias = "VCPUOP_initialise")]
pub unsafe fn initialise_pv(vcpu: u32, context: &ffi::vcpu_guest_context) -> Result<()> {
    let arg = ptr::from_ref(context) as usize;
    op(ffi::VCPUOP_initialise, "VCPUOP_initialise", vcpu, arg).map(drop)
}

/// Lets `vcpu` run: from its first registers, or from where it went [`down`].
///
/// # Errors
/// Xen's: `EINVAL` if it is not initialised.
#[doc(alias = "VCPUOP_up")]
pub fn up(vcpu: u32) -> Result<()> {
    op(ffi::VCPUOP_up, "VCPUOP_up", vcpu, 0).map(drop)
}

/// Stops `vcpu`. Down on itself it returns only after the next [`up`].
///
/// Taking down the last vCPU that is up shuts the domain down (common/domain.c): see to it that it
/// is not.
///
/// # Errors
/// Xen's.
#[doc(alias = "VCPUOP_down")]
pub fn down(vcpu: u32) -> Result<()> {
    op(ffi::VCPUOP_down, "VCPUOP_down", vcpu, 0).map(drop)
}

/// Whether `vcpu` is up. After `down` on itself, seen from another vCPU, false means that it runs
/// no more code.
///
/// # Errors
/// Xen's: `ENOENT` for a vCPU the domain does not have.
#[doc(alias = "VCPUOP_is_up")]
pub fn is_up(vcpu: u32) -> Result<bool> {
    op(ffi::VCPUOP_is_up, "VCPUOP_is_up", vcpu, 0).map(|up| up != 0)
}

/// How long `vcpu` has been in which state.
///
/// # Errors
/// Xen's.
#[doc(alias = "VCPUOP_get_runstate_info")]
pub fn runstate(vcpu: u32) -> Result<ffi::vcpu_runstate_info> {
    let mut info = ffi::vcpu_runstate_info::default();
    let arg = ptr::from_mut(&mut info) as usize;
    op(
        ffi::VCPUOP_get_runstate_info,
        "VCPUOP_get_runstate_info",
        vcpu,
        arg,
    )?;
    Ok(info)
}

/// Has Xen keep `vcpu`'s event flags and time at `offset` in `frame`, in place of its slot in
/// shared-info.
///
/// Once per vCPU and life of the domain: a second time is refused (`EBUSY`; `EINVAL` by Xen 4.17),
/// so it is for a restored domain and not for a cancelled suspend. Xen 4.17 takes it only for the
/// calling vCPU or one that is down. Xen then marks everything pending: expect spurious events.
///
/// # Errors
/// Xen's; also `EINVAL` without a call if the structure would cross the frame's end.
///
/// # Safety
/// From now on Xen writes there: the 64 bytes are used for nothing else as long as the domain
/// lives.
#[doc(alias = "VCPUOP_register_vcpu_info")]
pub unsafe fn register_vcpu_info(vcpu: u32, frame: Gfn, offset: usize) -> Result<()> {
    let name = "VCPUOP_register_vcpu_info";
    if offset > PAGE_SIZE - size_of::<ffi::vcpu_info>() {
        return Err(crate::HypercallError {
            call: Call::on(name, Subject::Vcpu(vcpu)),
            errno: Errno::EINVAL,
        });
    }
    let mut arg = ffi::vcpu_register_vcpu_info {
        mfn: frame.0 as u64,
        offset: offset as u32,
        rsvd: 0,
    };
    let arg = ptr::from_mut(&mut arg) as usize;
    op(ffi::VCPUOP_register_vcpu_info, name, vcpu, arg).map(drop)
}

/// Fires `VIRQ_TIMER` on `vcpu` every `period_ns` nanoseconds (at least 1 ms).
///
/// # Errors
/// Xen's: `EINVAL` for a shorter period.
#[doc(alias = "VCPUOP_set_periodic_timer")]
pub fn set_periodic_timer(vcpu: u32, period_ns: u64) -> Result<()> {
    let mut arg = ffi::vcpu_set_periodic_timer { period_ns };
    let arg = ptr::from_mut(&mut arg) as usize;
    op(
        ffi::VCPUOP_set_periodic_timer,
        "VCPUOP_set_periodic_timer",
        vcpu,
        arg,
    )
    .map(drop)
}

/// Stops the periodic timer. A PV vCPU is started with one running.
///
/// # Errors
/// Xen's.
#[doc(alias = "VCPUOP_stop_periodic_timer")]
pub fn stop_periodic_timer(vcpu: u32) -> Result<()> {
    op(
        ffi::VCPUOP_stop_periodic_timer,
        "VCPUOP_stop_periodic_timer",
        vcpu,
        0,
    )
    .map(drop)
}

/// Fires `VIRQ_TIMER` on `vcpu` once, when system time reaches `deadline`. Only for the calling
/// vCPU.
///
/// A deadline that is over fires at once: a vCPU that was not running between reading the clock and
/// this call still gets its tick. (`VCPU_SSHOTTMR_future` asks for an error in its place, and is
/// ignored by newer Xen; it is not used here, because a caller who forgets that answer has no timer
/// any more.)
///
/// # Errors
/// Xen's: `EINVAL` for another vCPU than the calling one.
#[doc(alias = "VCPUOP_set_singleshot_timer")]
pub fn set_singleshot_timer(vcpu: u32, deadline: SystemTime) -> Result<()> {
    let mut arg = ffi::vcpu_set_singleshot_timer {
        timeout_abs_ns: deadline.0,
        flags: 0,
    };
    let arg = ptr::from_mut(&mut arg) as usize;
    op(
        ffi::VCPUOP_set_singleshot_timer,
        "VCPUOP_set_singleshot_timer",
        vcpu,
        arg,
    )
    .map(drop)
}

/// Disarms the one-shot timer. Only for the calling vCPU.
///
/// # Errors
/// Xen's.
#[doc(alias = "VCPUOP_stop_singleshot_timer")]
pub fn stop_singleshot_timer(vcpu: u32) -> Result<()> {
    op(
        ffi::VCPUOP_stop_singleshot_timer,
        "VCPUOP_stop_singleshot_timer",
        vcpu,
        0,
    )
    .map(drop)
}

/// First registers of a vCPU that starts in 32-bit mode on flat segments.
///
/// The fields not named here (general registers) start at zero and can be set in the result.
/// Segment attributes are what Xen checks them for (arch/x86/hvm/domain.c): present, ring 0, 4 GiB
/// limit, code that is readable, data that is writable, and a busy 32-bit task segment.
#[must_use]
#[allow(clippy::similar_names)]
pub fn context_32(
    eip: u32,
    esp: u32,
    cr0: u32,
    cr3: u32,
    cr4: u32,
    efer: u64,
) -> ffi::vcpu_hvm_context {
    /// Present, code, readable, accessed, 32-bit, limit in pages.
    const CODE: u16 = 0xc9b;
    /// Present, data, writable, accessed, 32-bit, limit in pages.
    const DATA: u16 = 0xc93;
    /// Present, busy 32-bit task state.
    const TASK: u16 = 0x8b;
    let mut context = ffi::vcpu_hvm_context {
        mode: ffi::VCPU_HVM_MODE_32B,
        ..Default::default()
    };
    context.cpu_regs.x86_32 = ffi::vcpu_hvm_x86_32 {
        eip,
        esp,
        cr0,
        cr3,
        cr4,
        efer,
        cs_limit: u32::MAX,
        ds_limit: u32::MAX,
        ss_limit: u32::MAX,
        es_limit: u32::MAX,
        tr_limit: 0x67,
        cs_ar: CODE,
        ds_ar: DATA,
        ss_ar: DATA,
        es_ar: DATA,
        tr_ar: TASK,
        ..Default::default()
    };
    context
}

/// First registers of a vCPU that starts in long mode. Xen sets flat segments.
///
/// The fields not named here (general registers) start at zero and can be set in the result. Xen
/// asks for paging in `cr0`, PAE in `cr4` and LME in `efer`.
#[must_use]
#[allow(clippy::similar_names)]
pub fn context_64(
    rip: u64,
    rsp: u64,
    cr0: u64,
    cr3: u64,
    cr4: u64,
    efer: u64,
) -> ffi::vcpu_hvm_context {
    let mut context = ffi::vcpu_hvm_context {
        mode: ffi::VCPU_HVM_MODE_64B,
        ..Default::default()
    };
    context.cpu_regs.x86_64 = ffi::vcpu_hvm_x86_64 {
        rip,
        rsp,
        cr0,
        cr3,
        cr4,
        efer,
        ..Default::default()
    };
    context
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::double;
    use std::string::ToString;

    #[test]
    fn a_deadline_that_is_over_is_left_to_xen_to_fire() {
        let xen = |nr: u32, args: &[usize]| {
            assert_eq!((nr, args[0], args[1]), (24, 8, 3));
            // SAFETY: the wrapper passes a structure that lives during the call.
            let arg = unsafe { *(args[2] as *const ffi::vcpu_set_singleshot_timer) };
            // With the flag, Xen 4.17 would say ETIME and arm nothing.
            assert_eq!((arg.timeout_abs_ns, arg.flags), (99, 0));
            0
        };
        double::with(xen, || {
            assert_eq!(set_singleshot_timer(3, SystemTime(99)), Ok(()))
        });
    }

    #[test]
    fn vcpu_info_must_fit_its_frame() {
        let xen = |_: u32, args: &[usize]| {
            // SAFETY: the wrapper passes a structure that lives during the call.
            let arg = unsafe { *(args[2] as *const ffi::vcpu_register_vcpu_info) };
            assert_eq!((arg.mfn, arg.offset, arg.rsvd), (5, 4032, 0));
            0
        };
        double::with(xen, || {
            // SAFETY: a host build registers nothing.
            unsafe {
                assert_eq!(register_vcpu_info(1, Gfn(5), 4032), Ok(()));
                let error = register_vcpu_info(1, Gfn(5), 4033).unwrap_err();
                assert_eq!(
                    error.to_string(),
                    "VCPUOP_register_vcpu_info(vcpu 1): EINVAL (22)"
                );
            }
        });
    }

    #[test]
    fn contexts_pass_xens_own_checks() {
        let context = context_32(0x10_0000, 0x20_0000, 1, 0, 0, 0);
        // SAFETY: context_32 fills this member.
        let regs = unsafe { context.cpu_regs.x86_32 };
        assert_eq!(
            (context.mode, context.pad, regs.pad1, regs.pad2),
            (0, 0, 0, [0; 3])
        );
        let (present, system_bit) = (1 << 7, 1 << 4);
        for ar in [regs.cs_ar, regs.ds_ar, regs.ss_ar, regs.es_ar] {
            assert_eq!(ar & (present | system_bit), present | system_bit);
            assert_eq!(ar >> 12, 0);
        }
        assert_eq!(regs.cs_ar & 0x8, 0x8);
        assert_eq!(regs.ss_ar & 0xa, 0x2);
        assert_eq!(regs.tr_ar & (present | system_bit | 0xf), present | 0xb);
        // EIP within the code segment's limit.
        assert!(regs.eip <= regs.cs_limit);
        assert_eq!(context_64(0, 0, 0, 0, 0, 0).mode, 1);
    }
}
