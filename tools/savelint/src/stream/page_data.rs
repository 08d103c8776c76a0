//! PAGE_DATA records: which pages, of which types, with what contents.

use crate::config::{Config, SLACK};
use crate::finding::Code;
use crate::format::{libxc, *};
use crate::guest::Guest;
use crate::input::{Input, Record};
use crate::pages::has_contents;
use crate::refusal::Errno;
use crate::source::Stop;
use crate::tables;

const PFN: u64 = (1 << 52) - 1;
/// Above this no x86 processor has addresses: 52 bits, less the 12 of a page.
const HVM_PAGES: u64 = 1 << 40;

/// One record; the checks are those of `handle_page_data` and `process_page_data`.
pub fn read(
    input: &mut Input<'_>,
    config: &Config,
    guest: &mut Guest,
    record: &Record,
) -> Result<(), Stop> {
    guest.needs_static_data(input, record);
    if guest.is_pv() && guest.pv.max_pfn.is_none() && guest.count(libxc::PAGE_DATA) == 1 {
        input.bad(Code::RecordOrder, record, || {
            "no X86_PV_P2M_FRAMES before it".into()
        });
    }
    let Some(count) = input.body_header(record)?.map(u64::from) else {
        return Ok(());
    };
    let length = u64::from(record.length);
    if count == 0 || length < 8 + 8 * count {
        input.bad(Code::RecordMalformed, record, || {
            format!("{count} pages in a record of {length} bytes")
        });
        return Ok(());
    }
    let held = 8 * count;
    input.budget.charge(held, record.at)?;
    let result = pages(input, guest, record, count);
    input.budget.give_back(held);
    over_allocation(input, config, guest, record);
    result
}

/// `populate_pfns`: Xen gives a domain no page beyond its limit. Told once, at the record that asks
/// for the first.
fn over_allocation(input: &mut Input<'_>, config: &Config, guest: &Guest, record: &Record) {
    let Some(memory) = config.memory else { return };
    let (pages, allowed) = (guest.pages.populated(), memory.pages());
    if pages > allowed && !input.findings.has(Code::OverAllocation) {
        let (field, kib) = (memory.field, memory.kib);
        let says = "Failed to populate physmap".into();
        input.findings.refuse(Code::OverAllocation, says, Errno::Ebusy, || {
            format!(
                "{record}: with it the domain has {pages} pages, and Xen gives it {allowed} at most \
                 ({field} is {kib} KiB, to which libxl adds {SLACK})"
            )
        });
    }
}

fn pages(
    input: &mut Input<'_>,
    guest: &mut Guest,
    record: &Record,
    count: u64,
) -> Result<(), Stop> {
    // Grows with what is read, not with what the header claims.
    let mut pages: Vec<u64> = Vec::new();
    for _ in 0..count {
        pages.push(u64_at(input.source.take(8)?, 0));
    }
    let contents = pages.iter().filter(|p| has_contents(bits(**p))).count() as u64;
    let expected = 8 + 8 * count + PAGE as u64 * contents;
    if pages.iter().any(|page| matches!(bits(*page), 5..=8)) {
        let kind = pages.iter().map(|p| bits(*p)).find(|b| matches!(b, 5..=8));
        input.bad(Code::PageType, record, || {
            format!("a page of the reserved type {:#x}", kind.unwrap_or(0))
        });
        return Ok(());
    }
    if expected != u64::from(record.length) {
        let length = record.length;
        input.bad(Code::RecordMalformed, record, || {
            format!(
                "{length} bytes; {count} pages, {contents} of them with contents, make {expected}"
            )
        });
        return Ok(());
    }
    for page in &pages {
        input.reserved(record, page >> 52 & 0xff);
        if valid(input, guest, page & PFN, record) {
            guest
                .pages
                .name(page & PFN, bits(*page), &mut input.budget, record.at)?;
        }
    }
    let is_pv = guest.is_pv();
    for page in &pages {
        let (pfn, bits) = (page & PFN, bits(*page));
        if !has_contents(bits) {
            continue;
        }
        let at = input.source.at();
        let bytes = input.source.take(PAGE)?;
        if !is_pv || guest.pv.max_pfn.is_none_or(|max| pfn > max) {
            continue;
        }
        if guest.verify {
            if bits & 7 != 0 && !guest.tables.is_same(pfn, bytes) {
                input.findings.add(Code::VerifyMismatch, || {
                    format!("page {pfn:#x} at byte {at}")
                });
            }
        } else if bits & 7 == 0 {
            guest.tables.forget(pfn, &mut input.budget);
            guest.pv.start_info_candidate(pfn, bytes);
        } else {
            guest.tables.keep(pfn, bytes, &mut input.budget, at)?;
            references(input, guest, pfn, bits)?;
        }
    }
    Ok(())
}

fn bits(page: u64) -> u8 {
    (page >> 60) as u8
}

/// `pfn_is_valid`.
fn valid(input: &mut Input<'_>, guest: &Guest, pfn: u64, record: &Record) -> bool {
    let (limit, whose) = if guest.is_pv() {
        (guest.pv.max_pfn.map_or(0, |max| max + 1), "the domain's")
    } else {
        (HVM_PAGES, "any processor's")
    };
    if pfn >= limit {
        input.bad(Code::PageOutside, record, || {
            format!("page {pfn:#x} is above {whose} highest")
        });
    }
    pfn < limit
}

/// `x86_pv_localise_page`: what a present entry points to gets memory, if it lies inside the
/// domain.
fn references(input: &mut Input<'_>, guest: &mut Guest, pfn: u64, bits: u8) -> Result<(), Stop> {
    let max = guest.pv.max_pfn.unwrap_or(0);
    let at = input.source.at();
    for (slot, entry) in tables::present(guest.tables.entries(pfn)) {
        let target = entry.frame();
        if target > max {
            input.findings.add(Code::EntryOutside, || {
                format!(
                    "L{} page {pfn:#x} slot {slot} points to page {target:#x}, the highest is {max:#x}",
                    bits & 7
                )
            });
        } else if !guest.pages.get(target).is_populated() {
            guest.pages.populate(target, &mut input.budget, at)?;
        }
    }
    Ok(())
}
