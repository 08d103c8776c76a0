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
        for_xen: options.for_xen,
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
    if format.bytes == 0 {
        format.bytes = input.source.at();
    }
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
    } else {
        return unknown(input);
    }
    if format.xl && input.source.peek(XL_GO.len() + 1)? == XL_GO {
        // A recorded `xl migrate`: the sender's last word to the receiver.
        input.source.skip(XL_GO.len() as u64)?;
    }
    trailing(input, format, guest.as_ref())
}

/// What stands after the stream. Zeros are two END records, so an image that was not written to its end, on a file that is longer,
/// ends early and well.
fn trailing(input: &mut Input<'_>, format: &mut Format, guest: Option<&Guest>) -> Result<(), Stop> {
    /// The least that a file system or a disk leaves unwritten.
    const SECTOR: u64 = 512;
    let at = input.source.at();
    format.bytes = at;
    if input.source.peek(1)?.is_empty() {
        return Ok(());
    }
    let zeros = input.source.zeros_to_the_end()?;
    match zeros {
        Some(zeros) if zeros >= SECTOR && guest.is_some_and(|guest| !guest.is_complete()) => {
            let from = input.source.at() - zeros;
            input.findings.add_first(Code::ZeroEnd, || {
                format!("from byte {from} on the file is nothing but zeros ({zeros}): it was not written to its end")
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

/// Starts of other formats, and what to say of each.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x7fELF", "an ELF file; a core dump, perhaps?"),
    (
        b"\x1f\x8b",
        "compressed by gzip; try: gzip -dc FILE | savelint -",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed by zstd; try: zstd -dc FILE | savelint -",
    ),
    (
        b"\xfd7zXZ\0",
        "compressed by xz; try: xz -dc FILE | savelint -",
    ),
    (
        b"BZh",
        "compressed by bzip2; try: bzip2 -dc FILE | savelint -",
    ),
    (
        b"\x04\x22\x4d\x18",
        "compressed by lz4; try: lz4 -dc FILE | savelint -",
    ),
    (
        b"\x89LZO",
        "compressed by lzop; try: lzop -dc FILE | savelint -",
    ),
    (b"LibvirtQ", "an image of libvirt's for QEMU, not for Xen"),
    (
        b"LinuxGue",
        "xend's format (LinuxGuestRecord), of Xen 4.4 and older, is not read",
    ),
    (
        b"XenSavedDomain\n",
        "xapi's format of Xen 4.4 and older is not read",
    ),
];

/// No stream begins here: what does?
fn unknown(input: &mut Input<'_>) -> Result<(), Stop> {
    let at = input.source.at();
    let start = input.source.peek(16)?;
    if let Some((_, words)) = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return not_a_stream(*words);
    }
    if start.iter().all(|byte| *byte == 0) {
        return not_a_stream(format!(
            "zeros from byte {at} on, where a header should stand: was it written to its end?"
        ));
    }
    not_a_stream(format!(
        "neither xl's, libxl's nor libxc's header at byte {at}; the format of Xen 4.5 and older is not read"
    ))
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
        let mut unread = u64::from(length).next_multiple_of(8);
        let bad = |findings: &mut Findings, code, why: &str| {
            findings.add(code, || format!("libxl's {name} at byte {at}: {why}"));
        };
        match kind {
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
                } else if kind == libxl::EMULATOR_XENSTORE_DATA {
                    let start = input.source.at();
                    if let Some(why) = xenstore_data(input, length)? {
                        bad(&mut input.findings, Code::RecordMalformed, why);
                    }
                    unread -= input.source.at() - start;
                }
            }
            libxl::CHECKPOINT_END | libxl::CHECKPOINT_STATE => {
                bad(
                    &mut input.findings,
                    Code::RecordUnexpected,
                    "outside a checkpoint",
                );
            }
            libxl::END | libxl::LIBXC_CONTEXT if length != 0 => {
                bad(
                    &mut input.findings,
                    Code::RecordOdd,
                    "is not empty; libxl passes over what is in it",
                );
            }
            libxl::END | libxl::LIBXC_CONTEXT => {}
            _ => bad(
                &mut input.findings,
                Code::RecordUnknown,
                &format!("of type {kind:#x}"),
            ),
        }
        input.source.skip(unread)?;
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

/// EMULATOR_XENSTORE_DATA: a header, then keys and values in turns, each with its NUL. What libxl refuses in it
/// (`libxl__restore_emulator_xenstore_data`).
fn xenstore_data(input: &mut Input<'_>, length: u32) -> Result<Option<&'static str>, Stop> {
    const STEP: u32 = 4096;
    input.source.take(8)?;
    let mut left = length - 8;
    let (mut in_key, mut at_start) = (true, true);
    let mut bad = None;
    while left > 0 {
        let step = left.min(STEP);
        for byte in input.source.take(step as usize)? {
            if in_key && at_start && *byte == 0 {
                bad = bad.or(Some("an empty key in it"));
            }
            if in_key && at_start && *byte == b'/' {
                bad = bad.or(Some("a key in it that is not relative"));
            }
            at_start = *byte == 0;
            in_key ^= at_start;
        }
        left -= step;
    }
    let open = match (in_key, at_start) {
        (true, true) => None,
        (true, false) => Some("a key in it without its NUL"),
        (false, _) => Some("a value in it without its NUL"),
    };
    Ok(bad.or(open))
}
