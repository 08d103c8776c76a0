//! Backends that come, go, stay away and begin anew.

mod support;

use std::time::Duration;

use frontends::blk::{Blkfront, Failure, Rejected, Request, Wishes};
use frontends::{Limits, Phase, Problem, State, Wait};
use migration::{Blame, Party};
use support::blkback::{Blkback, Offers};
use support::Guest;

type Disk = Blkfront<Guest, 4, 64, 256>;

fn disk(number: u32) -> Box<Disk> {
    Box::new(Disk::new(number, Wishes::ALL, Limits::DEFAULT))
}

fn follow(guest: &mut Guest, disk: &mut Disk, back: &mut Blkback) {
    for _ in 0..4 {
        guest.pass(200);
        disk.watch_fired("frontend/vbd/51712");
        disk.poll(guest).unwrap();
        back.connect(guest);
    }
    disk.watch_fired("frontend/vbd/51712");
    disk.poll(guest).unwrap();
}

fn connected(guest: &mut Guest) -> (Box<Disk>, Blkback) {
    let mut back = Blkback::new(guest, 51712, 5, Offers::ALL);
    let mut disk = disk(51712);
    back.offer(guest);
    follow(guest, &mut disk, &mut back);
    assert_eq!(disk.phase(), Phase::Connected);
    (disk, back)
}

/// Polls for a time; gives the errors.
fn wait(guest: &mut Guest, disk: &mut Disk, seconds: u64) -> Vec<Problem> {
    let mut said = Vec::new();
    for _ in 0..seconds * 10 {
        guest.pass(100);
        disk.watch_fired("frontend/vbd/51712");
        said.extend(disk.poll(guest).err().map(|error| error.problem));
    }
    said
}

fn late(wait: Wait) -> Problem {
    let limit = Limits::DEFAULT.of(wait);
    Problem::Late { wait, limit }
}

#[test]
fn each_wait_has_a_name_and_is_told_once() {
    let mut guest = Guest::default();
    let back = Blkback::new(&mut guest, 51712, 5, Offers::ALL);
    let mut disk = disk(51712);
    // It stays at 1; then at 2.
    let said = wait(&mut guest, &mut disk, 60);
    assert_eq!(said, [late(Wait::Offer), late(Wait::Return)]);
    back.offer(&mut guest);
    let said = wait(&mut guest, &mut disk, 60);
    assert_eq!(said, [late(Wait::Connect)]);
    assert_eq!(disk.phase(), Phase::Offered);
    // And is welcome still.
    let mut back = back;
    follow(&mut guest, &mut disk, &mut back);
    assert_eq!(disk.phase(), Phase::Connected);
}

#[test]
fn the_error_names_the_backend_as_the_party() {
    let mut guest = Guest::default();
    Blkback::new(&mut guest, 51712, 5, Offers::ALL);
    let mut disk = disk(51712);
    disk.poll(&mut guest).unwrap();
    guest.pass(10_000);
    let error = disk.poll(&mut guest).unwrap_err();
    assert_eq!((error.party(), error.backend), (Party::Backend, 5));
    assert!(error
        .to_string()
        .starts_with("vbd 51712: backend in domain 5: waited 10s"));
}

#[test]
fn a_backend_that_begins_anew_is_given_new_rings_and_what_it_has_not_answered() {
    // By way of 5 and 6, of 6 alone, and from 2 at once.
    for way in [&[State::Closing, State::Closed][..], &[State::Closed], &[]] {
        let mut guest = Guest::default();
        let (mut disk, mut back) = connected(&mut guest);
        disk.submit(
            &mut guest,
            1,
            Request::Write {
                sector: 0,
                data: &[7; 4096],
            },
        )
        .unwrap();
        back.take(&mut guest);
        back.unmap(&mut guest);
        for state in way {
            back.state(&mut guest, *state);
            wait(&mut guest, &mut disk, 11);
        }
        assert_eq!(disk.waiting(), 1, "{way:?}");
        let ours = back.front_state(&guest);
        assert_eq!(ours, if way.is_empty() { 4 } else { 1 }, "{way:?}");
        back.offer(&mut guest);
        follow(&mut guest, &mut disk, &mut back);
        assert_eq!(
            (disk.phase(), disk.connections()),
            (Phase::Connected, 2),
            "{way:?}"
        );
        back.work(&mut guest);
        disk.poll(&mut guest).unwrap();
        assert_eq!(disk.answer(&mut guest, &mut []).unwrap().result, Ok(4096));
        assert!(disk.answer(&mut guest, &mut []).is_none());
        assert_eq!(back.disk[..4096], [7; 4096]);
        assert!(guest.trespasses.is_empty(), "{:?}", guest.trespasses);
    }
}

