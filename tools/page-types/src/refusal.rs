//! Why Xen refuses a page table.

use std::fmt;

use crate::page::{Pfn, Type};

/// The errno values that the rules give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Errno {
    /// `EBUSY`, 16: a frame that a writable entry of an L1 points to is something else.
    Ebusy,
    /// `EINVAL`, 22: every other refusal.
    Einval,
}

impl Errno {
    /// The number, as in xl's `Failed to pin batch of pagetables (22 = Invalid argument)`.
    pub const fn number(self) -> i32 {
        match self {
            Errno::Ebusy => 16,
            Errno::Einval => 22,
        }
    }
}

/// Why a frame or an entry was refused, at the place where Xen saw it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The frame whose type was asked for, or the table that holds the entry.
    pub page: Pfn,
    /// The slot, if an entry was refused.
    pub slot: Option<u16>,
    /// Why.
    pub why: Why,
}

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The frame is of another type and has references.
    OtherType {
        /// What it is.
        is: Type,
        /// What was asked for.
        wanted: Type,
    },
    /// It is pinned already.
    Pinned,
    /// A PAE root without an entry in slot 3.
    NoSlot3,
    /// The L2 in slot 3 of a PAE root is shared.
    Slot3Shared,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {:#x}", self.page)?;
        if let Some(slot) = self.slot {
            write!(f, " slot {slot}")?;
        }
        match self.why {
            Why::OtherType { is, wanted } => write!(f, ": is {is}, {wanted} was asked for"),
            Why::Pinned => f.write_str(": is pinned already"),
            Why::NoSlot3 => f.write_str(": is empty"),
            Why::Slot3Shared => f.write_str(": the L2 in it is shared"),
        }
    }
}
