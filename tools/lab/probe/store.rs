//! A watch on xenstore and a transaction, over xenstored's socket (Xen's docs/misc/xenstore.txt,
//! `io/xs_wire.h`).

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

const XS_READ: u32 = 2;
const XS_WATCH: u32 = 4;
const XS_TRANSACTION_START: u32 = 6;
const XS_TRANSACTION_END: u32 = 7;
const XS_WRITE: u32 = 11;
const XS_RM: u32 = 13;
const XS_WATCH_EVENT: u32 = 15;
const XS_ERROR: u32 = 16;
/// The longest payload a message may have.
const LONGEST: usize = 4096;

/// A message.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    kind: u32,
    payload: Vec<u8>,
}

fn message(kind: u32, parts: &[&str]) -> Vec<u8> {
    let payload: Vec<u8> = parts
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .collect();
    let mut bytes = Vec::new();
    for word in [kind, 0, 0, payload.len() as u32] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(payload);
    bytes
}

/// Takes the first whole message off `bytes`.
fn take(bytes: &mut Vec<u8>) -> Result<Option<Message>, String> {
    let word = |at: usize| {
        let four = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(four))
    };
    let (Some(kind), Some(len)) = (word(0), word(12)) else {
        return Ok(None);
    };
    let len = len as usize;
    if len > LONGEST {
        return Err(format!("xenstored sent a message of {len} bytes"));
    }
    if bytes.len() < 16 + len {
        return Ok(None);
    }
    let payload = bytes[16..16 + len].to_vec();
    bytes.drain(..16 + len);
    Ok(Some(Message { kind, payload }))
}

/// A connection that watches one tree.
#[derive(Debug)]
pub struct Store {
    socket: UnixStream,
    bytes: Vec<u8>,
}

impl Store {
    /// Connects and watches everything below `path`.
    ///
    /// # Errors
    /// If xenstored does not answer.
    pub fn watch(path: &str) -> Result<Self, String> {
        let place = "/run/xenstored/socket";
        let mut socket = UnixStream::connect(place).map_err(|error| format!("{place}: {error}"))?;
        socket
            .write_all(&message(XS_WATCH, &[path, "t"]))
            .and_then(|()| socket.set_nonblocking(true))
            .map_err(|error| format!("xenstored: {error}"))?;
        Ok(Self {
            socket,
            bytes: Vec::new(),
        })
    }

    /// The paths that changed since the last call; does not wait.
    ///
    /// # Errors
    /// If xenstored is gone or sends nonsense.
    pub fn changed(&mut self) -> Result<Vec<String>, String> {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err("xenstored closed the connection".into()),
                Ok(n) => self.bytes.extend(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("xenstored: {error}")),
            }
        }
        let mut paths = Vec::new();
        while let Some(message) = take(&mut self.bytes)? {
            // Everything else is the answer to our own request.
            if message.kind == XS_WATCH_EVENT {
                let path = message.payload.split(|&b| b == 0).next();
                paths.push(String::from_utf8_lossy(path.unwrap_or_default()).into_owned());
            }
        }
        Ok(paths)
    }
}

/// Reads one node; none if it is not there.
///
/// # Errors
/// If xenstored does not answer.
pub fn read(path: &str) -> Result<Option<String>, String> {
    let mut socket = connect()?;
    let answer = ask(&mut socket, &message(XS_READ, &[path]))?;
    let value = String::from_utf8_lossy(&answer.payload).into_owned();
    Ok((answer.kind == XS_READ).then_some(value))
}

/// How often a transaction is tried that met another one.
const TRIES: usize = 100;

/// Removes a node and writes it anew in one transaction, as xenopsd asks for a shutdown (`shutdown`
/// in xen-api's `ocaml/xenopsd/xc/domain.ml`). It may be missing before.
///
/// # Errors
/// If xenstored does not answer or refuses.
pub fn replace(path: &str, value: &str) -> Result<(), String> {
    let mut socket = connect()?;
    for _ in 0..TRIES {
        let start = ask(&mut socket, &message(XS_TRANSACTION_START, &[""]))?;
        let number = String::from_utf8_lossy(granted(&start)?);
        let number = number.trim_end_matches('\0');
        let number = number
            .parse()
            .map_err(|e| format!("transaction {number}: {e}"))?;
        let within = |mut request: Vec<u8>| {
            request[8..12].copy_from_slice(&u32::to_le_bytes(number));
            request
        };
        ask(&mut socket, &within(message(XS_RM, &[path])))?;
        // The value is not ended by a zero.
        let mut write = message(XS_WRITE, &[path, value]);
        write.pop();
        let len = u32::to_le_bytes((write.len() - 16) as u32);
        write[12..16].copy_from_slice(&len);
        granted(&ask(&mut socket, &within(write))?)?;
        let end = ask(&mut socket, &within(message(XS_TRANSACTION_END, &["T"])))?;
        if end.payload != b"EAGAIN\0" {
            return granted(&end).map(drop);
        }
    }
    Err(format!("{path}: {TRIES} transactions met another one"))
}

fn granted(answer: &Message) -> Result<&[u8], String> {
    match answer.kind {
        XS_ERROR => Err(format!(
            "xenstored says {}",
            String::from_utf8_lossy(&answer.payload).trim_end_matches('\0')
        )),
        _ => Ok(&answer.payload),
    }
}

fn connect() -> Result<UnixStream, String> {
    UnixStream::connect("/run/xenstored/socket").map_err(|error| format!("xenstored: {error}"))
}

/// One request and its answer.
fn ask(socket: &mut UnixStream, request: &[u8]) -> Result<Message, String> {
    let context = |error: std::io::Error| format!("xenstored: {error}");
    socket.write_all(request).map_err(context)?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(answer) = take(&mut bytes)? {
            return Ok(answer);
        }
        match socket.read(&mut buffer).map_err(context)? {
            0 => return Err("xenstored closed the connection".into()),
            n => bytes.extend(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_whole_and_one_by_one() {
        let mut bytes = message(XS_WATCH_EVENT, &["/a/b", "t"]);
        bytes.extend(message(XS_WATCH, &["OK"]));
        let last = bytes.pop();
        let first = take(&mut bytes).unwrap().unwrap();
        assert_eq!(
            (first.kind, first.payload.as_slice()),
            (XS_WATCH_EVENT, &b"/a/b\0t\0"[..])
        );
        assert_eq!(take(&mut bytes), Ok(None));
        bytes.extend(last);
        assert_eq!(take(&mut bytes).unwrap().unwrap().payload, b"OK\0");
        assert_eq!(take(&mut bytes), Ok(None));
    }

    #[test]
    fn a_length_out_of_bounds_is_refused() {
        let mut bytes = vec![0; 16];
        bytes[12..].fill(0xff);
        assert!(take(&mut bytes).unwrap_err().contains("4294967295 bytes"));
    }
}
