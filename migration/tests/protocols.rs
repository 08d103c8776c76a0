//! `control/shutdown`, `cpu/*/availability` and the bookkeeping of vCPUs, against a xenstored that
//! interferes.

mod support;

use std::collections::BTreeSet;

use migration::availability::{
    plan, read_wanted, Action, Availability, Complaint, CpuSet, Wanted, MAX_CPUS,
};
use migration::hotplug::{BringUp, Change, CpuState, Cpus, HotplugError, Lockout, Seen, Taken};
use migration::shutdown::{
    acknowledge, advertise, clear_failure, decide, receive, report_failure, Accepts,
    Acknowledgement, Activity, Answer, Refusal, Request, FAILURE_NODE, NODE,
};
use migration::xenstore::StoreError;
use migration::{Cause, Party, Phase, Return, SuspendFailed, Text};
use proptest::prelude::*;
use support::Store;

const TRIES: u32 = 4;

// ---- control/shutdown

#[test]
fn values_are_parsed_by_whole_words() {
    for (value, request) in [
        ("", Request::Nothing),
        ("poweroff", Request::Poweroff),
        ("halt", Request::Halt),
        ("reboot", Request::Reboot),
        ("suspend", Request::Suspend),
        ("crash", Request::Crash),
        ("suspend\0", Request::Suspend),
        ("\0", Request::Nothing),
        ("Suspend", Request::Unknown(Text::new(b"Suspend"))),
        ("suspend ", Request::Unknown(Text::new(b"suspend "))),
        ("suspend\0\0", Request::Unknown(Text::new(b"suspend\0"))),
        ("suspendx", Request::Unknown(Text::new(b"suspendx"))),
    ] {
        assert_eq!(Request::parse(value.as_bytes()), request, "{value:?}");
    }
}

#[test]
fn the_policy_is_the_documented_table() {
    let unknown = Request::Unknown(Text::new(b"sing"));
    for activity in [Activity::Running, Activity::Suspending, Activity::GoingDown] {
        assert_eq!(
            decide(&Request::Nothing, activity, &Accepts::USUAL),
            Answer::Nothing
        );
        assert_eq!(
            decide(&unknown, activity, &Accepts::USUAL),
            Answer::Refuse(Refusal::Unknown)
        );
        assert_eq!(
            decide(&Request::Crash, activity, &Accepts::USUAL),
            Answer::Refuse(Refusal::NotAccepted)
        );
    }
    for known in [
        Request::Poweroff,
        Request::Halt,
        Request::Reboot,
        Request::Suspend,
    ] {
        let by = |activity| decide(&known, activity, &Accepts::USUAL);
        assert_eq!(by(Activity::Running), Answer::Obey);
        assert_eq!(by(Activity::Suspending), Answer::Defer);
        assert_eq!(by(Activity::GoingDown), Answer::Refuse(Refusal::GoingDown));
    }
    let crashing = Accepts {
        crash: true,
        suspend: false,
        ..Accepts::USUAL
    };
    assert_eq!(
        decide(&Request::Crash, Activity::Running, &crashing),
        Answer::Obey
    );
    assert_eq!(
        decide(&Request::Suspend, Activity::Running, &crashing),
        Answer::Refuse(Refusal::NotAccepted)
    );
}

fn received(xs: &mut Store, activity: Activity) -> Result<(Request, Answer), StoreError> {
    let result = receive(xs, activity, &Accepts::USUAL, TRIES);
    assert_eq!(xs.open_transactions(), 0);
    result
}

#[test]
fn what_is_obeyed_is_acknowledged_once_and_the_rest_is_left_alone() {
    for (value, acknowledged) in [
        ("poweroff", true),
        ("halt", true),
        ("reboot", true),
        // The machine acknowledges a suspend itself.
        ("suspend", false),
        ("crash", false),
        ("sing", false),
        ("", false),
    ] {
        let mut xs = Store::with(&[(NODE, value)]);
        received(&mut xs, Activity::Running).unwrap();
        assert_eq!(xs.commits.len(), usize::from(acknowledged), "{value}");
        let left = if acknowledged { "" } else { value };
        assert_eq!(xs.value(NODE), Some(left), "{value}");
    }
}