#[test]
fn connected_twice_is_once_and_a_new_size_is_seen() {
    let mut guest = Guest::default();
    let (mut disk, back) = connected(&mut guest);
    back.put(&mut guest, "sectors", 4096);
    back.state(&mut guest, State::Connected);
    assert_eq!(disk.poll(&mut guest), Ok(()));
    assert_eq!(disk.info().unwrap().sectors, 2048, "no watch, no look");
    assert!(disk.watch_fired("frontend/vbd/51712"));
    assert!(!disk.watch_fired("frontend/vbd/5171"));
    disk.poll(&mut guest).unwrap();
    assert_eq!(disk.info().unwrap().sectors, 4096);
    assert_eq!(disk.connections(), 1);
}

#[test]
fn a_detach_waits_for_what_is_in_flight_and_then_the_device_is_gone() {
    let mut guest = Guest::default();
    let (mut disk, mut back) = connected(&mut guest);
    disk.submit(&mut guest, 1, Request::Flush).unwrap();
    back.put(&mut guest, "online", 0);
    back.state(&mut guest, State::Closing);
    assert_eq!(wait(&mut guest, &mut disk, 1), []);
    assert_eq!(
        (disk.phase(), back.front_state(&guest)),
        (Phase::Draining, 4)
    );
    back.work(&mut guest);
    assert_eq!(wait(&mut guest, &mut disk, 1), []);
    assert_eq!(back.front_state(&guest), State::Closed.number());
    assert_eq!(disk.answer(&mut guest, &mut []).unwrap().result, Ok(0));
    back.unmap(&mut guest);
    back.state(&mut guest, State::Closed);
    assert_eq!(wait(&mut guest, &mut disk, 1), []);
    assert_eq!(
        back.front_state(&guest),
        State::Closed.number(),
        "it does not begin anew"
    );
    disk.submit(&mut guest, 2, Request::Flush).unwrap();
    let (front, path) = (back.front(), back.path());
    guest.store.delete(&front);
    guest.store.delete(&path);
    assert_eq!(wait(&mut guest, &mut disk, 1), [Problem::Gone]);
    assert_eq!(
        disk.answer(&mut guest, &mut []).unwrap().result,
        Err(Failure::Gone)
    );
    assert_eq!(
        disk.submit(&mut guest, 3, Request::Flush),
        Err(Rejected::NotReady)
    );
    assert!(disk.retire(&mut guest));
    assert_eq!((guest.pages_out(), guest.grants_out()), (0, 0));
    assert!(guest.store.watches.is_empty());
}

#[test]
fn a_place_for_a_device_takes_another_number_only_when_it_is_free() {
    let mut guest = Guest::default();
    let mut disk = disk(0);
    assert!(disk.renumber(51712));
    let mut back = Blkback::new(&mut guest, 51712, 5, Offers::ALL);
    back.offer(&mut guest);
    follow(&mut guest, &mut disk, &mut back);
    assert_eq!(disk.phase(), Phase::Connected);
    assert!(!disk.renumber(51728));
    let (front, path) = (back.front(), back.path());
    guest.store.delete(&front);
    guest.store.delete(&path);
    disk.look_again();
    assert_eq!(disk.poll(&mut guest).unwrap_err().problem, Problem::Gone);
    back.unmap(&mut guest);
    assert!(disk.retire(&mut guest) && disk.renumber(51728));
    let again = Blkback::new(&mut guest, 51728, 6, Offers::ALL);
    again.offer(&mut guest);
    disk.poll(&mut guest).unwrap();
    assert_eq!(disk.phase(), Phase::Offered);
    assert_eq!(disk.backend_domain(), Some(6));
}

#[test]
fn a_backend_that_does_not_answer_before_it_closes_is_left() {
    let mut guest = Guest::default();
    let (mut disk, back) = connected(&mut guest);
    disk.submit(&mut guest, 1, Request::Flush).unwrap();
    back.state(&mut guest, State::Closing);
    assert_eq!(wait(&mut guest, &mut disk, 20), [late(Wait::Drain)]);
    assert_eq!(back.front_state(&guest), State::Closed.number());
    assert_eq!(wait(&mut guest, &mut disk, 31), [late(Wait::Return)]);
    assert_eq!(
        disk.answer(&mut guest, &mut []).unwrap().result,
        Err(Failure::Gone)
    );
}

