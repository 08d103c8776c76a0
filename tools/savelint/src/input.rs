//! What every reader of a part of the stream works with, and the header of a record.

use std::fmt;

use crate::budget::Budget;
use crate::finding::{Code, Findings};
use crate::format::{libxc, u32_at};
use crate::source::{Source, Stop};
use crate::target::Xen;

/// The bytes, and what readers keep books of.
pub struct Input<'a> {
    /// The bytes.
    pub source: Source<'a>,
    /// What was found wrong.
    pub findings: Findings,
    /// The memory left.
    pub budget: Budget,
    /// The Xen that is to restore, if one is asked for.
    pub for_xen: Option<Xen>,
}

impl Input<'_> {
    /// Notes a finding about a record.
    pub fn bad(&mut self, code: Code, record: &Record, why: impl FnOnce() -> String) {
        self.findings.add(code, || format!("{record}: {}", why()));
    }

    /// Notes reserved bits that should be zero.
    pub fn reserved(&mut self, record: &Record, value: u64) {
        if value != 0 {
            self.bad(Code::Reserved, record, || {
                format!("reserved bits {value:#x}")
            });
        }
    }

    /// Takes the 8 bytes that the body of several records begins with, a number and a reserved
    /// field; gives the number, or none if the record is shorter.
    pub fn body_header(&mut self, record: &Record) -> Result<Option<u32>, Stop> {
        let length = record.length;
        if length < 8 {
            self.bad(Code::RecordMalformed, record, || {
                format!("{length} bytes, too short for its header")
            });
            return Ok(None);
        }
        let header = self.source.take(8)?;
        let (number, reserved) = (u32_at(header, 0), u32_at(header, 4));
        self.reserved(record, reserved.into());
        Ok(Some(number))
    }
}

/// A record's header, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Its type.
    pub kind: u32,
    /// The length of its body, without padding.
    pub length: u32,
    /// The byte at which it begins.
    pub at: u64,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", libxc::name(self.kind), self.at)
    }
}
