//! A xenstore client over the domain's ring: `public/io/xs_wire.h`. The other side is xenstored.
//!
//! One request at a time, without waiting: [`submit`](Xenstore::submit), then [`poll`](Xenstore::poll) until it
//! says [`Status::Done`], then [`reply`](Xenstore::reply). Watch events that come in between are kept apart;
//! take them with [`next_notice`](Xenstore::next_notice). [`call`](Xenstore::call) does the round for a caller who
//! has something to wait with, and a deadline.
//!
//! # How to wait without losing a wake-up
//! Poll first, wait for the ring's event only after a poll that was not done, forget the event
//! ([`two_level::clear_pending`](crate::two_level::clear_pending)) *before* the next poll. xenstored writes, then
//! sends the event: what a poll did not see has its event still to come.
//!
//! # Trust
//! xenstored is another domain's program. Indices, lengths, types, request numbers and texts are checked; a
//! [`Violation`] stops the client for good (there is no way to find the next message's beginning) until
//! [`reset`](Xenstore::reset). One poll looks at no more than what was in the ring when it began (1 KiB).

mod events;
mod wire;

pub use crate::ring::BadIndices;
pub use events::Notice;
pub use wire::{names, transaction, BadRequest, Op, Refusal, Request, Tx, PAYLOAD_MAX};

use crate::ffi;
use crate::ring::{Consumer, Notify, Producer};
use crate::{Errno, HypercallError};
use core::cell::UnsafeCell;
use core::fmt;
use core::ptr::{addr_of_mut, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU8, Ordering};
use events::Events;
use wire::{Header, HEADER};

/// The ring's page.
#[doc(alias = "xenstore_domain_interface")]
#[repr(transparent)]
pub struct Page(UnsafeCell<ffi::xenstore_domain_interface>);

// SAFETY: everything is read and written through atomics.
unsafe impl Sync for Page {}

impl Page {
    /// Views the page at `page`.
    ///
    /// # Safety
    /// For `'a`, `page` is where the xenstore page is mapped, readable and writable, and nothing but one
    /// [`Xenstore`] uses it.
    #[must_use]
    pub unsafe fn at<'a>(page: NonNull<ffi::xenstore_domain_interface>) -> &'a Self {
        // SAFETY: the caller's contract; the type is transparent and allows change behind shared references.
        unsafe { page.cast().as_ref() }
    }

    fn requests(&self) -> Producer<'_> {
        let page = self.0.get();
        // SAFETY: fields of the page, which lives as long as `self`, seen as atomics of the same sizes.
        unsafe {
            let bytes: &[AtomicU8; ffi::XENSTORE_RING_SIZE as usize] =
                &*addr_of_mut!((*page).req).cast();
            let prod = AtomicU32::from_ptr(addr_of_mut!((*page).req_prod));
            let cons = AtomicU32::from_ptr(addr_of_mut!((*page).req_cons));
            Producer::new("req", bytes, prod, cons)
        }
    }

    fn responses(&self) -> Consumer<'_> {
        let page = self.0.get();
        // SAFETY: as for `requests`.
        unsafe {
            let bytes: &[AtomicU8; ffi::XENSTORE_RING_SIZE as usize] =
                &*addr_of_mut!((*page).rsp).cast();
            let prod = AtomicU32::from_ptr(addr_of_mut!((*page).rsp_prod));
            let cons = AtomicU32::from_ptr(addr_of_mut!((*page).rsp_cons));
            Consumer::new("rsp", bytes, prod, cons)
        }
    }

    /// What xenstored holds against this domain, if it says so at all.
    fn complaint(&self) -> Option<u32> {
        let page = self.0.get();
        // SAFETY: as for `requests`.
        let (features, error) = unsafe {
            (
                AtomicU32::from_ptr(addr_of_mut!((*page).server_features)).load(Ordering::Relaxed),
                AtomicU32::from_ptr(addr_of_mut!((*page).error)).load(Ordering::Relaxed),
            )
        };
        (features & ffi::XENSTORE_SERVER_FEATURE_ERROR != 0 && error != ffi::XENSTORE_ERROR_NONE)
            .then_some(error)
    }
}

/// xenstored broke the protocol, or says that this domain did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Indices further apart than the ring is long.
    BadIndices(BadIndices),
    /// A message that claims to be longer than [`PAYLOAD_MAX`].
    Oversize {
        /// What it claims.
        len: u32,
    },
    /// A message of a type that the protocol does not have.
    UnknownType {
        /// The type's number.
        kind: u32,
    },
    /// A reply of another type than its request.
    WrongType {
        /// What was asked.
        asked: Op,
        /// The type of the reply.
        kind: u32,
    },
    /// A reply to nothing that was asked.
    Unasked {
        /// The request number it repeats.
        id: u32,
    },
    /// A watch event without path and token.
    BadWatchEvent,
    /// A transaction without a number.
    BadTransaction,
    /// xenstored wrote an error code into the page: it gave up on this domain's side of the ring.
    Complaint {
        /// `XENSTORE_ERROR_*`.
        code: u32,
    },
}

