//! What a PV domain's vCPUs load: their records' values, their root tables, the start info page.

use migration::audit::Mode;
use page_types::{table_type, Pfn};

use crate::finding::{Code, Findings};
use crate::format::{GDT_MAX, IN_KERNEL};
use crate::guest::Guest;
use crate::pv::{Basic, Vcpu};

/// What Xen refuses of a PV vCPU's records by their values.
pub fn values(findings: &mut Findings, id: u32, vcpu: &Vcpu) {
    for ((_, info), refused) in Vcpu::KINDS.iter().zip(&vcpu.refused) {
        if let Some(refusal) = refused {
            let says = format!("Failed to set vcpu{id}'s {info}");
            findings.refuse(Code::VcpuState, says, refusal.errno, || {
                format!("vCPU {id}: {}", refusal.why)
            });
        }
    }
}

/// `process_vcpu_basic`: the checks that libxc makes, and the roots that are left for Xen.
pub fn roots(
    guest: &Guest,
    findings: &mut Findings,
    id: u32,
    basic: &Basic,
    mode: Mode,
) -> Vec<(bool, Pfn)> {
    let max = guest.pv.max_pfn.unwrap_or(0);
    let mut bad = |why: String| findings.add(Code::VcpuState, || format!("vCPU {id}: {why}"));
    if basic.gdt_entries > GDT_MAX {
        bad(format!(
            "{} GDT entries, {GDT_MAX} at most",
            basic.gdt_entries
        ));
    } else {
        let frames = basic.gdt_entries.div_ceil(512) as usize;
        for frame in &basic.gdt_frames[..frames.min(16)] {
            if *frame > max || !guest.pages.get(*frame).is_plain() {
                bad(format!("its GDT's page {frame:#x} is no plain page"));
            }
        }
    }
    let mut roots = vec![(false, basic.root(guest.pv.layout()))];
    if mode == Mode::Long {
        if basic.cr1 & 1 != 0 {
            roots.push((true, basic.cr1 >> 12));
        } else if basic.cr1 != 0 {
            bad(format!(
                "its user cr3 {:#x} is no page of the guest's",
                basic.cr1
            ));
        } else if basic.flags & IN_KERNEL == 0 {
            bad("it is in user mode without a user cr3".into());
        }
    }
    roots.retain(|(user, root)| {
        let cr3 = if *user { "user cr3" } else { "cr3" };
        let page = guest.pages.get(*root);
        let level = table_type(page.bits()).map(|(level, _)| level);
        let good = *root <= max && page.is_populated() && level == Some(mode.root());
        if !good {
            bad(format!(
                "its {cr3} is page {root:#x}, which is no {} table",
                mode.root()
            ));
        }
        good
    });
    if id == 0 {
        start_info(guest, findings, basic.edx, max);
    }
    roots
}

/// `process_start_info`.
fn start_info(guest: &Guest, findings: &mut Findings, pfn: u64, max: u64) {
    if pfn > max || !guest.pages.get(pfn).is_plain() {
        findings.add(Code::StartInfo, || {
            format!("vCPU 0 says that it is page {pfn:#x}, which is no plain page (was the suspend called from vCPU 0, with its frame?)")
        });
        return;
    }
    let Some((store, console)) = guest.pv.rings(pfn) else {
        return;
    };
    for (ring, pfn) in [("xenstore", store), ("console", console)] {
        if pfn > max || !guest.pages.get(pfn).is_populated() {
            findings.add(Code::StartInfo, || {
                format!("its {ring} ring is at page {pfn:#x}, which the domain does not have")
            });
        }
    }
}
