//! A disk across a suspend: every request is answered once, whatever came back.

mod support;

use frontends::blk::{Blkfront, Failure, Request, Wishes};
use frontends::{Limits, Phase};
use migration::{Machine, Member, Outcome, Resumed};
use support::blkback::{Blkback, Offers};
use support::{Fault, Guest};

type Disk = Blkfront<Guest, 4, 64, 512>;

fn connected(guest: &mut Guest, offers: Offers) -> (Box<Disk>, Blkback) {
    let mut back = Blkback::new(guest, 51712, 0, offers);
    let mut disk = Box::new(Disk::new(51712, Wishes::ALL, Limits::DEFAULT));
    settle(guest, &mut disk, &mut back);
    assert_eq!(disk.phase(), Phase::Connected);
    (disk, back)
}

/// The backend comes up, and both follow each other.
fn settle(guest: &mut Guest, disk: &mut Disk, back: &mut Blkback) {
    disk.poll(guest).unwrap();
    back.offer(guest);
    for _ in 0..4 {
        disk.poll(guest).unwrap();
        back.connect(guest);
    }
    disk.poll(guest).unwrap();
}

fn fill(tag: u64, bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|i| (i / 512) as u8 ^ tag as u8 ^ 0x55)
        .collect()
}

/// Six long writes, a flush, and short ones until nothing more is taken.
fn load(guest: &mut Guest, disk: &mut Disk) -> Vec<(u64, u64, Vec<u8>)> {
    let mut asked = Vec::new();
    for tag in 0..6 {
        asked.push((tag, tag * 320, fill(tag, 160 * 1024)));
    }
    for tag in 6..24 {
        asked.push((tag, 1980 + tag, fill(tag, 512)));
    }
    for (tag, sector, data) in &asked {
        let write = Request::Write {
            sector: *sector,
            data,
        };
        disk.submit(guest, *tag, write).unwrap();
    }
    disk.submit(guest, 100, Request::Flush).unwrap();
    asked
}

fn collect(guest: &mut Guest, disk: &mut Disk, into: &mut Vec<u64>) {
    while let Some(answer) = disk.answer(guest, &mut []) {
        assert!(answer.result.is_ok(), "{answer:?}");
        into.push(answer.tag);
    }
}

fn suspend(guest: &mut Guest, disk: &mut Disk, outcome: Outcome) -> Resumed<Fault> {
    guest.outcome = outcome;
    let mut members = [Member::new(disk)];
    Machine::new(guest, &mut members, migration::Limits::DEFAULT)
        .suspend()
        .expect("nothing stops this suspend")
}

#[test]
fn a_cancelled_suspend_leaves_the_rings_alone_and_asks_for_nothing_twice() {
    let mut guest = Guest::default();
    let (mut disk, mut back) = connected(&mut guest, Offers::ALL);
    let asked = load(&mut guest, &mut disk);
    back.take(&mut guest);
    let held = back.held.len();
    back.answer_one(&mut guest, 0);
    let (writes, grants) = (guest.store.log.len(), guest.grants_out());
    let resumed = suspend(&mut guest, &mut disk, Outcome::Cancelled);
    assert!(resumed.faults.is_empty());
    assert_eq!(guest.store.log.len(), writes, "xenstore was written to");
    assert_eq!(guest.grants_out(), grants);
    assert_eq!((disk.phase(), disk.connections()), (Phase::Connected, 1));
    back.take(&mut guest);
    assert_eq!(back.held.len(), held - 1, "a request was made again");
    while back.answer_one(&mut guest, 0).is_some() {}
    disk.poll(&mut guest).unwrap();
    let mut tags = Vec::new();
    collect(&mut guest, &mut disk, &mut tags);
    tags.sort_unstable();
    assert_eq!(tags, (0..24).chain([100]).collect::<Vec<_>>());
    for (_, sector, data) in asked {
        let at = sector as usize * 512;
        assert!(back.disk[at..at + data.len()] == data);
    }
}

