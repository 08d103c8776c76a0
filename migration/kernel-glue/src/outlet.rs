//! What is said on the Xen console: the ring, and a queue for what finds no room in it.
//!
//! Nothing here waits. What finds no room in the queue either is dropped as a whole, counted, and
//! told of when there is room again; so no line is cut and none is mixed with another.

use core::fmt;

use xen_bindings::console::{Console, Error, Page};
use xen_bindings::ring::Notify;

/// Bytes that can wait for dom0 beside the ring's 2048: more than twice what a whole suspend has to
/// say.
pub const QUEUE: usize = 16 << 10;

/// How a text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// dom0 is not woken for it: the next text that is written otherwise tells of it too. For a
    /// suspend, in which dom0 would run on the very processors that the guest needs.
    pub silent: bool,
    /// It may fill the whole queue. Other texts leave half of it to what a suspend has to say.
    pub vital: bool,
}

/// The guest's end of the console. `N` sends the ring's event.
pub struct Outlet<N> {
    ring: Option<Console<'static, N>>,
    queue: Queue,
    /// Bytes that found no room.
    dropped: u64,
    /// The ring is not to be touched.
    held: bool,
}

impl<N: Notify> Outlet<N> {
    /// With no ring: what is written is not kept.
    #[must_use]
    pub const fn new() -> Outlet<N> {
        Outlet {
            ring: None,
            queue: Queue {
                bytes: [0; QUEUE],
                start: 0,
                len: 0,
            },
            dropped: 0,
            held: false,
        }
    }

    /// Has all that is written wait, from just before a suspend call on: in a new domain the page is
    /// cleared and the event is another, and a line said before [`connect`](Outlet::connect) would
    /// be lost there. Ended by that, or by [`release`](Outlet::release) in the same domain.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// The domain is the same: what waits is said.
    pub fn release(&mut self) {
        self.held = false;
    }

    /// Takes up the ring: at boot, and in each new domain. What waits is said there.
    pub fn connect(&mut self, page: &'static Page, notify: N) {
        self.held = false;
        match self.ring.as_mut() {
            Some(console) => console.reset(notify),
            None => self.ring = Some(Console::new(page, notify)),
        }
    }

    /// Is there a ring?
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.ring.is_some()
    }

    /// Writes all of `text`, or has it wait for dom0, or drops it.
    pub fn write(&mut self, text: &[u8], manner: Manner) {
        if self.ring.is_none() {
            return;
        }
        let pushed = self.push(text, manner);
        if pushed < text.len() {
            self.keep(&text[pushed..], manner);
        }
    }

    /// Puts what waits, and then as much of `text` as there is room for, into the ring; gives how
    /// much of `text` that was. Without a text it sends on what waits.
    pub fn push(&mut self, text: &[u8], manner: Manner) -> usize {
        if self.held {
            return 0;
        }
        let Outlet { ring, queue, .. } = self;
        let Some(ring) = ring else { return 0 };
        while !queue.is_empty() {
            match put(ring, queue.first(), manner) {
                0 => return 0,
                put => queue.take(put),
            }
        }
        if self.dropped > 0 && !self.push_note(manner) {
            return 0;
        }
        self.ring.as_mut().map_or(0, |ring| put(ring, text, manner))
    }

    /// Tells of what was dropped, between two lines; gives whether there was room.
    fn push_note(&mut self, manner: Manner) -> bool {
        let mut note = Note {
            bytes: [0; 64],
            len: 0,
        };
        let lost = self.dropped;
        let _ = fmt::write(
            &mut note,
            format_args!("({lost} bytes were not read in time and are lost)\n"),
        );
        let Some(ring) = &mut self.ring else {
            return false;
        };
        if ring.room().is_ok_and(|room| room < note.len) {
            return false;
        }
        put(ring, &note.bytes[..note.len], manner);
        self.dropped = 0;
        true
    }

    /// Has the rest of a text wait in the queue. One that does not fit is dropped as a whole, so
    /// that no line is cut: of the text whose beginning is in the ring already the rest always
    /// fits, for then the queue is empty.
    pub fn keep(&mut self, rest: &[u8], manner: Manner) {
        let most = if manner.vital { QUEUE } else { QUEUE / 2 };
        if self.queue.len + rest.len() > most || !self.queue.add(rest) {
            self.dropped += rest.len() as u64;
        }
    }

    /// Tells dom0 of what was written silently.
    pub fn tell(&mut self) {
        if let Some(ring) = self.ring.as_mut() {
            // What was written is there all the same, and the next event says so.
            let _ = ring.ring();
        }
    }

    /// Sends on what waits; whether dom0 has read everything. True where nobody will: without a
    /// ring, or when the other end has broken it.
    pub fn is_drained(&mut self, manner: Manner) -> bool {
        self.push(&[], manner);
        let empty = self.queue.is_empty();
        self.ring
            .as_ref()
            .is_none_or(|ring| ring.is_drained().map_or(true, |read| read && empty))
    }

    /// Reads what somebody typed; gives the number of bytes. What waits goes out here too, even if
    /// nothing more is said.
    pub fn read(&mut self, room: &mut [u8], manner: Manner) -> usize {
        self.push(&[], manner);
        match self.ring.as_mut().map(|ring| ring.read(room)) {
            Some(Ok(read) | Err(Error::Notify { moved: read, .. })) => read,
            Some(Err(Error::BadIndices(_))) | None => 0,
        }
    }
}

