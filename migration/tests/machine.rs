//! Every transition and every undo of the suspend machine, each failed in turn.

mod support;

use std::time::Duration;

use migration::shutdown::Acknowledgement;
use migration::xenstore::StoreError;
use migration::{
    Cause, Clock, Deadline, Limits, Machine, Member, Outcome, Participant, Party, Phase, Platform,
    Return, Role, Stage, LIBXL_SUSPEND_WINDOW,
};
use proptest::prelude::*;
use support::{called, devices, expected, run, Broken, Device, Guest, Sabotage, World, DOWN};

const ALL: usize = DOWN.len();

fn works_again(guest: &mut Guest) {
    guest.world.sabotage.borrow_mut().clear();
    guest.world.take_journal();
    guest.answer(Acknowledgement::Given);
    let resumed = run(guest, Limits::DEFAULT).expect("the next suspend works");
    assert!(resumed.faults.is_empty());
    assert_eq!(
        guest.world.take_journal(),
        expected(ALL, ALL, resumed.outcome.into())
    );
}

#[test]
fn down_and_back_in_exactly_the_reverse_order() {
    for outcome in [Outcome::Cancelled, Outcome::Restored] {
        let world = World::new();
        let mut guest = Guest::new(&world);
        guest.outcome = outcome;
        let resumed = run(&mut guest, Limits::DEFAULT).unwrap();
        assert_eq!(resumed.outcome, outcome);
        assert!(resumed.faults.is_empty());
        assert_eq!(world.take_journal(), expected(ALL, ALL, outcome.into()));
        works_again(&mut guest);
    }
}

#[test]
fn the_order_of_the_way_down_and_back_spelt_out() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    guest.outcome = Outcome::Restored;
    run(&mut guest, Limits::DEFAULT).unwrap();
    assert_eq!(
        world.take_journal(),
        [
            "churn/requested",
            "acknowledge",
            "hold_hotplug",
            "churn",
            "disk",
            "store",
            "park",
            "drain",
            "unlink_windows",
            "audit",
            "churn/alone",
            "store/alone",
            "clock/alone",
            "detach",
            "suspend",
            "reattach: restored",
            "clock/alone: restored",
            "store/alone: restored",
            "churn/alone: restored",
            "relink_windows: restored",
            "gate opens",
            "unpark: restored",
            "store: restored",
            "disk: restored",
            "churn: restored",
            "release_hotplug: restored",
            "churn/requested: restored",
            "reread: restored",
        ]
    );
}

#[test]
fn each_step_fails_in_turn_and_exactly_what_was_done_is_undone() {
    for (i, (step, _, phase)) in DOWN.into_iter().enumerate() {
        let world = World::new();
        let mut guest = Guest::new(&world);
        guest.outcome = Outcome::Restored;
        world.sabotage(step, Sabotage::Fail);
        let failure = run(&mut guest, Limits::DEFAULT).unwrap_err();
        assert_eq!(failure.step, called(step));
        assert_eq!(failure.phase, phase, "{step}");
        let (cause, party) = match step {
            "acknowledge" => (Cause::Store(StoreError::TimedOut), Party::Toolstack),
            "suspend" => (Cause::Step(Broken(step.to_string())), Party::Xen),
            _ => (Cause::Step(Broken(step.to_string())), Party::Guest),
        };
        assert_eq!((&failure.cause, failure.party), (&cause, party), "{step}");
        // Whatever the hypercall would have said: it failed, so the way back is that of a failure.
        assert_eq!(
            world.take_journal(),
            expected(i + 1, i, Return::Failed),
            "{step}"
        );
        let message = failure.to_string();
        assert!(
            message.contains(phase.name()) && message.contains(called(step)),
            "{message}"
        );
        works_again(&mut guest);
    }
}

/// How many steps of the way down have been done when the machine sees that step `i` was late. In
/// [`Stage::Alone`] nobody waits, so it looks at the clock at the end.
fn seen_late(i: usize) -> usize {
    match DOWN[i].0.ends_with("/alone") {
        true => ALL - 1,
        false => i + 1,
    }
}

