//! What only a PVH guest does at its start.

use crate::cpuid::{Instruction, Leaves};
use core::fmt;

/// Why there is no hypercall page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallError {
    /// CPUID shows no Xen: the kernel was started by something else.
    NotXen,
    /// Xen offers no hypercall page.
    NoHypercallPage,
    /// The address is not that of a page.
    Misaligned {
        /// The address given.
        phys: u64,
    },
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotXen => {
                f.write_str("CPUID shows no Xen: this kernel was started by something else")
            }
            Self::NoHypercallPage => f.write_str("Xen offers no hypercall page"),
            Self::Misaligned { phys } => write!(
                f,
                "the hypercall page's address {phys:#x} is not page aligned"
            ),
        }
    }
}

impl core::error::Error for InstallError {}

/// Has Xen fill the page at physical address `phys` (see [`crate::hypercall`]) and returns Xen's
/// leaves.
///
/// Doing it again is harmless. It also makes Xen note the word size of the calling mode as that of
/// the shared-info page, as setting `HVM_PARAM_CALLBACK_IRQ` does.
///
/// # Errors
/// Without writing anything: see [`InstallError`].
///
/// # Safety
/// `phys` is the physical address of [`hypercall_page`](crate::hypercall), or of another page that
/// nothing else uses: Xen overwrites all 4096 bytes. The caller runs in ring 0 of a PVH or HVM
/// guest.
pub unsafe fn install_hypercall_page(phys: u64) -> Result<Leaves, InstallError> {
    let leaves = Leaves::find(Instruction::Plain).ok_or(InstallError::NotXen)?;
    let transfer = leaves
        .hypercall_transfer()
        .ok_or(InstallError::NoHypercallPage)?;
    if phys & 0xfff != 0 {
        // The low bits are the number of the page asked for.
        return Err(InstallError::Misaligned { phys });
    }
    // SAFETY: this is the register that Xen itself named for this purpose, and the page is the
    // caller's to give, by contract.
    unsafe { wrmsr(transfer.msr, phys) };
    Ok(leaves)
}

/// Writes a model-specific register.
///
/// # Safety
/// Ring 0, the register exists, and what writing `value` to it does is wanted.
unsafe fn wrmsr(msr: u32, value: u64) {
    // SAFETY: the caller's contract. Not nomem: Xen writes a page.
    unsafe {
        core::arch::asm!(
            "wrmsr",
            in("ecx") msr,
            in("eax") value as u32,
            in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags),
        );
    }
}
