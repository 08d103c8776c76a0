//! Which CPU this is, and the evidence that it stays this one.

use core::arch::{asm, global_asm};
use core::marker::PhantomData;
use core::sync::atomic::Ordering;

use xen_bindings::shared_info::VcpuInfo;
use xen_bindings::{sched, version};

#[cfg(feature = "switches")]
use super::areas;
use super::areas::STACK_SIZE;
use super::mode::is_pv;
use super::vcpu_info;

pub use super::cpu_set::MAX_CPUS;

/// The number of the vCPU that runs this, below [`MAX_CPUS`].
///
/// It is found by the stack pointer: each stack is aligned to its size and has the number at its
/// end, so no segment register, task register or APIC has to be set up again after a resume, and the
/// same code serves PV and PVH in both word sizes.
///
/// The answer is stable only while this CPU cannot change, and here it never
/// does: there are no threads, each vCPU keeps its stack.
pub fn id() -> usize {
    let sp: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a register, touches nothing else.
    unsafe {
        asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags))
    };
    #[cfg(target_arch = "x86")]
    // SAFETY: reads a register, touches nothing else.
    unsafe {
        asm!("mov {}, esp", out(reg) sp, options(nomem, nostack, preserves_flags))
    };
    let number = (sp | (STACK_SIZE - 1)) + 1 - size_of::<u64>();
    // SAFETY: from the entry code on a vCPU is on its own stack, which is mapped for as long as it
    // runs; these bytes of it were written before the vCPU started and never change.
    unsafe { *(number as *const u32) as usize }
}

/// Where the running vCPU's stack lies.
#[cfg(feature = "switches")]
pub fn my_stack() -> core::ops::Range<usize> {
    let end = areas::stack_end(id());
    end - STACK_SIZE..end
}

/// What Xen keeps for this vCPU: event flags and time. Under PV its mask is what the CPU's interrupt
/// flag is under PVH.
pub fn my_info() -> &'static VcpuInfo {
    vcpu_info::of(id())
}

/// The address of this vCPU's last page fault (PV, where CR2 is Xen's).
pub fn fault_address() -> usize {
    my_info().fault_address()
}

/// Evidence that interrupts are off on this CPU, so that nothing else runs on
/// it until the guard is dropped.
///
/// Holding one proves: `cpu()` is the running CPU, and no interrupt handler
/// comes between two steps. Neither `Send` nor `Sync`.
pub struct CpuGuard {
    was_on: bool,
    cpu: usize,
    _not_send: PhantomData<*mut ()>,
}

impl CpuGuard {
    /// Turns interrupts off until the guard is dropped.
    pub fn new() -> Self {
        let was_on = interrupts_on();
        disable_interrupts();
        CpuGuard {
            was_on,
            cpu: id(),
            _not_send: PhantomData,
        }
    }

    /// For the entry code, where interrupts are off and nothing holds a guard: they go on when this
    /// one is dropped.
    pub(super) fn at_entry() -> Self {
        CpuGuard {
            was_on: true,
            cpu: id(),
            _not_send: PhantomData,
        }
    }

    /// Sleeps until the next interrupt, which is handled meanwhile. Not in the middle of anything
    /// that the guard is shown for: that would borrow it.
    ///
    /// Call it after the last look at the work there is: `sti` takes effect only after `hlt` has
    /// begun, and a handler that runs before it all the same has it passed over, so no wake-up falls
    /// between. Under PV Xen does the same with the event mask.
    pub fn sleep(&mut self) {
        wait_for_interrupt();
        disable_interrupts();
    }

    /// The CPU that the guard keeps.
    pub fn cpu(&self) -> usize {
        self.cpu
    }
}

// SAFETY: interrupts are off while the guard lives, and a vCPU's number never changes: nothing else
// that runs on it calls the pool, but for the handler of an NMI, which calls what an NMI may.
unsafe impl pagetable_pool::CpuPinned for CpuGuard {
    fn cpu(&self) -> pagetable_pool::CpuId {
        pagetable_pool::CpuId(self.cpu)
    }
}

