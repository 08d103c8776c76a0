//! Event channels: making, binding and signalling them. `public/event_channel.h`.
//!
//! A restore closes every channel of the domain; after a cancelled suspend they are all as before.
//! Finding what is pending is in [`crate::two_level`], or in [`crate::fifo`] where that was chosen.

use crate::frame::{DomainId, Gfn};
use crate::hypercall::hypercall2;
use crate::{ffi, Call, Errno, HypercallError, Result, Subject};
use core::fmt;
use core::ptr;

/// One end of an event channel, in this domain, and the domain's incarnation in which it was named.
///
/// A restore closes every channel, and the new ones get the same numbers again. So a port that was
/// named before is refused with
/// [`EBADF`](crate::Errno::EBADF) and no call is made: it would act on the number's new owner. Holding one does not prove
/// that it is open.
#[doc(alias = "evtchn_port_t")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    number: ffi::evtchn_port_t,
    incarnation: u32,
}

impl Port {
    /// Names a port of the present incarnation.
    #[must_use]
    pub fn new(number: ffi::evtchn_port_t) -> Self {
        Self {
            number,
            incarnation: incarnation::now(),
        }
    }

    /// The number that Xen knows it by.
    #[must_use]
    pub const fn number(self) -> ffi::evtchn_port_t {
        self.number
    }

    /// Whether it was named since the last restore.
    #[must_use]
    pub fn is_current(self) -> bool {
        self.incarnation == incarnation::now()
    }

    /// The number, for `call`, unless it is stale.
    pub(crate) fn for_call(self, name: &'static str) -> Result<(ffi::evtchn_port_t, Call)> {
        let call = Call::on(name, Subject::Port(self.number));
        if self.is_current() {
            return Ok((self.number, call));
        }
        Err(HypercallError {
            call,
            errno: Errno::EBADF,
        })
    }
}

/// Tells this module that the domain was restored, or migrated: every port named until now is
/// stale. To be called on the way back, before the first new port is made.
pub fn restored() {
    incarnation::next();
}

/// How often the domain was restored, for ports.
mod incarnation {
    #[cfg(not(test))]
    mod count {
        use core::sync::atomic::{AtomicU32, Ordering};

        static COUNT: AtomicU32 = AtomicU32::new(0);

        // Relaxed: handing a port to another CPU needs an order of its own, and during a restore
        // only one CPU runs.
        pub fn now() -> u32 {
            COUNT.load(Ordering::Relaxed)
        }

        pub fn next() {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub use count::{next, now};

    /// Each test thread is a domain of its own.
    #[cfg(test)]
    mod count {
        use core::cell::Cell;

        std::thread_local!(static COUNT: Cell<u32> = const { Cell::new(0) });

        pub fn now() -> u32 {
            COUNT.get()
        }

        pub fn next() {
            COUNT.set(COUNT.get() + 1);
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.number)
    }
}

/// A virtual interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Virq {
    /// The one-shot or periodic timer of a vCPU.
    #[doc(alias = "VIRQ_TIMER")]
    Timer,
    /// Somebody asked for debugging output (`xl debug-keys q`); goes to vCPU 0's binding and
    /// others.
    #[doc(alias = "VIRQ_DEBUG")]
    Debug,
}

impl Virq {
    fn number(self) -> u32 {
        match self {
            Self::Timer => ffi::VIRQ_TIMER,
            Self::Debug => ffi::VIRQ_DEBUG,
        }
    }
}

/// What a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not in use.
    Closed,
    /// Waits for `remote` to connect.
    Unbound {
        /// Who may connect.
        remote: DomainId,
    },
    /// Connected to another domain's port.
    Interdomain {
        /// The other domain.
        remote: DomainId,
        /// Its port.
        port: Port,
    },
    /// A physical interrupt, by number.
    Pirq(u32),
    /// A virtual interrupt, by number.
    Virq(u32),
    /// An interrupt between this domain's vCPUs.
    Ipi,
    /// A number that the headers do not have.
    Unknown(u32),
}