#[test]
fn each_step_is_late_in_turn_and_is_undone_with_the_others() {
    // All but the hypercall, whose time nobody limits.
    for (i, (step, _, phase)) in DOWN[..ALL - 1].iter().copied().enumerate() {
        let world = World::new();
        let mut guest = Guest::new(&world);
        world.sabotage(step, Sabotage::Slow(Duration::from_secs(40)));
        let failure = run(&mut guest, Limits::DEFAULT).unwrap_err();
        let seen = seen_late(i);
        assert_eq!(failure.phase, phase, "{step}");
        assert_eq!(failure.step, called(DOWN[seen - 1].0), "{step}");
        assert_eq!(failure.party, Party::Guest);
        assert!(matches!(failure.cause, Cause::Late(_)), "{step}: {failure}");
        assert_eq!(
            world.take_journal(),
            expected(seen, seen, Return::Failed),
            "{step}"
        );
        assert_eq!(world.hypercalls.get(), 0);
        works_again(&mut guest);
    }
}

#[test]
fn nobody_looks_at_the_clock_after_one_that_never_waits() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    let mut trim = Device::new(Role::new("trim").never_waits());
    let mut list = [Member::new(&mut trim)];
    world.sabotage("trim", Sabotage::Slow(Duration::from_secs(40)));
    let failure = Machine::new(&mut guest, &mut list, Limits::DEFAULT)
        .suspend()
        .unwrap_err();
    assert_eq!(failure.step, "park", "the next look");
}

/// Notes the deadline of each stage.
struct Watcher(Vec<(Stage, &'static str, Duration)>);

impl Participant<Guest> for Watcher {
    fn role(&self) -> Role {
        Role::new("watcher").stages(&[Stage::Requested, Stage::Awake, Stage::Alone])
    }
    fn suspend(&mut self, stage: Stage, guest: &mut Guest, until: Deadline) -> Result<(), Broken> {
        self.0.push((stage, until.name(), until.left(guest.now())));
        Ok(())
    }
}

#[test]
fn each_stage_has_the_deadline_of_its_step_and_detach_too() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    let mut watcher = Watcher(Vec::new());
    let mut list = [Member::new(&mut watcher)];
    let limits = Limits::DEFAULT;
    Machine::new(&mut guest, &mut list, limits)
        .suspend()
        .unwrap();
    // `hold_hotplug` has taken a millisecond of its step.
    let held = limits.quiesce - Duration::from_millis(1);
    assert_eq!(
        watcher.0,
        [
            (Stage::Requested, "acknowledging", limits.acknowledge),
            (Stage::Awake, "quiescing", held),
            (Stage::Alone, "detaching", limits.detach),
        ]
    );
    assert_eq!(guest.detach_until.unwrap().name(), "detaching");
}

#[test]
fn a_suspend_that_nobody_asked_for_answers_nobody() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    let asked = guest.asked.take();
    assert!(run(&mut guest, Limits::DEFAULT).is_ok());
    let journal = world.take_journal();
    assert!(!journal.iter().any(|step| step == "acknowledge"));
    assert_eq!(journal[1], "hold_hotplug");
    guest.asked = asked;
    works_again(&mut guest);
}

#[test]
fn a_long_time_in_the_hypercall_is_nobodys_fault() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    world.sabotage("suspend", Sabotage::Slow(Duration::from_secs(86_400)));
    assert!(run(&mut guest, Limits::DEFAULT).is_ok());
}

#[test]
fn steps_within_their_limits_may_still_be_late_together() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    // 14 + 19 + 14 + 4 = 51 s: each inside its own limit, together over the 50 s.
    for (step, seconds) in [("park", 14), ("drain", 19), ("audit", 14), ("detach", 4)] {
        world.sabotage(step, Sabotage::Slow(Duration::from_secs(seconds)));
    }
    let failure = run(&mut guest, Limits::DEFAULT).unwrap_err();
    match failure.cause {
        Cause::Late(late) => assert_eq!(late.limit, Limits::DEFAULT.until_suspended),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.hypercalls.get(), 0);
    works_again(&mut guest);
}

#[test]
fn the_time_of_the_acknowledgement_counts() {
    // It may be committed at once, and its reply come 29 s later: libxl's window is open all that
    // time.
    let world = World::new();
    let mut guest = Guest::new(&world);
    for (step, seconds) in [("acknowledge", 29), ("park", 14), ("drain", 15)] {
        world.sabotage(step, Sabotage::Slow(Duration::from_secs(seconds)));
    }
    let failure = run(&mut guest, Limits::DEFAULT).unwrap_err();
    assert!(matches!(failure.cause, Cause::Late(_)), "{failure}");
    assert_eq!(world.hypercalls.get(), 0);
    works_again(&mut guest);
}

