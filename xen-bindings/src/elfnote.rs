//! ELF notes: how a kernel image tells Xen's domain builder what it is.
//!
//! The notes (`public/elfnote.h`) are written by the assembler, because only it can hold addresses
//! of symbols at every width and only the linker knows them. Use [`elf_note!`](crate::elf_note) at
//! module level in the kernel's own crate: notes in a library that nothing refers to would not be
//! linked.
//!
//! A linker script must keep the section `.note.Xen` and give it a `PT_NOTE` program header:
//! `.notes : { *(.note.Xen) } :text :note`.

/// Writes one ELF note named `Xen` into the section `.note.Xen`.
///
/// The first argument is the note's name in `public/elfnote.h` without `XEN_ELFNOTE_`; then the
/// value:
/// - `address "SYMBOL"`: a word (4 or 8 bytes, as the target's) that holds an assembler expression;
///   the linker fills it in;
/// - `number N`: a word that holds a constant `usize`;
/// - `number32 N`: four bytes that hold a constant `u32`;
/// - `text "TEXT"`: a string literal, zero-terminated.
///
/// ```ignore
/// xen_bindings::elf_note!(PHYS32_ENTRY, address "pvh_start");
/// xen_bindings::elf_note!(GUEST_OS, text "reference guest");
/// xen_bindings::elf_note!(VIRT_BASE, number 0xc000_0000);
/// xen_bindings::elf_note!(HYPERCALL_PAGE, address "hypercall_page");
/// ```
#[macro_export]
macro_rules! elf_note {
    ($name:ident, address $symbol:literal) => {
        $crate::__elf_note!($name, [$crate::__elf_note_word!(), $symbol]);
    };
    ($name:ident, number $value:expr) => {
        $crate::__elf_note!(
            $name,
            [$crate::__elf_note_word!(), "{value}"],
            value = const {
                let value: usize = $value;
                value
            }
        );
    };
    ($name:ident, number32 $value:expr) => {
        $crate::__elf_note!(
            $name,
            [".long ", "{value}"],
            value = const {
                let value: u32 = $value;
                value
            }
        );
    };
    ($name:ident, text $text:literal) => {
        $crate::__elf_note!($name, [".asciz ", "\"", $text, "\""]);
    };
}

/// The directive that writes one machine word.
#[doc(hidden)]
#[cfg(target_pointer_width = "32")]
#[macro_export]
macro_rules! __elf_note_word {
    () => {
        ".long "
    };
}

/// The directive that writes one machine word.
#[doc(hidden)]
#[cfg(target_pointer_width = "64")]
#[macro_export]
macro_rules! __elf_note_word {
    () => {
        ".quad "
    };
}

