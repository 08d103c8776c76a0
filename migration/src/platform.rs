//! What the guest kernel does in each step.

use core::time::Duration;

use crate::failure::Blame;
use crate::limits::Deadline;
use crate::outcome::{Outcome, Return};
use crate::phase::{Clock, Phase};
use crate::xenstore::Xenstore;

/// The guest kernel, as the suspend machine sees it.
///
/// **A step that fails leaves things as it found them**: its undo is called only after it
/// succeeded. A step of many parts is best cut into [`Participant`](crate::Participant)s, each with
/// its own undo.
///
/// Required are the steps that no kernel can do without. The others do nothing by default, which is
/// right for a kernel with one vCPU, no hotplug and no linear page tables.
///
/// | step | undo | same domain (failed or cancelled) | new domain (restored) |
/// |---|---|---|---|
/// | participants, [`Requested`](crate::Stage::Requested) | `undo`, `cancelled` or `restored` | | |
/// | the machine answers the request by way of [`xenstore`](Platform::xenstore) | none | the toolstack finds out by its window | |
/// | [`hold_hotplug`](Platform::hold_hotplug) | [`release_hotplug`](Platform::release_hotplug) | go on | first forget which offline vCPUs were initialised |
/// | participants, [`Awake`](crate::Stage::Awake) | `undo`, `cancelled` or `restored`, then `is_back` | wake up | connect anew |
/// | [`park`](Platform::park) | [`unpark`](Platform::unpark) | let them go on | each vCPU registers its `vcpu_info`, upcall vector, timer first |
/// | [`drain`](Platform::drain) | dropping the proof | the gate opens | the gate opens |
/// | [`unlink_windows`](Platform::unlink_windows) | [`relink_windows`](Platform::relink_windows) | link | link |
/// | [`audit`](Platform::audit) | none | | |
/// | participants, [`Alone`](crate::Stage::Alone) | `undo`, `cancelled` or `restored` | wake up | set up anew |
/// | [`detach`](Platform::detach) (PV) | [`reattach`](Platform::reattach) | PV: map and convert back | `HVM_PARAM_CALLBACK_IRQ`, map; PV: the p2m |
/// | [`suspend`](Platform::suspend) | | | |
pub trait Platform: Clock {
    /// The guest's errors. [`Blame::party`] decides whom the failure names.
    type Error: Blame;

    /// Proof that no CPU caches a constructed page-table page and that none can get one: the
    /// `Drained` of the `pagetable-pool` crate. Dropping it reopens the pool.
    ///
    /// The machine holds it from [`drain`](Platform::drain) until the way back has passed
    /// [`relink_windows`](Platform::relink_windows), and shows it to every step in between. It is an associated type so that
    /// a kernel with another pool can bring its own; one without any cache of constructed pages
    /// uses `()`.
    type Drained;

    /// The kernel's xenstore client.
    type Store: Xenstore;

    /// A phase was entered, `since_request` after the request. For events and messages.
    ///
    /// In [`Phase::Detached`] and [`Phase::Suspended`] the participants of
    /// [`Stage::Alone`](crate::Stage::Alone) are down already, and the clock stands still.
    fn entered(&mut self, phase: Phase, since_request: Duration) {
        let _ = (phase, since_request);
    }

    /// The connection by which the request came. The machine answers it there
    /// ([`shutdown::acknowledge`](crate::shutdown::acknowledge)), after the participants of
    /// [`Stage::Requested`](crate::Stage::Requested).
    ///
    /// `None` if nobody is to be answered: the kernel suspends without being asked, or only
    /// rehearses.
    fn xenstore(&mut self) -> Option<&mut Self::Store>;

    /// Waits for the CPU hotplug operation in flight, and lets none begin until
    /// [`release_hotplug`](Platform::release_hotplug). See [`Lockout`](crate::hotplug::Lockout).
    fn hold_hotplug(&mut self, deadline: Deadline) -> Result<(), Self::Error> {
        let _ = deadline;
        Ok(())
    }

    /// Lets CPU hotplug go on. After a restore, offline vCPUs are uninitialised again:
    /// [`Cpus::returned`](crate::hotplug::Cpus::returned).
    fn release_hotplug(&mut self, how: Return) {
        let _ = how;
    }

