//! The edits: one thing changed in a good image, most of which Xen must refuse. What savelint says
//! of each is not written here; it is compared with what `xl restore` does.

use std::ops::Range;

use anyhow::{Context, Result};

use super::image::{Image, Splice};

/// An edit and its name.
pub type Edit = (String, Splice);

/// Collects them.
struct Edits<'a> {
    image: &'a Image,
    all: Vec<Edit>,
}

impl Edits<'_> {
    fn add(&mut self, name: impl Into<String>, splice: Splice) {
        self.all.push((name.into(), splice));
    }

    fn put(&mut self, name: impl Into<String>, at: usize, value: u64, width: usize) {
        let splice = self.image.put(at, value, width);
        self.add(name, splice);
    }
}

/// All that suit an image.
///
/// # Errors
/// If the image lacks what every image has.
pub fn of(image: &Image) -> Result<Vec<Edit>> {
    let mut edits = Edits {
        image,
        all: Vec::new(),
    };
    for_all(&mut edits)?;
    if image.body(9).is_ok() {
        hvm(&mut edits)?;
    } else {
        pv(&mut edits)?;
    }
    Ok(edits.all)
}

fn for_all(edits: &mut Edits<'_>) -> Result<()> {
    let image = edits.image;
    let tsc = image.body(8)?.start;
    for mode in [1, 2, 3] {
        edits.put(format!("TSC mode {mode}"), tsc, mode, 4);
    }
    let (cpuid, msrs) = (image.body(0x11)?.start, image.body(0x12)?.start);
    edits.put("a CPUID leaf of another range", cpuid + 24, 0x5000_0000, 4);
    edits.put("a CPUID leaf beyond the last", cpuid + 24, 0xe, 4);
    edits.put("a CPUID subleaf that is none", cpuid + 28, 0, 4);
    edits.put("a last CPUID leaf that no host has", cpuid + 8, 0xe, 4);
    edits.put("an unknown MSR", msrs, 0x10, 4);
    edits.put("an MSR with flags", msrs + 4, 1, 4);
    edits.put("PLATFORM_INFO too wide", msrs + 8, 1 << 32, 8);
    let many = image.with_body(0x11, |body| *body = body[..24].repeat(121))?;
    edits.add("too many CPUID leaves", many);
    memory(edits)?;
    // The file's end.
    let length = image.bytes.len();
    let half = image.bytes[length / 2..].len();
    let cut = |from: usize, with: Vec<u8>| Splice {
        from,
        to: length,
        with,
    };
    edits.add("the second half missing", cut(length - half, Vec::new()));
    edits.add("the second half zeros", cut(length - half, vec![0; half]));
    edits.add("the last 100 bytes missing", cut(length - 100, Vec::new()));
    edits.add("4096 zeros after the end", cut(length, vec![0; 4096]));
    let record = image.body(0)?.start - 8;
    edits.put("END with a body that is not there", record + 4, 8, 4);
    edits.add(
        "an unknown record",
        image.insert_before(8, 0x20, b"12345678")?,
    );
    edits.add(
        "an unknown optional record",
        image.insert_before(8, 1 << 31 | 0x20, b"12345678")?,
    );
    edits.add("no X86_TSC_INFO", image.without(8)?);
    Ok(())
}

