//! What a disk is, and what its backend can do.

use migration::xenstore::Xenstore;
use migration::Text;

use super::wire::{INFO_CDROM, INFO_READ_ONLY, SECTOR};
use crate::error::Problem;
use crate::path::{flag, number, text};

/// How a disk's cache is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Not at all: the backend offers neither.
    None,
    /// `feature-flush-cache`.
    Cache,
    /// `feature-barrier`, from a backend without the other.
    Barrier,
}

/// A disk, as its backend describes it now. A restore may change everything in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// Its size in units of 512 bytes, whatever `sector_size` is.
    pub sectors: u64,
    /// Bytes: a power of two from 512 to 4096. Requests begin and end at multiples of it.
    pub sector_size: u32,
    /// Bytes: the disk's own block.
    pub physical_sector_size: u32,
    /// Writes are refused.
    pub read_only: bool,
    /// It is a CD.
    pub cdrom: bool,
    /// How its cache is written out.
    pub flush: Flush,
    /// It takes discards.
    pub discard: bool,
    /// It takes secure discards.
    pub discard_secure: bool,
    /// Bytes: discards of less may do nothing.
    pub discard_granularity: u32,
    /// Bytes: where the first extent that can be discarded begins.
    pub discard_alignment: u32,
    /// The backend keeps grants mapped.
    pub persistent: bool,
    /// Segments in an indirect request; 0: the backend has none.
    pub indirect_segments: u32,
}

impl Info {
    /// Reads what a connected backend says. Linux' blkback writes most of this only then
    /// (`connect`, `drivers/block/xen-blkback/xenbus.c`).
    pub(crate) fn read<X: Xenstore>(tree: &mut X, backend: &str) -> Result<Info, Problem> {
        let small = |value: Option<u64>, default: u32| {
            value.map_or(default, |v| u32::try_from(v).unwrap_or(u32::MAX))
        };
        let sectors = number(tree, backend, "sectors")?.ok_or(Problem::Missing("sectors"))?;
        let sector_size = small(number(tree, backend, "sector-size")?, SECTOR as u32);
        // A segment lies in one page, so no sector can be larger than one.
        if !sector_size.is_power_of_two() || !(512..=4096).contains(&sector_size) {
            return Err(of(tree, backend, "sector-size"));
        }
        // 2^63 bytes: what can be said in bytes at all.
        if sectors > u64::MAX >> 10 {
            return Err(of(tree, backend, "sectors"));
        }
        let physical = number(tree, backend, "physical-sector-size")?;
        let bits = number(tree, backend, "info")?.unwrap_or(0);
        let mut mode = [0; 4];
        let mode = text(tree, backend, "mode", &mut mode)?;
        let flush = if flag(tree, backend, "feature-flush-cache")? {
            Flush::Cache
        } else if flag(tree, backend, "feature-barrier")? {
            Flush::Barrier
        } else {
            Flush::None
        };
        let granularity = number(tree, backend, "discard-granularity")?;
        Ok(Info {
            sectors,
            sector_size,
            physical_sector_size: small(physical, sector_size),
            read_only: bits & INFO_READ_ONLY != 0 || mode == Some(b"r"),
            cdrom: bits & INFO_CDROM != 0,
            flush,
            discard: flag(tree, backend, "feature-discard")?,
            discard_secure: flag(tree, backend, "discard-secure")?,
            discard_granularity: small(granularity, sector_size),
            discard_alignment: small(number(tree, backend, "discard-alignment")?, 0),
            persistent: flag(tree, backend, "feature-persistent")?,
            indirect_segments: small(number(tree, backend, "feature-max-indirect-segments")?, 0),
        })
    }
}

/// The error for a node that has been read and makes no sense.
fn of<X: Xenstore>(tree: &mut X, backend: &str, node: &'static str) -> Problem {
    let mut buf = [0; 24];
    match text(tree, backend, node, &mut buf) {
        Ok(value) => Problem::Value {
            node,
            value: Text::new(value.unwrap_or(b"")),
        },
        Err(problem) => problem,
    }
}
