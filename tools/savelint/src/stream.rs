//! libxc's stream: the headers and the records, in the order and with the checks of
//! `xg_sr_restore.c`.

mod hvm_context;
mod hvm_cpu;
mod hvm_params;
mod page_data;
mod pv;
mod pv_vcpu;

use crate::config::Config;
use crate::cpu_policy;
use crate::finding::Code;
use crate::format::{libxc, *};
use crate::guest::Guest;
use crate::input::{Input, Record};
use crate::refusal::Errno;
use crate::source::Stop;
use crate::target::Xen;
use crate::unreadable::Unreadable;

/// Where reading stops.
pub enum Next {
    /// After END.
    End,
    /// After this CHECKPOINT record; libxl's records follow if it wrapped the stream.
    Checkpoint(Record),
}

/// The headers of a stream.
pub fn begin(input: &mut Input<'_>, config: &Config) -> Result<Guest, Stop> {
    let guest = headers(input)?;
    if let Some(kind) = config.kind.as_deref() {
        let wanted = if kind == "pv" { TYPE_PV } else { TYPE_HVM };
        if wanted != guest.kind {
            let stream = if guest.is_pv() { "PV" } else { "HVM" };
            input.findings.add(Code::WrongType, || {
                format!("the configuration says {kind:?}, the stream is of a {stream} domain")
            });
        }
    }
    Ok(guest)
}

/// The records up to END or to the next CHECKPOINT.
pub fn records(input: &mut Input<'_>, config: &Config, guest: &mut Guest) -> Result<Next, Stop> {
    loop {
        let at = input.source.at();
        let header = input.source.take(8)?;
        let record = Record {
            kind: u32_at(header, 0),
            length: u32_at(header, 4),
            at,
        };
        if record.length > RECORD_MAX {
            let length = record.length;
            input.bad(Code::RecordTooLong, &record, || {
                format!("{length} bytes; libxc reads {RECORD_MAX} at most")
            });
            return Err(Stop::Broken);
        }
        guest.note(&record);

        let start = input.source.at();
        body(input, config, guest, &record)?;
        let used = input.source.at() - start;
        debug_assert!(used <= u64::from(record.length));
        input
            .source
            .skip(u64::from(record.length).saturating_sub(used))?;
        let padding = (record.length.next_multiple_of(8) - record.length) as usize;
        if input.source.take(padding)?.iter().any(|byte| *byte != 0) {
            input.bad(Code::Padding, &record, || "its padding is not zero".into());
        }
        match record.kind {
            libxc::END => return Ok(Next::End),
            libxc::CHECKPOINT => return Ok(Next::Checkpoint(record)),
            _ => {}
        }
    }
}

/// The image header (big-endian) and the domain header (little-endian).
fn headers(input: &mut Input<'_>) -> Result<Guest, Stop> {
    let no = |why: String| Err(Stop::Unreadable(Unreadable::NotAStream { why }));
    let bytes = input.source.take(24 + 16)?;
    let (image, domain) = bytes.split_at(24);
    if image[..8] != LIBXC_MARKER[..] || u32_be(image, 8) != LIBXC_ID {
        return no(
            "libxc's header has another marker; the format of Xen 4.5 and older is not read".into(),
        );
    }
    let version = u32_be(image, 12);
    let options = u16::from_be_bytes([image[16], image[17]]);
    let image_reserved = u64_at(image, 16) >> 16;
    let kind = u32_at(domain, 0);
    let shift = u16_at(domain, 4);
    let domain_reserved = u16_at(domain, 6);
    let xen = (u32_at(domain, 8), u32_at(domain, 12));
    if !(2..=3).contains(&version) {
        return no(format!(
            "libxc's stream of version {version}; 2 and 3 are known"
        ));
    }
    if options & 1 != 0 {
        return no("libxc's stream is big-endian".into());
    }
    if kind != TYPE_PV && kind != TYPE_HVM {
        return no(format!("a domain of type {kind:#x}; 1 is PV, 2 is HVM"));
    }
    if shift != 12 {
        return no(format!("pages of 2^{shift} bytes; Xen on x86 has 2^12"));
    }
    if options != 0 || image_reserved != 0 || domain_reserved != 0 {
        input.findings.add(Code::Reserved, || {
            format!("libxc's headers: options {options:#x}, reserved fields {image_reserved:#x} and {domain_reserved:#x}")
        });
    }
    let target = input.for_xen.unwrap_or_else(|| Xen::that_wrote(xen));
    Ok(Guest::new(kind, version, xen, target))
}

