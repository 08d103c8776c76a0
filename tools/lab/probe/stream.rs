//! Counts the pages that each pass of a live migration sends.
//!
//! Put between `xl migrate` and `xl migrate-receive`, it hands every byte on and reads along:
//! libxc's stream (Xen's docs/specs/libxc-migration-stream.pandoc) holds `PAGE_DATA` records whose
//! page numbers rise within a pass; a number that is not higher than the one before begins the next
//! pass.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use crate::sys::{now, widen_pipe, Clock};

/// The record type of pages.
pub const PAGE_DATA: u32 = 1;
const END: u32 = 0;
/// Eight bytes of ones and `XENF`: an image header begins.
pub const MARKER: [u8; 12] = *b"\xff\xff\xff\xff\xff\xff\xff\xffXENF";
/// The image header (24 bytes, of which the marker is the first 12) and the domain header.
const HEADERS: usize = 24 + 16;
/// The longest record: 1024 pages and their numbers, generously.
pub const LONGEST: usize = 16 << 20;
/// Bits of an entry that hold the page's number.
const NUMBER: u64 = (1 << 52) - 1;
/// The lowest of the types (the entry's upper four bits) of which no page follows: broken, to be
/// allocated, absent.
const NO_PAGE: u64 = 0xd;

/// A pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pass {
    pages: u64,
    from: i64,
    to: i64,
}

/// Where the reader is.
#[derive(Debug)]
enum At {
    /// Before libxc's part.
    Search,
    /// In the headers.
    Headers,
    /// At a record's start, or in it until its page numbers are whole.
    Record,
    /// In what of a record is of no interest: so many bytes more.
    Skip(usize),
    /// Past the end, or lost.
    Done,
}

/// Reads along.
#[derive(Debug)]
struct Reader {
    at: At,
    bytes: Vec<u8>,
    last: Option<u64>,
    passes: Vec<Pass>,
    /// Why it stopped reading, if it is not the end.
    lost: Option<String>,
}

impl Reader {
    fn new() -> Self {
        Self {
            at: At::Search,
            bytes: Vec::new(),
            last: None,
            passes: Vec::new(),
            lost: None,
        }
    }

    fn word(&self, at: usize) -> Option<u32> {
        let four = self.bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(four))
    }

    fn push(&mut self, bytes: &[u8], time: i64) {
        if !matches!(self.at, At::Done) {
            self.bytes.extend(bytes);
            while self.step(time) {}
        }
    }

    /// One step; whether there may be another.
    fn step(&mut self, time: i64) -> bool {
        match self.at {
            At::Search => {
                let found = self
                    .bytes
                    .windows(MARKER.len())
                    .position(|window| window == MARKER);
                let keep = found.unwrap_or(self.bytes.len().saturating_sub(MARKER.len() - 1));
                self.bytes.drain(..keep);
                if found.is_some() {
                    self.at = At::Headers;
                }
                found.is_some()
            }
            At::Headers => {
                let whole = self.bytes.len() >= HEADERS;
                if whole {
                    self.bytes.drain(..HEADERS);
                    self.at = At::Record;
                }
                whole
            }
            At::Skip(left) => {
                let n = left.min(self.bytes.len());
                self.bytes.drain(..n);
                self.at = if left == n {
                    At::Record
                } else {
                    At::Skip(left - n)
                };
                left == n
            }
            At::Record => self.record(time),
            At::Done => false,
        }
    }

    fn record(&mut self, time: i64) -> bool {
        let (Some(kind), Some(len)) = (self.word(0), self.word(4)) else {
            return false;
        };
        let len = len as usize;
        if len > LONGEST {
            self.lost = Some(format!("a record of {len} bytes"));
            self.at = At::Done;
            return false;
        }
        let padded = len.next_multiple_of(8);
        if kind == END {
            self.at = At::Done;
            return false;
        }
        if kind != PAGE_DATA {
            self.bytes.drain(..8);
            self.at = At::Skip(padded);
            return true;
        }
        let Some(count) = self.word(8) else {
            return false;
        };
        let numbers = 8 * count as usize;
        if 8 + numbers > padded {
            self.lost = Some(format!("{count} pages in a record of {len} bytes"));
            self.at = At::Done;
            return false;
        }
        let Some(list) = self.bytes.get(16..16 + numbers) else {
            return false;
        };
        let list: Vec<u64> = list
            .chunks_exact(8)
            .filter_map(|eight| Some(u64::from_le_bytes(eight.try_into().ok()?)))
            .collect();
        for entry in list {
            let number = entry & NUMBER;
            if self.last.is_none_or(|last| number <= last) {
                self.passes.push(Pass {
                    pages: 0,
                    from: time,
                    to: time,
                });
            }
            self.last = Some(number);
            if let Some(pass) = self.passes.last_mut() {
                pass.pages += u64::from(entry >> 60 < NO_PAGE);
                pass.to = time;
            }
        }
        self.bytes.drain(..16 + numbers);
        self.at = At::Skip(padded - 8 - numbers);
        true
    }
}