#[test]
fn a_domain_that_was_paused_right_before_the_call_does_not_make_it() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    world
        .paused_after
        .set(Some((Phase::Detached, Duration::from_secs(60))));
    let failure = run(&mut guest, Limits::DEFAULT).unwrap_err();
    assert!(matches!(failure.cause, Cause::Late(_)), "{failure}");
    assert_eq!((failure.phase, failure.step), (Phase::Suspended, "suspend"));
    assert_eq!(world.hypercalls.get(), 0);
    // Everything that was detached is there again.
    assert_eq!(
        world.take_journal(),
        expected(ALL - 1, ALL - 1, Return::Failed)
    );
    world.paused_after.set(None);
    works_again(&mut guest);
}

#[test]
fn limits_outside_libxls_windows_are_refused_before_anything_is_done() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    let limits = Limits {
        until_suspended: LIBXL_SUSPEND_WINDOW,
        ..Limits::DEFAULT
    };
    let failure = run(&mut guest, limits).unwrap_err();
    assert_eq!(failure.cause, Cause::LimitsTooLong);
    assert_eq!(failure.phase, Phase::Requested);
    assert_eq!(world.take_journal(), Vec::<String>::new());
    works_again(&mut guest);
}

#[test]
fn a_withdrawn_request_suspends_nothing() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    guest.answer(Acknowledgement::Withdrawn);
    let failure = run(&mut guest, Limits::DEFAULT).unwrap_err();
    assert_eq!(failure.cause, Cause::Withdrawn);
    assert_eq!(failure.party, Party::Toolstack);
    assert_eq!(failure.phase, Phase::Acknowledged);
    // What is suspended before the acknowledgement comes back too.
    assert_eq!(world.take_journal(), expected(2, 1, Return::Failed));
    works_again(&mut guest);
}

/// Every step of the way back that can fail, by the journal's name.
fn back_steps(outcome: Outcome) -> Vec<String> {
    expected(ALL, ALL, outcome.into())[ALL..]
        .iter()
        .filter(|step| *step != "gate opens" && !step.starts_with("release_hotplug"))
        .cloned()
        .collect()
}

#[test]
fn a_fault_on_the_way_back_stops_nothing_and_is_reported() {
    for outcome in [Outcome::Cancelled, Outcome::Restored] {
        for step in back_steps(outcome) {
            let world = World::new();
            let mut guest = Guest::new(&world);
            guest.outcome = outcome;
            world.sabotage(&step, Sabotage::Fail);
            let resumed = run(&mut guest, Limits::DEFAULT).unwrap();
            assert_eq!(resumed.outcome, outcome);
            assert_eq!(resumed.faults.count(), 1, "{step}");
            let first = resumed.faults.first().unwrap();
            assert_eq!(first.cause, Cause::Step(Broken(step.clone())));
            assert_eq!(first.step, called(&step));
            // What the domain cannot live without is told before the way back goes on.
            let vital = ["reattach", "clock"].contains(&first.step);
            assert_eq!(world.lost.take(), [first.step][..usize::from(vital)]);
            assert_eq!(world.take_journal(), expected(ALL, ALL, outcome.into()));
            works_again(&mut guest);
        }
    }
}

#[test]
fn all_steps_of_the_way_back_fail_and_all_are_counted() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    guest.outcome = Outcome::Restored;
    let steps = back_steps(Outcome::Restored);
    for step in &steps {
        world.sabotage(step, Sabotage::Fail);
    }
    let resumed = run(&mut guest, Limits::DEFAULT).unwrap();
    assert!(!resumed.faults.is_empty());
    assert_eq!(resumed.faults.count() as usize, steps.len());
    assert_eq!(resumed.faults.first().unwrap().step, "reattach");
    assert_eq!(world.lost.take(), ["reattach", "clock"]);
    works_again(&mut guest);
}

#[test]
fn a_cpu_that_is_slow_to_come_back_is_a_fault() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    world.sabotage("unpark: cancelled", Sabotage::Slow(Duration::from_secs(60)));
    let resumed = run(&mut guest, Limits::DEFAULT).unwrap();
    assert_eq!(resumed.faults.count(), 1);
    assert!(matches!(
        resumed.faults.first().unwrap().cause,
        Cause::Late(_)
    ));
    assert_eq!(resumed.faults.first().unwrap().step, "unpark");
}

