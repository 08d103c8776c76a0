//! The end of a restore, on what the stream said: is everything there, and will Xen take the page
//! tables?

use std::collections::{BTreeMap, BTreeSet};

use migration::audit::{Level, Mode};
use page_types::{table_type, Image, Pfn, Types};

use crate::config::Config;
use crate::finding::{Code, Findings, Weight};
use crate::format::{libxc, page, GDT_MAX, IN_KERNEL};
use crate::hvm;
use crate::pv::{Basic, Vcpu};
use crate::refusal::Errno;
use crate::report::{
    Format, Guest as Whose, Holder, Pages, Pin, Pins, Records, Report, Root, Target, Verdict,
};
use crate::stream::Guest;
use crate::tables::present;
use crate::Options;

/// The most refused pins that are counted after the first.
const MORE_REFUSED: u64 = 16;

/// The report.
pub fn judge(
    mut guest: Guest,
    mut format: Format,
    config: &Config,
    mut findings: Findings,
    options: &Options,
) -> Report {
    format.libxc = guest.version;
    let mut pages = count_pages(&guest);
    pages.allowed = config.memory.map(|memory| memory.pages());
    let kind = kind(&guest, config, &format);
    let mut pins = None;
    if guest.ended {
        missing_records(&guest, &mut findings);
        let is_libxl = format.libxl.is_some();
        if is_libxl && !format.emulator && config.kind.as_deref() == Some("hvm") {
            findings.add(Code::RecordMissing, || {
                "no EMULATOR_CONTEXT in libxl's stream: an HVM domain's device model has nothing to start from".into()
            });
        }
        missing_pages(&guest, &pages, &mut findings);
        if guest.is_pv() {
            pins = Some(page_tables(&mut guest, &mut findings, options));
        } else {
            hvm_context(&guest, &mut findings);
        }
    } else if guest.is_pv() {
        pins = Some(Pins {
            unjudged: true,
            ..Pins::default()
        });
    }
    let vcpus = if guest.is_pv() {
        let with_state = guest.pv.vcpus.iter().filter(|(_, v)| v.basic.is_some());
        with_state.map(|(id, _)| *id).collect()
    } else {
        let context = guest.hvm.context.iter();
        let vcpus = context.flat_map(|context| &context.vcpus);
        vcpus.map(|id| u32::from(*id)).collect()
    };
    let records = (0u32..).zip(guest.counts).filter(|(_, c)| c.records > 0);
    let records = records.map(|(kind, count)| Records {
        name: libxc::name(kind),
        count: count.records,
        bytes: count.bytes,
    });
    // The first fatal finding is what a restore meets first; the page tables come last of all.
    let verdict = match findings.first(Weight::Fatal) {
        None => Verdict::Restores,
        Some(first) => {
            let said = findings.said(first.code);
            Verdict::Fails {
                why: first.seen.first().cloned().unwrap_or_default(),
                errno: said.map(|said| said.errno),
                says: said.map(|said| said.words.clone()),
            }
        }
    };
    let findings = findings.sorted();
    Report {
        verdict,
        guest: Whose {
            kind,
            name: config.name.clone(),
            saved_by: match guest.xen {
                (0, _) => "a converter of the legacy format".into(),
                (major, minor) => format!("Xen {major}.{minor}"),
            },
            vcpus,
            max_vcpus: config.max_vcpus,
            p2m: guest
                .pv
                .linear_p2m
                .map(|linear| if linear { "list" } else { "tree" }),
        },
        for_xen: guest.target.name(),
        not_judged: not_judged(&guest, &format, config),
        format,
        pages,
        pins,
        records: records.collect(),
        findings,
    }
}