impl From<BadIndices> for Violation {
    fn from(bad: BadIndices) -> Self {
        Self::BadIndices(bad)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadIndices(bad) => write!(f, "{bad}"),
            Self::Oversize { len } => write!(
                f,
                "sent a message of {len} bytes, and {PAYLOAD_MAX} is the most"
            ),
            Self::UnknownType { kind } => write!(f, "sent a message of unknown type {kind}"),
            Self::WrongType { asked, kind } => write!(f, "answered {asked} with type {kind}"),
            Self::Unasked { id } => write!(f, "answered request {id}, which was not under way"),
            Self::BadWatchEvent => f.write_str("sent a watch event without path and token"),
            Self::BadTransaction => f.write_str("began a transaction without a number"),
            Self::Complaint { code } => {
                let what = match *code {
                    ffi::XENSTORE_ERROR_COMM => "a communication problem",
                    ffi::XENSTORE_ERROR_RINGIDX => "an invalid ring index",
                    ffi::XENSTORE_ERROR_PROTO => "a protocol violation",
                    _ => "an unknown error",
                };
                write!(f, "reports {what} of this domain ({code})")
            }
        }
    }
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// This guest's own mistake: the request was not sent.
    BadRequest {
        /// What was asked.
        op: Op,
        /// What is wrong with it.
        why: BadRequest,
    },
    /// xenstored said no.
    Refused {
        /// What was asked.
        op: Op,
        /// The reason it gave.
        refusal: Refusal,
    },
    /// xenstored broke the protocol. The client is of no use until [`Xenstore::reset`].
    Violation(Violation),
    /// Xen refused the ring's event. The next poll tries again.
    Notify(HypercallError),
    /// xenstored did not answer in the time it was given. A reply that comes later is dropped.
    TimedOut {
        /// What was asked.
        op: Op,
    },
    /// There is no reply: nothing was asked, or it is not done, or it was taken already.
    NoReply,
}

impl Error {
    /// The number of the error that xenstored gave, if that is what this is and Xen has a number for it.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { refusal, .. } => refusal.errno(),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest { op, why } => write!(f, "{op} not sent: {why}"),
            Self::Refused { op, refusal } => write!(f, "xenstored refused {op}: {refusal}"),
            Self::Violation(violation) => write!(f, "xenstored: {violation}"),
            Self::Notify(error) => write!(f, "xenstore event: {error}"),
            Self::TimedOut { op } => write!(f, "xenstored did not answer {op} in time"),
            Self::NoReply => f.write_str("no xenstore reply to take"),
        }
    }
}

impl core::error::Error for Error {}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// None is under way.
    Idle,
    /// Not answered yet.
    Pending,
    /// Answered: take it with [`Xenstore::reply`].
    Done,
}

/// The client's memory, 16 KiB: apart from it, so that it can be a static and is never on a stack.
pub struct Buffers {
    out: [u8; HEADER + PAYLOAD_MAX],
    header: [u8; HEADER],
    incoming: [u8; PAYLOAD_MAX],
    reply: [u8; PAYLOAD_MAX],
    events: Events,
}

impl Buffers {
    /// Empty ones.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            out: [0; HEADER + PAYLOAD_MAX],
            header: [0; HEADER],
            incoming: [0; PAYLOAD_MAX],
            reply: [0; PAYLOAD_MAX],
            events: Events::new(),
        }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy)]
enum State {
    Idle,
    Waiting { id: u32, op: Op },
    Answered { len: usize },
    Refused { op: Op, refusal: Refusal },
}

/// How many requests can be given up before one of them must have been answered.
const ABANDONED_MAX: usize = 4;

/// The guest's end of the xenstore ring.
pub struct Xenstore<'p, N> {
    page: &'p Page,
    requests: Producer<'p>,
    responses: Consumer<'p>,
    notify: N,
    notify_due: bool,
    buffers: &'p mut Buffers,
    state: State,
    last_id: u32,
    /// How much of the message in `buffers.out` is sent, and how long it is.
    sent: usize,
    out_len: usize,
    /// How much of the incoming message is here: of its header, then of its payload.
    header_got: usize,
    payload_got: usize,
    abandoned: [Option<u32>; ABANDONED_MAX],
    broken: Option<Violation>,
}