/// One note: name size, value size, type, name, value; each part 4-byte aligned.
#[doc(hidden)]
#[macro_export]
macro_rules! __elf_note {
    ($name:ident, [$($value:expr),*] $($operands:tt)*) => {
        ::core::arch::global_asm!(
            ".pushsection .note.Xen, \"a\", @note",
            ".balign 4",
            ".long 4",
            ".long 3f - 2f",
            ".long {xen_elf_note_type}",
            ".asciz \"Xen\"",
            concat!("2: ", $($value),*),
            "3: .balign 4",
            ".popsection",
            xen_elf_note_type = const $crate::elfnote::$name
            $($operands)*
        );
    };
}

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $xen:ident $alias:literal;)*) => {
        $($(#[$doc])* #[doc(alias = $alias)] pub const $name: u32 = crate::ffi::$xen;)*
    };
}

types! {
    /// PV: the virtual address of the entry point (a word).
    ENTRY = XEN_ELFNOTE_ENTRY "XEN_ELFNOTE_ENTRY";
    /// PV: the virtual address of the page that the domain builder fills with hypercall stubs (a
    /// word).
    HYPERCALL_PAGE = XEN_ELFNOTE_HYPERCALL_PAGE "XEN_ELFNOTE_HYPERCALL_PAGE";
    /// PV: the virtual address that pseudo-physical address 0 is mapped at (a word).
    VIRT_BASE = XEN_ELFNOTE_VIRT_BASE "XEN_ELFNOTE_VIRT_BASE";
    /// PV: what to subtract from the image's physical addresses (a word, 0 if absent).
    PADDR_OFFSET = XEN_ELFNOTE_PADDR_OFFSET "XEN_ELFNOTE_PADDR_OFFSET";
    /// The interface the image is for: `xen-3.0` (text).
    XEN_VERSION = XEN_ELFNOTE_XEN_VERSION "XEN_ELFNOTE_XEN_VERSION";
    /// The guest operating system's name (text). `linux` switches on old habits of the domain
    /// builder.
    GUEST_OS = XEN_ELFNOTE_GUEST_OS "XEN_ELFNOTE_GUEST_OS";
    /// The guest operating system's version (text).
    GUEST_VERSION = XEN_ELFNOTE_GUEST_VERSION "XEN_ELFNOTE_GUEST_VERSION";
    /// The loader to use: `generic` (text).
    LOADER = XEN_ELFNOTE_LOADER "XEN_ELFNOTE_LOADER";
    /// 32-bit PV: `yes` for a PAE kernel (text). Without it Xen takes the kernel for one without
    /// PAE.
    PAE_MODE = XEN_ELFNOTE_PAE_MODE "XEN_ELFNOTE_PAE_MODE";
    /// Feature names separated by `|`; a leading `!` makes one required, and an unknown one that is
    /// required stops the domain from being built (text).
    FEATURES = XEN_ELFNOTE_FEATURES "XEN_ELFNOTE_FEATURES";
    /// PV: the lowest address the hypervisor may use (a word).
    HV_START_LOW = XEN_ELFNOTE_HV_START_LOW "XEN_ELFNOTE_HV_START_LOW";
    /// The kernel copes with a cancelled suspend (a word, 1). Parsed but not used by Xen 4.17 to
    /// 4.21.
    SUSPEND_CANCEL = XEN_ELFNOTE_SUSPEND_CANCEL "XEN_ELFNOTE_SUSPEND_CANCEL";
    /// 64-bit PV: the virtual address to map the initial p2m list at (a word).
    INIT_P2M = XEN_ELFNOTE_INIT_P2M "XEN_ELFNOTE_INIT_P2M";
    /// PV: 1 if the module may be passed by PFN and left unmapped (a word).
    MOD_START_PFN = XEN_ELFNOTE_MOD_START_PFN "XEN_ELFNOTE_MOD_START_PFN";
    /// A bitmap of the `XENFEAT_*` the kernel can live with (four bytes).
    SUPPORTED_FEATURES = XEN_ELFNOTE_SUPPORTED_FEATURES "XEN_ELFNOTE_SUPPORTED_FEATURES";
    /// PVH: the physical address of the 32-bit entry point (a word). The only note that PVH needs.
    PHYS32_ENTRY = XEN_ELFNOTE_PHYS32_ENTRY "XEN_ELFNOTE_PHYS32_ENTRY";
}

/// One note as found in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The owner's name, without its terminator: `Xen` for those of this module.
    pub name: &'a [u8],
    /// The type; for Xen one of this module's constants.
    pub kind: u32,
    /// The value as it stands in the image.
    pub value: &'a [u8],
}

impl Note<'_> {
    /// The value of a note that holds a number of 4 or 8 bytes.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match *self.value {
            [a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d]).into()),
            [a, b, c, d, e, f, g, h] => Some(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
            _ => None,
        }
    }

    /// The value of a note that holds a zero-terminated text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let (0, text) = self.value.split_last()? else {
            return None;
        };
        core::str::from_utf8(text).ok()
    }
}

/// The notes in a note section's bytes. Ends early at a note that its section cuts off.
pub fn notes(mut section: &[u8]) -> impl Iterator<Item = Note<'_>> {
    core::iter::from_fn(move || {
        let word = |at: usize| -> Option<u32> {
            Some(u32::from_le_bytes(
                section.get(at..at.checked_add(4)?)?.try_into().ok()?,
            ))
        };
        let name_len = word(0)? as usize;
        let value_len = word(4)? as usize;
        let kind = word(8)?;
        let value_at = 12usize.checked_add(name_len.checked_next_multiple_of(4)?)?;
        let value_end = value_at.checked_add(value_len)?;
        let name = section.get(12..12usize.checked_add(name_len)?)?;
        let value = section.get(value_at..value_end)?;
        // The last note's padding may be missing.
        let next = value_end.checked_next_multiple_of(4)?.min(section.len());
        section = &section[next..];
        Some(Note {
            name: name.strip_suffix(&[0]).unwrap_or(name),
            kind,
            value,
        })
    })
}