/// What the verdict says nothing of, because the file does not tell.
fn not_judged(guest: &Guest, format: &Format, config: &Config) -> Vec<String> {
    let mut list = vec![
        "the host that restores: its free memory, its devices, whether its processor has what the guest's CPUID and MSRs ask for"
            .to_owned(),
        "the contents of plain memory: there are no checksums".into(),
    ];
    let mut add = |words: &str| list.push(words.into());
    if guest.is_pv() {
        add("descriptor tables, foreign and I/O frames, reserved bits of page-table entries, 32-bit roots above 4 GiB");
    } else {
        add("the registers of emulated devices in HVM_CONTEXT: of most only the length");
    }
    if config.memory.is_none() {
        add("how much memory the domain may have: there is no configuration in the file that says it");
    }
    if config.max_vcpus.is_none() {
        add(
            "whether the domain has all the vCPUs whose state is here: there is no configuration \
         in the file that says it",
        );
    }
    if !guest.is_pv() && config.kind.is_none() {
        add("whether it is PVH, and has the devices whose state is here");
    }
    if !guest.is_pv() && !guest.policy.is_known() {
        add("CR4, EFER and CR3 against the domain's features: there is no X86_CPUID_POLICY");
    }
    let context = guest.hvm.context.as_ref();
    if guest.pv.unknown_xsave_length || context.is_some_and(|context| context.unknown_length) {
        add("the length of XSAVE states: the CPUID leaves here do not say it");
    }
    if format.emulator {
        add("the device model's state");
    }
    if format.cut_short {
        add("what stands after the vGPU's state: only the program that wrote it knows where it ends");
    }
    list
}

fn kind(guest: &Guest, config: &Config, format: &Format) -> String {
    if guest.is_pv() {
        let bits = match guest.pv.layout {
            Some(layout) if layout.word == 4 => " 32-bit PAE",
            Some(_) => " 64-bit",
            None => "",
        };
        return format!("PV{bits}");
    }
    match config.kind.as_deref() {
        Some("pvh") => "PVH",
        Some("hvm") => "HVM",
        _ if format.emulator => "HVM",
        _ => "HVM or PVH",
    }
    .into()
}

fn count_pages(guest: &Guest) -> Pages {
    let mut pages = Pages {
        range: guest
            .pv
            .max_pfn
            .max(guest.pages.highest())
            .map_or(0, |highest| highest + 1),
        populated: guest.pages.populated(),
        copies: guest.pages.copies(),
        ..Pages::default()
    };
    for (_, page) in guest.pages.iter() {
        pages.filled += u64::from(page.is_filled());
        match (page.bits(), table_type(page.bits())) {
            (_, Some((level, pinned))) => {
                pages.tables[level as usize - 1] += 1;
                pages.pinned[level as usize - 1] += u64::from(pinned);
            }
            (page::NOTAB, _) => pages.plain += 1,
            (page::XALLOC, _) => pages.empty += 1,
            (page::BROKEN, _) => pages.broken += 1,
            _ => pages.holes += 1,
        }
    }
    pages.missing = pages.range - guest.pages.named();
    pages
}

fn missing_records(guest: &Guest, findings: &mut Findings) {
    let mut need = |kind, code, without: &str| {
        if guest.count(kind) == 0 {
            findings.add(code, || format!("no {}: {without}", libxc::name(kind)));
        }
    };
    if guest.is_pv() {
        need(
            libxc::X86_PV_INFO,
            Code::RecordMissing,
            "the word size is not known",
        );
        need(
            libxc::X86_PV_P2M_FRAMES,
            Code::RecordMissing,
            "the domain's size is not known",
        );
        need(
            libxc::SHARED_INFO,
            Code::StateMissing,
            "the guest's shared info page will be empty",
        );
    } else {
        need(
            libxc::HVM_CONTEXT,
            Code::RecordMissing,
            "Xen has nothing to restore the vCPUs from",
        );
        need(
            libxc::HVM_PARAMS,
            Code::StateMissing,
            "the guest will have neither xenstore nor console",
        );
    }
    need(
        libxc::X86_TSC_INFO,
        Code::StateMissing,
        "the guest's time-stamp counter will start anew",
    );
    if guest.is_pv() && guest.pv.vcpus.get(&0).is_none_or(|v| v.basic.is_none()) {
        findings.add(Code::RecordMissing, || {
            "no X86_PV_VCPU_BASIC of vCPU 0".into()
        });
    }
}

