//! The parts together: a guest that answers `control/shutdown`, follows `cpu/*/availability` and
//! suspends, while a toolstack writes whatever it likes at any point. Xen's side of vCPUs is kept
//! apart, and checked against.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use migration::availability::{plan, read_wanted, Action, CpuSet};
use migration::hotplug::{BringUp, CpuState, Cpus, Hold, Lockout};
use migration::shutdown::{receive, Accepts, Activity, Answer, Request, NODE};
use migration::xenstore::{StoreError, Xenstore};
use migration::{
    Blame, Cause, Clock, Deadline, Limits, Machine, Outcome, Phase, Platform, Return, SuspendFailed,
};
use proptest::prelude::*;
use support::Store;

const CPUS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Trouble;

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("trouble")
    }
}

impl Blame for Trouble {}

/// What Xen knows of the domain.
struct Xen {
    initialised: BTreeSet<usize>,
    up: BTreeSet<usize>,
    /// What the next suspend calls return, and which of them the audit stops.
    outcomes: Vec<Option<Outcome>>,
    suspends: u32,
}

struct Guest<'a> {
    store: Store,
    xen: Xen,
    cpus: Cpus,
    lockout: &'a Lockout,
    hold: Option<Hold<'a>>,
    acknowledged: u32,
    must_reread: bool,
}

impl Guest<'_> {
    fn bring_up(&mut self, cpu: usize) {
        match self.cpus.start(cpu).expect("planned from the table") {
            BringUp::InitialiseAndUp => {
                // `false` is Xen's -EEXIST, which is no error.
                self.xen.initialised.insert(cpu);
            }
            BringUp::Up => assert!(
                self.xen.initialised.contains(&cpu),
                "VCPUOP_up of vCPU {cpu}, which Xen has no state of"
            ),
        }
        assert!(self.xen.up.insert(cpu));
        self.cpus.started(cpu).unwrap();
    }

    fn take_down(&mut self, cpu: usize) {
        self.cpus.leave(cpu).expect("planned from the table");
        assert!(self.xen.up.remove(&cpu));
        assert!(!self.xen.up.is_empty(), "Xen would power the domain off");
        self.cpus.left(cpu).unwrap();
    }

    /// One round of hotplug; whether it did something.
    fn hotplug(&mut self) -> bool {
        let Ok(operation) = self.lockout.begin() else {
            panic!("the loop does one thing at a time");
        };
        let wanted = read_wanted(&mut self.store, CPUS, |_| ());
        let actions: Vec<Action> = plan(&wanted, self.cpus.online(), 2).collect();
        for action in &actions {
            match *action {
                Action::Online(cpu) => self.bring_up(cpu),
                Action::Offline(cpu) => self.take_down(cpu),
            }
        }
        operation.end() || !actions.is_empty()
    }

    fn check(&self) {
        let up: CpuSet = self.xen.up.iter().copied().collect();
        assert_eq!(self.cpus.online(), up);
        assert!(self.cpus.in_transit().is_empty());
        for cpu in 0..CPUS {
            if self.cpus.state(cpu) == Some(CpuState::Offline { initialised: true }) {
                assert!(self.xen.initialised.contains(&cpu));
            }
        }
    }
}

impl Clock for Guest<'_> {
    fn now(&self) -> Duration {
        Duration::from_millis(self.store.operations.into())
    }
}

impl Platform for Guest<'_> {
    type Error = Trouble;
    type Drained = ();
    type Store = Store;

    fn xenstore(&mut self) -> Option<&mut Store> {
        Some(&mut self.store)
    }
    fn entered(&mut self, phase: Phase, _: Duration) {
        self.acknowledged += u32::from(phase == Phase::Acknowledged);
    }
    fn hold_hotplug(&mut self, _: Deadline) -> Result<(), Trouble> {
        self.hold = Some(self.lockout.hold().map_err(|_| Trouble)?);
        Ok(())
    }
    fn release_hotplug(&mut self, how: Return) {
        self.cpus.returned(how);
        assert!(self.hold.take().expect("it was held").release());
    }
    fn park(&mut self, _: Deadline) -> Result<(), Trouble> {
        // A watch that fires now is turned away.
        assert!(self.lockout.begin().is_err());
        assert_eq!(
            receive(&mut self.store, Activity::Suspending, &Accepts::USUAL, 8)
                .map(|(_, answer)| answer == Answer::Obey),
            Ok(false)
        );
        Ok(())
    }
    fn drain(&mut self, _: Deadline) -> Result<(), Trouble> {
        Ok(())
    }
    fn audit(&mut self, _: &(), _: Deadline) -> Result<(), Trouble> {
        match self.xen.outcomes.last() {
            Some(None) => {
                self.xen.outcomes.pop();
                Err(Trouble)
            }
            _ => Ok(()),
        }
    }
    fn detach(&mut self, _: &(), _: Deadline) -> Result<(), Trouble> {
        Ok(())
    }
    fn reattach(&mut self, _: Return) -> Result<(), Trouble> {
        Ok(())
    }
    fn suspend(&mut self, _: &()) -> Result<Outcome, Trouble> {
        self.check();
        self.xen.suspends += 1;
        let outcome = self
            .xen
            .outcomes
            .pop()
            .flatten()
            .unwrap_or(Outcome::Cancelled);
        if outcome == Outcome::Restored {
            // Xen carries the registers of online vCPUs only.
            self.xen.initialised = self.xen.up.clone();
        }
        Ok(outcome)
    }
    fn reread(&mut self, _: Return) -> Result<(), Trouble> {
        self.must_reread = true;
        Ok(())
    }
}

