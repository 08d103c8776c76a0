//! Every pair of suspends, and one more, with the backend and the frontend stopped at different points
//! of their work before each: each request is answered once, and what was answered as done is on
//! the disk.

mod support;

use std::collections::BTreeMap;

use frontends::blk::{Blkfront, Failure, Request, Wishes};
use frontends::{Limits, Phase};
use migration::{Deadline, Participant, Stage};
use support::blkback::{Blkback, Offers};
use support::Guest;

type Disk = Blkfront<Guest, 4, 32, 256>;

/// How a suspend ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The call was not made.
    Undone,
    Cancelled,
    /// A backend that offers all.
    Restored,
    /// A backend that offers the least.
    Fewer,
    /// The new domain has the device, and it is taken away before its backend is ready.
    GoneBeforeItIsBack,
}

const OUTCOMES: [Outcome; 5] = [
    Outcome::Undone,
    Outcome::Cancelled,
    Outcome::Restored,
    Outcome::Fewer,
    Outcome::GoneBeforeItIsBack,
];

/// How far the work has come when the suspend begins.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Requests that the backend has answered.
    answered: usize,
    /// The frontend has seen the answers.
    seen: bool,
    /// Those answered after the frontend was suspended.
    late: usize,
}

const PROGRESS: [Progress; 5] = [
    Progress {
        answered: 0,
        seen: false,
        late: 0,
    },
    Progress {
        answered: 2,
        seen: true,
        late: 0,
    },
    Progress {
        answered: 3,
        seen: false,
        late: 2,
    },
    Progress {
        answered: 0,
        seen: false,
        late: 100,
    },
    Progress {
        answered: 100,
        seen: true,
        late: 0,
    },
];

struct Life {
    guest: Guest,
    disk: Box<Disk>,
    back: Blkback,
    asked: BTreeMap<u64, Option<(u64, Vec<u8>)>>,
    answered: BTreeMap<u64, Result<usize, Failure>>,
    next: u64,
}

impl Life {
    fn new() -> Life {
        let mut guest = Guest::default();
        let back = Blkback::new(&mut guest, 51712, 0, Offers::ALL);
        let disk = Box::new(Disk::new(51712, Wishes::ALL, Limits::DEFAULT));
        let mut life = Life {
            guest,
            disk,
            back,
            asked: BTreeMap::new(),
            answered: BTreeMap::new(),
            next: 0,
        };
        life.connect();
        life
    }

    fn connect(&mut self) {
        self.back.offer(&mut self.guest);
        for _ in 0..4 {
            self.disk.poll(&mut self.guest).unwrap();
            self.back.connect(&mut self.guest);
        }
        assert_eq!(self.disk.phase(), Phase::Connected);
    }

    /// A long write, a short one, a read and a flush; each write to sectors of its own.
    fn load(&mut self) {
        for bytes in [52 * 1024, 512] {
            self.next += 1;
            let sector = self.next * 104;
            let data: Vec<u8> = (0..bytes)
                .map(|i| (i / 512) as u8 ^ self.next as u8)
                .collect();
            let write = Request::Write {
                sector,
                data: &data,
            };
            self.disk.submit(&mut self.guest, self.next, write).unwrap();
            self.asked.insert(self.next, Some((sector, data)));
        }
        for request in [
            Request::Read {
                sector: 0,
                bytes: 60 * 1024,
            },
            Request::Flush,
        ] {
            self.next += 1;
            self.disk
                .submit(&mut self.guest, self.next, request)
                .unwrap();
            self.asked.insert(self.next, None);
        }
    }

    fn collect(&mut self) {
        while let Some(answer) = self.disk.answer(&mut self.guest, &mut []) {
            let before = self.answered.insert(answer.tag, answer.result);
            assert_eq!(before, None, "{answer:?} comes again");
        }
    }

    fn advance(&mut self, progress: Progress) {
        self.back.take(&mut self.guest);
        for _ in 0..progress.answered {
            self.back.answer_one(&mut self.guest, 0);
        }
        if progress.seen {
            self.disk.poll(&mut self.guest).unwrap();
            self.collect();
        }
    }

    /// False if the device is gone.
    fn suspend(&mut self, outcome: Outcome, late: usize) -> bool {
        let until = Deadline::after(self.guest.now, Limits::DEFAULT.offer, "test");
        let (disk, guest) = (&mut *self.disk, &mut self.guest);
        Participant::suspend(disk, Stage::Awake, guest, until).unwrap();
        for _ in 0..late {
            self.back.answer_one(guest, 0);
        }
        match outcome {
            Outcome::Undone => disk.undo(Stage::Awake, guest).unwrap(),
            Outcome::Cancelled => disk.cancelled(Stage::Awake, guest).unwrap(),
            Outcome::Restored | Outcome::Fewer | Outcome::GoneBeforeItIsBack => {
                let offers = match outcome {
                    Outcome::Fewer => Offers::LEAST,
                    _ => Offers::ALL,
                };
                guest.migrate();
                let mut new = Blkback::new(guest, 51712, 1, offers);
                new.disk = std::mem::take(&mut self.back.disk);
                self.back = new;
                disk.restored(Stage::Awake, guest).unwrap();
                if outcome == Outcome::GoneBeforeItIsBack {
                    for path in [self.back.path(), self.back.front()] {
                        guest.store.delete(&path);
                    }
                    assert!(disk.is_back(guest).is_err());
                    return false;
                }
                self.connect();
            }
        }
        true
    }

    fn end(mut self, gone: bool) {
        for _ in 0..10 {
            if !gone {
                self.back.work(&mut self.guest);
            }
            let _ = self.disk.poll(&mut self.guest);
            self.collect();
        }
        let (asked, answered): (Vec<_>, Vec<_>) =
            (self.asked.keys().collect(), self.answered.keys().collect());
        assert_eq!(asked, answered);
        for (tag, result) in &self.answered {
            assert!(gone || result.is_ok(), "{tag}: {result:?}");
            if let (Ok(bytes), Some((sector, data))) = (result, &self.asked[tag]) {
                assert_eq!(*bytes, data.len());
                let at = *sector as usize * 512;
                assert!(
                    self.back.disk[at..at + data.len()] == *data,
                    "{tag} is not there"
                );
            }
        }
        assert!(
            self.guest.trespasses.is_empty(),
            "{:?}",
            self.guest.trespasses
        );
    }
}

#[test]
fn every_pair_of_suspends_and_a_third_answers_each_request_once() {
    let mut histories = 0;
    let all = OUTCOMES.into_iter().flat_map(|o| PROGRESS.map(|p| (o, p)));
    let all: Vec<_> = all.collect();
    for (i, &first) in all.iter().enumerate() {
        for (j, &second) in all.iter().enumerate() {
            // The third is another one after each pair.
            let third = all[(i * 7 + j) % all.len()];
            let mut life = Life::new();
            let mut gone = false;
            for (outcome, progress) in [first, second, third] {
                if !gone {
                    life.load();
                    life.advance(progress);
                    gone = !life.suspend(outcome, progress.late);
                }
            }
            life.end(gone);
            histories += 1;
        }
    }
    assert_eq!(histories, 25 * 25);
}