#[test]
fn faults_of_an_undo_before_the_hypercall_are_kept_by_the_machine() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    world.sabotage("audit", Sabotage::Fail);
    world.sabotage("unpark: failed", Sabotage::Fail);
    let mut disk = Device::new(Role::new("disk"));
    let mut list = [Member::new(&mut disk)];
    let mut machine = Machine::new(&mut guest, &mut list, Limits::DEFAULT);
    assert_eq!(machine.suspend().unwrap_err().step, "audit");
    assert_eq!(machine.faults().count(), 1);
    assert_eq!(machine.faults().first().unwrap().step, "unpark");
    world.sabotage.borrow_mut().clear();
    assert!(machine.suspend().unwrap().faults.is_empty());
}

#[test]
fn leaving_the_chain_at_each_state_undoes_it() {
    // How many steps of the way down each state stands for.
    for (state, done) in [(0, 0), (1, 3), (2, 7), (3, 9), (4, 10), (5, 14)] {
        let world = World::new();
        let mut guest = Guest::new(&world);
        {
            let mut devices = devices();
            let mut list = devices.each_mut().map(|device| Member::new(device));
            let mut machine = Machine::new(&mut guest, &mut list, Limits::DEFAULT);
            let requested = machine.request().unwrap();
            match state {
                0 => drop(requested),
                1 => drop(requested.acknowledge().unwrap()),
                2 => drop(requested.acknowledge().unwrap().quiesce().unwrap()),
                _ => {
                    let drained = requested
                        .acknowledge()
                        .unwrap()
                        .quiesce()
                        .unwrap()
                        .drain()
                        .unwrap();
                    let _: &support::Proof = drained.proof();
                    match state {
                        3 => drop(drained),
                        4 => drop(drained.audit().unwrap()),
                        _ => drop(drained.audit().unwrap().detach().unwrap()),
                    }
                }
            }
            assert!(machine.timeline().total().is_some());
        }
        assert_eq!(
            world.take_journal(),
            expected(done, done, Return::Failed),
            "state {state}"
        );
        works_again(&mut guest);
    }
}

#[test]
fn phases_are_told_and_timed_in_order() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    guest.outcome = Outcome::Restored;
    world.sabotage("drain", Sabotage::Slow(Duration::from_secs(3)));
    let resumed = run(&mut guest, Limits::DEFAULT).unwrap();
    let told: Vec<(Phase, Duration)> = world.phases.take();
    assert_eq!(
        told.iter().map(|t| t.0).collect::<Vec<_>>(),
        [
            Phase::Requested,
            Phase::Acknowledged,
            Phase::Quiesced,
            Phase::Drained,
            Phase::Audited,
            Phase::Detached,
            Phase::Suspended,
            Phase::Restored
        ]
    );
    assert_eq!(told, resumed.timeline.iter().collect::<Vec<_>>());
    // drain and unlink_windows.
    assert_eq!(
        resumed.timeline.step(Phase::Drained),
        Some(Duration::from_millis(3001))
    );
    assert!(resumed.timeline.total() > resumed.timeline.entered(Phase::Restored));

    // A failure leaves the phases that were reached, and no other.
    let mut guest = Guest::new(&world);
    world.sabotage("audit", Sabotage::Fail);
    run(&mut guest, Limits::DEFAULT).unwrap_err();
    let told: Vec<Phase> = world.phases.take().iter().map(|t| t.0).collect();
    assert_eq!(told.last(), Some(&Phase::Drained));
    assert!(!told.contains(&Phase::Cancelled));
}

/// A kernel with one vCPU and no pool needs the required steps only.
struct Small {
    calls: Vec<&'static str>,
}

impl Clock for Small {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl Platform for Small {
    type Error = &'static str;
    type Drained = ();
    type Store = support::Store;
    fn xenstore(&mut self) -> Option<&mut support::Store> {
        None
    }
    fn drain(&mut self, _: Deadline) -> Result<(), &'static str> {
        Ok(())
    }
    fn audit(&mut self, _: &(), _: Deadline) -> Result<(), &'static str> {
        Ok(())
    }
    fn detach(&mut self, _: &(), _: Deadline) -> Result<(), &'static str> {
        self.calls.push("detach");
        Ok(())
    }
    fn reattach(&mut self, _: Return) -> Result<(), &'static str> {
        self.calls.push("reattach");
        Ok(())
    }
    fn suspend(&mut self, _: &()) -> Result<Outcome, &'static str> {
        self.calls.push("suspend");
        Ok(Outcome::Restored)
    }
    fn reread(&mut self, _: Return) -> Result<(), &'static str> {
        self.calls.push("reread");
        Ok(())
    }
}

