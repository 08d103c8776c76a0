//! Events: one JSON object a line, for tools and tests. `docs/events.md` is the contract.

use core::fmt::{self, Write};

pub use migration::Party;

use spin::{Mutex, MutexGuard};

use crate::arch::cpu::{self, CpuGuard, MAX_CPUS};
use crate::xen::{console, time};

/// Longest line of vCPU 0, bytes. Its longest event is `churn` with 128 vCPUs, seven arrays of counts.
const LONGEST: usize = 12 << 10;
/// Longest line of any other vCPU: those say nothing of all vCPUs.
const LINE: usize = 1024;

/// A line of text with a fixed room; what does not fit is cut and remembered.
struct Line<Bytes: ?Sized = [u8]> {
    len: usize,
    cut: bool,
    bytes: Bytes,
}

impl<const ROOM: usize> Line<[u8; ROOM]> {
    /// An empty line.
    const fn new() -> Self {
        Line {
            len: 0,
            cut: false,
            bytes: [0; ROOM],
        }
    }
}

impl Line {
    fn clear(&mut self) {
        self.len = 0;
        self.cut = false;
    }
    /// What was written.
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self.bytes.len() - self.len;
        if s.len() > room {
            self.cut = true;
            return Err(fmt::Error);
        }
        self.bytes[self.len..self.len + s.len()].copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}

/// Writes text into a JSON string: quotes, backslashes and control characters escaped.
struct Escaped<'a>(&'a mut Line);

impl Write for Escaped<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for c in s.chars() {
            match c {
                '"' => self.0.write_str("\\\"")?,
                '\\' => self.0.write_str("\\\\")?,
                c if c < ' ' || c == '\u{7f}' => write!(self.0, "\\u{:04x}", c as u32)?,
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// One line for each vCPU: events are too long for the stack.
static FIRST_LINE: Mutex<Line<[u8; LONGEST]>> = Mutex::new(Line::new());
static LINES: [Mutex<Line<[u8; LINE]>>; MAX_CPUS - 1] =
    [const { Mutex::new(Line::new()) }; MAX_CPUS - 1];

/// An event being written. Nothing reaches the console before [`Event::send`].
///
/// Interrupts stay off meanwhile, so that a handler's message finds the line free.
pub struct Event {
    // Dropped before the guard.
    line: MutexGuard<'static, Line>,
    _guard: CpuGuard,
    name: &'static str,
}

/// The running CPU's line, empty.
fn line() -> (MutexGuard<'static, Line>, CpuGuard) {
    let guard = CpuGuard::new();
    let own: &Mutex<Line> = match guard.cpu().checked_sub(1) {
        None => &FIRST_LINE,
        Some(other) => &LINES[other],
    };
    let mut line = own.lock();
    line.clear();
    (line, guard)
}

/// Begins an event.
pub fn event(name: &'static str) -> Event {
    event_at(name, time::now())
}

/// Begins an event of a time that is known: the clock is not looked at.
pub fn event_at(name: &'static str, at: u64) -> Event {
    let (mut line, guard) = line();
    // The room is asked for again at the end: a cut line is never sent.
    let _ = write!(
        line,
        "@{{\"v\":1,\"ev\":\"{name}\",\"t\":{at},\"cpu\":{}",
        cpu::id()
    );
    Event {
        line,
        _guard: guard,
        name,
    }
}

impl Event {
    /// Adds a number.
    pub fn num(mut self, key: &str, value: u64) -> Self {
        let _ = write!(self.line, ",\"{key}\":{value}");
        self
    }

    /// Adds an array of numbers.
    pub fn nums(mut self, key: &str, values: impl Iterator<Item = u64>) -> Self {
        let _ = write!(self.line, ",\"{key}\":[");
        for (i, value) in values.enumerate() {
            let _ = write!(self.line, "{}{value}", if i == 0 { "" } else { "," });
        }
        let _ = self.line.write_str("]");
        self
    }

    /// Adds text, escaped.
    pub fn text(mut self, key: &str, value: impl fmt::Display) -> Self {
        let _ = write!(self.line, ",\"{key}\":\"");
        let _ = write!(Escaped(&mut self.line), "{value}");
        let _ = self.line.write_str("\"");
        self
    }

    /// Adds an array of words.
    pub fn words<'a>(mut self, key: &str, values: impl Iterator<Item = &'a str>) -> Self {
        let _ = write!(self.line, ",\"{key}\":[");
        for (i, value) in values.enumerate() {
            let _ = self.line.write_str(if i == 0 { "\"" } else { ",\"" });
            let _ = Escaped(&mut self.line).write_str(value);
            let _ = self.line.write_str("\"");
        }
        let _ = self.line.write_str("]");
        self
    }

    /// Adds an object whose values are numbers.
    pub fn object<'a>(mut self, key: &str, values: impl Iterator<Item = (&'a str, u64)>) -> Self {
        let _ = write!(self.line, ",\"{key}\":{{");
        for (i, (name, value)) in values.enumerate() {
            let _ = write!(
                self.line,
                "{}\"{name}\":{value}",
                if i == 0 { "" } else { "," }
            );
        }
        let _ = self.line.write_str("}");
        self
    }

    /// Writes the event to the console.
    pub fn send(mut self) {
        if self.line.write_str("}\n").is_err() || self.line.cut {
            let room = self.line.bytes.len();
            self.line.clear();
            let _ = writeln!(
                self.line,
                "@{{\"v\":1,\"ev\":\"error\",\"t\":{},\"cpu\":{},\"party\":\"guest\",\"where\":\"events\",\"msg\":\"event {} longer than {} bytes\"}}",
                time::now(),
                cpu::id(),
                self.name,
                room
            );
        }
        console::write(self.line.as_bytes());
    }
}

