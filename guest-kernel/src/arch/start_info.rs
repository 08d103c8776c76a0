//! `hvm_start_info`: what the domain builder left for a PVH guest.
//!
//! Layout: `xen/include/public/arch-x86/hvm/start_info.h`.

use core::fmt;

use xen_bindings::ffi;

use crate::memory::layout::KERNEL_BASE;
use crate::memory::map::MemoryMap;

/// Longest command line kept, bytes.
const COMMAND_LINE: usize = 1024;
/// The tables of the entry code map this much physical memory.
const REACHABLE: u64 = 768 << 20;
/// More entries than any toolstack makes; a larger count is not believed.
const MAX_ENTRIES: u32 = 256;

/// A copy of what the kernel needs of it.
pub struct BootInfo {
    command_line: [u8; COMMAND_LINE],
    command_line_len: usize,
    /// RAM.
    pub memory: MemoryMap,
}

impl BootInfo {
    /// With a command line that ends at its first zero.
    pub fn new(line: impl Iterator<Item = u8>, memory: MemoryMap) -> BootInfo {
        let mut info = BootInfo {
            command_line: [0; COMMAND_LINE],
            command_line_len: 0,
            memory,
        };
        for byte in line.take_while(|&byte| byte != 0).take(COMMAND_LINE) {
            info.command_line[info.command_line_len] = byte;
            info.command_line_len += 1;
        }
        info
    }

    /// The command line, cut at 1 KiB and at the first byte that is not UTF-8.
    pub fn command_line(&self) -> &str {
        let bytes = &self.command_line[..self.command_line_len];
        match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        }
    }
}

/// Why the start-up information cannot be used.
#[derive(Clone, Copy, Debug)]
pub enum BadStartInfo {
    /// It lies where the entry code's tables do not reach.
    OutOfReach,
    /// It does not begin with the magic number.
    Magic,
    /// It has no memory map (version 0).
    NoMemoryMap,
}

impl fmt::Display for BadStartInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadStartInfo::OutOfReach => "it lies above 768 MiB, or not at all",
            BadStartInfo::Magic => "it does not begin with its magic number",
            BadStartInfo::NoMemoryMap => "it has no memory map",
        })
    }
}

/// Copies a `T` from physical memory.
///
/// # Safety
/// Every bit pattern is a `T`; the tables of the entry code are in force.
unsafe fn read_physical<T: Copy>(at: u64) -> Result<T, BadStartInfo> {
    if at == 0 || at >= REACHABLE - size_of::<T>() as u64 {
        return Err(BadStartInfo::OutOfReach);
    }
    // SAFETY: mapped (checked above); unaligned reads are allowed for; the caller vouches for `T`.
    Ok(unsafe { ((KERNEL_BASE + at as usize) as *const T).read_unaligned() })
}

/// Reads the start-up information. On vCPU 0, before the memory is handed out.
pub(super) fn read(at: u64) -> Result<BootInfo, BadStartInfo> {
    // SAFETY: plain integers, any bits are valid; called on the tables of the entry code.
    let info: ffi::hvm_start_info = unsafe { read_physical(at)? };
    if info.magic != ffi::XEN_HVM_START_MAGIC_VALUE {
        return Err(BadStartInfo::Magic);
    }
    if info.version < 1 || info.memmap_entries == 0 || info.memmap_entries > MAX_ENTRIES {
        return Err(BadStartInfo::NoMemoryMap);
    }
    let mut memory = MemoryMap::new();
    for n in 0..u64::from(info.memmap_entries) {
        let place = info
            .memmap_paddr
            .saturating_add(n * size_of::<ffi::hvm_memmap_table_entry>() as u64);
        // SAFETY: as above.
        let entry: ffi::hvm_memmap_table_entry = unsafe { read_physical(place)? };
        if entry.type_ == ffi::XEN_HVM_MEMMAP_TYPE_RAM {
            memory.add_ram(entry.addr, entry.size);
        }
    }
    let mut command_line = [0; COMMAND_LINE];
    let mut command_line_len = 0;
    while info.cmdline_paddr != 0 && command_line_len < COMMAND_LINE {
        // SAFETY: as above.
        let byte: u8 = unsafe { read_physical(info.cmdline_paddr + command_line_len as u64)? };
        if byte == 0 {
            break;
        }
        command_line[command_line_len] = byte;
        command_line_len += 1;
    }
    Ok(BootInfo {
        command_line,
        command_line_len,
        memory,
    })
}
