//! The lines that xenconsoled writes for a guest.

use std::fs::File;
use std::io::Read;

/// Lines longer than this are cut.
const LONGEST: usize = 16 << 10;

/// A log file that is read as it grows; it need not exist yet.
#[derive(Debug)]
pub struct Log {
    path: String,
    file: Option<File>,
    partial: Vec<u8>,
}

impl Log {
    /// Follows this file.
    pub fn new(path: String) -> Self {
        Self {
            path,
            file: None,
            partial: Vec::new(),
        }
    }

    /// The lines that are new and whole; does not wait.
    pub fn lines(&mut self) -> Vec<String> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let mut lines = Vec::new();
        let mut buffer = [0; 8192];
        while let Some(n @ 1..) = self.file.as_mut().and_then(|f| f.read(&mut buffer).ok()) {
            for &byte in &buffer[..n] {
                if byte == b'\n' {
                    let line = std::mem::take(&mut self.partial);
                    lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                } else if self.partial.len() < LONGEST {
                    self.partial.push(byte);
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_that_grows_gives_whole_lines() {
        let path = std::env::temp_dir().join(format!("labprobe-{}", std::process::id()));
        let mut log = Log::new(path.to_string_lossy().into_owned());
        assert!(log.lines().is_empty());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\r\ntw").unwrap();
        assert_eq!(log.lines(), ["one"]);
        file.write_all(b"o\n").unwrap();
        assert_eq!(log.lines(), ["two"]);
        std::fs::remove_file(path).unwrap();
    }
}