#[test]
fn a_request_during_a_suspend_is_still_there_afterwards() {
    let mut xs = Store::with(&[(NODE, "poweroff")]);
    assert_eq!(
        received(&mut xs, Activity::Suspending).unwrap(),
        (Request::Poweroff, Answer::Defer)
    );
    assert_eq!(xs.value(NODE), Some("poweroff"));
    assert_eq!(
        received(&mut xs, Activity::Running).unwrap(),
        (Request::Poweroff, Answer::Obey)
    );
    assert_eq!(xs.value(NODE), Some(""));
    // The watch fires for our own acknowledgement: nothing to do.
    assert_eq!(
        received(&mut xs, Activity::Running).unwrap(),
        (Request::Nothing, Answer::Nothing)
    );
}

#[test]
fn a_missing_node_is_no_request_and_no_error() {
    let mut xs = Store::default();
    assert_eq!(
        received(&mut xs, Activity::Running).unwrap(),
        (Request::Nothing, Answer::Nothing)
    );
    assert_eq!(
        acknowledge(&mut xs, TRIES).unwrap(),
        Acknowledgement::Withdrawn
    );
}

#[test]
fn an_acknowledgement_sees_what_changed_before_and_during_it() {
    // Operations of an acknowledgement: 0 start, 1 read, 2 write, 3 end.
    for at in 0..4 {
        for (value, given) in [
            (Some("suspend"), true),
            (Some(""), false),
            (Some("poweroff"), false),
            (None, false),
        ] {
            let mut xs = Store::with(&[(NODE, "suspend")]);
            xs.script
                .push((at, NODE.to_string(), value.map(|v| v.as_bytes().to_vec())));
            let answer = acknowledge(&mut xs, TRIES).unwrap();
            assert_eq!(answer == Acknowledgement::Given, given, "{at} {value:?}");
            assert_eq!(xs.commits.len(), usize::from(given));
            let left = if given { Some("") } else { value };
            assert_eq!(xs.value(NODE), left);
            assert_eq!(xs.open_transactions(), 0);
        }
    }
}

#[test]
fn conflicts_without_end_are_an_error() {
    // Another node would not conflict; this one changes before every end of a transaction.
    let mut xs = Store::with(&[(NODE, "suspend")]);
    for at in 0..100 {
        let value = if at % 2 == 0 { "suspend" } else { "suspend\0" };
        xs.script
            .push((at, NODE.to_string(), Some(value.as_bytes().to_vec())));
    }
    assert_eq!(
        acknowledge(&mut xs, TRIES),
        Err(StoreError::Conflicts { tries: TRIES })
    );
    assert!(xs.commits.is_empty());
    assert_eq!(xs.open_transactions(), 0);
}

#[test]
fn an_error_of_the_store_acknowledges_nothing_and_leaves_no_transaction() {
    for at in 0..4 {
        let mut xs = Store::with(&[(NODE, "suspend")]);
        xs.fail_at = Some((at, StoreError::TimedOut));
        assert_eq!(acknowledge(&mut xs, TRIES), Err(StoreError::TimedOut));
        assert!(xs.commits.is_empty(), "{at}");
        assert_eq!(xs.open_transactions(), 0, "{at}");
    }
    // EAGAIN from inside is a reason to begin anew, as at the end.
    for at in 1..4 {
        let mut xs = Store::with(&[(NODE, "suspend")]);
        xs.fail_at = Some((at, StoreError::Again));
        assert_eq!(acknowledge(&mut xs, TRIES), Ok(Acknowledgement::Given));
    }
}

