//! Physical-to-machine and back: the list that the domain builder made, Xen's table, and what is
//! published for a save.
//!
//! Where Xen's table lies and how long it is, is asked of Xen at boot and in every new domain
//! (decision 0014).

use core::fmt;
use core::sync::atomic::{fence, AtomicU32, AtomicUsize, Ordering};

use xen_bindings::frame::Mfn;
use xen_bindings::pv::MachineToPhysical;
use xen_bindings::shared_info::SharedInfo;
use xen_bindings::HypercallError;

use crate::arch::address;
use crate::arch::page::Page;
#[cfg(feature = "switches")]
use crate::cmdline;
use crate::memory::layout::PAGE_SIZE;
#[cfg(target_arch = "x86")]
use crate::memory::layout::WINDOW_END;
use crate::memory::Pfn;

/// The list `mfn_list`: a machine word for each page of the domain.
static LIST: AtomicUsize = AtomicUsize::new(0);
static PAGES: AtomicUsize = AtomicUsize::new(0);

/// Xen's table: the other direction.
static TABLE: MachineToPhysical = MachineToPhysical::unknown();

/// Frame numbers in a page.
const PER_PAGE: usize = PAGE_SIZE / size_of::<usize>();
/// What a save reads, in three levels: the frames of the frame lists, which hold the frames of the
/// list's pages. A frame list describes 1 GiB of a 64-bit domain, 4 GiB of a 32-bit one.
static FRAME_LIST_LIST: Page = Page::new();
/// The frame of the first frame list, and how many there are.
static FRAME_LISTS: AtomicU32 = AtomicU32::new(0);
static FRAME_LISTS_LEN: AtomicUsize = AtomicUsize::new(0);

/// Makes the list known. Once, on vCPU 0.
pub fn set_list(at: usize, pages: usize) {
    LIST.store(at, Ordering::Relaxed);
    PAGES.store(pages, Ordering::Relaxed);
}

/// Frames that the list has entries for.
pub fn pages() -> usize {
    PAGES.load(Ordering::Relaxed)
}

/// Where the domain has no memory.
const INVALID: usize = usize::MAX;

/// The most frames that [`grow`] and [`place_frame_lists`] take for `pages` frames.
pub fn frames_needed(pages: usize) -> u32 {
    let list = pages.max(self::pages()).div_ceil(PER_PAGE);
    let grown = if pages > self::pages() { list } else { 0 };
    (grown + list.div_ceil(PER_PAGE)) as u32
}

/// Gives the list entries for `pages` frames, without memory at the new ones: the builder's list
/// ends with the memory that it gave, and the domain may be given more. The new list takes frames
/// from `first` on, which are mapped; gives the first frame behind it. Once, on vCPU 0, before
/// anything is published.
pub fn grow(pages: usize, first: Pfn) -> Pfn {
    let before = self::pages();
    let frames = pages.div_ceil(PER_PAGE) as u32;
    let start = address::side_by_side(first, frames);
    let behind = Pfn(start.0 + frames);
    if pages <= before || !(start.0..behind.0).all(|pfn| is_populated(Pfn(pfn))) {
        return first;
    }
    let at = address::address(start);
    for n in 0..frames as usize * PER_PAGE {
        let entry = listed(Pfn(n as u32)).unwrap_or(INVALID);
        // SAFETY: frames behind all that the builder made, in the direct map, not handed out.
        unsafe { (at as *mut usize).add(n).write_volatile(entry) };
    }
    set_list(at, pages);
    behind
}

/// Takes frames from `first` on for the frame lists, as many as the list needs; gives the first
/// frame behind them. Once, on vCPU 0, when the list has its length.
pub fn place_frame_lists(first: Pfn) -> Pfn {
    let lists = pages().div_ceil(PER_PAGE).div_ceil(PER_PAGE).min(PER_PAGE);
    let behind = Pfn(first.0 + lists as u32);
    if (first.0..behind.0).all(|pfn| is_populated(Pfn(pfn))) {
        FRAME_LISTS.store(first.0, Ordering::Relaxed);
        FRAME_LISTS_LEN.store(lists, Ordering::Relaxed);
        return behind;
    }
    first
}

/// The frame list that describes the list's page `n`.
fn frame_list(n: usize) -> Pfn {
    Pfn(FRAME_LISTS.load(Ordering::Relaxed) + (n / PER_PAGE) as u32)
}

