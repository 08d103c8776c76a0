//! What vCPU 0 does besides the churn: it answers the toolstack, reads the console and reports.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use migration::availability;
use migration::balloon::TARGET;
use migration::shutdown::{self, Accepts, Activity, Answer, Request};
use migration::xenstore::{StoreError, Xenstore};
use migration::{Limits, Party};
use spin::Mutex;

use crate::arch::cpu;
use crate::hotplug::Hotplug;
use crate::memory::frames::{self, Extent};
use crate::paging::layout::PAGE_SIZE;
use crate::store::{Change, Store};
use crate::workload::churn;
use crate::{balloon, bench, console, events, fill, pool, report, smp, strays, suspend, time, trim, xen};

/// Longest wait for a vCPU to check or to fill its cache, and for a drain, nanoseconds. Far above what an emulated machine needs.
const CPU_LIMIT: u64 = 30_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// Where somebody in dom0 asks whether the guest lives, and where it answers.
const PING: &str = "data/ping";
const PONG: &str = "data/pong";

/// Longest line read from the console, and longest token.
const INPUT: usize = 128;

struct Control {
    store: Store,
    hotplug: Hotplug,
    rounds: u64,
    next_report: u64,
    input: [u8; INPUT],
    input_len: usize,
    /// What came unasked and was told.
    strays: strays::Teller,
}

static CONTROL: Mutex<Option<Control>> = Mutex::new(None);

/// `control/shutdown` and `cpu/` are to be read again, whatever the watches say.
static LOOK_AGAIN: AtomicBool = AtomicBool::new(false);
/// `ready` has been said.
static READY: AtomicBool = AtomicBool::new(false);

/// Has the nodes read again at the next pass.
pub fn look_again() {
    LOOK_AGAIN.store(true, Ordering::Relaxed);
}

/// Connects to xenstore and brings up the vCPUs that are wanted. On vCPU 0, before its loop.
pub fn start(extent: Extent) {
    let mut store = match Store::connect() {
        Ok(store) => store,
        Err(error) => {
            frames::release();
            return report::error(Party::Xen, "xenstore", error);
        }
    };
    // Before more frames are touched than the guest may have.
    balloon::start(extent, &mut store);
    learn_domid(&mut store);
    let mut hotplug = Hotplug::new();
    let accepts = Accepts::USUAL;
    let advertised = shutdown::advertise(&mut store, &accepts);
    if let Some((node, error)) = advertised.failed {
        // Older toolstacks make no such node; the requests are obeyed all the same.
        log::warn!("{node}: {error}");
    }
    if let Err(error) = set_watches(&mut store) {
        report::error(Party::Toolstack, "watches", error);
    }
    hotplug.follow(&mut store, "boot");
    look_again();
    *CONTROL.lock() = Some(Control {
        store,
        hotplug,
        rounds: 0,
        next_report: time::now() + SECOND,
        input: [0; INPUT],
        input_len: 0,
        strays: strays::Teller::new(),
    });
}

/// Asks xenstore for the domain's number, which nobody else tells a PV guest.
pub fn learn_domid(store: &mut Store) {
    let mut text = [0; 8];
    let Ok(len) = store.read(None, "domid", &mut text) else {
        return;
    };
    if let Some(domid) = core::str::from_utf8(&text[..len.min(text.len())])
        .ok()
        .and_then(|t| t.parse().ok())
    {
        xen::set_domid(domid);
    }
}

/// Sets the watches; each fires once at once.
pub fn set_watches(store: &mut Store) -> Result<(), StoreError> {
    store.watch(shutdown::NODE, Change::Shutdown.token())?;
    store.watch(availability::WATCH, Change::Availability.token())?;
    store.watch(TARGET, Change::Memory.token())?;
    store.watch(PING, Change::Ping.token())
}

/// One pass of vCPU 0's duties. Short when there is nothing to do.
pub fn poll() {
    let mut control = CONTROL.lock();
    let Some(control) = control.as_mut() else { return };
    if !READY.swap(true, Ordering::Relaxed) {
        report::event("ready")
            .nums("online", smp::online().map(|cpu| cpu as u64))
            .num("wall_us", time::wall_us())
            .send();
    }
    control.strays.tell();
    control.read_console();
    control.follow_xenstore();
    control.hotplug.poll();
    if time::now() >= control.next_report {
        control.next_report = time::now() + SECOND;
        report_churn();
    }
}

impl Control {
    fn follow_xenstore(&mut self) {
        let again = LOOK_AGAIN.swap(false, Ordering::Relaxed);
        let changed = self.store.changes();
        // Before a suspend is asked for, which needs the target reached.
        balloon::poll(&mut self.store, again || changed.contains(Change::Memory));
        if again || changed.contains(Change::Shutdown) {
            self.answer_shutdown();
        }
        if again || changed.contains(Change::Availability) {
            self.hotplug.follow(&mut self.store, "hotplug");
        }
        if changed.contains(Change::Ping) {
            self.answer_ping();
        }
    }

    fn answer_shutdown(&mut self) {
        let accepts = Accepts::USUAL;
        let (request, answer) = match shutdown::receive(
            &mut self.store,
            Activity::Running,
            &accepts,
            Limits::DEFAULT.transaction_tries,
        ) {
            Ok(received) => received,
            Err(error) => return report::error(Party::Toolstack, shutdown::NODE, error),
        };
        // Built only to be sent: an event that is being written keeps others of this CPU waiting.
        let say = |answer| report::event("control").text("request", request).text("answer", answer);
        match answer {
            Answer::Nothing | Answer::Defer => {}
            Answer::Refuse(why) => say("refused").text("msg", why).send(),
            Answer::Obey => match request {
                Request::Suspend => self.suspend(),
                going => {
                    say("acknowledged").send();
                    xen::end(match going {
                        Request::Reboot => xen::End::Reboot,
                        Request::Halt => xen::End::Halt,
                        _ => xen::End::Poweroff,
                    })
                }
            },
        }
    }

