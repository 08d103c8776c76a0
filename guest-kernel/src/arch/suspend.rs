//! The suspend call, and the step before it.

use xen_bindings::{sched, HypercallError, Result};

use super::mode::is_pv;
use super::pv::m2p;
use super::pv::start_info::{self, NotOurs};
use super::shared_info;

/// Can the domain be described for a save?
pub fn check_size() -> core::result::Result<(), m2p::TooMuchMemory> {
    if is_pv() {
        m2p::check_size()
    } else {
        Ok(())
    }
}

/// Holding one shows that the domain is as Xen's tools want to find it: shared-info unmapped, frame
/// numbers of its own in `start_info`. PV only.
#[derive(Debug)]
pub struct Away(start_info::Frames);

/// Why the domain cannot be left as Xen's tools want to find it.
#[derive(Clone, Copy, Debug)]
pub enum CannotStepAway {
    /// A frame in `start_info` is not ours.
    Frame(NotOurs),
    /// Xen refused a call.
    Xen(HypercallError),
}

/// The last step before the suspend call: nothing is left to do under PVH.
///
/// # Errors
/// If a frame in `start_info` is not the domain's, or Xen's; then nothing has changed.
pub fn step_away() -> core::result::Result<Option<Away>, CannotStepAway> {
    if !is_pv() {
        return Ok(None);
    }
    let frames = start_info::translate().map_err(CannotStepAway::Frame)?;
    shared_info::unmap().map_err(CannotStepAway::Xen)?;
    Ok(Some(Away(frames.write())))
}

impl Away {
    /// Writes `start_info` back, in the same domain; shared-info is the caller's to map. In a new
    /// domain Xen's tools have written it anew.
    pub fn write_back(self) {
        self.0.write_back();
    }
}

/// Suspends the domain; gives what the call returned.
///
/// The proof is not looked at: having to show one is its use.
pub fn call(_proof: &pagetable_pool::Drained<'static>) -> Result<usize> {
    let start_info = if is_pv() {
        m2p::machine(start_info::own_frame()).0
    } else {
        0
    };
    // SAFETY: called by `crate::suspend` alone, on vCPU 0, in the step in which the others are
    // parked, interrupts are off, and the clock is frozen; what is lost is set up again in
    // `reattach` before it is used.
    unsafe { sched::suspend(start_info) }
}
