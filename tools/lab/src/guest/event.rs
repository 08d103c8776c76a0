//! The guest's events (`docs/events.md`, version 1), read from what comes out of its console.
//!
//! The reader trusts nothing: a line may be torn, hold bytes that are not text, or claim another
//! version.

use std::collections::VecDeque;

use serde_json::Value;

/// Lines longer than this are no events of ours; they are cut, so that a guest cannot fill our
/// memory.
pub const LONGEST_LINE: usize = 64 << 10;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name.
    pub ev: String,
    /// The guest's clock, nanoseconds.
    pub t: u64,
    /// The vCPU that wrote it.
    pub cpu: u64,
    /// All its keys.
    pub body: Value,
}

impl Event {
    /// A number.
    pub fn num(&self, key: &str) -> Option<u64> {
        self.body.get(key)?.as_u64()
    }

    /// An array of numbers.
    pub fn nums(&self, key: &str) -> Option<Vec<u64>> {
        let array = self.body.get(key)?.as_array()?;
        array.iter().map(Value::as_u64).collect()
    }

    /// A string.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.body.get(key)?.as_str()
    }

    /// Whether it has this name and this string under `key`.
    pub fn is(&self, ev: &str, key: &str, value: &str) -> bool {
        self.ev == ev && self.text(key) == Some(value)
    }
}

/// What a console line is.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// An event.
    Event(Event),
    /// Words for people.
    Text(String),
    /// It starts like an event and is none; the reason.
    Broken(String),
}

/// Reads one line.
pub fn parse(line: &[u8]) -> Line {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\r', '\n']);
    let Some(json) = text.strip_prefix('@') else {
        return Line::Text(text.to_owned());
    };
    let broken = |why: &str| {
        let start: String = text.chars().take(120).collect();
        Line::Broken(format!("{why}: {start}"))
    };
    let Ok(body) = serde_json::from_str::<Value>(json) else {
        return broken("not JSON");
    };
    if body.get("v").and_then(Value::as_u64) != Some(1) {
        return broken("not version 1");
    }
    let field = |key| body.get(key).and_then(Value::as_u64);
    let (Some(ev), Some(t), Some(cpu)) = (
        body.get("ev").and_then(Value::as_str),
        field("t"),
        field("cpu"),
    ) else {
        return broken("ev, t or cpu is missing");
    };
    Line::Event(Event {
        ev: ev.to_owned(),
        t,
        cpu,
        body,
    })
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    ready: VecDeque<Vec<u8>>,
    cutting: bool,
}

impl Lines {
    /// Takes more bytes; gives the lines they complete.
    pub fn push(&mut self, bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
        for &byte in bytes {
            if byte == b'\n' {
                self.ready.push_back(std::mem::take(&mut self.partial));
                self.cutting = false;
            } else if self.partial.len() >= LONGEST_LINE {
                self.cutting = true;
            } else if !self.cutting {
                self.partial.push(byte);
            }
        }
        self.ready.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read() {
        let Line::Event(event) =
            parse(b"@{\"v\":1,\"ev\":\"cpu-down\",\"t\":5,\"cpu\":0,\"vcpu\":3,\"x\":[1,2]}\r\n")
        else {
            panic!("not an event");
        };
        assert_eq!(
            (event.ev.as_str(), event.t, event.num("vcpu")),
            ("cpu-down", 5, Some(3))
        );
        assert_eq!(event.nums("x"), Some(vec![1, 2]));
        assert_eq!(event.nums("vcpu"), None);
    }

    #[test]
    fn hostile_lines_are_told_apart() {
        assert_eq!(parse(b"hello\r\n"), Line::Text("hello".into()));
        for bad in [
            &b"@{\"v\":1,\"ev\":\"churn\",\"t\":5,\"cp"[..],
            b"@",
            b"@[]",
            b"@{\"v\":2,\"ev\":\"boot\",\"t\":1,\"cpu\":0}",
            b"@{\"v\":1,\"ev\":7,\"t\":1,\"cpu\":0}",
            b"@{\"v\":1,\"ev\":\"boot\",\"t\":-1,\"cpu\":0}",
            b"@{\"v\":1,\"ev\":\"boot\",\"t\":1,\"cpu\":0}@{\"v\":1}",
            b"@\xff\xfe\x00",
        ] {
            assert!(matches!(parse(bad), Line::Broken(_)), "{bad:?}");
        }
        let deep = [b"@".to_vec(), vec![b'['; 60_000]].concat();
        assert!(matches!(parse(&deep), Line::Broken(_)));
    }

    #[test]
    fn lines_are_put_together_and_long_ones_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"ab").count(), 0);
        let got: Vec<_> = lines.push(b"c\n\nx").collect();
        assert_eq!(got, [b"abc".to_vec(), vec![]]);
        let long = vec![b'y'; 3 * LONGEST_LINE];
        assert_eq!(lines.push(&long).count(), 0);
        let got: Vec<_> = lines.push(b"\nz\n").collect();
        assert_eq!((got[0].len(), got[1].as_slice()), (LONGEST_LINE, &b"z"[..]));
    }
}
