//! A disk beside a backend that keeps to the protocol.

mod support;

use frontends::blk::{Answer, Blkfront, Failure, Rejected, Request, Wishes};
use frontends::{Limits, Phase, State};
use support::blkback::{Blkback, Offers};
use support::Guest;

type Disk = Blkfront<Guest, 4, 64, 256>;

fn disk() -> Box<Disk> {
    Box::new(Disk::new(51712, Wishes::ALL, Limits::DEFAULT))
}

/// A connected disk.
fn connected(guest: &mut Guest, offers: Offers) -> (Box<Disk>, Blkback) {
    let mut back = Blkback::new(guest, 51712, 0, offers);
    let mut disk = disk();
    disk.poll(guest).unwrap();
    connect(guest, &mut disk, &mut back);
    (disk, back)
}

fn connect(guest: &mut Guest, disk: &mut Disk, back: &mut Blkback) {
    back.offer(guest);
    for _ in 0..4 {
        disk.poll(guest).unwrap();
        back.connect(guest);
    }
    disk.poll(guest).unwrap();
    assert_eq!(disk.phase(), Phase::Connected);
    assert_eq!(back.front_state(guest), State::Connected.number());
}

fn pattern(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|i| (i as u8).wrapping_mul(31) ^ (i >> 8) as u8 ^ seed)
        .collect()
}

fn answers(guest: &mut Guest, disk: &mut Disk) -> Vec<Answer> {
    disk.poll(guest).unwrap();
    std::iter::from_fn(|| disk.answer(guest, &mut [])).collect()
}

#[test]
fn what_was_written_is_read_back_in_every_combination_of_offers() {
    for queues in [1, 4] {
        for indirect in [0, 16, 256] {
            for persistent in [false, true] {
                let offers = Offers {
                    queues,
                    indirect,
                    persistent,
                    ..Offers::ALL
                };
                let mut guest = Guest::default();
                let (mut disk, mut back) = connected(&mut guest, offers);
                assert_eq!(disk.queues(), queues as usize);
                let data = pattern(3, 200 * 1024);
                let write = Request::Write {
                    sector: 9,
                    data: &data,
                };
                disk.submit(&mut guest, 1, write).unwrap();
                let most = if indirect == 0 {
                    11
                } else {
                    indirect.min(64) as usize
                };
                assert_eq!(disk.in_flight(), 50usize.div_ceil(most));
                back.work(&mut guest);
                let done = [Answer {
                    tag: 1,
                    result: Ok(data.len()),
                }];
                assert_eq!(answers(&mut guest, &mut disk), done);
                let bytes = data.len();
                disk.submit(&mut guest, 2, Request::Read { sector: 9, bytes })
                    .unwrap();
                back.work(&mut guest);
                disk.poll(&mut guest).unwrap();
                let mut read = vec![0; bytes];
                let answer = disk.answer(&mut guest, &mut read);
                assert_eq!(
                    answer,
                    Some(Answer {
                        tag: 2,
                        result: Ok(bytes)
                    })
                );
                assert!(read == data, "{queues} {indirect} {persistent}");
                assert!(guest.trespasses.is_empty(), "{:?}", guest.trespasses);
                let kept = guest.grants_out() - queues as usize;
                assert_eq!(kept > 0, persistent, "{kept} grants outlive their requests");
            }
        }
    }
}

#[test]
fn a_flush_a_discard_and_what_a_disk_does_not_do() {
    let mut guest = Guest::default();
    let (mut disk, mut back) = connected(&mut guest, Offers::ALL);
    disk.submit(&mut guest, 1, Request::Flush).unwrap();
    let discard = Request::Discard {
        sector: 8,
        sectors: 8,
        secure: false,
    };
    disk.submit(&mut guest, 2, discard).unwrap();
    back.take(&mut guest);
    assert_eq!(
        back.held.iter().map(|a| a.operation).collect::<Vec<_>>(),
        [3, 5]
    );
    back.answer_one(&mut guest, 0);
    back.answer_one(&mut guest, -2);
    let done = answers(&mut guest, &mut disk);
    assert_eq!(done[0].result, Ok(0));
    assert_eq!(done[1].result, Err(Failure::Unsupported));
    // It is not asked again.
    let again = disk.submit(&mut guest, 3, discard);
    assert_eq!(again, Err(Rejected::Bad(Failure::Unsupported)));
}