#[test]
fn a_long_unknown_value_is_shown_from_its_beginning() {
    let long = "x".repeat(4000);
    let mut xs = Store::with(&[(NODE, &long)]);
    let (request, answer) = received(&mut xs, Activity::Running).unwrap();
    assert_eq!(answer, Answer::Refuse(Refusal::Unknown));
    assert_eq!(request.to_string(), format!("{}...", "x".repeat(32)));
}

#[test]
fn features_that_cannot_be_written_are_reported_and_do_not_stop_the_others() {
    let mut xs = Store::default();
    let done = advertise(&mut xs, &Accepts::USUAL);
    assert_eq!((done.written, done.failed), (3, None));
    assert_eq!(xs.value("control/feature-suspend"), Some("1"));
    assert_eq!(xs.value("control/feature-halt"), None);

    let mut xs = Store::default();
    xs.read_only.push("control/feature-poweroff".to_string());
    let accepts = Accepts {
        suspend: false,
        ..Accepts::USUAL
    };
    let done = advertise(&mut xs, &accepts);
    assert_eq!(done.written, 2);
    assert_eq!(
        done.failed,
        Some(("control/feature-poweroff", StoreError::Denied))
    );
    assert_eq!(xs.value("control/feature-reboot"), Some("1"));
    assert_eq!(xs.value("control/feature-suspend"), Some("0"));
}

#[test]
fn a_failure_is_written_where_the_toolstack_can_read_it() {
    let mut xs = Store::default();
    let failure = SuspendFailed {
        phase: Phase::Drained,
        step: "drain",
        party: Party::Guest,
        cause: Cause::Step("vCPU 3 holds its magazine"),
    };
    report_failure(&mut xs, &failure).unwrap();
    assert_eq!(
        xs.value(FAILURE_NODE),
        Some("drained guest drain: vCPU 3 holds its magazine")
    );
    clear_failure(&mut xs).unwrap();
    assert_eq!(xs.value(FAILURE_NODE), Some(""));
}

proptest! {
    /// libxl and the guest race for the node. Whoever commits first wins, and both sides agree
    /// about who that was.
    #[test]
    fn the_race_with_libxls_withdrawal_has_one_winner(
        writes in proptest::collection::vec((0u32..12, prop_oneof![
            Just("suspend"), Just(""), Just("poweroff"), Just("junk")
        ]), 0..6)
    ) {
        let mut xs = Store::with(&[(NODE, "suspend")]);
        for (at, value) in &writes {
            xs.script.push((*at, NODE.to_string(), Some(value.as_bytes().to_vec())));
        }
        match acknowledge(&mut xs, TRIES) {
            Ok(Acknowledgement::Given) => {
                // The one commit is ours, and what it replaced was the request.
                prop_assert_eq!(&xs.commits, &[(NODE.to_string(), Vec::new())]);
                let last = writes.iter().filter(|w| w.0 < xs.operations).max_by_key(|w| w.0);
                if let Some((at, _)) = last {
                    let same: Vec<_> = writes.iter().filter(|w| w.0 == *at).collect();
                    prop_assert_eq!(same.last().unwrap().1, "suspend");
                }
            }
            Ok(Acknowledgement::Withdrawn) => {
                prop_assert!(xs.commits.is_empty());
                prop_assert_ne!(xs.value(NODE), Some("suspend"));
            }
            Err(error) => {
                prop_assert_eq!(error, StoreError::Conflicts { tries: TRIES });
                prop_assert!(xs.commits.is_empty());
            }
        }
        prop_assert_eq!(xs.open_transactions(), 0);
    }

    /// No value, however strange, is taken for a request that it does not spell, and none panics.
    #[test]
    fn only_the_exact_words_are_requests(value in proptest::collection::vec(any::<u8>(), 0..60)) {
        let known = ["", "poweroff", "halt", "reboot", "suspend", "crash"];
        let word = value.strip_suffix(b"\0").unwrap_or(&value);
        let is_known = known.iter().any(|k| k.as_bytes() == word);
        let request = Request::parse(&value);
        prop_assert_eq!(!matches!(request, Request::Unknown(_)), is_known);
        let shown = request.to_string();
        prop_assert!(shown.chars().all(|c| (' '..='~').contains(&c) && c != '"' && c != '\\'));
    }
}