/// Evidence that this is the handler of an NMI. It may have interrupted anything, a guard's holder
/// too.
#[cfg(feature = "switches")]
pub struct InNmi {
    cpu: usize,
    _not_send: PhantomData<*mut ()>,
}

#[cfg(feature = "switches")]
impl InNmi {
    /// Only for the handler, which is over before the interrupted code goes on.
    pub(super) fn new() -> Self {
        InNmi {
            cpu: id(),
            _not_send: PhantomData,
        }
    }
}

// SAFETY: a vCPU's number never changes, and until the handler is over nothing but another NMI runs
// on its vCPU. The context keeps it from all that must not be called there.
#[cfg(feature = "switches")]
unsafe impl pagetable_pool::CpuPinned for InNmi {
    fn cpu(&self) -> pagetable_pool::CpuId {
        pagetable_pool::CpuId(self.cpu)
    }
    fn context(&self) -> pagetable_pool::Context {
        pagetable_pool::Context::empty()
    }
}

impl Drop for CpuGuard {
    fn drop(&mut self) {
        if self.was_on {
            enable_interrupts();
        }
    }
}

/// Are interrupts on?
pub fn interrupts_on() -> bool {
    if is_pv() {
        return my_info().upcall_mask().load(Ordering::Relaxed) == 0;
    }
    const IF: usize = 1 << 9;
    let flags: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: copies the flags register through this CPU's own stack.
    unsafe {
        asm!("pushfq", "pop {}", out(reg) flags, options(nomem, preserves_flags))
    };
    #[cfg(target_arch = "x86")]
    // SAFETY: as above.
    unsafe {
        asm!("pushfd", "pop {}", out(reg) flags, options(nomem, preserves_flags))
    };
    flags & IF != 0
}

/// Turns interrupts off.
pub fn disable_interrupts() {
    if is_pv() {
        // Only this vCPU, and Xen on its behalf, writes it; the ordering keeps the compiler from
        // moving accesses out.
        return my_info().upcall_mask().store(1, Ordering::SeqCst);
    }
    // SAFETY: the kernel runs in ring 0; masking interrupts breaks no invariant.
    // Not `nomem`: memory accesses must not move out of the masked region.
    unsafe { asm!("cli", options(nostack)) };
}

/// Turns interrupts on. Only a guard does that: it knows whether another one still holds them off.
fn enable_interrupts() {
    if is_pv() {
        let info = my_info();
        info.upcall_mask().store(0, Ordering::SeqCst);
        if info.upcall_pending().load(Ordering::SeqCst) != 0 {
            // What came meanwhile is delivered on the way back from any call.
            let _ = version::version();
        }
        return;
    }
    // SAFETY: the entry code has loaded this CPU's table of gates, and no guard is held: the one that
    // is dropped was the first.
    unsafe { asm!("sti", options(nostack)) };
}

// An interrupt that is handled at `idle_halt` goes on at `idle_awake` (see `traps`).
global_asm!(
    ".global idle_sleep",
    "idle_sleep:",
    "sti",
    ".global idle_halt",
    "idle_halt:",
    "hlt",
    ".global idle_awake",
    "idle_awake:",
    "ret",
);

extern "C" {
    fn idle_sleep();
}

/// Sleeps until the next interrupt, and returns with interrupts on.
fn wait_for_interrupt() {
    if is_pv() {
        // Refused at worst, and then the loop looks for work again at once.
        let _ = sched::block();
        return enable_interrupts();
    }
    // SAFETY: as `enable_interrupts`; `hlt` in ring 0 only waits. It uses no register and no stack
    // but for its return.
    unsafe { idle_sleep() };
}

/// The time-stamp counter.
pub fn cycles() -> u64 {
    // SAFETY: reads a counter; Xen lets every guest do so.
    unsafe { x86::time::rdtsc() }
}

/// Stops this CPU for good.
pub fn stop() -> ! {
    loop {
        if is_pv() {
            // A PV guest cannot halt a CPU; the domain ends instead.
            let _ = sched::shutdown(sched::Shutdown::Crash);
            continue;
        }
        // SAFETY: interrupts off and halted: nothing runs here any more.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
