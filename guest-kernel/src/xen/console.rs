//! The Xen console. One writer at a time; lines are never mixed.
//!
//! Where dom0 does not read, what is written waits in a queue, and what finds no room there is
//! dropped as a whole, counted and told of. A writer waits for dom0 once, for [`ROOM_LIMIT`]; from
//! then on nobody does, until dom0 has read. In a suspend ([`Window`]) nobody waits at all.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use kernel_glue::doorbell::Doorbell;
use kernel_glue::outlet::{Manner, Outlet};
use spin::{Mutex, MutexGuard};
use xen_bindings::Result;

use crate::arch;
use crate::arch::cpu::{self, CpuGuard};
use crate::arch::rings::ConsoleRing;
use crate::cmdline;
use crate::xen::{calls, ports, time};

/// Longest wait for room in the ring, nanoseconds: a dom0 that does not read must not stop the
/// guest.
const ROOM_LIMIT: u64 = 2_000_000_000;

struct State {
    outlet: Outlet<Doorbell>,
    /// dom0 did not read in time, and has not read since.
    stalled: bool,
}

impl State {
    const NEW: State = State {
        outlet: Outlet::new(),
        stalled: false,
    };
}

static STATE: Mutex<State> = Mutex::new(State::NEW);

/// For a panic that cannot have [`STATE`]: a second driver of the same ring. What waits in the
/// other's queue is lost, and a line that it was writing is garbled.
static LAST_WORDS: Mutex<State> = Mutex::new(State::NEW);

/// Set by a panic.
static PANICKING: AtomicBool = AtomicBool::new(false);

/// [`LAST_WORDS`] is in use.
static SECOND: AtomicBool = AtomicBool::new(false);

/// The driver in use.
fn state() -> MutexGuard<'static, State> {
    if SECOND.load(Ordering::Acquire) {
        LAST_WORDS.lock()
    } else {
        STATE.lock()
    }
}

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
        state().outlet.tell();
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
        map(&mut state(), ring);
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
        map(&mut state(), ring);
    }
    ports::listen(0, ring.port())?;
    CONNECTED.store(true, Ordering::Relaxed);
    Ok(())
}

fn map(state: &mut State, ring: ConsoleRing) {
    state.outlet.connect(ring.page(), Doorbell(ring.port()));
}

/// How it is written now.
fn manner() -> Manner {
    Manner {
        silent: SILENT.load(Ordering::Relaxed) && !PANICKING.load(Ordering::Relaxed),
        vital: WINDOW.load(Ordering::Relaxed),
    }
}

/// Writes all of `text`, or has it wait for dom0.
pub fn write(text: &[u8]) {
    let _guard = CpuGuard::new();
    let mut state = state();
    if !state.outlet.is_connected() {
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
            return state.outlet.keep(rest, manner());
        }
        let limit = limit.get_or_insert_with(|| {
            WAITED.fetch_add(1, Ordering::Relaxed);
            Limit::at(time::now() + ROOM_LIMIT)
        });
        if limit.is_over() {
            state.stalled = true;
            return state.outlet.keep(rest, manner());
        }
        calls::yield_cpu();
    }
}

impl State {
    /// Puts what waits, and then as much of `text` as there is room for, into the ring; gives how
    /// much of `text` that was.
    fn push(&mut self, text: &[u8]) -> usize {
        let pushed = self.outlet.push(text, manner());
        if pushed > 0 {
            self.stalled = false;
        }
        pushed
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
        state().outlet.is_drained(manner())
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
    state().outlet.read(room, manner())
}

/// Has the console for a last message. Gives false to all but the first.
pub fn seize() -> bool {
    cpu::disable_interrupts();
    if PANICKING.swap(true, Ordering::AcqRel) {
        return false;
    }
    // Its holder is another vCPU, which is done soon, or this one, which never is.
    let is_free = (0..Limit::LOOKS).any(|_| {
        let free = STATE.try_lock().is_some();
        if !free {
            calls::yield_cpu();
        }
        free
    });
    if !is_free {
        if let Ok(Some(ring)) = arch::rings::console_ring() {
            map(&mut LAST_WORDS.lock(), ring);
        }
        SECOND.store(true, Ordering::Release);
    }
    true
}
