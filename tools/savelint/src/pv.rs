//! What only a PV domain's stream says.

use std::collections::BTreeMap;

use crate::format::{libxc, *};
use crate::refusal::Refusal;

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
    /// Takes it out of a context of this layout.
    pub fn read(bytes: &[u8], layout: &Layout) -> Self {
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
