//! Root tables and pins on the model of Xen's page-type rules.

use std::collections::BTreeSet;

use migration::audit::{Level, Mode};
use page_types::{table_type, Image, Pfn, Types};

use crate::finding::{Code, Findings};
use crate::guest::Guest;
use crate::refusal::Errno;
use crate::report::Pins;

/// The most refused pins that are counted after the first.
const MORE_REFUSED: u64 = 16;

/// Xen's part: loads the roots and pins the tables on the model.
pub fn judge(guest: &Guest, findings: &mut Findings, image: &Image, ids: &[u32], pins: &mut Pins) {
    match image.restore() {
        page_types::Verdict::Restores => {}
        page_types::Verdict::Vcpu {
            vcpu,
            error,
            refusal,
        } => {
            let id = ids.get(vcpu).copied().unwrap_or(0);
            let says = format!("Failed to set vcpu{id}'s basic info");
            findings.refuse(Code::RootRefused, says, errno(error), || {
                format!("vCPU {id}'s root table is refused: {refusal}")
            });
        }
        page_types::Verdict::Pin {
            page,
            error,
            refusal,
        } => {
            let level = image.pinned.get(&page).map_or(0, |level| *level as u8);
            pins.refused = Some(page);
            let says = "Failed to pin batch of pagetables".into();
            findings.refuse(Code::PinRefused, says, errno(error), || {
                let blame = blame(pins, page, refusal.page);
                format!("L{level} page {page:#x} cannot be pinned: {refusal}{blame}")
            });
        }
    }
    if image.mode == Mode::Pae {
        if let Some((page, _)) = image.pinned.iter().find(|(_, level)| **level == Level::L4) {
            findings.add(Code::PinRefused, || {
                format!("page {page:#x} is pinned as an L4, which a 32-bit domain does not have")
            });
        }
    }
    // The same once more, going on after refusals: what else stands in the way, and what nothing
    // leads to.
    let mut types = Types::new(image);
    let mut failed: BTreeSet<Pfn> = BTreeSet::new();
    for root in image.roots.iter().flatten() {
        if types.load_root(*root).is_err() {
            failed.insert(*root);
        }
        if failed.len() as u64 > MORE_REFUSED {
            break;
        }
    }
    for (page, level) in &image.pinned {
        if failed.len() as u64 > MORE_REFUSED {
            break;
        }
        if types.pin(*page, *level).is_err() {
            failed.insert(*page);
        }
    }
    pins.more_refused = (failed.len() as u64).saturating_sub(1);
    if failed.is_empty() {
        for pfn in image.pages.keys() {
            if let Some((level, _)) = table_type(guest.pages.get(*pfn).bits()) {
                if types.of(*pfn).1 == 0 {
                    findings.add(Code::LooseTable, || {
                        format!("{level} page {pfn:#x}: no root and no pin leads to it")
                    });
                }
            }
        }
    }
}

/// Which linear entries brought it about, if some did.
fn blame(pins: &Pins, page: Pfn, refused: Pfn) -> String {
    let guilty = pins
        .holders
        .iter()
        .filter(|holder| holder.too_early)
        .find(|holder| {
            holder.page == page
                || holder
                    .targets
                    .iter()
                    .any(|target| target.page == page || target.page == refused)
        });
    guilty.map_or(String::new(), |holder| {
        format!("; {}", crate::text::Linear(holder))
    })
}

fn errno(error: page_types::Errno) -> Errno {
    match error {
        page_types::Errno::Ebusy => Errno::Ebusy,
        page_types::Errno::Einval => Errno::Einval,
    }
}
