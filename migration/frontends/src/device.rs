//! A device: its connection to a backend, both ways through xenbus, and through a suspend.

use core::time::Duration;

use migration::{Deadline, Participant, Platform, Role, Stage};

use crate::error::{Error, Lie, Name, Problem, Wait};
use crate::kernel::Kernel;
use crate::limits::Limits;
use crate::peer::{self, Peer, Seen};
use crate::state::State;

/// How long a connection has to live for the next one to be made without delay.
const STABLE: Duration = Duration::from_secs(10);
/// The shortest delay before a connection is tried again that failed, and the longest. A backend
/// that comes and goes is given rings at this pace and no faster.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What is behind a device: rings and requests of one kind. [`Device`] has the connection.
pub trait Driver<K: Kernel> {
    /// Its folder below `device`.
    const KIND: &'static str;
    /// The state that says that rings are there: 3, or 4 where backends wait for that (Linux'
    /// netback, `frontend_changed`).
    const OFFERED: State;

    /// The backend is ready for rings: makes them, and writes to xenstore where they are.
    ///
    /// # Errors
    /// Why it cannot. [`disconnect`](Driver::disconnect) follows.
    ///
    /// With `again`, its folder in xenstore may have nodes of an earlier offer.
    fn offer(&mut self, kernel: &mut K, peer: &Peer, again: bool) -> Result<(), Problem>;

    /// The backend is connected, or has something new to say while it is.
    ///
    /// # Errors
    /// What it says cannot be. [`disconnect`](Driver::disconnect) follows.
    fn connected(&mut self, kernel: &mut K, peer: &Peer) -> Result<(), Problem>;

    /// Takes what the backend has answered and, if `may_ask`, makes requests.
    ///
    /// # Errors
    /// The backend broke the protocol. [`disconnect`](Driver::disconnect) follows.
    fn serve(&mut self, kernel: &mut K, peer: &Peer, may_ask: bool) -> Result<(), Lie>;

    /// The domain is about to be suspended, and everything the backend has answered was taken:
    /// what this side still has to read in pages that the backend has mapped is to be written once
    /// more, by this side.
    ///
    /// A backend's writes count as changes of the guest's memory only when it unmaps the page
    /// (`unmap_common`, `xen/common/grant_table.c`). With persistent grants it does not, and a live
    /// migration would not send what it wrote.
    fn rest(&mut self, kernel: &mut K);

    /// Gives up rings, ports and grants. Keeps what was asked and not answered.
    fn disconnect(&mut self, kernel: &mut K, name: Name);

    /// Requests that the backend has and has not answered.
    fn in_flight(&self) -> usize;

    /// There will be no backend: answers what is kept.
    fn gone(&mut self);

    /// Tries once more to end grants whose pages the backend had mapped still.
    fn retry(&mut self, kernel: &mut K, name: Name);

    /// Gives all pages back to the kernel that nobody has mapped. Whether none is left.
    fn retire(&mut self, kernel: &mut K, name: Name) -> bool;
}

/// Where the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has to be looked up in xenstore.
    Unknown,
    /// Its backend is not ready for rings.
    Waiting,
    /// Rings are there; its backend has not connected.
    Offered,
    /// It works.
    Connected,
    /// The backend wants to close, and has not answered everything.
    Draining,
    /// The toolstack has taken it away.
    Gone,
}

/// A device of one kind. See the [crate's page](crate) for the states and for who owns what.
pub struct Device<K: Kernel, D: Driver<K>> {
    name: Name,
    limits: Limits,
    pub(crate) driver: D,
    peer: Option<Peer>,
    phase: Phase,
    /// What this side wrote last.
    ours: Option<State>,
    wait: Option<(Wait, Duration)>,
    /// Until when what is in flight is kept for a backend that is not there.
    kept_until: Option<Duration>,
    look: bool,
    quiet: bool,
    /// Nodes of an offer may be in the device's folder.
    has_offered: bool,
    connected_at: Duration,
    backoff: Duration,
    not_before: Duration,
    connections: u64,
    kernel: core::marker::PhantomData<fn(&mut K)>,
}

