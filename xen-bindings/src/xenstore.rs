//! A xenstore client over the domain's ring: `public/io/xs_wire.h`. The other side is xenstored.
//!
//! One request at a time, without waiting: [`submit`](Client::submit), then
//! [`poll`](Client::poll) until it says [`Status::Done`], then [`reply`](Client::reply). Watch
//! events that arrive meanwhile are kept; take them with
//! [`next_notice`](Client::next_notice). [`call`](Client::call) does all three for a caller
//! that can wait and has a deadline.
//!
//! # How to wait without losing a wake-up
//! Poll first, wait for the ring's event only after a poll that was not done, clear the event
//! ([`two_level::clear_pending`](crate::two_level::clear_pending)) *before* the next poll.
//! xenstored writes the ring first and then sends the event. So if a poll did not see something, its
//! event is still to come.
//!
//! Take every [`next_notice`](Client::next_notice) before you sleep: what came together with a reply
//! raises no event again.
//!
//! # Trust
//! xenstored is another domain's program. Indices, lengths, types, request numbers and texts are
//! checked; a
//! [`Violation`] stops the client (the start of the next message can no longer be found) until
//! [`reset`](Client::reset) or [`reconnect`](Client::reconnect). One poll looks at no more than what was in the
//! ring when it began (1 KiB).
//!
//! # After a timeout
//! xenstored may still carry out a request that was given up. Its reply is dropped when it comes. If
//! the request started a transaction, the client ends that transaction, because xenstored allows a
//! domain ten of them (`quota_max_transaction`). The same goes for a transaction whose end could not
//! be sent. The message that ends it is sent with the next request or the next idle poll.

mod error;
mod events;
mod page;
mod wire;

pub use crate::ring::BadIndices;
pub use error::{Error, Violation};
pub use events::Notice;
pub use page::Page;
pub use wire::{names, BadRequest, Op, Refusal, Request, Tx, PAYLOAD_MAX};

use crate::ffi;
use crate::ring::{Consumer, Notify, Producer};
use crate::Errno;
use core::sync::atomic::Ordering;
use events::Events;
use wire::{Header, HEADER};

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// None is under way.
    Idle,
    /// Not answered yet.
    Pending,
    /// Answered: take it with [`Client::reply`].
    Done,
}

/// The client's memory, 16 KiB: apart from it, so that it can be a static and is never on a stack.
pub struct Buffers {
    out: [u8; OUT],
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
            out: [0; OUT],
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
/// How many transactions can wait to be ended. xenstored allows a domain ten of them, unless it was
/// told otherwise.
const UNENDED_MAX: usize = 16;
/// The message that ends a transaction: its header, a letter, a zero byte.
const END: usize = HEADER + 2;
/// Room for what can be sent at once: the ends of transactions, then one request.
const OUT: usize = ABANDONED_MAX * END + HEADER + PAYLOAD_MAX;

/// A request that nobody waits for any more.
#[derive(Clone, Copy)]
struct Abandoned {
    id: u32,
    kind: u32,
}

/// The guest's end of the xenstore ring.
pub struct Client<'p, N> {
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
    abandoned: [Option<Abandoned>; ABANDONED_MAX],
    /// Numbers of transactions that nobody uses, to be ended.
    unended: [Option<u32>; UNENDED_MAX],
    /// Goes up with each new connection. Transactions of earlier ones are over.
    connection: u32,
    /// The page says that xenstored is resetting the connection. The indices are valid when it has
    /// finished.
    closed: bool,
    broken: Option<Violation>,
}

