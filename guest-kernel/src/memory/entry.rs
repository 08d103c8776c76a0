//! One page-table entry. PAE and x86_64 have the same format (Intel SDM volume 3, 4.4.2 and 4.5.4).

use core::fmt;

use super::Pfn;

bitflags::bitflags! {
    /// Flags of an entry.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u64 {
        /// P: the entry maps something.
        const PRESENT = 1 << 0;
        /// R/W: writes are allowed.
        const WRITABLE = 1 << 1;
        /// U/S.
        const USER = 1 << 2;
        /// A: set by the CPU.
        const ACCESSED = 1 << 5;
        /// D: set by the CPU.
        const DIRTY = 1 << 6;
        /// PS: above L1, the entry maps a superpage. Xen can't save one under PV.
        const SUPERPAGE = 1 << 7;
    }
}

impl Flags {
    /// A page or table that the kernel alone uses.
    pub const KERNEL: Flags = Flags::PRESENT
        .union(Flags::WRITABLE)
        .union(Flags::ACCESSED)
        .union(Flags::DIRTY);
    /// A page that the kernel only reads: under PV, every page table.
    pub const READ_ONLY: Flags = Flags::PRESENT.union(Flags::ACCESSED).union(Flags::DIRTY);
    /// A page or table of the user half.
    pub const USER_DATA: Flags = Flags::KERNEL.union(Flags::USER);
    /// A link of the window. Read-only: Xen accepts a linear entry only without `_PAGE_RW`.
    pub const LINK: Flags = Flags::PRESENT.union(Flags::ACCESSED).union(Flags::DIRTY);
    /// The flags that a link of the window keeps while it is taken down. Without PS: on a host with
    /// L1TF Xen takes that, in an entry that is not present, for an attack.
    pub const KEPT: u64 = 0x67;
    /// Flags that others set in an entry: A and D the CPU; U/S a 64-bit Xen, whose PV kernels run
    /// in ring 3, together with bit 52, by which it remembers (`adjust_guest_l1e`,
    /// `adjust_guest_l2e`, `xen/arch/x86/include/asm/pv/mm.h`).
    pub const OTHERS: u64 =
        Flags::ACCESSED.bits() | Flags::DIRTY.bits() | Flags::USER.bits() | 1 << 52;
}

/// A page-table entry.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Entry(u64);

impl Entry {
    /// Maps nothing. All zero, not merely not present: on a host with L1TF Xen crashes a PV guest
    /// for an address in an entry that is not present.
    pub const EMPTY: Entry = Entry(0);

    /// The bits that hold the frame number.
    pub const FRAME: u64 = 0x000f_ffff_ffff_f000;

    /// An entry for `frame`.
    pub const fn new(frame: Pfn, flags: Flags) -> Entry {
        Entry((frame.0 as u64) << 12 | flags.bits())
    }

    /// The entry with these bits.
    pub const fn from_bits(bits: u64) -> Entry {
        Entry(bits)
    }

    /// The entry as the CPU sees it.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Does it map something?
    pub const fn is_present(self) -> bool {
        self.0 & Flags::PRESENT.bits() != 0
    }

    /// The frame that it names, whether it is present or not.
    pub const fn frame(self) -> Pfn {
        Pfn(((self.0 & Entry::FRAME) >> 12) as u32)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}