fn op<T>(cmd: u32, call: Call, arg: &mut T) -> Result<()> {
    // SAFETY: every caller in this module passes the structure that the operation takes.
    let ret = unsafe {
        hypercall2::<{ ffi::__HYPERVISOR_event_channel_op }>(
            cmd as usize,
            ptr::from_mut(arg) as usize,
        )
    };
    call.check(ret).map(drop)
}

/// Binds `virq` of `vcpu` to a new port, delivered to that vCPU for good.
///
/// # Errors
/// Xen's: `EEXIST` if it is bound already, `ENOENT` for a vCPU the domain does not have.
#[doc(alias = "EVTCHNOP_bind_virq")]
pub fn bind_virq(virq: Virq, vcpu: u32) -> Result<Port> {
    let mut arg = ffi::evtchn_bind_virq {
        virq: virq.number(),
        vcpu,
        port: 0,
    };
    let call = Call::on("EVTCHNOP_bind_virq", Subject::Vcpu(vcpu));
    op(ffi::EVTCHNOP_bind_virq, call, &mut arg)?;
    Ok(Port::new(arg.port))
}

/// Makes a new port that interrupts `vcpu` when any vCPU of this domain sends to it.
///
/// # Errors
/// Xen's: `ENOENT` for a vCPU the domain does not have, `ENOSPC` when all ports are in use.
#[doc(alias = "EVTCHNOP_bind_ipi")]
pub fn bind_ipi(vcpu: u32) -> Result<Port> {
    let mut arg = ffi::evtchn_bind_ipi { vcpu, port: 0 };
    let call = Call::on("EVTCHNOP_bind_ipi", Subject::Vcpu(vcpu));
    op(ffi::EVTCHNOP_bind_ipi, call, &mut arg)?;
    Ok(Port::new(arg.port))
}

/// Makes a new port that `remote` may connect to.
///
/// # Errors
/// Xen's: `ENOSPC` when all ports are in use.
#[doc(alias = "EVTCHNOP_alloc_unbound")]
pub fn alloc_unbound(remote: DomainId) -> Result<Port> {
    let mut arg = ffi::evtchn_alloc_unbound {
        dom: DomainId::SELF.0,
        remote_dom: remote.0,
        port: 0,
    };
    let call = Call::on("EVTCHNOP_alloc_unbound", Subject::Number(remote.0.into()));
    op(ffi::EVTCHNOP_alloc_unbound, call, &mut arg)?;
    Ok(Port::new(arg.port))
}

/// Delivers `port` to `vcpu` from now on. For interdomain ports; an IPI's or per-vCPU VIRQ's port
/// stays.
///
/// # Errors
/// Xen's: `EINVAL` for a kind of port that cannot move. `EBADF` for one of before a restore.
#[doc(alias = "EVTCHNOP_bind_vcpu")]
pub fn bind_vcpu(port: Port, vcpu: u32) -> Result<()> {
    let (port, call) = port.for_call("EVTCHNOP_bind_vcpu")?;
    let mut arg = ffi::evtchn_bind_vcpu { port, vcpu };
    op(ffi::EVTCHNOP_bind_vcpu, call, &mut arg)
}

/// Sends an event.
///
/// # Errors
/// Xen's: `EINVAL` for a port that is not open. `EBADF` for one of before a restore.
#[doc(alias = "EVTCHNOP_send")]
pub fn send(port: Port) -> Result<()> {
    let (port, call) = port.for_call("EVTCHNOP_send")?;
    let mut arg = ffi::evtchn_send { port };
    op(ffi::EVTCHNOP_send, call, &mut arg)
}

/// Closes a port.
///
/// # Errors
/// Xen's: `EINVAL` for a port that is not open. `EBADF` for one of before a restore.
#[doc(alias = "EVTCHNOP_close")]
pub fn close(port: Port) -> Result<()> {
    let (port, call) = port.for_call("EVTCHNOP_close")?;
    let mut arg = ffi::evtchn_close { port };
    op(ffi::EVTCHNOP_close, call, &mut arg)
}

