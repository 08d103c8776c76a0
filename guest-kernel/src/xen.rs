//! What the guest asks of Xen, in the guest's own words. The calls themselves are `xen-bindings`'.

use spin::Once;
use xen_bindings::cpuid::{Leaves, Version};
use xen_bindings::{ffi, HypercallError};

use migration::Outcome;

use crate::arch::{self, cpu, traps, xen_raw as raw};
use crate::pool::Proof;
use crate::{cmdline, console, report};

static LEAVES: Once<Leaves> = Once::new();
static MAX_VCPUS: Once<usize> = Once::new();

/// Why there is no connection to Xen.
#[derive(Debug)]
pub enum ConnectError {
    /// No hypercall page.
    Install(xen_bindings::pvh::InstallError),
    /// A call failed.
    Call(HypercallError),
}

impl core::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ConnectError::Install(e) => e.fmt(f),
            ConnectError::Call(e) => e.fmt(f),
        }
    }
}

impl From<HypercallError> for ConnectError {
    fn from(error: HypercallError) -> Self {
        ConnectError::Call(error)
    }
}

/// Sets up the hypercall page, the word size and the shared-info page. Once, on vCPU 0.
pub fn connect() -> Result<(), ConnectError> {
    let leaves = arch::install_hypercalls().map_err(ConnectError::Install)?;
    LEAVES.call_once(|| leaves);
    if !cmdline::options().switches.no_cancel_trick() {
        latch_word_size()?;
    }
    map_shared_info()?;
    MAX_VCPUS.call_once(raw::count_vcpus);
    Ok(())
}

/// Sets `HVM_PARAM_CALLBACK_IRQ` to 1. It delivers nothing (type 0, GSI 1: a PVH guest has no interrupt
/// controller for it), and does two things the guest needs:
/// - Xen takes the word size of the shared-info page from the caller's mode now (`hvmop_set_param`,
///   `xen/arch/x86/hvm/hvm.c`); a restored domain begins as a 64-bit one.
/// - xl's tools report a cancelled suspend only if it is not zero (`modify_returncode`, `tools/libs/guest/xg_resume.c`).
pub fn latch_word_size() -> Result<(), HypercallError> {
    raw::set_param(ffi::HVM_PARAM_CALLBACK_IRQ, 1, "CALLBACK_IRQ")
}

/// Maps the shared-info page where the kernel looks for it.
pub fn map_shared_info() -> Result<(), HypercallError> {
    raw::map_shared_info()
}

/// Has Xen deliver vCPU `cpu`'s events as an interrupt.
pub fn set_upcall_vector(cpu: usize) -> Result<(), HypercallError> {
    raw::set_upcall_vector(cpu, traps::UPCALL_VECTOR)
}

pub use raw::{bind_ipi, bind_timer, close, mask_all, send, set_timer, stop_timer, take_pending, unmask, vcpu_down, vcpu_is_up, vcpu_up, yield_cpu};

/// Has Xen start vCPU `cpu` at the entry code. It is no error if Xen has a state of it already.
pub fn vcpu_initialise(cpu: usize) -> Result<(), HypercallError> {
    match raw::vcpu_initialise(cpu, arch::secondary_entry()) {
        Err(error) if error.errno == xen_bindings::Errno::EEXIST => Ok(()),
        other => other,
    }
}

/// How many vCPUs the domain can have, of which the kernel can run [`cpu::MAX_CPUS`].
pub fn max_vcpus() -> usize {
    MAX_VCPUS.get().copied().unwrap_or(1).min(cpu::MAX_CPUS)
}

/// Xen's system time: nanoseconds since the host booted.
pub fn system_time() -> u64 {
    raw::system_time(cpu::id())
}

/// Xen's version.
pub fn version() -> Version {
    LEAVES.get().map_or(Version { major: 0, minor: 0 }, |leaves| leaves.version())
}

/// This domain's number now.
pub fn domid() -> u32 {
    LEAVES.get().and_then(|leaves| leaves.hvm()).and_then(|info| info.domid).unwrap_or(0)
}

/// How often this domain was restored.
pub fn incarnation() -> u32 {
    LEAVES.get().and_then(|leaves| leaves.time()).map_or(0, |time| time.incarnation)
}

/// Suspends the domain. The proof is asked for, not used: without one this cannot be called.
pub fn suspend(_proof: &Proof) -> Result<Outcome, HypercallError> {
    let returned = raw::shutdown(ffi::SHUTDOWN_suspend);
    xen_bindings::Call::new("SCHEDOP_shutdown(suspend)").check(returned)?;
    Ok(Outcome::from_hypercall(returned as i64).unwrap_or(Outcome::Cancelled))
}

/// How the guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Off.
    Poweroff,
    /// Off, and the toolstack starts it again.
    Reboot,
    /// The kernel is lost.
    Crash,
}

/// Ends the domain.
pub fn end(how: End) -> ! {
    let (word, reason) = match how {
        End::Poweroff => ("poweroff", ffi::SHUTDOWN_poweroff),
        End::Reboot => ("reboot", ffi::SHUTDOWN_reboot),
        End::Crash => ("crash", ffi::SHUTDOWN_crash),
    };
    report::event("end").text("why", word).send();
    console::flush(crate::time::now() + 1_000_000_000);
    raw::shutdown(reason);
    cpu::stop()
}
pub fn connect_rings() -> Result<(), HypercallError> { raw::con_connect() }
