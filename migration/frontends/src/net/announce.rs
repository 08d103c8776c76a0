//! The frames by which a guest tells its neighbours, and the bridges between, where it is now.
//!
//! After a migration the switches still know its address behind the old host. It sends what it would
//! send after changing its link: an ARP announcement (RFC 5227, section 3) and an unsolicited
//! neighbour advertisement (RFC 4861, section 7.2.6). Not before the backend is connected, or the
//! bridge never sees them, and more than once, since any may be lost.

use core::time::Duration;

/// The addresses of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Addresses {
    /// IPv4.
    pub ipv4: Option<[u8; 4]>,
    /// IPv6.
    pub ipv6: Option<[u8; 16]>,
}

/// When they are sent, counted from the connection. RFC 4861 allows three advertisements.
pub const TIMES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_millis(1300),
];

/// What is still to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Announcements {
    since: Option<Duration>,
    sent: usize,
}

impl Announcements {
    pub(crate) const NONE: Announcements = Announcements {
        since: None,
        sent: 0,
    };

    /// The backend is connected.
    pub(crate) fn begin(now: Duration) -> Announcements {
        Announcements {
            since: Some(now),
            sent: 0,
        }
    }

    /// Whether it is time for the next.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        match (self.since, TIMES.get(self.sent)) {
            (Some(since), Some(time)) => now >= since + *time,
            _ => false,
        }
    }

    /// It was sent.
    pub(crate) fn sent(&mut self) {
        self.sent += 1;
    }
}

/// An ARP announcement: a request for the sender's own address, to all.
pub fn arp(mac: [u8; 6], ip: [u8; 4]) -> [u8; 42] {
    let mut frame = [0; 42];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac);
    // ARP; Ethernet, IPv4, their lengths, request.
    frame[12..22].copy_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&ip);
    frame[38..42].copy_from_slice(&ip);
    frame
}

/// An unsolicited neighbour advertisement with the override flag, to all nodes.
pub fn neighbour(mac: [u8; 6], ip: [u8; 16]) -> [u8; 86] {
    const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let mut frame = [0; 86];
    frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    frame[6..12].copy_from_slice(&mac);
    // IPv6, 32 bytes of ICMPv6, hop limit 255.
    frame[12..22].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    frame[22..38].copy_from_slice(&ip);
    frame[38..54].copy_from_slice(&ALL_NODES);
    frame[54] = 136;
    frame[58] = 0x20;
    frame[62..78].copy_from_slice(&ip);
    // Option: target's link-layer address, in units of 8 bytes.
    frame[78..80].copy_from_slice(&[2, 1]);
    frame[80..86].copy_from_slice(&mac);
    let sum = checksum(&frame[22..]);
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// Of the addresses, the length and the next header, and the message behind them (RFC 8200, 8.1).
fn checksum(from_addresses: &[u8]) -> u16 {
    let words = from_addresses.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    });
    let mut sum = words.sum::<u32>() + 32 + 58;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x00, 0x16, 0x3e, 1, 2, 3];

    #[test]
    fn the_announcement_asks_all_for_its_own_address() {
        let frame = arp(MAC, [10, 0, 0, 7]);
        assert_eq!(frame[..6], [0xff; 6]);
        assert_eq!(frame[20..22], [0, 1]);
        assert_eq!(
            (&frame[28..32], &frame[38..42]),
            (&[10, 0, 0, 7][..], &[10, 0, 0, 7][..])
        );
        assert_eq!(frame[32..38], [0; 6]);
    }

    #[test]
    fn the_advertisement_s_checksum_adds_up() {
        let ip = [
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0x16, 0x3e, 0xff, 0xfe, 1, 2, 3,
        ];
        let frame = neighbour(MAC, ip);
        // With the checksum in place the sum is all ones.
        assert_eq!(checksum(&frame[22..]), 0);
        assert_eq!((frame[54], frame[58], frame[21]), (136, 0x20, 255));
        // Computed by another program.
        assert_eq!(frame[56..58], [0x97, 0x4f]);
        assert_eq!(frame[80..], MAC);
    }

    #[test]
    fn each_is_due_once() {
        let mut all = Announcements::begin(Duration::from_secs(5));
        for time in TIMES {
            let at = Duration::from_secs(5) + time;
            assert!(all.is_due(at));
            assert!(time.is_zero() || !all.is_due(at - Duration::from_millis(1)));
            all.sent();
        }
        assert!(!all.is_due(Duration::from_secs(50)));
        assert!(!Announcements::NONE.is_due(Duration::from_secs(50)));
    }
}
