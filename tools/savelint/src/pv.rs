//! The records that only a PV domain has, with the checks of `xg_sr_restore_x86_pv.c`.

mod vcpu_state;

use std::collections::BTreeMap;

use crate::config::Config;
use crate::cpu_policy::CpuPolicy;
use crate::finding::Code;
use crate::format::{libxc, *};
use crate::refusal::Refusal;
use crate::source::Stop;
use crate::stream::{Guest, Input, Record};
use crate::xsave;

/// How many pages that look like start info pages are kept: any page may begin with Xen's magic.
const START_INFOS: usize = 64;

/// What a PV stream says beside its memory.
#[derive(Clone, Debug, Default)]
pub struct Pv {
    /// The guest's word size, from X86_PV_INFO.
    pub layout: Option<&'static Layout>,
    /// The highest page, from X86_PV_P2M_FRAMES.
    pub max_pfn: Option<u64>,
    /// The pages that hold the p2m table, by their number in it.
    pub p2m: BTreeMap<u64, u64>,
    /// vCPUs with records.
    pub vcpus: BTreeMap<u32, Vcpu>,
    /// The guest keeps its p2m as one linear list (and not as a tree), from the shared info page.
    pub linear_p2m: Option<bool>,
    /// An XSAVE state whose right length the stream does not tell.
    pub unknown_xsave_length: bool,
    /// The beginnings of plain pages with Xen's magic.
    start_infos: BTreeMap<u64, [u8; START_INFO]>,
}

/// One vCPU's records.
#[derive(Clone, Debug, Default)]
pub struct Vcpu {
    /// X86_PV_VCPU_BASIC.
    pub basic: Option<Basic>,
    /// What Xen refuses of the last record of each kind, in the order in which libxc hands them
    /// over: [`Vcpu::KINDS`].
    pub refused: [Option<Refusal>; 4],
}

impl Vcpu {
    /// The kinds of records, with libxc's words for each.
    pub const KINDS: [(u32, &'static str); 4] = [
        (libxc::X86_PV_VCPU_BASIC, "basic info"),
        (libxc::X86_PV_VCPU_EXTENDED, "extended info"),
        (libxc::X86_PV_VCPU_XSAVE, "xsave info"),
        (libxc::X86_PV_VCPU_MSRS, "msrs"),
    ];
}

/// What of `struct vcpu_guest_context` a restore looks at.
#[derive(Clone, Copy, Debug)]
pub struct Basic {
    /// `VGCF_*`.
    pub flags: u64,
    /// Of vCPU 0: the start info page.
    pub edx: u64,
    /// How many GDT entries.
    pub gdt_entries: u64,
    /// The pages that hold them.
    pub gdt_frames: [u64; 16],
    /// `cr3` as it stands there.
    pub cr3: u64,
    /// `ctrlreg[1]`: the user's `cr3` of a 64-bit guest; bit 0 says that it is one.
    pub cr1: u64,
}

impl Basic {
    fn read(bytes: &[u8], layout: &Layout) -> Self {
        let word = |at| layout.word(bytes, at);
        let mut gdt_frames = [0; 16];
        for (n, frame) in gdt_frames.iter_mut().enumerate() {
            *frame = word(layout.gdt_frames + n * layout.word);
        }
        Self {
            flags: word(layout.flags),
            edx: word(layout.edx),
            gdt_entries: word(layout.gdt_ents),
            gdt_frames,
            cr3: word(layout.ctrlreg + 3 * layout.word),
            cr1: word(layout.ctrlreg + layout.word),
        }
    }

    /// The root table's page. 32-bit guests fold the upper bits into the lower (`xen_cr3_to_pfn`).
    pub fn root(&self, layout: &Layout) -> u64 {
        if layout.word == 8 {
            self.cr3 >> 12
        } else {
            u64::from((self.cr3 as u32).rotate_right(12))
        }
    }
}

impl Pv {
    /// The guest's layout; a domain is 64-bit until X86_PV_INFO says otherwise.
    pub fn layout(&self) -> &'static Layout {
        self.layout.unwrap_or(&LAYOUT_64)
    }

    /// Pages of the p2m table that a page of it covers.
    pub fn per_frame(&self) -> u64 {
        (PAGE / self.layout().word) as u64
    }

    /// Keeps the beginning of a plain page if it may be the start info page. Which page is, vCPU 0
    /// says at the end.
    pub fn start_info_candidate(&mut self, pfn: u64, contents: &[u8]) {
        if contents.starts_with(b"xen-") {
            if self.start_infos.len() < START_INFOS || self.start_infos.contains_key(&pfn) {
                let mut start = [0; START_INFO];
                start.copy_from_slice(&contents[..START_INFO]);
                self.start_infos.insert(pfn, start);
            }
        } else if !self.start_infos.is_empty() {
            self.start_infos.remove(&pfn);
        }
    }

    /// The pages of xenstore's and the console's ring, from the start info page, if it was kept.
    pub fn rings(&self, start_info: u64) -> Option<(u64, u64)> {
        let bytes = self.start_infos.get(&start_info)?;
        let layout = self.layout();
        Some((
            layout.word(bytes, layout.store),
            layout.word(bytes, layout.console),
        ))
    }
}

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
            vcpu_state::basic(id, context, layout)
        }
        libxc::X86_PV_VCPU_EXTENDED => {
            vcpu_state::extended(input.source.take(size as usize)?, vcpus)
        }
        libxc::X86_PV_VCPU_XSAVE => {
            let size = u64::from(size);
            let start = input.source.take(size.min(16 + xsave::SHORTEST) as usize)?;
            vcpu_state::xsave(start, size, &guest.policy)
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
        let judged = vcpu_state::msr(input.source.take(16)?, policy);
        if judged.is_err() {
            return Ok(judged);
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cr3_of_32_bit_guests_is_folded() {
        let basic = |cr3| Basic {
            flags: 0,
            edx: 0,
            gdt_entries: 0,
            gdt_frames: [0; 16],
            cr3,
            cr1: 0,
        };
        assert_eq!(basic(0x1234_5000).root(&LAYOUT_32), 0x1_2345);
        assert_eq!(basic(0x1234_5678).root(&LAYOUT_32), 0x6781_2345);
        assert_eq!(basic(0x12_3456_7000).root(&LAYOUT_64), 0x123_4567);
    }
}
