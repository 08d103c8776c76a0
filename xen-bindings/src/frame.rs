//! Frame numbers. A frame is 4096 bytes.

use core::fmt;

/// Bytes in a frame, and in every page this crate speaks of.
pub const PAGE_SIZE: usize = 4096;

macro_rules! frame {
    ($(#[$doc:meta])* $name:ident $letters:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub usize);

        impl $name {
            /// The address of the frame's first byte.
            #[must_use]
            pub const fn address(self) -> u64 {
                self.0 as u64 * PAGE_SIZE as u64
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letters, " {:#x}"), self.0)
            }
        }
    };
}

frame! {
    /// Guest frame number: a frame as the guest's own physical address space numbers it. In a PVH
    /// guest this is what page tables hold; in a PV guest it is the frame that Xen's interfaces
    /// take (an MFN).
    Gfn "gfn"
}
frame! {
    /// Machine frame number: a frame of the host. Only PV guests see any, and each one changes at
    /// restore.
    Mfn "mfn"
}
frame! {
    /// Pseudo-physical frame number: a PV guest's own contiguous numbering. Stays the same at
    /// restore.
    Pfn "pfn"
}

/// A domain's number.
#[doc(alias = "domid_t")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DomainId(pub u16);

impl DomainId {
    /// The calling domain, whatever its number is. Never stale, unlike the number itself after a
    /// restore.
    #[doc(alias = "DOMID_SELF")]
    pub const SELF: Self = Self(crate::ffi::DOMID_SELF as u16);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_frame_above_4_gib_keeps_its_address() {
        assert_eq!(Gfn(0x12_3456).address(), 0x1_2345_6000);
        assert_eq!(format!("{:?}", Mfn(0x1f)), "mfn 0x1f");
    }
}
