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
mod guest;
mod hvm;
mod input;
mod options;
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
mod unreadable;
mod verdict;
mod xsave;

use std::io::Read;

pub use finding::{Code, Finding, Weight};
pub use options::Options;
pub use report::{Format, Guest, Holder, Pages, Pins, Report, Verdict};
pub use target::Xen;
pub use unreadable::Unreadable;

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
