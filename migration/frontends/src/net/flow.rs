//! Which queue a frame is sent by: frames of one flow by one queue, or they overtake each other.

/// A number that all frames of a flow have in common: of its addresses, and of its ports where a
/// frame has them in the usual place.
pub(crate) fn of(frame: &[u8]) -> u32 {
    let fixed = |range: core::ops::Range<usize>| frame.get(range).unwrap_or(&[]);
    match fixed(12..14) {
        // IPv4. Fragments have no ports, so a datagram that may be cut is known by its addresses.
        [0x08, 0x00] => {
            let plain = fixed(14..15) == [0x45] && matches!(fixed(20..22), [a, 0] if a & 0x3f == 0);
            let ports = plain && matches!(fixed(23..24), [6 | 17]);
            mix(fixed(26..34)) ^ if ports { mix(fixed(34..38)) } else { 0 }
        }
        [0x86, 0xdd] => {
            let ports = matches!(fixed(20..21), [6 | 17]);
            mix(fixed(22..54)) ^ if ports { mix(fixed(54..58)) } else { 0 }
        }
        _ => mix(fixed(0..12)),
    }
}

fn mix(bytes: &[u8]) -> u32 {
    // FNV-1a: short inputs, no table.
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::of;
    use std::vec;
    use std::vec::Vec;

    fn udp(source: u8, port: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
        frame[17] = length;
        frame[23] = 17;
        frame[29] = source;
        frame[35] = port;
        frame
    }

    #[test]
    fn a_flow_keeps_its_queue_and_others_have_theirs() {
        assert_eq!(of(&udp(1, 5, 10)), of(&udp(1, 5, 200)));
        let seen: std::collections::BTreeSet<u32> =
            (0..64).map(|p| of(&udp(1, p, 9)) % 4).collect();
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn fragments_of_a_datagram_keep_together() {
        let (mut first, mut rest) = (udp(1, 5, 100), udp(1, 77, 100));
        first[20] = 0x20;
        rest[21] = 10;
        assert_eq!(of(&first), of(&rest));
    }

    #[test]
    fn a_frame_of_any_length_has_a_flow() {
        for ethertype in [[8, 0], [0x86, 0xdd], [0, 0]] {
            for len in 0..64 {
                let mut frame = udp(1, 2, 3);
                frame[12..14].copy_from_slice(&ethertype);
                frame.truncate(len);
                of(&frame);
            }
        }
    }
}
