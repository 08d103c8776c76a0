//! What each vCPU has of its own that is large: a stack, its root tables, its descriptor table.
//!
//! vCPU 0's are in the image. The others' are in frames behind it, as many as the domain has vCPUs:
//! 44 KiB each, of which a small guest has none to waste.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use super::address::address;
use super::cpu_set::{CpuSet, MAX_CPUS};
use super::page::Page;
use crate::memory::layout::PAGE_SIZE;
use crate::memory::Pfn;

/// Bytes of a vCPU's stack, a power of two; its lowest page is not mapped, and its last 8 bytes hold
/// the vCPU's number. The entry code knows both.
pub const STACK_SIZE: usize = 1 << 15;

/// A page of a vCPU's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The root (x86_64), or what stands in its slot 3 under 32-bit PV.
    Top,
    /// The table that a set stands in: on i686 the root.
    L3,
    /// The descriptor table (PV).
    Descriptors,
}

const PARTS: [Part; 3] = [Part::Top, Part::L3, Part::Descriptors];

/// Frames of a stack, and of the pages.
const STACK_FRAMES: u32 = (STACK_SIZE / PAGE_SIZE) as u32;
const PART_FRAMES: u32 = PARTS.len() as u32;

/// Room for so many vCPUs there is in any case: a domain may be restored with more than it had.
const AT_LEAST: usize = 16;

#[repr(C, align(32768))]
struct FirstStack(UnsafeCell<[u8; STACK_SIZE]>);
// SAFETY: used only by vCPU 0, through its stack pointer; Rust code never forms a reference into it.
unsafe impl Sync for FirstStack {}

/// vCPU 0's stack. Its last word is 0, the number of its vCPU.
#[export_name = "first_stack"]
static FIRST_STACK: FirstStack = FirstStack(UnsafeCell::new([0; STACK_SIZE]));
static FIRST_PARTS: [Page; PARTS.len()] = [const { Page::new() }; PARTS.len()];

/// Where the frames of the others begin: their stacks, and behind those their pages.
static FIRST: AtomicU32 = AtomicU32::new(0);
/// How many vCPUs there is room for, vCPU 0 among them.
static ROOM: AtomicU32 = AtomicU32::new(1);

/// How many vCPUs the kernel has room for: they can run, others of the domain cannot.
pub fn room() -> usize {
    ROOM.load(Ordering::Relaxed) as usize
}

/// Makes room for `vcpus`, or a few more, in frames from `from` on or a little later. Gives the
/// first frame behind it. Once, on vCPU 0, before any other runs; the frames are touched only as
/// vCPUs come.
pub(super) fn place(from: Pfn, vcpus: usize) -> Pfn {
    let room = vcpus.clamp(AT_LEAST, MAX_CPUS) as u32;
    FIRST.store(from.0.next_multiple_of(STACK_FRAMES), Ordering::Relaxed);
    ROOM.store(room, Ordering::Relaxed);
    end()
}

/// The first frame behind all of it.
pub(super) fn end() -> Pfn {
    let others = room() as u32 - 1;
    Pfn(FIRST.load(Ordering::Relaxed) + others * (STACK_FRAMES + PART_FRAMES))
}

/// The lowest frame of vCPU `cpu`'s stack, which is its guard page.
fn stack_frame(cpu: usize) -> Pfn {
    match cpu.checked_sub(1) {
        None => Pfn::of_kernel(FIRST_STACK.0.get() as usize),
        Some(other) => Pfn(FIRST.load(Ordering::Relaxed) + other as u32 * STACK_FRAMES),
    }
}

/// Is it the lowest page of a stack? It stays unmapped, so that an overflow faults instead of
/// writing into what lies below.
pub(super) fn is_guard(pfn: Pfn) -> bool {
    let first = FIRST.load(Ordering::Relaxed);
    let stacks = first..first + (room() as u32 - 1) * STACK_FRAMES;
    pfn == stack_frame(0)
        || (stacks.contains(&pfn.0) && (pfn.0 - first).is_multiple_of(STACK_FRAMES))
}

