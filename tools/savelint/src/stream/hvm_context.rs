//! HVM_CONTEXT: the entries, their lengths and their values, as `hvm_load` takes them one by one.
//! Layouts from `xen/include/public/arch-x86/hvm/save.h`.

use super::hvm_cpu;
use crate::config::Config;
use crate::format::{u16_at, u32_at, u64_at};
use crate::guest::Guest;
use crate::hvm::Context;
use crate::input::{Input, Record};
use crate::refusal::{Errno, Refusal};
use crate::source::Stop;
use crate::target::Xen;
use crate::xsave;

const END: u16 = 0;
const HEADER: u16 = 1;
const CPU: u16 = 2;
const PIC: u16 = 3;
const LAPIC: u16 = 5;
const LAPIC_REGS: u16 = 6;
const PCI_LINK: u16 = 9;
const PIT: u16 = 10;
const MTRR: u16 = 14;
const XSAVE: u16 = 16;
const VIRIDIAN_VCPU: u16 = 17;
const VMCE_VCPU: u16 = 18;
const MSR: u16 = 20;
/// `struct hvm_save_header`: its length, its magic, its version.
const HEADER_LENGTH: u32 = 24;
const MAGIC: u32 = 0x5438_1286;
const VERSION: u32 = 1;
/// What stands before the XSAVE state in its entry: the host's features, xcr0, the accumulated one.
const XSAVE_HEAD: u64 = 24;
/// The most vCPUs of an HVM domain (`HVM_MAX_VCPUS`).
const VCPUS: u32 = 128;
/// Machine-check capabilities that Intel's or AMD's domains may have: the count of banks, CTL_P,
/// TES_P, SER_P, LMCE_P.
const MCG_KNOWN: u64 = 0xff | 1 << 8 | 1 << 11 | 1 << 24 | 1 << 27;

/// How long an entry may be.
#[derive(Clone, Copy)]
enum Length {
    Exact(u32),
    /// What is missing is zero.
    UpTo(u32),
    /// Looked at on its own.
    Own,
}

struct Kind {
    name: &'static str,
    length: Length,
    per_vcpu: bool,
    /// A device that a PVH domain does not have.
    is_legacy: bool,
}

/// The entries that Xen knows.
fn kind_of(number: u16, xen: Xen) -> Option<Kind> {
    use Length::{Exact, Own, UpTo};
    let lapic = if xen >= Xen::V4_20 { 32 } else { 24 };
    let (name, length, per_vcpu, is_legacy) = match number {
        CPU => ("CPU", UpTo(hvm_cpu::LENGTH as u32), true, false),
        PIC => ("PIC", Exact(8), false, true),
        4 => ("IOAPIC", Exact(400), false, true),
        LAPIC => ("LAPIC", UpTo(lapic), true, false),
        LAPIC_REGS => ("LAPIC_REGS", Exact(1024), true, false),
        7 => ("PCI_IRQ", Exact(16), false, false),
        8 => ("ISA_IRQ", Exact(8), false, false),
        PCI_LINK => ("PCI_LINK", Exact(8), false, false),
        PIT => ("PIT", Exact(56), false, true),
        11 => ("RTC", UpTo(24), false, true),
        12 => ("HPET", Exact(1048), false, true),
        13 => ("PMTIMER", Exact(8), false, true),
        MTRR => ("MTRR", Exact(240), true, false),
        15 => ("VIRIDIAN_DOMAIN", UpTo(32), false, false),
        XSAVE => ("CPU_XSAVE", Own, true, false),
        VIRIDIAN_VCPU => ("VIRIDIAN_VCPU", UpTo(216), true, false),
        VMCE_VCPU => ("VMCE_VCPU", UpTo(32), true, false),
        19 => ("TSC_ADJUST", Exact(8), true, false),
        MSR => ("CPU_MSR", Own, true, false),
        _ => return None,
    };
    Some(Kind {
        name,
        length,
        per_vcpu,
        is_legacy,
    })
}

/// An entry's header.
struct Entry {
    kind: u16,
    instance: u16,
    length: u32,
    at: u64,
}

