//! What was asked of a disk, until it has been answered and the answer was taken.

use core::fmt;

use super::info::{Flush, Info};
use super::wire::SECTOR;
use crate::kernel::PAGE;

/// Pages in the longest request.
pub const MOST_PAGES: usize = 64;
/// Sectors of 512 bytes in a page.
const PER_PAGE: u64 = (PAGE / SECTOR) as u64;

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The device is gone, or did not come back in time. Whether it was done is not known.
    Gone,
    /// The backend says that it failed.
    Failed,
    /// The backend does not do this.
    Unsupported,
    /// The disk is read-only.
    ReadOnly,
    /// It reaches beyond the disk's end.
    OutOfRange,
    /// It does not begin and end at multiples of the disk's sector size.
    Unaligned,
    /// No byte, or more than [`LONGEST`](super::LONGEST).
    Length,
    /// The backend died with a page of it mapped, and the kernel had none to save its data to.
    /// Whether it was done is not known.
    NoMemory,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Gone => "the disk is gone",
            Failure::Failed => "the backend says that it failed",
            Failure::Unsupported => "the backend does not do this",
            Failure::ReadOnly => "the disk is read-only",
            Failure::OutOfRange => "beyond the disk's end",
            Failure::Unaligned => "not aligned to the disk's sectors",
            Failure::Length => "empty or too long",
            Failure::NoMemory => "no page to save its data to",
        })
    }
}

impl core::error::Error for Failure {}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Flush,
    Discard { secure: bool },
}

/// A request. Each of its pages, or the whole of a request without pages, is a bit.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    pub(crate) tag: u64,
    /// Earlier requests have lower numbers.
    pub(crate) serial: u64,
    pub(crate) kind: Kind,
    /// In units of 512 bytes.
    pub(crate) sector: u64,
    pub(crate) sectors: u64,
    pub(crate) pages: [u16; MOST_PAGES],
    pub(crate) count: usize,
    /// To be asked for.
    unsent: u64,
    /// Not answered: asked for, or to be.
    open: u64,
    result: Result<(), Failure>,
    /// The place among those that are done.
    done: Option<u64>,
}

/// The bits of `count` pages from `first`.
pub(crate) fn bits(first: usize, count: usize) -> u64 {
    match count {
        0 => 0,
        _ => (u64::MAX >> (64 - count.min(64))) << first,
    }
}

impl Job {
    /// Pages that hold so many sectors of data; none for a request that has no data.
    pub(crate) fn pages_of(kind: Kind, sectors: u64) -> usize {
        match kind {
            Kind::Read | Kind::Write => sectors.div_ceil(PER_PAGE) as usize,
            Kind::Flush | Kind::Discard { .. } => 0,
        }
    }

    /// Whether the disk as it is now can do it at all.
    pub(crate) fn check(kind: Kind, sector: u64, sectors: u64, info: &Info) -> Result<(), Failure> {
        let supported = match kind {
            Kind::Flush if info.flush == Flush::None => false,
            Kind::Flush => return Ok(()),
            Kind::Discard { secure } => info.discard && (!secure || info.discard_secure),
            Kind::Read | Kind::Write => true,
        };
        if !supported {
            return Err(Failure::Unsupported);
        }
        if info.read_only && kind != Kind::Read {
            return Err(Failure::ReadOnly);
        }
        let end = sector.checked_add(sectors).ok_or(Failure::OutOfRange)?;
        if end > info.sectors {
            return Err(Failure::OutOfRange);
        }
        let unit = u64::from(info.sector_size) / SECTOR as u64;
        match sector % unit == 0 && sectors % unit == 0 {
            true => Ok(()),
            false => Err(Failure::Unaligned),
        }
    }

    /// The next pages to ask for, as first and number, at most `limit` of them.
    pub(crate) fn next(&self, limit: usize) -> Option<(usize, usize)> {
        if self.unsent == 0 {
            return None;
        }
        let first = self.unsent.trailing_zeros() as usize;
        let run = (self.unsent >> first).trailing_ones() as usize;
        Some((first, run.min(limit)))
    }

    /// The first sector of a page, and how many of its sectors are used.
    pub(crate) fn sectors_of(&self, page: usize) -> (u64, u64) {
        let before = page as u64 * PER_PAGE;
        (self.sector + before, (self.sectors - before).min(PER_PAGE))
    }

