//! libxl's stream (`docs/specs/libxl-migration-stream.pandoc`): a header, then records; libxc's
//! stream stands bare behind one of them.

use crate::envelope::others::not_a_stream;
use crate::envelope::Reader;
use crate::finding::Code;
use crate::format::{libxl, u32_at, u32_be};
use crate::input::Input;
use crate::source::Stop;

/// Where its records stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// From the header to END.
    Stream,
    /// Between two of libxc's records, from CHECKPOINT to CHECKPOINT_END.
    Checkpoint,
}

/// The header and the records, up to END.
pub fn read(reader: &mut Reader<'_>) -> Result<(), Stop> {
    let header = reader.input.source.take(16)?;
    let (version, options) = (u32_be(header, 8), u32_be(header, 12));
    if version != 2 {
        return not_a_stream(format!("libxl's stream of version {version}; 2 is known"));
    }
    if options & 1 != 0 {
        return not_a_stream("libxl's stream is big-endian");
    }
    if options & !3 != 0 {
        reader.input.findings.add(Code::Reserved, || {
            format!("libxl's header: options {options:#x}")
        });
    }
    reader.format.libxl = Some(version);
    records(reader, Place::Stream)?;
    if reader.guest.is_none() {
        return not_a_stream("libxl's stream has no LIBXC_CONTEXT record");
    }
    Ok(())
}

/// What libxl sends at a checkpoint, up to CHECKPOINT_END.
pub fn checkpoint(reader: &mut Reader<'_>) -> Result<(), Stop> {
    records(reader, Place::Checkpoint)
}

fn records(reader: &mut Reader<'_>, place: Place) -> Result<(), Stop> {
    loop {
        let at = reader.input.source.at();
        let rest = reader.input.source.peek(8)?;
        let rest_len = rest.len() as u64;
        let is_cut = rest_len < 8 && rest.iter().all(|byte| *byte == 0);
        if reader.guest.is_some() && place == Place::Stream && is_cut {
            reader.input.findings.add(Code::EndMissing, || {
                format!("the stream ends at byte {at}, where libxl's END should stand; xl takes the end for it")
            });
            return reader.input.source.skip(rest_len);
        }
        let header = reader.input.source.take(8)?;
        let (kind, length) = (u32_at(header, 0), u32_at(header, 4));
        let name = libxl::name(kind);
        let padded = u64::from(length).next_multiple_of(8);
        let start = reader.input.source.at();
        if let Some((code, why)) = one(reader, place, kind, length)? {
            reader
                .input
                .findings
                .add(code, || format!("libxl's {name} at byte {at}: {why}"));
        }
        if kind == libxl::LIBXC_CONTEXT && reader.guest.is_some() {
            return Err(Stop::Broken);
        }
        let used = reader.input.source.at() - start;
        reader.input.source.skip(padded - used)?;
        match kind {
            libxl::END => return Ok(()),
            libxl::CHECKPOINT_END if place == Place::Checkpoint => return Ok(()),
            libxl::LIBXC_CONTEXT => reader.libxc_stream()?,
            _ => {}
        }
    }
}

/// What is wrong with one record. Takes no more than its length.
fn one(
    reader: &mut Reader<'_>,
    place: Place,
    kind: u32,
    length: u32,
) -> Result<Option<(Code, String)>, Stop> {
    let wrong = |code, why: &str| Ok(Some((code, why.to_owned())));
    match kind {
        libxl::LIBXC_CONTEXT if reader.guest.is_some() => {
            wrong(Code::RecordUnexpected, "for the second time")
        }
        libxl::END if place == Place::Checkpoint => {
            wrong(Code::RecordUnexpected, "inside a checkpoint")
        }
        libxl::END | libxl::LIBXC_CONTEXT if length != 0 => wrong(
            Code::RecordOdd,
            "is not empty; libxl passes over what is in it",
        ),
        libxl::END | libxl::LIBXC_CONTEXT => Ok(None),
        libxl::EMULATOR_XENSTORE_DATA | libxl::EMULATOR_CONTEXT => {
            reader.format.emulator |= kind == libxl::EMULATOR_CONTEXT;
            if reader
                .config
                .kind
                .as_deref()
                .is_some_and(|kind| kind != "hvm")
            {
                return wrong(Code::RecordUnexpected, "the domain has no emulator");
            }
            if length < 8 {
                return wrong(Code::RecordMalformed, "too short for its header");
            }
            if kind == libxl::EMULATOR_CONTEXT {
                return Ok(None);
            }
            let why = xenstore_data(&mut reader.input, length)?;
            Ok(why.map(|why| (Code::RecordMalformed, why.to_owned())))
        }
        libxl::CHECKPOINT_END if place == Place::Checkpoint => Ok(None),
        libxl::CHECKPOINT_END => wrong(Code::RecordUnexpected, "outside a checkpoint"),
        libxl::CHECKPOINT_STATE => wrong(
            Code::RecordUnexpected,
            "of COLO, whose streams cannot be restored from a file",
        ),
        _ => Ok(Some((Code::RecordUnknown, format!("of type {kind:#x}")))),
    }
}

/// EMULATOR_XENSTORE_DATA: a header, then keys and values in turns, each with its NUL. What libxl
/// refuses in it (`libxl__restore_emulator_xenstore_data`).
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