impl<N: Notify> Default for Outlet<N> {
    fn default() -> Self {
        Outlet::new()
    }
}

/// Puts as much of `text` into the ring as there is room for; gives how much that was.
fn put<N: Notify>(ring: &mut Console<'static, N>, text: &[u8], manner: Manner) -> usize {
    let written = if manner.silent {
        ring.write_silently(text)
    } else {
        ring.write(text)
    };
    match written {
        Ok(written) => written,
        // The bytes are there; only the event was not sent, and the next one says the same.
        Err(Error::Notify { moved, .. }) => moved,
        // Whoever owns the other end broke the ring: nothing can be said on it.
        Err(Error::BadIndices(_)) => text.len(),
    }
}

/// Text that waits for room in the ring.
///
/// # Invariants
/// `start < QUEUE` and `len <= QUEUE`: the bytes are the `len` from `start` on, which go on at the
/// beginning.
struct Queue {
    bytes: [u8; QUEUE],
    start: usize,
    len: usize,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first bytes, as many as lie in one piece.
    fn first(&self) -> &[u8] {
        let end = (self.start + self.len).min(QUEUE);
        &self.bytes[self.start..end]
    }

    /// Takes the first `count` away.
    fn take(&mut self, count: usize) {
        self.start = (self.start + count) % QUEUE;
        self.len -= count;
    }

    /// Adds all of `text`, or nothing; gives whether it fitted.
    fn add(&mut self, text: &[u8]) -> bool {
        if text.len() > QUEUE - self.len {
            return false;
        }
        let at = (self.start + self.len) % QUEUE;
        let (here, rest) = text.split_at(text.len().min(QUEUE - at));
        self.bytes[at..at + here.len()].copy_from_slice(here);
        self.bytes[..rest.len()].copy_from_slice(rest);
        self.len += text.len();
        true
    }
}

/// A short text on the stack.
struct Note {
    bytes: [u8; 64],
    len: usize,
}

impl fmt::Write for Note {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for byte in s.bytes().take(self.bytes.len() - self.len) {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use super::*;
    use core::ptr::NonNull;
    use std::boxed::Box;
    use std::cell::Cell;
    use std::format;
    use std::rc::Rc;
    use std::string::String;
    use xen_bindings::ffi;

    const PLAIN: Manner = Manner {
        silent: false,
        vital: false,
    };

    struct Dom0(NonNull<ffi::xencons_interface>);

    impl Dom0 {
        /// Reads what is there, as xenconsoled does.
        fn read(&self) -> String {
            // SAFETY: the page lives on; the tests have one thread each.
            let page = unsafe { &mut *self.0.as_ptr() };
            let mut text = String::new();
            while page.out_cons != page.out_prod {
                text.push(char::from(page.out[page.out_cons as usize % 2048] as u8));
                page.out_cons = page.out_cons.wrapping_add(1);
            }
            text
        }
    }

    struct Bell(Rc<Cell<u32>>);

