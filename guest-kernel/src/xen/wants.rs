//! What this guest wants of xenstore is `kernel-glue`'s [`Wants`]. Here is what is said of it, and when
//! the nodes are to be read again.

use core::sync::atomic::{AtomicBool, Ordering};

pub use kernel_glue::wants::Wants;

use crate::xen::report;
use crate::xen::store::Store;

/// `control/shutdown` and `cpu/` are to be read again, whatever the watches say.
static LOOK_AGAIN: AtomicBool = AtomicBool::new(false);

/// Has the nodes read again at vCPU 0's next pass.
pub fn look_again() {
    LOOK_AGAIN.store(true, Ordering::Relaxed);
}

/// Was that asked for since the last question?
pub fn take_look_again() -> bool {
    LOOK_AGAIN.swap(false, Ordering::Relaxed)
}

/// Does what is due. Gives whether xenstored answers.
pub fn pursue(wants: &mut Wants, store: &mut Store) -> bool {
    let pursued = wants.pursue(store);
    if pursued.mended {
        report::event("xenstore")
            .text("is", "connected-anew")
            .send();
    }
    pursued.answered
}
