//! The phases of a suspend, the clock that measures them, and the record of one run.

use core::fmt;
use core::time::Duration;

/// Where a guest stands between running and running again.
///
/// The order of the variants is the order in which a suspend passes them; [`Phase::Restored`] and
/// [`Phase::Cancelled`] are the two ways out of [`Phase::Suspended`]. Events, measurements and
/// error messages all use this one enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// No suspend is under way.
    Running,
    /// `control/shutdown` was seen to say `suspend`; nothing has been done yet.
    Requested,
    /// The toolstack was told that the request was seen. It now waits for the shutdown, not for an
    /// answer.
    Acknowledged,
    /// CPU hotplug is held, the participants of [`Stage::Awake`](crate::Stage::Awake) are suspended
    /// and every other vCPU is parked.
    Quiesced,
    /// No CPU caches a constructed page-table page, and the proof of it is held.
    Drained,
    /// Every page table that Xen will look at was looked at first.
    Audited,
    /// The participants of [`Stage::Alone`](crate::Stage::Alone), the clock last, are suspended;
    /// under PV the shared-info page is unmapped too: the domain is ready to be saved.
    Detached,
    /// The suspend hypercall is being made. Nobody in the guest can tell how long this phase lasts.
    Suspended,
    /// The hypercall returned into a new domain.
    Restored,
    /// The hypercall returned into the same domain.
    Cancelled,
}

impl Phase {
    /// How many phases there are.
    pub const COUNT: usize = 10;

    /// Every phase, in order.
    pub const ALL: [Phase; Phase::COUNT] = [
        Phase::Running,
        Phase::Requested,
        Phase::Acknowledged,
        Phase::Quiesced,
        Phase::Drained,
        Phase::Audited,
        Phase::Detached,
        Phase::Suspended,
        Phase::Restored,
        Phase::Cancelled,
    ];

    /// The name used in events (`docs/events.md`) and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Running => "running",
            Phase::Requested => "requested",
            Phase::Acknowledged => "acknowledged",
            Phase::Quiesced => "quiesced",
            Phase::Drained => "drained",
            Phase::Audited => "audited",
            Phase::Detached => "detached",
            Phase::Suspended => "suspended",
            Phase::Restored => "restored",
            Phase::Cancelled => "cancelled",
        }
    }

    /// Whether the phase has an event of its own (`ev: "suspend"`); the others show in `resumed`
    /// and `suspend-failed`.
    pub const fn has_event(self) -> bool {
        matches!(
            self,
            Phase::Requested
                | Phase::Acknowledged
                | Phase::Quiesced
                | Phase::Drained
                | Phase::Audited
                | Phase::Detached
        )
    }

    const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A monotonic clock of the guest.
pub trait Clock {
    /// Time since a fixed point of the guest's choice.
    ///
    /// It can be read in every phase and **never goes back**: a time before one returned earlier is
    /// taken for that earlier one. From the suspend of the clock in
    /// [`Stage::Alone`](crate::Stage::Alone), the last step but one before the call, until its return
    /// it **stands still**: it gives the last time, and looks at no page of Xen's. There may be none
    /// (PV has unmapped it, a new domain has a hole there), and Xen's system time may be another
    /// host's. The machine measures nothing between the two.
    fn now(&self) -> Duration;
}

/// When each phase of one suspend was entered.
///
/// Times are counted from the moment [`Phase::Requested`] was entered. What the record cannot hold:
/// the time between the hypercall and its return, because the guest's clock does not see it, and
/// the phases never reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    start: Duration,
    last: Duration,
    entered: [Option<Duration>; Phase::COUNT],
    left: Option<Duration>,
}

impl Timeline {
    /// An empty record that begins at `now`.
    pub const fn starting_at(now: Duration) -> Timeline {
        Timeline {
            start: now,
            last: Duration::ZERO,
            entered: [None; Phase::COUNT],
            left: None,
        }
    }

