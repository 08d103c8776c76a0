//! What Xen is, and what it can do for this domain: `public/version.h` and `features.h`.

pub use crate::cpuid::Version;
use crate::hypercall::hypercall2;
use crate::{ffi, Call, Result};
use core::ptr;

const OP: u32 = ffi::__HYPERVISOR_xen_version;

bitflags::bitflags! {
    /// `XENFEAT_*`: what Xen does for this domain.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u32 {
        /// The guest may write its page tables as if they were ordinary memory.
        const WRITABLE_PAGE_TABLES = 1 << ffi::XENFEAT_writable_page_tables;
        /// The guest may write its descriptor tables as if they were ordinary memory.
        const WRITABLE_DESCRIPTOR_TABLES = 1 << ffi::XENFEAT_writable_descriptor_tables;
        /// Physical addresses are translated by Xen: PVH and HVM, not PV.
        const AUTO_TRANSLATED_PHYSMAP = 1 << ffi::XENFEAT_auto_translated_physmap;
        /// The kernel runs in ring 0.
        const SUPERVISOR_MODE_KERNEL = 1 << ffi::XENFEAT_supervisor_mode_kernel;
        /// A PAE L3 table may lie above 4 GiB.
        const PAE_PGDIR_ABOVE_4GB = 1 << ffi::XENFEAT_pae_pgdir_above_4gb;
        /// `MMU_PT_UPDATE_PRESERVE_AD` is there.
        const MMU_PT_UPDATE_PRESERVE_AD = 1 << ffi::XENFEAT_mmu_pt_update_preserve_ad;
        /// `MMU_{CLEAR,COPY}_PAGE` are there.
        const HIGHMEM_ASSIST = 1 << ffi::XENFEAT_highmem_assist;
        /// Available bits of page-table entries can be given when a grant is mapped.
        const GNTTAB_MAP_AVAIL_BITS = 1 << ffi::XENFEAT_gnttab_map_avail_bits;
        /// Events can be delivered as a vector.
        const HVM_CALLBACK_VECTOR = 1 << ffi::XENFEAT_hvm_callback_vector;
        /// The clock of an HVM guest is safe to use.
        const HVM_SAFE_PVCLOCK = 1 << ffi::XENFEAT_hvm_safe_pvclock;
        /// Physical interrupts can be bound to event channels in an HVM guest.
        const HVM_PIRQS = 1 << ffi::XENFEAT_hvm_pirqs;
        /// This is dom0.
        const DOM0 = 1 << ffi::XENFEAT_dom0;
        /// Features that this crate has no name for.
        const _ = !0;
    }
}

/// Xen's version.
///
/// # Errors
/// Xen's.
#[doc(alias = "XENVER_version")]
pub fn version() -> Result<Version> {
    // SAFETY: this sub-operation takes no argument.
    let ret = unsafe { hypercall2::<OP>(ffi::XENVER_version as usize, 0) };
    let packed = Call::new("XENVER_version").check(ret)?;
    Ok(Version {
        major: (packed >> 16) as u16,
        minor: packed as u16,
    })
}

/// What follows the version, such as `.5`: up to 15 bytes of text.
///
/// # Errors
/// Xen's: `EPERM` where policy hides it.
#[doc(alias = "XENVER_extraversion")]
pub fn extra_version() -> Result<ExtraVersion> {
    let mut text = ExtraVersion([0; 16]);
    // SAFETY: `text` lives across the call, and nothing else uses it.
    unsafe { extra_version_at(&mut text)? };
    Ok(text)
}

/// As [`extra_version`], with the text at `place`. For memory that Xen is to write into, whatever
/// the text: what Xen copies to a PVH guest is noted as dirty in a live migration
/// (`__hvm_copy`, `xen/arch/x86/hvm/hvm.c`).
///
/// # Errors
/// Xen's: `EPERM` where policy hides it, `EFAULT` if `place` is not mapped.
///
/// # Safety
/// Nothing else uses the 16 bytes at `place` during the call.
pub unsafe fn extra_version_at(place: *mut ExtraVersion) -> Result<()> {
    // SAFETY: Xen writes at most the 16 bytes of a xen_extraversion_t; they are the caller's.
    let ret = unsafe { hypercall2::<OP>(ffi::XENVER_extraversion as usize, place as usize) };
    Call::new("XENVER_extraversion").check(ret).map(drop)
}

/// What follows the version number.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct ExtraVersion([u8; size_of::<ffi::xen_extraversion_t>()]);

impl ExtraVersion {
    /// The text; empty if Xen wrote none, or something that is not text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|&b| b == 0).unwrap_or(self.0.len());
        core::str::from_utf8(&self.0[..end]).unwrap_or("")
    }
}

impl core::fmt::Debug for ExtraVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// What Xen does for this domain.
///
/// # Errors
/// Xen's.
#[doc(alias = "XENVER_get_features")]
pub fn features() -> Result<Features> {
    let mut arg = ffi::xen_feature_info {
        submap_idx: 0,
        submap: 0,
    };
    // SAFETY: `arg` is what the sub-operation takes, and lives across the call.
    let ret = unsafe {
        hypercall2::<OP>(
            ffi::XENVER_get_features as usize,
            ptr::from_mut(&mut arg) as usize,
        )
    };
    Call::new("XENVER_get_features").check(ret)?;
    Ok(Features::from_bits_retain(arg.submap))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::double;
    use std::string::ToString;

    #[test]
    fn version_and_features_are_unpacked() {
        let xen = |nr: u32, args: &[usize]| {
            assert_eq!(nr, 17);
            match args[0] {
                0 => 0x4_0011,
                1 => {
                    // SAFETY: the wrapper passes 16 bytes that live during the call.
                    unsafe { (args[1] as *mut [u8; 16]).write(*b".5-pre\0garbage\0\0") };
                    0
                }
                6 => {
                    // SAFETY: the wrapper passes a structure that lives during the call.
                    let arg = unsafe { &mut *(args[1] as *mut ffi::xen_feature_info) };
                    assert_eq!(arg.submap_idx, 0);
                    arg.submap = (1 << 2) | (1 << 9) | (1 << 30);
                    0
                }
                _ => -38,
            }
        };
        double::with(xen, || {
            assert_eq!(version().unwrap().to_string(), "4.17");
            assert_eq!(extra_version().unwrap().as_str(), ".5-pre");
            let features = features().unwrap();
            assert!(
                features.contains(Features::AUTO_TRANSLATED_PHYSMAP | Features::HVM_SAFE_PVCLOCK)
            );
            assert!(!features.contains(Features::DOM0));
            assert_eq!(features.bits(), 0x4000_0204);
        });
    }
}
