//! Requests and responses as they lie in the rings. `xen/include/public/io/netif.h`.

/// Bytes of a slot of the ring of frames to send.
pub const TX_SLOT: usize = 12;
/// Bytes of a slot of the ring of frames received.
pub const RX_SLOT: usize = 8;
/// Bytes of a response in the first.
pub const TX_RESPONSE: usize = 4;

/// Slots that a backend takes for one frame, whatever it says (`XEN_NETIF_NR_SLOTS_MIN`).
pub const MOST_SLOTS: usize = 18;
/// Bytes in the longest frame (`XEN_NETIF_MAX_TX_SIZE`).
pub const LONGEST: usize = 0xffff;

/// The frame goes on in the next slot (`NETTXF_more_data`, `NETRXF_more_data`).
pub const MORE_DATA: u16 = 1 << 2;
/// An extra descriptor follows (`NETRXF_extra_info`).
pub const EXTRA_INFO: u16 = 1 << 3;
/// The backend has checked the checksum (`NETRXF_data_validated`).
pub const VALIDATED: u16 = 1 << 0;
/// The checksum is not filled in: the frame has not left the host (`NETRXF_csum_blank`).
pub const BLANK: u16 = 1 << 1;
/// One more extra descriptor follows (`XEN_NETIF_EXTRA_FLAG_MORE`), in an extra descriptor's flags.
pub const EXTRA_MORE: u8 = 1;

/// `NETIF_RSP_OKAY`.
pub const OKAY: i16 = 0;

/// One slot of a frame to send.
pub fn send(grant: u32, flags: u16, id: u16, size: u16) -> [u8; TX_SLOT] {
    let [a, b, c, d] = grant.to_le_bytes();
    let ([e, f], [g, h], [i, j]) = (flags.to_le_bytes(), id.to_le_bytes(), size.to_le_bytes());
    // Frames begin at the beginning of their page: the offset is 0.
    [a, b, c, d, 0, 0, e, f, g, h, i, j]
}

/// Room for a frame to receive.
pub fn room(id: u16, grant: u32) -> [u8; RX_SLOT] {
    let ([a, b], [c, d, e, f]) = (id.to_le_bytes(), grant.to_le_bytes());
    [a, b, 0, 0, c, d, e, f]
}

/// The answer to a slot that was sent: its number and its status.
pub fn sent([a, b, c, d]: [u8; TX_RESPONSE]) -> (u16, i16) {
    (u16::from_le_bytes([a, b]), i16::from_le_bytes([c, d]))
}

/// A piece of a frame received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The number of the room it lies in.
    pub id: u16,
    /// Where it begins in the page, bytes.
    pub offset: u16,
    /// What holds for it.
    pub flags: u16,
    /// Its length in bytes, or a negative error.
    pub status: i16,
}

impl Fragment {
    /// Reads one.
    pub fn decode([a, b, c, d, e, f, g, h]: [u8; RX_SLOT]) -> Fragment {
        Fragment {
            id: u16::from_le_bytes([a, b]),
            offset: u16::from_le_bytes([c, d]),
            flags: u16::from_le_bytes([e, f]),
            status: i16::from_le_bytes([g, h]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets of `struct netif_tx_request` and its companions.
    #[test]
    fn fields_are_where_the_header_puts_them() {
        let slot = send(0x0403_0201, MORE_DATA, 0x0605, 0x0807);
        assert_eq!(slot, [1, 2, 3, 4, 0, 0, 4, 0, 5, 6, 7, 8]);
        assert_eq!(room(0x0201, 0x0605_0403), [1, 2, 0, 0, 3, 4, 5, 6]);
        assert_eq!(sent([1, 2, 0xfe, 0xff]), (0x0201, -2));
        let fragment = Fragment::decode([1, 2, 3, 4, 5, 6, 0xff, 0xff]);
        let (id, offset, flags) = (0x0201, 0x0403, 0x0605);
        assert_eq!(
            fragment,
            Fragment {
                id,
                offset,
                flags,
                status: -1
            }
        );
    }
}
