//! A network interface beside a backend that keeps to the protocol, and across a suspend.

mod support;

use std::collections::BTreeSet;

use frontends::net::announce::{arp, neighbour};
use frontends::net::{Addresses, Checksum, Netfront, NotSent, Received, Wishes};
use frontends::{Limits, Phase, State};
use migration::{Deadline, Participant, Stage};
use support::netback::{Netback, Offers};
use support::Guest;

type Nic = Netfront<Guest, 4, 64>;

const MAC: [u8; 6] = [0, 0x16, 0x3e, 1, 2, 3];

fn nic() -> Box<Nic> {
    Box::new(Nic::new(0, Wishes::ALL, Limits::DEFAULT))
}

fn follow(guest: &mut Guest, nic: &mut Nic, back: &mut Netback) {
    nic.poll(guest).unwrap();
    back.offer(guest);
    for _ in 0..3 {
        guest.pass(120);
        nic.watch_fired("frontend/vif/0");
        nic.poll(guest).unwrap();
        back.connect(guest);
    }
    nic.watch_fired("frontend/vif/0");
    nic.poll(guest).unwrap();
    assert_eq!(nic.phase(), Phase::Connected);
}

fn connected(guest: &mut Guest, offers: Offers) -> (Box<Nic>, Netback) {
    let mut back = Netback::new(guest, 0, 0, offers);
    let mut nic = nic();
    follow(guest, &mut nic, &mut back);
    (nic, back)
}

/// A UDP frame of a flow.
fn frame(port: u8, length: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..length)
        .map(|i| (i * 7) as u8 ^ (i >> 8) as u8)
        .collect();
    frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    frame[20..24].copy_from_slice(&[0, 0, 64, 17]);
    frame[35] = port;
    frame
}

#[test]
fn frames_arrive_whole_in_both_directions_in_every_combination_of_offers() {
    for queues in [1, 4] {
        for split in [false, true] {
            let offers = Offers {
                queues,
                split,
                ..Offers::ALL
            };
            let mut guest = Guest::default();
            guest.store.set("device/vif/0/mtu", 65000);
            let (mut nic, mut back) = connected(&mut guest, offers);
            assert_eq!(nic.queues(), queues as usize);
            let mut into = vec![0; 65536];
            for length in [60, 1514, 4096, 4097, 65000] {
                let sent = frame(9, length);
                nic.send(&mut guest, &sent).unwrap();
                back.take(&mut guest);
                back.answer(&mut guest, 0);
                nic.poll(&mut guest).unwrap();
                let (queue, got) = back.got.pop_front().unwrap();
                assert!(got == sent, "{length} bytes by queue {queue}");
                for queue in 0..queues as usize {
                    assert!(back.deliver(&mut guest, queue, &sent, 1));
                    let received = nic.receive(&mut guest, &mut into).unwrap();
                    let checksum = Checksum::Validated;
                    assert_eq!(
                        received,
                        Some(Received {
                            bytes: length,
                            checksum
                        })
                    );
                    assert!(into[..length] == sent, "{length} bytes by queue {queue}");
                }
                assert_eq!(nic.receive(&mut guest, &mut into), Ok(None));
            }
            assert!(guest.trespasses.is_empty(), "{:?}", guest.trespasses);
        }
    }
}

/// Many times around both rings: buffers come back, and nothing is lost or mixed up.
#[test]
fn a_thousand_frames_go_around_the_rings() {
    let mut guest = Guest::default();
    let (mut nic, mut back) = connected(&mut guest, Offers::LEAST);
    let mut into = [0; 1600];
    for round in 0..1000u32 {
        let mut sent = frame(round as u8, 100 + round as usize % 1400);
        sent[40..44].copy_from_slice(&round.to_le_bytes());
        nic.send(&mut guest, &sent).unwrap();
        back.take(&mut guest);
        assert!(back.got.pop_front().unwrap().1 == sent);
        back.answer(&mut guest, 0);
        nic.poll(&mut guest).unwrap();
        assert!(back.deliver(&mut guest, 0, &sent, 0));
        let received = nic.receive(&mut guest, &mut into).unwrap().unwrap();
        assert!(into[..received.bytes] == sent);
    }
    let counts = nic.counts();
    assert_eq!((counts.sent, counts.received), (1000, 1000));
    assert_eq!((counts.dropped, counts.lost, counts.refused), (0, 0, 0));
}

