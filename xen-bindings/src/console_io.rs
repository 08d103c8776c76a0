//! Xen's own console, for words before the console ring works. `public/xen.h`.

use crate::hypercall::hypercall3;
use crate::{ffi, Call, Result};

/// Writes to Xen's console. A domU's words appear only where Xen was built for debugging or allows
/// it (`guest_loglvl`, and then rate-limited); elsewhere the call is refused.
///
/// # Errors
/// Xen's.
#[doc(alias = "CONSOLEIO_write")]
pub fn write(text: &[u8]) -> Result<()> {
    // SAFETY: Xen only reads the bytes, which live across the call.
    let ret = unsafe {
        hypercall3::<{ ffi::__HYPERVISOR_console_io }>(
            ffi::CONSOLEIO_write as usize,
            text.len(),
            text.as_ptr() as usize,
        )
    };
    Call::new("CONSOLEIO_write").check(ret).map(drop)
}