/// From 4 queues with indirect segments and persistent grants to 1 queue with 11 segments, the ring
/// full after the restore, a flush in flight, and half of a long write answered.
#[test]
fn a_lesser_backend_is_asked_for_what_was_not_answered_and_for_nothing_else() {
    let mut guest = Guest::default();
    let first = Offers {
        indirect: 16,
        ..Offers::ALL
    };
    let (mut disk, mut old) = connected(&mut guest, first);
    let asked = load(&mut guest, &mut disk);
    old.take(&mut guest);
    // Three requests were answered: each a part of a long write.
    let answered: Vec<_> = (0..3)
        .map(|_| old.answer_one(&mut guest, 0).unwrap())
        .collect();
    let mut tags = Vec::new();
    let shared = old.disk.clone();
    guest.outcome = Outcome::Restored;
    // What the toolstack does while the guest is away.
    guest.reincarnate();
    let mut new = Blkback::new(&mut guest, 51712, 3, Offers::LEAST);
    new.disk = shared;

    let resumed = suspend_into(&mut guest, &mut disk, &mut new);
    assert!(resumed.is_empty(), "{resumed:?}");
    assert_eq!((disk.phase(), disk.queues()), (Phase::Connected, 1));
    assert_eq!(disk.backend_domain(), Some(3));
    assert_eq!(disk.in_flight(), 32, "the ring is full");
    let mut made = Vec::new();
    for _ in 0..20 {
        new.take(&mut guest);
        while let Some(one) = new.answer_one(&mut guest, 0) {
            made.push(one);
        }
        disk.poll(&mut guest).unwrap();
        collect(&mut guest, &mut disk, &mut tags);
    }
    tags.sort_unstable();
    assert_eq!(tags, (0..24).chain([100]).collect::<Vec<_>>(), "each once");
    assert!(made.iter().all(|one| one.segments.len() <= 11));
    assert_eq!(made.iter().filter(|one| one.operation == 3).count(), 1);
    // No sector that the old one answered was written again, and every other one once.
    let mut times = vec![0u32; 2048];
    for one in answered.iter().chain(&made) {
        let mut sector = one.sector as usize;
        for &(_, first, last) in &one.segments {
            for _ in first..=last {
                times[sector] += 1;
                sector += 1;
            }
        }
    }
    let wanted = asked
        .iter()
        .flat_map(|(_, sector, data)| (*sector as usize)..(*sector as usize + data.len() / 512));
    for sector in wanted {
        assert_eq!(times[sector], 1, "sector {sector}");
    }
    for (_, sector, data) in asked {
        let at = sector as usize * 512;
        assert!(new.disk[at..at + data.len()] == data);
    }
    assert!(guest.trespasses.is_empty(), "{:?}", guest.trespasses);
}

/// A restore whose backend comes up while the machine waits for the disk.
fn suspend_into(guest: &mut Guest, disk: &mut Disk, new: &mut Blkback) -> Vec<String> {
    use migration::{Deadline, Participant, Stage};
    use std::time::Duration;
    let until = Deadline::after(guest.now, Duration::from_secs(1), "test");
    Participant::suspend(disk, Stage::Awake, guest, until).unwrap();
    let mut faults = Vec::new();
    faults.extend(disk.restored(Stage::Awake, guest).err().map(|e| e.0));
    assert!(!disk.is_back(guest).unwrap());
    new.offer(guest);
    for _ in 0..5 {
        guest.pass(10);
        if disk.is_back(guest).unwrap() {
            return faults;
        }
        new.connect(guest);
    }
    faults.push("it did not come back".into());
    faults
}

#[test]
fn a_disk_that_never_comes_back_answers_all_it_kept_and_says_so() {
    let mut guest = Guest::default();
    let (mut disk, mut old) = connected(&mut guest, Offers::ALL);
    load(&mut guest, &mut disk);
    old.take(&mut guest);
    guest.outside = Some(Box::new(|guest| {
        if guest.store.nodes.is_empty() {
            Blkback::new(guest, 51712, 0, Offers::ALL);
        }
    }));
    let resumed = suspend(&mut guest, &mut disk, Outcome::Restored);
    assert_eq!(resumed.faults.count(), 1);
    let said = resumed.faults.first().unwrap().cause.to_string();
    assert!(
        said.contains("vbd 51712: backend in domain 0: waited 10s"),
        "{said}"
    );
    assert_eq!(disk.waiting(), 25, "they are kept for a late one");
    guest.pass(30_000);
    let late = disk.poll(&mut guest).unwrap_err().to_string();
    assert!(late.contains("to come back"), "{late}");
    let mut gone = 0;
    while let Some(answer) = disk.answer(&mut guest, &mut []) {
        assert_eq!(answer.result, Err(Failure::Gone));
        gone += 1;
    }
    assert_eq!((gone, disk.waiting()), (25, 0));
    assert_eq!(disk.poll(&mut guest), Ok(()), "each limit is told once");
}

