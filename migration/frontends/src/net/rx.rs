//! Frames received.

use super::tx::{buffer, number};
use super::wire::{self, Fragment, BLANK, EXTRA_INFO, EXTRA_MORE, MORE_DATA, MOST_SLOTS};
use super::wire::{RX_SLOT, VALIDATED};
use crate::error::{Lie, Name, Problem};
use crate::front::{slots, Front};
use crate::kernel::{Access, Kernel, Memory, PAGE};
use crate::lingering::Lingering;

/// Slots in a ring.
const SLOTS: usize = slots(RX_SLOT) as usize;
/// Slots of one frame: its pieces, and the extra descriptors that one may have
/// (`XEN_NETIF_EXTRA_TYPE_MAX` kinds).
const MOST: usize = MOST_SLOTS + 4;

/// What is known of a frame's checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing.
    Unknown,
    /// The backend says that they are right.
    Validated,
    /// They are not filled in: the frame comes from the same host and was on no wire. This side
    /// asks backends not to do that; some do not care.
    Blank,
}

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its length in bytes.
    pub bytes: usize,
    /// What is known of its checksums.
    pub checksum: Checksum,
}

/// A page that stays granted, for writing, while the connection lives.
struct Room<K: Kernel> {
    grant: K::Grant,
    use_number: u8,
}

/// A ring of room for frames, with at most `BUFFERS` pages.
pub(super) struct Rx<K: Kernel, const BUFFERS: usize> {
    ring: Option<Front<K>>,
    rooms: [Option<Room<K>>; BUFFERS],
    /// The number of the room that was put into each slot: an extra descriptor lies over it
    /// without saying so.
    offered: [u16; SLOTS],
    /// Frames that were not given to the caller: an error of the backend's, too long, or with what
    /// was not asked for.
    pub(super) refused: u64,
}

/// A frame as the ring describes it.
struct Frame {
    pieces: [Fragment; MOST],
    count: usize,
    slots: u32,
    has_extra: bool,
}

impl<K: Kernel, const BUFFERS: usize> Rx<K, BUFFERS> {
    pub(super) const fn new() -> Self {
        Rx {
            ring: None,
            rooms: [const { None }; BUFFERS],
            offered: [0; SLOTS],
            refused: 0,
        }
    }

    /// Makes the ring; gives its grant.
    pub(super) fn open(&mut self, kernel: &mut K, domain: u16) -> Result<u32, Problem> {
        let ring = self.ring.insert(Front::new(kernel, domain, "rx", RX_SLOT)?);
        Ok(ring.reference(kernel))
    }

    /// Puts one of the rooms into the ring. [`push`](Self::push) shows them to the backend.
    pub(super) fn add(&mut self, kernel: &mut K, domain: u16, at: usize) -> Result<(), Problem> {
        let grant = buffer(kernel, domain, Access::ReadWrite)?;
        self.rooms[at] = Some(Room {
            grant,
            use_number: 0,
        });
        self.put(kernel, at);
        Ok(())
    }

    /// Puts a room into the ring; each is in it at most once, so there is a slot.
    fn put(&mut self, kernel: &mut K, at: usize) {
        if let (Some(ring), Some(Some(room))) = (&mut self.ring, self.rooms.get(at)) {
            let id = number(at, room.use_number);
            self.offered[ring.next_slot() as usize % SLOTS] = id;
            ring.put(kernel, &wire::room(id, kernel.reference(&room.grant)));
        }
    }

    /// Shows the backend what was put in. Whether it wants an event.
    pub(super) fn push(&mut self, kernel: &mut K) -> bool {
        self.ring.as_mut().is_some_and(|ring| ring.push(kernel))
    }

    /// Copies the next frame to `into`. `None` when there is none left, with the backend asked for
    /// an event at the next. The second value says whether the backend wants an event.
    pub(super) fn receive(
        &mut self,
        kernel: &mut K,
        into: &mut [u8],
    ) -> Result<(Option<Received>, bool), Lie> {
        let mut wanted = false;
        while let Some(frame) = self.next(kernel)? {
            let received = self.copy(kernel, &frame, into)?;
            self.give_back(kernel, frame.slots);
            wanted |= self.push(kernel);
            if received.is_some() {
                return Ok((received, wanted));
            }
            self.refused += 1;
        }
        Ok((None, wanted))
    }

