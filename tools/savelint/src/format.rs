//! Numbers and layouts of the formats: `docs/specs/libxc-migration-stream.pandoc` and
//! `libxl-migration-stream.pandoc` in Xen's source, `tools/xl/xl.h` for xl's header,
//! `xen/include/public` for what the records carry. Offsets are in bytes.

/// xl's header begins with this.
pub const XL_MAGIC: &[u8; 32] = b"Xen saved domain, xl format\n \0 \r";
/// xl's header: magic, byte order, mandatory flags, optional flags, length of the optional data.
pub const XL_HEADER: usize = 48;
/// The byte-order word of xl's header.
pub const XL_BYTE_ORDER: u32 = 0x0102_0304;
/// The mandatory flag that says that the configuration is JSON.
pub const XL_JSON: u32 = 1;
/// The mandatory flag that says that libxl's stream of version 2 follows. Without it: the legacy
/// format.
pub const XL_STREAM_V2: u32 = 2;
/// What `xl migrate` sends after the stream, once the receiver is ready
/// (`migrate_permission_to_go`), with its NUL.
pub const XL_GO: &[u8] = b"domain is yours, you are cleared to unpause\0";

/// libxl's header begins with this.
pub const LIBXL_IDENT: &[u8; 8] = b"LibxlFmt";
/// libxl's records.
pub mod libxl {
    pub const END: u32 = 0;
    pub const LIBXC_CONTEXT: u32 = 1;
    pub const EMULATOR_XENSTORE_DATA: u32 = 2;
    pub const EMULATOR_CONTEXT: u32 = 3;
    pub const CHECKPOINT_END: u32 = 4;
    pub const CHECKPOINT_STATE: u32 = 5;

    pub fn name(kind: u32) -> &'static str {
        match kind {
            END => "END",
            LIBXC_CONTEXT => "LIBXC_CONTEXT",
            EMULATOR_XENSTORE_DATA => "EMULATOR_XENSTORE_DATA",
            EMULATOR_CONTEXT => "EMULATOR_CONTEXT",
            CHECKPOINT_END => "CHECKPOINT_END",
            CHECKPOINT_STATE => "CHECKPOINT_STATE",
            _ => "unknown",
        }
    }
}

/// libxc's image header begins with this.
pub const LIBXC_MARKER: &[u8; 8] = &[0xff; 8];
/// The word after it: "XENF", big-endian.
pub const LIBXC_ID: u32 = 0x5845_4e46;
/// The longest record that libxc reads (`REC_LENGTH_MAX`).
pub const RECORD_MAX: u32 = 128 << 20;
/// The domain header's types.
pub const TYPE_PV: u32 = 1;
/// See [`TYPE_PV`].
pub const TYPE_HVM: u32 = 2;
/// A page.
pub const PAGE: usize = 4096;

/// libxc's records.
pub mod libxc {
    pub const END: u32 = 0;
    pub const PAGE_DATA: u32 = 1;
    pub const X86_PV_INFO: u32 = 2;
    pub const X86_PV_P2M_FRAMES: u32 = 3;
    pub const X86_PV_VCPU_BASIC: u32 = 4;
    pub const X86_PV_VCPU_EXTENDED: u32 = 5;
    pub const X86_PV_VCPU_XSAVE: u32 = 6;
    pub const SHARED_INFO: u32 = 7;
    pub const X86_TSC_INFO: u32 = 8;
    pub const HVM_CONTEXT: u32 = 9;
    pub const HVM_PARAMS: u32 = 0xa;
    pub const X86_PV_VCPU_MSRS: u32 = 0xc;
    pub const VERIFY: u32 = 0xd;
    pub const CHECKPOINT: u32 = 0xe;
    pub const STATIC_DATA_END: u32 = 0x10;
    pub const X86_CPUID_POLICY: u32 = 0x11;
    pub const X86_MSR_POLICY: u32 = 0x12;
    /// Set in records that may be passed over.
    pub const OPTIONAL: u32 = 1 << 31;

    const NAMES: [&str; 0x13] = [
        "END",
        "PAGE_DATA",
        "X86_PV_INFO",
        "X86_PV_P2M_FRAMES",
        "X86_PV_VCPU_BASIC",
        "X86_PV_VCPU_EXTENDED",
        "X86_PV_VCPU_XSAVE",
        "SHARED_INFO",
        "X86_TSC_INFO",
        "HVM_CONTEXT",
        "HVM_PARAMS",
        "TOOLSTACK",
        "X86_PV_VCPU_MSRS",
        "VERIFY",
        "CHECKPOINT",
        "CHECKPOINT_DIRTY_PFN_LIST",
        "STATIC_DATA_END",
        "X86_CPUID_POLICY",
        "X86_MSR_POLICY",
    ];