/// A driver domain dies with everything mapped, and another takes its place.
#[test]
fn a_dead_backend_s_pages_are_not_used_again_before_it_lets_go() {
    let mut guest = Guest::default();
    let (mut disk, mut back) = connected(&mut guest);
    disk.submit(
        &mut guest,
        1,
        Request::Write {
            sector: 0,
            data: &[9; 8192],
        },
    )
    .unwrap();
    back.take(&mut guest);
    for asked in back.held.clone() {
        asked.segments.iter().for_each(|s| guest.map(s.0));
    }
    let grant = back.held[0].segments[0].0;
    let path = back.path();
    guest.store.delete(&path);
    assert_eq!(wait(&mut guest, &mut disk, 1), []);
    assert_eq!(disk.lingering().0, 4 + 2, "rings and data");
    // What it writes now reaches nobody.
    guest.backend_write(grant, 5, 0, &[0; 512]);
    let mut new = Blkback::new(&mut guest, 51712, 6, Offers::LEAST);
    new.offer(&mut guest);
    follow(&mut guest, &mut disk, &mut new);
    assert_eq!(disk.backend_domain(), Some(6));
    new.work(&mut guest);
    assert_eq!(new.disk[..8192], [9; 8192]);
    disk.poll(&mut guest).unwrap();
    assert_eq!(disk.answer(&mut guest, &mut []).unwrap().result, Ok(8192));
    assert_eq!(disk.lingering(), (6, 0));
    guest.unmap_all();
    disk.poll(&mut guest).unwrap();
    assert_eq!(disk.lingering(), (0, 0));
}

#[test]
fn a_backend_that_comes_and_goes_gets_rings_at_a_growing_interval() {
    let mut guest = Guest::default();
    let (mut disk, back) = connected(&mut guest);
    let before = guest.store.log.len();
    for i in 0..600 {
        guest.pass(100);
        back.state(
            &mut guest,
            if i % 2 == 0 {
                State::Closed
            } else {
                State::InitWait
            },
        );
        disk.watch_fired("frontend/vbd/51712");
        let _ = disk.poll(&mut guest);
    }
    let offers = guest.store.log[before..]
        .iter()
        .filter(|(path, _)| path.ends_with("/protocol"));
    let offers = offers.count();
    assert!((3..20).contains(&offers), "{offers} in a minute");
}

#[test]
fn rings_of_an_earlier_kernel_are_closed_first() {
    let mut guest = Guest::default();
    let mut back = Blkback::new(&mut guest, 51712, 0, Offers::ALL);
    back.state(&mut guest, State::Connected);
    let mut disk = disk(51712);
    disk.poll(&mut guest).unwrap();
    assert_eq!(back.front_state(&guest), State::Closing.number());
    back.state(&mut guest, State::Closing);
    disk.poll(&mut guest).unwrap();
    assert_eq!(back.front_state(&guest), State::Closed.number());
    back.state(&mut guest, State::Closed);
    disk.poll(&mut guest).unwrap();
    assert_eq!(back.front_state(&guest), State::Initialising.number());
    back.offer(&mut guest);
    follow(&mut guest, &mut disk, &mut back);
    assert_eq!(disk.phase(), Phase::Connected);
}

#[test]
fn nodes_that_make_no_sense_are_refused_by_name() {
    for (node, value) in [
        ("sectors", "many"),
        ("sectors", "99999999999999999999999"),
        ("sector-size", "513"),
        ("sector-size", "8192"),
        ("info", "-1"),
        ("feature-max-indirect-segments", "0x10"),
    ] {
        let mut guest = Guest::default();
        let mut back = Blkback::new(&mut guest, 51712, 0, Offers::ALL);
        let mut disk = disk(51712);
        back.offer(&mut guest);
        disk.poll(&mut guest).unwrap();
        assert!(back.connect(&mut guest));
        back.put(&mut guest, node, value);
        let error = disk.poll(&mut guest).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(&format!("`{node}` is \"{value}\"")), "{said}");
        assert_eq!(error.party(), Party::Backend);
        assert_eq!(
            (disk.phase(), guest.grants_out()),
            (Phase::Waiting, 4),
            "rings are mapped"
        );
        assert_eq!(disk.lingering().0, 4);
    }
}

