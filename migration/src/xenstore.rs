//! What this crate asks of a xenstore client. The ring, its event channel and the waiting belong to
//! the guest.

use core::fmt;

use crate::party::Party;
use crate::text::Text;

/// Why a xenstore operation failed.
///
/// The daemon answers with the name of an errno value (`XS_ERROR`,
/// `xen/include/public/io/xs_wire.h`);
/// [`StoreError::from_wire`] sorts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// `ENOENT`: there is no such node.
    NotFound,
    /// `EAGAIN`: the transaction conflicted with another write and has to be done again from its
    /// start.
    Again,
    /// `EACCES`: the node is not ours to write (or to read).
    Denied,
    /// `EEXIST`: a watch with this path and token is set already.
    Exists,
    /// `EQUOTA`, `ENOSPC` or `E2BIG`: a quota of the domain is used up.
    Quota,
    /// No answer within the client's limit.
    TimedOut,
    /// The transaction was still in conflict after the last allowed try.
    Conflicts {
        /// How often it was tried.
        tries: u32,
    },
    /// xenstored refused for another reason: the name that it gave, such as `EINVAL`.
    Refused(Text<16>),
    /// The client could not ask, or not hear the answer. Made by [`StoreError::client`].
    Client {
        /// Who is at fault: the guest for a request that cannot be sent, Xen for an event that it
        /// refused, the toolstack for a ring that is not there or that xenstored broke.
        party: Party,
        /// What the client said.
        cause: Text<CAUSE_MAX>,
    },
}

/// Bytes of a client's own words that a [`StoreError`] keeps.
pub const CAUSE_MAX: usize = 72;

impl StoreError {
    /// Sorts the error name that the daemon sent, with or without its closing NUL.
    pub fn from_wire(name: &[u8]) -> StoreError {
        match name.strip_suffix(b"\0").unwrap_or(name) {
            b"ENOENT" => StoreError::NotFound,
            b"EAGAIN" => StoreError::Again,
            b"EACCES" | b"EPERM" => StoreError::Denied,
            b"EEXIST" => StoreError::Exists,
            b"EQUOTA" | b"ENOSPC" | b"E2BIG" => StoreError::Quota,
            b"" => StoreError::Refused(Text::new(b"without a name")),
            other => StoreError::Refused(Text::new(other)),
        }
    }

    /// An error that is not xenstored's answer. `party` is at fault, and `cause` says for what, of
    /// which the first [`CAUSE_MAX`] bytes are kept.
    pub fn client(party: Party, cause: impl fmt::Display) -> StoreError {
        StoreError::Client {
            party,
            cause: Text::of(cause),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::NotFound => f.write_str("no such node"),
            StoreError::Again => f.write_str("transaction conflict"),
            StoreError::Denied => f.write_str("not allowed"),
            StoreError::Exists => f.write_str("exists already"),
            StoreError::Quota => f.write_str("quota used up"),
            StoreError::TimedOut => f.write_str("no answer from xenstored in time"),
            StoreError::Conflicts { tries } => {
                write!(f, "transaction still in conflict after {tries} tries")
            }
            StoreError::Refused(name) => write!(f, "xenstored refused: {name}"),
            StoreError::Client { cause, .. } => cause.fmt(f),
        }
    }
}

impl core::error::Error for StoreError {}

/// A xenstore client.
///
/// Paths without a leading slash are relative to the domain's own directory. An implementation may
/// sleep; it must not wait for ever ([`StoreError::TimedOut`]), and it must keep answers apart from
/// watch events that arrive between them.
pub trait Xenstore {
    /// A transaction, as the client names it. An operation outside any has `None`.
    ///
    /// It should know the connection that began it: xenstored counts anew after a restore, so that
    /// a bare number kept from before may be the number of somebody's new transaction.
    #[doc(alias = "XBT_NULL")]
    type Tx: Copy;

    /// Reads a node into `buf` and returns the value's full length, which may be greater than
    /// `buf.len()`: then the buffer holds its beginning.
    #[doc(alias = "XS_READ")]
    fn read(
        &mut self,
        tx: Option<Self::Tx>,
        path: &str,
        buf: &mut [u8],
    ) -> Result<usize, StoreError>;

    /// Writes a node, creating it if need be.
    #[doc(alias = "XS_WRITE")]
    fn write(&mut self, tx: Option<Self::Tx>, path: &str, value: &[u8]) -> Result<(), StoreError>;