#[test]
fn a_disk_that_is_not_in_the_new_domain_is_gone_and_its_requests_answered() {
    let mut guest = Guest::default();
    let (mut disk, mut old) = connected(&mut guest, Offers::ALL);
    load(&mut guest, &mut disk);
    old.take(&mut guest);
    let resumed = suspend(&mut guest, &mut disk, Outcome::Restored);
    let said = resumed.faults.first().unwrap().cause.to_string();
    assert!(said.contains("the device was taken away"), "{said}");
    let mut answered = 0;
    while let Some(answer) = disk.answer(&mut guest, &mut []) {
        assert_eq!(answer.result, Err(Failure::Gone));
        answered += 1;
    }
    assert_eq!(answered, 25);
    assert!(disk.retire(&mut guest));
    assert_eq!(guest.pages_out(), 0, "pages are lost");
}

/// A backend with persistent grants never unmaps, so Xen's dirty log knows nothing of what it wrote.
#[test]
fn what_a_backend_wrote_to_a_page_it_keeps_mapped_is_sent_with_the_memory() {
    for persistent in [false, true] {
        let mut guest = Guest::default();
        let offers = Offers {
            persistent,
            ..Offers::ALL
        };
        let (mut disk, mut old) = connected(&mut guest, offers);
        old.disk[..8192].copy_from_slice(&fill(9, 8192));
        // Answered and collected before the suspend, answered before it, and answered too late.
        for (tag, sector) in [(1, 0), (2, 0), (3, 8)] {
            disk.submit(
                &mut guest,
                tag,
                Request::Read {
                    sector,
                    bytes: 4096,
                },
            )
            .unwrap();
        }
        old.take(&mut guest);
        old.answer_one(&mut guest, 0);
        disk.poll(&mut guest).unwrap();
        old.answer_one(&mut guest, 0);
        {
            use migration::{Deadline, Participant, Stage};
            let until = Deadline::after(guest.now, std::time::Duration::from_secs(1), "test");
            Participant::suspend(&mut *disk, Stage::Awake, &mut guest, until).unwrap();
            old.answer_one(&mut guest, 0);
            // An event that comes now is of no use.
            disk.poll(&mut guest).unwrap();
            let shared = old.disk.clone();
            guest.migrate();
            let mut new = Blkback::new(&mut guest, 51712, 0, Offers::LEAST);
            new.disk = shared;
            disk.restored(Stage::Awake, &mut guest).unwrap();
            settle(&mut guest, &mut disk, &mut new);
            new.take(&mut guest);
            assert_eq!(new.held.len(), 1, "the one that came too late");
            new.work(&mut guest);
            disk.poll(&mut guest).unwrap();
        }
        let data = fill(9, 8192);
        for (tag, from) in [(1, 0), (2, 0), (3, 4096)] {
            let mut read = vec![0; 4096];
            let answer = disk.answer(&mut guest, &mut read).unwrap();
            assert_eq!((answer.tag, answer.result), (tag, Ok(4096)));
            assert!(
                read == data[from..from + 4096],
                "{persistent}: {tag} is stale"
            );
        }
    }
}

/// A device that is still connecting makes no rings between the suspend and the way back: a restore
/// would find them named and not there.
#[test]
fn between_the_suspend_and_the_way_back_nothing_is_offered() {
    use migration::{Deadline, Participant, Stage};
    let mut guest = Guest::default();
    let mut back = Blkback::new(&mut guest, 51712, 0, Offers::ALL);
    let mut disk = Box::new(Disk::new(51712, Wishes::ALL, Limits::DEFAULT));
    disk.poll(&mut guest).unwrap();
    let until = Deadline::after(guest.now, std::time::Duration::from_secs(1), "test");
    Participant::suspend(&mut *disk, Stage::Awake, &mut guest, until).unwrap();
    back.offer(&mut guest);
    guest.pass(60_000);
    disk.poll(&mut guest).unwrap();
    assert_eq!((disk.phase(), guest.store.log.len()), (Phase::Waiting, 0));
    assert_eq!(guest.grants_out(), 0);
    // The backend was there all the time: on the way back no limit is over.
    disk.undo(Stage::Awake, &mut guest).unwrap();
    for _ in 0..3 {
        back.connect(&mut guest);
        disk.poll(&mut guest).unwrap();
    }
    assert_eq!(disk.phase(), Phase::Connected);
}