/// Where vCPU `cpu` begins on its stack: below its number, aligned to 16 bytes.
pub(super) fn stack_start(cpu: usize) -> usize {
    stack_end(cpu) - 16
}

/// The end of vCPU `cpu`'s stack.
///
/// # Panics
/// If there is no room for such a vCPU: a bug.
pub fn stack_end(cpu: usize) -> usize {
    assert!(cpu < room());
    let lowest = match cpu {
        0 => FIRST_STACK.0.get() as usize,
        _ => address(stack_frame(cpu)),
    };
    lowest + STACK_SIZE
}

/// A page of vCPU `cpu`'s.
///
/// # Panics
/// If there is no room for such a vCPU: a bug.
pub(super) fn page(cpu: usize, part: Part) -> &'static Page {
    assert!(cpu < room());
    let Some(other) = cpu.checked_sub(1) else {
        return &FIRST_PARTS[part as usize];
    };
    let behind_stacks = FIRST.load(Ordering::Relaxed) + (room() as u32 - 1) * STACK_FRAMES;
    let pfn = Pfn(behind_stacks + other as u32 * PART_FRAMES + part as u32);
    // SAFETY: a frame of RAM in the direct map that was set aside for this at boot and is never
    // handed out; `Page` is made of plain words, is aligned as a page, and allows change behind
    // shared references.
    unsafe { &*(address(pfn) as *const Page) }
}

/// Whose page a frame is, and which; none for any other frame.
pub(super) fn owner(pfn: Pfn) -> Option<(usize, Part)> {
    if let Some(&part) = PARTS.iter().find(|&&part| page(0, part).pfn() == pfn) {
        return Some((0, part));
    }
    let others = room() as u32 - 1;
    let behind_stacks = FIRST.load(Ordering::Relaxed) + others * STACK_FRAMES;
    let place = pfn.0.checked_sub(behind_stacks)?;
    (place < others * PART_FRAMES).then(|| {
        let other = (place / PART_FRAMES) as usize;
        (other + 1, PARTS[(place % PART_FRAMES) as usize])
    })
}

/// The vCPUs whose areas were cleared: those that ran, or are about to.
static READY: CpuSet = CpuSet::new();

/// Makes what vCPU `cpu` has ready for it, if that was not done: clears it, and writes the number
/// where the vCPU finds it. On vCPU 0, before Xen is told of the vCPU's first registers.
pub(super) fn make_ready(cpu: usize) {
    if cpu == 0 || READY.contains(cpu) {
        return;
    }
    let end = stack_end(cpu);
    let bytes = STACK_SIZE - PAGE_SIZE;
    // SAFETY: the stack of a vCPU that never ran, mapped above its guard page, and nobody else's.
    unsafe {
        core::ptr::write_bytes((end - bytes) as *mut u8, 0, bytes);
        ((end - size_of::<u64>()) as *mut u64).write(cpu as u64);
    }
    for part in PARTS {
        for slot in 0..PAGE_SIZE / size_of::<u64>() {
            page(cpu, part).write_u64(slot, 0);
        }
    }
    READY.add(cpu);
}

/// Bytes of vCPU `cpu`'s stack, above its guard page, that nothing was ever written to: how near it
/// came to its end.
///
/// The stacks begin as zeros, so a frame that holds only zeros, or is not written at all, counts as
/// untouched: the true figure may be a little smaller. What an overflow hits is the guard page in
/// any case.
pub fn stack_untouched(cpu: usize) -> usize {
    if cpu != 0 && !READY.contains(cpu) {
        return STACK_SIZE - PAGE_SIZE;
    }
    let end = stack_end(cpu);
    let low = end - STACK_SIZE + PAGE_SIZE;
    (low..end)
        .step_by(size_of::<usize>())
        // SAFETY: these words lie in the stack of a vCPU, which is mapped above its guard page and
        // always valid to read; another vCPU may write them meanwhile, and a volatile read of a
        // word then gives what it held before or after.
        .find(|&word| unsafe { (word as *const usize).read_volatile() } != 0)
        .map_or(STACK_SIZE - PAGE_SIZE, |word| word - low)
}
