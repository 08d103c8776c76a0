//! The last step of a restore: loads the roots and pins the tables of an image.

use crate::image::Image;
use crate::page::Pfn;
use crate::refusal::{Errno, Refusal};
use crate::types::Types;

impl Image {
    /// Whether Xen will restore the domain, and if not, where it stops.
    pub fn restore(&self) -> Verdict {
        let mut types = Types::new(self);
        for (vcpu, roots) in self.roots.iter().enumerate() {
            for root in roots {
                if let Err(error) = types.load_root(*root) {
                    return Verdict::Vcpu {
                        vcpu,
                        error,
                        refusal: types.refusal(*root),
                    };
                }
            }
        }
        for (page, level) in &self.pinned {
            if let Err(error) = types.pin(*page, *level) {
                return Verdict::Pin {
                    page: *page,
                    error,
                    refusal: types.refusal(*page),
                };
            }
        }
        Verdict::Restores
    }
}

/// How a restore ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It succeeds.
    Restores,
    /// A vCPU's context is refused: `Failed to set vcpuN's basic info`.
    Vcpu {
        /// Which vCPU.
        vcpu: usize,
        /// With which error.
        error: Errno,
        /// Where it began.
        refusal: Refusal,
    },
    /// A pin is refused: `Failed to pin batch of pagetables`.
    Pin {
        /// The page that was to be pinned.
        page: Pfn,
        /// With which error.
        error: Errno,
        /// Where it began.
        refusal: Refusal,
    },
}

impl Verdict {
    /// The error, if there is one.
    pub fn error(&self) -> Option<Errno> {
        match self {
            Verdict::Restores => None,
            Verdict::Vcpu { error, .. } | Verdict::Pin { error, .. } => Some(*error),
        }
    }
}
