//! What vCPU 0 does besides the churn: it answers the toolstack, reads the console and reports.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kernel_glue::asked::{Asked, Requests};
use migration::balloon::TooMuch;
use migration::shutdown::{self, Accepts, Request};
use migration::xenstore::{StoreError, Xenstore};
use migration::{Blame, Blamed, Party};
use spin::Mutex;

use crate::arch;
use crate::cmdline;
use crate::control::{balloon, bench, ending, fill, strays, suspend, unused};
use crate::devices::{self, Links};
use crate::memory::layout::PAGE_SIZE;
use crate::memory::map::MemoryMap;
use crate::sets::frames::{self, Extent};
use crate::sets::{drain, pool};
use crate::vcpus::hotplug::Hotplug;
use crate::vcpus::trim;
use crate::workload::churn;
use crate::xen::duty::Duty;
use crate::xen::here::Here;
use crate::xen::store::{self, Change, PING};
use crate::xen::wants::{self, Wants};
use crate::xen::{calls, console, cpus, events, report, time};

/// Longest wait for a vCPU to fill its cache, and for a drain, nanoseconds. Far above what an
/// emulated machine needs.
const CPU_LIMIT: u64 = 30_000_000_000;

/// Where the guest answers who asks at [`PING`].
const PONG: &str = "data/pong";

/// Longest line read from the console, and longest token.
const INPUT: usize = 128;

struct Control {
    links: Links,
    wants: Wants,
    /// To take up this domain's console.
    console: Duty,
    /// What is asked in `control/shutdown`.
    requests: Requests,
    /// To answer who asks at [`PING`].
    ping: Duty,
    /// To say why the guest cannot be saved, or that it can.
    cant_suspend: Duty,
    /// What is to stand there.
    obstacle: Option<TooMuch>,
    /// To say what of the domain is not used.
    unused: unused::Unused,
    hotplug: Hotplug,
    rounds: u64,
    next_report: u64,
    input: [u8; INPUT],
    input_len: usize,
    /// What came unasked and was told.
    strays: strays::Teller,
}

static CONTROL: Mutex<Option<Control>> = Mutex::new(None);

/// `ready` has been said.
static READY: AtomicBool = AtomicBool::new(false);

/// Connects to xenstore and brings up the vCPUs that are wanted. On vCPU 0, before its loop.
pub fn start(extent: Extent, map: &MemoryMap) {
    let mut store = store::new();
    if let Err(error) = store::attach(&mut store) {
        report::error(Party::Xen, "xenstore", error);
    }
    // Before more frames are touched than the guest may have.
    balloon::start(extent, &mut store);
    let mut control = Control {
        links: Links::new(store),
        wants: Wants::everything(Accepts::USUAL),
        console: Duty::new("console"),
        requests: Requests::new(Accepts::USUAL),
        ping: Duty::new(PING),
        cant_suspend: Duty::new(shutdown::CANT_SUSPEND_NODE),
        obstacle: None,
        unused: unused::Unused::new(map),
        hotplug: Hotplug::new(),
        rounds: 0,
        next_report: time::now() + cmdline::options().report_every,
        input: [0; INPUT],
        input_len: 0,
        strays: strays::Teller::new(),
    };
    if !control.links.store.is_there() {
        report::error(
            Party::Toolstack,
            "xenstore",
            "the domain has none: nobody can ask anything of it",
        );
    }
    wants::pursue(&mut control.wants, &mut control.links.store);
    control.hotplug.follow(&mut control.links.store, "boot");
    wants::look_again();
    *CONTROL.lock() = Some(control);
}

/// One pass of vCPU 0's duties. Short when there is nothing to do. Gives when the next one is due,
/// if no event comes before.
pub fn poll() -> u64 {
    let mut control = CONTROL.lock();
    let Some(control) = control.as_mut() else {
        return events::NEVER;
    };
    if !READY.swap(true, Ordering::Relaxed) {
        report::event("ready")
            .nums("online", cpus::online().map(|cpu| cpu as u64))
            .num("wall_us", time::wall_us())
            .send();
    }
    control.strays.tell();
    control.mend_console();
    control.read_console();
    control.follow_xenstore();
    control.hotplug.poll();
    let devices = devices::poll(&mut control.links);
    if time::now() >= control.next_report {
        control.next_report = time::now() + cmdline::options().report_every;
        report_churn();
    }
    control.next_pass().min(devices)
}

