//! The store: numbered records on the disk, one behind the other, round and round. A record is
//! acknowledged when the disk has flushed it.

use frontends::blk::{Answer, Failure, Flush, Rejected, Request};

use super::links::Links;
use super::{record, Disk};

/// The most places that are used, so that finding the end takes no longer than a few seconds.
const PLACES: u64 = 2048;
/// Bytes of the largest sector.
const SECTOR: usize = 4096;

/// What a request to the disk was for; in the low bits of its tag.
const SCAN: u64 = 0;
const WRITE: u64 = 1;
const FLUSH: u64 = 2;
const READ: u64 = 3;

/// How far a record is that is being appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    ToWrite,
    Writing,
    ToFlush,
    Flushing,
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The end is being looked for: all places before this one hold records.
    Scanning { next: u64, asked: bool },
    /// It can be appended to.
    Ready,
    /// Not again before the disk is connected anew.
    Broken(Failure),
}

/// How an append, or the reading of a record, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The record of this number is on the disk.
    Appended(u64),
    /// It may be, or not.
    NotAppended(Failure),
    /// The record of this number was read: [`Store::text`] has it.
    Read(u64),
    /// It could not be read, or is not what was written.
    Damaged(u64),
}

/// The store.
pub struct Store {
    state: State,
    /// The number of the next record.
    next: u64,
    step: Option<Step>,
    /// The last sector that was read, or written.
    sector: [u8; SECTOR],
    /// Bytes of it: what the disk calls a sector.
    size: usize,
    /// What is to be written, until the disk has taken it.
    text: [u8; record::LONGEST],
    len: usize,
    /// Which of the disk's connections this is about.
    connection: u64,
}

impl Store {
    /// One whose end is not known.
    pub const fn new() -> Store {
        Store {
            state: State::Scanning {
                next: 0,
                asked: false,
            },
            next: 0,
            step: None,
            sector: [0; SECTOR],
            size: 512,
            text: [0; record::LONGEST],
            len: 0,
            connection: 0,
        }
    }

    /// The number of the next record, if the end of the store is known.
    pub fn next(&self) -> Option<u64> {
        (self.state == State::Ready).then_some(self.next)
    }

    /// Why it cannot be used, if it is broken.
    pub fn failure(&self) -> Option<Failure> {
        match self.state {
            State::Broken(failure) => Some(failure),
            _ => None,
        }
    }

    /// The lowest number of which the record may still be there.
    pub fn first(&self, disk: &Disk) -> u64 {
        self.next.saturating_sub(places(disk).saturating_sub(1))
    }

    /// Takes a record to be appended. False: another one is under way, or the store is not ready.
    pub fn append(&mut self, text: &[u8]) -> bool {
        if self.state != State::Ready || self.step.is_some() {
            return false;
        }
        self.len = text.len().min(record::LONGEST);
        self.text[..self.len].copy_from_slice(&text[..self.len]);
        self.step = Some(Step::ToWrite);
        true
    }

    /// Asks for the record of this number. False: the disk is busy.
    pub fn read(&mut self, links: &mut Links, disk: &mut Disk, number: u64) -> bool {
        let read = Request::Read {
            sector: place(disk, number),
            bytes: sector_size(disk),
        };
        disk.submit(links, number << 2 | READ, read).is_ok()
    }

    /// The text of the record that was [read](Done::Read) last.
    pub fn text(&self) -> &[u8] {
        record::read(&self.sector[..self.size]).map_or(&[], |(_, text)| text)
    }

    /// Does what can be done now, and says what was done; none: nothing more, for now.
    pub fn poll(&mut self, links: &mut Links, disk: &mut Disk) -> Option<Done> {
        let before = core::mem::replace(&mut self.connection, disk.connections());
        if before != self.connection && self.failure().is_some() {
            self.state = State::Scanning {
                next: 0,
                asked: false,
            };
        }
        loop {
            self.ask(links, disk);
            let answer = disk.answer(links, &mut self.sector)?;
            if let Some(done) = self.answered(disk, answer) {
                return Some(done);
            }
        }
    }

