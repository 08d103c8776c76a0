//! One HTTP connection: a request and its answer, which may have to wait for the disk.

use core::fmt::Write;

use smoltcp::socket::tcp::Socket;

use super::http::{self, Asked, Request};
use super::links::Links;
use super::status::Status;
use super::store::{Done, Store};
use super::{record, Disk};

/// Records that are served at most: the last ones.
const SERVED: u64 = 64;
/// Bytes of a line with the longest record.
const LINE: usize = 32 + record::LONGEST;

/// What a connection can use.
pub struct Serving<'s> {
    /// The kernel.
    pub links: &'s mut Links,
    /// The disk, if there is one.
    pub disk: Option<&'s mut Disk>,
    /// The records on it.
    pub store: &'s mut Store,
    /// What there is to say of the guest.
    pub status: &'s Status,
}

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// The request has not come, or the store is busy.
    Reading,
    /// A record is being appended.
    Appending,
    /// Records are being sent: the next one, and one past the last. `asked`: it is being read.
    Listing { next: u64, end: u64, asked: bool },
    /// All was said.
    Ending,
}

/// A connection.
pub struct Exchange {
    doing: Doing,
    /// What is to be sent and has found no room.
    line: Line,
}

/// Text with a fixed room.
struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl Line {
    fn put(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(LINE - self.len);
        self.bytes[self.len..self.len + len].copy_from_slice(&bytes[..len]);
        self.len += len;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

impl Exchange {
    /// Nobody has asked.
    pub const fn new() -> Exchange {
        Exchange {
            doing: Doing::Reading,
            line: Line {
                bytes: [0; LINE],
                len: 0,
            },
        }
    }

    /// The disk has done something, perhaps for this connection. `text`: the record that was read.
    pub fn disk_did(&mut self, done: Done, text: &[u8]) {
        match (self.doing, done) {
            (Doing::Appending, Done::Appended(number)) => {
                self.say("200 OK", format_args!("{number}\n"));
            }
            (Doing::Appending, Done::NotAppended(failure)) => {
                self.say("503 Service Unavailable", format_args!("{failure}\n"));
            }
            (Doing::Listing { next, end, .. }, Done::Read(number)) if number == next => {
                let _ = write!(self.line, "{number} ");
                self.line.put(text);
                self.line.put(b"\n");
                self.listed(next, end);
            }
            (Doing::Listing { next, end, .. }, Done::Damaged(number)) if number == next => {
                let _ = writeln!(self.line, "{number} is damaged");
                self.listed(next, end);
            }
            _ => {}
        }
    }

    fn listed(&mut self, next: u64, end: u64) {
        self.doing = if next + 1 == end {
            Doing::Ending
        } else {
            Doing::Listing {
                next: next + 1,
                end,
                asked: false,
            }
        };
    }

    /// Does what can be done now. Gives whether that was anything.
    pub fn go_on(&mut self, socket: &mut Socket<'_>, serving: &mut Serving<'_>) -> bool {
        if !socket.is_active() {
            // The peer is gone, or there was none. What the disk does for it is nobody's.
            let was = core::mem::replace(&mut self.doing, Doing::Reading);
            self.line.len = 0;
            return was != Doing::Reading;
        }
        if self.line.len > 0 {
            return self.send(socket);
        }
        match self.doing {
            Doing::Reading => self.read(socket, serving),
            Doing::Listing {
                next,
                end,
                asked: false,
            } => {
                let disk = serving.disk.as_deref_mut();
                let asked = disk.is_some_and(|disk| serving.store.read(serving.links, disk, next));
                self.doing = Doing::Listing { next, end, asked };
                asked
            }
            Doing::Ending if socket.may_send() => {
                socket.close();
                true
            }
            _ => false,
        }
    }

    /// Sends what there is room for.
    fn send(&mut self, socket: &mut Socket<'_>) -> bool {
        let Ok(sent) = socket.send_slice(&self.line.bytes[..self.line.len]) else {
            self.line.len = 0;
            self.doing = Doing::Ending;
            return true;
        };
        self.line.bytes.copy_within(sent..self.line.len, 0);
        self.line.len -= sent;
        sent > 0
    }

    fn read(&mut self, socket: &mut Socket<'_>, serving: &mut Serving<'_>) -> bool {
        let is_full = socket.recv_queue() == socket.recv_capacity();
        let mut bytes = [0; 1024];
        let Ok(len) = socket.peek_slice(&mut bytes) else {
            // The client has closed without a whole request.
            self.doing = Doing::Ending;
            return true;
        };
        match http::read(&bytes[..len], record::LONGEST) {
            Request::Incomplete if is_full || len == bytes.len() => {
                self.say("431 Request Header Fields Too Large", format_args!(""));
            }
            Request::Incomplete => return false,
            Request::Bad(status) => self.say(status, format_args!("")),
            Request::Whole(Asked::Status) => self.say("200 OK", format_args!("{}", serving.status)),
            Request::Whole(Asked::Records) => self.list(serving),
            Request::Whole(Asked::Append(text)) => match serving.store.failure() {
                Some(failure) => {
                    self.say("503 Service Unavailable", format_args!("{failure}\n"));
                }
                None if serving.store.append(text) => self.doing = Doing::Appending,
                // When the store is ready, or the other one's record is done.
                None => return false,
            },
        }
        true
    }

    /// Begins to send the last records.
    fn list(&mut self, serving: &mut Serving<'_>) {
        let (Some(end), Some(disk)) = (serving.store.next(), &serving.disk) else {
            let why = "the disk is not there, or not read yet\n";
            return self.say("503 Service Unavailable", format_args!("{why}"));
        };
        let first = serving.store.first(disk).max(end.saturating_sub(SERVED));
        self.say("200 OK", format_args!(""));
        if first < end {
            self.doing = Doing::Listing {
                next: first,
                end,
                asked: false,
            };
        }
    }

    /// Answers, and ends when that is sent.
    fn say(&mut self, status: &str, body: core::fmt::Arguments<'_>) {
        let _ = write!(
            self.line,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n{body}"
        );
        self.doing = Doing::Ending;
    }
}
