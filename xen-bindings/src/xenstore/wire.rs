//! The messages of xenstore's wire protocol: `public/io/xs_wire.h`, `docs/misc/xenstore.txt`.

use crate::error::Errno;
use crate::ffi;
use core::fmt;

/// Bytes in a message's header.
pub(super) const HEADER: usize = size_of::<ffi::xsd_sockmsg>();
/// The most that may follow a header.
pub const PAYLOAD_MAX: usize = ffi::XENSTORE_PAYLOAD_MAX as usize;

/// What a message outside any transaction has in its header (`XBT_NULL`, `xs_wire.h`).
const NO_TRANSACTION: u32 = 0;

/// A transaction, by the number xenstored gave it and the connection that began it. An operation
/// outside any transaction has `None` in its place.
///
/// xenstored counts anew for each connection: the number of a transaction from before a restore may
/// be another's by now. A request that names such a transaction is refused here and not sent
/// ([`BadRequest::StaleTransaction`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tx {
    number: u32,
    connection: u32,
}

impl Tx {
    /// The transaction of this number; `connection` says which of the client's connections it
    /// belongs to.
    pub(super) const fn new(number: u32, connection: u32) -> Self {
        Self { number, connection }
    }

    /// Whether it can be named on this connection.
    pub(super) fn is_of(self, connection: u32) -> bool {
        self.connection == connection
    }

    pub(super) const fn number(self) -> u32 {
        self.number
    }
}

/// What can be asked of xenstored. Paths that do not begin with a slash are relative to the
/// domain's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Read a node's value: the reply.
    #[doc(alias = "XS_READ")]
    Read {
        /// In which transaction; none: it stands alone.
        tx: Option<Tx>,
        /// The node.
        path: &'a str,
    },
    /// Write a node's value, and make the node if there is none.
    #[doc(alias = "XS_WRITE")]
    Write {
        /// In which transaction; none: it stands alone.
        tx: Option<Tx>,
        /// The node.
        path: &'a str,
        /// Its value, any bytes.
        value: &'a [u8],
    },
    /// Make a node with an empty value, if there is none.
    #[doc(alias = "XS_MKDIR")]
    Mkdir {
        /// In which transaction; none: it stands alone.
        tx: Option<Tx>,
        /// The node.
        path: &'a str,
    },
    /// Remove a node and what is below it.
    #[doc(alias = "XS_RM")]
    Rm {
        /// In which transaction; none: it stands alone.
        tx: Option<Tx>,
        /// The node.
        path: &'a str,
    },
    /// The names of a node's children; see [`names`].
    #[doc(alias = "XS_DIRECTORY")]
    Directory {
        /// In which transaction; none: it stands alone.
        tx: Option<Tx>,
        /// The node.
        path: &'a str,
    },
    /// Send an event now, and whenever the node or anything below it changes.
    #[doc(alias = "XS_WATCH")]
    Watch {
        /// The node.
        path: &'a str,
        /// What the event is to carry.
        token: &'a str,
    },
    /// Stop that.
    #[doc(alias = "XS_UNWATCH")]
    Unwatch {
        /// The node.
        path: &'a str,
        /// The token that was given with it.
        token: &'a str,
    },
    /// Remove all of this domain's watches and transactions, as after a restore. Outside any
    /// transaction only.
    #[doc(alias = "XS_RESET_WATCHES")]
    ResetWatches,
    /// Begin a transaction: the reply is its number; see
    /// [`Client::transaction_start`](super::Client::transaction_start) and
    /// [`Client::transaction_reply`](super::Client::transaction_reply).
    #[doc(alias = "XS_TRANSACTION_START")]
    TransactionStart,
    /// End a transaction. `EAGAIN` means that nothing was done and all of it is to be done again.
    #[doc(alias = "XS_TRANSACTION_END")]
    TransactionEnd {
        /// Which one.
        tx: Tx,
        /// Whether its changes are to be made, or forgotten.
        commit: bool,
    },
    /// The path of a domain's own directory.
    #[doc(alias = "XS_GET_DOMAIN_PATH")]
    GetDomainPath {
        /// The domain.
        domid: u16,
    },
}

/// The kind of a request, for messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Op {
    pub(super) kind: u32,
    name: &'static str,
}

impl Op {
    /// Beginning the connection anew: no message of the protocol's, but as long to be waited for.
    pub(super) const RECONNECT: Self = Self {
        kind: u32::MAX,
        name: "a new connection",
    };
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Why a request cannot be sent: this guest's own mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// A request is under way already, or the last ones were given up and are not answered yet.
    Busy,
    /// More than [`PAYLOAD_MAX`] bytes.
    TooLong {
        /// How many it would be.
        bytes: usize,
    },
    /// A path or token that is empty, or has a zero byte in it, which would end it early.
    BadText,
    /// The transaction belongs to an earlier connection, and ended with it.
    StaleTransaction,
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("an earlier request is still under way"),
            Self::TooLong { bytes } => write!(f, "{bytes} bytes, and xenstore takes {PAYLOAD_MAX}"),
            Self::BadText => f.write_str("a path or token is empty or has a zero byte in it"),
            Self::StaleTransaction => {
                f.write_str("its transaction ended with an earlier connection")
            }
        }
    }
}