    pub fn name(kind: u32) -> &'static str {
        match NAMES.get(kind as usize) {
            Some(name) => name,
            None if kind & OPTIONAL != 0 => "optional, unknown",
            None => "unknown",
        }
    }
}

/// Page types that are no tables, as the four bits of a PAGE_DATA entry; 0xf, XTAB, is a hole.
pub mod page {
    pub const NOTAB: u8 = 0;
    pub const BROKEN: u8 = 0xd;
    pub const XALLOC: u8 = 0xe;
}

/// Where things are in a PV guest's structures; it depends on the guest's word size.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Bytes of a word: 4 or 8.
    pub word: usize,
    /// `sizeof(struct vcpu_guest_context)`.
    pub context: usize,
    /// `flags` in it.
    pub flags: usize,
    /// `user_regs.edx` or `rdx` in it: of vCPU 0, the start info page.
    pub edx: usize,
    /// `gdt_frames` in it.
    pub gdt_frames: usize,
    /// `gdt_ents` in it.
    pub gdt_ents: usize,
    /// `ctrlreg` in it.
    pub ctrlreg: usize,
    /// `arch` in `struct shared_info`.
    pub shared_arch: usize,
    /// `p2m_cr3` in `struct arch_shared_info`.
    pub p2m_cr3: usize,
    /// `store_mfn` in `struct start_info`.
    pub store: usize,
    /// `console.domU.mfn` in `struct start_info`.
    pub console: usize,
    /// `trap_ctxt`.
    pub traps: usize,
    /// `ldt_base`, before `ldt_ents`.
    pub ldt_base: usize,
    /// `vm_assist`.
    pub vm_assist: usize,
    /// Addresses that must be canonical, of a 64-bit guest, with names for a person.
    pub addresses: &'static [(&'static str, usize)],
}

/// A 64-bit guest's.
pub const LAYOUT_64: Layout = Layout {
    word: 8,
    context: 5168,
    flags: 512,
    edx: 520 + 96,
    gdt_frames: 4832,
    gdt_ents: 4960,
    ctrlreg: 4984,
    shared_arch: 3088,
    p2m_cr3: 24,
    store: 56,
    console: 72,
    traps: 720,
    ldt_base: 4816,
    vm_assist: 5136,
    addresses: &[
        ("instruction pointer", 520 + 128),
        ("stack pointer", 520 + 152),
        ("kernel stack", 4976),
        ("LDT", 4816),
        ("FS base", 5144),
        ("kernel's GS base", 5152),
        ("user's GS base", 5160),
        ("event callback", 5112),
        ("failsafe callback", 5120),
        ("SYSCALL callback", 5128),
    ],
};

/// A 32-bit guest's.
pub const LAYOUT_32: Layout = Layout {
    word: 4,
    context: 2800,
    flags: 512,
    edx: 516 + 8,
    gdt_frames: 2640,
    gdt_ents: 2704,
    ctrlreg: 2716,
    shared_arch: 2316,
    p2m_cr3: 12,
    store: 44,
    console: 52,
    traps: 584,
    ldt_base: 2632,
    vm_assist: 2796,
    addresses: &[],
};

/// How much of a start info page is looked at.
pub const START_INFO: usize = 80;
/// `VGCF_in_kernel`.
pub const IN_KERNEL: u64 = 1 << 2;
/// `FIRST_RESERVED_GDT_ENTRY`: a guest may have so many GDT entries.
pub const GDT_MAX: u64 = 7168;
/// Xen's limit of a PV domain's vCPUs (`MAX_VIRT_CPUS`).
pub const VCPU_MAX: u32 = 8192;

impl Layout {
    /// A word of the guest's size. `at + 8` must lie inside.
    pub fn word(&self, bytes: &[u8], at: usize) -> u64 {
        if self.word == 8 {
            u64_at(bytes, at)
        } else {
            u64::from(u32_at(bytes, at))
        }
    }
}

/// A little-endian number. The bytes must be there.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}

/// A little-endian number. The bytes must be there.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(raw)
}

/// A little-endian number. The bytes must be there.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// A big-endian number. The bytes must be there.
pub fn u32_be(bytes: &[u8], at: usize) -> u32 {
    u32_at(bytes, at).swap_bytes()
}
