//! The suspend call, and the step before it.

use pagetable_pool::Drained;
use xen_bindings::{sched, HypercallError, Result};

use super::cpu::CpuGuard;
use super::mode::is_pv;
use super::park::Parked;
use super::pv::m2p;
use super::pv::start_info;
use super::shared_info;

pub use super::pv::m2p::TooMuchMemory;
pub use super::pv::start_info::NotOurs;

/// Can the domain be described for a save?
pub fn check_size() -> core::result::Result<(), TooMuchMemory> {
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

/// Suspends the domain; gives what the call returned. On vCPU 0.
///
/// The evidence is not looked at: that a caller can show it is its use. No set is cached, no other
/// vCPU runs more than the loop in which it is parked, and no handler comes between.
pub fn call(_: &Drained<'_>, _: &Parked, alone: &CpuGuard) -> Result<usize> {
    assert!(alone.cpu() == 0, "only vCPU 0 can suspend the domain");
    let start_info = if is_pv() {
        m2p::machine(start_info::own_frame()).0
    } else {
        0
    };
    // SAFETY: vCPU 0, interrupts off, the others parked, says the evidence. Nothing that a restore
    // takes away is memory that Rust code has a reference to: shared-info and the rings are seen
    // through atomics at places that stay, and what is read there is nobody's index before it was
    // checked. What Xen does not accept in a page table it refuses, or the domain is not restored.
    unsafe { sched::suspend(start_info) }
}
