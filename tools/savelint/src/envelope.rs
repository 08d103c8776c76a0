//! What stands around libxc's stream: xl's header and libxl's records.

use std::io::Read;

use crate::budget::Budget;
use crate::config::{self, Config};
use crate::finding::{Code, Findings};
use crate::format::{libxl, *};
use crate::report::{Format, Report};
use crate::source::{Source, Stop};
use crate::stream::{self, Guest, Input};
use crate::{verdict, Options, Unreadable};

/// Reads everything; the entry of the module.
pub fn lint(
    input: &mut dyn Read,
    options: &Options,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, Unreadable> {
    let mut input = Input {
        source: Source::new(input, progress),
        findings: Findings::default(),
        budget: Budget::new(options.memory),
    };
    let mut format = Format::default();
    let mut config = Config::default();
    let mut guest = None;

    match read(&mut input, &mut format, &mut config, &mut guest) {
        Ok(()) | Err(Stop::Broken) => {}
        Err(Stop::Truncated) => {
            let at = input.source.at();
            input.findings.add(Code::Truncated, || {
                format!("the stream ends after {at} bytes")
            });
        }
        Err(Stop::Unreadable(why)) => return Err(why),
    }
    let Some(guest) = guest else {
        return Err(Unreadable::NotAStream {
            why: if input.findings.has(Code::Truncated) {
                let at = input.source.at();
                format!("it ends after {at} bytes, inside the headers")
            } else {
                "there is no libxc stream in it".into()
            },
        });
    };
    format.bytes = input.source.at();
    Ok(verdict::judge(
        guest,
        format,
        &config,
        input.findings,
        options,
    ))
}

fn not_a_stream<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Unreadable(Unreadable::NotAStream { why: why.into() }))
}

fn read(
    input: &mut Input<'_>,
    format: &mut Format,
    config: &mut Config,
    guest: &mut Option<Guest>,
) -> Result<(), Stop> {
    if input.source.peek(32)? == XL_MAGIC {
        *config = xl_header(input, format)?;
    }
    let start = input.source.peek(8)?;
    if start == LIBXL_IDENT {
        libxl_stream(input, format, config, guest)?;
    } else if start == LIBXC_MARKER {
        if format.xl {
            input.findings.add(Code::RecordMissing, || {
                "libxl's stream is missing: xl's header is followed by libxc's".into()
            });
        }
        stream::read(input, config, guest)?;
    } else if start.is_empty() && !format.xl {
        return not_a_stream("it is empty");
    } else if start.len() < 8 {
        return Err(Stop::Truncated);
    } else if start.starts_with(b"\x7fELF") {
        return not_a_stream("an ELF file; a core dump, perhaps?");
    } else {
        return not_a_stream(
            "neither xl's, libxl's nor libxc's header; the format of Xen 4.5 and older is not read",
        );
    }
    if format.xl && input.source.peek(XL_GO.len() + 1)? == XL_GO {
        // A recorded `xl migrate`: the sender's last word to the receiver.
        input.source.skip(XL_GO.len() as u64)?;
    }
    if !input.source.peek(1)?.is_empty() {
        input.findings.add(Code::TrailingData, || {
            format!(
                "the stream ends at byte {}, the input does not",
                input.source.at()
            )
        });
    }
    Ok(())
}

/// `struct save_file_header` and its optional data: the configuration.
fn xl_header(input: &mut Input<'_>, format: &mut Format) -> Result<Config, Stop> {
    let header = input.source.take(XL_HEADER)?;
    let (order, mandatory) = (u32_at(header, 32), u32_at(header, 36));
    let length = u32_at(header, 44);
    if order != XL_BYTE_ORDER {
        return not_a_stream("xl's header says another byte order, which xl refuses");
    }
    format.xl = true;
    if mandatory & XL_STREAM_V2 == 0 {
        return not_a_stream("xl's header says that the format of Xen 4.5 and older follows");
    }
    if mandatory & !(XL_JSON | XL_STREAM_V2) != 0 {
        input.findings.add(Code::XlHeader, || {
            format!("mandatory flags {mandatory:#x}: xl refuses those it does not know")
        });
    }
    if length == 0 {
        input.findings.add(Code::XlHeader, || {
            "no configuration; xl restore needs one on its command line".into()
        });
        return Ok(Config::default());
    }
    if length < 4 {
        input.source.skip(length.into())?;
        input.findings.add(Code::XlHeader, || {
            format!("optional data of {length} bytes, too short for a configuration's length")
        });
        return Ok(Config::default());
    }
    let size = u32_at(input.source.take(4)?, 0);
    let rest = length - 4;
    if size > rest {
        input.source.skip(rest.into())?;
        input.findings.add(Code::XlHeader, || {
            format!("a configuration of {size} bytes in optional data of {length}")
        });
        return Ok(Config::default());
    }
    if mandatory & XL_JSON == 0 || size > config::LONGEST {
        // Text in xl's own syntax, which has no bearing here, or absurdly long.
        input.source.skip(rest.into())?;
        return Ok(Config::default());
    }
    let text = copy(input, size.into())?;
    input.source.skip((rest - size).into())?;
    Ok(Config::from_json(&text).unwrap_or_else(|why| {
        input.findings.add(Code::XlHeader, || {
            format!("the configuration cannot be read: {why}")
        });
        Config::default()
    }))
}

