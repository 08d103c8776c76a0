//! What to assume, and how much memory to use.

use crate::target::Xen;

/// What to assume, and how much memory to use.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most bytes to hold; see the crate's text. By default 1 GiB, enough for every PVH guest
    /// up to 4 TiB and for PV guests of some 50 GiB, whose page tables all map memory.
    pub memory: u64,
    /// Whether the host that is to restore allows linear page tables (Xen's `pv-linear-pt`, on by
    /// default).
    pub linear: bool,
    /// The Xen that is to restore. By default the one that saved, or the next higher one whose
    /// rules are known.
    pub for_xen: Option<Xen>,
    /// Judge a checkpointed stream as a Remus backup does, which goes on from the last whole
    /// checkpoint. `xl restore` refuses such streams.
    pub backup: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            linear: true,
            for_xen: None,
            backup: false,
        }
    }
}
