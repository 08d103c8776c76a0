//! Backends that break the protocol: each lie is refused by name, and nothing else happens.

mod support;

use frontends::blk::{Blkfront, Failure, Request, Wishes};
use frontends::net::{self, Netfront};
use frontends::{layout, Lie, Limits, Phase, Problem};
use migration::{Blame, Party};
use proptest::prelude::*;
use support::blkback::{Blkback, Offers};
use support::netback::{self, Netback};
use support::{hostile, Guest};

type Disk = Blkfront<Guest, 4, 64, 256>;
type Nic = Netfront<Guest, 1, 16>;

fn disk(guest: &mut Guest) -> (Box<Disk>, Blkback) {
    let mut back = Blkback::new(guest, 51712, 2, Offers::LEAST);
    let mut disk = Box::new(Disk::new(51712, Wishes::ALL, Limits::DEFAULT));
    follow(guest, &mut disk, &mut back);
    (disk, back)
}

fn follow(guest: &mut Guest, disk: &mut Disk, back: &mut Blkback) {
    back.offer(guest);
    for _ in 0..4 {
        guest.pass(200);
        disk.poll(guest).unwrap();
        back.connect(guest);
    }
    assert_eq!(disk.phase(), Phase::Connected);
}

/// Each lie about a disk's ring: refused by name, the connection given up, and with the next one
/// the request is answered once.
#[test]
fn a_disk_s_backend_that_lies_is_named_and_its_requests_are_kept() {
    type Lying = fn(&mut Guest, &mut Blkback);
    let lies: [(&str, Lying); 7] = [
        ("answers nothing in flight", |guest, back| {
            back.respond(guest, 0, 77, 1, 0);
        }),
        ("answers nothing in flight", |guest, back| {
            // The right place, an earlier use of it.
            let id = back.held[0].id;
            back.respond(guest, 0, id & 0xff, 1, 0);
        }),
        ("answers nothing in flight", |guest, back| {
            // The same again, while another request is outstanding.
            let id = back.held[0].id;
            back.respond(guest, 0, id, 1, 0);
            back.respond(guest, 0, id, 1, 0);
        }),
        ("response to operation 1 says operation 3", |guest, back| {
            let id = back.held[0].id;
            back.respond(guest, 0, id, 3, 0);
        }),
        (
            "response producer 3 with 0 taken and 2 requests outstanding",
            |guest, back| {
                produce(guest, back, 3);
            },
        ),
        (
            "response producer 4294967295 with 0 taken",
            |guest, back| {
                produce(guest, back, u32::MAX);
            },
        ),
        (
            "response producer 2147483648 with 0 taken",
            |guest, back| {
                produce(guest, back, 1 << 31);
            },
        ),
    ];
    for (words, lie) in lies {
        let mut guest = Guest::default();
        let (mut disk, mut back) = disk(&mut guest);
        for tag in 0..2 {
            let write = Request::Write {
                sector: tag * 8,
                data: &[tag as u8; 4096],
            };
            disk.submit(&mut guest, tag, write).unwrap();
        }
        back.take(&mut guest);
        lie(&mut guest, &mut back);
        let error = disk.poll(&mut guest).unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("vbd 51712: backend in domain 2: "),
            "{said}"
        );
        assert!(said.contains(words), "{said}");
        assert_eq!(error.party(), Party::Backend);
        assert_eq!(
            (disk.phase(), back.front_state(&guest)),
            (Phase::Waiting, 5)
        );
        let answered: Vec<_> = std::iter::from_fn(|| disk.answer(&mut guest, &mut [])).collect();
        back.unmap(&mut guest);
        follow(&mut guest, &mut disk, &mut back);
        back.work(&mut guest);
        disk.poll(&mut guest).unwrap();
        let rest: Vec<_> = std::iter::from_fn(|| disk.answer(&mut guest, &mut [])).collect();
        let mut tags: Vec<_> = answered.iter().chain(&rest).map(|a| a.tag).collect();
        tags.sort_unstable();
        assert_eq!(tags, [0, 1], "{words}");
        assert!(answered.iter().chain(&rest).all(|a| a.result == Ok(4096)));
    }
}