/// Clears the port's mask, and has Xen deliver it if it is pending. The way that works for every
/// vCPU and every kind of guest; [`two_level::unmask`](crate::two_level::unmask) spares the call
/// when nothing is pending.
///
/// # Errors
/// Xen's: `EINVAL` for a port that is not open. `EBADF` for one of before a restore.
#[doc(alias = "EVTCHNOP_unmask")]
pub fn unmask(port: Port) -> Result<()> {
    let (port, call) = port.for_call("EVTCHNOP_unmask")?;
    let mut arg = ffi::evtchn_unmask { port };
    op(ffi::EVTCHNOP_unmask, call, &mut arg)
}

/// What a port is, and the vCPU it is delivered to.
///
/// # Errors
/// Xen's: `EINVAL` for a number that can be no port. `EBADF` for one of before a restore.
#[doc(alias = "EVTCHNOP_status")]
pub fn status(port: Port) -> Result<(Status, u32)> {
    let (port, call) = port.for_call("EVTCHNOP_status")?;
    let mut arg = ffi::evtchn_status {
        dom: DomainId::SELF.0,
        port,
        ..Default::default()
    };
    op(ffi::EVTCHNOP_status, call, &mut arg)?;
    // SAFETY: every member of the union is made of plain integers and the structure was zeroed, so
    // that each of them is initialised whatever Xen wrote; `status` says which one means something.
    let status = unsafe {
        match arg.status {
            ffi::EVTCHNSTAT_closed => Status::Closed,
            ffi::EVTCHNSTAT_unbound => Status::Unbound {
                remote: DomainId(arg.u.unbound.dom),
            },
            ffi::EVTCHNSTAT_interdomain => Status::Interdomain {
                remote: DomainId(arg.u.interdomain.dom),
                port: Port::new(arg.u.interdomain.port),
            },
            ffi::EVTCHNSTAT_pirq => Status::Pirq(arg.u.pirq),
            ffi::EVTCHNSTAT_virq => Status::Virq(arg.u.virq),
            ffi::EVTCHNSTAT_ipi => Status::Ipi,
            other => Status::Unknown(other),
        }
    };
    Ok((status, arg.vcpu))
}

/// Gives `vcpu` a control block for [FIFO event channels](crate::fifo), at `offset` in `frame`. The
/// first call has the whole domain use them, until a restore. `frame` is a machine frame under PV.
///
/// # Errors
/// Xen's: `ENOSYS` if it has none (before 4.4, and Xen's own PV shim), `EINVAL` for a vCPU that has a
/// control block, `ENOENT` for one that the domain does not have.
///
/// # Safety
/// A [`ControlBlock`](crate::fifo::ControlBlock) is there, cleared, and stays there as long as the
/// domain lives.
#[doc(alias = "EVTCHNOP_init_control")]
pub unsafe fn init_control(vcpu: u32, frame: Gfn, offset: usize) -> Result<()> {
    let mut arg = ffi::evtchn_init_control {
        control_gfn: frame.0 as u64,
        offset: offset as u32,
        vcpu,
        ..Default::default()
    };
    let call = Call::on("EVTCHNOP_init_control", Subject::Vcpu(vcpu));
    op(ffi::EVTCHNOP_init_control, call, &mut arg)
}

/// Adds a page to the event array of [FIFO event channels](crate::fifo): the words of the next 1024
/// ports. Xen then links those that are pending and not masked. `frame` is a machine frame under PV.
///
/// # Errors
/// Xen's: `EOPNOTSUPP` before [`init_control`], `ENOSPC` if there are pages for all ports.
///
/// # Safety
/// An [`ArrayPage`](crate::fifo::ArrayPage) is there, with all ports masked, and stays there as long
/// as the domain lives.
#[doc(alias = "EVTCHNOP_expand_array")]
pub unsafe fn expand_array(frame: Gfn) -> Result<()> {
    let mut arg = ffi::evtchn_expand_array {
        array_gfn: frame.0 as u64,
    };
    let call = Call::new("EVTCHNOP_expand_array");
    op(ffi::EVTCHNOP_expand_array, call, &mut arg)
}

