//! Formats that are not read, and what to tell the user about them.

use crate::source::{Source, Stop};
use crate::unreadable::Unreadable;

/// The first bytes of other formats, and what to tell the user.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x7fELF", "an ELF file; a core dump, perhaps?"),
    (
        b"\x1f\x8b",
        "compressed by gzip; try: gzip -dc FILE | savelint -",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed by zstd; try: zstd -dc FILE | savelint -",
    ),
    (
        b"\xfd7zXZ\0",
        "compressed by xz; try: xz -dc FILE | savelint -",
    ),
    (
        b"BZh",
        "compressed by bzip2; try: bzip2 -dc FILE | savelint -",
    ),
    (
        b"\x04\x22\x4d\x18",
        "compressed by lz4; try: lz4 -dc FILE | savelint -",
    ),
    (
        b"\x89LZO",
        "compressed by lzop; try: lzop -dc FILE | savelint -",
    ),
    (b"LibvirtQ", "an image of libvirt's for QEMU, not for Xen"),
    (
        b"LinuxGue",
        "xend's format (LinuxGuestRecord), of Xen 4.4 and older, is not read",
    ),
    (
        b"XenSavedDomain\n",
        "xapi's format of Xen 4.4 and older is not read",
    ),
];

/// No stream begins here: names what does, if it is known.
pub fn unknown(source: &mut Source<'_>) -> Result<(), Stop> {
    let at = source.at();
    let start = source.peek(16)?;
    if let Some((_, words)) = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return not_a_stream(*words);
    }
    if start.iter().all(|byte| *byte == 0) {
        return not_a_stream(format!(
            "zeros from byte {at} on, where a header should stand: was it written to its end?"
        ));
    }
    not_a_stream(format!(
        "no header of xl, libvirt, xapi, libxl or libxc at byte {at}; the format of Xen 4.5 and older is not read"
    ))
}

/// Ends the reading without a report.
pub fn not_a_stream<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Unreadable(Unreadable::NotAStream { why: why.into() }))
}
