//! What only an HVM or PVH domain's stream says.

use std::collections::{BTreeMap, BTreeSet};

use crate::refusal::Refusal;

/// `HVM_PARAM_*` that say where the rings are.
pub const STORE_PFN: u32 = 1;
/// See [`STORE_PFN`].
pub const CONSOLE_PFN: u32 = 17;

/// What an HVM stream says beside its memory.
#[derive(Clone, Debug, Default)]
pub struct Hvm {
    /// HVM_PARAMS by index.
    pub params: BTreeMap<u32, u64>,
    /// The last HVM_CONTEXT; libxc hands it to Xen when everything else is done.
    pub context: Option<Context>,
}

/// What an HVM_CONTEXT says, as far as it is kept.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The vCPUs whose state is in it; those that were offline are not.
    pub vcpus: BTreeSet<u16>,
    /// Entries of local APICs: the hidden state and the registers.
    pub lapics: [BTreeSet<u16>; 2],
    /// The first few things that Xen refuses in it, in its order.
    pub refused: Vec<Refusal>,
    /// Further ones.
    pub more: u64,
    /// Odd, and taken by Xen.
    pub odd: Vec<String>,
    /// An XSAVE state whose right length the stream does not tell.
    pub unknown_length: bool,
}

impl Context {
    /// How many refusals are kept.
    const KEPT: usize = 8;

    /// Keeps a refusal, or counts it.
    pub fn refuse(&mut self, refusal: Refusal) {
        if self.refused.len() < Self::KEPT {
            self.refused.push(refusal);
        } else {
            self.more += 1;
        }
    }
}