    impl Notify for Bell {
        fn notify(&mut self) -> xen_bindings::Result<()> {
            self.0.set(self.0.get() + 1);
            Ok(())
        }
    }

    fn connected() -> (Box<Outlet<Bell>>, Dom0, Rc<Cell<u32>>) {
        let dom0 = Dom0(NonNull::from(Box::leak(Box::default())));
        // SAFETY: a live page that only this view, and the test's dom0, use from here on.
        let page: &'static Page = unsafe { Page::at(dom0.0) };
        let rung = Rc::new(Cell::new(0));
        let mut outlet = Box::new(Outlet::new());
        outlet.connect(page, Bell(rung.clone()));
        (outlet, dom0, rung)
    }

    #[test]
    fn a_line_that_finds_no_room_waits_and_none_is_cut() {
        let (mut outlet, dom0, _) = connected();
        let line = |n: usize| format!("line {n} {}\n", "x".repeat(92));
        let mut said = 0;
        for n in 0..300 {
            outlet.write(line(n).as_bytes(), PLAIN);
            said += line(n).len();
        }
        let mut heard = String::new();
        loop {
            let more = dom0.read();
            if more.is_empty() {
                break;
            }
            heard.push_str(&more);
            outlet.push(&[], PLAIN);
        }
        assert!(outlet.is_drained(PLAIN));
        let (lines, note) = heard.rsplit_once("(").unwrap();
        assert!(lines.len() > 2048 + QUEUE / 2 - 100, "{}", lines.len());
        assert_eq!(
            note,
            format!(
                "{} bytes were not read in time and are lost)\n",
                said - lines.len()
            )
        );
        for (n, one) in lines.lines().enumerate() {
            assert_eq!(format!("{one}\n"), line(n));
        }
    }

    #[test]
    fn half_of_the_queue_is_kept_for_what_is_vital() {
        let (mut outlet, dom0, _) = connected();
        for _ in 0..300 {
            outlet.write(&[b'.'; 100], PLAIN);
        }
        let vital = Manner {
            vital: true,
            ..PLAIN
        };
        outlet.write(b"suspended\n", vital);
        let mut heard = String::new();
        while !outlet.is_drained(PLAIN) {
            heard.push_str(&dom0.read());
        }
        assert!(heard.contains("suspended\n"));
    }

    #[test]
    fn a_silent_line_is_told_of_by_the_next() {
        let (mut outlet, dom0, rung) = connected();
        let silent = Manner {
            silent: true,
            ..PLAIN
        };
        outlet.write(b"quiet\n", silent);
        assert_eq!(rung.get(), 0);
        outlet.write(b"loud\n", PLAIN);
        assert_eq!(rung.get(), 1);
        assert_eq!(dom0.read(), "quiet\nloud\n");
        outlet.tell();
        assert_eq!(rung.get(), 2);
    }

    #[test]
    fn what_is_said_across_a_restore_is_said_in_the_new_domain() {
        let (mut outlet, dom0, _) = connected();
        outlet.write(b"before\n", PLAIN);
        assert_eq!(dom0.read(), "before\n");
        outlet.hold();
        outlet.write(b"between\n", PLAIN);
        assert!(!outlet.is_drained(PLAIN));
        assert_eq!(dom0.read(), "");
        // SAFETY: the page lives on; the tests have one thread each.
        unsafe { dom0.0.write(ffi::xencons_interface::default()) };
        // SAFETY: as in `connected`.
        let page: &'static Page = unsafe { Page::at(dom0.0) };
        let rung = Rc::new(Cell::new(0));
        outlet.connect(page, Bell(rung.clone()));
        outlet.write(b"after\n", PLAIN);
        assert_eq!(dom0.read(), "between\nafter\n");
        assert!(rung.get() > 0, "the new domain's event");
        outlet.hold();
        outlet.write(b"cancelled\n", PLAIN);
        outlet.release();
        assert!(!outlet.is_drained(PLAIN), "it is in the ring now");
        assert_eq!(dom0.read(), "cancelled\n");
    }

    #[test]
    fn without_a_ring_nothing_is_kept() {
        let mut outlet: Box<Outlet<Bell>> = Box::default();
        outlet.write(b"lost", PLAIN);
        assert!(outlet.is_drained(PLAIN));
        assert!(!outlet.is_connected());
    }
}
