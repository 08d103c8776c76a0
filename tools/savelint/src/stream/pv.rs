//! The records that only a PV domain has, with the checks of `xg_sr_restore_x86_pv.c`.

use super::pv_vcpu;
use crate::config::Config;
use crate::cpu_policy::CpuPolicy;
use crate::finding::Code;
use crate::format::{libxc, *};
use crate::guest::Guest;
use crate::input::{Input, Record};
use crate::pv::{Basic, Vcpu};
use crate::refusal::Refusal;
use crate::source::Stop;
use crate::xsave;

/// One record.
pub fn read(
    input: &mut Input<'_>,
    config: &Config,
    guest: &mut Guest,
    record: &Record,
) -> Result<(), Stop> {
    match record.kind {
        libxc::X86_PV_INFO => info(input, guest, record),
        libxc::X86_PV_P2M_FRAMES => p2m_frames(input, guest, record),
        libxc::SHARED_INFO => shared_info(input, guest, record),
        _ => vcpu(input, config, guest, record),
    }
}

fn info(input: &mut Input<'_>, guest: &mut Guest, record: &Record) -> Result<(), Stop> {
    if guest.pv.layout.is_some() {
        input.bad(Code::RecordUnexpected, record, || {
            "for the second time".into()
        });
        return Ok(());
    }
    if record.length < 8 {
        let length = record.length;
        input.bad(Code::RecordMalformed, record, || {
            format!("{length} bytes, 8 expected")
        });
        return Ok(());
    }
    let bytes = input.source.take(8)?;
    let (width, levels, reserved) = (bytes[0], bytes[1], u64_at(bytes, 0) >> 16);
    match (width, levels) {
        (4, 3) => guest.pv.layout = Some(&LAYOUT_32),
        (8, 4) => guest.pv.layout = Some(&LAYOUT_64),
        _ => input.bad(Code::RecordMalformed, record, || {
            format!("words of {width} bytes and {levels} levels of page tables do not go together")
        }),
    }
    input.reserved(record, reserved);
    Ok(())
}

fn p2m_frames(input: &mut Input<'_>, guest: &mut Guest, record: &Record) -> Result<(), Stop> {
    guest.needs_static_data(input, record);
    if guest.pv.layout.is_none() {
        input.bad(Code::RecordOrder, record, || {
            "no X86_PV_INFO before it".into()
        });
    }
    if record.length < 8 {
        let length = record.length;
        input.bad(Code::RecordMalformed, record, || {
            format!("{length} bytes, too short for its header")
        });
        return Ok(());
    }
    let header = input.source.take(8)?;
    let (first, last) = (u64::from(u32_at(header, 0)), u64::from(u32_at(header, 4)));
    let per_frame = guest.pv.per_frame();
    let (start, end) = (first / per_frame, last / per_frame + 1);
    if first > last || u64::from(record.length) != 8 + (end - start) * 8 {
        let length = record.length;
        input.bad(Code::RecordMalformed, record, || {
            format!("{length} bytes for the p2m of pages {first:#x} to {last:#x}")
        });
        return Ok(());
    }
    guest.pv.max_pfn = guest.pv.max_pfn.max(Some(last));
    for frame in start..end {
        let pfn = u64_at(input.source.take(8)?, 0);
        if guest.pv.p2m.insert(frame, pfn).is_none() {
            input.budget.charge(32, record.at)?;
        }
    }
    Ok(())
}

fn shared_info(input: &mut Input<'_>, guest: &mut Guest, record: &Record) -> Result<(), Stop> {
    if guest.pv.layout.is_none() {
        input.bad(Code::RecordOrder, record, || {
            "no X86_PV_INFO before it".into()
        });
    }
    if record.length as usize != PAGE {
        let length = record.length;
        input.bad(Code::RecordMalformed, record, || {
            format!("{length} bytes, {PAGE} expected")
        });
        return Ok(());
    }
    let layout = guest.pv.layout();
    let bytes = input.source.take(PAGE)?;
    guest.pv.linear_p2m = Some(layout.word(bytes, layout.shared_arch + layout.p2m_cr3) != 0);
    Ok(())
}

fn vcpu(
    input: &mut Input<'_>,
    config: &Config,
    guest: &mut Guest,
    record: &Record,
) -> Result<(), Stop> {
    let Some(id) = input.body_header(record)? else {
        return Ok(());
    };
    let size = record.length - 8;
    if size == 0 {
        input.bad(Code::RecordIgnored, record, || {
            format!("empty, of vCPU {id}; Xen 4.6 to 4.8 made such")
        });
        return Ok(());
    }
    let vcpus = config.max_vcpus.unwrap_or(VCPU_MAX).min(VCPU_MAX);
    if id >= vcpus {
        input.bad(Code::RecordMalformed, record, || {
            format!("of vCPU {id}; the domain has {vcpus} at most")
        });
        return Ok(());
    }
    let layout = guest.pv.layout();
    let wrong = match record.kind {
        libxc::X86_PV_VCPU_BASIC if size as usize != layout.context => {
            Some(format!("{} bytes", layout.context))
        }
        libxc::X86_PV_VCPU_EXTENDED if size > 128 => Some("128 bytes at most".into()),
        libxc::X86_PV_VCPU_XSAVE if size < 16 => Some("16 bytes at least".into()),
        libxc::X86_PV_VCPU_MSRS if size % 16 != 0 => Some("a multiple of 16 bytes".into()),
        _ => None,
    };
    if let Some(expected) = wrong {
        input.bad(Code::RecordMalformed, record, || {
            format!("a context of {size} bytes, not {expected}")
        });
        return Ok(());
    }
    input.budget.charge(512, record.at)?;
    let vcpu = guest.pv.vcpus.entry(id).or_default();
    let refused = match record.kind {
        libxc::X86_PV_VCPU_BASIC => {
            let context = input.source.take(layout.context)?;
            vcpu.basic = Some(Basic::read(context, layout));
            pv_vcpu::basic(id, context, layout)
        }
        libxc::X86_PV_VCPU_EXTENDED => pv_vcpu::extended(input.source.take(size as usize)?, vcpus),
        libxc::X86_PV_VCPU_XSAVE => {
            let size = u64::from(size);
            let start = input.source.take(size.min(16 + xsave::SHORTEST) as usize)?;
            pv_vcpu::xsave(start, size, &guest.policy)
                .map(|known| guest.pv.unknown_xsave_length |= !known)
        }
        _ => msrs(input, size, &guest.policy)?,
    };
    let slot = Vcpu::KINDS
        .iter()
        .position(|(kind, _)| *kind == record.kind);
    vcpu.refused[slot.unwrap_or(0)] = refused.err().map(|refusal| Refusal {
        why: format!("{record}: {}", refusal.why),
        ..refusal
    });
    Ok(())
}

fn msrs(input: &mut Input<'_>, size: u32, policy: &CpuPolicy) -> Result<Result<(), Refusal>, Stop> {
    for _ in 0..size / 16 {
        let judged = pv_vcpu::msr(input.source.take(16)?, policy);
        if judged.is_err() {
            return Ok(judged);
        }
    }
    Ok(Ok(()))
}
