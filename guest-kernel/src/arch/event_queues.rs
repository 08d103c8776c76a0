//! FIFO event channels: what guest and Xen share of them, in the image.
//!
//! Given to Xen in each new domain anew: a restored one begins with two-level event channels.

use core::sync::atomic::{AtomicBool, Ordering};

use xen_bindings::event_channel as channel;
use xen_bindings::fifo::{ArrayPage, ControlBlock, EventArray, Heads};
use xen_bindings::frame::Gfn;
use xen_bindings::Result;

use super::cpu_set::{CpuSet, MAX_CPUS};
use super::mode::is_pv;
use super::pv::m2p;
use super::vcpu_info;
use crate::memory::layout::PAGE_SIZE;
use crate::memory::Pfn;

/// The words of the first 1024 ports: a timer and an IPI for each of 128 vCPUs are 256.
static ARRAY: [ArrayPage; 1] = [const { ArrayPage::new() }; 1];
static BLOCKS: [ControlBlock; MAX_CPUS] = [const { ControlBlock::new() }; MAX_CPUS];
static HEADS: [Heads; MAX_CPUS] = [const { Heads::new() }; MAX_CPUS];

/// The vCPUs whose control block Xen has in this domain.
static GIVEN: CpuSet = CpuSet::new();
/// Xen has the event array.
static HAS_ARRAY: AtomicBool = AtomicBool::new(false);

/// Does this domain use them?
pub fn are_in_use() -> bool {
    HAS_ARRAY.load(Ordering::Relaxed)
}

/// The words of the ports.
pub fn array() -> EventArray<'static> {
    EventArray(&ARRAY)
}

/// This is a new domain, in which Xen has nothing of it: at boot, and when restored. All ports are
/// masked.
pub fn forget() {
    GIVEN.clear();
    HAS_ARRAY.store(false, Ordering::Relaxed);
    ARRAY.iter().for_each(ArrayPage::mask_all);
}

/// Where a static is, as Xen is told: its frame, and the offset in it.
fn place<T>(of: &'static T) -> (Gfn, usize) {
    let at = core::ptr::from_ref(of) as usize;
    let pfn = Pfn::of_kernel(at);
    let frame = match is_pv() {
        true => m2p::machine(pfn).0,
        false => pfn.0 as usize,
    };
    (Gfn(frame), at % PAGE_SIZE)
}

/// Gives Xen the control block of vCPU `cpu`, if it does not have it, and with the first one the event
/// array. Before a port is bound to the vCPU. May be tried again.
///
/// # Errors
/// Xen's; for the first vCPU `ENOSYS` if it has no such event channels.
pub fn give(cpu: usize) -> Result<()> {
    if !GIVEN.contains(cpu) {
        BLOCKS[cpu].clear();
        HEADS[cpu].clear();
        let (frame, offset) = place(&BLOCKS[cpu]);
        // SAFETY: a control block, cleared, which stays as long as the kernel lives.
        unsafe { channel::init_control(cpu as u32, frame, offset)? };
        GIVEN.add(cpu);
    }
    if !are_in_use() {
        let (frame, _) = place(&ARRAY[0]);
        // SAFETY: a page of the array in which all ports are masked (`forget`), which stays as long
        // as the kernel lives.
        unsafe { channel::expand_array(frame)? };
        HAS_ARRAY.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// The upcall of vCPU `me`, the running one: handles what is in its queues. Interrupts are off.
pub fn upcall(me: usize, handle: impl FnMut(channel::Port)) {
    array().upcall(vcpu_info::of(me), &BLOCKS[me], &HEADS[me], handle);
}