/// A record's body; reads no more than its length.
fn body(
    input: &mut Input<'_>,
    config: &Config,
    guest: &mut Guest,
    record: &Record,
) -> Result<(), Stop> {
    let length = record.length;
    let empty = matches!(
        record.kind,
        libxc::END | libxc::VERIFY | libxc::CHECKPOINT | libxc::STATIC_DATA_END
    );
    if empty && length != 0 {
        input.bad(Code::RecordOdd, record, || {
            format!("{length} bytes in a record without contents")
        });
    }
    match record.kind {
        libxc::END => guest.ended = true,
        libxc::PAGE_DATA => page_data::read(input, config, guest, record)?,
        libxc::VERIFY => guest.verify = true,
        // The envelope's business.
        libxc::CHECKPOINT => {}
        libxc::STATIC_DATA_END => {
            if guest.static_done {
                input.bad(Code::RecordUnexpected, record, || {
                    "the static data had ended before".into()
                });
            } else if guest.version < 3 {
                input.bad(Code::RecordOdd, record, || {
                    "in a stream of version 2".into()
                });
            }
            guest.static_data_done(input);
        }
        libxc::X86_TSC_INFO => tsc_info(input, record)?,
        libxc::X86_CPUID_POLICY | libxc::X86_MSR_POLICY => {
            let (target, done) = (guest.target, guest.static_done);
            cpu_policy::read(input, &mut guest.policy, target, done, record)?;
        }
        libxc::X86_PV_INFO
        | libxc::X86_PV_P2M_FRAMES
        | libxc::X86_PV_VCPU_BASIC
        | libxc::X86_PV_VCPU_EXTENDED
        | libxc::X86_PV_VCPU_XSAVE
        | libxc::X86_PV_VCPU_MSRS
        | libxc::SHARED_INFO
            if guest.is_pv() =>
        {
            pv::read(input, config, guest, record)?;
        }
        libxc::HVM_CONTEXT if !guest.is_pv() => hvm_context::read(input, config, guest, record)?,
        libxc::HVM_PARAMS if !guest.is_pv() => hvm_params::read(input, config, guest, record)?,
        kind if kind & libxc::OPTIONAL != 0 => {
            input.bad(Code::RecordIgnored, record, || {
                format!("type {kind:#x}, {length} bytes")
            });
        }
        kind if kind <= libxc::X86_MSR_POLICY => {
            let stream = if guest.is_pv() { "PV" } else { "HVM" };
            input.bad(Code::RecordUnexpected, record, || {
                format!("in the stream of a {stream} domain")
            });
        }
        kind => input.bad(Code::RecordUnknown, record, || format!("type {kind:#x}")),
    }
    Ok(())
}

/// X86_TSC_INFO: mode, kHz, nanoseconds, incarnation, reserved. Xen has the modes 0 to 2
/// (`tsc_set_info`).
fn tsc_info(input: &mut Input<'_>, record: &Record) -> Result<(), Stop> {
    if record.length != 24 {
        let length = record.length;
        input.bad(Code::RecordMalformed, record, || {
            format!("{length} bytes, 24 expected")
        });
        return Ok(());
    }
    let body = input.source.take(24)?;
    let (mode, reserved) = (u32_at(body, 0), u32_at(body, 20));
    input.reserved(record, reserved.into());
    if mode > 2 {
        let says = "Unable to set TSC information".into();
        input
            .findings
            .refuse(Code::TscInfo, says, Errno::Einval, || {
                format!("{record}: mode {mode}; Xen has 0 to 2")
            });
    }
    Ok(())
}
