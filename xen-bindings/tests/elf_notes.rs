//! The notes that `elf_note!` writes, read back from this very executable.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

use std::fs;
use xen_bindings::elfnote::{self, notes, Note};

// An absolute symbol, because this executable is position independent and its notes cannot be relocated.
core::arch::global_asm!(
    ".globl elf_note_test_entry",
    ".set elf_note_test_entry, 0x100040"
);

xen_bindings::elf_note!(PHYS32_ENTRY, address "elf_note_test_entry");
xen_bindings::elf_note!(ENTRY, address "elf_note_test_entry - 0x40");
xen_bindings::elf_note!(VIRT_BASE, number 0xffff_8880_0000_0000);
xen_bindings::elf_note!(SUPPORTED_FEATURES, number32 0x801);
xen_bindings::elf_note!(XEN_VERSION, text "xen-3.0");
// Not a multiple of four bytes: what follows must still be aligned.
xen_bindings::elf_note!(GUEST_OS, text "test guest");
xen_bindings::elf_note!(LOADER, text "generic");

/// The bytes of the section called `wanted` in a little-endian ELF64 file, and its alignment.
fn section<'a>(elf: &'a [u8], wanted: &str) -> Option<(&'a [u8], u64)> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()));
    let u32_at = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().unwrap());
    let (headers, size, count, names) = (
        u64_at(0x28) as usize,
        u16_at(0x3a),
        u16_at(0x3c),
        u16_at(0x3e),
    );
    let bytes = |header: usize| {
        let at = u64_at(header + 0x18) as usize;
        &elf[at..at + u64_at(header + 0x20) as usize]
    };
    let strings = bytes(headers + names * size);
    (0..count).map(|i| headers + i * size).find_map(|header| {
        let name = strings[u32_at(header) as usize..]
            .split(|&b| b == 0)
            .next()?;
        (name == wanted.as_bytes()).then(|| {
            assert_eq!(u32_at(header + 4), 7, "{wanted} is not of type SHT_NOTE");
            (bytes(header), u64_at(header + 0x30))
        })
    })
}

#[test]
fn the_executable_holds_the_notes() {
    let elf = fs::read(std::env::current_exe().unwrap()).unwrap();
    let (bytes, alignment) = section(&elf, ".note.Xen").expect("this executable has no .note.Xen");
    assert_eq!(alignment, 4);
    let found: Vec<Note<'_>> = notes(bytes).collect();
    assert_eq!(found.len(), 7);
    assert!(found.iter().all(|note| note.name == b"Xen"));
    let of = |kind: u32| found.iter().find(|note| note.kind == kind).unwrap();
    assert_eq!(of(elfnote::PHYS32_ENTRY).number(), Some(0x10_0040));
    assert_eq!(of(elfnote::PHYS32_ENTRY).kind, 18);
    assert_eq!(of(elfnote::ENTRY).number(), Some(0x10_0000));
    assert_eq!(of(elfnote::VIRT_BASE).number(), Some(0xffff_8880_0000_0000));
    assert_eq!(of(elfnote::SUPPORTED_FEATURES).value.len(), 4);
    assert_eq!(of(elfnote::SUPPORTED_FEATURES).number(), Some(0x801));
    assert_eq!(of(elfnote::XEN_VERSION).text(), Some("xen-3.0"));
    assert_eq!(of(elfnote::GUEST_OS).text(), Some("test guest"));
    assert_eq!(of(elfnote::LOADER).text(), Some("generic"));
    assert_eq!(
        of(elfnote::LOADER).number(),
        Some(u64::from_le_bytes(*b"generic\0"))
    );
}

#[test]
fn a_section_that_is_cut_off_ends_early() {
    let mut bytes = Vec::new();
    for word in [4u32, 8, 18] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(b"Xen\0");
    bytes.extend(0x1234u64.to_le_bytes());
    assert_eq!(notes(&bytes).count(), 1);
    for len in 0..bytes.len() {
        assert_eq!(notes(&bytes[..len]).count(), 0, "{len} bytes");
    }
    // Lengths that wrap must not be believed.
    bytes[0..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(notes(&bytes).count(), 0);
}
