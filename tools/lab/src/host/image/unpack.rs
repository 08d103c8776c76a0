//! What Debian compresses, unpacked.

use std::io::Read;
use std::process::Command;

use anyhow::{anyhow, bail, Context, Result};

/// A file that gzip has compressed.
///
/// # Errors
/// If it is none, or torn.
pub fn gunzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// Takes the ELF out of a bzImage (Linux Documentation/arch/x86/boot.rst: `setup_sects` at 0x1f1,
/// `payload_offset` at 0x248 and `payload_length` at 0x24c, from the end of the setup sectors).
pub fn kernel(image: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| -> Result<usize> {
        let bytes = image
            .get(at..at + 4)
            .ok_or_else(|| anyhow!("the boot header is cut off"))?;
        Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
    };
    if image.get(0x202..0x206) != Some(b"HdrS") {
        bail!("this is not a bzImage");
    }
    let setup = match image[0x1f1] {
        0 => 4,
        n => usize::from(n),
    };
    let start = (setup + 1) * 512 + word(0x248)?;
    let payload = image
        .get(start..start + word(0x24c)?)
        .ok_or_else(|| anyhow!("the payload is cut off"))?;
    let elf = if payload.starts_with(b"\xfd7zXZ\0") {
        // The last four bytes are the unpacked size, not part of the stream.
        unxz(&payload[..payload.len() - 4])?
    } else if payload.starts_with(b"\x28\xb5\x2f\xfd") {
        // Zstandard, RFC 8878 section 3.1.1; the decoder stops at the end of the frame, before that
        // size.
        let mut elf = Vec::new();
        ruzstd::decoding::StreamingDecoder::new(payload)
            .map_err(|e| anyhow!("the payload does not unpack: {e}"))?
            .read_to_end(&mut elf)
            .context("the payload does not unpack")?;
        elf
    } else {
        bail!("the payload is compressed in a way this code does not know");
    };
    if !elf.starts_with(b"\x7fELF") {
        bail!("the payload holds no ELF");
    }
    Ok(elf)
}

pub fn unxz(bytes: &[u8]) -> Result<Vec<u8>> {
    // Through files: the data is larger than a pipe, and binary.
    use std::io::{Seek, SeekFrom, Write};
    let mut input = tempfile::tempfile()?;
    input.write_all(bytes)?;
    input.seek(SeekFrom::Start(0))?;
    let mut output = tempfile::tempfile()?;
    let mut command = Command::new("xz");
    command.args(["--decompress", "--stdout"]);
    command.stdin(input).stdout(output.try_clone()?);
    let status = command.status().context("cannot start xz")?;
    if !status.success() {
        bail!("xz does not unpack it");
    }
    output.seek(SeekFrom::Start(0))?;
    let mut unpacked = Vec::new();
    output.read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_is_none_is_refused() {
        assert!(kernel(&[]).is_err());
        let mut image = vec![0; 4096];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x24c..0x250].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = kernel(&image).unwrap_err().to_string();
        assert!(error.contains("cut off"), "{error}");
    }
}
