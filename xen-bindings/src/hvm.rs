//! Parameters of an HVM or PVH domain, and how its events are delivered: `public/hvm/params.h` and
//! `hvm_op.h`.
//!
//! A save carries the store's and console's frames, but neither `CALLBACK_IRQ` nor any vCPU's
//! upcall vector; the store's and console's ports are new after a restore.

use crate::event_channel::Port;
use crate::frame::{DomainId, Gfn};
use crate::hypercall::hypercall2;
use crate::{ffi, Call, Result, Subject};
use core::ptr;

const OP: u32 = ffi::__HYPERVISOR_hvm_op;

/// A parameter that a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// How a pending event interrupts the domain. A value that is not zero is also what the
    /// toolstack takes as leave to write 1 as the return value of a cancelled suspend
    /// (`modify_returncode`, `tools/libs/guest/xg_resume.c`): set it in each new domain, to 1 if the
    /// vCPUs have upcall vectors. And setting it makes Xen note the word size of the calling mode as
    /// that of shared-info (a new or restored domain counts as 64-bit).
    #[doc(alias = "HVM_PARAM_CALLBACK_IRQ")]
    CallbackIrq,
    /// The frame of the xenstore ring.
    #[doc(alias = "HVM_PARAM_STORE_PFN")]
    StorePfn,
    /// The port of the xenstore ring.
    #[doc(alias = "HVM_PARAM_STORE_EVTCHN")]
    StoreEvtchn,
    /// The frame of the console ring.
    #[doc(alias = "HVM_PARAM_CONSOLE_PFN")]
    ConsolePfn,
    /// The port of the console ring.
    #[doc(alias = "HVM_PARAM_CONSOLE_EVTCHN")]
    ConsoleEvtchn,
}

impl Param {
    fn index(self) -> (u32, &'static str) {
        match self {
            Self::CallbackIrq => (ffi::HVM_PARAM_CALLBACK_IRQ, "CALLBACK_IRQ"),
            Self::StorePfn => (ffi::HVM_PARAM_STORE_PFN, "STORE_PFN"),
            Self::StoreEvtchn => (ffi::HVM_PARAM_STORE_EVTCHN, "STORE_EVTCHN"),
            Self::ConsolePfn => (ffi::HVM_PARAM_CONSOLE_PFN, "CONSOLE_PFN"),
            Self::ConsoleEvtchn => (ffi::HVM_PARAM_CONSOLE_EVTCHN, "CONSOLE_EVTCHN"),
        }
    }
}

fn param(cmd: u32, op: &'static str, which: Param, value: u64) -> Result<u64> {
    let (index, name) = which.index();
    let mut arg = ffi::xen_hvm_param {
        domid: DomainId::SELF.0,
        pad: 0,
        index,
        value,
    };
    // SAFETY: `arg` is what both operations take, and lives across the call.
    let ret = unsafe { hypercall2::<OP>(cmd as usize, ptr::from_mut(&mut arg) as usize) };
    Call::on(op, Subject::Name(name)).check(ret)?;
    Ok(arg.value)
}

/// Sets a parameter of this domain.
///
/// # Errors
/// Xen's: `EPERM` for one that is not the guest's to set, `EINVAL` for a value out of range.
#[doc(alias = "HVMOP_set_param")]
pub fn set_param(which: Param, value: u64) -> Result<()> {
    param(ffi::HVMOP_set_param, "HVMOP_set_param", which, value).map(drop)
}

/// Reads a parameter of this domain.
///
/// # Errors
/// Xen's.
#[doc(alias = "HVMOP_get_param")]
pub fn get_param(which: Param) -> Result<u64> {
    param(ffi::HVMOP_get_param, "HVMOP_get_param", which, 0)
}

/// A value for [`Param::CallbackIrq`]: events raise interrupt `vector` on every vCPU, without an
/// acknowledgement at the local APIC.
#[doc(alias = "HVM_PARAM_CALLBACK_TYPE_VECTOR")]
#[must_use]
pub const fn callback_vector(vector: u8) -> u64 {
    ((ffi::HVM_PARAM_CALLBACK_TYPE_VECTOR as u64) << 56) | vector as u64
}

/// Raises interrupt `vector` on `vcpu` for its events, through its local APIC, which must be
/// enabled and wants an acknowledgement (EOI). Takes the place of [`Param::CallbackIrq`]'s vector
/// on that vCPU.
///
/// # Errors
/// Xen's: `EINVAL` for a vector below 0x10, `ENOENT` for a vCPU the domain does not have.
#[doc(alias = "HVMOP_set_evtchn_upcall_vector")]
pub fn set_upcall_vector(vcpu: u32, vector: u8) -> Result<()> {
    let mut arg = ffi::xen_hvm_evtchn_upcall_vector { vcpu, vector };
    // SAFETY: `arg` is what the operation takes, and lives across the call.
    let ret = unsafe {
        hypercall2::<OP>(
            ffi::HVMOP_set_evtchn_upcall_vector as usize,
            ptr::from_mut(&mut arg) as usize,
        )
    };
    Call::on("HVMOP_set_evtchn_upcall_vector", Subject::Vcpu(vcpu))
        .check(ret)
        .map(drop)
}

/// Where a ring is and whom to notify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The frame of the ring's page.
    pub frame: Gfn,
    /// The port.
    pub port: Port,
}

fn ring(frame: Param, port: Param) -> Result<Option<Ring>> {
    let (frame, port) = (get_param(frame)?, get_param(port)?);
    // Zero is a parameter that nobody has set; a number that does not fit is no frame of this
    // guest.
    Ok(match (usize::try_from(frame), u32::try_from(port)) {
        (Ok(frame @ 1..), Ok(port @ 1..)) => Some(Ring {
            frame: Gfn(frame),
            port: Port::new(port),
        }),
        _ => None,
    })
}

/// The xenstore ring; none if the toolstack gave the domain none.
///
/// # Errors
/// Xen's.
pub fn store_ring() -> Result<Option<Ring>> {
    ring(Param::StorePfn, Param::StoreEvtchn)
}

/// The console ring; none if the toolstack gave the domain none.
///
/// # Errors
/// Xen's.
pub fn console_ring() -> Result<Option<Ring>> {
    ring(Param::ConsolePfn, Param::ConsoleEvtchn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::double;
    use std::string::ToString;

    #[test]
    fn an_error_names_the_parameter() {
        let error = double::with(|_, _| -22, || set_param(Param::CallbackIrq, 1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "HVMOP_set_param(CALLBACK_IRQ): EINVAL (22)"
        );
    }

    #[test]
    fn a_callback_vector_has_type_2() {
        assert_eq!(callback_vector(0xf3), 0x0200_0000_0000_00f3);
    }

    #[test]
    fn rings_come_from_their_parameters_and_zero_is_none() {
        let xen = |nr: u32, args: &[usize]| {
            assert_eq!((nr, args[0]), (34, 1));
            // SAFETY: the wrapper passes a structure that lives during the call, by exclusive
            // reference.
            let arg = unsafe { &mut *(args[1] as *mut ffi::xen_hvm_param) };
            assert_eq!(arg.domid, 0x7ff0);
            arg.value = match arg.index {
                1 => 0xfeffc,
                2 => 1,
                _ => 0,
            };
            0
        };
        double::with(xen, || {
            let ring = Ring {
                frame: Gfn(0xfeffc),
                port: Port::new(1),
            };
            assert_eq!(store_ring(), Ok(Some(ring)));
            assert_eq!(console_ring(), Ok(None));
        });
    }
}
