//! The Xen console. One writer at a time; lines are never mixed.
//!
//! Where dom0 does not read, what is written waits in a queue, and what finds no room there is
//! dropped as a whole, counted and told of. A writer waits for dom0 once, for [`ROOM_LIMIT`]; from
//! then on nobody does, until dom0 has read. In a suspend ([`Window`]) nobody waits at all.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use spin::Mutex;
use xen_bindings::console::{Console, Error};
use xen_bindings::Result;

use crate::arch;
use crate::arch::cpu::{self, CpuGuard};
use crate::arch::rings::ConsoleRing;
use crate::cmdline;
use crate::xen::ports::{self, Doorbell};
use crate::xen::{calls, time};

/// Longest wait for room in the ring, nanoseconds: a dom0 that does not read must not stop the
/// guest.
const ROOM_LIMIT: u64 = 2_000_000_000;

/// Bytes that can wait for dom0 beside the ring's 2048: more than twice what a whole suspend has to
/// say.
const QUEUE: usize = 16 << 10;

struct State {
    ring: Option<Console<'static, Doorbell>>,
    queue: Queue,
    /// Bytes that found no room.
    dropped: u64,
    /// dom0 did not read in time, and has not read since.
    stalled: bool,
}

static STATE: Mutex<State> = Mutex::new(State {
    ring: None,
    queue: Queue {
        bytes: [0; QUEUE],
        start: 0,
        len: 0,
    },
    dropped: 0,
    stalled: false,
});

/// Set by a panic: whoever holds the lock may never give it back.
static PANICKING: AtomicBool = AtomicBool::new(false);

/// [`Silence`] is held.
static SILENT: AtomicBool = AtomicBool::new(false);

/// [`Window`] is held.
static WINDOW: AtomicBool = AtomicBool::new(false);

/// How often somebody waited for room while a [`Window`] was held.
static WAITED: AtomicU32 = AtomicU32::new(0);

/// While it is held, what is written waits in the ring, as far as there is room, and dom0 is not
/// woken for it: it would run on the very processors that this guest needs to get something done
/// quickly. A panic breaks it.
pub struct Silence(());

/// Begins a [`Silence`]. There is one at a time: vCPU 0's.
pub fn silence() -> Silence {
    SILENT.store(true, Ordering::Relaxed);
    Silence(())
}

impl Silence {
    /// Ends it, and leaves it to the next text that is written to tell dom0 of all that is there.
    pub fn lift(self) {
        SILENT.store(false, Ordering::Relaxed);
        core::mem::forget(self);
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        SILENT.store(false, Ordering::Relaxed);
        let _guard = CpuGuard::new();
        if let Some(ring) = STATE.lock().ring.as_mut() {
            // What was written is there all the same, and the next event says so.
            let _ = ring.ring();
        }
    }
}

/// While it is held, no vCPU waits for dom0 to read: from the request of a suspend to the end of the
/// way back, when the clock may stand still and somebody waits for the guest. A panic
/// breaks it.
pub struct Window(());

/// Begins a [`Window`]. There is one at a time: vCPU 0's.
pub fn window() -> Window {
    WAITED.store(0, Ordering::Relaxed);
    WINDOW.store(true, Ordering::Relaxed);
    Window(())
}

impl Window {
    /// How often somebody waited all the same.
    pub fn waited(&self) -> u32 {
        WAITED.load(Ordering::Relaxed)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        WINDOW.store(false, Ordering::Relaxed);
    }
}

/// Uses the ring from the first moment on, for the last words of a kernel that does not come up.
/// Nobody listens yet to what dom0 types.
pub fn connect_early() {
    // A hypercall that is refused is one that [`connect`] makes again.
    if let Ok(Some(ring)) = arch::rings::console_ring() {
        let _guard = CpuGuard::new();
        STATE.lock().ring = Some(map(ring));
    }
}

/// Whether this domain's console is taken up. Its page can be written before, and then dom0 need
/// not hear of it.
static CONNECTED: AtomicBool = AtomicBool::new(false);

/// In a new domain the port is another: [`connect`] is due.
pub fn lost() {
    CONNECTED.store(false, Ordering::Relaxed);
}

/// Is this domain's console taken up?
pub fn is_connected() -> bool {
    CONNECTED.load(Ordering::Relaxed)
}

/// Connects to the ring that the toolstack made, or, in a restored domain, to the one it made anew.
/// A domain without a console is no error: what is written is dropped. What waits for dom0 is said
/// in the new domain.
pub fn connect() -> Result<()> {
    let Some(ring) = arch::rings::console_ring()? else {
        CONNECTED.store(true, Ordering::Relaxed);
        return Ok(());
    };
    {
        let _guard = CpuGuard::new();
        let mut state = STATE.lock();
        match state.ring.as_mut() {
            Some(console) => console.reset(Doorbell(ring.port())),
            None => state.ring = Some(map(ring)),
        }
    }
    ports::listen(0, ring.port())?;
    CONNECTED.store(true, Ordering::Relaxed);
    Ok(())
}

fn map(ring: ConsoleRing) -> Console<'static, Doorbell> {
    Console::new(ring.page(), Doorbell(ring.port()))
}

