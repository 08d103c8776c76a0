//! The `start_info` page: what the domain builder, and after a restore Xen's tools, tell a PV
//! guest.
//!
//! Layout and meaning: `xen/include/public/xen.h`. Two of its fields are machine frames, and the
//! tools want to find PFNs in their place when they save the domain; they write machine frames
//! again when they restore it, and nothing when the suspend is cancelled (`process_start_info`,
//! `tools/libs/guest/xg_sr_save_x86_pv.c` and `..._restore_x86_pv.c`).

use core::fmt;
use core::ptr::{addr_of, addr_of_mut};
use core::sync::atomic::{AtomicUsize, Ordering};

use xen_bindings::event_channel::Port;
use xen_bindings::ffi;
use xen_bindings::frame::{Gfn, Mfn};
use xen_bindings::hvm::Ring;
use xen_bindings::memory::{memory_map, MapEntry};

use super::m2p;
use crate::arch::start_info::{BadStartInfo, BootInfo};
use crate::memory::layout::{KERNEL_BASE, MOST_FRAMES, PAGE_SIZE};
use crate::memory::map::MemoryMap;
use crate::memory::Pfn;

/// The page's address. Set once, by [`arrive`].
static AT: AtomicUsize = AtomicUsize::new(0);
/// End of what the builder put behind the kernel.
static BOOT_STACK_END: AtomicUsize = AtomicUsize::new(0);

/// Notes where the entry code found things. First of all, on vCPU 0.
pub fn arrive(start_info: usize, boot_stack_end: usize) {
    AT.store(start_info, Ordering::Relaxed);
    BOOT_STACK_END.store(boot_stack_end, Ordering::Relaxed);
}

fn page() -> *mut ffi::start_info {
    AT.load(Ordering::Relaxed) as *mut ffi::start_info
}

/// Reads a field, or writes it. Xen's tools write them too, but only while the domain does not run.
macro_rules! field {
    ($($path:ident).+) => {
        // SAFETY: the builder mapped the page and it stays where it is: it lies below the frames
        // that are handed out. Only this module touches it, with volatile accesses of plain
        // integers.
        unsafe { addr_of!((*page()).$($path).+).read_volatile() }
    };
    ($($path:ident).+ = $value:expr) => {
        // SAFETY: as for reading.
        unsafe { addr_of_mut!((*page()).$($path).+).write_volatile($value) }
    };
}

/// Copies what the kernel needs at start, and makes the physical-to-machine list known.
///
/// # Errors
/// If it is no `start_info`.
pub fn read() -> Result<BootInfo, BadStartInfo> {
    let magic = field!(magic);
    if !magic.iter().map(|&c| c as u8).take(4).eq(*b"xen-") {
        return Err(BadStartInfo::Magic);
    }
    let pages = field!(nr_pages) as usize;
    m2p::set_list(field!(mfn_list) as usize, pages);
    let mut memory = MemoryMap::new();
    memory.add_ram(0, (most_pages(pages) * PAGE_SIZE) as u64);
    // SAFETY: only the address is taken.
    let line = unsafe { addr_of!((*page()).cmd_line) }.cast::<u8>();
    Ok(BootInfo::new(
        // SAFETY: the array is in the page, 1 KiB long.
        (0..ffi::MAX_GUEST_CMDLINE as usize).map(|n| unsafe { line.add(n).read_volatile() }),
        memory,
    ))
}

/// How many pages the domain may come to have, as far as this kernel can use them; it has `pages`.
///
/// The toolstack says so in the memory map, which then is one range (`xc_domain_set_memmap_limit`).
/// Each page takes 4 to 8 bytes in the physical-to-machine list and 8 in the direct map, and what
/// there is to begin with must do.
fn most_pages(pages: usize) -> usize {
    let mut room = [MapEntry::default(); 2];
    let most = match memory_map(&mut room) {
        Ok(
            &[MapEntry {
                base: 0, length, ..
            }],
        ) => (length / PAGE_SIZE as u64) as usize,
        // None, or one of the host's, which says nothing of how much is ours.
        _ => 0,
    };
    most.min(MOST_FRAMES).min(pages * 32).max(pages)
}