impl<'p, N: Notify> Xenstore<'p, N> {
    /// Takes up the ring where the page says this side was. `notify` sends the ring's event.
    pub fn new(page: &'p Page, buffers: &'p mut Buffers, notify: N) -> Self {
        Self {
            page,
            requests: page.requests(),
            responses: page.responses(),
            notify,
            notify_due: false,
            buffers,
            state: State::Idle,
            last_id: 0,
            sent: 0,
            out_len: 0,
            header_got: 0,
            payload_got: 0,
            abandoned: [None; ABANDONED_MAX],
            broken: None,
        }
    }

    /// Begins anew: after a restore, when xenstored is another and knows nothing of this side's past, and the port
    /// is another. Not after a cancelled suspend, when all is as before.
    ///
    /// Drops half messages both ways, the request under way (returns true if there was one), and a violation.
    /// Events that wait become one [`Notice::Rescan`]. The watches are gone: set them again.
    pub fn reset(&mut self, notify: N) -> bool {
        self.requests.discard();
        self.responses.discard();
        self.notify = notify;
        self.notify_due = false;
        self.buffers.events.collapse();
        self.sent = 0;
        self.out_len = 0;
        self.header_got = 0;
        self.payload_got = 0;
        self.abandoned = [None; ABANDONED_MAX];
        self.broken = None;
        let lost = matches!(self.state, State::Waiting { .. });
        self.state = State::Idle;
        lost
    }

    /// Puts a request under way; [`poll`](Self::poll) sends it. A reply that was not taken is dropped.
    ///
    /// # Errors
    /// [`Error::BadRequest`], with nothing changed; [`Error::Violation`] if there was one.
    pub fn submit(&mut self, request: &Request<'_>) -> Result<(), Error> {
        if let Some(violation) = self.broken {
            return Err(violation.into());
        }
        let op = request.op();
        let bad = |why| Error::BadRequest { op, why };
        let waiting = matches!(self.state, State::Waiting { .. });
        if waiting || self.sent < self.out_len || self.abandoned.iter().all(Option::is_some) {
            return Err(bad(BadRequest::Busy));
        }
        let id = self.last_id.wrapping_add(1);
        let len = request.encode(id, &mut self.buffers.out).map_err(bad)?;
        (self.last_id, self.sent, self.out_len) = (id, 0, len);
        self.state = State::Waiting { id, op };
        Ok(())
    }

    /// Sends and receives what can be, and says how far the request is. Never waits.
    ///
    /// # Errors
    /// [`Error::Violation`], now and until [`reset`](Self::reset); [`Error::Notify`], after which polling again
    /// is right.
    pub fn poll(&mut self) -> Result<Status, Error> {
        if let Some(violation) = self.broken {
            return Err(violation.into());
        }
        if let Err(violation) = self.transfer() {
            self.broken = Some(violation);
            return Err(violation.into());
        }
        if self.notify_due {
            self.notify.notify().map_err(Error::Notify)?;
            self.notify_due = false;
        }
        Ok(match self.state {
            State::Idle => Status::Idle,
            State::Waiting { .. } => Status::Pending,
            State::Answered { .. } | State::Refused { .. } => Status::Done,
        })
    }

    fn transfer(&mut self) -> Result<(), Violation> {
        if let Some(code) = self.page.complaint() {
            return Err(Violation::Complaint { code });
        }
        let sent = self
            .requests
            .write(&self.buffers.out[self.sent..self.out_len])?;
        self.sent += sent;
        self.notify_due |= sent > 0;
        // What comes after this look at the ring waits for the next poll, so that this one ends.
        let mut left = self.responses.available()?;
        while left > 0 {
            let room = if self.header_got < HEADER {
                &mut self.buffers.header[self.header_got..]
            } else {
                let len = self.incoming()?.len as usize;
                &mut self.buffers.incoming[self.payload_got..len]
            };
            let most = room.len().min(left);
            let got = self.responses.read(&mut room[..most])?;
            // Another look at the producer index: it may have gone back meanwhile. Come again.
            if got == 0 {
                break;
            }
            left -= got;
            self.notify_due = true;
            if self.header_got < HEADER {
                self.header_got += got;
            } else {
                self.payload_got += got;
            }
            if self.header_got == HEADER {
                let header = self.incoming()?;
                if self.payload_got == header.len as usize {
                    (self.header_got, self.payload_got) = (0, 0);
                    self.dispatch(header)?;
                }
            }
        }
        Ok(())
    }

    /// The header that is here, checked.
    fn incoming(&self) -> Result<Header, Violation> {
        let header = Header::decode(&self.buffers.header);
        if header.len as usize > PAYLOAD_MAX {
            return Err(Violation::Oversize { len: header.len });
        }
        if header.kind >= ffi::XS_TYPE_COUNT {
            return Err(Violation::UnknownType { kind: header.kind });
        }
        Ok(header)
    }