/// Writes all of `text`, or has it wait for dom0.
pub fn write(text: &[u8]) {
    let _guard = CpuGuard::new();
    let mut state = STATE.lock();
    if state.ring.is_none() {
        // Only last words: a domain without a console is not to fill Xen's.
        if PANICKING.load(Ordering::Relaxed) {
            arch::host::say_on_xens_console(text);
        }
        return;
    }
    let mut rest = text;
    let mut limit = None;
    loop {
        rest = &rest[state.push(rest)..];
        if rest.is_empty() {
            return;
        }
        if state.may_not_wait() {
            return state.keep(rest);
        }
        let limit = limit.get_or_insert_with(|| {
            WAITED.fetch_add(1, Ordering::Relaxed);
            Limit::at(time::now() + ROOM_LIMIT)
        });
        if limit.is_over() {
            state.stalled = true;
            return state.keep(rest);
        }
        calls::yield_cpu();
    }
}

impl State {
    /// Puts what waits, and then as much of `text` as there is room for, into the ring; gives how
    /// much of `text` that was.
    fn push(&mut self, text: &[u8]) -> usize {
        let State { ring, queue, .. } = self;
        let Some(ring) = ring else { return 0 };
        while !queue.is_empty() {
            match put(ring, queue.first()) {
                0 => return 0,
                put => queue.take(put),
            }
        }
        if self.dropped > 0 && !self.push_note() {
            return 0;
        }
        let Some(ring) = &mut self.ring else { return 0 };
        let pushed = put(ring, text);
        if pushed > 0 {
            self.stalled = false;
        }
        pushed
    }

    /// Tells of what was dropped, between two lines; gives whether there was room.
    fn push_note(&mut self) -> bool {
        let mut note = Note {
            bytes: [0; 64],
            len: 0,
        };
        let lost = self.dropped;
        let _ = core::fmt::write(
            &mut note,
            format_args!("({lost} bytes were not read in time and are lost)\n"),
        );
        let Some(ring) = &mut self.ring else {
            return false;
        };
        if ring.room().is_ok_and(|room| room < note.len) {
            return false;
        }
        put(ring, &note.bytes[..note.len]);
        self.dropped = 0;
        true
    }

    /// Whether a writer has to go on at once.
    fn may_not_wait(&self) -> bool {
        if PANICKING.load(Ordering::Relaxed) {
            return false;
        }
        // With the clock frozen there is nothing to measure a wait by.
        time::stands_still()
            || (WINDOW.load(Ordering::Relaxed) || self.stalled)
                && !cmdline::options().switches.console_waits()
    }

    /// Has the rest of a text wait in the queue. One that does not fit is dropped as a whole, so
    /// that no line is cut: of the text whose beginning is in the ring already the rest always
    /// fits, for then the queue is empty.
    ///
    /// Half of the queue is kept for what a suspend has to say.
    fn keep(&mut self, rest: &[u8]) {
        let most = if WINDOW.load(Ordering::Relaxed) {
            QUEUE
        } else {
            QUEUE / 2
        };
        if self.queue.len + rest.len() > most || !self.queue.add(rest) {
            self.dropped += rest.len() as u64;
        }
    }
}

/// Puts as much of `text` into the ring as there is room for; gives how much that was.
fn put(ring: &mut Console<'static, Doorbell>, text: &[u8]) -> usize {
    let silent = SILENT.load(Ordering::Relaxed) && !PANICKING.load(Ordering::Relaxed);
    let written = if silent {
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

/// When a wait for dom0 ends: at a time, or, in a panic while the clock stands still, after many
/// looks.
struct Limit {
    deadline: u64,
    looks: u32,
}

impl Limit {
    /// Each look gives the CPU away once, with a hypercall: together they take some 30 ms on a
    /// machine of today, and some ten seconds where the processor is emulated.
    const LOOKS: u32 = 1 << 15;

    fn at(deadline: u64) -> Limit {
        Limit { deadline, looks: 0 }
    }

    fn is_over(&mut self) -> bool {
        self.looks += 1;
        if time::stands_still() {
            self.looks > Limit::LOOKS
        } else {
            time::now() > self.deadline
        }
    }
}

/// Waits until dom0 has read everything; false if it did not in time.
pub fn flush(deadline: u64) -> bool {
    let drained = || {
        let _guard = CpuGuard::new();
        let mut state = STATE.lock();
        state.push(&[]);
        let empty = state.queue.is_empty();
        state
            .ring
            .as_ref()
            .is_none_or(|ring| ring.is_drained().map_or(true, |read| read && empty))
    };
    let mut limit = Limit::at(deadline);
    loop {
        if drained() {
            return true;
        }
        if limit.is_over() {
            return false;
        }
        calls::yield_cpu();
    }
}

/// Reads what somebody typed; gives the number of bytes. To be called again and again: what waits
/// for dom0 is sent on here.
pub fn read(room: &mut [u8]) -> usize {
    let _guard = CpuGuard::new();
    let mut state = STATE.lock();
    // What waits goes out even if nothing more is said.
    state.push(&[]);
    match state.ring.as_mut().map(|ring| ring.read(room)) {
        Some(Ok(read) | Err(Error::Notify { moved: read, .. })) => read,
        Some(Err(Error::BadIndices(_))) | None => 0,
    }
}

/// Takes the console from whoever has it, for a last message. Gives false to all but the first.
pub fn seize() -> bool {
    cpu::disable_interrupts();
    if PANICKING.swap(true, Ordering::AcqRel) {
        return false;
    }
    arch::unlock::force_unlock(&STATE);
    true
}

/// A short text on the stack.
struct Note {
    bytes: [u8; 64],
    len: usize,
}

impl core::fmt::Write for Note {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        for byte in s.bytes().take(self.bytes.len() - self.len) {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}