/// The domain's target in libxl's JSON, a quarter lower and one higher: digits for digits.
fn memory(edits: &mut Edits<'_>) -> Result<()> {
    let image = edits.image;
    let header = &image.bytes[..image.bytes.len().min(64 << 10)];
    let field = b"\"target_memkb\": ";
    let at = header
        .windows(field.len())
        .position(|bytes| bytes == field)
        .context("no target_memkb in the configuration")?
        + field.len();
    let digits = header[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let digits = digits.count();
    let old: u64 = std::str::from_utf8(&header[at..at + digits])?.parse()?;
    for (name, new) in [("less memory", old / 4 * 3), ("more memory", old + 1024)] {
        let with = format!("{new:>digits$}").into_bytes();
        let to = at + digits;
        edits.add(name, Splice { from: at, to, with });
    }
    Ok(())
}

fn hvm(edits: &mut Edits<'_>) -> Result<()> {
    let entries = edits.image.entries()?;
    let find = |kind: u16| {
        let entry = entries.iter().find(|(k, ..)| *k == kind);
        entry.map(|(.., body)| body.clone())
    };
    cpu(edits, find(2).context("no CPU entry")?.start);
    if let Some(lapic) = find(5) {
        local_apic(edits, &lapic)?;
    }
    if let Some(link) = find(9) {
        edits.put("a PCI link to interrupt 16", link.start, 16, 1);
    }
    if let Some(mtrr) = find(14) {
        edits.put("nine variable MTRRs", mtrr.start + 224, 9, 1);
    }
    if let Some(vmce) = find(18) {
        edits.put(
            "machine-check capabilities of nobody",
            vmce.start,
            1 << 40,
            8,
        );
    }
    if let Some(xsave) = find(16) {
        xsave_state(edits, &xsave)?;
    }
    whole_entries(edits)?;
    parameters(edits)
}

/// The registers of vCPU 0, whose entry's body begins at `cpu`.
fn cpu(edits: &mut Edits<'_>, cpu: usize) {
    let image = edits.image;
    let cr = |at| image.number(cpu + at, 8);
    for (name, at, value, width) in [
        ("CR0 without ET", 656, cr(656) & !0x10, 8),
        ("CR0 with PG, without PE", 656, cr(656) & !1 | 1 << 31, 8),
        ("CR0 with a reserved bit", 656, cr(656) | 1 << 6, 8),
        ("CR3 beyond all addresses", 672, 1 << 60, 8),
        ("CR4 with bit 12", 680, cr(680) | 1 << 12, 8),
        ("CR4 with PKS", 680, cr(680) | 1 << 24, 8),
        ("CR4 with VMXE", 680, cr(680) | 1 << 13, 8),
        ("EFER with bit 1", 992, cr(992) | 2, 8),
        ("EFER with LMA alone", 992, 1 << 10, 8),
        ("TSC_AUX too wide", 1000, 1 << 32, 8),
        ("DR6 too wide", 720, 1 << 32, 8),
        ("an invalid pending event", 1016, 0x8000_0100, 4),
        ("flags of the CPU entry", 1024, 2, 4),
        ("padding of the CPU entry", 1028, 1, 4),
    ] {
        edits.put(name, cpu + at, value, width);
    }
    edits.put("a CPU entry of vCPU 200", cpu - 6, 200, 2);
    edits.put("an unknown entry", cpu - 8, 21, 2);
}

fn local_apic(edits: &mut Edits<'_>, lapic: &Range<usize>) -> Result<()> {
    let image = edits.image;
    edits.put("the header's type for the LAPIC's", lapic.start - 8, 1, 2);
    edits.put("a LAPIC of vCPU 7", lapic.start - 6, 7, 2);
    edits.put("x2APIC mode while disabled", lapic.start, 0x400, 8);
    for (name, length) in [
        ("a LAPIC entry of 32 bytes", 32),
        ("a LAPIC entry of 16 bytes", 16),
    ] {
        edits.add(name, resized(image, lapic, length)?);
    }
    Ok(())
}

fn xsave_state(edits: &mut Edits<'_>, xsave: &Range<usize>) -> Result<()> {
    let image = edits.image;
    let at = xsave.start;
    edits.put("xcr0 of SSE alone", at + 8, 2, 8);
    edits.put("features the host lacks", at + 16, 1 << 62 | 7, 8);
    edits.put("XSAVE state beyond its features", at + 24 + 512, 1 << 62, 8);
    edits.put("a compacted XSAVE state", at + 24 + 520, 1 << 63, 8);
    edits.put("reserved bytes of the XSAVE header", at + 24 + 528, 1, 8);
    let length = xsave.len();
    edits.add(
        "an XSAVE entry with 64 zeros more",
        resized(image, xsave, length + 64)?,
    );
    edits.add(
        "an XSAVE entry without its end",
        resized(image, xsave, 600)?,
    );
    let mut odd = resized(image, xsave, length + 64)?;
    let place = xsave.end - odd.from + 8;
    odd.with[place] = 1;
    edits.add("an XSAVE entry with another byte more", odd);
    Ok(())
}

/// Entries that are missing, or that no PVH domain has.
fn whole_entries(edits: &mut Edits<'_>) -> Result<()> {
    let image = edits.image;
    for (name, kind) in [
        ("no CPU entries", 2),
        ("no LAPIC entries", 5),
        ("no LAPIC_REGS entries", 6),
    ] {
        let kept = rebuilt(image, |k, _| k != kind)?;
        edits.add(name, kept);
    }
    for (name, kind, length) in [
        ("a PIC", 3, 8),
        ("an HPET", 12, 1048),
        ("a PM timer", 13, 8),
    ] {
        let added = image.with_body(9, |body| {
            let mut entry = [kind as u16, 0].map(u16::to_le_bytes).concat();
            entry.extend((length as u32).to_le_bytes());
            entry.resize(8 + length, 0);
            // After the header.
            body.splice(32..32, entry);
        })?;
        edits.add(format!("{name} in a PVH domain"), added);
    }
    edits.add("no HVM_CONTEXT", image.without(9)?);
    let end = image.with_body(9, |body| body.truncate(body.len() - 8))?;
    edits.add("an HVM_CONTEXT without its end", end);
    Ok(())
}

fn parameters(edits: &mut Edits<'_>) -> Result<()> {
    let image = edits.image;
    for (index, value) in [
        (24u64, 0u64),
        (10, 9),
        (10, 2),
        (39, 0),
        (63, 1),
        (4, 1),
        (36, 5),
        (36, 8),
        (14, 1),
        (19, 1),
        (31, 6),
        (33, 0),
        (9, 2),
        (1 << 32 | 10, 1),
    ] {
        let added = image.with_body(0xa, |body| {
            body[0] += 1;
            body.extend(index.to_le_bytes());
            body.extend(value.to_le_bytes());
        })?;
        edits.add(format!("HVM parameter {index} = {value}"), added);
    }
    Ok(())
}

/// An entry of the HVM context with another length: cut, or zeros at its end.
fn resized(image: &Image, entry: &Range<usize>, length: usize) -> Result<Splice> {
    let start = image.body(9)?.start;
    let (from, to) = (entry.start - start, entry.end - start);
    image.with_body(9, |body| {
        let mut new = body[from..to].to_vec();
        new.resize(length, 0);
        body[from - 4..from].copy_from_slice(&(length as u32).to_le_bytes());
        body.splice(from..to, new);
    })
}

/// The HVM context with some of its entries.
fn rebuilt(image: &Image, keep: impl Fn(u16, u16) -> bool) -> Result<Splice> {
    let mut body = Vec::new();
    for (kind, instance, place) in image.entries()? {
        if keep(kind, instance) {
            body.extend(&image.bytes[place.start - 8..place.end]);
        }
    }
    image.with_body(9, |old| *old = body)
}

fn pv(edits: &mut Edits<'_>) -> Result<()> {
    let image = edits.image;
    let basic = image.body(4)?;
    let is_wide = basic.len() == 8 + 5168;
    let hole = 1 << 47;
    // Offsets in `struct vcpu_guest_context`.
    let wide = [
        ("an instruction pointer in the hole", 648, hole),
        ("a kernel stack in the hole", 4976, hole),
        ("a user's GS base in the hole", 5160, hole),
        ("an event callback in the hole", 5112, hole),
        ("a trap handler in the hole", 720 + 16 * 14 + 8, hole),
        ("an LDT in Xen's part", 4816, 0xffff_8000_0000_0000),
        ("an LDT off its page", 4816, 0x1234),
        ("an LDT of 8193 entries", 4824, 8193),
        ("assists that nobody has", 5136, 1 << 40),
        ("a GDT of 7169 entries", 4960, 7169),
        ("a root table beyond the domain", 4984 + 24, 1 << 50),
    ];
    let narrow = [
        ("an LDT off its page", 2632, 0x1234),
        ("an LDT of 8193 entries", 2636, 8193),
        ("assists that nobody has", 2796, 1 << 6),
        ("a GDT of 7169 entries", 2704, 7169),
    ];
    let (list, width): (&[(&str, usize, u64)], usize) =
        if is_wide { (&wide, 8) } else { (&narrow, 4) };
    for (name, at, value) in list {
        edits.put(*name, basic.start + 8 + at, *value, width);
    }
    edits.put("a context of vCPU 9000", basic.start, 9000, 4);
    let extended = image.body(5)?.start + 8;
    for (name, at, value, width) in [
        ("an extended context of vCPU 9", 0, 9, 4),
        ("an extended context of 31 bytes", 4, 31, 4),
        ("a SYSCALL callback in the hole", 8, hole, 8),
        ("a SYSENTER callback in the hole", 16, hole, 8),
        ("machine-check capabilities of nobody", 32, 1 << 40, 8),
    ] {
        edits.put(name, extended + at, value, width);
    }
    if let Ok(xsave) = image.body(6) {
        let at = xsave.start + 8;
        edits.put("xcr0 of SSE alone", at, 2, 8);
        edits.put("features the host lacks", at + 8, 1 << 62 | 7, 8);
        edits.put("XSAVE state beyond its features", at + 16 + 512, 1 << 62, 8);
        edits.put("reserved bytes of the XSAVE header", at + 16 + 528, 1, 8);
        let more = image.with_body(6, |body| body.extend([0; 64]))?;
        edits.add("an XSAVE record with 64 zeros more", more);
    }
    for (name, index) in [
        ("an MSR that PV may have", 0xc000_0103u64),
        ("an MSR that PV may not have", 0xc000_0080),
    ] {
        let mut body = vec![0; 8];
        body.extend(index.to_le_bytes());
        body.extend(0u64.to_le_bytes());
        edits.add(name, image.insert_before(0, 0xc, &body)?);
    }
    edits.add("no X86_PV_VCPU_BASIC of vCPU 0", image.without(4)?);
    edits.add("no SHARED_INFO", image.without(7)?);
    Ok(())
}
