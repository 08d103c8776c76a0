//! FIFO event channels: queues of events for each vCPU, by priority. `public/event_channel.h`.
//!
//! Each port has a word in an array that guest and Xen share: whether it is pending, masked, and
//! linked into a queue, and the next port of that queue. Each vCPU has a [`ControlBlock`] with the
//! heads of its sixteen queues and a bit for each that has something new. Xen links at the tail, the
//! guest unlinks at the head (`xen/common/event_fifo.c`).
//!
//! A domain begins with [two-level](crate::two_level) event channels, a restored one too. The first
//! [`init_control`](crate::event_channel::init_control) changes that for good; before it the words
//! are [masked](ArrayPage::mask_all) and the control blocks [cleared](ControlBlock::clear), for what
//! they say is of an earlier domain.
//!
//! Unlike with two-level event channels a queue is its vCPU's own, and what is found there is its own.

use crate::event_channel::{self, Port};
use crate::shared_info::VcpuInfo;
use crate::{ffi, Call, Errno, HypercallError, Result, Subject};
use core::sync::atomic::{AtomicU32, Ordering};

const PENDING: u32 = 1 << ffi::EVTCHN_FIFO_PENDING;
const MASKED: u32 = 1 << ffi::EVTCHN_FIFO_MASKED;
const LINKED: u32 = 1 << ffi::EVTCHN_FIFO_LINKED;
const BUSY: u32 = 1 << ffi::EVTCHN_FIFO_BUSY;
const LINK: u32 = (1 << ffi::EVTCHN_FIFO_LINK_BITS) - 1;

/// Queues of a vCPU. Queue 0 comes first; a port is in queue [`DEFAULT_PRIORITY`] unless
/// [`set_priority`](crate::event_channel::set_priority) said otherwise.
pub const QUEUES: usize = ffi::EVTCHN_FIFO_PRIORITY_MIN as usize + 1;
/// The queue of a port of which nothing was said.
pub const DEFAULT_PRIORITY: u32 = ffi::EVTCHN_FIFO_PRIORITY_DEFAULT;

/// Ports whose words are in one page.
pub const PORTS: usize = 1024;

/// A page of the event array.
#[repr(C, align(4096))]
pub struct ArrayPage([AtomicU32; PORTS]);

impl ArrayPage {
    /// Zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; PORTS])
    }

    /// Masks every port and forgets whatever else there was. Before Xen is given the page.
    pub fn mask_all(&self) {
        self.0
            .iter()
            .for_each(|word| word.store(MASKED, Ordering::SeqCst));
    }
}

impl Default for ArrayPage {
    fn default() -> Self {
        Self::new()
    }
}

/// What Xen tells one vCPU: which of its queues have something new, and where each begins. Aligned
/// so that it crosses no page's end, as Xen wants it.
#[doc(alias = "evtchn_fifo_control_block")]
#[repr(C, align(128))]
pub struct ControlBlock {
    ready: AtomicU32,
    reserved: AtomicU32,
    head: [AtomicU32; QUEUES],
}

const _: () = assert!(
    core::mem::offset_of!(ControlBlock, head)
        == core::mem::offset_of!(ffi::evtchn_fifo_control_block, head)
        && size_of::<ControlBlock>() >= size_of::<ffi::evtchn_fifo_control_block>()
);

impl ControlBlock {
    /// Nothing is ready.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ready: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
            head: [const { AtomicU32::new(0) }; QUEUES],
        }
    }

    /// Forgets what it says. Before Xen is given it.
    pub fn clear(&self) {
        for word in [&self.ready, &self.reserved].into_iter().chain(&self.head) {
            word.store(0, Ordering::SeqCst);
        }
    }
}

impl Default for ControlBlock {
    fn default() -> Self {
        Self::new()
    }
}

/// How far one vCPU has come in its queues: the next port of each, or 0 where the queue was emptied.
/// Only the vCPU itself uses it.
pub struct Heads([AtomicU32; QUEUES]);

impl Heads {
    /// At the beginning of every queue.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; QUEUES])
    }

    /// Back to the beginning, with [`ControlBlock::clear`].
    pub fn clear(&self) {
        self.0
            .iter()
            .for_each(|head| head.store(0, Ordering::Relaxed));
    }
}

impl Default for Heads {
    fn default() -> Self {
        Self::new()
    }
}

/// The event array: the words of the ports from 0 on.
#[derive(Clone, Copy)]
pub struct EventArray<'a>(pub &'a [ArrayPage]);

