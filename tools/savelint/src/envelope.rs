//! What surrounds libxc's stream: headers of xl, libvirt or xapi, and libxl's records.

mod libvirt;
mod libxl;
mod others;
mod xapi;
mod xl;

use std::io::Read;

use crate::budget::Budget;
use crate::config::Config;
use crate::finding::{Code, Findings};
use crate::format::*;
use crate::guest::Guest;
use crate::input::Input;
use crate::options::Options;
use crate::report::{Format, Report};
use crate::source::{Source, Stop};
use crate::stream::{self, Next};
use crate::unreadable::Unreadable;
use crate::verdict;

/// Reads one input, from its first header to its end.
pub struct Reader<'a> {
    /// The bytes, what was found, the memory left.
    input: Input<'a>,
    /// What surrounds libxc's stream.
    format: Format,
    /// What is known of the domain from outside the stream.
    config: Config,
    /// What the stream says; none before its headers.
    guest: Option<Guest>,
    /// The state of the last whole checkpoint.
    checkpoint: Option<Checkpoint>,
    /// Judge as the backup host does.
    is_backup: bool,
}

/// What a backup host goes on from if its primary is lost.
struct Checkpoint {
    guest: Guest,
    findings: Findings,
    /// Bytes of the budget that the copy costs.
    cost: u64,
}

