//! The number of a page frame.

use super::layout::{KERNEL_BASE, PAGE_SIZE};

/// A page frame number: the guest's own physical address divided by 4096.
///
/// Under PVH it is what Xen calls a GFN; under PV a PFN, which the p2m turns into a machine frame
/// (MFN).
#[doc(alias = "GFN")]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Pfn(pub u32);

impl core::fmt::Debug for Pfn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Pfn {
    /// The frame of an address in the kernel's image.
    pub fn of_kernel(address: usize) -> Pfn {
        Pfn(((address - KERNEL_BASE) / PAGE_SIZE) as u32)
    }
}
