//! A short text of somebody else's making, kept without allocation and safe to print.

use core::fmt;

/// At most `N` bytes of what another party wrote, for messages.
///
/// Holding one proves that every byte is printable ASCII: other bytes were replaced by `?`, so a
/// hostile value cannot forge a line of the log or of the event stream (quotes and backslashes are
/// replaced too). A longer value is cut and shown with `...`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize = 32> {
    bytes: [u8; N],
    // Two bytes: a text is a part of errors, which should be small.
    len: u16,
    cut: bool,
}

impl<const N: usize> Text<N> {
    /// Keeps the beginning of `value`.
    pub fn new(value: &[u8]) -> Text<N> {
        let mut bytes = [0; N];
        let len = value.len().min(N).min(u16::MAX.into());
        for (to, from) in bytes[..len].iter_mut().zip(value) {
            *to = match *from {
                b'"' | b'\\' => b'?',
                b' '..=b'~' => *from,
                _ => b'?',
            };
        }
        Text {
            bytes,
            len: len as u16,
            cut: value.len() > len,
        }
    }

    /// Keeps the beginning of what `said` prints. What does not fit is left out without a mark.
    pub fn of(said: impl fmt::Display) -> Text<N> {
        let mut words: Buf<N> = Buf::new();
        // A `Buf` cuts and never fails.
        let _ = fmt::write(&mut words, format_args!("{said}"));
        Text::new(words.as_str().as_bytes())
    }

    /// The text kept, without the mark of a cut.
    pub fn as_str(&self) -> &str {
        // Only ASCII was stored, so this cannot fail; a message is not worth a panic if it did.
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or("?")
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        if self.cut {
            f.write_str("...")?;
        }
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({self})")
    }
}

/// A writer into a fixed buffer, for paths and messages. What does not fit is cut, and
/// [`Buf::is_cut`] says so.
#[derive(Clone, Copy)]
pub(crate) struct Buf<const N: usize> {
    bytes: [u8; N],
    len: usize,
    cut: bool,
}

impl<const N: usize> Buf<N> {
    pub(crate) const fn new() -> Buf<N> {
        Buf {
            bytes: [0; N],
            len: 0,
            cut: false,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?")
    }

    #[cfg(test)]
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }
}

impl<const N: usize> fmt::Write for Buf<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for c in s.chars() {
            let room = N - self.len;
            if self.cut || c.len_utf8() > room {
                self.cut = true;
                return Ok(());
            }
            c.encode_utf8(&mut self.bytes[self.len..]);
            self.len += c.len_utf8();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::fmt::Write;
    use std::string::ToString;

    #[test]
    fn foreign_bytes_cannot_forge_a_line() {
        let text: Text = Text::new(b"a\n@{\"ev\":1}\\\xff");
        assert_eq!(text.to_string(), "a?@{?ev?:1}??");
    }

    #[test]
    fn a_long_value_is_cut_and_says_so() {
        let text: Text<4> = Text::new(b"abcdef");
        assert_eq!(text.to_string(), "abcd...");
        assert_eq!(text.as_str(), "abcd");
    }

    #[test]
    fn what_is_printed_is_kept_as_far_as_it_fits() {
        assert_eq!(Text::<20>::of(u64::MAX).as_str(), "18446744073709551615");
        assert_eq!(Text::<4>::of("ab\ncd").to_string(), "ab?c");
    }

    #[test]
    fn a_full_buffer_cuts_at_a_character() {
        let mut buf: Buf<4> = Buf::new();
        write!(buf, "abc\u{e9}d").unwrap();
        assert_eq!(buf.as_str(), "abc");
        assert!(buf.is_cut());
        let mut exact: Buf<3> = Buf::new();
        write!(exact, "abc").unwrap();
        assert_eq!((exact.as_str(), exact.is_cut()), ("abc", false));
    }
}