impl Control {
    /// Soon, as long as something is to be done that no event will announce.
    fn next_pass(&self) -> u64 {
        let duties = [&self.console, &self.ping, &self.cant_suspend];
        let busy = duties.into_iter().any(Duty::stands)
            || self.requests.stand()
            || self.unused.stands()
            || self.wants.stand()
            || self.hotplug.is_busy()
            || balloon::is_moving();
        if busy {
            time::now() + events::TICK
        } else {
            self.next_report
        }
    }

    /// Takes up the console, if that was refused.
    fn mend_console(&mut self) {
        if console::is_connected() {
            return;
        }
        self.console.ask_again();
        if self.console.is_due() {
            // Told when there is somebody to tell.
            let connected = console::connect();
            self.console
                .settle(connected.map_err(|error| Blamed(Party::Xen, error)));
        }
    }

    fn follow_xenstore(&mut self) {
        self.note_changes();
        // Before a suspend is asked for, which needs the target reached.
        let obstacle = balloon::poll(&mut self.links.store);
        self.note_obstacle(obstacle);
        if !wants::pursue(&mut self.wants, &mut self.links.store) {
            return;
        }
        self.answer_shutdown();
        if self.hotplug.is_due() {
            self.hotplug.follow(&mut self.links.store, "hotplug");
        }
        if self.ping.is_due() {
            self.answer_ping();
        }
        if self.cant_suspend.is_due() {
            self.tell_obstacle();
        }
        self.unused.pursue(&mut self.links.store);
    }

    /// A reason is news if there was none, or another.
    fn note_obstacle(&mut self, now: Option<TooMuch>) {
        let reason = |obstacle: Option<TooMuch>| obstacle.map(|obstacle| obstacle.why);
        if reason(now) != reason(self.obstacle) {
            self.cant_suspend.ask();
            self.obstacle = now;
        }
    }

    fn tell_obstacle(&mut self) {
        let told = match self.obstacle {
            None => self.links.store.remove(shutdown::CANT_SUSPEND_NODE),
            Some(obstacle) => shutdown::say_cannot_suspend(&mut self.links.store, obstacle),
        };
        self.cant_suspend.settle(told);
    }

    /// Notes what there is to be done.
    fn note_changes(&mut self) {
        if wants::take_look_again() {
            self.requests.ask_again();
            self.hotplug.ask_again();
            balloon::ask_again();
        }
        let changed = self.links.store.changes();
        if changed.has_others() {
            devices::look_again();
        }
        if Change::Shutdown.is_in(changed) {
            self.requests.ask();
        }
        if Change::Availability.is_in(changed) {
            self.hotplug.ask();
        }
        if Change::Ping.is_in(changed) {
            self.ping.ask();
        }
        if Change::Memory.is_in(changed) {
            balloon::ask();
        }
    }

    fn answer_shutdown(&mut self) {
        // Built only to be sent: an event that is being written keeps others of this CPU waiting.
        let say = |request, answer| {
            report::event("control")
                .text("request", request)
                .text("answer", answer)
        };
        match self.requests.look(&mut self.links.store) {
            Asked::Nothing => {}
            Asked::Suspend => self.suspend(),
            Asked::Refused(request, why) => say(request, "refused").text("msg", why).send(),
            Asked::End(request) => {
                say(request, "acknowledged").send();
                ending::end(match request {
                    Request::Reboot => ending::End::Reboot,
                    Request::Halt => ending::End::Halt,
                    _ => ending::End::Poweroff,
                })
            }
        }
    }

