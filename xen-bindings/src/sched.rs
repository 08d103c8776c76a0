//! Giving up the CPU, and the domain: `public/sched.h`.

use crate::event_channel::Port;
use crate::hypercall::{hypercall2, hypercall3};
use crate::shared_info::SystemTime;
use crate::{ffi, Call, Errno, HypercallError, Result, Subject};
use core::ptr;

const OP: u32 = ffi::__HYPERVISOR_sched_op;

/// The most ports that [`poll`] takes: `do_poll` in Xen's `common/sched/core.c`.
const MOST_POLLED: usize = 128;

/// Lets another vCPU run; this one stays runnable.
///
/// # Errors
/// Xen's.
#[doc(alias = "SCHEDOP_yield")]
pub fn yield_now() -> Result<()> {
    // SAFETY: the call takes no argument.
    let ret = unsafe { hypercall2::<OP>(ffi::SCHEDOP_yield as usize, 0) };
    Call::new("SCHEDOP_yield").check(ret).map(drop)
}

/// Waits until an event is pending for this vCPU.
///
/// Xen clears this vCPU's `evtchn_upcall_mask` on entry, so that no wake-up is lost in between.
/// That is what a PV guest uses for "interrupts on, then wait"; a PVH guest, whose upcalls obey the
/// CPU's interrupt flag, uses `sti; hlt`.
///
/// # Errors
/// Xen's.
#[doc(alias = "SCHEDOP_block")]
pub fn block() -> Result<()> {
    // SAFETY: the call takes no argument.
    let ret = unsafe { hypercall2::<OP>(ffi::SCHEDOP_block as usize, 0) };
    Call::new("SCHEDOP_block").check(ret).map(drop)
}

/// Waits until one of `ports` is pending, masked or not, or system time reaches `deadline`; for ever
/// if there is none. Needs no upcall, and so no interrupt handler: it is how a kernel waits early
/// in its start and in the middle of a suspend.
///
/// No upcall may handle a port that is waited for here: the handler clears the event first, and the
/// wait goes on, as if the other side had not answered. Leave the port masked.
///
/// # Errors
/// Xen's: `EINVAL` for a port that is not open, or more than 128 ports. `EBADF` for a port of
/// before a restore.
#[doc(alias = "SCHEDOP_poll")]
pub fn poll(ports: &[Port], deadline: Option<SystemTime>) -> Result<()> {
    let call = Call::new("SCHEDOP_poll");
    let mut numbers = [0; MOST_POLLED];
    let too_many = HypercallError {
        call,
        errno: Errno::EINVAL,
    };
    let numbers = numbers.get_mut(..ports.len()).ok_or(too_many)?;
    for (number, port) in numbers.iter_mut().zip(ports) {
        (*number, _) = port.for_call("SCHEDOP_poll")?;
    }
    let mut arg = ffi::sched_poll {
        nr_ports: ports.len() as core::ffi::c_uint,
        // Xen takes a zero for no deadline.
        timeout: deadline.map_or(0, |at| at.0.max(1)),
        ..Default::default()
    };
    arg.ports.p = numbers.as_mut_ptr();
    // SAFETY: `arg` and the array it names live across the call, which only reads them.
    let ret =
        unsafe { hypercall2::<OP>(ffi::SCHEDOP_poll as usize, ptr::from_mut(&mut arg) as usize) };
    call.check(ret).map(drop)
}

/// Why a domain goes, as its toolstack is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// It has ended.
    #[doc(alias = "SHUTDOWN_poweroff")]
    Poweroff,
    /// Start it again.
    #[doc(alias = "SHUTDOWN_reboot")]
    Reboot,
    /// It is broken.
    #[doc(alias = "SHUTDOWN_crash")]
    Crash,
}

impl Shutdown {
    fn code(self) -> (u32, &'static str) {
        match self {
            Self::Poweroff => (ffi::SHUTDOWN_poweroff, "poweroff"),
            Self::Reboot => (ffi::SHUTDOWN_reboot, "reboot"),
            Self::Crash => (ffi::SHUTDOWN_crash, "crash"),
        }
    }
}