    /// Asks the disk for what is next. What it does not take now is asked for again.
    fn ask(&mut self, links: &mut Links, disk: &mut Disk) {
        if disk.info().is_none() {
            return;
        }
        self.size = sector_size(disk);
        if let State::Scanning { next, asked: false } = self.state {
            let read = Request::Read {
                sector: place(disk, next),
                bytes: sector_size(disk),
            };
            if disk.submit(links, next << 2 | SCAN, read).is_ok() {
                self.state = State::Scanning { next, asked: true };
            }
        }
        let submitted = match self.step {
            Some(Step::ToWrite) => {
                let sector = &mut self.sector[..self.size];
                record::write(sector, self.next, &self.text[..self.len]);
                let write = Request::Write {
                    sector: place(disk, self.next),
                    data: sector,
                };
                disk.submit(links, self.next << 2 | WRITE, write)
            }
            Some(Step::ToFlush) => disk.submit(links, self.next << 2 | FLUSH, Request::Flush),
            _ => return,
        };
        match (submitted, self.step) {
            (Ok(()), Some(Step::ToWrite)) => self.step = Some(Step::Writing),
            (Ok(()), _) => self.step = Some(Step::Flushing),
            (Err(Rejected::Bad(failure)), _) => self.state = State::Broken(failure),
            (Err(_), _) => {}
        }
    }

    fn answered(&mut self, disk: &Disk, answer: Answer) -> Option<Done> {
        let number = answer.tag >> 2;
        match (answer.tag & 3, answer.result) {
            (SCAN, result) => {
                self.scanned(disk, number, result.err());
                None
            }
            (READ, Ok(_)) => {
                let is_it =
                    record::read(&self.sector[..self.size]).is_some_and(|(is, _)| is == number);
                Some(if is_it {
                    Done::Read(number)
                } else {
                    Done::Damaged(number)
                })
            }
            (READ, Err(_)) => Some(Done::Damaged(number)),
            // A disk without the operation has no cache.
            (WRITE, Ok(_)) if disk.info().is_some_and(|i| i.flush != Flush::None) => {
                self.step = Some(Step::ToFlush);
                None
            }
            (_, Ok(_)) => {
                self.step = None;
                self.next += 1;
                Some(Done::Appended(number))
            }
            // The next one takes its place.
            (_, Err(failure)) => {
                self.step = None;
                Some(Done::NotAppended(failure))
            }
        }
    }

    /// A place was read while the end was looked for: it holds the next record, or the end is here.
    fn scanned(&mut self, disk: &Disk, at: u64, failure: Option<Failure>) {
        if let Some(failure) = failure {
            self.state = State::Broken(failure);
            return;
        }
        let found = record::read(&self.sector[..self.size]).map(|(number, _)| number);
        let follows = found.filter(|&number| match at {
            0 => true,
            _ => number == self.next,
        });
        match follows {
            Some(number) => {
                self.next = number + 1;
                self.state = State::Scanning {
                    next: at + 1,
                    asked: false,
                };
                if at + 1 == places(disk) {
                    self.state = State::Ready;
                }
            }
            None => self.state = State::Ready,
        }
    }
}

/// Bytes in a sector of the disk; a record takes one.
fn sector_size(disk: &Disk) -> usize {
    disk.info()
        .map_or(512, |info| info.sector_size as usize)
        .clamp(512, SECTOR)
}

fn places(disk: &Disk) -> u64 {
    let bytes = disk.info().map_or(0, |info| info.sectors) * 512;
    (bytes / sector_size(disk) as u64).clamp(1, PLACES)
}

/// Where the record of this number is, in units of 512 bytes.
fn place(disk: &Disk, number: u64) -> u64 {
    number % places(disk) * (sector_size(disk) / 512) as u64
}