fn produce(guest: &mut Guest, back: &Blkback, value: u32) {
    let ring = back.rings[0].reference;
    guest.backend_write(ring, back.domain, layout::RSP_PROD, &value.to_le_bytes());
}

/// A lie that is found when the domain is about to be suspended stops neither the suspend nor the
/// end of the connection.
#[test]
fn a_lie_at_the_suspend_ends_the_connection_and_not_the_suspend() {
    use migration::{Deadline, Participant, Stage};
    let mut guest = Guest::default();
    let (mut disk, mut back) = disk(&mut guest);
    disk.submit(&mut guest, 1, Request::Flush).unwrap();
    back.take(&mut guest);
    back.respond(&mut guest, 0, 77, 3, 0);
    let until = Deadline::after(guest.now, std::time::Duration::from_secs(1), "test");
    Participant::suspend(&mut *disk, Stage::Awake, &mut guest, until).unwrap();
    disk.cancelled(Stage::Awake, &mut guest).unwrap();
    assert_eq!(
        (disk.phase(), back.front_state(&guest)),
        (Phase::Waiting, 5)
    );
    back.unmap(&mut guest);
    follow(&mut guest, &mut disk, &mut back);
    back.work(&mut guest);
    disk.poll(&mut guest).unwrap();
    assert_eq!(disk.answer(&mut guest, &mut []).unwrap().result, Ok(0));
}

#[test]
fn an_unknown_status_is_a_failure_and_no_success() {
    let mut guest = Guest::default();
    let (mut disk, mut back) = disk(&mut guest);
    for (tag, status) in [(1, -1), (2, 1), (3, i16::MIN), (4, -2)] {
        disk.submit(
            &mut guest,
            tag,
            Request::Read {
                sector: 0,
                bytes: 512,
            },
        )
        .unwrap();
        back.take(&mut guest);
        back.answer_one(&mut guest, status);
        disk.poll(&mut guest).unwrap();
        let why = if status == -2 {
            Failure::Unsupported
        } else {
            Failure::Failed
        };
        assert_eq!(disk.answer(&mut guest, &mut []).unwrap().result, Err(why));
    }
}

/// The backend keeps every page mapped that it ever saw: they are counted, the list has an end, and
/// no page is used twice.
#[test]
fn a_backend_that_never_unmaps_costs_pages_and_a_message_and_nothing_else() {
    let mut guest = Guest::default();
    let (mut disk, mut back) = disk(&mut guest);
    for tag in 0..100 {
        disk.submit(
            &mut guest,
            tag,
            Request::Write {
                sector: 0,
                data: &[1; 512],
            },
        )
        .unwrap();
        back.take(&mut guest);
        let grant = back.held[0].segments[0].0;
        guest.map(grant);
        back.answer_one(&mut guest, 0);
        // Its own mapping is over, the other one stays.
        disk.poll(&mut guest).unwrap();
        assert_eq!(disk.answer(&mut guest, &mut []).unwrap().result, Ok(512));
    }
    assert_eq!(disk.lingering(), (64, 36));
    assert_eq!(guest.abandoned, 36);
    guest.unmap_all();
    disk.poll(&mut guest).unwrap();
    assert_eq!(disk.lingering(), (0, 36));
}

fn nic(guest: &mut Guest) -> (Box<Nic>, Netback) {
    let mut back = Netback::new(guest, 0, 2, netback::Offers::LEAST);
    let mut nic = Box::new(Nic::new(0, net::Wishes::ALL, Limits::DEFAULT));
    back.offer(guest);
    for _ in 0..4 {
        guest.pass(200);
        nic.poll(guest).unwrap();
        back.connect(guest);
    }
    assert_eq!(nic.phase(), Phase::Connected);
    (nic, back)
}