/// Changes what machine frames the guest's frames are on; none: there is no memory. On vCPU 0.
///
/// Xen's tools, which may be reading the list for a live migration, are told so before and after
/// (`p2m_generation`, `xen/include/public/arch-x86/xen.h`: odd means that a change is under way).
pub fn change(shared: &SharedInfo, entries: impl Iterator<Item = (Pfn, Option<Mfn>)>) {
    let arch = shared.as_ptr();
    // SAFETY: a field of the mapped shared-info page that only this guest writes and only Xen's
    // tools read.
    let generation = unsafe { &raw mut (*arch).arch.p2m_generation };
    let count = || {
        fence(Ordering::SeqCst);
        // SAFETY: as above; only vCPU 0 comes here.
        unsafe { generation.write_volatile(generation.read_volatile().wrapping_add(1)) };
        fence(Ordering::SeqCst);
    };
    count();
    for (pfn, mfn) in entries {
        assert!((pfn.0 as usize) < pages());
        let list = LIST.load(Ordering::Relaxed) as *mut usize;
        // SAFETY: within the list (checked), which is mapped writable and only written here; a word
        // is written at once.
        unsafe {
            list.add(pfn.0 as usize)
                .write_volatile(mfn.map_or(INVALID, |mfn| mfn.0))
        };
    }
    count();
}

/// Why this kernel cannot tell whose a machine frame is.
#[derive(Clone, Copy, Debug)]
pub enum NoTable {
    /// Xen does not say where its table lies.
    Refused(HypercallError),
    /// Xen has it where this kernel's own address space is.
    #[cfg_attr(target_arch = "x86_64", allow(dead_code))]
    InTheWay {
        /// Its first address, and that of all that is Xen's.
        start: usize,
    },
}

impl fmt::Display for NoTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoTable::Refused(error) => write!(
                f,
                "Xen does not say where its machine-to-physical table is: {error}"
            ),
            NoTable::InTheWay { start } => {
                write!(
                    f,
                    "Xen's area begins at {start:#x}, and the kernel's own reaches further"
                )
            }
        }
    }
}

/// Asks Xen where its table is: at boot and in every new domain, which may be on another host. On
/// vCPU 0.
///
/// # Errors
/// If Xen does not say, or what it says does not go together with this kernel.
pub fn learn() -> Result<(), NoTable> {
    TABLE.ask().map_err(NoTable::Refused)?;
    // What Xen has in a 32-bit guest's address space begins with the table
    // (`HYPERVISOR_COMPAT_VIRT_START`, `xen/arch/x86/include/asm/config.h`).
    #[cfg(target_arch = "x86")]
    if TABLE.start() < WINDOW_END {
        return Err(NoTable::InTheWay {
            start: TABLE.start(),
        });
    }
    Ok(())
}

/// One more than the highest machine frame that Xen's table can have an entry for.
fn table_end() -> usize {
    let end = TABLE.frames();
    #[cfg(feature = "switches")]
    if cmdline::options().switches.m2p_of_header() {
        return end.min(xen_bindings::ffi::MACH2PHYS_NR_ENTRIES as usize);
    }
    end
}

/// The highest machine frame of the domain's memory, and the highest that Xen's table can have an
/// entry for.
pub fn highest() -> (usize, usize) {
    let frames = (0..PAGES.load(Ordering::Relaxed)).filter_map(|pfn| populated(Pfn(pfn as u32)));
    (frames.max().unwrap_or(0), table_end().saturating_sub(1))
}

/// Frame of the list: a restore writes it anew, so it is read each time.
fn listed(pfn: Pfn) -> Option<usize> {
    if pfn.0 as usize >= PAGES.load(Ordering::Relaxed) {
        return None;
    }
    let list = LIST.load(Ordering::Relaxed) as *const usize;
    // SAFETY: within the list, which the builder mapped and which lies below the frames that are
    // handed out.
    Some(unsafe { list.add(pfn.0 as usize).read_volatile() })
}

/// The machine frame of a frame of this domain.
///
/// # Panics
/// If the domain has no such frame: a bug.
pub fn machine(pfn: Pfn) -> Mfn {
    match listed(pfn) {
        Some(mfn) => Mfn(mfn),
        None => panic!("the domain has no frame {:#x}", pfn.0),
    }
}