    /// Pages were asked for.
    pub(crate) fn sent(&mut self, bits: u64) {
        self.unsent &= !bits;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done.is_some()
    }

    pub(crate) fn result(&self) -> Result<(), Failure> {
        self.result
    }
}

/// The requests of a disk.
pub(crate) struct Jobs<const JOBS: usize> {
    jobs: [Option<Job>; JOBS],
    asked: u64,
    done: u64,
}

impl<const JOBS: usize> Jobs<JOBS> {
    pub(crate) const fn new() -> Self {
        Jobs {
            jobs: [None; JOBS],
            asked: 0,
            done: 0,
        }
    }

    /// A place for one more.
    pub(crate) fn free(&self) -> Option<usize> {
        self.jobs.iter().position(Option::is_none)
    }

    /// Enters one.
    pub(crate) fn enter(
        &mut self,
        at: usize,
        tag: u64,
        kind: Kind,
        (sector, sectors): (u64, u64),
        pages: &[u16],
    ) {
        let mut held = [0; MOST_PAGES];
        held[..pages.len()].copy_from_slice(pages);
        let all = bits(0, pages.len().max(1));
        self.asked += 1;
        self.jobs[at] = Some(Job {
            tag,
            serial: self.asked,
            kind,
            sector,
            sectors,
            pages: held,
            count: pages.len(),
            unsent: all,
            open: all,
            result: Ok(()),
            done: None,
        });
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Job> {
        self.jobs.get(at)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut Job> {
        self.jobs.get_mut(at)?.as_mut()
    }

    /// The earliest that has something to ask for.
    pub(crate) fn next(&self) -> Option<usize> {
        let waiting = |at: &usize| self.get(*at).is_some_and(|job| job.unsent != 0);
        (0..JOBS)
            .filter(waiting)
            .min_by_key(|&at| self.get(at).map(|job| job.serial))
    }

    /// Pages of a job were answered. A job that failed asks for no more.
    pub(crate) fn settle(&mut self, at: usize, bits: u64, result: Result<(), Failure>) {
        let done = self.done + 1;
        let Some(job) = self.get_mut(at).filter(|job| !job.is_done()) else {
            return;
        };
        job.open &= !bits;
        if job.result.is_ok() {
            job.result = result;
        }
        if job.result.is_err() {
            job.open &= !job.unsent;
            job.unsent = 0;
        }
        if job.open == 0 {
            job.done = Some(done);
            self.done = done;
        }
    }

    /// Ends a job none of whose pages is with a backend.
    pub(crate) fn fail(&mut self, at: usize, why: Failure) {
        self.settle(at, u64::MAX, Err(why));
    }

    /// The backend is no more: what it has not answered is to be asked for again. What it has
    /// answered is not.
    pub(crate) fn ask_again(&mut self) {
        for at in 0..JOBS {
            let Some(job) = self.get_mut(at).filter(|job| !job.is_done()) else {
                continue;
            };
            job.unsent = job.open;
            if let Err(why) = job.result {
                self.fail(at, why);
            }
        }
    }

    /// Ends each that is not done and for which `why` gives a reason.
    pub(crate) fn fail_if(&mut self, mut why: impl FnMut(&Job) -> Option<Failure>) {
        for at in 0..JOBS {
            let open = self.get(at).filter(|job| !job.is_done());
            if let Some(why) = open.and_then(&mut why) {
                self.fail(at, why);
            }
        }
    }

    /// Takes the one that was done first.
    pub(crate) fn take_done(&mut self) -> Option<Job> {
        let done = |at: &usize| self.get(*at).is_some_and(Job::is_done);
        let first = (0..JOBS)
            .filter(done)
            .min_by_key(|&at| self.get(at).and_then(|job| job.done))?;
        self.jobs[first].take()
    }

    /// The pages of reads that are done and were not taken.
    pub(crate) fn unread(&self) -> impl Iterator<Item = u16> + '_ {
        let jobs = self.jobs.iter().flatten();
        let reads = jobs.filter(|job| job.is_done() && job.kind == Kind::Read);
        reads.flat_map(|job| job.pages[..job.count].iter().copied())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.jobs.iter().flatten().count()
    }
}