/// Takes bytes of any length; allocates as they come.
fn copy(input: &mut Input<'_>, length: u64) -> Result<Vec<u8>, Stop> {
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

/// libxl's header and records, up to END.
fn libxl_stream(
    input: &mut Input<'_>,
    format: &mut Format,
    config: &Config,
    guest: &mut Option<Guest>,
) -> Result<(), Stop> {
    let header = input.source.take(16)?;
    let (version, options) = (u32_be(header, 8), u32_be(header, 12));
    if version != 2 {
        return not_a_stream(format!("libxl's stream of version {version}; 2 is known"));
    }
    if options & 1 != 0 {
        return not_a_stream("libxl's stream is big-endian");
    }
    if options & !3 != 0 {
        input.findings.add(Code::Reserved, || {
            format!("libxl's header: options {options:#x}")
        });
    }
    format.libxl = Some(version);
    loop {
        let at = input.source.at();
        let rest = input.source.peek(8)?;
        let rest_len = rest.len() as u64;
        if guest.is_some() && rest_len < 8 && rest.iter().all(|byte| *byte == 0) {
            input.findings.add(Code::EndMissing, || {
                format!("the stream ends at byte {at}, where libxl's END should stand; xl takes the end for it")
            });
            input.source.skip(rest_len)?;
            break;
        }
        let header = input.source.take(8)?;
        let (kind, length) = (u32_at(header, 0), u32_at(header, 4));
        let name = libxl::name(kind);
        let bad = |findings: &mut Findings, code, why: &str| {
            findings.add(code, || format!("libxl's {name} at byte {at}: {why}"));
        };
        match kind {
            libxl::END | libxl::LIBXC_CONTEXT if length != 0 => {
                bad(&mut input.findings, Code::RecordMalformed, "is not empty");
            }
            libxl::LIBXC_CONTEXT if guest.is_some() => {
                bad(
                    &mut input.findings,
                    Code::RecordUnexpected,
                    "for the second time",
                );
                return Err(Stop::Broken);
            }
            libxl::EMULATOR_XENSTORE_DATA | libxl::EMULATOR_CONTEXT => {
                format.emulator |= kind == libxl::EMULATOR_CONTEXT;
                if config.kind.as_deref().is_some_and(|kind| kind != "hvm") {
                    bad(
                        &mut input.findings,
                        Code::RecordUnexpected,
                        "the domain has no emulator",
                    );
                }
                if length < 8 {
                    bad(
                        &mut input.findings,
                        Code::RecordMalformed,
                        "too short for its header",
                    );
                }
            }
            libxl::CHECKPOINT_END | libxl::CHECKPOINT_STATE => {
                bad(
                    &mut input.findings,
                    Code::RecordUnexpected,
                    "outside a checkpoint",
                );
            }
            libxl::END | libxl::LIBXC_CONTEXT => {}
            _ => bad(
                &mut input.findings,
                Code::RecordUnknown,
                &format!("of type {kind:#x}"),
            ),
        }
        input.source.skip(u64::from(length).next_multiple_of(8))?;
        match kind {
            libxl::END => break,
            libxl::LIBXC_CONTEXT => {
                stream::read(input, config, guest)?;
            }
            _ => {}
        }
    }
    if guest.is_none() {
        return not_a_stream("libxl's stream has no LIBXC_CONTEXT record");
    }
    Ok(())
}
