//! A reader that copies what it reads.

use std::io::{self, Read, Write};

/// Gives what `input` gives, and writes it to `copy`.
pub struct Tee<R, W> {
    input: R,
    copy: W,
}

impl<R: Read, W: Write> Tee<R, W> {
    /// Copies from `input` to `copy`.
    pub fn new(input: R, copy: W) -> Self {
        Self { input, copy }
    }

    /// Copies what is left: a verdict may need no more than the beginning, the copy needs all.
    ///
    /// # Errors
    /// Of either side.
    pub fn finish(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink())?;
        self.copy.flush().map_err(of_the_copy)
    }
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(into)?;
        self.copy.write_all(&into[..n]).map_err(of_the_copy)?;
        Ok(n)
    }
}

/// An interrupted write was tried again; whoever reads must not take the rest for an interrupted
/// read.
fn of_the_copy(error: io::Error) -> io::Error {
    io::Error::other(format!("the copy: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_copied_and_a_full_disk_is_an_error() {
        let mut copy = Vec::new();
        let mut tee = Tee::new(&b"abcdef"[..], &mut copy);
        let mut some = [0; 2];
        tee.read_exact(&mut some).unwrap();
        tee.finish().unwrap();
        assert_eq!((&some, &copy[..]), (b"ab", &b"abcdef"[..]));
        let mut small = [0; 3];
        let mut tee = Tee::new(&b"abcdef"[..], &mut small[..]);
        assert!(tee
            .finish()
            .unwrap_err()
            .to_string()
            .starts_with("the copy: "));
    }
}
