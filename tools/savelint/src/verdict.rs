//! The end of a restore, on what the stream said: is everything there, and will Xen take the page
//! tables?

mod entries;
mod page_tables;
mod pins;
mod vcpus;

use page_types::table_type;

use crate::config::Config;
use crate::finding::{Code, Findings, Weight};
use crate::format::{libxc, page};
use crate::guest::Guest;
use crate::hvm;
use crate::options::Options;
use crate::report::{Format, Guest as Whose, Pages, Pins, Records, Report, Verdict};

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
            pins = Some(page_tables::judge(&mut guest, &mut findings, options));
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
