//! A suspend of a PVH guest: everything but what is the kernel's own, which is a [`Guest`].

use core::fmt;
use core::time::Duration;

use migration::{
    Blame, Clock, Deadline, Incarnation, Limits, Machine, Member, Outcome, Participant, Party,
    Phase, Platform, Resumed, Return, Role, Stage, SuspendFailed,
};
use xen_bindings::event_channel;
use xen_bindings::hvm::{self, Param};
use xen_bindings::shared_info::{NotMapped, VcpuInfo};
use xen_bindings::{HypercallError, Result as CallResult};

use crate::insist::insist;
use crate::kernel::Kernel;
use crate::sink::ConsoleLog;
use crate::store::Store;
use crate::time::GuestClock;
use crate::waiting::Waiting;
use crate::wants::Wants;

/// What a PVH kernel brings besides.
pub trait Pvh: Kernel {
    /// The clock that [`Kernel::now`] gives.
    fn clock(self) -> &'static GuestClock;

    /// The `vcpu_info` of vCPU 0, which makes the suspend call.
    fn me(self) -> &'static VcpuInfo;

    /// The console under `log`, if it is this crate's.
    fn console(self) -> Option<&'static ConsoleLog> {
        None
    }

    /// A value for `HVM_PARAM_CALLBACK_IRQ`, not 0. 1 is right for a kernel with upcall vectors, or
    /// with none: it delivers nothing.
    fn callback_irq(self) -> u64 {
        1
    }

    /// CPUID's incarnation number ([`Incarnation::Seen`]).
    fn incarnation(self) -> Option<u32>;

    /// `XENMAPSPACE_shared_info`, at the same place each time. Make that place a page of the kernel's
    /// image that holds nothing: the RAM that was there is given back to Xen.
    ///
    /// # Errors
    /// Xen's.
    fn map_shared_info(self) -> CallResult<()>;

    /// [`sched::suspend`](xen_bindings::sched::suspend) with 0, on vCPU 0, interrupts off, the others
    /// parked. That it can be called safely is for the kernel to see to.
    ///
    /// # Errors
    /// Xen's.
    fn suspend(self) -> CallResult<usize>;
}

/// What is the kernel's own in a suspend. A kernel with one vCPU and no event channels of its own has
/// the two required methods.
pub trait Guest {
    /// The kernel's errors.
    type Error: Blame + Clone;
    /// [`Platform::Drained`].
    type Drained;

    /// [`Platform::drain`].
    ///
    /// # Errors
    /// The caches could not be emptied in time.
    fn drain(&mut self, deadline: Deadline) -> Result<Self::Drained, Self::Error>;

    /// [`Platform::audit`].
    ///
    /// # Errors
    /// What must not be saved.
    fn audit(&mut self, proof: &Self::Drained, deadline: Deadline) -> Result<(), Self::Error>;

    /// [`Platform::park`]. Nothing by default: one vCPU, which keeps interrupts off.
    ///
    /// # Errors
    /// A vCPU did not come in time.
    fn park(&mut self, deadline: Deadline) -> Result<(), Self::Error> {
        let _ = deadline;
        Ok(())
    }

    /// [`Platform::unpark`].
    ///
    /// # Errors
    /// A vCPU did not go on in time.
    fn unpark(&mut self, how: Return, deadline: Deadline) -> Result<(), Self::Error> {
        let _ = (how, deadline);
        Ok(())
    }

    /// Arms vCPU 0's timer again, and in a new domain first binds event channels, IPIs and VIRQs
    /// anew, and sets the upcall vectors. Interrupts are off, the clock goes on already, the rings
    /// come next. An error ends the domain.
    ///
    /// # Errors
    /// Xen's.
    fn rebind(&mut self, how: Return) -> Result<(), Self::Error> {
        let _ = how;
        Ok(())
    }
}

/// What can stop a step of a suspend, or of the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The kernel's own.
    Own(E),
    /// Xen refused a call: what it was for.
    Xen(&'static str, HypercallError),
    /// The shared-info page is not where it should be.
    NotMapped(NotMapped),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Own(error) => error.fmt(f),
            Error::Xen(what, error) => write!(f, "{what}: {error}"),
            Error::NotMapped(error) => error.fmt(f),
        }
    }
}

impl<E: Blame> Blame for Error<E> {
    fn party(&self) -> Party {
        match self {
            Error::Own(error) => error.party(),
            Error::Xen(..) | Error::NotMapped(_) => Party::Xen,
        }
    }
}

/// The guest in a suspend: `migration`'s [`Platform`].
pub struct Suspending<'s, G, K, W> {
    guest: &'s mut G,
    kernel: K,
    store: &'s mut Store<K, W>,
    wants: &'s mut Wants,
}