/// The record. What is wrong is kept, and told at the stream's end, where libxc hands the last one
/// of them to Xen.
pub fn read(
    input: &mut Input<'_>,
    config: &Config,
    guest: &mut Guest,
    record: &Record,
) -> Result<(), Stop> {
    let mut context = Context::default();
    let result = walk(input, config, guest, record, &mut context);
    guest.hvm.context = Some(context);
    result
}

fn walk(
    input: &mut Input<'_>,
    config: &Config,
    guest: &Guest,
    record: &Record,
    context: &mut Context,
) -> Result<(), Stop> {
    let mut left = u64::from(record.length);
    let mut first = true;
    loop {
        let at = input.source.at();
        let mut refuse = |errno, why: String| {
            context.refuse(Refusal::new(errno, format!("{record}: {why}")));
        };
        if left < 8 {
            refuse(Errno::Enodata, "it has no end entry".into());
            return Ok(());
        }
        let bytes = input.source.take(8)?;
        let entry = Entry {
            kind: u16_at(bytes, 0),
            instance: u16_at(bytes, 2),
            length: u32_at(bytes, 4),
            at,
        };
        left -= 8;
        if entry.kind == END && !first {
            return Ok(());
        }
        let length = u64::from(entry.length);
        if first {
            if entry.kind != HEADER || entry.length != HEADER_LENGTH || left < length {
                refuse(Errno::Enodata, "it does not begin with its header".into());
                return Ok(());
            }
            let header = input.source.take(HEADER_LENGTH as usize)?;
            let (magic, version) = (u32_at(header, 0), u32_at(header, 4));
            if (magic, version) != (MAGIC, VERSION) {
                let why = format!("its header has magic {magic:#x}, version {version}");
                refuse(Errno::Einval, why);
            }
        } else {
            let Some(kind) = kind_of(entry.kind, guest.target) else {
                let why = match entry.kind {
                    HEADER => format!("its header comes again, at byte {at}"),
                    kind => format!("an entry of the unknown type {kind} at byte {at}"),
                };
                refuse(Errno::Einval, why);
                return Ok(());
            };
            if left < length {
                let name = kind.name;
                let why = format!(
                    "its {name} entry at byte {at} has {length} bytes, of which {left} are there"
                );
                refuse(Errno::Enodata, why);
                return Ok(());
            }
            let start = input.source.at();
            one(input, config, guest, record, context, &kind, &entry)?;
            let used = input.source.at() - start;
            input.source.skip(length.saturating_sub(used))?;
        }
        left -= length;
        first = false;
    }
}

/// One entry; takes no more than its length.
fn one(
    input: &mut Input<'_>,
    config: &Config,
    guest: &Guest,
    record: &Record,
    context: &mut Context,
    kind: &Kind,
    entry: &Entry,
) -> Result<(), Stop> {
    let instance = entry.instance;
    match entry.kind {
        CPU => context.vcpus.insert(instance),
        LAPIC => context.lapics[0].insert(instance),
        LAPIC_REGS => context.lapics[1].insert(instance),
        _ => false,
    };
    let judged = match placed(config, guest.target, kind, entry) {
        Err(refusal) => Err(refusal),
        Ok(()) => match entry.kind {
            XSAVE => xsave_states(input, guest, context, entry)?,
            MSR => msrs(input, guest.target, entry)?,
            _ => values(guest, entry, input.source.take(entry.length as usize)?),
        },
    };
    if let Err(Refusal { errno, why }) = judged {
        let whose = if kind.per_vcpu {
            format!(" of vCPU {instance}")
        } else {
            String::new()
        };
        let (name, at) = (kind.name, entry.at);
        let why = format!("{record}: its {name} entry{whose} at byte {at}: {why}");
        context.refuse(Refusal::new(errno, why));
    }
    Ok(())
}

