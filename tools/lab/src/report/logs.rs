//! A log on the page: its beginning and its end, and how much lies between.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use maud::{html, Markup};

/// Lines kept from the beginning and from the end.
const HEAD: usize = 40;
const TAIL: usize = 120;
/// A line's characters that are shown.
const WIDTH: usize = 400;
/// Bytes of a file that are read from either end.
const PIECE: u64 = 256 << 10;

/// What is shown of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// Its name, below the runs' folder.
    pub name: String,
    head: Vec<String>,
    tail: Vec<String>,
    left_out: String,
}

impl Log {
    /// Of a text.
    pub fn of(name: &str, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(cut).collect();
        if lines.len() <= HEAD + TAIL {
            return Self {
                name: name.to_owned(),
                head: lines,
                ..Self::default()
            };
        }
        let tail = lines.len() - TAIL;
        Self {
            name: name.to_owned(),
            head: lines[..HEAD].to_vec(),
            tail: lines[tail..].to_vec(),
            left_out: format!("{} lines left out", tail - HEAD),
        }
    }

    /// Of a file; none if it is not there or empty. Of a large one only its ends are read.
    pub fn read(path: &Path, name: &str) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let size = file.metadata().ok().filter(|m| m.is_file())?.len();
        if size == 0 {
            return None;
        }
        let mut piece = |from: u64| -> Option<String> {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(from)).ok()?;
            Read::by_ref(&mut file)
                .take(PIECE)
                .read_to_end(&mut bytes)
                .ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        if size <= PIECE {
            return Some(Self::of(name, &piece(0)?));
        }
        let (first, last) = (piece(0)?, piece(size - PIECE)?);
        let head: Vec<String> = first.lines().take(HEAD).map(cut).collect();
        let lines: Vec<&str> = last.lines().collect();
        let tail: Vec<String> = lines[lines.len().saturating_sub(TAIL)..]
            .iter()
            .map(|line| cut(line))
            .collect();
        let shown: usize = head.iter().chain(&tail).map(|line| line.len() + 1).sum();
        Some(Self {
            name: name.to_owned(),
            head,
            tail,
            left_out: format!(
                "about {} KiB left out",
                (size as usize).saturating_sub(shown) >> 10
            ),
        })
    }

    /// Closed, with its name to open it by.
    pub fn render(&self) -> Markup {
        let lines = self.head.len() + self.tail.len();
        html! {
            details.log {
                summary { code { (self.name) } " " span.muted {
                    @if self.left_out.is_empty() { (lines) " lines" }
                    @else { (lines) " lines shown, " (self.left_out) }
                } }
                pre tabindex="0" {
                    @for line in &self.head { (line) "\n" }
                    @if !self.left_out.is_empty() { span.cut { "… " (self.left_out) " …" } "\n" }
                    @for line in &self.tail { (line) "\n" }
                }
            }
        }
    }
}

/// A line as it is shown: no control characters, not too long.
fn cut(line: &str) -> String {
    let clean = |c: char| {
        if c.is_control() && c != '\t' {
            '\u{fffd}'
        } else {
            c
        }
    };
    let line = line.trim_end_matches('\r');
    let mut out: String = line.chars().take(WIDTH).map(clean).collect();
    let more = line.chars().count().saturating_sub(WIDTH);
    if more > 0 {
        out.push_str(&format!(" … {more} more characters"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted() {
        let text: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        let log = Log::of("a.log", &text);
        assert_eq!(log.left_out, "840 lines left out");
        assert_eq!(log.tail.last().map(String::as_str), Some("line 999"));
        let page = log.render().into_string();
        assert!(page.contains("840 lines left out"));
        assert!(!page.contains("line 500"));
        assert!(Log::of("a", "x\ny\n").left_out.is_empty());
    }

    #[test]
    fn what_a_log_says_is_text() {
        let page = Log::of("<i>", "</pre><script>alert(1)</script>\x1b[31m\n")
            .render()
            .into_string();
        assert!(!page.contains("<script") && !page.contains("<i>") && !page.contains('\x1b'));
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn a_large_file_is_read_at_its_ends() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text: String = (0..100_000).map(|n| format!("line {n:06}\n")).collect();
        std::fs::write(file.path(), &text).unwrap();
        let log = Log::read(file.path(), "big").unwrap();
        assert_eq!((log.head.len(), log.tail.len()), (HEAD, TAIL));
        assert_eq!(log.tail.last().map(String::as_str), Some("line 099999"));
        assert_eq!(log.left_out, "about 1170 KiB left out");
        assert_eq!(Log::read(Path::new("/nonexistent"), "x"), None);
    }
}