/// Copies standard input to standard output; then writes one line per pass to `file`: its pages,
/// and when it began and ended (nanoseconds).
///
/// # Errors
/// If a side breaks off or the file cannot be written. A stream that is not understood is handed on
/// all the same, and the file says so.
pub fn run(file: &str) -> Result<(), String> {
    // The standard library's own standard output would look for ends of lines in it.
    let both = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|from| Ok((from, std::io::stdout().as_fd().try_clone_to_owned()?)));
    let (from, to) = both.map_err(|error| format!("standard input and output: {error}"))?;
    let (mut from, mut to) = (File::from(from), File::from(to));
    widen_pipe(&from);
    widen_pipe(&to);
    let mut reader = Reader::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = from
            .read(&mut buffer)
            .map_err(|error| format!("reading: {error}"))?;
        if n == 0 {
            break;
        }
        to.write_all(&buffer[..n])
            .map_err(|error| format!("handing on: {error}"))?;
        let ended = matches!(reader.at, At::Done);
        reader.push(&buffer[..n], now(Clock::Monotonic));
        if !ended && matches!(reader.at, At::Done) {
            // At once: who reads this waits for the migration, not for our end.
            write(file, &reader)?;
        }
    }
    Ok(())
}

fn write(file: &str, reader: &Reader) -> Result<(), String> {
    let mut text = String::new();
    for pass in &reader.passes {
        text.push_str(&format!("pass {} {} {}\n", pass.pages, pass.from, pass.to));
    }
    if let Some(why) = &reader.lost {
        text.push_str(&format!("lost {why}\n"));
    }
    File::create(file)
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .map_err(|error| format!("{file}: {error}"))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A record of libxc's or libxl's stream.
    pub fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), (body.len() as u32).to_le_bytes()].concat();
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn pages(numbers: &[u64]) -> Vec<u8> {
        let mut body = [(numbers.len() as u32).to_le_bytes(), [0; 4]].concat();
        for number in numbers {
            body.extend((number | 1 << 60).to_le_bytes());
        }
        // One that is absent.
        body[0] += 1;
        body.extend(((numbers[numbers.len() - 1] + 1) | (0xf << 60)).to_le_bytes());
        body.extend(vec![0xff; 64 * numbers.len()]);
        record(PAGE_DATA, &body)
    }

    fn stream() -> Vec<u8> {
        let mut bytes = b"xl's own header \xff\xff\xff".to_vec();
        bytes.extend(MARKER);
        bytes.extend([0; HEADERS - MARKER.len()]);
        bytes.extend(record(0xe, b"three"));
        for numbers in [&[1, 2, 3][..], &[5, 9], &[2, 5], &[5]] {
            bytes.extend(pages(numbers));
        }
        bytes.extend(record(END, b""));
        bytes
    }

    fn counts(reader: &Reader) -> Vec<u64> {
        reader.passes.iter().map(|pass| pass.pages).collect()
    }

    #[test]
    fn passes_begin_where_the_numbers_fall() {
        for piece in [1, 7, 100_000] {
            let mut reader = Reader::new();
            for (n, bytes) in stream().chunks(piece).enumerate() {
                reader.push(bytes, n as i64);
            }
            assert_eq!(counts(&reader), [5, 2, 1], "pieces of {piece}");
            assert_eq!(reader.lost, None);
            assert!(matches!(reader.at, At::Done));
        }
    }

    #[test]
    fn nonsense_ends_the_reading_only() {
        let mut reader = Reader::new();
        let mut bytes = stream();
        let at = bytes.len() - 8;
        bytes.truncate(at);
        bytes.extend([PAGE_DATA.to_le_bytes(), 16u32.to_le_bytes()].concat());
        bytes.extend(u32::MAX.to_le_bytes());
        reader.push(&bytes, 0);
        assert!(reader
            .lost
            .as_deref()
            .is_some_and(|why| why.contains("4294967295 pages")));
        reader.push(&[0; 100], 0);
        assert!(reader.bytes.len() < 1000);
    }
}
