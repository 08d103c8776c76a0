//! Brings vCPUs up and down until they are as xenstore says. On vCPU 0.

use migration::availability::{self, Action, Complaint};
use migration::hotplug::{BringUp, Change, Cpus, Lockout, Operation};
use migration::{Party, Return};

use crate::cmdline;
use crate::vcpus::{admission, requests};
use crate::xen::duty::Duty;
use crate::xen::store::Store;
use crate::xen::wants;
use crate::xen::{calls, report};

/// Keeps hotplug and suspend apart.
pub static HOTPLUG: Lockout = Lockout::new();

/// Longest wait for a vCPU to come or go, nanoseconds in which vCPU 0 ran. Far above what an
/// emulated machine needs.
const CPU_LIMIT: u64 = 30_000_000_000;

/// The vCPUs, and what is to be done about them.
pub struct Hotplug {
    cpus: Cpus,
    /// From the first change of a round until no vCPU is on its way any more. Meanwhile no suspend
    /// begins.
    operation: Option<Operation<'static>>,
    /// To read what is wanted, and do it.
    wish: Duty,
}

impl Hotplug {
    /// At boot: vCPU 0 runs.
    pub fn new() -> Self {
        Hotplug {
            cpus: Cpus::at_boot(calls::max_vcpus()),
            operation: None,
            wish: Duty::new("cpu/*/availability"),
        }
    }

    /// What is wanted has changed.
    pub fn ask(&mut self) {
        self.wish.ask();
    }

    /// It may be that something is to be done.
    pub fn ask_again(&mut self) {
        self.wish.ask_again();
    }

    /// Is there anything to be done now?
    pub fn is_due(&self) -> bool {
        self.wish.is_due()
    }

    /// Is anything still to be done, or a vCPU on its way?
    pub fn is_busy(&self) -> bool {
        self.wish.stands() || self.operation.is_some()
    }

    /// Reads what is wanted and does it, as far as it can be done now.
    pub fn follow(&mut self, store: &mut Store, why: &str) {
        if self.operation.is_none() {
            self.operation = HOTPLUG.begin().ok();
        }
        if self.operation.is_none() {
            return wants::look_again();
        }
        let before = self.cpus.online();
        self.observe();
        let mut obeyed = true;
        let wanted = availability::read_wanted(store, self.cpus.count(), |complaint| {
            obeyed &= !matches!(complaint, Complaint::Unreadable { .. });
            self.wish.complain(Party::Toolstack, complaint);
        });
        for action in availability::plan(&wanted, self.cpus.online(), availability::MAX_CPUS) {
            obeyed &= match action {
                // Whatever it is on its way to, it is looked at again when it is there.
                Action::Online(cpu) | Action::Offline(cpu)
                    if self.cpus.in_transit().contains(cpu) =>
                {
                    true
                }
                Action::Online(cpu) => self.bring_up(cpu, why),
                Action::Offline(cpu) => self.take_down(cpu),
            };
        }
        match obeyed {
            true => self.wish.done(),
            false => self.wish.failed(),
        }
        self.settle();
        if why != "boot" && self.cpus.online() != before {
            requests::verify("hotplug");
        }
    }

    /// Looks at the vCPUs that are on their way, if there are any.
    pub fn poll(&mut self) {
        if self.operation.is_none() {
            return;
        }
        let before = self.cpus.online();
        self.observe();
        if self.settle() {
            // What was wanted of them meanwhile.
            wants::look_again();
        }
        if self.cpus.online() != before {
            requests::verify("hotplug");
        }
    }

    /// The guest came back from a suspend, or never went.
    pub fn returned(&mut self, how: Return) {
        if how == Return::Restored {
            calls::count_vcpus();
            self.cpus.set_count(calls::max_vcpus());
            if cmdline::options().switches.no_vcpu_reset() {
                return;
            }
        }
        self.cpus.returned(how);
    }

    /// Ends the operation if no vCPU is on its way any more; gives whether it did.
    fn settle(&mut self) -> bool {
        if !self.cpus.in_transit().is_empty() {
            return false;
        }
        if self.operation.take().is_some_and(Operation::end) {
            wants::look_again();
        }
        true
    }

    /// Has the state of each vCPU follow what is seen of it.
    fn observe(&mut self) {
        for cpu in 1..self.cpus.count() {
            let Some(seen) = admission::seen(cpu) else {
                continue;
            };
            match self.cpus.observe(cpu, seen) {
                Ok(None) => {}
                Ok(Some(Change::Came)) => came(cpu, "hotplug"),
                Ok(Some(Change::Went)) => went(cpu, admission::clear_away(cpu)),
                Err(error) => report::error(Party::Guest, "hotplug", error),
            }
        }
    }

    /// Gives whether there is nothing to be tried again.
    fn bring_up(&mut self, cpu: usize, why: &str) -> bool {
        let how = match self.cpus.start(cpu) {
            Ok(how) => how,
            Err(error) => {
                report::error(Party::Guest, "cpu-up", error);
                return false;
            }
        };
        let fresh = how == BringUp::InitialiseAndUp;
        let (settled, obeyed) = match admission::bring_up(cpu, fresh, CPU_LIMIT) {
            Ok(()) => {
                came(cpu, why);
                (self.cpus.started(cpu), true)
            }
            Err(error) => {
                let (party, settled) = match error {
                    admission::BringUpError::Xen(_) | admission::BringUpError::Tables(_) => {
                        (Party::Xen, self.cpus.start_failed(cpu, !fresh))
                    }
                    admission::BringUpError::Stuck(_) => {
                        (Party::Guest, self.cpus.start_failed(cpu, true))
                    }
                    admission::BringUpError::Coming(_) => (Party::Guest, Ok(())),
                };
                report::error(party, "cpu-up", error);
                (settled, false)
            }
        };
        if let Err(error) = settled {
            report::error(Party::Guest, "cpu-up", error);
        }
        obeyed
    }

    /// Gives whether there is nothing to be tried again.
    fn take_down(&mut self, cpu: usize) -> bool {
        if let Err(error) = self.cpus.leave(cpu) {
            report::error(Party::Guest, "cpu-down", error);
            return false;
        }
        let (settled, obeyed) = match admission::take_down(cpu, CPU_LIMIT) {
            Ok(left) => {
                went(cpu, left);
                (self.cpus.left(cpu), true)
            }
            Err(admission::TakeDownError::Stays(stuck)) => {
                report::error(Party::Guest, "cpu-down", stuck);
                (self.cpus.leave_failed(cpu), false)
            }
            Err(admission::TakeDownError::Going(stuck)) => {
                report::error(Party::Guest, "cpu-down", stuck);
                (Ok(()), true)
            }
        };
        if let Err(error) = settled {
            report::error(Party::Guest, "cpu-down", error);
        }
        obeyed
    }
}

fn came(cpu: usize, why: &str) {
    report::event("cpu-up")
        .num("vcpu", cpu as u64)
        .text("why", why)
        .send();
}

fn went(cpu: usize, left: admission::Left) {
    report::event("cpu-down")
        .num("vcpu", cpu as u64)
        .text("why", "hotplug")
        .num("drained", u64::from(left.drained))
        .num("left", u64::from(left.left))
        .send();
}
