//! From the entry code into Rust, and what each vCPU stands on then.

use core::arch::global_asm;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::cpu::CpuGuard;
use super::ledger::{self, Ledger};
use super::mode::{is_pv, set_pv};
use super::{apic, areas, balloon, frames, pv, shared_info, start_info, tables, traps};
use crate::memory::layout::MOST_FRAMES;
use crate::memory::map::MemoryMap;
use crate::memory::Pfn;

#[cfg(target_arch = "x86_64")]
global_asm!(
    concat!(
        include_str!("boot_common.S"),
        include_str!("boot_x86_64.S"),
        include_str!("boot_stubs.S"),
        include_str!("boot_pv_x86_64.S")
    ),
    options(att_syntax, raw)
);
#[cfg(target_arch = "x86")]
global_asm!(
    concat!(
        include_str!("boot_common.S"),
        include_str!("boot_i686.S"),
        include_str!("boot_stubs.S"),
        include_str!("boot_pv_i686.S")
    ),
    options(att_syntax, raw)
);

// SAFETY: `entry_points` defines both, with these types.
unsafe extern "Rust" {
    safe fn kernel_first(off: CpuGuard) -> !;
    safe fn kernel_secondary(vcpu: usize, off: CpuGuard) -> !;
}

/// Says where vCPU 0 and the others go on in the layers above: the arrow from there to here is the
/// linker's.
macro_rules! entry_points {
    (first: $first:path, secondary: $secondary:path) => {
        const _: () = {
            // The linker compares names alone, and the compiler the types.
            #[allow(unsafe_code)]
            #[no_mangle]
            fn kernel_first(off: $crate::arch::cpu::CpuGuard) -> ! {
                $first(off)
            }
            #[allow(unsafe_code)]
            #[no_mangle]
            fn kernel_secondary(vcpu: usize, off: $crate::arch::cpu::CpuGuard) -> ! {
                $secondary(vcpu, off)
            }
        };
    };
}
pub(crate) use entry_points;

/// Where every vCPU arrives, on its own stack, interrupts off, on the tables
/// of the entry code. vCPU 0 brings the physical address of `hvm_start_info`.
#[no_mangle]
extern "C" fn pvh_entry(vcpu: usize, start_info: usize) -> ! {
    if vcpu == 0 {
        START_INFO.store(start_info, Ordering::Relaxed);
        kernel_first(CpuGuard::at_entry())
    } else {
        kernel_secondary(vcpu, CpuGuard::at_entry())
    }
}

/// Where every vCPU arrives under PV: on its own stack, events masked, on the tables of the domain
/// builder (vCPU 0) or on its own. vCPU 0 brings the address of `start_info` and the end of the
/// boot stack, the last of what the builder put behind the kernel.
#[no_mangle]
extern "C" fn pv_entry(vcpu: usize, start_info: usize, boot_stack: usize) -> ! {
    if vcpu == 0 {
        set_pv();
        pv::start_info::arrive(start_info, boot_stack);
        START_INFO.store(start_info, Ordering::Relaxed);
        kernel_first(CpuGuard::at_entry())
    } else {
        kernel_secondary(vcpu, CpuGuard::at_entry())
    }
}

/// Where `hvm_start_info` lies: a physical address (PVH).
static START_INFO: AtomicUsize = AtomicUsize::new(0);

/// Panics at the second call: what is done once would pull the ground from under those who stand on
/// it.
fn once(done: &AtomicBool) {
    assert!(
        !done.swap(true, Ordering::AcqRel),
        "this is done once, at boot"
    );
}

/// Makes exceptions heard, and events by `handlers`. First of all, on vCPU 0.
///
/// # Panics
/// At the second call.
pub fn set_up_traps(handlers: traps::Handlers) {
    static DONE: AtomicBool = AtomicBool::new(false);
    once(&DONE);
    traps::set_handlers(handlers);
    if is_pv() {
        // Until shared-info is mapped its place holds zeroes: events on. They are not.
        shared_info::mask_events();
        if let Err(error) = pv::vcpu::set_up_first() {
            panic!("the table of traps: {error}");
        }
    } else {
        // SAFETY: the first call. No vCPU is started before the memory is taken over, which is once
        // too and needs exceptions.
        unsafe { traps::build_table() };
    }
}

