//! Several devices as participants of one suspend.

mod support;

use std::cell::RefCell;
use std::rc::Rc;

use frontends::blk::{self, Blkfront, Request};
use frontends::net::{self, Netfront};
use frontends::{Limits, Phase};
use migration::{Machine, Member, Outcome};
use support::blkback::{self, Blkback};
use support::netback::{self, Netback};
use support::Guest;

type Disk = Blkfront<Guest, 4, 64, 256>;
type Nic = Netfront<Guest, 4, 64>;

fn up(guest: &mut Guest, disk: &mut Disk, nics: &mut [&mut Nic]) -> (Blkback, Vec<Netback>) {
    let mut back = Blkback::new(guest, 51712, 0, blkback::Offers::ALL);
    let mut netbacks = Vec::new();
    back.offer(guest);
    for number in 0..nics.len() {
        let netback = Netback::new(guest, number as u32, 0, netback::Offers::ALL);
        netback.offer(guest);
        netbacks.push(netback);
    }
    for _ in 0..3 {
        disk.poll(guest).unwrap();
        back.connect(guest);
        for (nic, netback) in nics.iter_mut().zip(&mut netbacks) {
            nic.poll(guest).unwrap();
            netback.connect(guest);
        }
    }
    (back, netbacks)
}

/// Of two interfaces one has no backend after the migration: the disk and the other one are back at
/// once, and the fault names the one that is not.
#[test]
fn a_device_that_does_not_come_back_holds_no_other() {
    let mut guest = Guest::default();
    let mut disk = Box::new(Disk::new(51712, blk::Wishes::ALL, Limits::DEFAULT));
    let mut first = Box::new(Nic::new(0, net::Wishes::ALL, Limits::DEFAULT));
    let mut second = Box::new(Nic::new(1, net::Wishes::ALL, Limits::DEFAULT));
    let (old, _) = up(&mut guest, &mut disk, &mut [&mut first, &mut second]);
    let data = vec![5; 100 * 1024];
    disk.submit(
        &mut guest,
        1,
        Request::Write {
            sector: 0,
            data: &data,
        },
    )
    .unwrap();
    let new: Rc<RefCell<Option<(Blkback, Netback)>>> = Rc::default();
    let seen = new.clone();
    let mut shared = Some(old.disk);
    guest.outcome = Outcome::Restored;
    guest.outside = Some(Box::new(move |guest| {
        let mut new = seen.borrow_mut();
        let (disk, nic) = new.get_or_insert_with(|| {
            let mut disk = Blkback::new(guest, 51712, 1, blkback::Offers::LEAST);
            disk.disk = shared.take().unwrap();
            Netback::new(guest, 1, 1, netback::Offers::ALL);
            (disk, Netback::new(guest, 0, 1, netback::Offers::LEAST))
        });
        // Dom0 takes its time.
        if disk.rings.is_empty() {
            match disk.front_state(guest) {
                3 => drop(disk.connect(guest)),
                _ => disk.offer(guest),
            }
        }
        if nic.queues.is_empty() && !nic.connect(guest) {
            nic.offer(guest);
        }
    }));
    let began = guest.now;
    let mut members = [
        Member::new(&mut *second),
        Member::new(&mut *disk),
        Member::new(&mut *first),
    ];
    let resumed = Machine::new(&mut guest, &mut members, migration::Limits::DEFAULT)
        .suspend()
        .unwrap();
    assert_eq!(resumed.outcome, Outcome::Restored);
    assert_eq!(resumed.faults.count(), 1);
    let said = resumed.faults.first().unwrap().cause.to_string();
    assert!(
        said.starts_with("vif 1: backend in domain 1: waited 10s"),
        "{said}"
    );
    assert!(
        (guest.now - began).as_secs() < 12,
        "one wait, not one for each"
    );
    let phases = [disk.phase(), first.phase(), second.phase()];
    assert_eq!(phases, [Phase::Connected, Phase::Connected, Phase::Waiting]);
    let (mut back, _) = new.borrow_mut().take().unwrap();
    guest.outside = None;
    back.work(&mut guest);
    disk.poll(&mut guest).unwrap();
    assert_eq!(
        disk.answer(&mut guest, &mut []).unwrap().result,
        Ok(data.len())
    );
    assert!(back.disk[..data.len()] == data);
}

#[test]
fn after_a_cancelled_suspend_all_devices_work_without_a_word_to_xenstore() {
    let mut guest = Guest::default();
    let mut disk = Box::new(Disk::new(51712, blk::Wishes::ALL, Limits::DEFAULT));
    let mut nic = Box::new(Nic::new(0, net::Wishes::ALL, Limits::DEFAULT));
    let (mut back, mut netbacks) = up(&mut guest, &mut disk, &mut [&mut nic]);
    let writes = guest.store.log.len();
    for _ in 0..3 {
        let mut members = [Member::new(&mut *disk), Member::new(&mut *nic)];
        let resumed = Machine::new(&mut guest, &mut members, migration::Limits::DEFAULT)
            .suspend()
            .unwrap();
        assert!(resumed.faults.is_empty());
        disk.submit(&mut guest, 1, Request::Flush).unwrap();
        back.work(&mut guest);
        disk.poll(&mut guest).unwrap();
        assert_eq!(disk.answer(&mut guest, &mut []).unwrap().result, Ok(0));
        nic.send(&mut guest, &[0; 60]).unwrap();
        netbacks[0].take(&mut guest);
        assert_eq!(netbacks[0].got.pop_front().unwrap().1, [0; 60]);
    }
    assert_eq!(guest.store.log.len(), writes);
    assert_eq!((disk.connections(), nic.connections()), (1, 1));
}
