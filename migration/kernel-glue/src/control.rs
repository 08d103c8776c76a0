//! vCPU 0's part in one value: the connection, what is wanted of it, and what is asked there.

use core::time::Duration;

use migration::shutdown::{self, Accepts, Request};
use migration::Party;
use xen_bindings::sched;
use xen_bindings::xenstore::Buffers;

use crate::asked::{is_settled, Asked, Requests};
use crate::pvh::{self, Guest, Pvh};
use crate::sink::ConsoleLog;
use crate::store::{Store, Watch};
use crate::waiting::Waiting;
use crate::wants::Wants;

/// What is watched.
const WATCHES: &[Watch] = &[Watch {
    path: shutdown::NODE,
    token: "shutdown",
}];

/// Longest wait for dom0 to read the last words.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a PVH kernel without hotplug and balloon does for the toolstack.
pub struct Control<K, W> {
    store: Store<K, W>,
    wants: Wants,
    requests: Requests,
}

impl<K: Pvh, W: Waiting> Control<K, W> {
    /// Connects to xenstore, sets the watch and says what the guest obeys. What fails is told, and
    /// tried again by [`turn`](Control::turn).
    #[must_use]
    pub fn start(kernel: K, waiting: W, buffers: &'static mut Buffers) -> Control<K, W> {
        let accepts = Accepts::USUAL;
        let mut control = Control {
            store: Store::new(kernel, waiting, WATCHES, buffers),
            wants: Wants::everything(accepts),
            requests: Requests::new(accepts),
        };
        if let Err(error) = control.store.attach() {
            kernel.report(Party::Xen, "xenstore", &error);
        }
        control.wants.pursue(&mut control.store);
        control
    }

    /// Looks at what changed and does what is asked: suspends, if that is it. Then, if nothing was to
    /// be done, waits for up to `idle` ([`Store::idle`]). To be called again and again, on vCPU 0.
    ///
    /// Gives how the guest is to end, which was acknowledged: the kernel tidies up, and calls
    /// [`end`].
    pub fn turn<G: Guest>(&mut self, guest: &mut G, idle: Duration) -> Option<Request> {
        if let Some(console) = self.store.kernel().console() {
            // Sends on what has waited.
            console.is_drained();
        }
        if self.store.changes().contains(0) {
            self.requests.ask();
        }
        if !self.wants.pursue(&mut self.store).answered {
            self.store.idle(idle);
            return None;
        }
        match self.requests.look(&mut self.store) {
            Asked::Nothing => self.store.idle(idle),
            Asked::Refused(request, why) => log::warn!("`{request}` is not obeyed: {why}"),
            Asked::Suspend => self.suspend(guest),
            Asked::End(request) => return Some(request),
        }
        None
    }

    fn suspend<G: Guest>(&mut self, guest: &mut G) {
        let Control {
            store,
            wants,
            requests,
        } = self;
        let ended = pvh::suspend(guest, store, wants);
        let settled = match &ended {
            Ok(resumed) => {
                let took = resumed.timeline.total().unwrap_or_default();
                log::info!("{} after {took:?}", resumed.outcome.name());
                true
            }
            Err(failed) => {
                log::error!("{failed}");
                if let Err(error) = shutdown::report_failure(store, failed) {
                    log::warn!("{}: {error}", shutdown::FAILURE_NODE);
                }
                is_settled(failed)
            }
        };
        requests.suspended(store.kernel(), settled);
    }
}

/// Ends the domain as it was asked to, after its last words have been read, or not in time.
pub fn end<K: Pvh>(kernel: K, request: Request) -> ! {
    let until = kernel.now() + LAST_WORDS;
    while kernel.console().is_some_and(|log| !log.is_drained()) && kernel.now() < until {
        kernel.relax();
    }
    let how = match request {
        Request::Reboot => sched::Shutdown::Reboot,
        _ => sched::Shutdown::Poweroff,
    };
    loop {
        // Comes back only if Xen refuses, or if the toolstack resumes the domain all the same.
        let _ = sched::shutdown(how);
    }
}

/// Ends the domain as crashed, with `info` as its last words ([`ConsoleLog::last_words`]). For a panic
/// handler.
pub fn crash(log: &ConsoleLog, info: &dyn core::fmt::Display) -> ! {
    log.last_words(info);
    loop {
        // Comes back only if Xen refuses.
        let _ = sched::shutdown(sched::Shutdown::Crash);
    }
}