/// Whether the domain has what the entry is of, and its length.
fn placed(config: &Config, xen: Xen, kind: &Kind, entry: &Entry) -> Result<(), Refusal> {
    let instance = entry.instance;
    if kind.is_legacy && config.kind.as_deref() == Some("pvh") {
        return Refusal::err(Errno::Enodev, "a PVH domain does not have it");
    }
    let vcpus = config.max_vcpus.unwrap_or(VCPUS).min(VCPUS);
    if kind.per_vcpu && u32::from(instance) >= vcpus {
        let why = format!("a vCPU that the domain does not have (it has {vcpus})");
        return Refusal::err(Errno::Einval, why);
    }
    if entry.kind == PIC && instance > 1 {
        return Refusal::err(Errno::Enoent, "there are two of them");
    }
    let length = entry.length;
    let expected = match kind.length {
        Length::Exact(exact) if length != exact => format!("{exact}"),
        Length::UpTo(most) if length > most => format!("{most} at most"),
        _ => return Ok(()),
    };
    let mut why = format!("{length} bytes, Xen {xen} expects {expected}");
    if entry.kind == LAPIC && length == 32 {
        why += " (32 are written from 4.20.1, 4.19.2 and 4.18.5 on)";
    }
    Refusal::err(Errno::Einval, why)
}

/// The values of entries that are no longer than they may be.
fn values(guest: &Guest, entry: &Entry, body: &[u8]) -> Result<(), Refusal> {
    let word = |at: usize| body.get(at..at + 8).map_or(0, |bytes| u64_at(bytes, 0));
    let invalid = |why: String| Refusal::err(Errno::Einval, why);
    match entry.kind {
        CPU => hvm_cpu::check(body, &guest.policy, guest.target),
        PIC if guest.target >= Xen::V4_20 => pic(entry.instance, body),
        PIT if guest.target >= Xen::V4_20 => pit(body),
        // EXTD without EN.
        LAPIC if word(0) >> 10 & 3 == 1 => invalid(format!(
            "APIC base {:#x}: x2APIC mode while disabled",
            word(0)
        )),
        PCI_LINK if body[..4].iter().any(|route| *route > 15) => {
            invalid("a link to an interrupt above 15".into())
        }
        PCI_LINK if guest.target >= Xen::V4_20 && body[4..].iter().any(|byte| *byte != 0) => {
            invalid("its padding is not zero".into())
        }
        // The two words before the last are the capabilities' and the default type's.
        MTRR if word(224) & 0xff > 8 => {
            invalid(format!("{} variable ranges, 8 at most", word(224) & 0xff))
        }
        VIRIDIAN_VCPU if word(8) >> 8 != 0 => invalid("its padding is not zero".into()),
        VMCE_VCPU if word(0) & !MCG_KNOWN != 0 => invalid(format!(
            "machine-check capabilities {:#x}, which no domain has",
            word(0)
        )),
        _ => Ok(()),
    }
}

/// `vpic_check`, from 4.19 on.
fn pic(instance: u16, body: &[u8]) -> Result<(), Refusal> {
    let (init, is_master, edge, output) = (body[4] & 0xf, body[5] >> 6 & 1, body[6], body[7]);
    if output > 1 {
        return Refusal::err(Errno::Edom, format!("output {output}"));
    }
    let level = if is_master != 0 { 0xfc } else { 0xde };
    let is_first = instance == 0;
    if (is_master != 0) != is_first || output != 0 && init != 0 || edge & !level != 0 {
        let why = format!(
            "a state that cannot be reached: master {is_master}, initialisation \
         {init}, output {output}, triggers {edge:#x}"
        );
        return Refusal::err(Errno::Einval, why);
    }
    Ok(())
}

/// `pit_check`, from 4.19 on.
fn pit(body: &[u8]) -> Result<(), Refusal> {
    let (speaker, padding) = (u32_at(body, 48), u32_at(body, 52));
    if speaker > 1 || padding != 0 {
        return Refusal::err(
            Errno::Edom,
            format!("speaker {speaker}, padding {padding:#x}"),
        );
    }
    for (n, channel) in body[..48].chunks_exact(16).enumerate() {
        let [latched, read, write, mode, bcd, gate] = [6, 9, 10, 12, 14, 15].map(|at| channel[at]);
        let counts = u32_at(channel, 0) <= 0x10000;
        if !counts || latched > 4 || read > 4 || write > 4 || mode > 3 || bcd > 1 || gate > 1 {
            return Refusal::err(Errno::Edom, format!("channel {n} has values out of range"));
        }
        if n != 2 && gate == 0 {
            return Refusal::err(Errno::Einval, format!("channel {n} is stopped"));
        }
    }
    Ok(())
}