/// Says that something failed.
pub fn error(party: Party, place: &str, message: impl fmt::Display) {
    event("error")
        .text("party", party.name())
        .text("where", place)
        .text("msg", message)
        .send();
}

/// The `log` crate's way to the console.
struct ConsoleLog;

impl log::Log for ConsoleLog {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true // the maximum level, set from the command line, decides
    }
    fn log(&self, record: &log::Record) {
        let (mut line, _guard) = line();
        let now = time::now();
        let fits = write!(
            line,
            "[{:5}.{:06}] cpu{} {:5} {}",
            now / 1_000_000_000,
            now / 1000 % 1_000_000,
            cpu::id(),
            record.level(),
            record.args()
        );
        let room = line.bytes.len();
        if fits.is_err() || line.len == room {
            line.len = room - 1; // cut: the line break must fit
        }
        let end = line.len;
        line.bytes[end] = b'\n';
        line.len = end + 1;
        console::write(line.as_bytes());
    }
    fn flush(&self) {}
}

/// Connects the `log` crate to the console.
pub fn start_log(level: log::LevelFilter) {
    static LOG: ConsoleLog = ConsoleLog;
    // Fails only if a logger is set already, and this is called once.
    let _ = log::set_logger(&LOG);
    log::set_max_level(level);
}

/// The last line of a kernel that is lost: the `panic` event, on a console taken from whoever had
/// it.
pub fn panic(info: &core::panic::PanicInfo) {
    static LAST: Mutex<Line<[u8; LINE]>> = Mutex::new(Line::new());
    if !console::seize() {
        return;
    }
    // Only the first panic comes here, so the lock is free.
    let last: &Mutex<Line> = &LAST;
    let mut line = last.lock();
    let _ = write!(
        line,
        "@{{\"v\":1,\"ev\":\"panic\",\"t\":{},\"cpu\":{},\"msg\":\"",
        time::now(),
        cpu::id()
    );
    let _ = write!(Escaped(&mut line), "{}", info.message());
    let _ = line.write_str("\",\"at\":\"");
    if let Some(at) = info.location() {
        let _ = write!(Escaped(&mut line), "{at}");
    }
    let _ = line.write_str("\"}\n");
    console::write(line.as_bytes());
}