fn missing_pages(guest: &Guest, pages: &Pages, findings: &mut Findings) {
    if pages.missing > 0 {
        let first = guest.pages.first_missing(pages.range).unwrap_or(0);
        findings.add_many(Code::PagesMissing, pages.missing, || {
            format!(
                "{} of {} pages are named by no record, the first is {first:#x}",
                pages.missing, pages.range
            )
        });
    }
    for (param, ring) in [(hvm::STORE_PFN, "xenstore"), (hvm::CONSOLE_PFN, "console")] {
        let Some(pfn) = guest.hvm.params.get(&param).copied() else {
            continue;
        };
        if pfn != 0 && !guest.pages.get(pfn).is_filled() {
            findings.add(Code::StateMissing, || {
                format!("the {ring} ring's page {pfn:#x} has no contents")
            });
        }
    }
}

/// HVM_CONTEXT, which Xen takes last of all.
fn hvm_context(guest: &Guest, findings: &mut Findings) {
    let Some(context) = &guest.hvm.context else {
        return;
    };
    let says = || "Unable to restore HVM context".to_owned();
    for refusal in &context.refused {
        findings.refuse(Code::HvmContext, says(), refusal.errno, || {
            refusal.why.clone()
        });
    }
    if context.more > 0 {
        findings.add_many(Code::HvmContext, context.more, || {
            format!("and {} more in the HVM_CONTEXT", context.more)
        });
    }
    for odd in &context.odd {
        findings.add(Code::RecordOdd, || odd.clone());
    }
    if context.vcpus.is_empty() {
        findings.add(Code::StateMissing, || {
            "no CPU entry in the HVM_CONTEXT: it restores, and no vCPU will run".into()
        });
    }
    for vcpu in &context.vcpus {
        let [hidden, registers] = &context.lapics;
        let without = match (hidden.contains(vcpu), registers.contains(vcpu)) {
            (true, true) => continue,
            (false, false) => "neither a LAPIC nor a LAPIC_REGS entry",
            (true, false) => "no LAPIC_REGS entry",
            (false, true) => "no LAPIC entry",
        };
        findings.add(Code::StateMissing, || {
            format!(
                "vCPU {vcpu} has {without}: its local APIC will be reset, and the guest waits \
             for interrupts that do not come"
            )
        });
    }
}

/// What Xen refuses of a PV vCPU's records by their values.
fn vcpu_values(findings: &mut Findings, id: u32, vcpu: &Vcpu) {
    for ((_, info), refused) in Vcpu::KINDS.iter().zip(&vcpu.refused) {
        if let Some(refusal) = refused {
            let says = format!("Failed to set vcpu{id}'s {info}");
            findings.refuse(Code::VcpuState, says, refusal.errno, || {
                format!("vCPU {id}: {}", refusal.why)
            });
        }
    }
}

/// vCPU contexts, pins and the p2m table of a PV domain: `x86_pv_stream_complete`.
fn page_tables(guest: &mut Guest, findings: &mut Findings, options: &Options) -> Pins {
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
            entries_of(guest, findings, &mut lost, *pfn, level, entries);
        }
    }
    lost_pages(guest, findings, &lost);
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
    linear_entries(guest, findings, &tables, &mut pins);

    // What the vCPUs load, in order.
    let mut ids = Vec::new();
    for (id, vcpu) in &guest.pv.vcpus {
        vcpu_values(findings, *id, vcpu);
        let Some(basic) = &vcpu.basic else { continue };
        let roots = roots(guest, findings, *id, basic, mode);
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

    model(guest, findings, &image, &ids, &mut pins);
    p2m_table(guest, findings);
    pins
}

/// An entry that points to a page whose contents are not what the guest had.
#[derive(Clone, Copy)]
struct User {
    level: Level,
    table: Pfn,
    slot: u16,
}