    /// Opens a transaction.
    #[doc(alias = "XS_TRANSACTION_START")]
    fn transaction_start(&mut self) -> Result<Self::Tx, StoreError>;

    /// Commits or drops a transaction. It is over afterwards, whatever the result.
    #[doc(alias = "XS_TRANSACTION_END")]
    fn transaction_end(&mut self, tx: Self::Tx, commit: bool) -> Result<(), StoreError>;

    /// Sets a watch. It fires once at once, then after each change at or below the path.
    #[doc(alias = "XS_WATCH")]
    fn watch(&mut self, path: &str, token: &str) -> Result<(), StoreError>;
}

/// What is asked of a xenstore client beyond [`Xenstore`], by whoever has devices: what lies below a
/// node, and an end of what was made.
pub trait Tree: Xenstore {
    /// Names each child of a node, one call for each.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such node.
    #[doc(alias = "XS_DIRECTORY")]
    fn list(&mut self, path: &str, each: &mut dyn FnMut(&str)) -> Result<(), StoreError>;

    /// Removes a node and what lies below it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such node.
    #[doc(alias = "XS_RM")]
    fn remove(&mut self, path: &str) -> Result<(), StoreError>;

    /// Ends a watch.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it was not set.
    #[doc(alias = "XS_UNWATCH")]
    fn unwatch(&mut self, path: &str, token: &str) -> Result<(), StoreError>;
}

/// Runs `body` inside a transaction until it commits, at most `tries` times.
///
/// The body is run anew for each try and must have no effect outside the store. When it fails, the
/// transaction is dropped and its error returned.
pub fn transaction<X, R>(
    xs: &mut X,
    tries: u32,
    mut body: impl FnMut(&mut X, Option<X::Tx>) -> Result<R, StoreError>,
) -> Result<R, StoreError>
where
    X: Xenstore + ?Sized,
{
    for _ in 0..tries {
        let tx = xs.transaction_start()?;
        match body(xs, Some(tx)) {
            Ok(result) => match xs.transaction_end(tx, true) {
                Ok(()) => return Ok(result),
                Err(StoreError::Again) => continue,
                Err(error) => return Err(error),
            },
            Err(error) => {
                // The error that matters is the body's; a transaction that cannot be dropped ends
                // with the connection.
                if let Err(end) = xs.transaction_end(tx, false) {
                    log::debug!("a xenstore transaction could not be dropped: {end}");
                }
                if error == StoreError::Again {
                    continue;
                }
                return Err(error);
            }
        }
    }
    Err(StoreError::Conflicts { tries })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Blame;

    #[test]
    fn wire_names_are_sorted_with_and_without_nul() {
        assert_eq!(StoreError::from_wire(b"EAGAIN\0"), StoreError::Again);
        assert_eq!(StoreError::from_wire(b"ENOENT"), StoreError::NotFound);
        assert_eq!(StoreError::from_wire(b"EACCES\0"), StoreError::Denied);
        assert_eq!(StoreError::from_wire(b"EEXIST"), StoreError::Exists);
        for quota in ["EQUOTA", "ENOSPC", "E2BIG"] {
            assert_eq!(StoreError::from_wire(quota.as_bytes()), StoreError::Quota);
        }
        // The rest keep their names, for the message.
        for other in ["EINVAL", "EISDIR", "ENOMEM", "EIO", "EWHATEVER"] {
            let error = StoreError::from_wire(other.as_bytes());
            assert_eq!(
                std::format!("{error}"),
                std::format!("xenstored refused: {other}")
            );
            assert_eq!(error.party(), Party::Toolstack);
        }
        assert!(matches!(StoreError::from_wire(b""), StoreError::Refused(_)));
    }

    #[test]
    fn an_error_of_the_client_keeps_its_cause_and_names_its_party() {
        for party in [Party::Guest, Party::Xen, Party::Toolstack] {
            let error = StoreError::client(party, "EVTCHNOP_send(port 3): EINVAL (22)");
            assert_eq!(error.party(), party);
            assert_eq!(
                std::format!("{error}"),
                "EVTCHNOP_send(port 3): EINVAL (22)"
            );
        }
        let long = StoreError::client(Party::Guest, "x".repeat(2 * CAUSE_MAX));
        assert_eq!(std::format!("{long}"), "x".repeat(CAUSE_MAX));
    }
}