    /// Reads how the next frame lies in the ring, each descriptor once. A frame whose end is not
    /// there yet is none.
    fn next(&self, kernel: &mut K) -> Result<Option<Frame>, Lie> {
        let Some(ring) = &self.ring else {
            return Ok(None);
        };
        let mut available = ring.available(kernel)?;
        if available == 0 {
            if !ring.rearm(kernel)? {
                return Ok(None);
            }
            available = ring.available(kernel)?;
        }
        let mut frame = Frame {
            pieces: [Fragment::decode([0; RX_SLOT]); MOST],
            count: 0,
            slots: 0,
            has_extra: false,
        };
        let (mut more, mut extra) = (true, false);
        while more || extra {
            if frame.slots as usize == MOST {
                return Err(Lie::Slots { slots: frame.slots });
            }
            if frame.slots == available {
                if !ring.rearm_after(kernel, available)? {
                    return Ok(None);
                }
                available = ring.available(kernel)?;
                continue;
            }
            let mut bytes = [0; RX_SLOT];
            ring.peek(kernel, frame.slots, &mut bytes);
            frame.slots += 1;
            if extra {
                extra = bytes[1] & EXTRA_MORE != 0;
                continue;
            }
            let piece = Fragment::decode(bytes);
            // Only the first one's flags speak of extra descriptors.
            extra = frame.count == 0 && piece.flags & EXTRA_INFO != 0;
            frame.has_extra |= extra;
            more = piece.flags & MORE_DATA != 0;
            self.check(&piece, ring.slot_ahead(frame.slots - 1))?;
            frame.pieces[frame.count] = piece;
            frame.count += 1;
        }
        Ok(Some(frame))
    }

    /// Whether a piece lies in the room that was put into its slot.
    fn check(&self, piece: &Fragment, slot: u32) -> Result<(), Lie> {
        if self.offered[slot as usize % SLOTS] != piece.id {
            let id = piece.id.into();
            return Err(Lie::Id { ring: "rx", id });
        }
        let length = u16::try_from(piece.status).unwrap_or(0);
        if usize::from(piece.offset) + usize::from(length) > PAGE {
            let offset = piece.offset;
            return Err(Lie::Fragment { offset, length });
        }
        Ok(())
    }

    /// Copies a frame out; `None` if it is not to be had.
    fn copy(&self, kernel: &K, frame: &Frame, into: &mut [u8]) -> Result<Option<Received>, Lie> {
        let pieces = &frame.pieces[..frame.count];
        // What an extra descriptor asks for (segments to be made, a hash) was never offered.
        if frame.has_extra || pieces.iter().any(|piece| piece.status < 0) {
            return Ok(None);
        }
        let mut bytes = 0;
        for piece in pieces {
            let length = piece.status as usize;
            let room = self.rooms.get(usize::from(piece.id & 0xff));
            let room = room.and_then(Option::as_ref).ok_or(Lie::Id {
                ring: "rx",
                id: piece.id.into(),
            })?;
            let Some(into) = into.get_mut(bytes..bytes + length) else {
                return Ok(None);
            };
            kernel.read(Memory::Shared(&room.grant), piece.offset.into(), into);
            bytes += length;
        }
        let flags = pieces.first().map_or(0, |piece| piece.flags);
        let checksum = if flags & BLANK != 0 {
            Checksum::Blank
        } else if flags & VALIDATED != 0 {
            Checksum::Validated
        } else {
            Checksum::Unknown
        };
        Ok(Some(Received { bytes, checksum }))
    }

    /// Takes so many responses and puts their room into the ring anew.
    fn give_back(&mut self, kernel: &mut K, count: u32) {
        for _ in 0..count {
            let Some(ring) = &mut self.ring else { return };
            let id = self.offered[ring.slot_ahead(0) as usize % SLOTS];
            ring.skip();
            let at = usize::from(id & 0xff);
            if let Some(Some(room)) = self.rooms.get_mut(at) {
                room.use_number = room.use_number.wrapping_add(1);
            }
            self.put(kernel, at);
        }
    }

    /// Ends ring and room.
    pub(super) fn close<const LIMIT: usize>(
        &mut self,
        kernel: &mut K,
        name: Name,
        lingering: &mut Lingering<K, LIMIT>,
    ) {
        if let Some(ring) = self.ring.take() {
            lingering.end(kernel, name, ring.into_page());
        }
        for room in &mut self.rooms {
            if let Some(room) = room.take() {
                lingering.end(kernel, name, room.grant);
            }
        }
    }
}