/// Reads what the domain builder left. Before the memory is taken over.
///
/// # Panics
/// At the second call.
pub fn read_start_info() -> Result<start_info::BootInfo, start_info::BadStartInfo> {
    static DONE: AtomicBool = AtomicBool::new(false);
    once(&DONE);
    if is_pv() {
        pv::start_info::read()
    } else {
        start_info::read(START_INFO.load(Ordering::Relaxed) as u64)
    }
}

/// The domain has less memory than the kernel can begin with.
#[derive(Clone, Copy, Debug)]
pub struct TooLittleMemory {
    has: u32,
    needs: u32,
}

impl fmt::Display for TooLittleMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |frames| u64::from(frames) * 4;
        write!(
            f,
            "the domain has {} KiB of memory, and this kernel needs {} KiB",
            kib(self.has),
            kib(self.needs)
        )
    }
}

/// Frames that there must be beside the image, the tables and the ledger: for one set and what it
/// takes to get as far as xenstore, with some to spare. 256 KiB.
const LEAST: u32 = 64;

/// What the allocator is given.
pub struct Memory {
    /// The frames that nobody has: the first and one past the last; those between that are RAM.
    pub frames: (Pfn, Pfn),
    /// What is noted of each frame.
    pub ledger: Ledger,
}

/// Builds the tables that the kernel stands on, and the ledger, and has vCPU 0 stand on them; gives
/// the frames that nobody has. `vcpus` is how many the domain has. On vCPU 0, before any other runs.
///
/// # Errors
/// If the domain has too little memory for that. Nothing was touched.
///
/// # Panics
/// At the second call.
pub fn take_over_memory(map: &MemoryMap, vcpus: usize) -> Result<Memory, TooLittleMemory> {
    static DONE: AtomicBool = AtomicBool::new(false);
    once(&DONE);
    let end = map.end_below(MOST_FRAMES as u32);
    let behind_tables = place_areas(end, vcpus);
    let needs =
        behind_tables.0 + frames::frame_list_needed(end) + ledger::pages(end.0 as usize) + LEAST;
    // The map has what the domain may come to have, Xen knows what it has.
    let has = balloon::reservation().map_or(u32::MAX, |frames| frames as u32);
    let has = has.min(map.count(0, u32::MAX));
    // All of it goes behind the image, in one piece.
    if has < needs || map.end_below(needs).0 < needs {
        return Err(TooLittleMemory { has, needs });
    }
    // Under PV the areas are behind the tables, which need not take all that was left for them.
    let mut first = tables::build_kernel_tables(end, map).max(areas::end());
    tables::enter_kernel_tables();
    first = frames::grow_frame_list(end, first);
    let ledger = ledger::take(&mut first, end.0 as usize);
    frames::set_managed(first, end, map);
    Ok(Memory {
        frames: (first, end),
        ledger,
    })
}

/// Places what each vCPU has, and gives the first frame behind that and the kernel's tables.
///
/// Under PV the tables come first: they must be in what the builder has mapped. Under PVH the areas
/// do, close to the image: the near map has them.
fn place_areas(end: Pfn, vcpus: usize) -> Pfn {
    let first = frames::first_free();
    if is_pv() {
        return areas::place(Pfn(first.0 + tables::frames_needed(end)), vcpus);
    }
    let behind = areas::place(first, vcpus);
    Pfn(behind.0 + tables::frames_needed(end))
}

/// Makes vCPU 0, whose tables are built, able to take interrupts.
pub fn enter() {
    if is_pv() {
        if let Err(error) = pv::vcpu::load_first_gdt() {
            panic!("the descriptor table: {error}");
        }
        return;
    }
    apic::enable();
}

/// The same for another vCPU. A PV one was started with all of it.
pub fn enter_secondary() {
    if !is_pv() {
        tables::enter_kernel_tables();
        apic::enable();
    }
}