#[test]
fn flows_spread_over_the_queues_and_keep_their_own() {
    let mut guest = Guest::default();
    let (mut nic, mut back) = connected(&mut guest, Offers::ALL);
    let mut queue_of = [None; 16];
    for _ in 0..3 {
        for port in 0..16 {
            nic.send(&mut guest, &frame(port, 100)).unwrap();
            back.take(&mut guest);
            let (queue, _) = back.got.pop_front().unwrap();
            let first = *queue_of[usize::from(port)].get_or_insert(queue);
            assert_eq!(queue, first);
        }
        back.answer(&mut guest, 0);
        nic.poll(&mut guest).unwrap();
    }
    assert_eq!(queue_of.iter().collect::<BTreeSet<_>>().len(), 4);
}

#[test]
fn what_cannot_be_sent_is_refused_and_a_full_ring_says_so() {
    let mut guest = Guest::default();
    let mut early = nic();
    assert_eq!(
        early.send(&mut guest, &frame(0, 60)),
        Err(NotSent::NotConnected)
    );
    guest.store.set("device/vif/0/mtu", 9000);
    let (mut nic, mut back) = connected(&mut guest, Offers::LEAST);
    // Without feature-sg a frame has one slot, whatever the MTU.
    for (length, why) in [
        (13, NotSent::Length),
        (4097, NotSent::Length),
        (9100, NotSent::Length),
    ] {
        assert_eq!(nic.send(&mut guest, &vec![0; length]), Err(why));
    }
    for _ in 0..64 {
        nic.send(&mut guest, &frame(0, 60)).unwrap();
    }
    assert_eq!(nic.send(&mut guest, &frame(0, 60)), Err(NotSent::Full));
    back.take(&mut guest);
    back.answer(&mut guest, -1);
    nic.poll(&mut guest).unwrap();
    assert_eq!(nic.counts().dropped, 64);
    nic.send(&mut guest, &frame(0, 60)).unwrap();
}

#[test]
fn what_was_not_asked_for_is_not_taken_for_a_frame() {
    let mut guest = Guest::default();
    let (mut nic, mut back) = connected(&mut guest, Offers::LEAST);
    let mut into = [0; 1600];
    // Segments to be made, in an extra descriptor; an error; and one that is too long for the caller.
    let (first, _) = back.room(&mut guest, 0).unwrap();
    back.room(&mut guest, 0).unwrap();
    back.rx_slot(&mut guest, 0, Netback::piece(first, 0, 8, 1400));
    back.rx_slot(&mut guest, 0, [1, 0, 0, 5, 1, 0, 0, 0]);
    let (id, _) = back.room(&mut guest, 0).unwrap();
    back.rx_slot(&mut guest, 0, Netback::piece(id, 0, 0, -1));
    back.rx_push(&mut guest, 0);
    assert!(back.deliver(&mut guest, 0, &frame(1, 2000), 0));
    // A blank checksum is told.
    assert!(back.deliver(&mut guest, 0, &frame(1, 100), 2));
    let received = nic.receive(&mut guest, &mut into).unwrap();
    let checksum = Checksum::Blank;
    assert_eq!(
        received,
        Some(Received {
            bytes: 100,
            checksum
        })
    );
    assert_eq!(nic.counts().refused, 3);
    // All their room came back.
    for _ in 0..300 {
        assert!(back.deliver(&mut guest, 0, &frame(1, 100), 0));
        assert!(nic.receive(&mut guest, &mut into).unwrap().is_some());
    }
}