impl EventArray<'_> {
    fn word(&self, port: u32) -> Option<&AtomicU32> {
        let port = usize::try_from(port).ok()?;
        self.0.get(port / PORTS)?.0.get(port % PORTS)
    }

    /// Has the port a word? The others are pending, and never heard of.
    #[must_use]
    pub fn covers(&self, port: Port) -> bool {
        self.word(port.number()).is_some()
    }

    /// Masks a port: it can become pending but is linked into no queue. What is in one already is
    /// passed over.
    pub fn mask(&self, port: Port) {
        if let Some(word) = self.word(port.number()) {
            word.fetch_or(MASKED, Ordering::SeqCst);
        }
    }

    /// Unmasks a port, and has Xen link it if it became pending meanwhile.
    ///
    /// # Errors
    /// Xen's (`EVTCHNOP_unmask`), when there was something to link. `ENOSPC` without a call for a port
    /// without a word: its events would never be heard of.
    pub fn unmask(&self, port: Port) -> Result<()> {
        let Some(word) = self.word(port.number()) else {
            return Err(HypercallError {
                call: Call::on("EVTCHNOP_unmask", Subject::Port(port.number())),
                errno: Errno::ENOSPC,
            });
        };
        if unmask_idle(word) {
            Ok(())
        } else {
            event_channel::unmask(port)
        }
    }

    /// Forgets that a port was pending. It may stay in a queue, and is passed over there.
    pub fn clear_pending(&self, port: Port) {
        if let Some(word) = self.word(port.number()) {
            word.fetch_and(!PENDING, Ordering::SeqCst);
        }
    }

    /// Is the port pending, masked or not?
    #[must_use]
    pub fn is_pending(&self, port: Port) -> bool {
        self.word(port.number())
            .is_some_and(|word| word.load(Ordering::SeqCst) & PENDING != 0)
    }

    /// A vCPU's upcall: finds and handles everything in its queues, the first queue first. Returns how
    /// many events there were.
    ///
    /// Called with upcalls off, on the vCPU that `vcpu`, `block` and `heads` belong to. It ends when
    /// the queues are empty: what is left in one raises no upcall by itself.
    pub fn upcall(
        &self,
        vcpu: &VcpuInfo,
        block: &ControlBlock,
        heads: &Heads,
        mut handle: impl FnMut(Port),
    ) -> usize {
        let mut count = 0;
        // Cleared before the queues are looked at: what comes after that raises it again.
        while vcpu.upcall_pending().swap(0, Ordering::SeqCst) != 0 {
            count += self.consume(block, heads, &mut handle);
        }
        count
    }

    /// Empties the queues of one vCPU.
    fn consume(&self, block: &ControlBlock, heads: &Heads, handle: &mut impl FnMut(Port)) -> usize {
        let mut count = 0;
        let mut ready = block.ready.swap(0, Ordering::SeqCst);
        while ready != 0 {
            let queue = ready.trailing_zeros() as usize;
            let (more, found) = match (block.head.get(queue), heads.0.get(queue)) {
                (Some(begin), Some(head)) => self.take_one(begin, head),
                // No such queue: nothing that Xen says today.
                _ => (false, None),
            };
            if !more {
                ready &= !(1 << queue);
            }
            if let Some(port) = found {
                handle(port);
                count += 1;
            }
            ready |= block.ready.swap(0, Ordering::SeqCst);
        }
        count
    }

    /// Takes the first event off a queue that begins at `begin` if it was empty before. Gives whether
    /// there is more in it, and the port, if it is to be handled; it is pending no more then.
    fn take_one(&self, begin: &AtomicU32, head: &AtomicU32) -> (bool, Option<Port>) {
        let port = match head.load(Ordering::Relaxed) {
            0 => begin.load(Ordering::SeqCst),
            next => next,
        };
        // Port 0 is none, and one without a word leads nowhere.
        let Some(word) = self.word(port).filter(|_| port != 0) else {
            head.store(0, Ordering::Relaxed);
            return (false, None);
        };
        // Only the links: Xen may have said meanwhile that it puts another behind this one.
        let next = word.fetch_and(!(LINKED | LINK), Ordering::SeqCst) & LINK;
        head.store(next, Ordering::Relaxed);
        let is = word.load(Ordering::SeqCst);
        if is & PENDING == 0 || is & MASKED != 0 {
            return (next != 0, None);
        }
        word.fetch_and(!PENDING, Ordering::SeqCst);
        (next != 0, Some(Port::new(port)))
    }
}

/// Unmasks a port that is not pending; gives whether it was not. While Xen holds the word busy it is
/// about to link it, and wants it unmasked by nobody (`evtchn_fifo_set_link`).
fn unmask_idle(word: &AtomicU32) -> bool {
    loop {
        let is = word.load(Ordering::SeqCst);
        if is & PENDING != 0 {
            return false;
        }
        let expected = is & !BUSY;
        if word
            .compare_exchange(
                expected,
                expected & !MASKED,
                Ordering::SeqCst,
                Ordering::SeqCst,
            )
            .is_ok()
        {
            return true;
        }
        core::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests;