/// Puts a port's events into queue `priority` from now on, 0 (first) to 15, with
/// [FIFO event channels](crate::fifo).
///
/// # Errors
/// Xen's: `EINVAL` for a port that is not open, or another priority. `EBADF` for a port of before a
/// restore.
#[doc(alias = "EVTCHNOP_set_priority")]
pub fn set_priority(port: Port, priority: u32) -> Result<()> {
    let (port, call) = port.for_call("EVTCHNOP_set_priority")?;
    let mut arg = ffi::evtchn_set_priority { port, priority };
    op(ffi::EVTCHNOP_set_priority, call, &mut arg)
}

/// Closes every port of this domain, the console's and xenstore's among them.
///
/// # Errors
/// Xen's.
#[doc(alias = "EVTCHNOP_reset")]
pub fn reset() -> Result<()> {
    let mut arg = ffi::evtchn_reset {
        dom: DomainId::SELF.0,
    };
    op(ffi::EVTCHNOP_reset, Call::new("EVTCHNOP_reset"), &mut arg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::double;
    use std::string::ToString;

    #[test]
    fn bind_ipi_returns_the_port_xen_wrote_and_errors_name_the_vcpu() {
        let xen = |nr: u32, args: &[usize]| {
            assert_eq!((nr, args[0]), (32, 7));
            // SAFETY: the wrapper passes a structure that lives during the call, by exclusive
            // reference.
            let arg = unsafe { &mut *(args[1] as *mut ffi::evtchn_bind_ipi) };
            if arg.vcpu > 3 {
                return -2;
            }
            arg.port = 40 + arg.vcpu;
            0
        };
        double::with(xen, || {
            assert_eq!(bind_ipi(2), Ok(Port::new(42)));
            assert_eq!(
                bind_ipi(4).unwrap_err().to_string(),
                "EVTCHNOP_bind_ipi(vcpu 4): ENOENT (2)"
            );
        });
    }

    #[test]
    fn a_port_of_before_a_restore_is_refused_without_a_call() {
        let calls = std::rc::Rc::new(std::cell::Cell::new(0));
        let counted = calls.clone();
        let xen = move |_: u32, _: &[usize]| {
            counted.set(counted.get() + 1);
            0
        };
        let before = Port::new(5);
        double::with(xen, || {
            assert_eq!(send(before), Ok(()));
            restored();
            let mine = Port::new(5);
            assert_ne!(before, mine);
            let error = send(before).unwrap_err();
            assert_eq!(error.to_string(), "EVTCHNOP_send(port 5): EBADF (9)");
            for refused in [close(before), unmask(before), bind_vcpu(before, 1)] {
                assert_eq!(refused.unwrap_err().errno, Errno::EBADF);
            }
            assert!(status(before).is_err());
            assert_eq!(send(mine), Ok(()));
        });
        assert_eq!(calls.get(), 2);
    }

    #[test]
    fn status_reads_the_member_that_counts() {
        let xen = |_: u32, args: &[usize]| {
            // SAFETY: the wrapper passes a structure that lives during the call, by exclusive
            // reference.
            let arg = unsafe { &mut *(args[1] as *mut ffi::evtchn_status) };
            assert_eq!(arg.dom, 0x7ff0);
            arg.vcpu = 1;
            arg.status = arg.port;
            match arg.port {
                2 => {
                    arg.u.interdomain.dom = 5;
                    arg.u.interdomain.port = 77;
                }
                4 => arg.u.virq = 1,
                _ => {}
            }
            0
        };
        double::with(xen, || {
            assert_eq!(status(Port::new(0)), Ok((Status::Closed, 1)));
            let remote = DomainId(5);
            assert_eq!(
                status(Port::new(2)),
                Ok((
                    Status::Interdomain {
                        remote,
                        port: Port::new(77)
                    },
                    1
                ))
            );
            assert_eq!(status(Port::new(4)), Ok((Status::Virq(1), 1)));
            assert_eq!(status(Port::new(5)), Ok((Status::Ipi, 1)));
            assert_eq!(status(Port::new(9)), Ok((Status::Unknown(9), 1)));
        });
    }
}