impl<K: Kernel, D: Driver<K>> Device<K, D> {
    pub(crate) const fn with(number: u32, driver: D, limits: Limits) -> Device<K, D> {
        Device {
            name: Name {
                kind: D::KIND,
                number,
            },
            limits,
            driver,
            peer: None,
            phase: Phase::Unknown,
            ours: None,
            wait: None,
            kept_until: None,
            look: true,
            quiet: false,
            has_offered: false,
            connected_at: Duration::ZERO,
            backoff: Duration::ZERO,
            not_before: Duration::ZERO,
            connections: 0,
            kernel: core::marker::PhantomData,
        }
    }

    /// Which device.
    pub fn name(&self) -> Name {
        self.name
    }

    /// Makes it the device of another number, for a kernel that keeps a place for a device before it
    /// knows which. False, and nothing is changed, unless it was never polled, or was
    /// [retired](Device::retire).
    pub fn renumber(&mut self, number: u32) -> bool {
        let is_free = self.peer.is_none() && matches!(self.phase, Phase::Unknown | Phase::Gone);
        if is_free {
            self.name.number = number;
            self.phase = Phase::Unknown;
            self.ours = None;
            self.has_offered = false;
            self.backoff = Duration::ZERO;
            self.not_before = Duration::ZERO;
        }
        is_free
    }

    /// Where its connection is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How often it has been connected.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// The domain of its backend, once it was found.
    pub fn backend_domain(&self) -> Option<u16> {
        self.peer.as_ref().map(Peer::domain)
    }

    /// A watch has fired. If its token is this device's, the next [`poll`](Device::poll) looks at
    /// the backend's state.
    pub fn watch_fired(&mut self, token: &str) -> bool {
        let ours = peer::token(self.name).is_ok_and(|own| own.as_str() == token);
        self.look |= ours;
        ours
    }

    /// Has the next [`poll`](Device::poll) look at the backend's state: some watch has fired, and
    /// nobody knows whose.
    pub fn look_again(&mut self) {
        self.look = true;
    }

    /// Does all that there is to do at the moment: to be called after the device's event, after its
    /// watch, and, while it is not [connected](Phase::Connected), every few milliseconds: for the
    /// limits run only here. Never waits. Between a suspend and the way back it does nothing.
    ///
    /// # Errors
    /// What went wrong, each time that it did; the device goes on by itself, at a growing interval
    /// where a backend fails again and again.
    pub fn poll(&mut self, kernel: &mut K) -> Result<(), Error> {
        if self.quiet {
            return Ok(());
        }
        self.driver.retry(kernel, self.name);
        let all = [self.follow(kernel), self.serve(kernel), self.expire(kernel)];
        let mut errors = all.into_iter().filter_map(Result::err);
        let Some(first) = errors.next() else {
            return Ok(());
        };
        for other in errors {
            log::warn!("{}", self.error(other));
        }
        Err(self.error(first))
    }

