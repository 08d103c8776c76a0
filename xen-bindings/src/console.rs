//! The console ring: `public/io/console.h`. The other side is xenconsoled.
//!
//! Nothing here waits. A write returns how many bytes it took; the caller drops the rest, keeps it,
//! or tries again after the ring's event.

use crate::ffi;
pub use crate::ring::BadIndices;
use crate::ring::{Consumer, Notify, Producer};
use crate::HypercallError;
use core::cell::UnsafeCell;
use core::fmt;
use core::ptr::{addr_of_mut, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU8};

/// The ring's page.
#[doc(alias = "xencons_interface")]
#[repr(transparent)]
pub struct Page(UnsafeCell<ffi::xencons_interface>);

// SAFETY: everything is read and written through atomics.
unsafe impl Sync for Page {}

impl Page {
    /// Views the page at `page`.
    ///
    /// # Safety
    /// For `'a`, `page` is where the console page is mapped, readable and writable, and nothing but
    /// one
    /// [`Console`] uses it.
    #[must_use]
    pub unsafe fn at<'a>(page: NonNull<ffi::xencons_interface>) -> &'a Self {
        // SAFETY: the caller's contract; the type is transparent and allows change behind shared
        // references.
        unsafe { page.cast().as_ref() }
    }

    fn consumer(&self) -> Consumer<'_> {
        let page = self.0.get();
        // SAFETY: fields of the page, which lives as long as `self`, seen as atomics of the same
        // sizes.
        unsafe {
            let bytes: &[AtomicU8; 1024] = &*addr_of_mut!((*page).in_).cast();
            let prod = AtomicU32::from_ptr(addr_of_mut!((*page).in_prod));
            let cons = AtomicU32::from_ptr(addr_of_mut!((*page).in_cons));
            Consumer::new("in", bytes, prod, cons)
        }
    }

    fn producer(&self) -> Producer<'_> {
        let page = self.0.get();
        // SAFETY: as for `consumer`.
        unsafe {
            let bytes: &[AtomicU8; 2048] = &*addr_of_mut!((*page).out).cast();
            let prod = AtomicU32::from_ptr(addr_of_mut!((*page).out_prod));
            let cons = AtomicU32::from_ptr(addr_of_mut!((*page).out_cons));
            Producer::new("out", bytes, prod, cons)
        }
    }
}

/// Why the console did not take or give anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// xenconsoled, or whoever else writes the page, broke the ring. Nothing was read or written.
    BadIndices(BadIndices),
    /// Xen refused the event. The bytes were moved all the same.
    Notify {
        /// How many bytes were written or read.
        moved: usize,
        /// Xen's reason.
        error: HypercallError,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadIndices(bad) => write!(f, "xenconsoled: {bad}"),
            Self::Notify { error, .. } => write!(f, "console event: {error}"),
        }
    }
}

impl core::error::Error for Error {}

impl From<BadIndices> for Error {
    fn from(bad: BadIndices) -> Self {
        Self::BadIndices(bad)
    }
}

/// The guest's end of the console.
pub struct Console<'p, N> {
    input: Consumer<'p>,
    output: Producer<'p>,
    notify: N,
}

impl<'p, N: Notify> Console<'p, N> {
    /// Continues the ring at the indices in the page. `notify` sends the console's event; before
    /// there is a port, pass a closure that does nothing.
    pub fn new(page: &'p Page, notify: N) -> Self {
        Self {
            input: page.consumer(),
            output: page.producer(),
            notify,
        }
    }

    /// Writes as much of `text` as there is room for and returns how many bytes that was.
    ///
    /// # Errors
    /// [`Error::BadIndices`], with nothing written; [`Error::Notify`], with `moved` bytes written.
    pub fn write(&mut self, text: &[u8]) -> Result<usize, Error> {
        let written = self.output.write(text)?;
        self.moved(written)
    }

    /// As [`write`](Self::write), without the event: xenconsoled learns of it by the next one.
    ///
    /// # Errors
    /// [`Error::BadIndices`], with nothing written.
    pub fn write_silently(&mut self, text: &[u8]) -> Result<usize, Error> {
        Ok(self.output.write(text)?)
    }

    /// Sends the event that was left out by [`write_silently`](Self::write_silently).
    ///
    /// # Errors
    /// Xen's.
    pub fn ring(&mut self) -> Result<(), HypercallError> {
        self.notify.notify()
    }

    /// Bytes that can be written now: 2048 at most.
    ///
    /// # Errors
    /// [`Error::BadIndices`].
    pub fn room(&self) -> Result<usize, Error> {
        Ok(self.output.room()?)
    }

    /// Whether xenconsoled has read everything. A kernel waits for this before its last hypercall.
    ///
    /// # Errors
    /// [`Error::BadIndices`].
    pub fn is_drained(&self) -> Result<bool, Error> {
        Ok(self.output.waiting()? == 0)
    }

    /// Reads what there is into `room` and returns how many bytes that was.
    ///
    /// # Errors
    /// [`Error::BadIndices`], with nothing read; [`Error::Notify`], with `moved` bytes read.
    pub fn read(&mut self, room: &mut [u8]) -> Result<usize, Error> {
        let read = self.input.read(room)?;
        self.moved(read)
    }

    fn moved(&mut self, moved: usize) -> Result<usize, Error> {
        if moved > 0 {
            self.notify
                .notify()
                .map_err(|error| Error::Notify { moved, error })?;
        }
        Ok(moved)
    }

