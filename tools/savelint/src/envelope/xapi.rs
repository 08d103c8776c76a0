//! xapi's image (`ocaml/xenopsd/lib/suspend_image.ml` there): a signature, then headers of a type
//! and a length, each before what it says. libxc's stream stands bare behind one of them, with the
//! length 0.

use crate::envelope::others::not_a_stream;
use crate::envelope::Reader;
use crate::finding::Code;
use crate::format::u64_at;
use crate::source::Stop;

/// It begins with this.
pub const SIGNATURE: &[u8; 15] = b"XenSavedDomv2-\n";

const XENOPS: u64 = 0x000f;
const LIBXC: u64 = 0x00f0;
const LIBXL: u64 = 0x00f1;
const LIBXC_LEGACY: u64 = 0x00f2;
const QEMU_TRAD: u64 = 0x0f00;
const QEMU_XEN: u64 = 0x0f01;
const DEMU: u64 = 0x0f10;
const VARSTORED: u64 = 0x0f11;
const SWTPM0: u64 = 0x0f12;
const SWTPM: u64 = 0x0f13;
const END: u64 = 0xffff;

fn name(kind: u64) -> &'static str {
    match kind {
        XENOPS => "Xenops",
        LIBXC => "Libxc",
        LIBXL => "Libxl",
        LIBXC_LEGACY => "Libxc_legacy",
        QEMU_TRAD => "Qemu_trad",
        QEMU_XEN => "Qemu_xen",
        DEMU => "Demu",
        VARSTORED => "Varstored",
        SWTPM0 => "Swtpm0",
        SWTPM => "Swtpm",
        END => "End_of_image",
        _ => "unknown",
    }
}

/// Everything from the signature to the last header.
pub fn read(reader: &mut Reader<'_>) -> Result<(), Stop> {
    reader.input.source.take(SIGNATURE.len())?;
    loop {
        let at = reader.input.source.at();
        let header = reader.input.source.take(16)?;
        let (kind, length) = (u64_at(header, 0), u64_at(header, 8));
        let seen = &mut reader.format.xapi;
        seen.get_or_insert_with(Vec::new);
        if let Some(seen) = seen.as_mut().filter(|seen| seen.len() < 32) {
            seen.push(name(kind));
        }
        let mut bad = |code, why: &str| {
            let name = name(kind);
            let words = || format!("xapi's {name} header at byte {at}: {why}");
            reader.input.findings.add(code, words);
        };
        match kind {
            XENOPS | QEMU_TRAD | VARSTORED | SWTPM0 | SWTPM => {
                if i64::try_from(length).is_err() {
                    bad(Code::XapiHeader, "a negative length");
                    return Err(Stop::Broken);
                }
                reader.format.emulator |= kind == QEMU_TRAD;
                reader.input.source.skip(length)?;
            }
            LIBXC if reader.guest.is_some() => {
                bad(Code::RecordUnexpected, "for the second time");
                return Err(Stop::Broken);
            }
            LIBXC => reader.libxc_stream()?,
            LIBXC_LEGACY => {
                return not_a_stream(
                    "xapi's image has libxc's stream in the format of Xen 4.5 and \
                 older, which is not read",
                );
            }
            LIBXL | QEMU_XEN => {
                bad(Code::XapiHeader, "xapi writes none and refuses it");
                return Err(Stop::Broken);
            }
            // Its length is not told: only the program that wrote it knows where it ends.
            DEMU => {
                reader.format.cut_short = true;
                return Ok(());
            }
            END => return Ok(()),
            _ => {
                bad(
                    Code::XapiHeader,
                    &format!("type {kind:#x}, which xapi refuses"),
                );
                return Err(Stop::Broken);
            }
        }
    }
}
