//! Streams for the tests and the fuzz target, built record by record; and edits that break them.
//!
//! Uses nothing of the code under test: the numbers stand here once more, from the specification.

/// One of libxc's records.
#[derive(Clone, Debug)]
pub struct Record {
    pub kind: u32,
    pub body: Vec<u8>,
}

/// A page of a PAGE_DATA record: page number, type bits, and its contents if the type has any.
#[derive(Clone, Debug)]
pub struct Page {
    pub pfn: u64,
    pub bits: u8,
    pub contents: Vec<u8>,
}

/// How the prototype set of four L2 tables lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// There is none.
    None,
    /// Pinned, the holder of the linear entries has the lowest page.
    HolderFirst,
    /// Pinned, the holder has the highest page.
    HolderLast,
    /// Pinned, no linear entries.
    NoLinear,
}

/// The highest page of the PV samples.
pub const MAX_PFN: u64 = 47;
/// The root table of vCPU 0 (L4 or PAE L3), pinned.
pub const ROOT: u64 = 1;
/// Below it, in a 64-bit guest.
pub const L3: u64 = 2;
/// The L2s; of a PAE guest the four of its root.
pub const L2: u64 = 3;
/// The L1 in use.
pub const L1: u64 = 8;
/// The p2m table, the start info page, the rings, the GDT.
pub const P2M: u64 = 10;
pub const START_INFO: u64 = 11;
pub const STORE: u64 = 12;
pub const CONSOLE: u64 = 13;
pub const GDT: u64 = 14;
/// The first page of the set, and the L1s of its members.
pub const SET: u64 = 30;
pub const SET_L1: u64 = 36;
/// Plain memory.
pub const PLAIN: u64 = 20;

const P: u64 = 1;
const RW: u64 = 2;

fn entry(page: u64, flags: u64) -> u64 {
    page << 12 | flags
}