fn any_action() -> impl Strategy<Value = (u32, String, Option<Vec<u8>>)> {
    let control = (
        0u32..120,
        Just(NODE.to_string()),
        prop_oneof![
            6 => Just(Some(b"suspend".to_vec())),
            1 => Just(Some(b"".to_vec())),
            1 => Just(Some(b"sing".to_vec())),
            1 => Just(Some(b"reboot".to_vec())),
            1 => Just(None),
        ],
    );
    let cpu = (
        0u32..120,
        (0..CPUS).prop_map(|cpu| format!("cpu/{cpu}/availability")),
        prop_oneof![
            4 => Just(Some(b"online".to_vec())),
            4 => Just(Some(b"offline".to_vec())),
            1 => Just(Some(b"maybe".to_vec())),
            1 => Just(None),
        ],
    );
    prop_oneof![control, cpu]
}

fn any_outcomes() -> impl Strategy<Value = Vec<Option<Outcome>>> {
    proptest::collection::vec(
        prop_oneof![
            Just(Some(Outcome::Restored)),
            Just(Some(Outcome::Cancelled)),
            Just(None)
        ],
        0..8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_request_is_lost_and_none_is_made_up(
        mut script in proptest::collection::vec(any_action(), 0..24),
        outcomes in any_outcomes(),
    ) {
        // In order, so that the last of those at one point is the one that counts.
        script.sort_by_key(|s| s.0);
        let asked = script.iter().filter(|s| s.2.as_deref() == Some(b"suspend")).count();
        let lockout = Lockout::new();
        let mut store = Store::default();
        store.script = script;
        let mut guest = Guest {
            store,
            xen: Xen {
                initialised: BTreeSet::from([0]),
                up: BTreeSet::from([0]),
                outcomes,
                suspends: 0,
            },
            cpus: Cpus::at_boot(CPUS),
            lockout: &lockout,
            hold: None,
            acknowledged: 0,
            must_reread: false,
        };
        let mut down = false;
        for round in 0.. {
            prop_assert!(round < 300, "the guest does not settle");
            let mut busy = false;
            let (request, answer) =
                receive(&mut guest.store, Activity::Running, &Accepts::USUAL, 64).unwrap();
            match (request, answer) {
                (Request::Suspend, Answer::Obey) => {
                    busy = true;
                    let before = guest.xen.suspends;
                    let acknowledged = guest.acknowledged;
                    guest.must_reread = false;
                    let result = Machine::new(&mut guest, &mut [], Limits::DEFAULT).suspend();
                    prop_assert!(guest.must_reread);
                    prop_assert!(guest.hold.is_none());
                    // Suspended exactly when acknowledged, but for what the audit stopped.
                    match result {
                        Ok(_) => prop_assert_eq!(
                            (guest.xen.suspends, guest.acknowledged), (before + 1, acknowledged + 1)),
                        Err(SuspendFailed { cause: Cause::Withdrawn, .. }) => prop_assert_eq!(
                            (guest.xen.suspends, guest.acknowledged), (before, acknowledged)),
                        Err(failure) => {
                            prop_assert_eq!(failure.step, "audit");
                            prop_assert_eq!(
                                (guest.xen.suspends, guest.acknowledged), (before, acknowledged + 1));
                        }
                    }
                }
                (Request::Reboot, Answer::Obey) => {
                    down = true;
                    break;
                }
                (Request::Nothing, Answer::Nothing) | (Request::Unknown(_), Answer::Refuse(_)) => {}
                other => prop_assert!(false, "{:?}", other),
            }
            guest.check();
            busy |= guest.hotplug();
            guest.check();
            if !busy && guest.store.operations > 130 {
                break;
            }
        }
        prop_assert!(guest.xen.suspends as usize <= asked);
        if down {
            return Ok(());
        }
        // Everything the toolstack said last is done.
        let left = guest.store.value(NODE).unwrap_or("");
        prop_assert!(left.is_empty() || left == "sing", "{} is still asked for", left);
        for cpu in 1..CPUS {
            match guest.store.value(&format!("cpu/{cpu}/availability")) {
                Some("online") => prop_assert!(guest.xen.up.contains(&cpu)),
                Some("offline") => prop_assert!(!guest.xen.up.contains(&cpu)),
                _ => {}
            }
        }
        prop_assert!(guest.xen.up.contains(&0));
    }
}

/// A store that is silent: the guest goes on, and says who is to blame.
struct Silent;

impl Xenstore for Silent {
    type Tx = u32;
    fn read(&mut self, _: Option<u32>, _: &str, _: &mut [u8]) -> Result<usize, StoreError> {
        Err(StoreError::TimedOut)
    }
    fn write(&mut self, _: Option<u32>, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Err(StoreError::TimedOut)
    }
    fn transaction_start(&mut self) -> Result<u32, StoreError> {
        Err(StoreError::TimedOut)
    }
    fn transaction_end(&mut self, _: u32, _: bool) -> Result<(), StoreError> {
        Err(StoreError::TimedOut)
    }
    fn watch(&mut self, _: &str, _: &str) -> Result<(), StoreError> {
        Err(StoreError::TimedOut)
    }
}

#[test]
fn a_silent_xenstored_is_the_toolstacks_fault() {
    let error = receive(&mut Silent, Activity::Running, &Accepts::USUAL, 8).unwrap_err();
    assert_eq!(error, StoreError::TimedOut);
    assert_eq!(error.party(), migration::Party::Toolstack);
    assert!(error.to_string().contains("xenstored"));
}