#[test]
fn what_can_never_be_done_is_refused_at_once() {
    let mut guest = Guest::default();
    let offers = Offers {
        sector_size: 4096,
        ..Offers::ALL
    };
    let (mut disk, _) = connected(&mut guest, offers);
    let data = pattern(0, 4096);
    let bad = |disk: &mut Disk, guest: &mut Guest, request| match disk.submit(guest, 0, request) {
        Err(Rejected::Bad(why)) => why,
        other => panic!("{other:?}"),
    };
    let end = 2048;
    for (request, why) in [
        (
            Request::Write {
                sector: 1,
                data: &data,
            },
            Failure::Unaligned,
        ),
        (
            Request::Write {
                sector: 8,
                data: &data[..512],
            },
            Failure::Unaligned,
        ),
        (
            Request::Write {
                sector: 8,
                data: &data[..5],
            },
            Failure::Unaligned,
        ),
        (
            Request::Write {
                sector: end,
                data: &data,
            },
            Failure::OutOfRange,
        ),
        (
            Request::Read {
                sector: u64::MAX - 7,
                bytes: 4096,
            },
            Failure::OutOfRange,
        ),
        (
            Request::Read {
                sector: 0,
                bytes: 0,
            },
            Failure::Length,
        ),
        (
            Request::Read {
                sector: 0,
                bytes: 1 << 20,
            },
            Failure::Length,
        ),
    ] {
        assert_eq!(bad(&mut disk, &mut guest, request), why);
    }
    disk.submit(
        &mut guest,
        1,
        Request::Write {
            sector: end - 8,
            data: &data,
        },
    )
    .unwrap();
    let mut guest = Guest::default();
    let offers = Offers {
        read_only: true,
        ..Offers::ALL
    };
    let (mut disk, _) = connected(&mut guest, offers);
    let write = Request::Write {
        sector: 8,
        data: &data,
    };
    assert_eq!(bad(&mut disk, &mut guest, write), Failure::ReadOnly);
}

#[test]
fn a_full_ring_holds_the_rest_back_until_there_is_room() {
    let mut guest = Guest::default();
    let (mut disk, mut back) = connected(&mut guest, Offers::LEAST);
    let data = pattern(1, 512);
    for tag in 0..64 {
        disk.submit(
            &mut guest,
            tag,
            Request::Write {
                sector: tag,
                data: &data,
            },
        )
        .unwrap();
    }
    assert_eq!(disk.in_flight(), 32);
    let more = disk.submit(&mut guest, 64, Request::Flush);
    assert_eq!(more, Err(Rejected::Busy));
    let mut tags = Vec::new();
    for _ in 0..2 {
        back.work(&mut guest);
        tags.extend(answers(&mut guest, &mut disk).iter().map(|a| a.tag));
    }
    assert_eq!(tags, (0..64).collect::<Vec<_>>());
    assert_eq!(guest.grants_out(), 1);
}

#[test]
fn few_grants_make_short_requests_and_not_an_end() {
    let mut guest = Guest::default();
    let (mut disk, mut back) = connected(&mut guest, Offers::LEAST);
    guest.most_grants = 4;
    let data = pattern(5, 40 * 1024);
    disk.submit(
        &mut guest,
        1,
        Request::Write {
            sector: 0,
            data: &data,
        },
    )
    .unwrap();
    let mut done = Vec::new();
    for _ in 0..4 {
        back.work(&mut guest);
        done.extend(answers(&mut guest, &mut disk));
    }
    assert_eq!(
        done,
        [Answer {
            tag: 1,
            result: Ok(data.len())
        }]
    );
    assert!(back.disk[..data.len()] == data);
}

/// Every page holds data, so there is none for a table of segments: the request is split instead.
#[test]
fn without_a_page_for_the_table_a_long_request_is_split() {
    let mut guest = Guest::default();
    let mut back = Blkback::new(&mut guest, 51712, 0, Offers::ALL);
    let mut disk = Box::new(Blkfront::<Guest, 1, 4, 64>::new(
        51712,
        Wishes::ALL,
        Limits::DEFAULT,
    ));
    back.offer(&mut guest);
    for _ in 0..3 {
        disk.poll(&mut guest).unwrap();
        back.connect(&mut guest);
    }
    let data = pattern(7, 256 * 1024);
    let write = Request::Write {
        sector: 0,
        data: &data,
    };
    disk.submit(&mut guest, 1, write).unwrap();
    assert_eq!(disk.in_flight(), 6);
    back.work(&mut guest);
    disk.poll(&mut guest).unwrap();
    let answer = disk.answer(&mut guest, &mut []).unwrap();
    assert_eq!(answer.result, Ok(data.len()));
    assert!(back.disk[..data.len()] == data);
}