#[test]
fn a_small_kernel_can_use_it() {
    let mut small = Small { calls: Vec::new() };
    let resumed = Machine::new(&mut small, &mut [], Limits::DEFAULT)
        .suspend()
        .unwrap();
    assert_eq!(resumed.outcome, Outcome::Restored);
    assert_eq!(small.calls, ["detach", "suspend", "reattach", "reread"]);
}

#[test]
fn equal_orders_keep_the_order_of_the_list() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    let mut devices = [("a", 5), ("b", 5), ("c", 4), ("d", 5)]
        .map(|(name, order)| Device::new(Role::new(name).order(order)));
    let mut list = devices.each_mut().map(|device| Member::new(device));
    let mut machine = Machine::new(&mut guest, &mut list, Limits::DEFAULT);
    drop(
        machine
            .request()
            .unwrap()
            .acknowledge()
            .unwrap()
            .quiesce()
            .unwrap(),
    );
    assert_eq!(world.take_journal()[2..6], ["c", "a", "b", "d"]);
}

/// Takes every default: it is suspended without doing anything, awake, before the others.
struct Bystander;

impl Participant<Guest> for Bystander {
    fn role(&self) -> Role {
        Role::new("bystander")
    }
}

#[test]
fn a_participant_needs_a_role_only() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    assert_eq!(Bystander.role().stages, [Stage::Awake]);
    let (mut bystander, mut first) = (Bystander, Device::new(Role::new("first")));
    let mut list = [Member::new(&mut bystander), Member::new(&mut first)];
    let mut machine = Machine::new(&mut guest, &mut list, Limits::DEFAULT);
    for outcome in [Outcome::Cancelled, Outcome::Restored] {
        machine.platform().outcome = outcome;
        assert!(machine.suspend().unwrap().faults.is_empty());
    }
}

/// Only `undo` is written: a cancelled suspend is one more that is taken back.
struct Plain(Vec<Stage>);

impl Participant<Guest> for Plain {
    fn role(&self) -> Role {
        Role::new("plain").stages(&[Stage::Awake, Stage::Alone])
    }
    fn undo(&mut self, stage: Stage, _: &mut Guest) -> Result<(), Broken> {
        self.0.push(stage);
        Ok(())
    }
}

#[test]
fn a_cancelled_suspend_is_undone_unless_the_participant_says_otherwise() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    let mut plain = Plain(Vec::new());
    let mut list = [Member::new(&mut plain)];
    let mut machine = Machine::new(&mut guest, &mut list, Limits::DEFAULT);
    machine.suspend().unwrap();
    assert_eq!(plain.0, [Stage::Alone, Stage::Awake]);
}

/// Three frontends: `a` says at once that it is back, `b` after four looks, `c` never.
fn frontends() -> [Device; 3] {
    let mut list = ["a", "b", "c"]
        .map(|name| Device::new(Role::new(name).back_within(Duration::from_secs(3))));
    list[1].hesitates = 4;
    list[2].hesitates = u32::MAX;
    list
}

#[test]
fn a_device_that_does_not_come_back_is_named_and_holds_no_other() {
    let world = World::new();
    let mut guest = Guest::new(&world);
    guest.outcome = Outcome::Restored;
    let mut devices = frontends();
    let mut list = devices.each_mut().map(|device| Member::new(device));
    let mut machine = Machine::new(&mut guest, &mut list, Limits::DEFAULT);
    let resumed = machine.suspend().unwrap();
    assert_eq!(resumed.faults.count(), 1);
    let fault = resumed.faults.first().unwrap();
    assert_eq!(fault.step, "c");
    assert_eq!(fault.cause.to_string(), "c took longer than 3s");
    // All were waited for together: about three seconds in steps of 100 ms, not more.
    assert!((30..33).contains(&world.relaxed.get()));
    // Brought back before anybody was waited for; hotplug goes on when that is over.
    let journal = world.take_journal();
    let back = [
        "c: restored",
        "b: restored",
        "a: restored",
        "release_hotplug: restored",
    ];
    assert!(journal.windows(4).any(|steps| steps == back), "{journal:?}");
    // In the same domain nobody has to connect.
    world.relaxed.set(0);
    let mut list = devices[..2]
        .iter_mut()
        .map(|device| Member::new(device))
        .collect::<Vec<_>>();
    guest.outcome = Outcome::Cancelled;
    let resumed = Machine::new(&mut guest, &mut list, Limits::DEFAULT)
        .suspend()
        .unwrap();
    assert!(resumed.faults.is_empty());
    assert_eq!(world.relaxed.get(), 0);
}

