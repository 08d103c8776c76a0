//! Xen's page-type rules, as far as they decide whether a saved PV domain can be restored. Host
//! side only.
//!
//! Xen lets a frame be one thing at a time: writable memory or a page table of one level. When a
//! reference asks for a type, a frame without references takes it on (*promotion*, which walks the
//! table's entries and asks for a type of each target); a frame with references of another type
//! refuses. A restore asks in this order:
//!
//! 1. per vCPU, rising: the root table of its `cr3` (`update_vcpu_context`), which promotes the
//!    whole tree below it;
//! 2. the pinned tables in rising PFN order (`pin_pagetables`,
//!    `tools/libs/guest/xg_sr_restore_x86_pv.c`); the first that fails ends the restore.
//!
//! What makes linear entries (an L2 entry that points to an L2) depend on the order is that Xen
//! asks for an L1 *first*. A target that nobody refers to yet becomes an L1, and can be an L2 no
//! more.
//!
//! The rules are those of `xen/arch/x86/mm.c` (4.20.2): `_get_page_type`, `promote_l1_table` to
//! `promote_l4_table`, `get_page_from_l1e` to `get_page_from_l4e`, `define_get_linear_pagetable`,
//! `pae_xen_mappings_check`, `MMUEXT_PIN_L1_TABLE`. Left out: descriptor tables, foreign and I/O
//! frames, cache attributes, reserved bits of entries, the PAE root's place below 4 GiB,
//! preemption. Entries hold PFNs, as in a stream.
#![deny(unsafe_code)]

mod image;
mod page;
mod refusal;
mod restore;
#[cfg(test)]
mod tests;
mod types;

pub use image::Image;
pub use page::{table_type, Pfn, Type};
pub use refusal::{Errno, Refusal, Why};
pub use restore::Verdict;
pub use types::Types;
