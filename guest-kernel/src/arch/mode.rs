//! As what the guest runs: classic PV or PVH.

use core::sync::atomic::{AtomicBool, Ordering};

/// Set by the PV entry, before anything else; the trap stubs read it too.
#[no_mangle]
static IS_PV: AtomicBool = AtomicBool::new(false);

/// Does the guest run as classic PV? If not, it is PVH.
pub fn is_pv() -> bool {
    IS_PV.load(Ordering::Relaxed)
}

/// The PV entry was taken.
pub(super) fn set_pv() {
    IS_PV.store(true, Ordering::Relaxed);
}