// ---- cpu/*/availability

fn set(cpus: &[usize]) -> CpuSet {
    cpus.iter().copied().collect()
}

#[test]
fn availability_has_two_words() {
    assert_eq!(Availability::parse(b"online"), Ok(Availability::Online));
    assert_eq!(Availability::parse(b"offline\0"), Ok(Availability::Offline));
    assert!(Availability::parse(b"").is_err());
    assert!(Availability::parse(b"on").is_err());
}

#[test]
fn what_cannot_be_followed_leaves_its_cpu_alone_and_is_said() {
    let mut xs = Store::with(&[
        ("cpu/0/availability", "offline"),
        ("cpu/1/availability", "online"),
        ("cpu/2/availability", "maybe"),
        ("cpu/4/availability", "offline"),
        ("cpu/5/availability", "online"),
        ("cpu/6/availability", "offline"),
    ]);
    // vCPU 5's node cannot be read.
    xs.fail_at = Some((5, StoreError::Denied));
    let mut complaints = Vec::new();
    let wanted = read_wanted(&mut xs, 6, |c| complaints.push(c));
    assert_eq!(wanted.online, set(&[1]));
    assert_eq!(wanted.offline, set(&[4]));
    assert_eq!(
        complaints,
        [
            Complaint::Cpu0,
            Complaint::Junk {
                cpu: 2,
                value: Text::new(b"maybe")
            },
            Complaint::Unreadable {
                cpu: 5,
                error: StoreError::Denied
            },
        ]
    );
}

#[test]
fn a_silent_xenstored_is_asked_once_not_128_times() {
    let mut xs = Store::with(&[("cpu/0/availability", "online")]);
    xs.fail_at = Some((0, StoreError::TimedOut));
    let mut complaints = 0;
    let wanted = read_wanted(&mut xs, usize::MAX, |_| complaints += 1);
    assert_eq!(wanted, Wanted::default());
    assert_eq!((complaints, xs.operations), (1, 1));
}

#[test]
fn a_round_is_bounded_and_the_next_one_goes_on() {
    let wanted = Wanted {
        online: set(&[0, 1, 2, 3]),
        offline: set(&[4, 5, 6]),
    };
    let mut actual = set(&[0, 4, 5, 6]);
    let mut rounds = Vec::new();
    loop {
        let actions: Vec<Action> = plan(&wanted, actual, 2).collect();
        if actions.is_empty() {
            break;
        }
        for action in &actions {
            actual = match *action {
                Action::Online(cpu) => actual.with(cpu),
                Action::Offline(cpu) => actual.without(cpu),
            };
        }
        rounds.push(actions);
    }
    assert_eq!(
        rounds,
        [
            vec![Action::Online(1), Action::Online(2)],
            vec![Action::Online(3), Action::Offline(6)],
            vec![Action::Offline(5), Action::Offline(4)],
        ]
    );
    assert_eq!(actual, set(&[0, 1, 2, 3]));
}

#[test]
fn cpu_0_and_the_last_cpu_are_never_taken() {
    let wanted = Wanted {
        online: CpuSet::EMPTY,
        offline: CpuSet::first(MAX_CPUS),
    };
    assert_eq!(
        plan(&wanted, set(&[0, 2]), 9).collect::<Vec<_>>(),
        [Action::Offline(2)]
    );
    assert_eq!(
        plan(&wanted, set(&[2, 3]), 9).collect::<Vec<_>>(),
        [Action::Offline(3)]
    );
}

