//! Where things lie in the address space; one layout for both word sizes.
//!
//! A set covers 0 to 4 GiB. Its first three pages map the **user half**, 0 to
//! 3 GiB. Its fourth, the holder, maps from [`HOLDER_BASE`]: the kernel's L2
//! entries and, below Xen's own area under 32-bit PV (`0xF5800000`, L2 slot
//! 428), the **window**.
//!
//! | holder's L2 slots | what they map | at (i686) |
//! |---|---|---|
//! | 0..384 | the **near map**: physical memory from 0 on | `0xC0000000` |
//! | 384 | the fixmap: rings | `0xF0000000` |
//! | 416..420 | the window | `0xF4000000` |
//!
//! On i686 the kernel itself runs at [`HOLDER_BASE`], and the near map is all that it maps: 768 MiB.
//! On x86_64 it runs at -2 GiB, through the very same L2 page, and the holder's copy is an alias of
//! it. The near map holds the kernel's image there, with what the domain builder put behind it; all
//! other memory is in the **far map**, from [`FAR_BASE`] on, of which no holder knows.

/// Where the kernel is linked and sees physical address 0.
#[cfg(target_arch = "x86_64")]
pub const KERNEL_BASE: usize = 0xffff_ffff_8000_0000;
/// Where the kernel is linked and sees physical address 0.
#[cfg(target_arch = "x86")]
pub const KERNEL_BASE: usize = 0xc000_0000;

/// First address that a holder maps: the fourth GiB.
pub const HOLDER_BASE: usize = 0xc000_0000;

/// End of the user half, exclusive.
pub const USER_END: usize = HOLDER_BASE;

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;
/// Entries of a table.
pub const ENTRIES: usize = 512;
/// Bytes that one L2 entry maps.
pub const L2_ENTRY_BYTES: usize = ENTRIES * PAGE_SIZE;
/// Bytes that one L2 page maps.
pub const L2_PAGE_BYTES: usize = ENTRIES * L2_ENTRY_BYTES;

/// L2 entries that the near map can take.
pub const NEAR_SLOTS: usize = 384;
/// Frames in 2 MiB, which Xen can take at once, and which one L1 table maps.
pub const CHUNK: u32 = ENTRIES as u32;
/// Frames that the near map can take.
pub const NEAR_FRAMES: usize = NEAR_SLOTS * ENTRIES;

/// Where the far map has physical address 0: L4 slot 272, the first that Xen leaves to a PV guest's
/// kernel (`xen/arch/x86/include/asm/config.h`, slots 256 to 271 are Xen's).
#[cfg(target_arch = "x86_64")]
pub const FAR_BASE: usize = 0xffff_8800_0000_0000;
/// L4 slot of the far map.
#[cfg(target_arch = "x86_64")]
pub const FAR_L4_SLOT: usize = FAR_BASE >> 39 & (ENTRIES - 1);
/// Frames that one L2 table maps: 1 GiB.
#[cfg(target_arch = "x86_64")]
pub const GIB_FRAMES: u32 = (ENTRIES * ENTRIES) as u32;

/// The kernel uses no memory from this frame on: 64 GiB. The far map could take 512.
#[cfg(target_arch = "x86_64")]
pub const MOST_FRAMES: usize = 64 << (30 - 12);
/// The kernel uses no memory from this frame on: where the near map ends, 768 MiB.
#[cfg(target_arch = "x86")]
pub const MOST_FRAMES: usize = NEAR_FRAMES;

/// L2 slot of the fixmap.
pub const FIXMAP_SLOT: usize = 384;
/// First address of the fixmap.
pub const FIXMAP_BASE: usize = KERNEL_BASE + FIXMAP_SLOT * L2_ENTRY_BYTES;

/// First L2 slot of the window, which takes four.
pub const WINDOW_SLOT: usize = 416;
/// First address of the window, in the holder's range. The L1 entry that maps the user
/// address `va` is read at `WINDOW_BASE + va / 4096 * 8`.
pub const WINDOW_BASE: usize = HOLDER_BASE + WINDOW_SLOT * L2_ENTRY_BYTES;

/// End of the window in the holder's range, exclusive. Under 32-bit PV what follows may be Xen's.
#[cfg(target_arch = "x86")]
pub const WINDOW_END: usize = WINDOW_BASE + SET_PAGES * L2_ENTRY_BYTES;

/// L2 pages in a set: as many as PAE has page-directory pointers.
pub const SET_PAGES: usize = 4;
/// The holder's place in a set.
pub const HOLDER: usize = 3;

const _: () = assert!(
    WINDOW_SLOT + SET_PAGES <= 428,
    "Xen's area under 32-bit PV begins at slot 428"
);
const _: () = assert!(FIXMAP_SLOT < WINDOW_SLOT && NEAR_SLOTS <= FIXMAP_SLOT);

/// L2 page (0 to 3) and slot in it of an address below 4 GiB.
pub const fn l2_place(va: usize) -> (usize, usize) {
    (va / L2_PAGE_BYTES, va / L2_ENTRY_BYTES % ENTRIES)
}

/// Slot of an address in its L1 table.
pub const fn l1_slot(va: usize) -> usize {
    va / PAGE_SIZE % ENTRIES
}
