//! What the guest asks of Xen, in the guest's own words. The calls themselves are `xen-bindings`'.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use kernel_glue::insist::insist;
use kernel_glue::time::SystemTime;
use pagetable_pool::Drained;
use spin::Once;
use xen_bindings::cpuid::{Leaves, Version};
use xen_bindings::hvm::{self, Param};
use xen_bindings::sched;
use xen_bindings::{ffi, pvh, vcpu, Errno, HypercallError, Result};

use crate::arch::cpu::CpuGuard;
use crate::arch::park::Parked;
pub use crate::arch::vcpu::InitialiseError;
use crate::arch::{self, apic, areas, cpu, vectors};
use crate::cmdline;

static LEAVES: Once<Leaves> = Once::new();
static MAX_VCPUS: AtomicUsize = AtomicUsize::new(1);

/// Sets up the hypercall page. Before anything else, on vCPU 0.
pub fn install() -> core::result::Result<(), pvh::InstallError> {
    let leaves = arch::host::install_hypercalls()?;
    LEAVES.call_once(|| leaves);
    Ok(())
}

/// Sets up the word size and the shared-info page. Once, on vCPU 0.
pub fn connect() -> Result<()> {
    if !arch::is_pv() && !cmdline::options().switches.no_cancel_trick() {
        latch_word_size()?;
    }
    arch::shared_info::map()?;
    count_vcpus();
    Ok(())
}

/// Sets `HVM_PARAM_CALLBACK_IRQ`. It does two things the guest needs, whatever the value, as long
/// as that is not zero:
/// - xl's tools report a cancelled suspend only if it is not zero (`modify_returncode`,
///   `tools/libs/guest/xg_resume.c`).
/// - Xen takes the word size of the shared-info page from the caller's mode now (`hvmop_set_param`,
///   `xen/arch/x86/hvm/hvm.c`); a restored domain begins as a 64-bit one.
///
/// With an APIC the value delivers nothing (1: type 0, GSI 1; a PVH guest has no interrupt
/// controller for it), because each vCPU has its own upcall vector. Without, it is what delivers
/// events: type 2, a vector that goes past the APIC to every vCPU.
pub fn latch_word_size() -> Result<()> {
    let vector = u64::from(ffi::HVM_PARAM_CALLBACK_TYPE_VECTOR) << 56 | u64::from(vectors::UPCALL);
    hvm::set_param(Param::CallbackIrq, if apic::is_on() { 1 } else { vector })
}

/// Has Xen deliver vCPU `cpu`'s events as an interrupt.
///
/// A PV vCPU brings its callback along when it starts, and keeps it. Without an APIC all vCPUs
/// share one that was set at boot.
pub fn set_upcall_vector(cpu: usize) -> Result<()> {
    if arch::is_pv() || !apic::is_on() {
        return Ok(());
    }
    hvm::set_upcall_vector(cpu as u32, vectors::UPCALL)
}

/// Lets somebody else have this CPU for a moment.
pub fn yield_cpu() {
    // Refused at worst, and then it was only slower.
    let _ = sched::yield_now();
}

/// Gives this CPU away until Xen's system time is `at`, or an event comes for this vCPU.
pub fn sleep_until(at: SystemTime) {
    // Refused at worst, and then it was no sleep.
    let _ = sched::poll(&[], Some(at));
}

/// Has Xen start vCPU `cpu`, which is down, at the entry code. It is no error if Xen has a state of
/// it already.
///
/// An NMI that came for it while it was down is pending, and Xen would deliver it before the first
/// instruction. A PV vCPU starts with a handler. A PVH one starts with no descriptor table, and the
/// domain would be gone: it is reset first, which takes what is pending away. Only a vCPU that is
/// initialised can be reset, and it is initialised no more then.
pub fn vcpu_initialise(cpu: usize) -> core::result::Result<(), InitialiseError> {
    let initialise = || match arch::vcpu::initialise(cpu) {
        Err(InitialiseError::Call(error)) if error.errno == Errno::EEXIST => Ok(()),
        other => other,
    };
    initialise()?;
    let keep = arch::is_pv() || cmdline::options().switches.keep_pending_nmi();
    if keep || !apic::reset(cpu) {
        return Ok(());
    }
    initialise()
}

/// Asks Xen how many vCPUs it made for the domain: at boot, and in a restored domain, whose
/// configuration may be another.
pub fn count_vcpus() {
    MAX_VCPUS.store(possible_vcpus().min(areas::room()), Ordering::Relaxed);
}

/// How many vCPUs Xen made for the domain, as far as the kernel can run them: asked in a few calls,
/// for their numbers have no gaps.
pub fn possible_vcpus() -> usize {
    let (mut has, mut lacks) = (1, cpu::MAX_CPUS + 1);
    while lacks - has > 1 {
        let count = has + (lacks - has) / 2;
        if has_vcpu(count - 1) {
            has = count;
        } else {
            lacks = count;
        }
    }
    has
}

/// Does the domain have vCPU `cpu`?
pub fn has_vcpu(cpu: usize) -> bool {
    let missing = |error: HypercallError| error.errno == Errno::ENOENT;
    let asked = insist(
        || match vcpu::is_up(cpu as u32) {
            Err(error) if missing(error) => Ok(false),
            other => other.map(|_| true),
        },
        drop,
    );
    // One that Xen says nothing of for good cannot be used either.
    asked.unwrap_or(false)
}

/// How many vCPUs the domain can have, as far as the kernel has room for them.
pub fn max_vcpus() -> usize {
    MAX_VCPUS.load(Ordering::Relaxed)
}

/// Xen's version.
pub fn version() -> Version {
    LEAVES
        .get()
        .map_or(Version { major: 0, minor: 0 }, |leaves| leaves.version())
}

/// This domain's number now. CPUID tells a PVH guest; a PV guest was told by xenstore.
pub fn domid() -> u32 {
    LEAVES
        .get()
        .and_then(|leaves| leaves.hvm())
        .and_then(|info| info.domid)
        .unwrap_or_else(|| TOLD_DOMID.load(Ordering::Relaxed))
}

static TOLD_DOMID: AtomicU32 = AtomicU32::new(0);

/// xenstore says that this is the domain's number.
pub fn set_domid(domid: u32) {
    TOLD_DOMID.store(domid, Ordering::Relaxed);
}

/// The domain's incarnation, which goes up with each restore; none if Xen does not say.
pub fn incarnation() -> Option<u32> {
    let time = LEAVES.get()?.time()?;
    // Xen counts from 1 (`tsc_set_info`): a zero is a leaf that was masked.
    (time.incarnation != 0).then_some(time.incarnation)
}

/// Suspends the domain; gives what the call returned. Without the evidence that nothing is cached,
/// and that nobody else runs, this cannot be called.
pub fn suspend(proof: &Drained<'_>, parked: &Parked, alone: &CpuGuard) -> Result<usize> {
    arch::suspend::call(proof, parked, alone)
}