#[test]
fn a_frame_is_taken_when_its_end_is_there() {
    let mut guest = Guest::default();
    let (mut nic, mut back) = connected(&mut guest, Offers::LEAST);
    let mut into = [0; 9000];
    let (first, _) = back.room(&mut guest, 0).unwrap();
    back.rx_slot(&mut guest, 0, Netback::piece(first, 0, 4, 4096));
    back.rx_push(&mut guest, 0);
    assert_eq!(nic.receive(&mut guest, &mut into), Ok(None));
    let (second, _) = back.room(&mut guest, 0).unwrap();
    back.rx_slot(&mut guest, 0, Netback::piece(second, 96, 0, 904));
    back.rx_push(&mut guest, 0);
    let received = nic.receive(&mut guest, &mut into).unwrap().unwrap();
    assert_eq!(received.bytes, 5000);
}

#[test]
fn a_backend_that_cannot_copy_is_refused_by_name() {
    let mut guest = Guest::default();
    let offers = Offers {
        rx_copy: false,
        ..Offers::ALL
    };
    let back = Netback::new(&mut guest, 0, 4, offers);
    back.offer(&mut guest);
    let said = nic().poll(&mut guest).unwrap_err().to_string();
    assert_eq!(
        said,
        "vif 0: backend in domain 4: the backend has no feature-rx-copy"
    );
}

#[test]
fn few_grants_make_few_buffers_and_none_a_clear_error() {
    // What a table of one frame has, and hardly more than the rings of four queues need.
    for most in [504, 18] {
        let mut guest = Guest::with_grants(most);
        let (mut nic, mut back) = connected(&mut guest, Offers::ALL);
        let mut into = [0; 1600];
        for queue in 0..4 {
            for _ in 0..10 {
                assert!(back.deliver(&mut guest, queue, &frame(1, 100), 0));
                assert!(nic.receive(&mut guest, &mut into).unwrap().is_some());
            }
        }
        for port in 0..16 {
            nic.send(&mut guest, &frame(port, 60)).unwrap();
            back.take(&mut guest);
            back.answer(&mut guest, 0);
            nic.poll(&mut guest).unwrap();
        }
    }
    let mut guest = Guest::with_grants(12);
    let back = Netback::new(&mut guest, 0, 4, Offers::ALL);
    back.offer(&mut guest);
    let mut poor = self::nic();
    let said = poor.poll(&mut guest).unwrap_err().to_string();
    assert!(said.contains("the grant table is full"), "{said}");
    assert_eq!(
        (guest.grants_out(), guest.pages_out()),
        (0, 0),
        "nothing is left of it"
    );
}

const ADDRESSES: Addresses = Addresses {
    ipv4: Some([10, 0, 0, 7]),
    ipv6: Some([
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0x16, 0x3e, 0xff, 0xfe, 1, 2, 3,
    ]),
};

fn announced(guest: &mut Guest, nic: &mut Nic, back: &mut Netback, ms: u64) -> (usize, usize) {
    let (mut arps, mut neighbours) = (0, 0);
    for _ in 0..ms / 50 {
        guest.pass(50);
        nic.poll(guest).unwrap();
        back.take(guest);
        back.answer(guest, 0);
        for (_, got) in back.got.drain(..) {
            arps += usize::from(got == arp(MAC, [10, 0, 0, 7]));
            neighbours += usize::from(got == neighbour(MAC, ADDRESSES.ipv6.unwrap()));
        }
    }
    (arps, neighbours)
}

fn deadline(guest: &Guest) -> Deadline {
    Deadline::after(guest.now, std::time::Duration::from_secs(5), "test")
}