    /// Brings every other vCPU to a place where it runs no kernel code, with interrupts off, until
    /// [`unpark`](Platform::unpark), and turns interrupts off here. From here on nothing may sleep.
    ///
    /// A vCPU that does not come before `deadline` is an error, after those that came were let go.
    fn park(&mut self, deadline: Deadline) -> Result<(), Self::Error> {
        let _ = deadline;
        Ok(())
    }

    /// Lets the parked vCPUs go on and turns interrupts on. After a restore each of them first
    /// registers what Xen keeps per vCPU, on itself: until Xen 4.18 nobody else can.
    fn unpark(&mut self, how: Return, deadline: Deadline) -> Result<(), Self::Error> {
        let _ = (how, deadline);
        Ok(())
    }

    /// Drains every CPU's cache and closes the pool.
    fn drain(&mut self, deadline: Deadline) -> Result<Self::Drained, Self::Error>;

    /// Under PV: takes the linear entries out of every live set, so that Xen can type their pages
    /// in any order when it restores them.
    fn unlink_windows(&mut self, proof: &Self::Drained) -> Result<(), Self::Error> {
        let _ = proof;
        Ok(())
    }

    /// Puts back the linear entries that [`unlink_windows`](Platform::unlink_windows) took, with
    /// the same flags.
    fn relink_windows(&mut self, proof: &Self::Drained, how: Return) -> Result<(), Self::Error> {
        let _ = (proof, how);
        Ok(())
    }

    /// Walks every page table that Xen will look at and fails on what would be lost without a word.
    /// See [`audit`](crate::audit).
    fn audit(&mut self, proof: &Self::Drained, deadline: Deadline) -> Result<(), Self::Error>;

    /// The last step before the call. **PVH: nothing**, which is the default: the shared-info page
    /// and the rings stay mapped. PV: unmaps the shared-info page, which a save cannot carry, and
    /// converts the machine frame numbers in `start_info` to the guest's own.
    ///
    /// The participants of [`Stage::Alone`](crate::Stage::Alone) are suspended, the clock among
    /// them, which stands still: `deadline` can be shown to nobody here.
    fn detach(&mut self, proof: &Self::Drained, deadline: Deadline) -> Result<(), Self::Error> {
        let _ = (proof, deadline);
        Ok(())
    }

    /// Takes [`detach`](Platform::detach) back, or sets up anew what a new domain lacks, in this
    /// order: `HVM_PARAM_CALLBACK_IRQ` (PVH), shared info, p2m (PV). Under PVH there is nothing to do
    /// in the same domain. No events and no clock yet: they need the shared-info page, and come
    /// back next, as participants of [`Stage::Alone`](crate::Stage::Alone).
    ///
    /// # Errors
    /// What the domain cannot live without: [`lost`](Platform::lost) is told.
    fn reattach(&mut self, how: Return) -> Result<(), Self::Error>;

    /// `SCHEDOP_shutdown(SHUTDOWN_suspend)`, on vCPU 0, interrupts off; under PV with
    /// `start_info`'s frame number as its third argument. [`Outcome::decode`] reads what it
    /// returned, and says what PVH and PV guests give it for that.
    ///
    /// `proof` is not used by the hypercall: it is there so that no code can be written that
    /// suspends undrained.
    #[doc(alias = "SCHEDOP_shutdown")]
    fn suspend(&mut self, proof: &Self::Drained) -> Result<Outcome, Self::Error>;

    /// Something did not come back that the domain cannot live without: [`reattach`] failed, or a
    /// participant whose role says that it is [vital](crate::Role::vital). A kernel that ends the
    /// domain as crashed here lets its toolstack see it (`on_crash`); without clock or events it
    /// would neither run nor end. The console's ring is not back yet in a new domain: what is to be
    /// seen has to go to Xen's own console, or take up the ring first. If this returns, the error is recorded among the
    /// [`Faults`](crate::Faults), and the way back goes on.
    ///
    /// [`reattach`]: Platform::reattach
    fn lost(&mut self, step: &'static str, error: &Self::Error) {
        let _ = (step, error);
    }

    /// Lets a moment pass while participants are waited for that are
    /// [not back yet](crate::Participant::is_back): every vCPU runs and code may sleep.
    fn relax(&mut self) {
        core::hint::spin_loop();
    }

    /// The last step of every return: read `control/shutdown` and `cpu/*/availability` again, after
    /// setting the watches again if this is a new domain. A request that came while the guest was
    /// suspending is seen here or never.
    fn reread(&mut self, how: Return) -> Result<(), Self::Error>;
}