    /// Starts over after a restore: the page was cleared and the port is another. Not for a
    /// cancelled suspend, after which both are as before.
    pub fn reset(&mut self, notify: N) {
        self.input.resume();
        self.output.resume();
        self.notify = notify;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::string::ToString;
    use std::vec::Vec;

    fn page() -> &'static Page {
        // SAFETY: a live page that only this view, and the test's other side through it, uses from
        // here on.
        unsafe { Page::at(NonNull::from(Box::leak(Box::default()))) }
    }

    fn quiet() -> crate::Result<()> {
        Ok(())
    }

    /// The other side: writes the page as xenconsoled does, or as it should not.
    struct Daemon(*mut ffi::xencons_interface);

    impl Daemon {
        fn take(&self, most: usize) -> Vec<u8> {
            // SAFETY: the page lives on; the test has one thread.
            let page = unsafe { &mut *self.0 };
            let mut out = Vec::new();
            while page.out_cons != page.out_prod && out.len() < most {
                out.push(page.out[page.out_cons as usize % 2048] as u8);
                page.out_cons = page.out_cons.wrapping_add(1);
            }
            out
        }

        fn type_in(&self, text: &[u8]) {
            // SAFETY: as in `take`.
            let page = unsafe { &mut *self.0 };
            for &byte in text {
                page.in_[page.in_prod as usize % 1024] = byte as core::ffi::c_char;
                page.in_prod = page.in_prod.wrapping_add(1);
            }
        }
    }

    #[test]
    fn a_full_ring_pushes_back_and_says_when_it_is_drained() {
        let page = page();
        let daemon = Daemon(page.0.get());
        let events = core::cell::Cell::new(0);
        let mut console = Console::new(page, || {
            events.set(events.get() + 1);
            Ok(())
        });
        assert!(console.is_drained().unwrap());
        let text: Vec<u8> = (0..3000u32).map(|i| i as u8).collect();
        assert_eq!(console.write(&text), Ok(2048));
        assert_eq!(console.write(&text[2048..]), Ok(0));
        assert!(!console.is_drained().unwrap());
        let mut got = daemon.take(1000);
        assert_eq!(console.room(), Ok(1000));
        assert_eq!(console.write(&text[2048..]), Ok(952));
        got.extend(daemon.take(usize::MAX));
        assert_eq!(got, text);
        assert!(console.is_drained().unwrap());
        daemon.type_in(b"ping 1\n");
        let mut line = [0; 4];
        assert_eq!(console.read(&mut line), Ok(4));
        assert_eq!(&line, b"ping");
        assert_eq!(console.read(&mut line), Ok(3));
        assert_eq!(console.read(&mut line), Ok(0));
        // One event for each write and read that moved something.
        assert_eq!(events.get(), 4);
        assert_eq!(console.write_silently(b"later"), Ok(5));
        assert_eq!(events.get(), 4);
        console.ring().unwrap();
        assert_eq!(events.get(), 5);
        assert_eq!(daemon.take(100), b"later");
    }

    #[test]
    fn errors_name_the_party() {
        let page = page();
        let mut console = Console::new(page, || {
            crate::Call::new("EVTCHNOP_send").check(-22).map(drop)
        });
        assert_eq!(
            console.write(b"x").unwrap_err().to_string(),
            "console event: EVTCHNOP_send: EINVAL (22)"
        );
        // SAFETY: the page lives on; the test has one thread.
        unsafe { (*page.0.get()).out_cons = 7 };
        assert_eq!(
            console.write(b"x").unwrap_err().to_string(),
            "xenconsoled: out ring has impossible indices: producer 1, consumer 7, 2048 bytes"
        );
    }

    #[test]
    fn a_restore_empties_the_page_and_reset_goes_on_from_there() {
        let page = page();
        let daemon = Daemon(page.0.get());
        let mut console = Console::new(page, quiet);
        console.write(b"before").unwrap();
        daemon.type_in(b"before");
        assert_eq!(console.read(&mut [0; 8]), Ok(6));
        // SAFETY: the page lives on; the test has one thread.
        unsafe { page.0.get().write(ffi::xencons_interface::default()) };
        console.reset(quiet);
        console.write(b"after").unwrap();
        assert_eq!(daemon.take(100), b"after");
        daemon.type_in(b"in");
        assert_eq!(console.read(&mut [0; 8]), Ok(2));
    }

    proptest! {
        /// Whatever the other side writes: no panic, no more than there is room for, and every call
        /// ends.
        #[test]
        fn a_hostile_daemon_is_survived(
            steps in proptest::collection::vec((0u8..7, any::<u32>()), 1..100),
        ) {
            let page = page();
            let mut console = Console::new(page, quiet);
            for (what, value) in steps {
                // SAFETY: the page lives on; the test has one thread.
                let hostile = unsafe { &mut *page.0.get() };
                match what {
                    0 => hostile.in_prod = value,
                    1 => hostile.in_cons = value,
                    2 => hostile.out_prod = value,
                    3 => hostile.out_cons = value,
                    4 => {
                        if let Ok(written) = console.write(&[b'x'; 3000]) {
                            prop_assert!(written <= 2048);
                        }
                    }
                    5 => {
                        if let Ok(read) = console.read(&mut [0; 3000]) {
                            prop_assert!(read <= 1024);
                        }
                    }
                    _ => {
                        console.reset(quiet);
                        prop_assert!(console.room().is_ok());
                    }
                }
            }
        }
    }
}