impl<'p, N: Notify> Client<'p, N> {
    /// Continues the ring at the indices in the page. `notify` sends the ring's event.
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
            unended: [None; UNENDED_MAX],
            connection: 1,
            closed: false,
            broken: None,
        }
    }

    /// Starts over after a restore: there is another xenstored, which knows nothing of this client,
    /// and the port is another. Not for a cancelled suspend, after which everything is as before.
    ///
    /// Drops half messages both ways, the request under way (returns true if there was one), and a
    /// violation. Events that wait become one [`Notice::Rescan`]. The watches are gone: set them
    /// again. So are the transactions: each [`Tx`] from before is refused from now on.
    pub fn reset(&mut self, notify: N) -> bool {
        self.requests.discard();
        self.responses.discard();
        self.notify = notify;
        self.begin_anew()
    }

    /// Forgets the old connection; true if a request was under way.
    fn begin_anew(&mut self) -> bool {
        self.notify_due = false;
        self.buffers.events.collapse();
        self.sent = 0;
        self.out_len = 0;
        self.header_got = 0;
        self.payload_got = 0;
        self.abandoned = [None; ABANDONED_MAX];
        self.closed = false;
        self.broken = None;
        self.forget_transactions();
        let lost = matches!(self.state, State::Waiting { .. });
        self.state = State::Idle;
        lost
    }

    /// Invalidates all transactions.
    fn forget_transactions(&mut self) {
        self.unended = [None; UNENDED_MAX];
        self.connection = self.connection.wrapping_add(1);
    }

    /// Whether xenstored offers to reset the connection (`docs/misc/xenstore-ring.txt`, "The
    /// ring reconnection feature"). oxenstored does, Xen's C xenstored of 4.17 to 4.20 does not.
    #[must_use]
    pub fn can_reconnect(&self) -> bool {
        self.page
            .has_feature(ffi::XENSTORE_SERVER_FEATURE_RECONNECTION)
    }

    /// Asks xenstored to reset the connection, which works in any state of the ring, and waits for it
    /// as
    /// [`call`](Self::call) does. Then all is as after [`reset`](Self::reset).
    ///
    /// # Errors
    /// [`Error::NoReconnection`] if xenstored does not offer it; [`Error::Notify`];
    /// [`Error::TimedOut`]. The client is as it was, and this can be called again.
    pub fn reconnect(&mut self, notify: N, mut wait: impl FnMut() -> bool) -> Result<(), Error> {
        if !self.can_reconnect() {
            return Err(Error::NoReconnection);
        }
        self.notify = notify;
        let wanted = ffi::XENSTORE_RECONNECT;
        self.page.connection().store(wanted, Ordering::Release);
        self.notify.notify().map_err(Error::Notify)?;
        while self.page.is_reconnecting() {
            if !wait() && self.page.is_reconnecting() {
                let op = wire::Op::RECONNECT;
                return Err(Error::TimedOut { op });
            }
        }
        self.requests.discard();
        self.responses.discard();
        self.begin_anew();
        Ok(())
    }

    /// Puts a request under way; [`poll`](Self::poll) sends it. A reply that was not taken is
    /// dropped.
    ///
    /// # Errors
    /// [`Error::BadRequest`], with nothing changed; [`Error::Violation`] if there was one.
    pub fn submit(&mut self, request: &Request<'_>) -> Result<(), Error> {
        if let Some(violation) = self.broken {
            return Err(violation.into());
        }
        let op = request.op();
        let bad = |why| Error::BadRequest { op, why };
        if request.tx().is_some_and(|tx| !tx.is_of(self.connection)) {
            return Err(bad(BadRequest::StaleTransaction));
        }
        if self.is_waiting() || self.is_full() {
            return Err(bad(BadRequest::Busy));
        }
        // One place stays free, for this request if it is given up.
        self.put_ends(1);
        let id = self.last_id.wrapping_add(1);
        let room = &mut self.buffers.out[self.out_len..];
        let len = request.encode(id, room).map_err(bad)?;
        self.out_len += len;
        self.last_id = id;
        self.state = State::Waiting { id, op };
        Ok(())
    }

    fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Whether no other request can be sent now: one is half sent, or too many were given up.
    fn is_full(&self) -> bool {
        self.sent < self.out_len || self.abandoned.iter().all(Option::is_some)
    }

    /// Starts sending the messages that end unused transactions, and leaves so many places for
    /// requests that are given up. Nothing else is being sent.
    fn put_ends(&mut self, spare: usize) {
        (self.sent, self.out_len) = (0, 0);
        let free = self.abandoned.iter().filter(|slot| slot.is_none()).count();
        let places = self.abandoned.iter_mut().filter(|slot| slot.is_none());
        let numbers = self.unended.iter_mut().filter(|slot| slot.is_some());
        for (place, number) in places.zip(numbers).take(free.saturating_sub(spare)) {
            let Some(number) = number.take() else {
                continue;
            };
            let request = Request::TransactionEnd {
                tx: Tx::new(number, self.connection),
                commit: false,
            };
            self.last_id = self.last_id.wrapping_add(1);
            let room = &mut self.buffers.out[self.out_len..];
            // It has a fixed length, and there is room for as many as there are places.
            if let Ok(len) = request.encode(self.last_id, room) {
                self.out_len += len;
            }
            *place = Some(Abandoned {
                id: self.last_id,
                kind: ffi::XS_TRANSACTION_END,
            });
        }
    }

    /// Queues the end of an unused transaction. If the queue is full, this one stays open until the
    /// connection ends.
    fn end_later(&mut self, number: u32) {
        if let Some(slot) = self.unended.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(number);
        }
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
        if self.page.is_reconnecting() {
            self.closed = true;
            return Ok(());
        }
        if self.closed {
            // Requested by whatever ran before this kernel, such as firmware.
            self.requests.discard();
            self.responses.discard();
            self.closed = false;
        }
        if let Some(code) = self.page.complaint() {
            return Err(Violation::Complaint { code });
        }
        if self.sent == self.out_len && !self.is_waiting() {
            self.put_ends(0);
        }
        let sent = self
            .requests
            .write(&self.buffers.out[self.sent..self.out_len])?;
        self.sent += sent;
        self.notify_due |= sent > 0;
        // What arrives after this look at the ring is left for the next poll, so that this one ends.
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
            // The producer index is read again, and may have gone back meanwhile: try in the next
            // poll.
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
        let given_up = |slot: &&mut Option<Abandoned>| slot.is_some_and(|was| was.id == header.id);
        if let Some(was) = self
            .abandoned
            .iter_mut()
            .find(given_up)
            .and_then(Option::take)
        {
            let began = was.kind == ffi::XS_TRANSACTION_START && header.kind == was.kind;
            if let Some(number) = began.then(|| wire::transaction(payload)).flatten() {
                self.end_later(number);
            }
            return Ok(());
        }
        match self.state {
            // A request that is not fully sent cannot have been answered.
            State::Waiting { id, op } if id == header.id && self.sent == self.out_len => {
                self.state = if header.kind == ffi::XS_ERROR {
                    let refusal = Refusal::decode(payload);
                    State::Refused { op, refusal }
                } else if header.kind == op.kind {
                    self.buffers.reply[..len].copy_from_slice(payload);
                    if op.kind == ffi::XS_RESET_WATCHES {
                        // It ends the transactions too.
                        self.forget_transactions();
                    }
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

    /// Gives up the request under way, if there is one: its reply will be dropped. xenstored may
    /// still do it.
    pub fn abandon(&mut self) {
        if let State::Waiting { id, op } = self.state {
            // `submit` has kept a place free.
            if let Some(slot) = self.abandoned.iter_mut().find(|slot| slot.is_none()) {
                let kind = op.kind;
                *slot = Some(Abandoned { id, kind });
            }
        }
        self.state = State::Idle;
    }

    /// Asks and waits: calls `wait` after each poll that was not enough. `wait` returns once the
    /// ring's event came (see the module's text on how), or false when the time is over. The ring is
    /// polled once more after that: a domain that was paused finds its reply and its timeout at the
    /// same moment.
    ///
    /// # Errors
    /// Any; on [`Error::TimedOut`] the request is given up as by [`abandon`](Self::abandon).
    pub fn call(
        &mut self,
        request: &Request<'_>,
        mut wait: impl FnMut() -> bool,
    ) -> Result<&[u8], Error> {
        let mut in_time = true;
        // Requests that were given up may have to be sent completely, or answered, first.
        while !self.is_waiting() && self.is_full() && in_time {
            in_time = self.look()? || wait();
        }
        self.submit(request)?;
        while !self.look_for_reply()? {
            if !in_time {
                self.abandon();
                return Err(Error::TimedOut { op: request.op() });
            }
            in_time = wait();
        }
        self.reply()
    }

    /// Polls; whether a reply is here. An event that Xen refused is sent by the next poll:
    /// meanwhile the time runs.
    fn look_for_reply(&mut self) -> Result<bool, Error> {
        match self.poll() {
            Ok(status) => Ok(status == Status::Done),
            Err(Error::Notify(_)) => Ok(false),
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// Polls; whether there is room for a request now.
    fn look(&mut self) -> Result<bool, Error> {
        self.look_for_reply()?;
        Ok(!self.is_full())
    }

    /// Begins a transaction, waiting as [`call`](Self::call) does.
    ///
    /// # Errors
    /// As `call`; also a [`Violation`] if the reply holds no number. If the answer comes later, the
    /// transaction is ended.
    pub fn transaction_start(&mut self, wait: impl FnMut() -> bool) -> Result<Tx, Error> {
        let number = wire::transaction(self.call(&Request::TransactionStart, wait)?);
        self.began(number)
    }

    /// Takes the reply to a [`Request::TransactionStart`] that was put under way by
    /// [`submit`](Self::submit).
    ///
    /// # Errors
    /// As [`reply`](Self::reply); also a [`Violation`] if the reply holds no number.
    pub fn transaction_reply(&mut self) -> Result<Tx, Error> {
        let number = wire::transaction(self.reply()?);
        self.began(number)
    }

    fn began(&mut self, number: Option<u32>) -> Result<Tx, Error> {
        let Some(number) = number else {
            self.broken = Some(Violation::BadTransaction);
            return Err(Violation::BadTransaction.into());
        };
        Ok(Tx::new(number, self.connection))
    }

    /// Ends a transaction, waiting as [`call`](Self::call) does. False: it collided with another,
    /// nothing was done, and all of it is to be done again.
    ///
    /// # Errors
    /// As `call`. The transaction is over in any case: one whose end could not be sent is dropped
    /// later. After
    /// [`Error::TimedOut`] it is unknown whether a commit was done.
    pub fn transaction_end(
        &mut self,
        tx: Tx,
        commit: bool,
        wait: impl FnMut() -> bool,
    ) -> Result<bool, Error> {
        match self.call(&Request::TransactionEnd { tx, commit }, wait) {
            Ok(_) => Ok(true),
            Err(error) if error.errno() == Some(Errno::EAGAIN) => Ok(false),
            Err(error) => {
                let unsent =
                    matches!(&error, Error::BadRequest { why, .. } if *why == BadRequest::Busy);
                if unsent {
                    self.end_later(tx.number());
                }
                Err(error)
            }
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