#[test]
fn the_edges_of_a_cpu_set() {
    assert_eq!(CpuSet::first(0), CpuSet::EMPTY);
    assert_eq!(CpuSet::first(3), set(&[0, 1, 2]));
    assert_eq!(CpuSet::first(127).len(), 127);
    assert_eq!(CpuSet::first(128).len(), 128);
    assert_eq!(CpuSet::first(usize::MAX).len(), 128);
    let last = CpuSet::EMPTY.with(MAX_CPUS - 1);
    assert!(last.contains(MAX_CPUS - 1));
    assert!(!last.contains(MAX_CPUS));
    assert_eq!(last.with(MAX_CPUS), last);
    assert_eq!(last.without(MAX_CPUS), last);
    assert!(last.without(MAX_CPUS - 1).is_empty());
    assert_eq!(format!("{:?}", set(&[3, 1])), "{1, 3}");
}

fn any_set() -> impl Strategy<Value = CpuSet> {
    proptest::collection::vec(0..MAX_CPUS, 0..40).prop_map(|cpus| cpus.into_iter().collect())
}

proptest! {
    /// From any state towards any wish: the rounds end, each is bounded, what is wanted is reached
    /// as far as it may be, at least one vCPU runs at every moment, and vCPU 0 is never touched
    /// downwards.
    #[test]
    fn plans_converge(online in any_set(), offline in any_set(), start in any_set(), max in 1usize..5) {
        let wanted = Wanted { online, offline };
        let mut actual = start.with(0);
        let begin = actual;
        for round in 0.. {
            prop_assert!(round <= MAX_CPUS * 2);
            let actions: Vec<Action> = plan(&wanted, actual, max).collect();
            prop_assert!(actions.len() <= max);
            if actions.is_empty() {
                break;
            }
            for action in actions {
                actual = match action {
                    Action::Online(cpu) => { prop_assert!(!actual.contains(cpu)); actual.with(cpu) }
                    Action::Offline(cpu) => { prop_assert!(actual.contains(cpu)); actual.without(cpu) }
                };
                prop_assert!(!actual.is_empty());
            }
        }
        prop_assert!(actual.contains(0));
        for cpu in 1..MAX_CPUS {
            let should = if online.contains(cpu) {
                true
            } else if offline.contains(cpu) {
                false
            } else {
                begin.contains(cpu)
            };
            prop_assert_eq!(actual.contains(cpu), should, "vCPU {}", cpu);
        }
    }

    /// The set behaves as a set.
    #[test]
    fn cpu_sets_are_sets(a in any_set(), b in any_set(), cpu in 0..MAX_CPUS * 2) {
        let sa: BTreeSet<usize> = a.iter().collect();
        let sb: BTreeSet<usize> = b.iter().collect();
        prop_assert_eq!(a.len(), sa.len());
        prop_assert_eq!(a.or(b).iter().collect::<BTreeSet<_>>(), &sa | &sb);
        prop_assert_eq!(a.and(b).iter().collect::<BTreeSet<_>>(), &sa & &sb);
        prop_assert_eq!(a.minus(b).iter().collect::<BTreeSet<_>>(), &sa - &sb);
        prop_assert_eq!(a.contains(cpu), sa.contains(&cpu));
        prop_assert_eq!(a.with(cpu).contains(cpu), cpu < MAX_CPUS);
        prop_assert!(!a.without(cpu).contains(cpu));
    }
}

// ---- vCPUs

#[test]
fn messages_name_the_cpu_and_the_reason() {
    for (message, parts) in [
        (HotplugError::Cpu0.to_string(), ["vCPU 0", "stays"]),
        (
            HotplugError::NoSuchCpu { cpu: 9 }.to_string(),
            ["no", "vCPU 9"],
        ),
        (
            HotplugError::WrongState {
                cpu: 3,
                state: CpuState::Leaving,
            }
            .to_string(),
            ["vCPU 3", "Leaving"],
        ),
        (Complaint::Cpu0.to_string(), ["vCPU 0", "stays"]),
        (
            Complaint::Junk {
                cpu: 2,
                value: Text::new(b"may\nbe"),
            }
            .to_string(),
            ["cpu/2/availability", "may?be"],
        ),
        (
            Complaint::Unreadable {
                cpu: 5,
                error: StoreError::Denied,
            }
            .to_string(),
            ["cpu/5/availability", "not allowed"],
        ),
        (
            StoreError::Conflicts { tries: 4 }.to_string(),
            ["conflict", "4"],
        ),
        (
            StoreError::from_wire(b"EROFS").to_string(),
            ["xenstored", "EROFS"],
        ),
        (StoreError::Quota.to_string(), ["quota", "used up"]),
        (Refusal::Unknown.to_string(), ["unknown", "request"]),
        (Refusal::NotAccepted.to_string(), ["guest", "does not"]),
        (Refusal::GoingDown.to_string(), ["guest", "going down"]),
    ] {
        for part in parts {
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        }
    }
}

