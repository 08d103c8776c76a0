//! A record on the disk: one sector with a number, a text and a checksum over both.

/// What each begins with.
const MAGIC: [u8; 8] = *b"XGLREC01";
/// Bytes before the text: the magic, the number (8), the text's length (2), two zeros, the checksum
/// (4).
const HEADER: usize = 24;
/// Where the checksum is.
const SUM: core::ops::Range<usize> = 20..24;
/// Bytes of the longest text: what fits into the smallest sector.
pub const LONGEST: usize = 512 - HEADER;

/// Writes a record into a sector.
pub fn write(sector: &mut [u8], number: u64, text: &[u8]) {
    let text = &text[..text.len().min(LONGEST)];
    sector.fill(0);
    sector[..8].copy_from_slice(&MAGIC);
    sector[8..16].copy_from_slice(&number.to_le_bytes());
    sector[16..18].copy_from_slice(&(text.len() as u16).to_le_bytes());
    sector[HEADER..HEADER + text.len()].copy_from_slice(text);
    let sum = checksum(sector);
    sector[SUM].copy_from_slice(&sum.to_le_bytes());
}

/// The number and the text of the record in a sector; none if there is none, or a damaged one.
pub fn read(sector: &[u8]) -> Option<(u64, &[u8])> {
    let number = u64::from_le_bytes(sector.get(8..16)?.try_into().ok()?);
    let len = u16::from_le_bytes(sector.get(16..18)?.try_into().ok()?);
    let sum = u32::from_le_bytes(sector.get(SUM)?.try_into().ok()?);
    let text = sector.get(HEADER..HEADER + usize::from(len))?;
    let is_whole = sector[..8] == MAGIC && sum == checksum(sector);
    is_whole.then_some((number, text))
}

/// CRC-32 (IEEE 802.3) of the whole sector, but for the checksum's own place.
fn checksum(sector: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in sector[..SUM.start].iter().chain(&sector[SUM.end..]) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    !crc
}
