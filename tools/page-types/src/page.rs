//! A page: its number, what Xen can take it for, and what a stream calls it.

use std::fmt;

use migration::audit::Level;

/// A page frame number, as the guest counts.
pub type Pfn = u64;

/// Reads the four type bits of a page in a stream's PAGE_DATA record (bits 60 to 63;
/// `XEN_DOMCTL_PFINFO_*` shifted by 28, `xen/include/public/domctl.h`): the level of a table, and
/// whether it is pinned. `None`: no table.
///
/// ```
/// use migration::audit::Level;
/// use page_types::table_type;
/// assert_eq!(table_type(0x2), Some((Level::L2, false)));
/// assert_eq!(table_type(0xa), Some((Level::L2, true)));
/// assert_eq!(table_type(0x0), None); // NOTAB: plain memory
/// assert_eq!(table_type(0xf), None); // XTAB: no data follows
/// ```
#[doc(alias = "XEN_DOMCTL_PFINFO_LPINTAB")]
pub const fn table_type(bits: u8) -> Option<(Level, bool)> {
    let level = match bits & 7 {
        1 => Level::L1,
        2 => Level::L2,
        3 => Level::L3,
        4 => Level::L4,
        _ => return None,
    };
    Some((level, bits & 8 != 0))
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Nothing yet.
    None,
    /// Mapped writable.
    #[doc(alias = "PGT_writable_page")]
    Writable,
    /// A page table.
    Table(Level),
    /// The L2 in slot 3 of a PAE root, which carries Xen's entries from slot 428.
    #[doc(alias = "PGT_pae_xen_l2")]
    PaeXenL2,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::None => f.write_str("untyped"),
            Type::Writable => f.write_str("writable"),
            Type::Table(level) => write!(f, "{level}"),
            Type::PaeXenL2 => f.write_str("L2 of slot 3"),
        }
    }
}

impl Type {
    pub(crate) fn level(self) -> Option<Level> {
        match self {
            Type::Table(level) => Some(level),
            Type::PaeXenL2 => Some(Level::L2),
            Type::None | Type::Writable => None,
        }
    }
}
