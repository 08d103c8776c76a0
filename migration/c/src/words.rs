//! Text for C: in a fixed place, cut where it ends, closed by a NUL.

use core::fmt;

/// A text of at most `N - 1` bytes and its NUL.
pub struct Words<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Words<N> {
    /// What `said` prints, as far as it fits.
    pub fn of(said: impl fmt::Display) -> Self {
        let mut words = Words {
            bytes: [0; N],
            len: 0,
        };
        // Cut and never refused.
        let _ = fmt::write(&mut words, format_args!("{said}"));
        words
    }

    /// The bytes without the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Whether a NUL would stand inside, or the text was cut to nothing: such a text is no path.
    pub fn fits(&self, whole: usize) -> bool {
        self.len == whole && !self.as_bytes().contains(&0)
    }

    /// All bytes, the NUL and what is behind it too.
    pub fn whole(&self) -> [core::ffi::c_char; N] {
        self.bytes.map(|byte| byte as core::ffi::c_char)
    }
}

impl<const N: usize> fmt::Write for Words<N> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        // The last byte stays a NUL.
        let room = (N - 1).saturating_sub(self.len);
        let taken = more.len().min(room);
        self.bytes[self.len..self.len + taken].copy_from_slice(&more.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_and_the_nul_stays() {
        let words: Words<4> = Words::of("abcdef");
        assert_eq!(words.as_bytes(), b"abc");
        assert_eq!(words.whole()[3], 0);
        assert!(!words.fits(6));
        assert!(Words::<4>::of("abc").fits(3));
        assert!(!Words::<4>::of("a\0c").fits(3));
    }
}