/// The entries of one table, against what the stream says of the pages they point to.
fn entries_of(
    guest: &Guest,
    findings: &mut Findings,
    lost: &mut BTreeMap<Pfn, User>,
    table: Pfn,
    level: Level,
    entries: &[u64],
) {
    for (slot, entry) in present(entries) {
        let target = entry.frame();
        if level > Level::L1 && entry.has_pse() {
            findings.add(Code::Superpage, || {
                format!("{level} page {table:#x} slot {slot}: a superpage, which Xen refuses to PV guests")
            });
            continue;
        }
        if guest.pv.max_pfn.is_none_or(|max| target > max) {
            // Found when it was read.
            continue;
        }
        let page = guest.pages.get(target);
        let empty = !page.is_filled() && page.bits() != page::XALLOC;
        let stale = page.is_filled() && !page.is_fresh();
        let plain = level > Level::L1 && page.is_plain();
        if empty || stale || plain {
            let user = User { level, table, slot };
            let first = lost.entry(target).or_insert(user);
            // What takes it for a table says more than what maps it.
            if level > first.level {
                *first = user;
            }
        }
    }
}

/// One finding for each page, however many entries point to it.
fn lost_pages(guest: &Guest, findings: &mut Findings, lost: &BTreeMap<Pfn, User>) {
    for (pfn, User { level, table, slot }) in lost {
        let page = guest.pages.get(*pfn);
        let (code, fate) = if !page.is_filled() {
            (
                Code::DroppedPage,
                "has no contents in the stream and will be empty",
            )
        } else if !page.is_fresh() {
            (
                Code::StalePage,
                "was left out of the last pass: an older copy stays",
            )
        } else {
            (Code::PlainAsTable, "is plain memory in the stream")
        };
        findings.add(code, || match level.below() {
            Some(below) => format!(
                "page {pfn:#x}, an {below} table of {level} page {table:#x} slot {slot}, {fate}"
            ),
            None => format!("page {pfn:#x}, mapped by {level} page {table:#x} slot {slot}, {fate}"),
        });
    }
}

fn linear_entries(
    guest: &Guest,
    findings: &mut Findings,
    tables: &BTreeMap<Pfn, Vec<u64>>,
    pins: &mut Pins,
) {
    let place = |pfn: Pfn| {
        let place = pins.pinned.binary_search_by_key(&pfn, |pin| pin.page);
        place.ok().map(|n| n as u64 + 1)
    };
    let (mut count, mut holders) = (0, Vec::new());
    for (pfn, entries) in tables {
        let Some((level, _)) = table_type(guest.pages.get(*pfn).bits()) else {
            continue;
        };
        if level == Level::L1 {
            continue;
        }
        let mut holder: Option<Holder> = None;
        for (slot, entry) in present(entries) {
            let target = entry.frame();
            if table_type(guest.pages.get(target).bits()).map(|(level, _)| level) != Some(level) {
                continue;
            }
            count += 1;
            let holder = holder.get_or_insert_with(|| Holder {
                page: *pfn,
                level: level as u8,
                place: place(*pfn),
                targets: Vec::new(),
                too_early: false,
            });
            let target = Target {
                slot,
                page: target,
                place: place(target),
            };
            holder.too_early |= match (holder.place, target.place) {
                (Some(holder), Some(target)) => holder < target,
                _ => false,
            };
            if holder.targets.len() < 16 {
                holder.targets.push(target);
            }
        }
        if let Some(holder) = holder {
            findings.add(Code::LinearEntries, || {
                format!("{}", crate::text::Linear(&holder))
            });
            if holders.len() < Pins::HOLDERS {
                holders.push(holder);
            }
        }
    }
    pins.linear_entries = count;
    pins.holders = holders;
}

/// `process_vcpu_basic`: the checks that libxc makes, and the roots that are left for Xen.
fn roots(
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

/// Xen's part: loads the roots and pins the tables on the model.
fn model(guest: &Guest, findings: &mut Findings, image: &Image, ids: &[u32], pins: &mut Pins) {
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