#[test]
fn the_life_of_a_vcpu() {
    let mut cpus = Cpus::at_boot(4);
    assert_eq!(cpus.online(), set(&[0]));
    assert_eq!(cpus.start(1), Ok(BringUp::InitialiseAndUp));
    assert_eq!(cpus.in_transit(), set(&[1]));
    cpus.started(1).unwrap();
    cpus.leave(1).unwrap();
    cpus.left(1).unwrap();
    assert_eq!(cpus.state(1), Some(CpuState::Offline { initialised: true }));

    // In the same domain Xen still has its registers.
    cpus.returned(Return::Cancelled);
    cpus.returned(Return::Failed);
    assert_eq!(cpus.start(1), Ok(BringUp::Up));
    cpus.start_failed(1, true).unwrap();

    // In a new one it has not.
    cpus.returned(Return::Restored);
    assert_eq!(cpus.start(1), Ok(BringUp::InitialiseAndUp));
    cpus.started(1).unwrap();

    // An online vCPU is not touched by a restore.
    cpus.returned(Return::Restored);
    assert_eq!(cpus.state(1), Some(CpuState::Online));
}

#[test]
fn the_state_of_a_vcpu_follows_what_is_seen_of_it() {
    use Change::{Came, Went};
    use CpuState::{Leaving, Offline, Online, Starting};
    let down = Offline { initialised: true };
    type Way = (CpuState, fn(&mut Cpus));
    let states: [Way; 5] = [
        (Offline { initialised: false }, |_| {}),
        (Starting, |cpus| {
            cpus.start(1).unwrap();
        }),
        (Online, |cpus| {
            cpus.start(1).unwrap();
            cpus.started(1).unwrap();
        }),
        (Leaving, |cpus| {
            cpus.start(1).unwrap();
            cpus.started(1).unwrap();
            cpus.leave(1).unwrap();
        }),
        (down, |cpus| {
            cpus.start(1).unwrap();
            cpus.start_failed(1, true).unwrap();
        }),
    ];
    for (state, reach) in states {
        for (up, working) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut cpus = Cpus::at_boot(2);
            reach(&mut cpus);
            assert_eq!(cpus.state(1), Some(state));
            let change = cpus.observe(1, Seen { up, working }).unwrap();
            let expected = match (state, up, working) {
                // It came after all; or nobody expected it.
                (Starting | Offline { .. }, true, true) => (Online, Some(Came)),
                // It went after all; or it was taken away.
                (Starting | Leaving | Online, false, false) => (down, Some(Went)),
                // On its way still, or as it should be.
                _ => (state, None),
            };
            assert_eq!((cpus.state(1), change), (Some(expected.0), expected.1));
        }
    }
    // One that left late is offline, and can be had again.
    let mut cpus = Cpus::at_boot(2);
    cpus.start(1).unwrap();
    cpus.started(1).unwrap();
    cpus.leave(1).unwrap();
    let gone = Seen {
        up: false,
        working: false,
    };
    assert_eq!(cpus.observe(1, gone), Ok(Some(Went)));
    assert_eq!(cpus.start(1), Ok(BringUp::Up));
    assert_eq!(
        cpus.observe(2, gone),
        Err(HotplugError::NoSuchCpu { cpu: 2 })
    );
}

