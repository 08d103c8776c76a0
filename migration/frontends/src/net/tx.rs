//! Frames to send.

use super::wire::{self, MORE_DATA, MOST_SLOTS, OKAY, TX_RESPONSE, TX_SLOT};
use crate::error::{Lie, Name, Problem};
use crate::front::Front;
use crate::kernel::{Access, Kernel, Memory, PAGE};
use crate::lingering::Lingering;

/// A page that stays granted, for reading, while the connection lives. It holds nothing but frames
/// that this backend has been given to send.
struct Buffer<K: Kernel> {
    grant: K::Grant,
    /// Changes with each use, so that an answer to an earlier one is known.
    use_number: u8,
    busy: bool,
}

/// A ring of frames to send, with at most `BUFFERS` pages.
pub(super) struct Tx<K: Kernel, const BUFFERS: usize> {
    ring: Option<Front<K>>,
    buffers: [Option<Buffer<K>>; BUFFERS],
    /// Slots that the backend says it did not send.
    pub(super) dropped: u64,
}

impl<K: Kernel, const BUFFERS: usize> Tx<K, BUFFERS> {
    pub(super) const fn new() -> Self {
        Tx {
            ring: None,
            buffers: [const { None }; BUFFERS],
            dropped: 0,
        }
    }

    /// Makes the ring; gives its grant.
    pub(super) fn open(&mut self, kernel: &mut K, domain: u16) -> Result<u32, Problem> {
        let ring = self.ring.insert(Front::new(kernel, domain, "tx", TX_SLOT)?);
        Ok(ring.reference(kernel))
    }

    /// Makes one of the buffers.
    pub(super) fn add(&mut self, kernel: &mut K, domain: u16, at: usize) -> Result<(), Problem> {
        let grant = buffer(kernel, domain, Access::ReadOnly)?;
        self.buffers[at] = Some(Buffer {
            grant,
            use_number: 0,
            busy: false,
        });
        Ok(())
    }

    /// How many slots a frame can have now.
    pub(super) fn room(&self) -> usize {
        let free = self.buffers.iter().flatten().filter(|b| !b.busy).count();
        let slots = self.ring.as_ref().map_or(0, Front::room) as usize;
        free.min(slots)
    }

    /// Writes a frame to the ring, in as many slots as it has pages. The caller has looked at its
    /// length and at the [room](Self::room). Whether the backend wants an event.
    pub(super) fn send(&mut self, kernel: &mut K, frame: &[u8]) -> bool {
        let Some(ring) = &mut self.ring else {
            return false;
        };
        debug_assert!(frame.len() <= MOST_SLOTS * PAGE);
        let mut left = frame;
        // The first slot says how long the whole frame is, each other one how long its piece is.
        let mut size = frame.len();
        let buffers = self.buffers.iter_mut().enumerate();
        let free = buffers.filter_map(|(at, b)| b.as_mut().filter(|b| !b.busy).map(|b| (at, b)));
        for (at, buffer) in free {
            let (piece, rest) = left.split_at(left.len().min(PAGE));
            kernel.write(Memory::Shared(&buffer.grant), 0, piece);
            buffer.busy = true;
            let flags = if rest.is_empty() { 0 } else { MORE_DATA };
            let id = number(at, buffer.use_number);
            let slot = wire::send(kernel.reference(&buffer.grant), flags, id, size as u16);
            ring.put(kernel, &slot);
            left = rest;
            size = left.len().min(PAGE);
            if left.is_empty() {
                break;
            }
        }
        ring.push(kernel)
    }

    /// Takes the backend's answers.
    pub(super) fn collect(&mut self, kernel: &mut K) -> Result<(), Lie> {
        let Some(ring) = &mut self.ring else {
            return Ok(());
        };
        while ring.available(kernel)? > 0 || ring.rearm(kernel)? {
            let mut bytes = [0; TX_RESPONSE];
            ring.take(kernel, &mut bytes);
            let (id, status) = wire::sent(bytes);
            let buffer = self.buffers.get_mut(usize::from(id & 0xff));
            let buffer = buffer.and_then(Option::as_mut);
            let buffer = buffer.filter(|b| b.busy && b.use_number == (id >> 8) as u8);
            let buffer = buffer.ok_or(Lie::Id {
                ring: "tx",
                id: id.into(),
            })?;
            buffer.busy = false;
            buffer.use_number = buffer.use_number.wrapping_add(1);
            self.dropped += u64::from(status != OKAY);
        }
        Ok(())
    }

    /// Slots that the backend has.
    pub(super) fn in_flight(&self) -> usize {
        self.buffers.iter().flatten().filter(|b| b.busy).count()
    }

    /// Ends ring and buffers.
    pub(super) fn close<const LIMIT: usize>(
        &mut self,
        kernel: &mut K,
        name: Name,
        lingering: &mut Lingering<K, LIMIT>,
    ) {
        if let Some(ring) = self.ring.take() {
            lingering.end(kernel, name, ring.into_page());
        }
        for buffer in &mut self.buffers {
            if let Some(buffer) = buffer.take() {
                lingering.end(kernel, name, buffer.grant);
            }
        }
    }
}

/// The number of a use of a buffer.
pub(super) fn number(at: usize, use_number: u8) -> u16 {
    u16::from(use_number) << 8 | (at & 0xff) as u16
}

/// A new page, granted.
pub(super) fn buffer<K: Kernel>(
    kernel: &mut K,
    domain: u16,
    access: Access,
) -> Result<K::Grant, Problem> {
    let page = kernel.page().ok_or(Problem::NoPages)?;
    kernel.grant(page, domain, access).map_err(|(why, page)| {
        kernel.free(page);
        Problem::Refused(why)
    })
}
