//! The notes that `elf_note!` writes, read back from this very executable.
#![cfg(target_os = "linux")]

use std::fs;
use xen_bindings::elfnote::{self, notes, Note};

// An absolute symbol, because this executable is position independent and its notes cannot be
// relocated.
core::arch::global_asm!(
    ".globl elf_note_test_entry",
    ".set elf_note_test_entry, 0x100040"
);

xen_bindings::elf_note!(PHYS32_ENTRY, address "elf_note_test_entry");
xen_bindings::elf_note!(ENTRY, address "elf_note_test_entry - 0x40");
#[cfg(target_pointer_width = "64")]
xen_bindings::elf_note!(VIRT_BASE, number 0xffff_8880_0000_0000);
#[cfg(target_pointer_width = "32")]
xen_bindings::elf_note!(VIRT_BASE, number 0xc000_0000);
xen_bindings::elf_note!(SUPPORTED_FEATURES, number32 0x801);
xen_bindings::elf_note!(XEN_VERSION, text "xen-3.0");
// Not a multiple of four bytes: what follows must still be aligned.
xen_bindings::elf_note!(GUEST_OS, text "test guest");
xen_bindings::elf_note!(LOADER, text "generic");

/// Bytes in a machine word.
const WORD: usize = size_of::<usize>();

/// The bytes of the section called `wanted` in a little-endian ELF file of this word size, and its
/// alignment.
fn section<'a>(elf: &'a [u8], wanted: &str) -> Option<(&'a [u8], usize)> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()));
    let u32_at = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let word_at = |at: usize| usize::from_le_bytes(elf[at..at + WORD].try_into().unwrap());
    // The file header ends with three words and some halves, the same in number for both sizes.
    let headers = word_at(24 + 2 * WORD);
    let halves = 24 + 3 * WORD + 4;
    let (size, count, names) = (u16_at(halves + 6), u16_at(halves + 8), u16_at(halves + 10));
    // A section header: name, type, flags, address, offset, size, link, info, alignment.
    let bytes = |header: usize| {
        let at = word_at(header + 8 + 2 * WORD);
        &elf[at..at + word_at(header + 8 + 3 * WORD)]
    };
    let strings = bytes(headers + names * size);
    (0..count).map(|i| headers + i * size).find_map(|header| {
        let name = strings[u32_at(header) as usize..]
            .split(|&b| b == 0)
            .next()?;
        (name == wanted.as_bytes()).then(|| {
            assert_eq!(u32_at(header + 4), 7, "{wanted} is not of type SHT_NOTE");
            (bytes(header), word_at(header + 16 + 4 * WORD))
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
    let base = if WORD == 8 {
        0xffff_8880_0000_0000
    } else {
        0xc000_0000
    };
    assert_eq!(of(elfnote::VIRT_BASE).number(), Some(base));
    assert_eq!(of(elfnote::PHYS32_ENTRY).value.len(), WORD);
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