/// How a suspend ended.
pub type Ended<E> = Result<Resumed<Error<E>>, SuspendFailed<Error<E>>>;

/// Suspends, and comes all the way back. What to do about the request is up to the caller
/// ([`Requests::suspended`](crate::asked::Requests::suspended)).
///
/// In each stage the participants are suspended in this order and come back in the reverse one:
/// xenstore, console, the kernel's events, the clock.
///
/// # Errors
/// Why there was no suspend. All is as it was.
#[allow(clippy::result_large_err)] // There is no heap to put it on.
pub fn suspend<G: Guest, K: Pvh, W: Waiting>(
    guest: &mut G,
    store: &mut Store<K, W>,
    wants: &mut Wants,
) -> Ended<G::Error> {
    let kernel = store.kernel();
    let mut suspending = Suspending {
        guest,
        kernel,
        store,
        wants,
    };
    let (mut link, mut console, mut events, mut clock) = (Link, Console, Events, Stopping);
    let mut members = [
        Member::new(&mut link),
        Member::new(&mut console),
        Member::new(&mut events),
        Member::new(&mut clock),
    ];
    Machine::new(&mut suspending, &mut members, Limits::DEFAULT).suspend()
}

/// Makes a call without which the domain cannot live on, again if Xen refuses it.
fn need<E>(what: &'static str, call: impl FnMut() -> CallResult<()>) -> Result<(), Error<E>> {
    let refused = |error| log::warn!("{what}: {error}; asked again");
    insist(call, refused).map_err(|error| Error::Xen(what, error))
}

/// What a PVH guest asks of Xen before it has a clock, and again in each new domain.
///
/// # Errors
/// What was refused three times, and what it is for.
pub fn take_up_domain<K: Pvh>(kernel: K) -> Result<(), (&'static str, HypercallError)> {
    const CALLBACK: &str = "HVM_PARAM_CALLBACK_IRQ";
    const PAGE: &str = "the shared-info page";
    insist(
        || hvm::set_param(Param::CallbackIrq, kernel.callback_irq()),
        drop,
    )
    .map_err(|error| (CALLBACK, error))?;
    insist(|| kernel.map_shared_info(), drop).map_err(|error| (PAGE, error))
}

impl<G, K: Kernel, W> Clock for Suspending<'_, G, K, W> {
    fn now(&self) -> Duration {
        self.kernel.now()
    }
}

impl<G: Guest, K: Pvh, W: Waiting> Platform for Suspending<'_, G, K, W> {
    type Error = Error<G::Error>;
    type Drained = G::Drained;
    type Store = Store<K, W>;

    fn entered(&mut self, phase: Phase, since_request: Duration) {
        log::debug!("suspend: {phase} after {since_request:?}");
    }

    fn xenstore(&mut self) -> Option<&mut Store<K, W>> {
        Some(self.store)
    }

    fn park(&mut self, deadline: Deadline) -> Result<(), Self::Error> {
        self.guest.park(deadline).map_err(Error::Own)
    }

    fn unpark(&mut self, how: Return, deadline: Deadline) -> Result<(), Self::Error> {
        self.guest.unpark(how, deadline).map_err(Error::Own)
    }

    fn drain(&mut self, deadline: Deadline) -> Result<G::Drained, Self::Error> {
        self.guest.drain(deadline).map_err(Error::Own)
    }

    fn audit(&mut self, proof: &G::Drained, deadline: Deadline) -> Result<(), Self::Error> {
        self.guest.audit(proof, deadline).map_err(Error::Own)
    }

    fn reattach(&mut self, how: Return) -> Result<(), Self::Error> {
        if how.is_same_domain() {
            return Ok(());
        }
        // All ports that anybody knows are the old domain's.
        event_channel::restored();
        take_up_domain(self.kernel).map_err(|(what, error)| Error::Xen(what, error))
    }

    fn suspend(&mut self, _: &G::Drained) -> Result<Outcome, Self::Error> {
        let before = self.kernel.incarnation();
        let returned = self.kernel.suspend();
        let returned = returned.map_err(|error| Error::Xen("the suspend call", error))?;
        let after = self.kernel.incarnation();
        Ok(Outcome::decode(
            returned,
            Incarnation::Seen { before, after },
        ))
    }

    /// Left to [`Requests::suspended`](crate::asked::Requests::suspended), which knows whether the request is settled.
    fn reread(&mut self, _: Return) -> Result<(), Self::Error> {
        Ok(())
    }

    fn lost(&mut self, step: &'static str, error: &Self::Error) {
        if let Some(console) = self.kernel.console() {
            // For the last words. Without a ring they stay unsaid.
            let _ = console.connect(self.kernel);
        }
        panic!("the way back from the suspend call ends here: {step}: {error}")
    }
}

