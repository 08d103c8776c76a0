//! The Xen console. One writer at a time; lines are never mixed.

use core::sync::atomic::{AtomicBool, Ordering};

use spin::Mutex;
use xen_bindings::console::{Console, Error};
use xen_bindings::hvm::Ring;
use xen_bindings::Result;

use crate::arch::cpu::{self, CpuGuard};
use crate::events::Doorbell;
use crate::{arch, events, time, xen};

/// Longest wait for room in the ring, nanoseconds. Then the rest of the line is dropped and counted: a
/// dom0 that does not read must not stop the guest.
const ROOM_LIMIT: u64 = 2_000_000_000;

struct State {
    ring: Option<Console<'static, Doorbell>>,
    /// Bytes that found no room in time.
    dropped: u64,
}

static STATE: Mutex<State> = Mutex::new(State { ring: None, dropped: 0 });

/// Set by a panic: whoever holds the lock may never give it back.
static PANICKING: AtomicBool = AtomicBool::new(false);

/// [`Silence`] is held.
static SILENT: AtomicBool = AtomicBool::new(false);

/// While it is held, what is written waits in the ring, as far as there is room, and dom0 is not woken for it: it would run on
/// the very processors that this guest needs to get something done quickly. A panic breaks it.
pub struct Silence(());

/// Begins a [`Silence`]. There is one at a time: vCPU 0's.
pub fn silence() -> Silence {
    SILENT.store(true, Ordering::Relaxed);
    Silence(())
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

/// PV: uses the ring from the first moment on, for the last words of a kernel that does not come up. Nobody listens yet to what
/// dom0 types.
pub fn connect_early() {
    if !arch::is_pv() {
        return;
    }
    // A hypercall that is refused is one that [`connect`] makes again.
    if let Ok(Some(ring)) = arch::xen::console_ring() {
        let _guard = CpuGuard::new();
        STATE.lock().ring = Some(map(ring));
    }
}

/// Connects to the ring that the toolstack made, or, in a restored domain, to the one it made anew.
/// A domain without a console is no error: what is written is dropped.
pub fn connect() -> Result<()> {
    let Some(ring) = arch::xen::console_ring()? else {
        return Ok(());
    };
    {
        let _guard = CpuGuard::new();
        let mut state = STATE.lock();
        match state.ring.as_mut() {
            Some(console) => console.reset(Doorbell(ring.port)),
            None => state.ring = Some(map(ring)),
        }
    }
    events::listen(0, ring.port)
}

fn map(ring: Ring) -> Console<'static, Doorbell> {
    Console::new(arch::xen::console_page(ring), Doorbell(ring.port))
}

/// Writes all of `text`, or as much as dom0 makes room for in time.
pub fn write(text: &[u8]) {
    let _guard = CpuGuard::new();
    let mut state = STATE.lock();
    let State { ring, dropped } = &mut *state;
    let Some(ring) = ring else {
        // Only last words: a domain without a console is not to fill Xen's.
        if PANICKING.load(Ordering::Relaxed) {
            arch::xen::say_on_xens_console(text);
        }
        return;
    };
    if *dropped > 0 && ring.room().is_ok_and(|room| room >= 128) {
        let lost = core::mem::take(dropped);
        let mut note = Note { bytes: [0; 64], len: 0 };
        let _ = core::fmt::write(
            &mut note,
            format_args!("\n({lost} bytes were not read in time and are lost)\n"),
        );
        let _ = ring.write(&note.bytes[..note.len]);
    }
    let mut rest = text;
    let mut limit = None;
    while !rest.is_empty() {
        let silent = SILENT.load(Ordering::Relaxed) && !PANICKING.load(Ordering::Relaxed);
        let written = if silent && ring.room().is_ok_and(|room| room >= rest.len()) {
            ring.write_silently(rest)
        } else {
            ring.write(rest)
        };
        match written {
            Ok(0) => {
                if limit
                    .get_or_insert_with(|| Limit::at(time::now() + ROOM_LIMIT))
                    .is_over()
                {
                    *dropped += rest.len() as u64;
                    return;
                }
                xen::yield_cpu();
            }
            Ok(written) => rest = &rest[written..],
            // The bytes are there; only the event was not sent, and the next one says the same.
            Err(Error::Notify { moved, .. }) => rest = &rest[moved..],
            // Whoever owns the other end broke the ring: nothing can be said on it.
            Err(Error::BadIndices(_)) => return,
        }
    }
}

/// When a wait for dom0 ends: at a time, or, while the clock stands still, after many looks.
struct Limit {
    deadline: u64,
    looks: u32,
}

impl Limit {
    /// Each look gives the CPU away once: on a machine of today they take more than a tenth of a second together, in the lab
    /// some seconds.
    const LOOKS: u32 = 1 << 19;

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
        let state = STATE.lock();
        state.ring.as_ref().is_none_or(|ring| ring.is_drained().unwrap_or(true))
    };
    let mut limit = Limit::at(deadline);
    loop {
        if drained() {
            return true;
        }
        if limit.is_over() {
            return false;
        }
        xen::yield_cpu();
    }
}

/// Reads what somebody typed; gives the number of bytes.
pub fn read(room: &mut [u8]) -> usize {
    let _guard = CpuGuard::new();
    match STATE.lock().ring.as_mut().map(|ring| ring.read(room)) {
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
    arch::force_unlock(&STATE);
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