/// Address of the builder's page tables, the root first, and the first address behind all that it
/// made.
pub fn boot_tables() -> (usize, usize) {
    let (base, frames) = (field!(pt_base) as usize, field!(nr_pt_frames) as usize);
    let end = (base + frames * PAGE_SIZE).max(BOOT_STACK_END.load(Ordering::Relaxed));
    (base, end.next_multiple_of(PAGE_SIZE))
}

/// The machine frame of the shared-info page: another one in each domain.
pub fn shared_info_frame() -> Mfn {
    Mfn(field!(shared_info) as usize / PAGE_SIZE)
}

/// The frame of this page, which the suspend call names.
pub fn own_frame() -> Pfn {
    Pfn(((AT.load(Ordering::Relaxed) - KERNEL_BASE) / PAGE_SIZE) as u32)
}

/// The domain's frame on the machine frame of a ring. Without Xen's table too: the console is what
/// a failure is told on.
fn ring_frame(mfn: ffi::xen_pfn_t) -> Option<Pfn> {
    let mfn = Mfn(mfn as usize);
    m2p::pfn(mfn).or_else(|| m2p::search(mfn))
}

fn ring(mfn: ffi::xen_pfn_t, port: u32) -> Option<Ring> {
    let pfn = ring_frame(mfn)?;
    (port != 0).then_some(Ring {
        frame: Gfn(pfn.0 as usize),
        port: Port::new(port),
    })
}

/// The console's ring; its frame is a PFN.
pub fn console_ring() -> Option<Ring> {
    ring(field!(console.domU.mfn), field!(console.domU.evtchn))
}

/// xenstore's ring; its frame is a PFN.
pub fn store_ring() -> Option<Ring> {
    ring(field!(store_mfn), field!(store_evtchn))
}

/// A machine frame that `start_info` names is not this domain's.
#[derive(Clone, Copy, Debug)]
pub struct NotOurs {
    /// Whose ring it should be.
    ring: &'static str,
    mfn: Mfn,
}

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotOurs { ring, mfn } = self;
        write!(
            f,
            "start_info has {mfn:?} for {ring}'s ring, which is no frame of this domain"
        )
    }
}

/// The two machine frames of `start_info`.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    store: ffi::xen_pfn_t,
    console: ffi::xen_pfn_t,
}

impl Frames {
    /// As they stand there.
    fn read() -> Frames {
        Frames {
            store: field!(store_mfn),
            console: field!(console.domU.mfn),
        }
    }

    fn write(self) {
        field!(store_mfn = self.store);
        field!(console.domU.mfn = self.console);
    }

    /// What the tools want in their place.
    fn as_pfns(self) -> Result<Frames, NotOurs> {
        let pfn = |ring, mfn: ffi::xen_pfn_t| match ring_frame(mfn) {
            Some(pfn) => Ok(pfn.0 as ffi::xen_pfn_t),
            // The toolstack gave none.
            None if mfn == 0 => Ok(0),
            // Any number written here would be somebody's frame: Xen's tools would make a ring of
            // it.
            None => Err(NotOurs {
                ring,
                mfn: Mfn(mfn as usize),
            }),
        };
        Ok(Frames {
            store: pfn("xenstore", self.store)?,
            console: pfn("the console", self.console)?,
        })
    }

    /// Puts them back: in the same domain, where nobody else does.
    pub fn write_back(self) {
        self.write();
    }
}

/// The two machine frames, translated and not written yet.
#[derive(Clone, Copy, Debug)]
pub struct Translated {
    machine: Frames,
    own: Frames,
}

/// Translates the two machine frames into PFNs, as the tools want them. Changes nothing.
///
/// # Errors
/// If one of them is not the domain's.
pub fn translate() -> Result<Translated, NotOurs> {
    let machine = Frames::read();
    let own = machine.as_pfns()?;
    Ok(Translated { machine, own })
}

impl Translated {
    /// Writes the PFNs; gives what undoes it in the same domain.
    pub fn write(self) -> Frames {
        self.own.write();
        self.machine
    }
}

/// A machine frame for xenstore's ring that is not the domain's, in the place of the right one,
/// which it gives.
#[cfg(feature = "switches")]
pub fn plant_store_frame(mfn: usize) -> usize {
    let before = field!(store_mfn) as usize;
    field!(store_mfn = mfn as ffi::xen_pfn_t);
    before
}
