//! Says of a saved domain whether Xen can restore it, and if not, why.
//!
//! `xl save` exits 0 on images that can never be restored; until now only `xl restore` told. This
//! reads the image instead: the whole stream as `xl` would, record by record, and then the
//! restore's last step, vCPU contexts and pinned page tables, on the model of Xen's page-type rules
//! ([`page_types`]).
//!
//! The input is an image of xl, libvirt or xapi, what `xl migrate` or `xl remus` sends, libxl's
//! stream alone or libxc's alone; versions 2 and 3; PV, PVH and HVM guests, ours or any other.
//! Registers, parameters and lengths are judged by the rules of one Xen: [`Options::for_xen`].
//!
//! ```no_run
//! use savelint::{lint, Options};
//! let image = std::fs::File::open("guest.save")?;
//! let report = lint(image, &Options::default(), &mut |_bytes| {})?;
//! assert!(report.restores(), "{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Any [`Read`] will do, such as the standard output of `ssh dom0 cat /lab/guest.save`. To compare
//! with Xen: [`Report::restores`] is the verdict, [`Report::errno`] the error number that `xl
//! restore` is expected to print, where one is known; [`Report::not_judged`] lists what the file
//! does not tell. The report is `Display` (the page for a person) and `Serialize` (what `--json`
//! prints).
//!
//! # What it holds in memory
//! One byte for each page frame the stream names, the contents of page tables (PV only), and small
//! records. All of it is counted against [`Options::memory`]; a stream that needs more is
//! [`Unreadable::TooBig`]. Nothing is allocated for a length that a header claims before the bytes
//! are there.

mod budget;
mod config;
mod cpu_policy;
mod envelope;
mod finding;
mod format;
mod hvm;
mod page_data;
mod pages;
mod pv;
mod refusal;
mod report;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod sample;
mod source;
mod stream;
mod tables;
mod target;
#[cfg(test)]
mod tests;
mod text;
mod verdict;
mod xsave;

use std::fmt;
use std::io::{self, Read};

pub use finding::{Code, Finding, Weight};
pub use report::{Format, Guest, Holder, Pages, Pins, Report, Verdict};
pub use target::Xen;

/// What to assume, and how much memory to use.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most bytes to hold; see the module's text. By default 1 GiB, enough for every PVH guest
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

/// Why there is no report.
#[derive(Debug)]
pub enum Unreadable {
    /// Reading failed.
    Io {
        /// How many bytes had been read.
        at: u64,
        /// The system's words.
        error: io::Error,
    },
    /// The input is no migration stream that this program knows.
    NotAStream {
        /// What was found instead.
        why: String,
    },
    /// The stream needs more memory to be judged than [`Options::memory`] allows.
    TooBig {
        /// Where reading stopped, in bytes.
        at: u64,
        /// The limit, in bytes.
        limit: u64,
    },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Io { at, error } => write!(f, "cannot read on after {at} bytes: {error}"),
            Unreadable::NotAStream { why } => write!(f, "not a migration stream: {why}"),
            Unreadable::TooBig { at, limit } => write!(
                f,
                "the stream needs more than {} MiB of memory to be judged (stopped after {at} bytes); --max-memory raises the limit",
                limit >> 20
            ),
        }
    }
}

impl std::error::Error for Unreadable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Unreadable::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Reads a stream to its end and judges it. `progress` is called every 128 KiB or oftener with the
/// number of bytes read.
///
/// # Errors
/// [`Unreadable`]: the input cannot be read, is no migration stream, or is too big for the limit. Whatever is wrong *inside* a
/// stream, a truncated end included, is in the report.
pub fn lint(
    mut input: impl Read,
    options: &Options,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, Unreadable> {
    envelope::lint(&mut input, options, progress)
}
