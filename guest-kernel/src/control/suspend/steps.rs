//! What this guest does in each step of a suspend: the `migration` crate's [`Platform`].
//!
//! The order of the steps, the way back and the limits are that crate's. Here is what the steps mean
//! for the vCPUs, the pool and the page tables of a PVH or PV guest with 1 to 128 vCPUs; devices and
//! the clock are [participants](super), each in its own file.

use core::time::Duration;

use migration::hotplug::Hold;
use migration::{Clock, Deadline, Incarnation, Outcome, Phase, Platform, Return};
use xen_bindings::count;

use super::error::Error;
use super::refusals::Refusals;
#[cfg(feature = "switches")]
use super::resume_fault;
use crate::arch::cpu::CpuGuard;
use crate::arch::vcpu_info;
use crate::control::audit;
use crate::devices::Links;
use crate::sets::{drain, windows};
use crate::vcpus::hotplug::{Hotplug, HOTPLUG};
use crate::vcpus::park::{self, Parked};
use crate::workload::churn;
use crate::xen::store::Store;
use crate::xen::wants::{self, Wants};
use crate::xen::{calls, console, cpus, report, time};
use crate::{arch, cmdline};

/// Nanoseconds of a duration on the guest's clock. 2^64 ns are 584 years.
pub fn nanos(at: Duration) -> u64 {
    at.as_nanos() as u64
}

/// The guest in a suspend. What the participants share is theirs to use.
pub struct Guest<'s> {
    pub(super) links: &'s mut Links,
    pub(super) wants: &'s mut Wants,
    /// What Xen refused on the way back.
    pub(super) refusals: Refusals,
    pub(super) round: u64,
    hotplug: &'s mut Hotplug,
    hold: Option<Hold<'static>>,
    parked: Option<Parked>,
    /// Interrupts are off from `park` to `unpark`.
    alone: Option<CpuGuard>,
    /// PV: what is to be put back if the domain stays the same.
    away: Option<arch::suspend::Away>,
    /// Hypercalls made before the request was taken up, and up to the suspend call: differences
    /// count.
    hypercalls: (u32, u32),
    /// Steps that the other vCPUs had done when they were taken for parked, and before the suspend
    /// call.
    steps_of_others: (u64, u64),
    #[cfg(feature = "switches")]
    planted: Option<crate::control::plant::Planted>,
    /// Everything but xenstore's part and the call itself.
    #[cfg(feature = "switches")]
    rehearsal: bool,
}

impl<'s> Guest<'s> {
    pub fn new(
        links: &'s mut Links,
        wants: &'s mut Wants,
        hotplug: &'s mut Hotplug,
        round: u64,
    ) -> Self {
        Guest {
            links,
            wants,
            refusals: Refusals::none(),
            round,
            hotplug,
            hold: None,
            parked: None,
            alone: None,
            away: None,
            hypercalls: (count::made(), count::made()),
            steps_of_others: (0, 0),
            #[cfg(feature = "switches")]
            planted: None,
            #[cfg(feature = "switches")]
            rehearsal: false,
        }
    }

    /// Leaves out xenstore's part and the call itself, which counts as cancelled.
    #[cfg(feature = "switches")]
    pub fn rehearse(&mut self) {
        self.rehearsal = true;
    }

    #[cfg(feature = "switches")]
    fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }
    #[cfg(not(feature = "switches"))]
    fn is_rehearsal(&self) -> bool {
        false
    }

    /// Hypercalls of all vCPUs from the request to the suspend call.
    pub fn hypercalls(&self) -> u32 {
        let (before, after) = self.hypercalls;
        after.wrapping_sub(before)
    }

    /// Steps of work that the other vCPUs did between parking and the suspend call.
    pub fn worked_meanwhile(&self) -> u64 {
        let (parked, before_call) = self.steps_of_others;
        before_call - parked
    }

    /// Counts what the other vCPUs have done, right before the call. If they were not parked, it
    /// waits for their next step: a vCPU that is free to work does so sooner or later.
    fn count_steps_of_others(&mut self) {
        #[cfg(feature = "switches")]
        if cmdline::options().switches.no_park() && !self.rehearsal {
            let before = self.steps_of_others.0;
            let limit = time::now() + nanos(Duration::from_secs(2));
            cpus::wait_until(limit, || churn::steps_of_others() > before);
        }
        self.steps_of_others.1 = churn::steps_of_others();
    }

    /// In the order of facts, B.2 of Xen's rules: the word size is latched before the shared-info
    /// page is looked at; without that page there are no events and no clock.
    fn reattach_restored(&mut self) -> Result<(), Error> {
        let switches = cmdline::options().switches;
        // The new host has other frames, and may have more of them.
        self.refusals
            .need("Xen's machine-to-physical table", arch::host::learn)?;
        if !switches.no_latch() && !arch::is_pv() {
            self.refusals
                .need("the word size", calls::latch_word_size)?;
        }
        if !switches.no_shared_info() {
            self.map_shared_info()?;
        }
        self.register_vcpu_infos()
    }

    /// For those that have no place in the shared-info page. They wait where they were parked.
    fn register_vcpu_infos(&mut self) -> Result<(), Error> {
        vcpu_info::forget();
        for cpu in cpus::others().filter(|&cpu| vcpu_info::is_registered_by_call(cpu)) {
            self.refusals
                .need("vcpu_info", || vcpu_info::register_again(cpu))?;
        }
        Ok(())
    }

    fn map_shared_info(&mut self) -> Result<(), Error> {
        self.refusals
            .need("the shared-info page", arch::shared_info::map)
    }
}

