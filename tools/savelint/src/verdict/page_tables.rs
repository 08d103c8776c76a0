//! vCPU contexts, pins and the p2m table of a PV domain: `x86_pv_stream_complete`.

use std::collections::BTreeMap;

use migration::audit::Mode;
use page_types::{table_type, Image};

use super::{entries, pins, vcpus};
use crate::finding::{Code, Findings};
use crate::guest::Guest;
use crate::options::Options;
use crate::report::{Pin, Pins, Root};

/// Notes what a restore would refuse; gives the pins.
pub fn judge(guest: &mut Guest, findings: &mut Findings, options: &Options) -> Pins {
    let mode = if guest.pv.layout().word == 4 {
        Mode::Pae
    } else {
        Mode::Long
    };
    let tables = std::mem::take(&mut guest.tables).into_pages();
    let mut image = Image::new(mode);
    image.linear = options.linear;

    // What the tables point to.
    let mut lost = BTreeMap::new();
    for (pfn, entries) in &tables {
        if let Some((level, pinned)) = table_type(guest.pages.get(*pfn).bits()) {
            if pinned {
                image.pinned.insert(*pfn, level);
            }
            entries::of(guest, findings, &mut lost, *pfn, level, entries);
        }
    }
    entries::lost_pages(guest, findings, &lost);
    let mut pins = Pins {
        pinned: image
            .pinned
            .iter()
            .map(|(page, level)| Pin {
                page: *page,
                level: *level as u8,
            })
            .collect(),
        ..Pins::default()
    };
    entries::linear(guest, findings, &tables, &mut pins);

    // What the vCPUs load, in order.
    let mut ids = Vec::new();
    for (id, vcpu) in &guest.pv.vcpus {
        vcpus::values(findings, *id, vcpu);
        let Some(basic) = &vcpu.basic else { continue };
        let roots = vcpus::roots(guest, findings, *id, basic, mode);
        pins.roots.extend(roots.iter().map(|(user, page)| Root {
            vcpu: *id,
            user: *user,
            page: *page,
        }));
        ids.push(*id);
        image
            .roots
            .push(roots.into_iter().map(|(_, page)| page).collect());
    }
    image.pages = tables;

    pins::judge(guest, findings, &image, &ids, &mut pins);
    p2m_table(guest, findings);
    pins
}

/// `update_guest_p2m`.
fn p2m_table(guest: &Guest, findings: &mut Findings) {
    let Some(max) = guest.pv.max_pfn else { return };
    let frames = max / guest.pv.per_frame() + 1;
    let there = guest.pv.p2m.range(..frames).count() as u64;
    if there < frames {
        findings.add_many(Code::P2mFrame, frames - there, || {
            format!(
                "{} of the p2m table's {frames} pages are not named",
                frames - there
            )
        });
    }
    for (n, pfn) in guest.pv.p2m.range(..frames) {
        if *pfn > max || !guest.pages.get(*pfn).is_plain() {
            findings.add(Code::P2mFrame, || {
                format!("page {n} of the p2m table is page {pfn:#x}, which is no plain page")
            });
        }
    }
}