#[test]
fn a_restored_domain_may_have_another_number_of_vcpus() {
    let mut cpus = Cpus::at_boot(4);
    cpus.start(2).unwrap();
    cpus.started(2).unwrap();
    cpus.set_count(6);
    assert_eq!((cpus.count(), cpus.online()), (6, set(&[0, 2])));
    assert_eq!(cpus.start(5), Ok(BringUp::InitialiseAndUp));
    cpus.start_failed(5, true).unwrap();
    // Fewer, and later more: those that were gone are new.
    cpus.set_count(3);
    assert_eq!(cpus.start(5), Err(HotplugError::NoSuchCpu { cpu: 5 }));
    cpus.set_count(6);
    assert_eq!(cpus.start(5), Ok(BringUp::InitialiseAndUp));
    // Never fewer than those that run.
    cpus.set_count(0);
    assert_eq!((cpus.count(), cpus.online()), (6, set(&[0, 2])));
    cpus.start_failed(5, false).unwrap();
    cpus.set_count(0);
    assert_eq!((cpus.count(), cpus.online()), (3, set(&[0, 2])));
    cpus.set_count(100_000);
    assert_eq!(cpus.count(), MAX_CPUS);
}

#[test]
fn transitions_that_are_not_allowed_are_refused_and_change_nothing() {
    let mut cpus = Cpus::at_boot(2);
    let before = format!("{cpus:?}");
    assert_eq!(cpus.leave(0), Err(HotplugError::Cpu0));
    assert_eq!(
        cpus.start(0),
        Err(HotplugError::WrongState {
            cpu: 0,
            state: CpuState::Online
        })
    );
    assert_eq!(cpus.start(2), Err(HotplugError::NoSuchCpu { cpu: 2 }));
    assert_eq!(
        cpus.start(usize::MAX),
        Err(HotplugError::NoSuchCpu { cpu: usize::MAX })
    );
    for result in [
        cpus.started(1),
        cpus.leave(1),
        cpus.left(1),
        cpus.leave_failed(1),
        cpus.start_failed(1, true),
    ] {
        assert!(
            matches!(result, Err(HotplugError::WrongState { cpu: 1, .. })),
            "{result:?}"
        );
    }
    assert_eq!(format!("{cpus:?}"), before);
    assert_eq!(cpus.count(), 2);
    assert_eq!(Cpus::at_boot(0).count(), 1);
    assert_eq!(Cpus::at_boot(1000).count(), MAX_CPUS);
    cpus.start(1).unwrap();
    assert!(cpus.start(1).is_err());
    cpus.started(1).unwrap();
    cpus.leave(1).unwrap();
    cpus.leave_failed(1).unwrap();
    assert_eq!(cpus.online(), set(&[0, 1]));
}

#[test]
fn a_suspend_and_an_operation_shut_each_other_out_and_the_loser_is_remembered() {
    let lockout = Lockout::new();
    let operation = lockout.begin().unwrap();
    assert_eq!(lockout.hold().unwrap_err(), Taken::ByOperation);
    assert!(
        !operation.end(),
        "a suspend that waits is not a missed request"
    );

    let hold = lockout.hold().unwrap();
    assert_eq!(lockout.hold().unwrap_err(), Taken::BySuspend);
    assert_eq!(lockout.begin().unwrap_err(), Taken::BySuspend);
    assert_eq!(
        lockout.begin().unwrap_err(),
        Taken::BySuspend,
        "a second one does not wipe out the first"
    );
    assert!(hold.release());
    assert!(!lockout.hold().unwrap().release(), "told once");

    let operation = lockout.begin().unwrap();
    assert_eq!(lockout.begin().unwrap_err(), Taken::ByOperation);
    assert!(operation.end());

    let hold = lockout.hold().unwrap();
    assert!(lockout.begin().is_err());
    drop(hold);
    let operation = lockout.begin().unwrap();
    assert!(operation.end(), "dropping a hold keeps the mark");
    drop(lockout.begin().unwrap());
    assert!(!lockout.hold().unwrap().release());
}
