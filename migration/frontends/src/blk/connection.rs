//! A disk and its backend: connected, served, parted.

use super::info::{Flush, Info};
use super::job::{bits, Failure, Job, Kind};
use super::queue::Part;
use super::wire::{OKAY, PROTOCOL, UNSUPPORTED};
use super::Disk;
use crate::device::Driver;
use crate::error::{Lie, Name, Problem};
use crate::kernel::Kernel;
use crate::keys;
use crate::path;
use crate::peer::Peer;
use crate::state::State;

impl<K: Kernel, const QUEUES: usize, const JOBS: usize, const PAGES: usize> Driver<K>
    for Disk<K, QUEUES, JOBS, PAGES>
{
    const KIND: &'static str = "vbd";
    const OFFERED: State = State::Initialised;

    fn offer(&mut self, kernel: &mut K, peer: &Peer, again: bool) -> Result<(), Problem> {
        let wanted = self.wishes.queues.clamp(1, QUEUES);
        let count = keys::queues(kernel.tree(), peer.backend(), wanted)?;
        let stale: &[&str] = if again { &keys::STALE } else { &[] };
        keys::announce(kernel.tree(), peer.dir(), count, stale)?;
        for index in 0..count {
            self.queues[index].offer(kernel, peer, count, index)?;
        }
        path::put(kernel.tree(), peer.dir(), "protocol", PROTOCOL)?;
        let persistent = u8::from(self.wishes.persistent);
        path::put(kernel.tree(), peer.dir(), "feature-persistent", persistent)?;
        // Active only when the backend is connected: `connected` knows what it can do.
        self.active = 0;
        self.turn = 0;
        self.offered = count;
        Ok(())
    }

    fn connected(&mut self, kernel: &mut K, peer: &Peer) -> Result<(), Problem> {
        let info = Info::read(kernel.tree(), peer.backend())?;
        if self.active > 0 {
            // Only what can change under a connection does: the disk's size.
            if let Some(known) = &mut self.info {
                known.sectors = info.sectors;
            }
            return Ok(());
        }
        self.info = Some(info);
        self.active = self.offered;
        self.accepts = true;
        self.jobs
            .fail_if(|job| Job::check(job.kind, job.sector, job.sectors, &info).err());
        Ok(())
    }

    fn serve(&mut self, kernel: &mut K, peer: &Peer, may_ask: bool) -> Result<(), Lie> {
        for index in 0..self.active {
            while let Some((part, status)) = self.queues[index].next(kernel)? {
                self.settle(kernel, peer.name(), part, status);
            }
        }
        if may_ask {
            self.ask(kernel, peer);
        }
        Ok(())
    }

    fn rest(&mut self, kernel: &mut K) {
        for page in self.jobs.unread() {
            self.pool.touch(kernel, page);
        }
    }

    fn disconnect(&mut self, kernel: &mut K, name: Name) {
        // None is granted for longer than its request from here on.
        self.active = 0;
        for queue in &mut self.queues {
            let pool = &mut self.pool;
            let ring = queue.close(kernel, |kernel, page| pool.put(kernel, name, page, false));
            if let Some(grant) = ring {
                pool.end(kernel, name, grant);
            }
        }
        let jobs = &mut self.jobs;
        self.pool.end_all(kernel, name, |page| {
            jobs.fail_if(|job| {
                let lost = job.pages[..job.count].contains(&page);
                lost.then_some(Failure::NoMemory)
            });
        });
        jobs.ask_again();
    }

    fn in_flight(&self) -> usize {
        self.queues.iter().map(|queue| queue.in_flight()).sum()
    }

    fn gone(&mut self) {
        self.accepts = false;
        self.jobs.fail_if(|_| Some(Failure::Gone));
    }

    fn retry(&mut self, kernel: &mut K, name: Name) {
        self.pool.retry(kernel, name);
    }

    fn retire(&mut self, kernel: &mut K, name: Name) -> bool {
        self.pool.retire(kernel, name)
    }
}

impl<K: Kernel, const QUEUES: usize, const JOBS: usize, const PAGES: usize>
    Disk<K, QUEUES, JOBS, PAGES>
{
    /// The backend has answered a request.
    fn settle(&mut self, kernel: &mut K, name: Name, part: Part, status: i16) {
        if let Some(table) = part.table {
            self.give(kernel, name, table);
        }
        let Some(job) = self.jobs.get(part.job).copied() else {
            return;
        };
        if !self.persistent() {
            let pages = job.pages[..job.count].iter();
            for &page in pages.skip(part.first).take(part.count) {
                self.pool.unshare(kernel, page);
            }
        }
        let result = match status {
            OKAY => Ok(()),
            UNSUPPORTED => Err(Failure::Unsupported),
            _ => Err(Failure::Failed),
        };
        if let (Err(Failure::Unsupported), Some(info)) = (result, &mut self.info) {
            // What it offered and does not do is not asked of it again.
            match job.kind {
                Kind::Flush => info.flush = Flush::None,
                Kind::Discard { secure: true } => info.discard_secure = false,
                Kind::Discard { secure: false } => info.discard = false,
                Kind::Read | Kind::Write => {}
            }
        }
        let pages = bits(part.first, part.count);
        self.jobs.settle(part.job, pages, result);
    }
}