/// The machine frame at this frame; none if the domain has no memory there.
fn populated(pfn: Pfn) -> Option<usize> {
    listed(pfn).filter(|mfn| mfn >> (usize::BITS - 1) == 0)
}

/// Does the domain have memory at this frame?
pub fn is_populated(pfn: Pfn) -> bool {
    populated(pfn).is_some()
}

/// This domain's frame on machine frame `mfn`; none if it is not this domain's memory.
///
/// Xen's table gives any number at all for another's frame, and is not mapped everywhere: both
/// directions must agree.
pub fn pfn(mfn: Mfn) -> Option<Pfn> {
    extern "C" {
        #[cfg(target_arch = "x86_64")]
        fn load_or_ones(at: *const usize) -> usize;
        #[cfg(target_arch = "x86")]
        #[link_name = "load_or_ones_prologue"]
        fn load_or_ones(at: *const usize) -> usize;
    }
    if mfn.0 >= table_end() {
        return None;
    }
    let at = TABLE.entry(mfn)?.cast::<usize>();
    // SAFETY: reads a word of Xen's table, or, where that is not mapped, gives all ones by way of
    // the trap handler.
    let found = unsafe { load_or_ones(at) };
    let pfn = Pfn(u32::try_from(found).ok()?);
    (listed(pfn) == Some(mfn.0)).then_some(pfn)
}

/// The same without Xen's table, by a search of the list: for a few frames that must be found, and
/// before Xen was asked.
pub fn search(mfn: Mfn) -> Option<Pfn> {
    let pages = PAGES.load(Ordering::Relaxed) as u32;
    (0..pages)
        .map(Pfn)
        .find(|&pfn| populated(pfn) == Some(mfn.0))
}

/// The domain has more memory than the published lists can describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuchMemory {
    /// Pages of the domain.
    pub pages: usize,
}

impl core::fmt::Display for TooMuchMemory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let most = FRAME_LISTS_LEN.load(Ordering::Relaxed) * PER_PAGE * PER_PAGE;
        write!(
            f,
            "the domain has {} pages, and the kernel can describe {most} for a save",
            self.pages
        )
    }
}

/// Can the domain be described for a save?
pub fn check_size() -> Result<(), TooMuchMemory> {
    let pages = PAGES.load(Ordering::Relaxed);
    if pages.div_ceil(PER_PAGE) > FRAME_LISTS_LEN.load(Ordering::Relaxed) * PER_PAGE {
        return Err(TooMuchMemory { pages });
    }
    Ok(())
}

/// Tells Xen's tools where the list is: at boot and in every new domain, whose machine frames are
/// others.
///
/// The three-level form; `p2m_cr3` = 0 says so. Read by `x86_pv_map_m2p` and its neighbours in
/// `tools/libs/guest/xg_sr_save_x86_pv.c`, before the suspend is even asked for.
pub fn publish(shared: &SharedInfo) {
    if check_size().is_err() {
        // Said at the suspend, which is refused.
        return;
    }
    let pages = PAGES.load(Ordering::Relaxed);
    let Some(list) = address::frame_at(LIST.load(Ordering::Relaxed)) else {
        return;
    };
    for n in 0..pages.div_ceil(PER_PAGE) {
        let place = address::address(frame_list(n)) as *mut usize;
        // SAFETY: a page that was taken for this (`place_frame_lists`), in the direct map; the number
        // of pages is what its length was made for (checked above).
        unsafe {
            place
                .add(n % PER_PAGE)
                .write_volatile(machine(Pfn(list.0 + n as u32)).0)
        };
    }
    for n in 0..FRAME_LISTS_LEN.load(Ordering::Relaxed) {
        FRAME_LIST_LIST.write_word(n, machine(frame_list(n * PER_PAGE)).0);
    }
    let arch = shared.as_ptr();
    // SAFETY: fields of the mapped shared-info page that only this guest writes and only Xen's
    // tools read.
    unsafe {
        (&raw mut (*arch).arch.max_pfn).write_volatile(pages as _);
        (&raw mut (*arch).arch.pfn_to_mfn_frame_list_list)
            .write_volatile(machine(FRAME_LIST_LIST.pfn()).0 as _);
        (&raw mut (*arch).arch.p2m_cr3).write_volatile(0);
    }
}