/// Every call to xenstore fails in turn: nothing is lost, and the next poll goes on.
#[test]
fn a_xenstore_that_fails_at_any_point_is_asked_again() {
    for fail in 0..70 {
        let mut guest = Guest::default();
        let mut back = Blkback::new(&mut guest, 51712, 0, Offers::ALL);
        let mut disk = disk(51712);
        guest.store.fail_in = Some(fail);
        back.offer(&mut guest);
        for _ in 0..20 {
            guest.pass(150);
            let _ = disk.poll(&mut guest);
            if back.connect(&mut guest) {
                continue;
            }
            if disk.phase() != Phase::Connected && back.front_state(&guest) == 1 {
                back.unmap(&mut guest);
                back.offer(&mut guest);
            }
        }
        assert_eq!(disk.phase(), Phase::Connected, "call {fail} failed");
        disk.submit(&mut guest, 1, Request::Flush).unwrap();
        back.work(&mut guest);
        disk.poll(&mut guest).unwrap();
        assert_eq!(disk.answer(&mut guest, &mut []).unwrap().result, Ok(0));
        assert!(guest.grants_out() <= 8, "{} grants", guest.grants_out());
    }
}

#[test]
fn several_disks_do_not_hold_each_other() {
    let mut guest = Guest::default();
    let numbers = [51712, 51728, 51744];
    let mut backs: Vec<_> = numbers
        .map(|n| Blkback::new(&mut guest, n, 0, Offers::ALL))
        .into();
    let mut disks = numbers.map(disk);
    for round in 0..4 {
        for (i, (disk, back)) in disks.iter_mut().zip(&mut backs).enumerate() {
            // The second never comes.
            if i != 1 && round == 0 {
                back.offer(&mut guest);
            }
            disk.poll(&mut guest).unwrap();
            if i != 1 {
                back.connect(&mut guest);
            }
        }
    }
    let phases = disks.each_ref().map(|disk| disk.phase());
    assert_eq!(phases, [Phase::Connected, Phase::Waiting, Phase::Connected]);
    guest.now += Duration::from_secs(10);
    assert!(disks[0].poll(&mut guest).is_ok() && disks[1].poll(&mut guest).is_err());
}

#[test]
fn devices_that_come_and_go_are_told_once() {
    use frontends::{Change, Name, Roster};
    let name = |number| Name {
        kind: "vbd",
        number,
    };
    let mut guest = Guest::default();
    let mut roster: Roster<2> = Roster::new("vbd");
    let scan = |guest: &mut Guest, roster: &mut Roster<2>| {
        let mut seen = Vec::new();
        roster
            .scan(guest, |change| seen.push(change))
            .map(|()| seen)
    };
    assert_eq!(scan(&mut guest, &mut roster), Ok(vec![]));
    roster.watch(&mut guest).unwrap();
    roster.watch(&mut guest).unwrap();
    assert!(roster.is_token("frontends/vbd") && !roster.is_token("frontends/vif"));
    for number in [51712, 51728] {
        Blkback::new(&mut guest, number, 0, Offers::ALL);
    }
    guest.store.set("device/vbd/nonsense/state", 1);
    let came = vec![Change::Came(name(51712)), Change::Came(name(51728))];
    assert_eq!(scan(&mut guest, &mut roster), Ok(came));
    assert_eq!(scan(&mut guest, &mut roster), Ok(vec![]));
    Blkback::new(&mut guest, 51744, 0, Offers::ALL);
    assert_eq!(
        scan(&mut guest, &mut roster),
        Ok(vec![Change::TooMany(name(51744))])
    );
    // One fails, and nothing is forgotten.
    guest.store.fail_in = Some(0);
    assert!(scan(&mut guest, &mut roster).is_err());
    guest.store.delete("device/vbd/51712");
    let changed = vec![Change::Went(name(51712)), Change::Came(name(51744))];
    assert_eq!(scan(&mut guest, &mut roster), Ok(changed));
    assert_eq!(roster.names().count(), 2);
}

/// A backend that reads the nodes while they are written must not find state 3 above them.
#[test]
fn new_rings_are_not_named_below_the_state_of_the_old_ones() {
    let mut guest = Guest::default();
    let mut back = Blkback::new(&mut guest, 51712, 0, Offers::ALL);
    let mut disk = disk(51712);
    back.offer(&mut guest);
    disk.poll(&mut guest).unwrap();
    assert!(back.connect(&mut guest));
    back.put(&mut guest, "sectors", "nonsense");
    disk.poll(&mut guest).unwrap_err();
    assert_eq!(back.front_state(&guest), State::Initialised.number());
    back.unmap(&mut guest);
    back.state(&mut guest, State::InitWait);
    let before = guest.store.log.len();
    guest.pass(1000);
    disk.poll(&mut guest).unwrap();
    let written: Vec<_> = guest.store.log[before..]
        .iter()
        .map(|(path, value)| (path.rsplit('/').next().unwrap(), value.as_str()))
        .collect();
    assert_eq!(written.first(), Some(&("state", "1")));
    assert_eq!(written.last(), Some(&("state", "3")));
}