/// The connection to xenstore: a new domain has another ring, and no watches.
struct Link;

impl<G: Guest, K: Pvh, W: Waiting> Participant<Suspending<'_, G, K, W>> for Link {
    fn role(&self) -> Role {
        Role::new("xenstore")
            .stages(&[Stage::Awake, Stage::Alone])
            .never_waits()
    }

    fn restored(
        &mut self,
        stage: Stage,
        platform: &mut Suspending<'_, G, K, W>,
    ) -> Result<(), Error<G::Error>> {
        let Suspending { store, wants, .. } = platform;
        if stage == Stage::Alone {
            // Without its ring xenstore counts as broken, and is mended later.
            return need("xenstore's ring", || store.attach());
        }
        wants.anew();
        wants.watches_anew();
        wants.pursue(store);
        Ok(())
    }
}

/// The console: what is said around the call waits until the ring is back.
struct Console;

impl<G: Guest, K: Pvh, W: Waiting> Participant<Suspending<'_, G, K, W>> for Console {
    fn role(&self) -> Role {
        Role::new("console").stages(&[Stage::Alone]).never_waits()
    }

    fn suspend(
        &mut self,
        _: Stage,
        platform: &mut Suspending<'_, G, K, W>,
        _: Deadline,
    ) -> Result<(), Error<G::Error>> {
        if let Some(console) = platform.kernel.console() {
            console.hold();
        }
        Ok(())
    }

    fn undo(
        &mut self,
        _: Stage,
        platform: &mut Suspending<'_, G, K, W>,
    ) -> Result<(), Error<G::Error>> {
        if let Some(console) = platform.kernel.console() {
            console.release();
        }
        Ok(())
    }

    fn restored(
        &mut self,
        _: Stage,
        platform: &mut Suspending<'_, G, K, W>,
    ) -> Result<(), Error<G::Error>> {
        let kernel = platform.kernel;
        match kernel.console() {
            Some(console) => need("the console's ring", || console.connect(kernel)),
            None => Ok(()),
        }
    }
}

/// The kernel's event channels and timer. Vital: a guest without events neither runs nor ends.
struct Events;

impl Events {
    fn rebind<G: Guest, K, W>(
        platform: &mut Suspending<'_, G, K, W>,
        how: Return,
    ) -> Result<(), Error<G::Error>> {
        platform.guest.rebind(how).map_err(Error::Own)
    }
}

impl<G: Guest, K: Pvh, W: Waiting> Participant<Suspending<'_, G, K, W>> for Events {
    fn role(&self) -> Role {
        Role::new("events").stages(&[Stage::Alone]).vital()
    }

    fn undo(
        &mut self,
        _: Stage,
        platform: &mut Suspending<'_, G, K, W>,
    ) -> Result<(), Error<G::Error>> {
        Events::rebind(platform, Return::Failed)
    }

    fn cancelled(
        &mut self,
        _: Stage,
        platform: &mut Suspending<'_, G, K, W>,
    ) -> Result<(), Error<G::Error>> {
        Events::rebind(platform, Return::Cancelled)
    }

    fn restored(
        &mut self,
        _: Stage,
        platform: &mut Suspending<'_, G, K, W>,
    ) -> Result<(), Error<G::Error>> {
        Events::rebind(platform, Return::Restored)
    }
}

/// The clock: it stands still, and goes on where it stopped. Suspended after all others, which may
/// look at it, and back before them. Vital: without it every wait is for ever.
struct Stopping;

impl<G: Guest, K: Pvh, W: Waiting> Participant<Suspending<'_, G, K, W>> for Stopping {
    fn role(&self) -> Role {
        Role::new("clock").stages(&[Stage::Alone]).vital()
    }

    fn suspend(
        &mut self,
        _: Stage,
        platform: &mut Suspending<'_, G, K, W>,
        _: Deadline,
    ) -> Result<(), Error<G::Error>> {
        let kernel = platform.kernel;
        kernel.clock().stop(kernel.me());
        Ok(())
    }

    fn undo(
        &mut self,
        _: Stage,
        platform: &mut Suspending<'_, G, K, W>,
    ) -> Result<(), Error<G::Error>> {
        let kernel = platform.kernel;
        kernel.clock().go_on(kernel.me()).map_err(Error::NotMapped)
    }

    fn restored(
        &mut self,
        stage: Stage,
        platform: &mut Suspending<'_, G, K, W>,
    ) -> Result<(), Error<G::Error>> {
        self.undo(stage, platform)
    }
}