    /// Records that `phase` was entered at `now` and returns the time since the request.
    pub fn enter(&mut self, phase: Phase, now: Duration) -> Duration {
        let since = self.since_start(now);
        self.entered[phase.index()] = Some(since);
        since
    }

    /// Records the end of the run: the guest is [`Phase::Running`] again.
    pub fn finish(&mut self, now: Duration) {
        let since = self.since_start(now);
        self.left = Some(since);
    }

    /// Time from the request to the moment `phase` was entered; `None` when it was not.
    pub fn entered(&self, phase: Phase) -> Option<Duration> {
        self.entered[phase.index()]
    }

    /// The last phase entered.
    pub fn latest(&self) -> Option<Phase> {
        Phase::ALL
            .into_iter()
            .rev()
            .find(|phase| self.entered(*phase).is_some())
    }

    /// How long the step that led to `phase` took: from the phase before it, as far as both were
    /// entered.
    ///
    /// For [`Phase::Restored`] and [`Phase::Cancelled`] this is the guest's own part of the way
    /// back up to a working clock and shared page; the time spent in Xen's hands is not in it.
    pub fn step(&self, phase: Phase) -> Option<Duration> {
        let end = self.entered(phase)?;
        let begin = Phase::ALL[..phase.index()]
            .iter()
            .rev()
            .find_map(|before| self.entered(*before))?;
        Some(end.saturating_sub(begin))
    }

    /// From the request until the guest ran again; `None` while the run lasts.
    pub fn total(&self) -> Option<Duration> {
        self.left
    }

    /// The phases entered, in order, each with the time since the request.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        Phase::ALL
            .into_iter()
            .filter_map(|phase| self.entered(phase).map(|at| (phase, at)))
    }

    fn since_start(&mut self, now: Duration) -> Duration {
        // A clock that steps back (Xen's time pages just came back from another host) must not make
        // a time negative.
        self.last = now.saturating_sub(self.start).max(self.last);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn order_of_all_is_the_order_of_the_variants() {
        for (i, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase.index(), i);
        }
    }

    #[test]
    fn the_phases_with_events_are_those_of_the_contract() {
        let named: std::vec::Vec<&str> = Phase::ALL
            .into_iter()
            .filter(|phase| phase.has_event())
            .map(Phase::name)
            .collect();
        assert_eq!(
            named,
            [
                "requested",
                "acknowledged",
                "quiesced",
                "drained",
                "audited",
                "detached"
            ]
        );
    }

    #[test]
    fn times_are_counted_from_the_request_and_never_go_back() {
        let mut line = Timeline::starting_at(ms(1000));
        assert_eq!(line.enter(Phase::Requested, ms(1000)), ms(0));
        assert_eq!(line.enter(Phase::Acknowledged, ms(1030)), ms(30));
        assert_eq!(line.enter(Phase::Quiesced, ms(1010)), ms(30));
        assert_eq!(line.step(Phase::Acknowledged), Some(ms(30)));
        assert_eq!(line.step(Phase::Quiesced), Some(ms(0)));
        assert_eq!(line.step(Phase::Drained), None);
        assert_eq!(line.latest(), Some(Phase::Quiesced));
        assert_eq!(line.total(), None);
        line.finish(ms(1050));
        assert_eq!(line.total(), Some(ms(50)));
    }

    #[test]
    fn a_step_skips_phases_that_were_not_entered() {
        let mut line = Timeline::starting_at(ms(0));
        line.enter(Phase::Requested, ms(0));
        line.enter(Phase::Quiesced, ms(7));
        line.enter(Phase::Cancelled, ms(9));
        assert_eq!(line.step(Phase::Cancelled), Some(ms(2)));
        let seen: [Option<(Phase, Duration)>; 3] = {
            let mut it = line.iter();
            [it.next(), it.next(), it.next()]
        };
        assert_eq!(
            seen,
            [
                Some((Phase::Requested, ms(0))),
                Some((Phase::Quiesced, ms(7))),
                Some((Phase::Cancelled, ms(9)))
            ]
        );
    }
}