#[test]
fn a_device_that_fails_while_it_is_waited_for_is_asked_no_more() {
    for step in ["a: is back", "b: is back", "b: restored"] {
        let world = World::new();
        let mut guest = Guest::new(&world);
        guest.outcome = Outcome::Restored;
        world.sabotage(step, Sabotage::Fail);
        let mut devices = frontends();
        let mut list = devices.each_mut().map(|device| Member::new(device));
        let mut machine = Machine::new(&mut guest, &mut list, Limits::DEFAULT);
        let resumed = machine.suspend().unwrap();
        // It, and the one that never comes.
        assert_eq!(resumed.faults.count(), 2, "{step}");
        let first = resumed.faults.first().unwrap();
        assert_eq!(first.cause, Cause::Step(Broken(step.to_string())));
        assert_eq!(first.step, called(step));
    }
}

fn any_sabotage() -> impl Strategy<Value = Sabotage> {
    prop_oneof![
        Just(Sabotage::Fail),
        (0u64..45_000).prop_map(|ms| Sabotage::Slow(Duration::from_millis(ms))),
    ]
}

/// One suspend of a random history: which steps are sabotaged and what the hypercall says.
fn any_round() -> impl Strategy<Value = (Vec<(String, Sabotage)>, Outcome, bool)> {
    let mut steps: Vec<String> = DOWN.iter().map(|d| d.0.to_string()).collect();
    for how in [Return::Failed, Return::Cancelled, Return::Restored] {
        steps.extend(expected(ALL, ALL, how)[ALL..].iter().cloned());
    }
    (
        proptest::collection::vec((proptest::sample::select(steps), any_sabotage()), 0..4),
        prop_oneof![Just(Outcome::Cancelled), Just(Outcome::Restored)],
        proptest::bool::weighted(0.1),
    )
}

proptest! {
    /// Whatever fails and however long it takes: what went down comes back in reverse order, each
    /// undo is told the same way back, the hypercall is only made with everything down and in time,
    /// and the next suspend starts clean.
    #[test]
    fn random_histories_always_end_running(rounds in proptest::collection::vec(any_round(), 1..12)) {
        let world = World::new();
        let mut guest = Guest::new(&world);
        for (sabotages, outcome, withdrawn) in rounds {
            world.sabotage.borrow_mut().clear();
            for (step, how) in &sabotages {
                world.sabotage(step, *how);
            }
            guest.outcome = outcome;
            guest.answer(if withdrawn {
                Acknowledgement::Withdrawn
            } else {
                Acknowledgement::Given
            });
            let calls_before = world.hypercalls.get();
            world.phases.take();
            let result = run(&mut guest, Limits::DEFAULT);
            let journal = world.take_journal();
            let called = journal.iter().take_while(|j| DOWN.iter().any(|d| d.0 == *j)).count();
            match result {
                Ok(resumed) => {
                    prop_assert_eq!(resumed.outcome, outcome);
                    prop_assert_eq!(called, ALL);
                    prop_assert_eq!(journal, expected(ALL, ALL, outcome.into()));
                    prop_assert_eq!(world.hypercalls.get(), calls_before + 1);
                    let waited = resumed.timeline.entered(Phase::Suspended).unwrap()
                        - resumed.timeline.entered(Phase::Requested).unwrap();
                    prop_assert!(waited <= Limits::DEFAULT.until_suspended);
                }
                Err(failure) => {
                    // A step that was late is undone; one that failed is not.
                    let done = if matches!(failure.cause, Cause::Late(_)) { called } else { called - 1 };
                    prop_assert_eq!(journal, expected(called, done, Return::Failed));
                    prop_assert_eq!(failure.phase, DOWN[called - 1].2);
                    let made = u32::from(failure.phase == Phase::Suspended);
                    prop_assert_eq!(world.hypercalls.get(), calls_before + made);
                }
            }
        }
        works_again(&mut guest);
    }
}
