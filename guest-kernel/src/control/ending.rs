//! How the guest ends, and its last words.

use xen_bindings::sched::{self, Shutdown};

use crate::arch::cpu;
use crate::xen::{console, report, time};

/// How the guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Off.
    Poweroff,
    /// Stopped. Xen has no way to stop a domain but off; the distinction is the toolstack's.
    Halt,
    /// Off, and the toolstack starts it again.
    Reboot,
}

/// Ends the domain as crashed. The caller has already reported why.
pub fn crash() -> ! {
    console::flush(time::now() + LAST_WORDS);
    let _ = sched::shutdown(Shutdown::Crash);
    cpu::stop()
}

/// Longest wait for dom0 to read the last lines, nanoseconds.
const LAST_WORDS: u64 = 1_000_000_000;

/// Ends the domain.
pub fn end(how: End) -> ! {
    let (word, reason) = match how {
        End::Poweroff => ("poweroff", Shutdown::Poweroff),
        End::Halt => ("halt", Shutdown::Poweroff),
        End::Reboot => ("reboot", Shutdown::Reboot),
    };
    report::event("end").text("why", word).send();
    console::flush(time::now() + LAST_WORDS);
    // Comes back only if Xen refuses; there is nobody left to tell.
    let _ = sched::shutdown(reason);
    cpu::stop()
}
