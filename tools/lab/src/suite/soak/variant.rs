//! The guests of a soak, each on a Xen.

use crate::build::kernel::Arch;
use crate::guest::config::{Config, Kind};
use crate::guest::standard;
use crate::host::qemu;
use crate::host::xen_build::Xen;
use crate::suite::soak::plan::{self, State};

const VCPUS: u32 = 4;

/// A guest on a Xen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    pub arch: Arch,
    pub kind: Kind,
    pub xen: Xen,
}

impl Variant {
    /// Those that the lab can run on this host, ordered by their Xen.
    pub fn all() -> Vec<Self> {
        let (accel, _) = qemu::accel();
        let mut all = Vec::new();
        for xen in [Xen::Debian12, Xen::Pv32] {
            for kind in [Kind::Pvh, Kind::Pv] {
                for arch in [Arch::X86_64, Arch::I686] {
                    let (needed, _) = kind.needed_xen(arch, accel);
                    // What runs on Debian's own build runs on the other one too.
                    if needed == Xen::Debian12 || needed == xen {
                        all.push(Self { arch, kind, xen });
                    }
                }
            }
        }
        all
    }

    pub fn name(self) -> String {
        let (arch, kind, xen) = (self.arch.name(), self.kind.name(), self.xen.name());
        format!("{arch}-{kind}-{xen}")
    }

    /// Debian's build cannot log what a PV guest writes, so it migrates none.
    pub fn start(self) -> State {
        let live = self.kind != Kind::Pv || self.xen == Xen::Pv32;
        State::new(u64::from(VCPUS), live)
    }

    pub fn config(self) -> Config {
        let config = match self.kind {
            Kind::Pvh => standard::pvh(self.arch),
            kind => standard::pv(self.arch, kind),
        };
        Config {
            name: "soak".into(),
            mem: plan::MEM as u32,
            extra: format!("{}maxmem = {}\n", config.extra, plan::MAX_MEM),
            ..config
        }
    }
}