    /// Gives all its pages back to the kernel: for a device that is [gone](Phase::Gone), before it
    /// is dropped. False while its backend has some mapped still; to be called again then.
    pub fn retire(&mut self, kernel: &mut K) -> bool {
        if let Some(peer) = self.peer.take() {
            peer.unwatch(kernel);
        }
        self.driver.disconnect(kernel, self.name);
        self.driver.gone();
        self.phase = Phase::Gone;
        self.driver.retire(kernel, self.name)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Whether requests may be written to the ring now, and whom they go to.
    pub(crate) fn may_ask(&self) -> Option<Peer> {
        self.peer.filter(|_| self.is_connected() && !self.quiet)
    }

    pub(crate) fn refused(&mut self, kernel: &mut K, lie: Lie) -> Error {
        let problem = self.refuse(kernel, lie);
        self.error(problem)
    }

    fn error(&self, problem: Problem) -> Error {
        Error {
            device: self.name,
            backend: self.peer.as_ref().map_or(0, Peer::domain),
            problem,
        }
    }

    fn serve(&mut self, kernel: &mut K) -> Result<(), Problem> {
        let Some(peer) = self.peer else { return Ok(()) };
        if self.quiet || !matches!(self.phase, Phase::Connected | Phase::Draining) {
            return Ok(());
        }
        let may_ask = self.is_connected();
        let served = self.driver.serve(kernel, &peer, may_ask);
        served.map_err(|lie| self.refuse(kernel, lie))
    }

    /// The backend broke the protocol: its rings are given up.
    fn refuse(&mut self, kernel: &mut K, lie: Lie) -> Problem {
        self.part(kernel);
        if let Some(peer) = self.peer {
            // The backend learns of it; when it has closed, it may begin anew.
            if let Err(problem) = self.write(kernel, &peer, State::Closing) {
                log::warn!("{}: its backend was not told: {problem}", self.name);
            }
        }
        lie.into()
    }

    /// Looks where the backend is, and does what follows.
    fn follow(&mut self, kernel: &mut K) -> Result<(), Problem> {
        if self.phase == Phase::Connected && !self.look {
            return Ok(());
        }
        let Some(peer) = self.found(kernel)? else {
            return Ok(());
        };
        // Before the read: a watch that fires after it is not lost.
        self.look = false;
        let seen = peer.state(kernel);
        let done = match seen {
            Ok(Seen::State(state)) => self.step(kernel, &peer, state),
            Ok(Seen::Nonsense) => Ok(()),
            Ok(Seen::Nothing) => self.missing(kernel, &peer),
            Err(problem) => Err(problem),
        };
        if done.is_err() {
            self.look = true;
        }
        done
    }

    /// The backend, looked up if it is not known.
    fn found(&mut self, kernel: &mut K) -> Result<Option<Peer>, Problem> {
        if !matches!(self.phase, Phase::Unknown | Phase::Gone) {
            return Ok(self.peer);
        }
        let Some(peer) = Peer::find(kernel, self.name)? else {
            if self.phase == Phase::Unknown {
                self.depart(kernel);
                return Err(Problem::Gone);
            }
            return Ok(None);
        };
        peer.watch(kernel)?;
        self.peer = Some(peer);
        self.ours = None;
        self.phase = Phase::Waiting;
        self.wait_for(kernel, Wait::Offer);
        self.away(kernel);
        Ok(Some(peer))
    }

    /// The backend's state is not there.
    fn missing(&mut self, kernel: &mut K, peer: &Peer) -> Result<(), Problem> {
        match Peer::find(kernel, self.name)? {
            None => {
                self.depart(kernel);
                Err(Problem::Gone)
            }
            Some(now) if !now.is_same(peer) => {
                // The toolstack has given it another backend.
                self.part(kernel);
                peer.unwatch(kernel);
                self.phase = Phase::Unknown;
                Ok(())
            }
            Some(_) => {
                if matches!(
                    self.phase,
                    Phase::Offered | Phase::Connected | Phase::Draining
                ) {
                    log::warn!(
                        "{}: its backend in domain {} is no more",
                        self.name,
                        peer.domain()
                    );
                    self.part(kernel);
                }
                Ok(())
            }
        }
    }

    /// What follows from the backend's state.
    fn step(&mut self, kernel: &mut K, peer: &Peer, state: State) -> Result<(), Problem> {
        use State::*;
        match (self.phase, state) {
            (Phase::Waiting, InitWait | Initialised) => self.offer(kernel, peer),
            // Connected to rings of somebody who was here before.
            (Phase::Waiting, Connected | Reconfiguring | Reconfigured) => {
                self.write(kernel, peer, Closing)
            }
            (Phase::Waiting, Closing) => self.write(kernel, peer, Closed),
            (Phase::Waiting, Closed) => match peer.is_online(kernel)? {
                true => self.write(kernel, peer, Initialising),
                false => self.write(kernel, peer, Closed),
            },
            (Phase::Offered, Initialising | InitWait | Initialised) => {
                self.write(kernel, peer, D::OFFERED)
            }
            (Phase::Offered, Connected) => self.connect(kernel, peer),
            (Phase::Offered, Closing | Closed) => {
                self.part(kernel);
                self.write(kernel, peer, Closed)
            }
            (Phase::Connected, Connected | Reconfiguring | Reconfigured) => {
                self.described(kernel, peer)
            }
            (Phase::Connected | Phase::Draining, Initialising | InitWait | Initialised) => {
                log::warn!("{}: its backend has begun anew", self.name);
                self.part(kernel);
                self.write(kernel, peer, Initialising)
            }
            (Phase::Connected, Closing) => {
                self.phase = Phase::Draining;
                self.wait_for(kernel, Wait::Drain);
                self.drained(kernel, peer)
            }
            (Phase::Draining, Closing) => self.drained(kernel, peer),
            (Phase::Connected | Phase::Draining, Closed) => {
                self.part(kernel);
                self.write(kernel, peer, Closed)
            }
            // It has thought better of it.
            (Phase::Draining, Connected) => {
                self.phase = Phase::Connected;
                self.wait = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn offer(&mut self, kernel: &mut K, peer: &Peer) -> Result<(), Problem> {
        if kernel.now() < self.not_before {
            return Ok(());
        }
        let again = core::mem::replace(&mut self.has_offered, true);
        if again {
            // The backend must not take the nodes of an earlier offer for this one's.
            self.write(kernel, peer, State::Initialising)?;
        }
        if let Err(problem) = self.driver.offer(kernel, peer, again) {
            self.part(kernel);
            return Err(problem);
        }
        self.phase = Phase::Offered;
        self.wait_for(kernel, Wait::Connect);
        self.write(kernel, peer, D::OFFERED)
    }

    fn connect(&mut self, kernel: &mut K, peer: &Peer) -> Result<(), Problem> {
        self.described(kernel, peer)?;
        self.write(kernel, peer, State::Connected)?;
        self.phase = Phase::Connected;
        self.wait = None;
        self.kept_until = None;
        self.connected_at = kernel.now();
        self.connections += 1;
        log::info!("{}: connected to domain {}", self.name, peer.domain());
        Ok(())
    }

    /// Reads what the backend says of itself. What makes no sense ends the connection; a read that
    /// failed is tried again.
    fn described(&mut self, kernel: &mut K, peer: &Peer) -> Result<(), Problem> {
        let described = self.driver.connected(kernel, peer);
        if !matches!(described, Ok(()) | Err(Problem::Store(_))) {
            self.part(kernel);
        }
        described
    }

    /// Closes if nothing is in flight.
    fn drained(&mut self, kernel: &mut K, peer: &Peer) -> Result<(), Problem> {
        if self.driver.in_flight() > 0 {
            return Ok(());
        }
        self.part(kernel);
        self.write(kernel, peer, State::Closed)
    }

    /// Gives the connection up, and waits for the next one.
    fn part(&mut self, kernel: &mut K) {
        let now = kernel.now();
        let was_stable = self.phase == Phase::Connected && now >= self.connected_at + STABLE;
        self.backoff = match was_stable {
            true => Duration::ZERO,
            false => (self.backoff * 2).clamp(BACKOFF.0, BACKOFF.1),
        };
        self.not_before = now + self.backoff;
        self.driver.disconnect(kernel, self.name);
        self.phase = Phase::Waiting;
        self.ours = None;
        self.wait = None;
        self.away(kernel);
    }

    /// The device is no more.
    fn depart(&mut self, kernel: &mut K) {
        self.driver.disconnect(kernel, self.name);
        self.driver.gone();
        if let Some(peer) = self.peer.take() {
            peer.unwatch(kernel);
        }
        self.phase = Phase::Gone;
        self.wait = None;
        self.kept_until = None;
    }

    fn away(&mut self, kernel: &K) {
        let until = kernel.now() + self.limits.back;
        self.kept_until.get_or_insert(until);
    }

    fn wait_for(&mut self, kernel: &K, wait: Wait) {
        self.wait = Some((wait, kernel.now() + self.limits.of(wait)));
    }

    fn write(&mut self, kernel: &mut K, peer: &Peer, state: State) -> Result<(), Problem> {
        if self.ours != Some(state) {
            peer.announce(kernel, state)?;
            self.ours = Some(state);
        }
        Ok(())
    }

    /// Looks at the limits; each is told once.
    fn expire(&mut self, kernel: &mut K) -> Result<(), Problem> {
        let now = kernel.now();
        // The domain may have been paused: a backend that is about to connect has its own limit.
        let is_coming = self.phase == Phase::Offered && self.wait.is_some();
        if !is_coming && self.kept_until.is_some_and(|until| now >= until) {
            self.kept_until = None;
            self.driver.gone();
            return Err(self.late(Wait::Return));
        }
        match self.wait {
            Some((wait, until)) if now >= until => {
                self.wait = None;
                if let (Wait::Drain, Some(peer)) = (wait, self.peer) {
                    self.part(kernel);
                    self.write(kernel, &peer, State::Closed)?;
                }
                Err(self.late(wait))
            }
            _ => Ok(()),
        }
    }

    fn late(&self, wait: Wait) -> Problem {
        let limit = self.limits.of(wait);
        Problem::Late { wait, limit }
    }

    fn begin_anew(&mut self, kernel: &mut K) {
        // Rings, ports and grants ended with the domain; the kernel knows that.
        self.driver.disconnect(kernel, self.name);
        self.driver.retry(kernel, self.name);
        self.peer = None;
        self.ours = None;
        self.wait = None;
        self.kept_until = None;
        self.away(kernel);
        self.quiet = false;
        self.has_offered = false;
        self.look = true;
        self.backoff = Duration::ZERO;
        self.not_before = Duration::ZERO;
        self.phase = Phase::Unknown;
    }
}

/// Its part of a suspend, for a kernel whose [`Platform`] is not its [`Kernel`]: what
/// [`Participant`] does, step by step. The grant table and the connection to xenstore are back
/// before [`resume`](Device::resume) and [`renew`](Device::renew).
impl<K: Kernel, D: Driver<K>> Device<K, D> {
    /// Before the domain is suspended: takes the answers that are there. From here on nothing is
    /// written to a ring. Never waits, and does not fail.
    pub fn pause(&mut self, kernel: &mut K) {
        // Answers that come later are left in the ring: a restored guest cannot know whether what
        // they speak of was sent with the rest of its memory, and asks again.
        if let Some(peer) = self.peer.filter(|_| self.is_connected()) {
            let taken = self.driver.serve(kernel, &peer, false);
            if let Err(lie) = taken {
                // No reason not to be saved.
                let error = self.refused(kernel, lie);
                log::warn!("{error}");
            }
        }
        self.driver.rest(kernel);
        // `&mut self` is the proof that no request is half written.
        self.quiet = true;
    }

    /// The domain is the same: the suspend was cancelled or given up.
    ///
    /// # Errors
    /// As [`poll`](Device::poll).
    pub fn resume(&mut self, kernel: &mut K) -> Result<(), Error> {
        self.quiet = false;
        // An event may have come while nobody looked, and so may a watch.
        self.look = true;
        self.poll(kernel)
    }

    /// The domain is a new one: looks for the new backend, and does not wait for it.
    ///
    /// # Errors
    /// As [`poll`](Device::poll), which is to be called until it is
    /// [connected](Phase::Connected).
    pub fn renew(&mut self, kernel: &mut K) -> Result<(), Error> {
        self.begin_anew(kernel);
        self.poll(kernel)
    }
}

/// In [`Stage::Awake`], with order 0. See the [crate's page](crate#across-a-suspend).
impl<P, D> Participant<P> for Device<P, D>
where
    P: Platform + Kernel,
    <P as Platform>::Error: From<Error>,
    D: Driver<P>,
{
    fn role(&self) -> Role {
        let limit = self.limits.offer + self.limits.connect;
        Role::new(D::KIND).never_waits().back_within(limit)
    }

    fn suspend(&mut self, _: Stage, kernel: &mut P, _: Deadline) -> Result<(), P::Error> {
        self.pause(kernel);
        Ok(())
    }

    fn undo(&mut self, _: Stage, kernel: &mut P) -> Result<(), P::Error> {
        Ok(self.resume(kernel)?)
    }

    fn restored(&mut self, _: Stage, kernel: &mut P) -> Result<(), P::Error> {
        Ok(self.renew(kernel)?)
    }

    fn is_back(&mut self, kernel: &mut P) -> Result<bool, P::Error> {
        match self.poll(kernel) {
            Ok(()) if self.phase == Phase::Gone => Err(self.error(Problem::Gone).into()),
            // Another look may be answered.
            Ok(())
            | Err(Error {
                problem: Problem::Store(_),
                ..
            }) => Ok(self.is_connected()),
            Err(error) => Err(error.into()),
        }
    }
}
