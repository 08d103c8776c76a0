//! The bytes of a stream, in order, through one buffer.

use std::io::{self, Read};

use crate::unreadable::Unreadable;

/// The size of the buffer, and the most that [`Source::take`] gives at once. As large as `cat`'s.
const BUFFER: usize = 128 << 10;

/// Why reading does not go on.
#[derive(Debug)]
pub enum Stop {
    /// The stream ended inside something.
    Truncated,
    /// After a finding that was noted, the rest cannot be interpreted.
    Broken,
    /// No report can be made.
    Unreadable(Unreadable),
}

/// Reads forwards only, and counts.
pub struct Source<'a> {
    input: &'a mut dyn Read,
    progress: &'a mut dyn FnMut(u64),
    buffer: Vec<u8>,
    /// What of the buffer is not yet used.
    next: usize,
    end: usize,
    /// Bytes read from the input.
    read: u64,
    /// How many bytes up to and including the last one that is not zero.
    set: u64,
}

impl<'a> Source<'a> {
    /// Reads `input`; `progress` is called with the number of bytes read after each call to it.
    pub fn new(input: &'a mut dyn Read, progress: &'a mut dyn FnMut(u64)) -> Self {
        Self {
            input,
            progress,
            buffer: vec![0; BUFFER],
            next: 0,
            end: 0,
            read: 0,
            set: 0,
        }
    }

    /// How many bytes have been taken.
    pub fn at(&self) -> u64 {
        self.read - (self.end - self.next) as u64
    }

    /// The next `len` bytes, at most the buffer's size.
    pub fn take(&mut self, len: usize) -> Result<&[u8], Stop> {
        if self.peek(len)?.len() < len {
            // What is left is used up, so that `at` is the stream's end.
            self.next = self.end;
            return Err(Stop::Truncated);
        }
        let start = self.next;
        self.next += len;
        Ok(&self.buffer[start..self.next])
    }

    /// The next `len` bytes, without taking them; fewer at the end.
    pub fn peek(&mut self, len: usize) -> Result<&[u8], Stop> {
        debug_assert!(len <= BUFFER);
        if self.end - self.next < len {
            self.buffer.copy_within(self.next..self.end, 0);
            self.end -= self.next;
            self.next = 0;
            while self.end < len && self.more()? {}
        }
        let end = self.end.min(self.next + len);
        Ok(&self.buffer[self.next..end])
    }

    /// Skips `len` bytes.
    pub fn skip(&mut self, mut len: u64) -> Result<(), Stop> {
        loop {
            let here = (self.end - self.next).min(usize::try_from(len).unwrap_or(usize::MAX));
            self.next += here;
            len -= here as u64;
            if len == 0 {
                return Ok(());
            }
            (self.next, self.end) = (0, 0);
            if !self.more()? {
                return Err(Stop::Truncated);
            }
        }
    }

    /// Skips `len` bytes; returns the position among them of the first that is not zero.
    pub fn first_set(&mut self, len: u64) -> Result<Option<u64>, Stop> {
        let mut found = None;
        let mut done = 0;
        while done < len {
            let step = (len - done).min(BUFFER as u64 / 2) as usize;
            let bytes = self.take(step)?;
            let place = bytes.iter().position(|byte| *byte != 0);
            found = found.or(place.map(|n| done + n as u64));
            done += step as u64;
        }
        Ok(found)
    }

    /// Reads on while there are only zeros. At the input's end returns how many zeros there are in
    /// all, including those already taken.
    pub fn zeros_to_the_end(&mut self) -> Result<Option<u64>, Stop> {
        loop {
            if self.buffer[self.next..self.end]
                .iter()
                .any(|byte| *byte != 0)
            {
                return Ok(None);
            }
            (self.next, self.end) = (0, 0);
            if !self.more()? {
                return Ok(Some(self.read - self.set));
            }
        }
    }

    /// Reads once into what is free of the buffer; `false` at the input's end.
    fn more(&mut self) -> Result<bool, Stop> {
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    let new = &self.buffer[self.end..self.end + n];
                    if let Some(last) = new.iter().rposition(|byte| *byte != 0) {
                        self.set = self.read + last as u64 + 1;
                    }
                    self.end += n;
                    self.read += n as u64;
                    (self.progress)(self.read);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(Stop::Unreadable(Unreadable::Io {
                        at: self.read,
                        error,
                    }))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in small portions of changing size.
    struct Drip(Vec<u8>, usize, usize);

    impl Read for Drip {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.2 = self.2 % 7 + 1;
            let n = self.2.min(into.len()).min(self.0.len() - self.1);
            into[..n].copy_from_slice(&self.0[self.1..self.1 + n]);
            self.1 += n;
            Ok(n)
        }
    }

    #[test]
    fn bytes_come_in_order_whatever_the_portions() {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        let mut input = Drip(bytes.clone(), 0, 0);
        let mut seen = 0;
        let mut progress = |n| seen = n;
        let mut source = Source::new(&mut input, &mut progress);
        assert_eq!(source.peek(5).unwrap(), &bytes[..5]);
        assert_eq!(source.take(1000).unwrap(), &bytes[..1000]);
        source.skip(12_345).unwrap();
        assert_eq!(source.at(), 13_345);
        assert_eq!(source.take(10).unwrap(), &bytes[13_345..13_355]);
        source.skip(0).unwrap();
        source.skip(100_000 - 13_355 - 3).unwrap();
        assert_eq!(source.peek(8).unwrap(), &bytes[99_997..]);
        assert!(matches!(source.take(4), Err(Stop::Truncated)));
        assert_eq!(source.at(), 100_000);
        assert!(matches!(source.skip(1), Err(Stop::Truncated)));
        assert_eq!(source.zeros_to_the_end().unwrap(), Some(0));
        assert_eq!(seen, 100_000);
    }
}