/// Reads everything; the entry of the module.
pub fn lint(
    input: &mut dyn Read,
    options: &Options,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, Unreadable> {
    let mut reader = Reader {
        input: Input {
            source: Source::new(input, progress),
            findings: Findings::default(),
            budget: Budget::new(options.memory),
            for_xen: options.for_xen,
        },
        format: Format::default(),
        config: Config::default(),
        guest: None,
        checkpoint: None,
        is_backup: options.backup,
    };
    match reader.read() {
        Ok(()) => {}
        Err(Stop::Broken) => reader.fail_over("cannot be read on"),
        Err(Stop::Truncated) => {
            let at = reader.input.source.at();
            reader.input.findings.add(Code::Truncated, || {
                format!("the stream ends after {at} bytes")
            });
            reader.fail_over("ends");
        }
        Err(Stop::Unreadable(why)) => return Err(why),
    }
    reader.judge(options)
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), Stop> {
        let start = self.input.source.peek(32)?;
        let is_xapi = start.starts_with(xapi::SIGNATURE);
        if start == XL_MAGIC {
            self.config = xl::header(&mut self.input, &mut self.format)?;
        } else if start.starts_with(libvirt::MAGIC) {
            self.config = libvirt::header(&mut self.input, &mut self.format)?;
        }
        if is_xapi {
            xapi::read(self)?;
        } else {
            self.bare()?;
        }
        if self.format.xl && self.input.source.peek(XL_GO.len() + 1)? == XL_GO {
            // A recorded `xl migrate`: the sender's last word to the receiver.
            self.input.source.skip(XL_GO.len() as u64)?;
        }
        if !self.format.cut_short {
            self.trailing()?;
        }
        Ok(())
    }

    /// libxl's stream, or libxc's.
    fn bare(&mut self) -> Result<(), Stop> {
        let wrapped = self.format.xl || self.format.libvirt.is_some();
        let start = self.input.source.peek(8)?;
        if start == LIBXL_IDENT {
            libxl::read(self)
        } else if start == LIBXC_MARKER {
            if wrapped {
                self.input.findings.add(Code::RecordMissing, || {
                    "libxl's stream is missing: the header is followed by libxc's".into()
                });
            }
            self.libxc_stream()
        } else if start.is_empty() && !wrapped {
            others::not_a_stream("it is empty")
        } else if start.len() < 8 {
            Err(Stop::Truncated)
        } else {
            others::unknown(&mut self.input.source)
        }
    }

    /// libxc's stream, up to END, with what libxl sends at each checkpoint of it.
    fn libxc_stream(&mut self) -> Result<(), Stop> {
        let guest = stream::begin(&mut self.input, &self.config)?;
        self.guest = Some(guest);
        while let Some(guest) = &mut self.guest {
            match stream::records(&mut self.input, &self.config, guest)? {
                Next::End => break,
                Next::Checkpoint(record) => {
                    if !self.is_backup && self.format.checkpoints == 0 {
                        self.input.bad(Code::RecordUnexpected, &record, || {
                            "a checkpointed (Remus) stream; xl restore takes plain ones (--remus \
                             judges it as the backup host does)"
                                .into()
                        });
                    }
                    if self.format.libxl.is_some() {
                        libxl::checkpoint(self)?;
                    }
                    self.keep_checkpoint()?;
                }
            }
        }
        Ok(())
    }

    /// Keeps a copy of the present state. What follows counts only once the next checkpoint is
    /// complete.
    fn keep_checkpoint(&mut self) -> Result<(), Stop> {
        self.format.checkpoints += 1;
        let old = self.checkpoint.take().map_or(0, |old| old.cost);
        let budget = &mut self.input.budget;
        budget.give_back(old);
        let cost = budget.used();
        budget.charge(cost, self.input.source.at())?;
        self.checkpoint = self.guest.clone().map(|guest| Checkpoint {
            guest,
            findings: self.input.findings.clone(),
            cost,
        });
        Ok(())
    }

    /// The stream ended badly. A backup host continues from the last complete checkpoint and discards
    /// what came after it.
    fn fail_over(&mut self, how: &str) {
        let Some(checkpoint) = self.checkpoint.take().filter(|_| self.is_backup) else {
            return;
        };
        let (at, count) = (self.input.source.at(), self.format.checkpoints);
        self.guest = Some(Guest {
            ended: true,
            ..checkpoint.guest
        });
        self.input.findings = checkpoint.findings;
        self.input.findings.add(Code::FailOver, || {
            format!("the stream {how} after {at} bytes: the backup goes on from checkpoint {count}, the last whole one")
        });
    }

    /// What follows the stream. Zeros read as two END records, so an image that was not written to
    /// its end, in a file that is longer, seems to end early and correctly.
    fn trailing(&mut self) -> Result<(), Stop> {
        /// The smallest unit that a file system or a disk leaves unwritten.
        const SECTOR: u64 = 512;
        let input = &mut self.input;
        let at = input.source.at();
        self.format.bytes = at;
        if input.source.peek(1)?.is_empty() {
            return Ok(());
        }
        let is_complete = self.guest.as_ref().is_some_and(Guest::is_complete);
        match input.source.zeros_to_the_end()? {
            Some(zeros) if zeros >= SECTOR && !is_complete => {
                let from = input.source.at() - zeros;
                input.findings.add_first(Code::ZeroEnd, || {
                    format!(
                        "from byte {from} on the file is nothing but zeros ({zeros}): it was \
                     not written to its end"
                    )
                });
            }
            Some(_) => input.findings.add(Code::TrailingData, || {
                let zeros = input.source.at() - at;
                format!("the stream ends at byte {at}, and {zeros} zeros follow")
            }),
            None => input.findings.add(Code::TrailingData, || {
                format!("the stream ends at byte {at}, the input does not")
            }),
        }
        Ok(())
    }

    fn judge(mut self, options: &Options) -> Result<Report, Unreadable> {
        let at = self.input.source.at();
        let Some(guest) = self.guest else {
            return Err(Unreadable::NotAStream {
                why: if self.input.findings.has(Code::Truncated) {
                    format!("it ends after {at} bytes, inside the headers")
                } else {
                    "there is no libxc stream in it".into()
                },
            });
        };
        if self.format.bytes == 0 {
            self.format.bytes = at;
        }
        let findings = self.input.findings;
        Ok(verdict::judge(
            guest,
            self.format,
            &self.config,
            findings,
            options,
        ))
    }
}

/// Takes bytes of any length; allocates as they come.
pub fn copy(input: &mut Input<'_>, length: u64) -> Result<Vec<u8>, Stop> {
    const STEP: u64 = 64 << 10;
    let mut bytes = Vec::new();
    let mut left = length;
    while left > 0 {
        let step = left.min(STEP);
        input.budget.charge(step, input.source.at())?;
        bytes.extend_from_slice(input.source.take(step as usize)?);
        left -= step;
    }
    Ok(bytes)
}
