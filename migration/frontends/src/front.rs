//! The frontend's half of a shared ring. `xen/include/public/io/ring.h`.
//!
//! The page begins with four indices of 32 bits that run freely, and from byte 64 on has a power of
//! two of slots, each of which holds a request or a response. This side keeps its own indices in
//! its own memory and only publishes them; the backend's is read once for each use, and believed
//! only if it announces no more responses than there are requests without one.

use crate::error::{Lie, Problem};
use crate::kernel::{Access, Kernel, Memory, PAGE};

/// Where the ring's fields are in its page, bytes.
pub mod layout {
    /// Requests made.
    pub const REQ_PROD: usize = 0;
    /// The request at which the backend wants an event.
    pub const REQ_EVENT: usize = 4;
    /// Responses made.
    pub const RSP_PROD: usize = 8;
    /// The response at which this side wants an event.
    pub const RSP_EVENT: usize = 12;
    /// The first slot.
    pub const SLOTS: usize = 64;
}
use layout::{REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, SLOTS};

/// Slots of `size` bytes in a ring of one page: as many as fit, rounded down to a power of two
/// (`__RING_SIZE`, `ring.h`).
pub const fn slots(size: usize) -> u32 {
    let fit = ((PAGE - SLOTS) / size) as u32;
    1 << fit.ilog2()
}

/// A ring of one page, seen from the side that makes requests.
pub(crate) struct Front<K: Kernel> {
    name: &'static str,
    page: K::Grant,
    size: usize,
    slots: u32,
    /// Requests written, published or not.
    written: u32,
    /// Requests published.
    published: u32,
    /// Responses taken.
    taken: u32,
}

impl<K: Kernel> Front<K> {
    /// A new, empty ring, granted to `domain`. `size` is that of a slot in bytes, a multiple of 4.
    pub(crate) fn new(
        kernel: &mut K,
        domain: u16,
        name: &'static str,
        size: usize,
    ) -> Result<Front<K>, Problem> {
        let page = kernel.page().ok_or(Problem::NoPages)?;
        let page = match kernel.grant(page, domain, Access::ReadWrite) {
            Ok(grant) => grant,
            Err((why, page)) => {
                kernel.free(page);
                return Err(why.into());
            }
        };
        // The page is zeroed; both sides want an event for the first message.
        kernel.publish(&page, REQ_EVENT, 1);
        kernel.publish(&page, RSP_EVENT, 1);
        Ok(Front {
            name,
            page,
            size,
            slots: slots(size),
            written: 0,
            published: 0,
            taken: 0,
        })
    }

    /// The number of the ring page's grant.
    pub(crate) fn reference(&self, kernel: &K) -> u32 {
        kernel.reference(&self.page)
    }

    /// The grant, to be ended: the ring is over.
    pub(crate) fn into_page(self) -> K::Grant {
        self.page
    }

    /// Slots that can take a request.
    pub(crate) fn room(&self) -> u32 {
        self.slots - self.written.wrapping_sub(self.taken)
    }

    fn place(&self, index: u32) -> usize {
        SLOTS + (index & (self.slots - 1)) as usize * self.size
    }

    /// The slot that the next [`put`](Self::put) fills.
    pub(crate) fn next_slot(&self) -> u32 {
        self.written & (self.slots - 1)
    }

    /// The slot of the response that is `ahead` of the next one.
    pub(crate) fn slot_ahead(&self, ahead: u32) -> u32 {
        self.taken.wrapping_add(ahead) & (self.slots - 1)
    }

    /// Writes a request, which the backend does not see before [`push`](Self::push). The caller has
    /// seen that there is [room](Self::room).
    pub(crate) fn put(&mut self, kernel: &mut K, request: &[u8]) {
        let at = self.place(self.written);
        let len = request.len().min(self.size);
        kernel.write(Memory::Shared(&self.page), at, &request[..len]);
        self.written = self.written.wrapping_add(1);
    }

    /// Publishes what was written, and says whether the backend wants an event for it.
    pub(crate) fn push(&mut self, kernel: &mut K) -> bool {
        let (old, new) = (self.published, self.written);
        if old == new {
            return false;
        }
        kernel.publish(&self.page, REQ_PROD, new);
        self.published = new;
        // Any value is harmless here: an event too many, or one that the backend did not want.
        let wanted = kernel.load(&self.page, REQ_EVENT);
        new.wrapping_sub(wanted) < new.wrapping_sub(old)
    }

    /// How many responses can be taken.
    pub(crate) fn available(&self, kernel: &K) -> Result<u32, Lie> {
        let produced = kernel.load(&self.page, RSP_PROD);
        let outstanding = self.published.wrapping_sub(self.taken);
        let available = produced.wrapping_sub(self.taken);
        if available > outstanding {
            return Err(Lie::Producer {
                ring: self.name,
                produced,
                taken: self.taken,
                outstanding,
            });
        }
        Ok(available)
    }

    /// Copies the next response out and frees its slot. The caller knows that one is
    /// [available](Self::available).
    pub(crate) fn take(&mut self, kernel: &K, response: &mut [u8]) {
        self.peek(kernel, 0, response);
        self.skip();
    }

    /// Copies out the response that is `ahead` of the next one.
    pub(crate) fn peek(&self, kernel: &K, ahead: u32, response: &mut [u8]) {
        let at = self.place(self.taken.wrapping_add(ahead));
        let len = response.len().min(self.size);
        kernel.read(Memory::Shared(&self.page), at, &mut response[..len]);
    }

    /// Frees the slot of the next response.
    pub(crate) fn skip(&mut self) {
        self.taken = self.taken.wrapping_add(1);
    }

    /// Asks for an event at the next response. True if one came meanwhile, without an event.
    pub(crate) fn rearm(&self, kernel: &mut K) -> Result<bool, Lie> {
        self.rearm_after(kernel, 0)
    }

    /// The same for when the next `seen` responses are known, and are to be taken with a later one.
    pub(crate) fn rearm_after(&self, kernel: &mut K, seen: u32) -> Result<bool, Lie> {
        let wanted = self.taken.wrapping_add(seen).wrapping_add(1);
        kernel.publish(&self.page, RSP_EVENT, wanted);
        Ok(self.available(kernel)? > seen)
    }
}

#[cfg(test)]
mod tests {
    use super::slots;

    #[test]
    fn rings_have_the_sizes_that_the_headers_give() {
        // x86_64's sizes of blkif, netif_tx and netif_rx entries.
        assert_eq!((slots(112), slots(12), slots(8)), (32, 256, 256));
    }
}