    fn suspend(&mut self) {
        self.rounds += 1;
        let Control {
            store, hotplug, rounds, ..
        } = self;
        if let Err(too_much) = balloon::prepare_suspend() {
            return suspend::refuse(store, *rounds, too_much);
        }
        suspend::suspend(store, *rounds, |outcome| {
            balloon::returned(outcome);
            hotplug.returned(outcome);
        });
        self.next_report = time::now();
    }

    fn answer_ping(&mut self) {
        let mut token = [0; INPUT];
        let len = match self.store.read(None, PING, &mut token) {
            Ok(len) => len.min(INPUT),
            Err(StoreError::NotFound) => return,
            Err(error) => return report::error(Party::Toolstack, PING, error),
        };
        if len == 0 {
            return;
        }
        if let Err(error) = self.store.write(None, PONG, &token[..len]) {
            report::error(Party::Toolstack, PONG, error);
        }
        report::event("pong")
            .text("via", "xenstore")
            .text("token", migration::Text::<INPUT>::new(&token[..len]))
            .send();
    }

    fn read_console(&mut self) {
        let mut byte = [0];
        while console::read(&mut byte) == 1 {
            match byte[0] {
                b'\r' | b'\n' => {
                    let line = core::mem::take(&mut self.input_len);
                    let text = core::str::from_utf8(&self.input[..line]).unwrap_or("(not UTF-8)");
                    obey(text.trim(), &mut self.store);
                }
                other if self.input_len < INPUT => {
                    self.input[self.input_len] = other;
                    self.input_len += 1;
                }
                // The rest of too long a line is dropped; what came of it is reported as unknown.
                _ => {}
            }
        }
    }
}

/// Does what a line on the console asks.
///
/// Only a test build has `faults`, which rehearses suspends in which one hypercall after the other fails, `fault-resume N`, which has
/// one fail after the next, `starve N`, which leaves N frames (`starve off` gives them all back), `step`, which has the CPU trap after
/// one instruction, `interrupt N`, which sends it vector N through its APIC, and `machine-check`, which uses that exception's gate.
#[cfg_attr(not(feature = "switches"), allow(unused_variables))]
fn obey(line: &str, store: &mut Store) {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("", _) => {}
        ("ping", token) => report::event("pong").text("via", "console").text("token", token).send(),
        ("status", _) => report_churn(),
        #[cfg(feature = "switches")]
        ("faults", _) => crate::rehearse::run(store),
        #[cfg(feature = "switches")]
        ("fault-resume", nth) => crate::rehearse::fail_next_resume(nth),
        #[cfg(feature = "switches")]
        ("starve", left) => crate::rehearse::starve(left),
        #[cfg(feature = "switches")]
        ("interrupt", vector) => match vector.parse() {
            Ok(vector) => crate::arch::apic::interrupt_self(vector),
            Err(_) => log::info!("`interrupt {vector}`: a vector is needed"),
        },
        #[cfg(feature = "switches")]
        ("machine-check", _) => crate::arch::traps::machine_check_once(),
        #[cfg(feature = "switches")]
        ("step", _) => crate::arch::traps::step_once(),
        ("bench", _) => bench::run(CPU_LIMIT),
        ("fill", count) => fill::run(count, CPU_LIMIT),
        ("trim", word) => trim::choose(word),
        ("drain", _) => pool::drain_on_request(time::now() + CPU_LIMIT),
        _ => log::info!("`{line}`: the console knows `ping TOKEN`, `status`, `drain`, `fill N`, `trim early`, `trim off` and `bench`"),
    }
}

/// Has every vCPU read every address space back, and says what came of it.
pub fn verify(why: &str) {
    match smp::verify_everywhere(CPU_LIMIT) {
        Ok(all) => report::event("verify")
            .text("why", why)
            .num("spaces", all.spaces)
            .num("checks", all.checks)
            .num("mismatches", all.mismatches)
            .nums("online", smp::online().map(|cpu| cpu as u64))
            .send(),
        Err(stuck) => report::error(Party::Guest, "verify", stuck),
    }
}

fn report_churn() {
    let possible = || 0..xen::max_vcpus();
    let sum = |of: fn(&churn::Counters) -> &AtomicU64| -> u64 {
        possible()
            .map(|cpu| of(churn::counters(cpu)).load(Ordering::Relaxed))
            .sum()
    };
    let pool = pool::figures();
    report::event("churn")
        .nums("online", smp::online().map(|cpu| cpu as u64))
        .nums(
            "ops",
            possible().map(|cpu| churn::counters(cpu).ops.load(Ordering::Relaxed)),
        )
        .num("alive", churn::alive())
        .num("checks", sum(|c| &c.checks))
        .num("mismatches", churn::mismatches())
        .num("remote_frees", sum(|c| &c.remote_frees))
        .num("hits", pool.hits)
        .num("misses", pool.misses)
        .num("constructed", pool.constructed)
        .num("destructed", pool.destructed)
        .nums("cached", possible().map(pool::cached))
        .num("depot", pool.depot)
        .num("in_use", pool.in_use)
        .num("in_flight", pool.in_flight)
        .num("no_frames", sum(|c| &c.no_frames))
        .nums("timer_ticks", possible().map(events::ticks))
        .nums("stack_left", possible().map(|cpu| cpu::stack_untouched(cpu) as u64))
        .num("free_kib", frames::counts().0 as u64 * (PAGE_SIZE / 1024) as u64)
        .nums("early_ticks", possible().map(events::early_ticks))
        .nums("nmis", possible().map(strays::nmis))
        .send();
}
