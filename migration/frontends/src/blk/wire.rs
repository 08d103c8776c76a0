//! Requests and responses as they lie in the ring. `xen/include/public/io/blkif.h`.
//!
//! Always in x86_64's layout, which a guest of either word size may choose by its `protocol` node:
//! there are no two layouts to keep right.

/// The value of the `protocol` node (`XEN_IO_PROTO_ABI_X86_64`, `io/protocols.h`).
pub const PROTOCOL: &str = "x86_64-abi";

/// Bytes of a slot.
pub const SLOT: usize = 112;
/// Bytes of a response.
pub const RESPONSE: usize = 16;
/// Bytes of a sector, whatever the disk's own sector size is: all fields count in these.
pub const SECTOR: usize = 512;
/// Segments in a request without indirection (`BLKIF_MAX_SEGMENTS_PER_REQUEST`).
pub const DIRECT: usize = 11;
/// Bytes of a segment's description.
pub const SEGMENT: usize = 8;

/// `BLKIF_OP_*`.
pub mod op {
    /// Read.
    pub const READ: u8 = 0;
    /// Write.
    pub const WRITE: u8 = 1;
    /// Barrier.
    pub const BARRIER: u8 = 2;
    /// Flush the disk's cache.
    pub const FLUSH: u8 = 3;
    /// Forget sectors.
    pub const DISCARD: u8 = 5;
    /// Read or write with segments in a page of their own.
    pub const INDIRECT: u8 = 6;
}

/// `BLKIF_RSP_OKAY`.
pub const OKAY: i16 = 0;
/// `BLKIF_RSP_EOPNOTSUPP`.
pub const UNSUPPORTED: i16 = -2;

/// `VDISK_CDROM`, in the backend's `info`.
pub const INFO_CDROM: u64 = 1;
/// `VDISK_READONLY`, in the backend's `info`.
pub const INFO_READ_ONLY: u64 = 4;

/// One page of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Segment {
    /// The page's grant.
    pub grant: u32,
    /// The first sector in it.
    pub first: u8,
    /// The last one, inclusive.
    pub last: u8,
}

impl Segment {
    /// As it lies in memory.
    pub fn encode(self) -> [u8; SEGMENT] {
        let [a, b, c, d] = self.grant.to_le_bytes();
        [a, b, c, d, self.first, self.last, 0, 0]
    }
}

/// What all requests have.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The number that the response repeats.
    pub id: u64,
    /// `virtual-device`, which backends do not look at.
    pub handle: u16,
    /// The first sector.
    pub sector: u64,
}

fn put(slot: &mut [u8; SLOT], at: usize, bytes: &[u8]) {
    slot[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A read or write, at most [`DIRECT`] segments; or a flush or barrier without any.
pub fn direct(operation: u8, head: Head, segments: &[Segment]) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    let segments = &segments[..segments.len().min(DIRECT)];
    slot[0] = operation;
    slot[1] = segments.len() as u8;
    put(&mut slot, 2, &head.handle.to_le_bytes());
    put(&mut slot, 8, &head.id.to_le_bytes());
    put(&mut slot, 16, &head.sector.to_le_bytes());
    for (i, segment) in segments.iter().enumerate() {
        put(&mut slot, 24 + i * SEGMENT, &segment.encode());
    }
    slot
}

/// A read or write whose `count` segments are in the page with this grant.
pub fn indirect(operation: u8, head: Head, count: u16, page: u32) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[0] = op::INDIRECT;
    slot[1] = operation;
    put(&mut slot, 2, &count.to_le_bytes());
    put(&mut slot, 8, &head.id.to_le_bytes());
    put(&mut slot, 16, &head.sector.to_le_bytes());
    put(&mut slot, 24, &head.handle.to_le_bytes());
    put(&mut slot, 28, &page.to_le_bytes());
    slot
}

/// A discard of `count` sectors.
pub fn discard(head: Head, count: u64, secure: bool) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[0] = op::DISCARD;
    slot[1] = secure.into();
    put(&mut slot, 2, &head.handle.to_le_bytes());
    put(&mut slot, 8, &head.id.to_le_bytes());
    put(&mut slot, 16, &head.sector.to_le_bytes());
    put(&mut slot, 24, &count.to_le_bytes());
    slot
}

/// A response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request's number.
    pub id: u64,
    /// The request's operation.
    pub operation: u8,
    /// `BLKIF_RSP_*`.
    pub status: i16,
}

impl Response {
    /// Reads one.
    pub fn decode(bytes: &[u8; RESPONSE]) -> Response {
        let [a, b, c, d, e, f, g, h, operation, _, low, high, ..] = *bytes;
        Response {
            id: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            operation,
            status: i16::from_le_bytes([low, high]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head {
        id: 0x0102_0304_0506_0708,
        handle: 0xca00,
        sector: 0x1122,
    };

    /// Offsets of `struct blkif_request`, `_indirect` and `_discard` on x86_64.
    #[test]
    fn fields_are_where_the_header_puts_them() {
        let segment = Segment {
            grant: 0xaabb_ccdd,
            first: 1,
            last: 7,
        };
        let slot = direct(op::WRITE, HEAD, &[segment; 12]);
        assert_eq!((slot[0], slot[1]), (1, 11));
        assert_eq!(slot[2..4], [0x00, 0xca]);
        assert_eq!(slot[8..16], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(slot[16..18], [0x22, 0x11]);
        assert_eq!(slot[104..112], [0xdd, 0xcc, 0xbb, 0xaa, 1, 7, 0, 0]);
        let slot = indirect(op::READ, HEAD, 0x0203, 9);
        assert_eq!(slot[..4], [6, 0, 3, 2]);
        assert_eq!((slot[24], slot[25], slot[28]), (0x00, 0xca, 9));
        let slot = discard(HEAD, 5, true);
        assert_eq!((slot[0], slot[1], slot[24]), (5, 1, 5));
    }

    #[test]
    fn a_response_is_read_as_the_header_puts_it() {
        let bytes = [8, 7, 6, 5, 4, 3, 2, 1, 6, 0, 0xfe, 0xff, 0, 0, 0, 0];
        let response = Response::decode(&bytes);
        assert_eq!(response.id, HEAD.id);
        assert_eq!((response.operation, response.status), (6, UNSUPPORTED));
    }
}