    fn suspend(&mut self) {
        self.rounds += 1;
        let Control {
            links,
            wants,
            hotplug,
            rounds,
            requests,
            ..
        } = self;
        if let Err(too_much) = balloon::prepare_suspend() {
            // The balloon asks for another look when the target is reached.
            requests.refused();
            return suspend::refuse(&mut links.store, *rounds, too_much);
        }
        let settled = suspend::suspend(links, wants, hotplug, *rounds);
        requests.suspended(Here, settled);
        self.unused.anew();
        self.next_report = time::now();
    }

    fn answer_ping(&mut self) {
        if let Err((node, error)) = self.try_answer_ping() {
            self.ping.failed();
            return self
                .ping
                .complain(error.party(), format_args!("{node}: {error}"));
        }
        self.ping.done();
    }

    fn try_answer_ping(&mut self) -> Result<(), (&'static str, StoreError)> {
        let mut token = [0; INPUT];
        let len = match self.links.store.read(None, PING, &mut token) {
            Ok(0) | Err(StoreError::NotFound) => return Ok(()),
            Ok(len) => len.min(INPUT),
            Err(error) => return Err((PING, error)),
        };
        self.links
            .store
            .write(None, PONG, &token[..len])
            .map_err(|error| (PONG, error))?;
        report::event("pong")
            .text("via", "xenstore")
            .text("token", migration::Text::<INPUT>::new(&token[..len]))
            .send();
        Ok(())
    }

    fn read_console(&mut self) {
        let mut byte = [0];
        while console::read(&mut byte) == 1 {
            match byte[0] {
                b'\r' | b'\n' => {
                    let line = core::mem::take(&mut self.input_len);
                    let text = core::str::from_utf8(&self.input[..line]).unwrap_or("(not UTF-8)");
                    obey(
                        text.trim(),
                        &mut self.links,
                        &mut self.wants,
                        &mut self.hotplug,
                    );
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
/// Only a test build has `faults`, which rehearses suspends in which one hypercall after the other
/// fails, `fault-resume N`, which has one fail after the next, `starve N`, which leaves N frames
/// (`starve off` gives them all back), `step`, which has the CPU trap after one instruction,
/// `interrupt N`, which sends it vector N through its APIC, and `machine-check`, which uses that
/// exception's gate.
#[cfg_attr(not(feature = "switches"), allow(unused_variables))]
fn obey(line: &str, links: &mut Links, wants: &mut Wants, hotplug: &mut Hotplug) {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("", _) => {}
        ("ping", token) => report::event("pong").text("via", "console").text("token", token).send(),
        ("status", _) => report_churn(),
        #[cfg(feature = "switches")]
        ("faults", _) => crate::control::rehearse::run(links, wants, hotplug),
        #[cfg(feature = "switches")]
        ("fault-resume", nth) => suspend::resume_fault::fail_next(nth),
        #[cfg(feature = "switches")]
        ("starve", left) => crate::control::rehearse::starve(left),
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
        ("drain", _) => drain::drain_on_request(time::now() + CPU_LIMIT),
        _ => log::info!("`{line}`: the console knows `ping TOKEN`, `status`, `drain`, `fill N`, `trim early`, `trim off` and `bench`"),
    }
}

fn report_churn() {
    let possible = || 0..calls::max_vcpus();
    let sum = |of: fn(&churn::Counters) -> &AtomicU64| -> u64 {
        possible()
            .map(|cpu| of(churn::counters(cpu)).load(Ordering::Relaxed))
            .sum()
    };
    let pool = pool::figures();
    report::event("churn")
        .nums("online", cpus::online().map(|cpu| cpu as u64))
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
        .nums("wakeups", possible().map(events::wakeups))
        .nums(
            "stack_left",
            possible().map(|cpu| arch::areas::stack_untouched(cpu) as u64),
        )
        .num(
            "free_kib",
            frames::counts().0 as u64 * (PAGE_SIZE / 1024) as u64,
        )
        .nums("early_ticks", possible().map(events::early_ticks))
        .nums("nmis", possible().map(arch::strays::nmis))
        .send();
}