    /// A whole message is here.
    fn dispatch(&mut self, header: Header) -> Result<(), Violation> {
        let len = header.len as usize;
        let payload = &self.buffers.incoming[..len];
        if header.kind == ffi::XS_WATCH_EVENT {
            let (path, token) = wire::watch_event(payload).ok_or(Violation::BadWatchEvent)?;
            self.buffers.events.push(path, token);
            return Ok(());
        }
        if let Some(slot) = self
            .abandoned
            .iter_mut()
            .find(|slot| **slot == Some(header.id))
        {
            *slot = None;
            return Ok(());
        }
        match self.state {
            // A request that is not sent to its end cannot have been answered.
            State::Waiting { id, op } if id == header.id && self.sent == self.out_len => {
                self.state = if header.kind == ffi::XS_ERROR {
                    let refusal = Refusal::decode(payload);
                    State::Refused { op, refusal }
                } else if header.kind == op.kind {
                    self.buffers.reply[..len].copy_from_slice(payload);
                    State::Answered { len }
                } else {
                    let kind = header.kind;
                    return Err(Violation::WrongType { asked: op, kind });
                };
                Ok(())
            }
            _ => Err(Violation::Unasked { id: header.id }),
        }
    }

    /// Takes the reply: its bytes, which stay until the next reply comes.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::NoReply`] if there is none to take.
    pub fn reply(&mut self) -> Result<&[u8], Error> {
        match self.state {
            State::Answered { len } => {
                self.state = State::Idle;
                Ok(&self.buffers.reply[..len])
            }
            State::Refused { op, refusal } => {
                self.state = State::Idle;
                Err(Error::Refused { op, refusal })
            }
            State::Idle | State::Waiting { .. } => Err(Error::NoReply),
        }
    }

    /// Gives up the request under way, if there is one: its reply will be dropped. xenstored may still do it.
    pub fn abandon(&mut self) {
        if let State::Waiting { id, .. } = self.state {
            // `submit` saw to it that a place is free.
            if let Some(slot) = self.abandoned.iter_mut().find(|slot| slot.is_none()) {
                *slot = Some(id);
            }
        }
        self.state = State::Idle;
    }

    /// Asks and waits: calls `wait` after each poll that was not enough. `wait` returns once the ring's event came
    /// (see the module's text on how), or false when the time is over.
    ///
    /// # Errors
    /// Any; on [`Error::TimedOut`] the request is given up as by [`abandon`](Self::abandon).
    pub fn call(
        &mut self,
        request: &Request<'_>,
        mut wait: impl FnMut() -> bool,
    ) -> Result<&[u8], Error> {
        self.submit(request)?;
        loop {
            match self.poll() {
                Ok(Status::Done) => return self.reply(),
                // An event that was refused is sent by the next poll; meanwhile the time runs.
                Ok(_) | Err(Error::Notify(_)) if wait() => {}
                Ok(_) => {
                    self.abandon();
                    return Err(Error::TimedOut { op: request.op() });
                }
                Err(error) => {
                    self.abandon();
                    return Err(error);
                }
            }
        }
    }

    /// Begins a transaction, waiting as [`call`](Self::call) does.
    ///
    /// # Errors
    /// As `call`; also a [`Violation`] if the reply holds no number.
    pub fn transaction_start(&mut self, wait: impl FnMut() -> bool) -> Result<Tx, Error> {
        let reply = self.call(&Request::TransactionStart, wait)?;
        transaction(reply).ok_or_else(|| {
            self.broken = Some(Violation::BadTransaction);
            Violation::BadTransaction.into()
        })
    }

    /// Ends a transaction, waiting as [`call`](Self::call) does. False: it collided with another, nothing was
    /// done, and all of it is to be done again.
    ///
    /// # Errors
    /// As `call`.
    pub fn transaction_end(
        &mut self,
        tx: Tx,
        commit: bool,
        wait: impl FnMut() -> bool,
    ) -> Result<bool, Error> {
        match self.call(&Request::TransactionEnd { tx, commit }, wait) {
            Ok(_) => Ok(true),
            Err(error) if error.errno() == Some(Errno::EAGAIN) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the next thing to look at again. Only polling brings new ones.
    pub fn next_notice(&mut self) -> Option<Notice<'_>> {
        self.buffers.events.pop()
    }

    /// Whether there is one.
    #[must_use]
    pub fn has_notice(&self) -> bool {
        !self.buffers.events.is_empty()
    }
}

#[cfg(test)]
mod tests;