impl Request<'_> {
    /// What kind it is.
    #[must_use]
    pub fn op(&self) -> Op {
        let (kind, name) = match self {
            Self::Read { .. } => (ffi::XS_READ, "XS_READ"),
            Self::Write { .. } => (ffi::XS_WRITE, "XS_WRITE"),
            Self::Mkdir { .. } => (ffi::XS_MKDIR, "XS_MKDIR"),
            Self::Rm { .. } => (ffi::XS_RM, "XS_RM"),
            Self::Directory { .. } => (ffi::XS_DIRECTORY, "XS_DIRECTORY"),
            Self::Watch { .. } => (ffi::XS_WATCH, "XS_WATCH"),
            Self::Unwatch { .. } => (ffi::XS_UNWATCH, "XS_UNWATCH"),
            Self::ResetWatches => (ffi::XS_RESET_WATCHES, "XS_RESET_WATCHES"),
            Self::TransactionStart => (ffi::XS_TRANSACTION_START, "XS_TRANSACTION_START"),
            Self::TransactionEnd { .. } => (ffi::XS_TRANSACTION_END, "XS_TRANSACTION_END"),
            Self::GetDomainPath { .. } => (ffi::XS_GET_DOMAIN_PATH, "XS_GET_DOMAIN_PATH"),
        };
        Op { kind, name }
    }

    /// In which transaction it is to be done.
    pub(super) fn tx(&self) -> Option<Tx> {
        match *self {
            Self::Read { tx, .. }
            | Self::Write { tx, .. }
            | Self::Mkdir { tx, .. }
            | Self::Rm { tx, .. }
            | Self::Directory { tx, .. } => tx,
            Self::TransactionEnd { tx, .. } => Some(tx),
            Self::Watch { .. }
            | Self::Unwatch { .. }
            | Self::ResetWatches
            | Self::TransactionStart
            | Self::GetDomainPath { .. } => None,
        }
    }

    /// Writes the message into `out`, which has room for the longest, with `id` for the reply to
    /// repeat; returns its length.
    pub(super) fn encode(&self, id: u32, out: &mut [u8]) -> Result<usize, BadRequest> {
        let mut digits = [0; 5];
        // A text ends with a zero byte, a value does not.
        let (texts, value): ([Option<&[u8]>; 2], &[u8]) = match *self {
            Self::Read { path, .. }
            | Self::Mkdir { path, .. }
            | Self::Rm { path, .. }
            | Self::Directory { path, .. } => ([Some(text(path)?), None], &[]),
            Self::Write { path, value, .. } => ([Some(text(path)?), None], value),
            Self::Watch { path, token } | Self::Unwatch { path, token } => {
                ([Some(text(path)?), Some(text(token)?)], &[])
            }
            Self::ResetWatches | Self::TransactionStart => ([Some(b""), None], &[]),
            Self::TransactionEnd { commit, .. } => {
                ([Some(if commit { b"T" } else { b"F" }), None], &[])
            }
            Self::GetDomainPath { domid } => ([Some(decimal(domid, &mut digits)), None], &[]),
        };
        let bytes = texts
            .iter()
            .flatten()
            .map(|text| text.len() + 1)
            .sum::<usize>()
            + value.len();
        if bytes > PAYLOAD_MAX {
            return Err(BadRequest::TooLong { bytes });
        }
        let mut len = 0;
        let mut put = |part: &[u8]| {
            out[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        };
        let tx = self.tx().map_or(NO_TRANSACTION, Tx::number);
        for word in [self.op().kind, id, tx, bytes as u32] {
            put(&word.to_le_bytes());
        }
        for text in texts.into_iter().flatten() {
            put(text);
            put(&[0]);
        }
        put(value);
        Ok(len)
    }
}

fn text(text: &str) -> Result<&[u8], BadRequest> {
    if text.is_empty() || text.bytes().any(|byte| byte == 0) {
        return Err(BadRequest::BadText);
    }
    Ok(text.as_bytes())
}

fn decimal(mut number: u16, digits: &mut [u8; 5]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

/// A message's header as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) len: u32,
}

impl Header {
    pub(super) fn decode(bytes: &[u8; HEADER]) -> Self {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self {
            kind: word(0),
            id: word(4),
            len: word(12),
        }
    }
}

/// A watch event's path and token: each ends with a zero byte.
pub(super) fn watch_event(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut texts = payload.split(|&byte| byte == 0);
    let (path, token) = (texts.next()?, texts.next()?);
    // The token's zero byte must be there too: something, if only nothing, follows it.
    texts.next()?;
    Some((path, token))
}

/// The error's name as xenstored wrote it, such as `ENOENT`. Longer names are cut off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    text: [u8; 16],
    len: u8,
}

