//! A block frontend: [`Blkfront`]. `xen/include/public/io/blkif.h`.
//!
//! What is asked is kept until it is answered: a copy of each request, and its data in pages of the
//! device's own. So a request outlives its backend, and a new one is asked for exactly what the old
//! one had not answered, in pieces that the new one takes.
//!
//! Rings have one page each; the deprecated and the present way to larger ones are left out.

mod ask;
mod connection;
mod info;
mod job;
mod pool;
mod queue;
pub mod wire;

use crate::device::{Device, Driver as _};
use crate::error::Name;
use crate::kernel::{Kernel, PAGE};
use crate::limits::Limits;

pub use self::info::{Flush, Info};
pub use self::job::{Failure, MOST_PAGES};
use self::job::{Job, Jobs, Kind};
use self::pool::Pool;
use self::queue::Queue;
use self::wire::SECTOR;

/// Bytes in the longest request: 256 KiB.
pub const LONGEST: usize = MOST_PAGES * PAGE;

/// What a frontend uses of what its backend offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// At most so many queues; 1 or more.
    pub queues: usize,
    /// Persistent grants.
    pub persistent: bool,
    /// Indirect segments.
    pub indirect: bool,
}

impl Wishes {
    /// All of it.
    pub const ALL: Wishes = Wishes {
        queues: usize::MAX,
        persistent: true,
        indirect: true,
    };
}

/// What a disk is asked to do. Sectors are units of 512 bytes, whatever the disk's own size is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'d> {
    /// Read.
    Read {
        /// The first sector.
        sector: u64,
        /// How much: a multiple of the disk's sector size, at most [`LONGEST`].
        bytes: usize,
    },
    /// Write.
    Write {
        /// The first sector.
        sector: u64,
        /// What: a multiple of the disk's sector size, at most [`LONGEST`]. It is copied.
        data: &'d [u8],
    },
    /// Everything whose write was **answered before** this is asked is on the disk when this is
    /// answered. It is no barrier for what was not answered yet.
    Flush,
    /// The sectors are not needed any more.
    Discard {
        /// The first sector.
        sector: u64,
        /// How many.
        sectors: u64,
        /// No copy of them may be left.
        secure: bool,
    },
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// As many are waiting as the device keeps, or there is no page for its data: take answers, and
    /// ask again.
    Busy,
    /// It has never been connected, or is gone.
    NotReady,
    /// It can never be done.
    Bad(Failure),
}

/// The answer to a request: one for each that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request's tag.
    pub tag: u64,
    /// Bytes read or written, 0 for a flush or discard; or why not.
    pub result: Result<usize, Failure>,
}

/// What stands behind a [`Blkfront`].
pub struct Disk<K: Kernel, const QUEUES: usize, const JOBS: usize, const PAGES: usize> {
    wishes: Wishes,
    /// As the last backend described it.
    info: Option<Info>,
    accepts: bool,
    /// Queues that the backend was offered; `active` when it has connected.
    offered: usize,
    queues: [Queue<K>; QUEUES],
    active: usize,
    turn: usize,
    jobs: Jobs<JOBS>,
    pool: Pool<K, PAGES>,
    /// Times that Xen or the kernel gave no grant.
    starved: u64,
}

/// A disk: at most `QUEUES` rings of 32 requests, `JOBS` requests that wait or are in flight or
/// whose answer was not taken, and `PAGES` pages of data. `PAGES` has to be at least
/// [`MOST_PAGES`] for the longest request.
pub type Blkfront<K, const QUEUES: usize = 4, const JOBS: usize = 64, const PAGES: usize = 256> =
    Device<K, Disk<K, QUEUES, JOBS, PAGES>>;

impl<K: Kernel, const QUEUES: usize, const JOBS: usize, const PAGES: usize>
    Blkfront<K, QUEUES, JOBS, PAGES>
{
    /// The device `device/vbd/<number>`. Nothing is done before the first [`poll`](Device::poll).
    pub const fn new(number: u32, wishes: Wishes, limits: Limits) -> Self {
        const { assert!(QUEUES > 0 && QUEUES <= 8 && PAGES <= u16::MAX as usize) };
        let disk = Disk {
            wishes,
            info: None,
            accepts: false,
            offered: 0,
            queues: [const { Queue::new() }; QUEUES],
            active: 0,
            turn: 0,
            jobs: Jobs::new(),
            pool: Pool::new(),
            starved: 0,
        };
        Device::with(number, disk, limits)
    }

    /// The disk as its last backend described it. `None` before it was first connected.
    pub fn info(&self) -> Option<&Info> {
        self.driver.info.as_ref()
    }

    /// Takes a request. It goes to the backend now, or when there is room in a ring, or a backend.
    /// Its [answer](Self::answer) has the `tag`.
    ///
    /// # Errors
    /// It was not taken, and there will be no answer.
    pub fn submit(
        &mut self,
        kernel: &mut K,
        tag: u64,
        request: Request<'_>,
    ) -> Result<(), Rejected> {
        self.driver.enter(kernel, self.name(), tag, request)?;
        if let Some(peer) = self.may_ask() {
            self.driver.ask(kernel, &peer);
        }
        Ok(())
    }

    /// Takes the next answer, if there is one; [`poll`](Device::poll) collects them. For a read,
    /// what was read is copied to `into`: as much as it can hold.
    pub fn answer(&mut self, kernel: &mut K, into: &mut [u8]) -> Option<Answer> {
        let name = self.name();
        let answer = self.driver.answer(kernel, name, into)?;
        // Its pages may be what another waits for.
        if let Some(peer) = self.may_ask() {
            self.driver.ask(kernel, &peer);
        }
        Some(answer)
    }

    /// Requests that were taken and whose answers were not.
    pub fn waiting(&self) -> usize {
        self.driver.jobs.count()
    }

    /// Requests in the rings. A long one may be several.
    pub fn in_flight(&self) -> usize {
        self.driver.in_flight()
    }

    /// How many queues are in use.
    pub fn queues(&self) -> usize {
        self.driver.active
    }

    /// Pages that a backend keeps mapped although their use is over, and pages that were lost so.
    pub fn lingering(&self) -> (usize, u64) {
        self.driver.pool.lingering()
    }
}

