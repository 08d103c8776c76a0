//! Paths and numbers in xenstore, without allocation.

use core::fmt;

use migration::xenstore::{StoreError, Xenstore};
use migration::Text;

use crate::error::Problem;

/// Room for a path. `XENSTORE_REL_PATH_MAX` is 2048, but a device's own paths are some 40 bytes
/// long, and its backend's 50.
const LONGEST: usize = 128;

/// A path or a value.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Path {
    pub(crate) const EMPTY: Path = Path {
        bytes: [0; LONGEST],
        len: 0,
    };

    /// Formats a path; one that does not fit is an error, never a shorter path.
    pub(crate) fn new(words: fmt::Arguments<'_>) -> Result<Path, Problem> {
        let mut path = Path::EMPTY;
        fmt::write(&mut path, words).map_err(|_| Problem::PathTooLong)?;
        Ok(path)
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only whole strings were put in.
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

impl fmt::Write for Path {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len + s.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Reads `<dir>/<node>` into `buf`; `None` if there is no such node.
///
/// A node that may not be read is one that is not there: xenstored answers `EACCES` for a missing
/// node below a folder that the guest may not read, such as that of dom0's backends
/// (`errno_from_parents`, `tools/xenstored/core.c`).
pub(crate) fn text<'b, X: Xenstore>(
    tree: &mut X,
    dir: &str,
    node: &'static str,
    buf: &'b mut [u8],
) -> Result<Option<&'b [u8]>, Problem> {
    let path = Path::new(format_args!("{dir}/{node}"))?;
    match tree.read(None, path.as_str(), buf) {
        Ok(len) if len > buf.len() => Err(Problem::Value {
            node,
            value: Text::new(buf),
        }),
        Ok(len) => Ok(Some(&buf[..len])),
        Err(StoreError::NotFound | StoreError::Denied) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads a decimal number; `None` if there is no such node.
pub(crate) fn number<X: Xenstore>(
    tree: &mut X,
    dir: &str,
    node: &'static str,
) -> Result<Option<u64>, Problem> {
    let mut buf = [0; 24];
    let Some(value) = text(tree, dir, node, &mut buf)? else {
        return Ok(None);
    };
    let digits = core::str::from_utf8(value).ok();
    let plain = digits.filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    match plain.and_then(|d| d.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(Problem::Value {
            node,
            value: Text::new(value),
        }),
    }
}

/// Reads a switch: 1 is on; 0, or no node, is off.
pub(crate) fn flag<X: Xenstore>(
    tree: &mut X,
    dir: &str,
    node: &'static str,
) -> Result<bool, Problem> {
    Ok(number(tree, dir, node)?.unwrap_or(0) != 0)
}

/// Writes `<dir>/<node>`.
pub(crate) fn put<X: Xenstore>(
    tree: &mut X,
    dir: &str,
    node: impl fmt::Display,
    value: impl fmt::Display,
) -> Result<(), Problem> {
    let path = Path::new(format_args!("{dir}/{node}"))?;
    let value = Path::new(format_args!("{value}"))?;
    Ok(tree.write(None, path.as_str(), value.as_str().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_fit_is_refused_and_not_cut() {
        let fits = Path::new(format_args!("{:127}x", ""));
        assert_eq!(fits.map(|p| p.as_str().len()).ok(), Some(128));
        let longer = Path::new(format_args!("{:128}x", ""));
        assert_eq!(longer.err(), Some(Problem::PathTooLong));
    }
}