/// Ends the domain. Comes back only if Xen refuses, or if the toolstack resumes the domain all the
/// same.
///
/// # Errors
/// Xen's.
#[doc(alias = "SCHEDOP_shutdown")]
pub fn shutdown(reason: Shutdown) -> Result<()> {
    let (code, name) = reason.code();
    let mut arg = ffi::sched_shutdown { reason: code };
    // SAFETY: `arg` lives across the call, which only reads it.
    let ret = unsafe {
        hypercall2::<OP>(
            ffi::SCHEDOP_shutdown as usize,
            ptr::from_mut(&mut arg) as usize,
        )
    };
    Call::on("SCHEDOP_shutdown", Subject::Name(name))
        .check(ret)
        .map(drop)
}

/// Suspends the domain. Returns what Xen, or the toolstack, left in the return register.
///
/// This is the bare call, for the suspend sequence of the `migration` crate, which takes the proofs
/// that it must not be made without, and whose `Outcome::decode` says what the value means.
///
/// `start_info_mfn` is what a PV guest must pass: the machine frame of its `start_info` page (third
/// argument, `edx`/`rdx`; tools/libs/guest/xg_sr_save_x86_pv.c). A PVH guest passes 0.
///
/// # Errors
/// Xen's. The domain was not suspended then.
///
/// # Safety
/// - The caller is vCPU 0, interrupts are off, and no other vCPU runs code that a restore would
///   break.
/// - On return 0 everything that Xen does not carry over is gone: the shared-info mapping,
///   `vcpu_info` places, event channels, grant mappings, timers; a PV guest's machine frame numbers
///   all differ. No reference to any such memory may be used until it is set up again.
/// - In a PV guest no page table holds what Xen's save drops or mistypes.
#[doc(alias = "SHUTDOWN_suspend")]
pub unsafe fn suspend(start_info_mfn: usize) -> Result<usize> {
    let mut arg = ffi::sched_shutdown {
        reason: ffi::SHUTDOWN_suspend,
    };
    // SAFETY: `arg` lives across the call, which only reads it; the rest is the caller's contract.
    let ret = unsafe {
        hypercall3::<OP>(
            ffi::SCHEDOP_shutdown as usize,
            ptr::from_mut(&mut arg) as usize,
            start_info_mfn,
        )
    };
    Call::on("SCHEDOP_shutdown", Subject::Name("suspend")).check(ret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::double;
    use std::string::ToString;

    #[test]
    fn suspend_passes_the_start_info_frame_third_and_returns_what_xen_says() {
        for (said, want) in [(0, Ok(0)), (1, Ok(1))] {
            let xen = move |nr: u32, args: &[usize]| {
                assert_eq!(nr, 29);
                assert_eq!((args[0], args[2], args.len()), (2, 0x1234, 3));
                // SAFETY: the wrapper passes a sched_shutdown that lives during the call.
                assert_eq!(unsafe { *(args[1] as *const u32) }, 2);
                said
            };
            // SAFETY: a host build suspends nothing.
            assert_eq!(double::with(xen, || unsafe { suspend(0x1234) }), want);
        }
        // SAFETY: as above.
        let error = double::with(|_, _| -1, || unsafe { suspend(0) }).unwrap_err();
        assert_eq!(error.to_string(), "SCHEDOP_shutdown(suspend): EPERM (1)");
    }

    #[test]
    fn shutdown_and_poll_pass_their_arguments() {
        let xen = |_: u32, args: &[usize]| {
            // SAFETY: the wrapper passes a sched_shutdown that lives during the call.
            let reason = unsafe { *(args[1] as *const u32) };
            -(reason as isize)
        };
        double::with(xen, || {
            assert_eq!(shutdown(Shutdown::Poweroff), Ok(()));
            assert_eq!(shutdown(Shutdown::Reboot).unwrap_err().errno.number(), 1);
            assert_eq!(shutdown(Shutdown::Crash).unwrap_err().errno.number(), 3);
        });
        let xen = |_: u32, args: &[usize]| {
            assert_eq!(args[0], 3);
            // SAFETY: the wrapper passes a sched_poll, and it two ports, that live during the call.
            let (arg, ports) = unsafe {
                let arg = *(args[1] as *const ffi::sched_poll);
                (arg, std::slice::from_raw_parts(arg.ports.p, 2))
            };
            assert_eq!((arg.nr_ports, arg.timeout, ports), (2, 99, &[4, 7][..]));
            0
        };
        double::with(xen, || {
            assert_eq!(
                poll(&[Port::new(4), Port::new(7)], Some(SystemTime(99))),
                Ok(())
            )
        });
    }
}