#[test]
fn a_restored_interface_tells_its_neighbours_once_the_backend_is_connected_and_again() {
    let mut guest = Guest::default();
    let (mut nic, mut old) = connected(&mut guest, Offers::ALL);
    nic.set_addresses(&guest, ADDRESSES);
    assert_eq!(announced(&mut guest, &mut nic, &mut old, 3000), (3, 3));
    nic.send(&mut guest, &frame(0, 60)).unwrap();
    let until = deadline(&guest);
    Participant::suspend(&mut *nic, Stage::Awake, &mut guest, until).unwrap();
    assert_eq!(
        nic.send(&mut guest, &frame(0, 60)),
        Err(NotSent::NotConnected)
    );
    guest.migrate();
    let mut new = Netback::new(&mut guest, 0, 2, Offers::LEAST);
    nic.restored(Stage::Awake, &mut guest).unwrap();
    assert!(!nic.is_back(&mut guest).unwrap());
    new.offer(&mut guest);
    assert!(!nic.is_back(&mut guest).unwrap());
    // Rings are there, and nothing is in them: the backend is not connected.
    guest.pass(2000);
    assert!(!nic.is_back(&mut guest).unwrap());
    let ring = new.node(&guest, "tx-ring-ref").unwrap();
    assert_eq!(
        guest.backend_word(ring, 2, 0),
        0,
        "sent before the backend was there"
    );
    assert_eq!(
        nic.send(&mut guest, &frame(0, 60)),
        Err(NotSent::NotConnected)
    );
    assert!(new.connect(&mut guest));
    assert!(nic.is_back(&mut guest).unwrap());
    assert!(
        guest.notified.values().any(|times| *times > 0),
        "the backend does not look by itself"
    );
    assert_eq!(announced(&mut guest, &mut nic, &mut new, 3000), (3, 3));
    assert_eq!((nic.queues(), nic.backend_domain()), (1, Some(2)));
    assert_eq!(nic.counts().lost, 1);
    let mut into = [0; 1600];
    assert!(new.deliver(&mut guest, 0, &frame(3, 200), 0));
    assert_eq!(
        nic.receive(&mut guest, &mut into).unwrap().unwrap().bytes,
        200
    );
    assert!(guest.trespasses.is_empty(), "{:?}", guest.trespasses);
}

#[test]
fn a_cancelled_suspend_leaves_the_interface_as_it_was() {
    let mut guest = Guest::default();
    let (mut nic, mut back) = connected(&mut guest, Offers::ALL);
    nic.set_addresses(&guest, ADDRESSES);
    announced(&mut guest, &mut nic, &mut back, 3000);
    nic.send(&mut guest, &frame(0, 60)).unwrap();
    let (writes, grants) = (guest.store.log.len(), guest.grants_out());
    let until = deadline(&guest);
    Participant::suspend(&mut *nic, Stage::Awake, &mut guest, until).unwrap();
    assert!(back.deliver(&mut guest, 2, &frame(3, 200), 0));
    nic.cancelled(Stage::Awake, &mut guest).unwrap();
    assert!(nic.is_back(&mut guest).unwrap());
    assert_eq!(
        (guest.store.log.len(), guest.grants_out()),
        (writes, grants)
    );
    let mut into = [0; 1600];
    assert_eq!(
        nic.receive(&mut guest, &mut into).unwrap().unwrap().bytes,
        200
    );
    back.take(&mut guest);
    assert_eq!(back.got.len(), 1, "what was sent before, once");
    assert_eq!((nic.connections(), nic.counts().lost), (1, 0));
}

/// In the same domain: the nodes of four queues with split ports must not mislead a backend that
/// offers less.
#[test]
fn a_lesser_backend_in_the_same_domain_does_not_find_the_nodes_of_the_greater_one() {
    let mut guest = Guest::default();
    let (mut nic, mut back) = connected(&mut guest, Offers::ALL);
    back.unmap(&mut guest);
    back.state(&mut guest, State::Closed);
    for _ in 0..3 {
        nic.watch_fired("frontend/vif/0");
        nic.poll(&mut guest).unwrap();
    }
    back.put(&mut guest, "multi-queue-max-queues", 1);
    back.offers = Offers::LEAST;
    guest.pass(1000);
    follow(&mut guest, &mut nic, &mut back);
    assert_eq!((nic.queues(), nic.connections()), (1, 2));
    nic.send(&mut guest, &frame(0, 60)).unwrap();
    back.take(&mut guest);
    assert_eq!(back.got.len(), 1);
}

#[test]
fn a_carrier_that_goes_is_seen() {
    let mut guest = Guest::default();
    let (mut nic, back) = connected(&mut guest, Offers::ALL);
    assert!(nic.link().unwrap().up);
    assert_eq!(
        (nic.link().unwrap().mac, nic.link().unwrap().mtu),
        (MAC, 1500)
    );
    back.put(&mut guest, "carrier", 0);
    nic.watch_fired("frontend/vif/0");
    nic.poll(&mut guest).unwrap();
    assert!(!nic.link().unwrap().up);
}