impl<K: Kernel, const QUEUES: usize, const JOBS: usize, const PAGES: usize>
    Disk<K, QUEUES, JOBS, PAGES>
{
    fn enter(
        &mut self,
        kernel: &mut K,
        name: Name,
        tag: u64,
        request: Request<'_>,
    ) -> Result<(), Rejected> {
        let info = self.info.filter(|_| self.accepts);
        let info = info.ok_or(Rejected::NotReady)?;
        let (kind, sector, bytes, data): (_, _, _, &[u8]) = match request {
            Request::Read { sector, bytes } => (Kind::Read, sector, bytes, &[]),
            Request::Write { sector, data } => (Kind::Write, sector, data.len(), data),
            Request::Flush => (Kind::Flush, 0, 0, &[]),
            Request::Discard { sector, secure, .. } => (Kind::Discard { secure }, sector, 0, &[]),
        };
        let sectors = match request {
            Request::Discard { sectors: 0, .. } => return Err(Rejected::Bad(Failure::Length)),
            Request::Discard { sectors, .. } => sectors,
            Request::Flush => 0,
            _ if bytes == 0 || bytes > LONGEST => return Err(Rejected::Bad(Failure::Length)),
            _ if bytes % SECTOR != 0 => return Err(Rejected::Bad(Failure::Unaligned)),
            _ => (bytes / SECTOR) as u64,
        };
        Job::check(kind, sector, sectors, &info).map_err(Rejected::Bad)?;
        let count = Job::pages_of(kind, sectors);
        let place = self.jobs.free().ok_or(Rejected::Busy)?;
        let mut pages = [0; MOST_PAGES];
        self.take_pages(kernel, name, &mut pages[..count])?;
        for (page, data) in pages.iter().zip(data.chunks(PAGE)) {
            self.pool.write(kernel, *page, 0, data);
        }
        self.jobs
            .enter(place, tag, kind, (sector, sectors), &pages[..count]);
        Ok(())
    }

    /// Takes all, or none.
    fn take_pages(
        &mut self,
        kernel: &mut K,
        name: Name,
        pages: &mut [u16],
    ) -> Result<(), Rejected> {
        if self.pool.free() < pages.len() {
            return Err(Rejected::Busy);
        }
        for i in 0..pages.len() {
            let Some(page) = self.pool.take(kernel) else {
                for &page in &pages[..i] {
                    self.give(kernel, name, page);
                }
                return Err(Rejected::Busy);
            };
            pages[i] = page;
        }
        Ok(())
    }

    fn give(&mut self, kernel: &mut K, name: Name, page: u16) {
        let keep = self.persistent();
        self.pool.put(kernel, name, page, keep);
    }

    /// Whether grants outlive their requests.
    fn persistent(&self) -> bool {
        self.active > 0 && self.wishes.persistent && self.info.is_some_and(|i| i.persistent)
    }

    fn answer(&mut self, kernel: &mut K, name: Name, into: &mut [u8]) -> Option<Answer> {
        let job = self.jobs.take_done()?;
        let bytes = match job.kind {
            Kind::Read | Kind::Write => job.sectors as usize * SECTOR,
            Kind::Flush | Kind::Discard { .. } => 0,
        };
        let pages = &job.pages[..job.count];
        if job.kind == Kind::Read && job.result().is_ok() {
            let len = bytes.min(into.len());
            for (page, into) in pages.iter().zip(into[..len].chunks_mut(PAGE)) {
                self.pool.read(kernel, *page, into);
            }
        }
        for &page in pages {
            self.give(kernel, name, page);
        }
        Some(Answer {
            tag: job.tag,
            result: job.result().map(|()| bytes),
        })
    }
}
