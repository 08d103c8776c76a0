//! From what waits to requests in the rings.

use super::info::Flush;
use super::job::{bits, Job, Kind, MOST_PAGES};
use super::queue::Part;
use super::wire::{self, op, Head, Segment, DIRECT, SEGMENT};
use super::Disk;
use crate::error::Problem;
use crate::kernel::{Access, Kernel};
use crate::peer::Peer;

/// Pages of a job that go into one request.
struct Run {
    first: usize,
    count: usize,
    segments: [Segment; MOST_PAGES],
    /// The page for the segments, if they do not fit into the request, and its grant.
    table: Option<(u16, u32)>,
}

impl<K: Kernel, const QUEUES: usize, const JOBS: usize, const PAGES: usize>
    Disk<K, QUEUES, JOBS, PAGES>
{
    /// Writes requests to the rings, the earliest first, until nothing waits or nothing has room.
    pub(super) fn ask(&mut self, kernel: &mut K, peer: &Peer) {
        while let Some(job) = self.jobs.next() {
            let active = self.active.max(1);
            let in_turn = (0..self.active).map(|i| (self.turn + i) % active);
            let Some(queue) = in_turn.into_iter().find(|&i| self.queues[i].has_room()) else {
                break;
            };
            if let Err(problem) = self.ask_one(kernel, peer, job, queue) {
                self.starved += 1;
                if self.starved.is_power_of_two() {
                    log::warn!("{}: a request has to wait: {problem}", peer.name());
                }
                break;
            }
            self.turn = queue + 1;
        }
        for queue in &mut self.queues {
            queue.push(kernel);
        }
    }

    /// Writes one request for the job to the ring. An error leaves nothing in it.
    fn ask_one(
        &mut self,
        kernel: &mut K,
        peer: &Peer,
        at: usize,
        queue: usize,
    ) -> Result<(), Problem> {
        let Some(job) = self.jobs.get(at).copied() else {
            return Ok(());
        };
        let flush = self.info.map(|info| info.flush);
        let operation = match job.kind {
            Kind::Read => op::READ,
            Kind::Write => op::WRITE,
            Kind::Discard { .. } => op::DISCARD,
            Kind::Flush if flush == Some(Flush::Barrier) => op::BARRIER,
            Kind::Flush => op::FLUSH,
        };
        let run = match job.count {
            0 => Run {
                first: 0,
                count: 0,
                segments: [Segment::default(); MOST_PAGES],
                table: None,
            },
            _ => self.share(kernel, peer, &job, operation)?,
        };
        let pages = (run.first, run.count.max(1));
        let mut part = Part::new(operation, at, pages);
        part.table = run.table.map(|(page, _)| page);
        // Below 64 Ki, as libxl numbers disks.
        let handle = peer.name().number as u16;
        self.queues[queue].put(kernel, part, |id| {
            let head = Head {
                id,
                handle,
                sector: job.sectors_of(run.first).0,
            };
            match (job.kind, run.table) {
                (Kind::Discard { secure }, _) => wire::discard(head, job.sectors, secure),
                (_, Some((_, page))) => wire::indirect(operation, head, run.count as u16, page),
                (_, None) => wire::direct(operation, head, &run.segments[..run.count]),
            }
        });
        if let Some(job) = self.jobs.get_mut(at) {
            job.sent(bits(pages.0, pages.1));
        }
        Ok(())
    }

    /// How many segments one request may have.
    fn most_segments(&self) -> usize {
        let offered = self.info.map_or(0, |info| info.indirect_segments);
        match self.wishes.indirect {
            true => (offered as usize).clamp(DIRECT, MOST_PAGES),
            false => DIRECT,
        }
    }

    /// Lets the backend use the next pages of a job: as many as one request takes, and grants can
    /// be had for.
    fn share(
        &mut self,
        kernel: &mut K,
        peer: &Peer,
        job: &Job,
        operation: u8,
    ) -> Result<Run, Problem> {
        let persistent = self.persistent();
        // A backend with persistent grants maps every page for writing.
        let access = |fills: bool| match fills || persistent {
            true => Access::ReadWrite,
            false => Access::ReadOnly,
        };
        let (first, mut count) = job.next(self.most_segments()).unwrap_or((0, 0));
        let mut table = match count > DIRECT {
            true => self.table(kernel, peer, access(false)),
            false => None,
        };
        if table.is_none() {
            count = count.min(DIRECT);
        }
        let fills = operation == op::READ;
        let mut segments = [Segment::default(); MOST_PAGES];
        let mut shared = 0;
        for segment in &mut segments[..count] {
            let page = job.pages[first + shared];
            let grant = self.pool.share(kernel, page, peer.domain(), access(fills));
            match grant {
                Ok(grant) => {
                    let (_, sectors) = job.sectors_of(first + shared);
                    segment.grant = grant;
                    segment.last = (sectors - 1) as u8;
                    shared += 1;
                }
                Err(problem) if shared == 0 => {
                    self.drop_table(kernel, peer, &mut table);
                    return Err(problem);
                }
                // A shorter request, and the rest in another.
                Err(_) => break,
            }
        }
        count = shared;
        if count <= DIRECT {
            self.drop_table(kernel, peer, &mut table);
        }
        if let Some((page, _)) = table {
            for (i, segment) in segments[..count].iter().enumerate() {
                self.pool
                    .write(kernel, page, i * SEGMENT, &segment.encode());
            }
        }
        Ok(Run {
            first,
            count,
            segments,
            table,
        })
    }

    /// A page for segments, if there is one to be had; without it a request is only shorter.
    fn table(&mut self, kernel: &mut K, peer: &Peer, access: Access) -> Option<(u16, u32)> {
        let page = self.pool.take(kernel)?;
        match self.pool.share(kernel, page, peer.domain(), access) {
            Ok(grant) => Some((page, grant)),
            Err(_) => {
                self.give(kernel, peer.name(), page);
                None
            }
        }
    }

    fn drop_table(&mut self, kernel: &mut K, peer: &Peer, table: &mut Option<(u16, u32)>) {
        if let Some((page, _)) = table.take() {
            self.give(kernel, peer.name(), page);
        }
    }
}