fn table(entries: &[(usize, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    for (slot, entry) in entries {
        bytes[slot * 8..slot * 8 + 8].copy_from_slice(&entry.to_le_bytes());
    }
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: u64, width: usize) {
    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// The pages of a PV guest with 4- or 8-byte words.
pub fn pv_pages(wide: bool, set: Set) -> Vec<Page> {
    let mut pages: Vec<Page> = (0..=MAX_PFN)
        .map(|pfn| Page {
            pfn,
            bits: 0xf,
            contents: Vec::new(),
        })
        .collect();
    let mut fill = |pfn: u64, bits: u8, contents: Vec<u8>| {
        pages[pfn as usize] = Page {
            pfn,
            bits,
            contents,
        };
    };
    for pfn in [P2M, STORE, CONSOLE, GDT, PLAIN, PLAIN + 1] {
        fill(pfn, 0, vec![pfn as u8; 4096]);
    }
    let mut start = vec![0; 4096];
    start[..16].copy_from_slice(b"xen-3.0-x86_64\0\0");
    if wide {
        put(&mut start, 56, STORE, 8);
        put(&mut start, 72, CONSOLE, 8);
    } else {
        put(&mut start, 44, STORE, 4);
        put(&mut start, 52, CONSOLE, 4);
    }
    fill(START_INFO, 0, start);
    fill(
        L1,
        1,
        table(&[(0, entry(PLAIN, P | RW)), (1, entry(ROOT, P)), (2, 0)]),
    );
    if wide {
        fill(ROOT, 0xc, table(&[(511, entry(L3, P | RW))]));
        fill(L3, 3, table(&[(510, entry(L2, P | RW))]));
        fill(L2, 2, table(&[(0, entry(L1, P | RW))]));
    } else {
        let l2s: Vec<_> = (0..4).map(|n| (n, entry(L2 + n as u64, P))).collect();
        fill(ROOT, 0xb, table(&l2s));
        for n in 0..4 {
            let l1 = if n == 3 { entry(L1, P | RW) } else { 0 };
            fill(L2 + n, 2, table(&[(0, l1)]));
        }
    }
    if set != Set::None {
        let holder = match set {
            Set::HolderFirst => SET,
            _ => SET + 3,
        };
        for n in 0..4 {
            let page = SET + n;
            let mut entries = vec![(0, entry(SET_L1 + n, P | RW))];
            if page == holder && set != Set::NoLinear {
                entries.extend((0..4).map(|n| (508 + n as usize, entry(SET + n, P))));
            }
            fill(page, 0xa, table(&entries));
            fill(SET_L1 + n, 1, table(&[(0, entry(PLAIN + 1, P | RW))]));
        }
    }
    pages
}

/// One PAGE_DATA record.
pub fn page_data(pages: &[Page]) -> Record {
    let mut body = (pages.len() as u64).to_le_bytes().to_vec();
    for page in pages {
        body.extend((u64::from(page.bits) << 60 | page.pfn).to_le_bytes());
    }
    for page in pages {
        body.extend(&page.contents);
    }
    Record { kind: 1, body }
}

/// X86_PV_VCPU_BASIC.
pub fn vcpu_basic(wide: bool, id: u32) -> Record {
    let mut body = u64::from(id).to_le_bytes().to_vec();
    let mut context = vec![0; if wide { 5168 } else { 2800 }];
    if wide {
        put(&mut context, 512, 4, 8); // in the kernel
        put(&mut context, 616, START_INFO, 8);
        put(&mut context, 4832, GDT, 8);
        put(&mut context, 4960, 8, 8);
        put(&mut context, 5008, ROOT << 12, 8);
    } else {
        put(&mut context, 512, 4, 4);
        put(&mut context, 524, START_INFO, 4);
        put(&mut context, 2640, GDT, 4);
        put(&mut context, 2704, 8, 4);
        put(&mut context, 2728, ROOT << 12, 4);
    }
    body.extend(context);
    Record { kind: 4, body }
}

fn plain_record(kind: u32, body: impl Into<Vec<u8>>) -> Record {
    Record {
        kind,
        body: body.into(),
    }
}

/// A whole PV stream's records, up to END.
pub fn pv(wide: bool, set: Set) -> Vec<Record> {
    let mut p2m = [0, MAX_PFN as u32].map(u32::to_le_bytes).concat();
    p2m.extend(P2M.to_le_bytes());
    vec![
        plain_record(
            2,
            [if wide { [8, 4] } else { [4, 3] }, [0; 2], [0; 2], [0; 2]].concat(),
        ),
        cpuid_policy(),
        msr_policy(),
        plain_record(0x10, []),
        plain_record(3, p2m),
        page_data(&pv_pages(wide, set)),
        plain_record(8, vec![0; 24]),
        plain_record(7, vec![0; 4096]),
        vcpu_basic(wide, 0),
        vcpu_extended(0),
        vcpu_xsave(0),
        plain_record(0, []),
    ]
}

/// X86_CPUID_POLICY: leaf, subleaf and the four registers each. A processor with long mode, XSAVE
/// and AVX, of 46 bits.
pub fn cpuid_policy() -> Record {
    const NONE: u32 = u32::MAX;
    let leaves: [[u32; 6]; 8] = [
        [0, NONE, 0xd, 0x756e_6547, 0x6c65_746e, 0x4965_6e69],
        [1, NONE, 0x306c3, 0, 1 << 26 | 1 << 17, 0x0785_fbff],
        [7, 0, 0, 0x81, 0, 0],
        [0xd, 0, 7, 832, 832, 0],
        [0xd, 2, 256, 576, 0, 0],
        [0x8000_0000, NONE, 0x8000_0008, 0, 0, 0],
        [0x8000_0001, NONE, 0, 0, 1, 0x2010_0800],
        [0x8000_0008, NONE, 46, 0, 0, 0],
    ];
    let words = leaves.iter().flatten();
    plain_record(
        0x11,
        words
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<u8>>(),
    )
}

/// X86_MSR_POLICY: number, flags, value each.
pub fn msr_policy() -> Record {
    let words = [0xce, 0, 1 << 31, 0, 0x10a, 0, 0, 0];
    plain_record(0x12, words.map(u32::to_le_bytes).concat())
}

/// X86_PV_VCPU_EXTENDED, whose context says its own size.
pub fn vcpu_extended(id: u32) -> Record {
    let mut body = vec![0; 8 + 64];
    put(&mut body, 0, id.into(), 4);
    put(&mut body, 8, id.into(), 4);
    put(&mut body, 12, 64, 4);
    plain_record(5, body)
}

/// X86_PV_VCPU_XSAVE with x87, SSE and AVX in use.
pub fn vcpu_xsave(id: u32) -> Record {
    let mut body = vec![0; 8 + 16 + 832];
    put(&mut body, 0, id.into(), 4);
    put(&mut body, 8, 7, 8);
    put(&mut body, 16, 7, 8);
    put(&mut body, 24 + 512, 3, 8);
    plain_record(6, body)
}

/// An entry of an HVM context.
pub fn hvm_entry(kind: u16, instance: u16, contents: &[u8]) -> Vec<u8> {
    let mut entry = kind.to_le_bytes().to_vec();
    entry.extend(instance.to_le_bytes());
    entry.extend((contents.len() as u32).to_le_bytes());
    entry.extend(contents);
    entry
}

/// The registers of a vCPU in long mode, as Xen 4.7 and newer lay them out.
pub fn hvm_cpu() -> Vec<u8> {
    let mut cpu = vec![0; 1032];
    put(&mut cpu, 656, 0x8005_0033, 8);
    put(&mut cpu, 672, 0x1000, 8);
    put(&mut cpu, 680, 0x6a0, 8);
    put(&mut cpu, 992, 0xd01, 8);
    put(&mut cpu, 1024, 1, 4);
    cpu
}

/// The XSAVE state of a vCPU with x87, SSE and AVX in use.
pub fn hvm_xsave() -> Vec<u8> {
    let mut xsave = vec![0; 24 + 832];
    for at in [0, 8, 16] {
        put(&mut xsave, at, 7, 8);
    }
    put(&mut xsave, 24 + 512, 7, 8);
    xsave
}

/// The HVM context of these vCPUs.
pub fn hvm_context(vcpus: &[u16]) -> Vec<u8> {
    let mut header = vec![0; 24];
    put(&mut header, 0, 0x5438_1286, 4);
    put(&mut header, 4, 1, 4);
    let mut body = hvm_entry(1, 0, &header);
    for vcpu in vcpus {
        body.extend(hvm_entry(2, *vcpu, &hvm_cpu()));
    }
    for vcpu in vcpus {
        body.extend(hvm_entry(5, *vcpu, &[0; 24]));
    }
    for vcpu in vcpus {
        body.extend(hvm_entry(6, *vcpu, &[0; 1024]));
    }
    body.extend(hvm_entry(7, 0, &[0; 16]));
    for vcpu in vcpus {
        body.extend(hvm_entry(14, *vcpu, &[8; 240]));
        body.extend(hvm_entry(16, *vcpu, &hvm_xsave()));
    }
    body.extend(hvm_entry(0, 0, &[]));
    body
}

/// A whole HVM stream's records, of two vCPUs, up to END.
pub fn hvm() -> Vec<Record> {
    let mut params = 2u64.to_le_bytes().to_vec();
    for value in [1, 6, 17, 5u64] {
        params.extend(value.to_le_bytes());
    }
    let pages: Vec<Page> = (0..8u64)
        .map(|pfn| Page {
            pfn,
            bits: if pfn == 3 { 0xf } else { 0 },
            contents: vec![pfn as u8; if pfn == 3 { 0 } else { 4096 }],
        })
        .collect();
    vec![
        cpuid_policy(),
        msr_policy(),
        plain_record(0x10, []),
        page_data(&pages),
        plain_record(8, vec![0; 24]),
        plain_record(0xa, params),
        plain_record(9, hvm_context(&[0, 2])),
        plain_record(0, []),
    ]
}

/// libxc's stream: the headers and the records.
pub fn libxc(version: u32, pv: bool, records: &[Record]) -> Vec<u8> {
    let mut bytes = vec![0xff; 8];
    bytes.extend(b"XENF");
    bytes.extend(version.to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend(if pv { 1u32 } else { 2 }.to_le_bytes());
    bytes.extend([12, 0, 0, 0]);
    bytes.extend([4u32, 17].map(u32::to_le_bytes).concat());
    for record in records {
        bytes.extend(record.kind.to_le_bytes());
        bytes.extend((record.body.len() as u32).to_le_bytes());
        bytes.extend(&record.body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

/// libxl's stream around libxc's.
pub fn libxl(inner: &[u8]) -> Vec<u8> {
    let mut bytes = b"LibxlFmt".to_vec();
    bytes.extend([0, 0, 0, 2, 0, 0, 0, 0]);
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    // The headers make 40 bytes and the records multiples of 8: no padding between them.
    bytes.extend(inner);
    bytes.extend([0; 8]);
    bytes
}

/// xl's header and a configuration before libxl's stream.
pub fn xl(config: &str, inner: &[u8]) -> Vec<u8> {
    let mut bytes = b"Xen saved domain, xl format\n \0 \r".to_vec();
    let size = config.len() as u32 + 1;
    for word in [0x0102_0304, 3, 0, size + 4, size] {
        bytes.extend(u32::to_le_bytes(word));
    }
    bytes.extend(config.as_bytes());
    bytes.push(0);
    bytes.extend(inner);
    bytes
}

/// libvirt's header and XML before libxl's stream.
pub fn libvirt(version: u32, xml: &str, inner: &[u8]) -> Vec<u8> {
    let mut bytes = b"libvirt-xml\n \0 \r".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend((xml.len() as u32 + 1).to_le_bytes());
    bytes.extend([0; 40]);
    bytes.extend(xml.as_bytes());
    bytes.push(0);
    bytes.extend(inner);
    bytes
}

/// xapi's headers, each with its type and what follows it. libxc's stream goes with the length 0.
pub fn xapi(parts: &[(u64, &[u8])]) -> Vec<u8> {
    let mut bytes = b"XenSavedDomv2-\n".to_vec();
    for (kind, part) in parts {
        let length = if *kind == 0xf0 { 0 } else { part.len() as u64 };
        bytes.extend(kind.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(*part);
    }
    bytes
}

/// An image of xapi's around libxc's stream.
pub fn xapi_image(inner: &[u8]) -> Vec<u8> {
    let xenops = b"((time 20260101T00:00:00Z)(word_size 64))";
    xapi(&[(0xf, xenops), (0xf0, inner), (0xffff, b"")])
}

/// A checkpointed stream of libxl's: what each checkpoint sends (the first one everything), and no
/// end.
pub fn remus(pv: bool, checkpoints: &[Vec<Record>]) -> Vec<u8> {
    let words = |words: [u32; 2]| words.map(u32::to_le_bytes).concat();
    let mut bytes = b"LibxlFmt".to_vec();
    bytes.extend([0, 0, 0, 2, 0, 0, 0, 0]);
    bytes.extend(words([1, 0]));
    for (n, records) in checkpoints.iter().enumerate() {
        // The headers come once.
        let stream = libxc(3, pv, records);
        bytes.extend(&stream[if n == 0 { 0 } else { 40 }..]);
        bytes.extend(words([0xe, 0]));
        bytes.extend(words([4, 0]));
    }
    bytes
}

/// What the first checkpoint of a sample sends, and a later one.
pub fn checkpoints(records: &[Record]) -> [Vec<Record>; 2] {
    let all: Vec<Record> = records.iter().filter(|r| r.kind != 0).cloned().collect();
    let place = all.iter().position(|record| record.kind == 1);
    let later = all[place.unwrap_or(0)..].to_vec();
    [all, later]
}

/// The configuration of the PV samples.
pub const PV_CONFIG: &str =
    r#"{"c_info":{"type":"pv","name":"sample"},"b_info":{"max_vcpus":2,"max_memkb":192}}"#;
/// The configuration of the HVM sample.
pub const HVM_CONFIG: &str =
    r#"{"c_info":{"type":"pvh","name":"sample"},"b_info":{"max_vcpus":4}}"#;

/// The same in libvirt's words.
pub fn libvirt_xml(pv: bool) -> String {
    let kind = if pv { "linux" } else { "xenpvh" };
    format!(
        "<domain type='xen' id='7'><name>sample</name><memory unit='KiB'>65536</memory>\
         <currentMemory unit='KiB'>192</currentMemory><vcpu current='1'>4</vcpu><os><type>{kind}</type></os></domain>"
    )
}

/// Reads choices from bytes; zeros when they are used up.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    fn below(&mut self, n: usize) -> usize {
        self.word() as usize % n.max(1)
    }

    /// A number that likes to be wrong.
    fn number(&mut self) -> u64 {
        match self.byte() % 8 {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << (self.byte() % 64),
            3 => MAX_PFN + 1,
            4 => u64::from(self.byte()) << 12 | u64::from(self.byte()),
            5 => u64::from(self.word()),
            _ => u64::from(self.byte()),
        }
    }
}

/// A sample with edits: everything is decided by `bytes`.
pub fn edited(bytes: &[u8]) -> Vec<u8> {
    let mut choices = Choices(bytes);
    let start = choices.byte();
    let set = [Set::None, Set::HolderFirst, Set::HolderLast, Set::NoLinear][usize::from(start & 3)];
    let (is_pv, wide) = (start & 4 == 0, start & 8 == 0);
    let mut records = if is_pv { pv(wide, set) } else { hvm() };
    let version = if start & 16 == 0 { 3 } else { 2 };
    // Edits of records and of what is in them.
    while !choices.0.is_empty() && choices.byte() % 16 != 0 {
        let n = choices.below(records.len());
        match choices.byte() % 10 {
            0 => {
                records.remove(n);
            }
            1 => {
                let copy = records[n].clone();
                let place = choices.below(records.len() + 1);
                records.insert(place, copy);
            }
            2 => {
                let other = choices.below(records.len());
                records.swap(n, other);
            }
            3 => records[n].kind = choices.number() as u32,
            4 => {
                let length = choices.number().min(1 << 16) as usize;
                records[n].body.resize(length, 0xa5);
            }
            // A table's entry, a page's type, or a page sent once more.
            5..=7 if is_pv => {
                let mut pages = pv_pages(wide, set);
                for _ in 0..=choices.byte() % 4 {
                    let page = choices.below(pages.len());
                    let page = &mut pages[page];
                    if choices.byte() % 3 == 0 {
                        page.bits = choices.byte() & 15;
                        let length = if matches!(page.bits, 0..=4 | 9..=12) {
                            4096
                        } else {
                            0
                        };
                        page.contents.resize(length, 0);
                    } else if !page.contents.is_empty() {
                        let slot = choices.below(512);
                        let target = choices.number() % (MAX_PFN + 4);
                        let flags = u64::from(choices.byte());
                        put(&mut page.contents, slot * 8, entry(target, flags), 8);
                    }
                }
                let from = choices.below(pages.len());
                let again = page_data(&pages[from..]);
                match records.iter().position(|r| r.kind == 1) {
                    Some(place) if choices.byte() % 2 == 0 => records[place] = page_data(&pages),
                    Some(place) => records.insert(place + 1, again),
                    None => records.push(again),
                }
            }
            _ => {
                let body = &mut records[n].body;
                if body.len() >= 8 {
                    let at = choices.below(body.len() / 8) * 8;
                    let value = choices.number();
                    put(body, at, value, 8);
                }
            }
        }
        if records.is_empty() {
            break;
        }
    }
    let wrapping = choices.byte();
    let mut stream = match wrapping & 3 {
        3 if records.iter().any(|record| record.kind == 1) => remus(is_pv, &checkpoints(&records)),
        _ => libxc(version, is_pv, &records),
    };
    if start & 32 == 0 {
        if wrapping & 3 != 3 {
            stream = libxl(&stream);
        }
        if start & 64 == 0 {
            stream = match wrapping & 4 {
                0 => xl(if is_pv { PV_CONFIG } else { HVM_CONFIG }, &stream),
                _ => libvirt(2, &libvirt_xml(is_pv), &stream),
            };
        }
    } else if start & 64 == 0 {
        stream = xapi_image(&stream);
    }
    // Edits of bytes.
    while !choices.0.is_empty() {
        let at = choices.below(stream.len());
        match choices.byte() % 8 {
            0 => stream.truncate(at),
            1 => stream.insert(at, choices.byte()),
            2 if !stream.is_empty() => {
                stream.remove(at);
            }
            3 if at + 8 <= stream.len() => {
                let value = choices.number();
                put(&mut stream, at, value, 8);
            }
            _ if !stream.is_empty() => stream[at] = choices.byte(),
            _ => {}
        }
    }
    stream
}
