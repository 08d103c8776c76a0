//! Whose fault something is.

use core::fmt;

/// Whose fault an error is, as events name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// This kernel: a CPU that did not park, a cache that could not be drained, a page table that
    /// must not be saved.
    Guest,
    /// The hypervisor: a hypercall that failed.
    Xen,
    /// xenstored, libxl, or whoever drives them.
    Toolstack,
    /// The backend of a device, in whichever domain it runs.
    Backend,
}

impl Party {
    /// The name used in events (`docs/events.md`).
    pub const fn name(self) -> &'static str {
        match self {
            Party::Guest => "guest",
            Party::Xen => "xen",
            Party::Toolstack => "toolstack",
            Party::Backend => "backend",
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