#[test]
fn an_interface_s_backend_that_lies_is_named() {
    type Lying = fn(&mut Guest, &mut Netback);
    let lies: [(Lie, Lying); 8] = [
        (Lie::Id { ring: "tx", id: 5 }, |guest, back| {
            back.respond(guest, 0, 5, 0)
        }),
        (
            Lie::Id {
                ring: "tx",
                id: 0x100,
            },
            |guest, back| {
                let (_, id) = back.held[0];
                back.respond(guest, 0, id ^ 0x100, 0);
            },
        ),
        (Lie::Id { ring: "tx", id: 0 }, |guest, back| {
            let (_, id) = back.held[0];
            back.respond(guest, 0, id, 0);
            back.respond(guest, 0, id, 0);
        }),
        (
            Lie::Producer {
                ring: "tx",
                produced: 3,
                taken: 0,
                outstanding: 2,
            },
            |guest, back| {
                let ring = back.queues[0].tx;
                guest.backend_write(ring, 2, layout::RSP_PROD, &3u32.to_le_bytes());
            },
        ),
        (
            Lie::Producer {
                ring: "rx",
                produced: 17,
                taken: 0,
                outstanding: 16,
            },
            |guest, back| {
                let ring = back.queues[0].rx;
                guest.backend_write(ring, 2, layout::RSP_PROD, &17u32.to_le_bytes());
            },
        ),
        (Lie::Id { ring: "rx", id: 3 }, |guest, back| {
            rx(guest, back, 3, 0, 0, 60)
        }),
        (
            Lie::Fragment {
                offset: 4090,
                length: 60,
            },
            |guest, back| {
                rx(guest, back, 0, 4090, 0, 60);
            },
        ),
        (
            Lie::Fragment {
                offset: 0,
                length: 4097,
            },
            |guest, back| {
                rx(guest, back, 0, 0, 0, 4097);
            },
        ),
    ];
    for (lie, lying) in lies {
        let mut guest = Guest::default();
        let (mut nic, mut back) = nic(&mut guest);
        for _ in 0..2 {
            nic.send(&mut guest, &[0; 60]).unwrap();
        }
        back.take(&mut guest);
        lying(&mut guest, &mut back);
        let polled = nic.poll(&mut guest).err();
        let error = polled.or_else(|| nic.receive(&mut guest, &mut [0; 2000]).err());
        let error = error.unwrap_or_else(|| panic!("{lie} was believed"));
        assert_eq!(error.problem, Problem::Lie(lie));
        assert!(error
            .to_string()
            .starts_with("vif 0: backend in domain 2: "));
        assert_eq!(
            (nic.phase(), back.node(&guest, "state")),
            (Phase::Waiting, Some(5))
        );
    }
}

fn rx(guest: &mut Guest, back: &mut Netback, id: u16, offset: u16, flags: u16, status: i16) {
    back.room(guest, 0).unwrap();
    back.rx_slot(guest, 0, Netback::piece(id, offset, flags, status));
    back.rx_push(guest, 0);
}

#[test]
fn a_frame_without_end_is_a_lie() {
    type Long = Netfront<Guest, 1, 64>;
    let mut guest = Guest::default();
    let mut back = Netback::new(&mut guest, 0, 2, netback::Offers::LEAST);
    let mut nic = Box::new(Long::new(0, net::Wishes::ALL, Limits::DEFAULT));
    back.offer(&mut guest);
    for _ in 0..4 {
        nic.poll(&mut guest).unwrap();
        back.connect(&mut guest);
    }
    for _ in 0..40 {
        let (id, _) = back.room(&mut guest, 0).unwrap();
        back.rx_slot(&mut guest, 0, Netback::piece(id, 0, 4, 100));
    }
    back.rx_push(&mut guest, 0);
    let error = nic.receive(&mut guest, &mut [0; 9000]).unwrap_err();
    assert_eq!(error.problem, Problem::Lie(Lie::Slots { slots: 22 }));
}

proptest! {
    // Any failure is kept as a test above, by name, and not as bytes in a file.
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_disk_lives_with_any_backend(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        hostile::disk(&bytes);
    }

    #[test]
    fn an_interface_lives_with_any_backend(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        hostile::interface(&bytes);
    }
}
