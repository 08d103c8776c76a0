//! libxc's stream: the headers and the records, in the order and with the checks of
//! `xg_sr_restore.c`.

use crate::budget::Budget;
use crate::config::Config;
use crate::cpu_policy::{self, CpuPolicy};
use crate::finding::{Code, Findings};
use crate::format::{libxc, *};
use crate::hvm::{self, Hvm};
use crate::page_data;
use crate::pages::PageMap;
use crate::pv::{self, Pv};
use crate::refusal::Errno;
use crate::source::{Source, Stop};
use crate::tables::Tables;
use crate::target::Xen;
use crate::Unreadable;

/// What every reader of a part of the stream works with.
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

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}", libxc::name(self.kind), self.at)
    }
}

/// How often a kind of record came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Records.
    pub records: u64,
    /// Their bodies' bytes.
    pub bytes: u64,
}

/// What the stream says of a domain.
#[derive(Clone, Debug)]
pub struct Guest {
    /// [`TYPE_PV`] or [`TYPE_HVM`].
    pub kind: u32,
    /// The stream's version.
    pub version: u32,
    /// The Xen that saved it; major 0: converted from the legacy format by a script.
    pub xen: (u32, u32),
    /// The Xen by whose rules it is judged.
    pub target: Xen,
    /// Its CPUID leaves and MSRs.
    pub policy: CpuPolicy,
    /// Every page.
    pub pages: PageMap,
    /// The page tables, PV only.
    pub tables: Tables,
    /// What only PV has.
    pub pv: Pv,
    /// What only HVM has.
    pub hvm: Hvm,
    /// By record type; the last for those that are unknown.
    pub counts: [Count; 0x14],
    /// STATIC_DATA_END came, or is taken as come in version 2.
    pub static_done: bool,
    /// Page contents are only compared from here on.
    pub verify: bool,
    /// END came.
    pub ended: bool,
}

impl Guest {
    /// How often a kind of record came.
    pub fn count(&self, kind: u32) -> u64 {
        self.counts[slot(kind)].records
    }

    /// Whether the records without which no domain is restored are there.
    pub fn is_complete(&self) -> bool {
        self.ended
            && match self.kind {
                TYPE_PV => self
                    .pv
                    .vcpus
                    .get(&0)
                    .is_some_and(|vcpu| vcpu.basic.is_some()),
                _ => self.hvm.context.is_some(),
            }
    }

    /// Whether it is a PV domain.
    pub fn is_pv(&self) -> bool {
        self.kind == TYPE_PV
    }

    /// Version 2 has no STATIC_DATA_END; it is where memory begins.
    pub fn needs_static_data(&mut self, input: &mut Input<'_>, record: &Record) {
        if !self.static_done {
            if self.version >= 3 {
                input.bad(Code::RecordOrder, record, || {
                    "no STATIC_DATA_END before it".into()
                });
            }
            self.static_data_done(input);
        }
    }

    /// What comes before memory is complete.
    fn static_data_done(&mut self, input: &mut Input<'_>) {
        if !self.static_done {
            self.static_done = true;
            cpu_policy::hand_over(input, &self.policy, self.target);
        }
    }
}

fn slot(kind: u32) -> usize {
    (kind as usize).min(0x13)
}

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
        let count = &mut guest.counts[slot(record.kind)];
        count.records += 1;
        count.bytes += u64::from(record.length);

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
    Ok(Guest {
        kind,
        version,
        xen,
        target: input.for_xen.unwrap_or_else(|| Xen::that_wrote(xen)),
        policy: CpuPolicy::default(),
        pages: PageMap::default(),
        tables: Tables::default(),
        pv: Pv::default(),
        hvm: Hvm::default(),
        counts: Default::default(),
        static_done: false,
        verify: false,
        ended: false,
    })
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
            cpu_policy::read(input, guest, record)?;
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
        libxc::HVM_CONTEXT if !guest.is_pv() => hvm::context(input, config, guest, record)?,
        libxc::HVM_PARAMS if !guest.is_pv() => hvm::params(input, config, guest, record)?,
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