impl Refusal {
    pub(super) fn decode(payload: &[u8]) -> Self {
        let end = payload
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(payload.len());
        let mut refusal = Self {
            text: [b'?'; 16],
            len: end.min(16) as u8,
        };
        for (to, &from) in refusal.text.iter_mut().zip(&payload[..end]) {
            // What is shown to a person is plain text, whatever came.
            if from.is_ascii_graphic() {
                *to = from;
            }
        }
        refusal
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        // Every byte is a printable ASCII character, by `decode`.
        core::str::from_utf8(&self.text[..usize::from(self.len)]).unwrap_or("?")
    }

    /// The number that has this name, or none: xenstored has names that Xen has not (`EQUOTA`).
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        Errno::from_name(self.name().as_bytes())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The names in the reply to [`Request::Directory`].
pub fn names(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    reply
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
}

/// The transaction's number in the reply to [`Request::TransactionStart`]; none if it holds no
/// number, or the number that means "no transaction".
pub(super) fn transaction(reply: &[u8]) -> Option<u32> {
    let digits = reply.strip_suffix(&[0]).unwrap_or(reply);
    let number: u32 = core::str::from_utf8(digits).ok()?.parse().ok()?;
    (number != 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(request: Request<'_>) -> std::vec::Vec<u8> {
        let mut out = [0xee; HEADER + PAYLOAD_MAX];
        let len = request.encode(7, &mut out).unwrap();
        out[..len].to_vec()
    }

    #[test]
    fn requests_have_the_documented_form() {
        let message = encoded(Request::Write {
            tx: Some(Tx::new(3, 1)),
            path: "a/b",
            value: b"v\0",
        });
        let header = [11u32, 7, 3, 6].map(u32::to_le_bytes).concat();
        assert_eq!(message, [&header[..], b"a/b\0v\0"].concat());
        let body = |request| encoded(request)[HEADER..].to_vec();
        assert_eq!(
            body(Request::Watch {
                path: "control",
                token: "t"
            }),
            b"control\0t\0"
        );
        assert_eq!(
            body(Request::TransactionEnd {
                tx: Tx::new(1, 1),
                commit: true
            }),
            b"T\0"
        );
        assert_eq!(
            body(Request::TransactionEnd {
                tx: Tx::new(1, 1),
                commit: false
            }),
            b"F\0"
        );
        assert_eq!(body(Request::GetDomainPath { domid: 0 }), b"0\0");
        assert_eq!(body(Request::GetDomainPath { domid: u16::MAX }), b"65535\0");
        assert_eq!(body(Request::ResetWatches), b"\0");
        assert_eq!(encoded(Request::ResetWatches)[0], 21);
    }

    #[test]
    fn requests_that_cannot_be_are_refused_here() {
        let mut out = [0; HEADER + PAYLOAD_MAX];
        let mut try_it = |request: Request<'_>| request.encode(1, &mut out);
        let tx = None;
        assert_eq!(
            try_it(Request::Read { tx, path: "" }),
            Err(BadRequest::BadText)
        );
        assert_eq!(
            try_it(Request::Read { tx, path: "a\0b" }),
            Err(BadRequest::BadText)
        );
        assert_eq!(
            try_it(Request::Watch {
                path: "a",
                token: "\0"
            }),
            Err(BadRequest::BadText)
        );
        let value = [0; PAYLOAD_MAX];
        let fits = Request::Write {
            tx,
            path: "a",
            value: &value[2..],
        };
        assert_eq!(try_it(fits), Ok(HEADER + PAYLOAD_MAX));
        let too_long = Request::Write {
            tx,
            path: "a",
            value: &value[1..],
        };
        assert_eq!(try_it(too_long), Err(BadRequest::TooLong { bytes: 4097 }));
    }

    #[test]
    fn replies_are_read_with_distrust() {
        assert_eq!(watch_event(b"a/b\0tok\0"), Some((&b"a/b"[..], &b"tok"[..])));
        assert_eq!(watch_event(b"\0\0"), Some((&b""[..], &b""[..])));
        for bad in [&b""[..], b"a", b"a\0", b"a\0tok"] {
            assert_eq!(watch_event(bad), None, "{bad:?}");
        }
        assert_eq!(transaction(b"12\0"), Some(12));
        for bad in [
            &b"0\0"[..],
            b"\0",
            b"",
            b"-1\0",
            b"4294967296\0",
            b"1\0\0",
            b"\xff\0",
        ] {
            assert_eq!(transaction(bad), None, "{bad:?}");
        }
        assert!(names(b"0\0device\0\0").eq([&b"0"[..], b"device"]));
        assert_eq!(names(b"").count(), 0);
        assert_eq!(Refusal::decode(b"ENOENT\0").errno(), Some(Errno::ENOENT));
        assert_eq!(Refusal::decode(b"EQUOTA\0").errno(), None);
        assert_eq!(Refusal::decode(b"EQUOTA").name(), "EQUOTA");
        assert_eq!(Refusal::decode(b"a\x1b[2J\xff\0").name(), "a?[2J?");
        assert_eq!(Refusal::decode(&[b'x'; 100]).name(), "xxxxxxxxxxxxxxxx");
        assert_eq!(Refusal::decode(b"").name(), "");
    }
}