/// `hvm_load_cpu_xsave_states`. An entry that is longer than its features need is taken if the rest
/// is zero.
fn xsave_states(
    input: &mut Input<'_>,
    guest: &Guest,
    context: &mut Context,
    entry: &Entry,
) -> Result<Result<(), Refusal>, Stop> {
    let length = u64::from(entry.length);
    let shortest = XSAVE_HEAD + xsave::SHORTEST;
    if length < shortest {
        let why = format!("{length} bytes, {shortest} at least");
        return Ok(Refusal::err(Errno::Einval, why));
    }
    let head = input.source.take(shortest as usize)?;
    let (xcr0, accum) = (u64_at(head, 8), u64_at(head, 16));
    let state = &head[XSAVE_HEAD as usize..];
    if let Err(refusal) = xsave::check(&guest.policy, xcr0, accum, state) {
        return Ok(Err(refusal));
    }
    let Some(expected) = xsave::length(&guest.policy, accum).map(|state| XSAVE_HEAD + state) else {
        context.unknown_length = true;
        return Ok(Ok(()));
    };
    if length < expected {
        let why = format!("{length} bytes, features {accum:#x} need {expected}");
        return Ok(Refusal::err(Errno::Einval, why));
    }
    input.source.skip(expected - shortest)?;
    if let Some(at) = input.source.first_set(length - expected)? {
        let why = format!("{length} bytes, features {accum:#x} need {expected}, and byte {at} of the rest is not zero");
        return Ok(Refusal::err(Errno::Eopnotsupp, why));
    }
    if length > expected && context.odd.is_empty() {
        context.odd.push(format!(
            "the CPU_XSAVE entry of vCPU {} has {length} bytes, {} of them zeros beyond its \
             features; Xen passes over them",
            entry.instance,
            length - expected
        ));
    }
    Ok(Ok(()))
}

/// `hvm_load_cpu_msrs`; the values are the host's to judge.
fn msrs(input: &mut Input<'_>, xen: Xen, entry: &Entry) -> Result<Result<(), Refusal>, Stop> {
    let length = u64::from(entry.length);
    if length < 24 {
        return Ok(Refusal::err(
            Errno::Einval,
            format!("{length} bytes, 24 at least"),
        ));
    }
    let count = u64::from(u32_at(input.source.take(8)?, 0));
    if length != 8 + 16 * count {
        let why = format!("{length} bytes for {count} MSRs");
        return Ok(Refusal::err(Errno::Eopnotsupp, why));
    }
    let mut unknown = None;
    for _ in 0..count {
        let msr = input.source.take(16)?;
        let (index, reserved) = (u32_at(msr, 0), u32_at(msr, 4));
        if reserved != 0 {
            let why = format!("MSR {index:#x}: reserved bits {reserved:#x}");
            return Ok(Refusal::err(Errno::Eopnotsupp, why));
        }
        if !takes_msr(index, xen) {
            unknown.get_or_insert(index);
        }
    }
    Ok(match unknown {
        Some(index) => Refusal::err(
            Errno::Enxio,
            format!("MSR {index:#x}, which Xen {xen} does not take"),
        ),
        None => Ok(()),
    })
}

fn takes_msr(index: u32, xen: Xen) -> bool {
    match index {
        // SPEC_CTRL, MISC_FEATURES_ENABLES, BNDCFGS, XSS, the address masks of AMD.
        0x48 | 0x140 | 0xd90 | 0xda0 | 0xc001_1027 | 0xc001_1019..=0xc001_101b => true,
        // VIRT_SPEC_CTRL.
        0xc001_011f => xen >= Xen::V4_17,
        // PKRS.
        0x6e1 => xen >= Xen::V4_20,
        _ => false,
    }
}
