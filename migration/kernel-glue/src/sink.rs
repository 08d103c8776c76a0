//! The console under the `log` crate.

use core::fmt::{self, Write};

use spin::Mutex;
use xen_bindings::console_io;

use crate::doorbell::Doorbell;
use crate::kernel::Kernel;
use crate::outlet::{Manner, Outlet};

/// A log sink that writes `level: message` to the Xen console. A `static` of the kernel's:
///
/// ```
/// use kernel_glue::sink::ConsoleLog;
/// static LOG: ConsoleLog = ConsoleLog::new();
/// log::set_logger(&LOG).unwrap();
/// log::set_max_level(log::LevelFilter::Info);
/// ```
///
/// It is safe in the suspend window: it never waits, looks at no clock, and touches the ring alone;
/// from [`hold`](ConsoleLog::hold) on not even that. What is said then is kept, and said when the
/// guest is back, in the new domain's ring if it is another.
///
/// The lock is held while a line is written. A kernel that logs in interrupt handlers turns
/// interrupts off around its log calls, or brings a sink of its own over an [`Outlet`].
pub struct ConsoleLog(Mutex<Outlet<Doorbell>>);

impl ConsoleLog {
    /// Without a ring yet.
    #[must_use]
    pub const fn new() -> ConsoleLog {
        ConsoleLog(Mutex::new(Outlet::new()))
    }

    /// Takes up this domain's ring: at boot, and in each new domain. A domain without a console is no
    /// error.
    ///
    /// # Errors
    /// Xen's.
    pub fn connect(&self, kernel: impl Kernel) -> xen_bindings::Result<()> {
        if let Some(ring) = kernel.console_ring()? {
            self.0.lock().connect(ring.page, Doorbell(ring.port));
        }
        Ok(())
    }

    /// Has all lines wait, from just before a suspend call on.
    pub fn hold(&self) {
        self.0.lock().hold();
    }

    /// The domain is the same: what waits is said. In a new one [`connect`](ConsoleLog::connect)
    /// does that.
    pub fn release(&self) {
        self.0.lock().release();
        self.is_drained();
    }

    /// Sends on what waits; whether dom0 has read everything. To be called now and then, and before
    /// the domain ends.
    pub fn is_drained(&self) -> bool {
        self.0.lock().is_drained(Manner::default())
    }

    /// Writes the last line of a kernel that is lost, unless the panic came in the middle of another
    /// line; and to Xen's own console as well, where Xen takes that from a guest (built with
    /// `VERBOSE_DEBUG`).
    pub fn last_words(&self, words: &dyn fmt::Display) {
        let line = Line::of(format_args!("PANIC: {words}"));
        // Refused by most Xens; then the ring is all there is.
        let _ = console_io::write(line.bytes());
        if let Some(mut outlet) = self.0.try_lock() {
            outlet.release();
            outlet.write(line.bytes(), VITAL);
        }
    }
}

impl Default for ConsoleLog {
    fn default() -> ConsoleLog {
        ConsoleLog::new()
    }
}

impl log::Log for ConsoleLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = Line::of(format_args!("{}: {}", record.level(), record.args()));
        self.0.lock().write(line.bytes(), VITAL);
    }

    fn flush(&self) {
        self.is_drained();
    }
}

/// All of the queue is for log lines: there is nothing else.
const VITAL: Manner = Manner {
    silent: false,
    vital: true,
};

/// The longest line, its end included. What is longer is cut.
const LINE: usize = 256;

pub(crate) struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl Line {
    pub(crate) fn of(text: fmt::Arguments<'_>) -> Line {
        let mut line = Line {
            bytes: [0; LINE],
            len: 0,
        };
        // A line takes what it has room for and never fails.
        let _ = line.write_fmt(text);
        line.bytes[line.len] = b'\n';
        line
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..=self.len]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One place is kept for the end of the line.
        let room = &mut self.bytes[self.len..LINE - 1];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}