impl Clock for Guest<'_> {
    fn now(&self) -> Duration {
        Duration::from_nanos(time::now())
    }
}

impl Platform for Guest<'_> {
    type Error = Error;
    type Drained = drain::Proof;
    type Store = Store;

    /// Says so. The machine has just looked at the clock.
    fn entered(&mut self, phase: Phase, since_request: Duration) {
        if phase == Phase::Acknowledged && !self.is_rehearsal() {
            report::event_at("control", time::latest())
                .text("request", "suspend")
                .text("answer", "acknowledged")
                .send();
        }
        if phase.has_event() {
            report::event_at("suspend", time::latest())
                .num("round", self.round)
                .text("phase", phase)
                .num("ns", nanos(since_request))
                .send();
        }
    }

    fn xenstore(&mut self) -> Option<&mut Store> {
        (!self.is_rehearsal()).then_some(&mut self.links.store)
    }

    fn hold_hotplug(&mut self, deadline: Deadline) -> Result<(), Error> {
        cpus::wait_until(nanos(deadline.at()), || {
            self.hold = HOTPLUG.hold().ok();
            self.hold.is_some()
        });
        if self.hold.is_some() {
            Ok(())
        } else {
            Err(Error::HotplugBusy)
        }
    }

    fn release_hotplug(&mut self, how: Return) {
        self.hotplug.returned(how);
        if let Some(hold) = self.hold.take() {
            // Whether a request was turned away meanwhile does not matter: `reread` looks in any
            // case.
            let _ = hold.release();
        }
    }

    fn park(&mut self, deadline: Deadline) -> Result<(), Error> {
        let parked = park::park_others(nanos(deadline.at())).map_err(Error::Stuck)?;
        self.parked = Some(parked);
        self.alone = Some(CpuGuard::new());
        let steps = churn::steps_of_others();
        self.steps_of_others = (steps, steps);
        Ok(())
    }

    fn unpark(&mut self, _: Return, deadline: Deadline) -> Result<(), Error> {
        self.alone = None;
        match self.parked.take() {
            Some(parked) => park::unpark(parked, nanos(deadline.at())).map_err(Error::Stuck),
            None => Ok(()),
        }
    }

    fn drain(&mut self, deadline: Deadline) -> Result<drain::Proof, Error> {
        let proof = drain::drain(nanos(deadline.at())).map_err(Error::Drain)?;
        drain::report_drain(&proof, self.round, "suspend");
        Ok(proof)
    }

    fn unlink_windows(&mut self, _: &drain::Proof) -> Result<(), Error> {
        windows::take_down().map(drop).map_err(Error::Tables)?;
        #[cfg(feature = "switches")]
        {
            self.planted = crate::control::plant::plant();
        }
        Ok(())
    }

    fn relink_windows(&mut self, _: &drain::Proof, _: Return) -> Result<(), Error> {
        #[cfg(feature = "switches")]
        if let Some(planted) = self.planted.take() {
            planted.take_out();
        }
        self.refusals.insist(windows::put_up).map(drop)
    }

    fn audit(&mut self, _: &drain::Proof, deadline: Deadline) -> Result<(), Error> {
        audit::run(deadline).map_err(Error::Audit)
    }

    fn detach(&mut self, _: &drain::Proof, _: Deadline) -> Result<(), Error> {
        arch::suspend::check_size().map_err(Error::TooMuchMemory)?;
        self.away = arch::suspend::step_away()?;
        Ok(())
    }

    fn reattach(&mut self, how: Return) -> Result<(), Error> {
        let away = self.away.take();
        if how == Return::Restored {
            return self.reattach_restored();
        }
        match away {
            Some(away) => {
                away.write_back();
                self.map_shared_info()
            }
            None => Ok(()),
        }
    }

    fn suspend(&mut self, proof: &drain::Proof) -> Result<Outcome, Error> {
        drain::check(proof).map_err(Error::Proof)?;
        #[cfg(feature = "switches")]
        if self.rehearsal {
            let nr = xen_bindings::ffi::__HYPERVISOR_sched_op;
            xen_bindings::faults::probe(nr, "SCHEDOP_shutdown(suspend)").map_err(Error::Xen)?;
            return Ok(Outcome::Cancelled);
        }
        let before = calls::incarnation();
        #[cfg(feature = "switches")]
        resume_fault::arm();
        self.count_steps_of_others();
        self.hypercalls.1 = count::made();
        let (Some(parked), Some(alone)) = (&self.parked, &self.alone) else {
            unreachable!("the machine parks the others first");
        };
        let returned = calls::suspend(proof, parked, alone).map_err(Error::Xen)?;
        let unasked = arch::is_pv() || cmdline::options().switches.no_cancel_trick();
        let incarnation = if unasked {
            Incarnation::Unasked
        } else {
            let after = calls::incarnation();
            Incarnation::Seen { before, after }
        };
        Ok(Outcome::decode(returned, incarnation))
    }

    fn reread(&mut self, _: Return) -> Result<(), Error> {
        if !cmdline::options().switches.no_reread() {
            wants::look_again();
        }
        Ok(())
    }

    /// Ends the domain as crashed, so that the toolstack sees it: a guest without a clock or without
    /// events would neither run nor end.
    fn lost(&mut self, step: &'static str, error: &Error) {
        // For the last words. Xen's own console has them in any case.
        let _ = console::connect();
        panic!("the way back from the suspend call ends here: {step}: {error}")
    }
}
