//! One ring of a disk, and the copy of each request that is in it.

use super::wire::{op, Response, RESPONSE, SLOT};
use crate::error::{Lie, Problem};
use crate::front::{slots, Front};
use crate::kernel::Kernel;
use crate::keys;
use crate::path;
use crate::peer::Peer;

/// Requests in a ring.
const PARTS: usize = slots(SLOT) as usize;

/// A request in the ring: a part of a job, or all of it.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    id: u64,
    pub(crate) operation: u8,
    pub(crate) job: usize,
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// The page with its segments, if it is an indirect one.
    pub(crate) table: Option<u16>,
}

/// A ring with its event channel.
pub(crate) struct Queue<K: Kernel> {
    ring: Option<Front<K>>,
    port: Option<K::Port>,
    parts: [Option<Part>; PARTS],
    /// Requests made, for numbers that never come twice.
    made: u64,
}

impl<K: Kernel> Queue<K> {
    pub(crate) const fn new() -> Self {
        Queue {
            ring: None,
            port: None,
            parts: [None; PARTS],
            made: 0,
        }
    }

    /// Makes the ring and says in `dir` where it is.
    pub(crate) fn offer(
        &mut self,
        kernel: &mut K,
        peer: &Peer,
        count: usize,
        index: usize,
    ) -> Result<(), Problem> {
        let dir = keys::folder(peer.dir(), count, index)?;
        let ring = self
            .ring
            .insert(Front::new(kernel, peer.domain(), "blk", SLOT)?);
        let reference = ring.reference(kernel);
        let port = self.port.insert(kernel.open(peer.domain())?);
        let number = kernel.number(port);
        path::put(kernel.tree(), dir.as_str(), "ring-ref", reference)?;
        path::put(kernel.tree(), dir.as_str(), "event-channel", number)
    }

    /// Whether one more request has room.
    pub(crate) fn has_room(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.room() > 0)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.parts.iter().flatten().count()
    }

    /// Writes a request, which `encode` makes for its number. The caller knows that there is room.
    pub(crate) fn put(
        &mut self,
        kernel: &mut K,
        mut part: Part,
        encode: impl FnOnce(u64) -> [u8; SLOT],
    ) {
        let free = self.parts.iter().position(Option::is_none);
        let (Some(at), Some(ring)) = (free, &mut self.ring) else {
            return;
        };
        self.made += 1;
        part.id = self.made << 8 | at as u64;
        self.parts[at] = Some(part);
        ring.put(kernel, &encode(part.id));
    }

    /// Publishes what was written.
    pub(crate) fn push(&mut self, kernel: &mut K) {
        let Some(ring) = &mut self.ring else { return };
        if ring.push(kernel) {
            if let Some(port) = &self.port {
                kernel.notify(port);
            }
        }
    }

    /// The next answer: the request and its status. `None` when there is none left, with the
    /// backend asked for an event at the next one.
    pub(crate) fn next(&mut self, kernel: &mut K) -> Result<Option<(Part, i16)>, Lie> {
        let Some(ring) = &mut self.ring else {
            return Ok(None);
        };
        if ring.available(kernel)? == 0 && !ring.rearm(kernel)? {
            if let Some(port) = &self.port {
                kernel.unmask(port);
            }
            return Ok(None);
        }
        let mut bytes = [0; RESPONSE];
        ring.take(kernel, &mut bytes);
        let response = Response::decode(&bytes);
        let id = response.id;
        let place = self.parts.get_mut((id & 0xff) as usize);
        let place = place.filter(|place| place.is_some_and(|part| part.id == id));
        let place = place.ok_or(Lie::Id { ring: "blk", id })?;
        let Some(part) = *place else {
            return Err(Lie::Id { ring: "blk", id });
        };
        let answered = response.operation;
        // Backends differ in what they repeat of an indirect request.
        let indirect = part.table.is_some() && answered == op::INDIRECT;
        if answered != part.operation && !indirect {
            let asked = part.operation;
            return Err(Lie::Operation { asked, answered });
        }
        *place = None;
        Ok(Some((part, response.status)))
    }

    /// Gives the ring up: its grant, and the tables of what was in flight.
    pub(crate) fn close(
        &mut self,
        kernel: &mut K,
        mut table: impl FnMut(&mut K, u16),
    ) -> Option<K::Grant> {
        if let Some(port) = self.port.take() {
            kernel.close(port);
        }
        for part in &mut self.parts {
            if let Some(page) = part.take().and_then(|part| part.table) {
                table(kernel, page);
            }
        }
        self.ring.take().map(Front::into_page)
    }
}

impl Part {
    /// A request that [`Queue::put`] numbers.
    pub(crate) fn new(operation: u8, job: usize, (first, count): (usize, usize)) -> Part {
        Part {
            id: 0,
            operation,
            job,
            first,
            count,
            table: None,
        }
    }
}
