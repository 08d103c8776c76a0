//! Lives of a device whose backend does anything at any time, chosen by bytes: for property tests
//! and for the fuzzer. What must hold whatever it does is asserted here.

use std::collections::BTreeMap;
use std::time::Duration;

use frontends::blk::{self, Blkfront, Failure, Rejected, Request};
use frontends::net::{self, Netfront};
use frontends::{layout, Limits, Phase, State};
use migration::{Deadline, Participant, Stage};

use super::blkback::{self, Blkback};
use super::netback::{self, Netback};
use super::Guest;

/// The bytes, one after the other; zeros behind the last.
pub struct Choices<'b>(&'b [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn word(&mut self) -> u32 {
        let bytes = [self.byte(), self.byte(), self.byte(), self.byte()];
        u32::from_le_bytes(bytes)
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

const LIMITS: Limits = Limits {
    offer: Duration::from_secs(1),
    connect: Duration::from_secs(1),
    drain: Duration::from_secs(1),
    back: Duration::from_secs(3),
};

type Disk = Blkfront<Guest, 2, 8, 80>;

struct DiskLife {
    guest: Guest,
    disk: Box<Disk>,
    back: Blkback,
    /// Times each tag was answered, of those that were taken.
    answers: BTreeMap<u64, u32>,
    next_tag: u64,
}

/// A disk's life. Panics if a request is answered twice or never, a page is freed or reused that the
/// backend may use, or the frontend panics.
pub fn disk(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let mut guest = Guest::with_grants(60 + usize::from(choices.byte()));
    let back = Blkback::new(&mut guest, 51712, 0, blkback::Offers::ALL);
    let disk = Box::new(Disk::new(51712, blk::Wishes::ALL, LIMITS));
    let mut life = DiskLife {
        guest,
        disk,
        back,
        answers: BTreeMap::new(),
        next_tag: 0,
    };
    life.settle();
    while !choices.is_over() {
        life.step(&mut choices);
    }
    life.end();
}

impl DiskLife {
    fn poll(&mut self) {
        self.disk.watch_fired("frontend/vbd/51712");
        if let Err(error) = self.disk.poll(&mut self.guest) {
            let said = error.to_string();
            assert!(said.starts_with("vbd 51712"), "{said}");
            assert!(said.contains("domain"), "{said}");
        }
    }

    fn settle(&mut self) {
        self.back.offer(&mut self.guest);
        for _ in 0..4 {
            self.guest.pass(50);
            self.poll();
            // A hostile store may have rings that are no more.
            if self.disk.phase() == Phase::Offered {
                self.back.unmap(&mut self.guest);
                self.back.connect(&mut self.guest);
            }
        }
        self.poll();
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let what = choices.byte();
        match what % 20 {
            0..=3 => self.submit(choices),
            4 | 5 => self.poll(),
            6 => {
                let mut into = [0; 5000];
                self.take_answers(&mut into);
            }
            7 => self.honest(choices.byte()),
            8 => self.lie(choices),
            9 => {
                let (queue, value) = (choices.byte(), choices.word());
                self.produce(queue, value);
            }
            10 => {
                let state = choices.byte() % 11;
                self.back.put(&mut self.guest, "state", state);
            }
            11 => self.node(choices),
            12 => self.guest.pass(u64::from(choices.byte()) * 20),
            13 => self.settle(),
            14 => self.suspend(choices.byte()),
            15 => {
                let path = match choices.byte() % 3 {
                    0 => self.back.path(),
                    1 => self.back.front(),
                    _ => format!("{}/state", self.back.path()),
                };
                self.guest.store.delete(&path);
            }
            16 => self.replace(choices),
            17 => self.guest.store.fail_in = Some(u32::from(choices.byte() % 40)),
            18 => self.scribble(choices),
            _ => match choices.byte() % 4 {
                0 => self.guest.unmap_all(),
                _ => {
                    let held: Vec<_> = self
                        .back
                        .held
                        .iter()
                        .flat_map(|a| a.segments.clone())
                        .collect();
                    held.iter().for_each(|segment| self.guest.map(segment.0));
                }
            },
        }
    }

    fn submit(&mut self, choices: &mut Choices<'_>) {
        let (kind, sector, size) = (choices.byte(), choices.byte(), choices.byte());
        let sector = u64::from(sector) * 8;
        let data = vec![size; 512 * (1 + usize::from(size) * 2)];
        let request = match kind % 8 {
            0 => Request::Flush,
            1 => Request::Discard {
                sector,
                sectors: size.into(),
                secure: kind & 8 != 0,
            },
            2..=4 => Request::Read {
                sector,
                bytes: data.len(),
            },
            _ => Request::Write {
                sector,
                data: &data,
            },
        };
        self.next_tag += 1;
        match self.disk.submit(&mut self.guest, self.next_tag, request) {
            Ok(()) => {
                self.answers.insert(self.next_tag, 0);
            }
            Err(Rejected::Busy | Rejected::NotReady | Rejected::Bad(_)) => {}
        }
    }

    fn take_answers(&mut self, into: &mut [u8]) -> Vec<blk::Answer> {
        let mut all = Vec::new();
        while let Some(answer) = self.disk.answer(&mut self.guest, into) {
            let times = self.answers.get_mut(&answer.tag).expect("it was asked");
            *times += 1;
            assert_eq!(*times, 1, "{answer:?} comes again");
            all.push(answer);
        }
        all
    }

    /// Whether the backend has the rings of the present connection.
    fn has_rings(&self) -> bool {
        self.disk.phase() == Phase::Connected && !self.back.rings.is_empty() && {
            let folder = match self.back.rings.len() {
                1 => self.back.front(),
                _ => format!("{}/queue-0", self.back.front()),
            };
            let node = self.guest.store.get(&format!("{folder}/ring-ref"));
            node == Some(self.back.rings[0].reference.to_string().as_str())
        }
    }

    /// As it ought to be; and then every page that it was given is there.
    fn honest(&mut self, how: u8) {
        if !self.has_rings() || !self.back.is_sane() {
            return;
        }
        let before = self.guest.trespasses.len();
        self.back.take(&mut self.guest);
        for _ in 0..how % 8 {
            let status = [0, 0, 0, -1, -2, 7][usize::from(how) % 6];
            self.back.answer_one(&mut self.guest, status);
        }
        let trespasses = &self.guest.trespasses[before..];
        assert!(trespasses.is_empty(), "a request in flight: {trespasses:?}");
    }

    fn lie(&mut self, choices: &mut Choices<'_>) {
        let (which, op, status) = (choices.byte(), choices.byte(), choices.byte());
        let held = self
            .back
            .held
            .get(usize::from(which) % 8)
            .map(|asked| asked.id);
        let id = match which % 4 {
            0 => choices.word().into(),
            1 => u64::from(which) << 8 | u64::from(op),
            _ => held.unwrap_or(0),
        };
        if !self.back.rings.is_empty() {
            let queue = usize::from(which) % self.back.rings.len();
            let status = i16::from(status as i8);
            self.back
                .respond(&mut self.guest, queue, id, op % 8, status);
            self.back.spoilt = true;
        }
    }

    fn produce(&mut self, queue: u8, value: u32) {
        if let Some(ring) = self.back.rings.get(usize::from(queue) % 2) {
            let (reference, domain) = (ring.reference, self.back.domain);
            let value = if queue & 128 == 0 { value % 64 } else { value };
            let value = value.to_le_bytes();
            self.guest
                .backend_write(reference, domain, layout::RSP_PROD, &value);
            self.back.spoilt = true;
        }
    }

    fn scribble(&mut self, choices: &mut Choices<'_>) {
        let (at, value) = (choices.word() as usize % 1024 * 4, choices.word());
        if let Some(ring) = self.back.rings.first() {
            let (reference, domain) = (ring.reference, self.back.domain);
            self.guest
                .backend_write(reference, domain, at, &value.to_le_bytes());
            self.back.spoilt = true;
        }
    }

    fn node(&mut self, choices: &mut Choices<'_>) {
        let names = [
            "sectors",
            "sector-size",
            "info",
            "feature-max-indirect-segments",
            "feature-persistent",
            "multi-queue-max-queues",
            "feature-flush-cache",
            "online",
        ];
        let values = [
            "0",
            "1",
            "4",
            "16",
            "4096",
            "18446744073709551615",
            "-1",
            "x\n\"y",
            "",
            "10000000000000000000000000",
        ];
        let name = names[usize::from(choices.byte()) % names.len()];
        let value = values[usize::from(choices.byte()) % values.len()];
        self.back.put(&mut self.guest, name, value);
        self.back.spoilt = true;
    }

    fn suspend(&mut self, how: u8) {
        let until = Deadline::after(self.guest.now, Duration::from_secs(1), "test");
        let guest = &mut self.guest;
        Participant::suspend(&mut *self.disk, Stage::Awake, guest, until).expect("it never fails");
        if how & 4 != 0 && self.has_rings() && self.back.is_sane() {
            self.back.take(&mut self.guest);
            self.back.answer_one(&mut self.guest, 0);
            self.poll();
        }
        match how % 4 {
            0 => drop(self.disk.undo(Stage::Awake, &mut self.guest)),
            1 => drop(self.disk.cancelled(Stage::Awake, &mut self.guest)),
            how => {
                self.guest.migrate();
                let offers = match how {
                    2 => blkback::Offers::LEAST,
                    _ => blkback::Offers::ALL,
                };
                self.back = Blkback::new(&mut self.guest, 51712, u16::from(how), offers);
                drop(self.disk.restored(Stage::Awake, &mut self.guest));
                let mut back = 0;
                while back < 3 && self.disk.is_back(&mut self.guest) == Ok(false) {
                    back += 1;
                }
            }
        }
    }

    /// The toolstack gives it another backend in the same domain.
    fn replace(&mut self, choices: &mut Choices<'_>) {
        let path = self.back.path();
        self.guest.store.delete(&path);
        let domain = u16::from(choices.byte() % 3);
        let mut new = Blkback::new(&mut self.guest, 51712, domain, blkback::Offers::LEAST);
        new.disk = std::mem::take(&mut self.back.disk);
        self.back = new;
    }

    /// The device goes: everything is answered, and every page comes back.
    fn end(&mut self) {
        self.guest.store.fail_in = None;
        for path in [self.back.path(), self.back.front()] {
            self.guest.store.delete(&path);
        }
        self.guest.unmap_all();
        for _ in 0..4 {
            self.guest.pass(5000);
            self.poll();
        }
        assert_eq!(self.disk.phase(), Phase::Gone);
        for answer in self.take_answers(&mut []) {
            let known = [Failure::Gone, Failure::Failed, Failure::Unsupported];
            let fine = answer.result.is_ok() || known.contains(&answer.result.unwrap_err());
            let other = [
                Failure::ReadOnly,
                Failure::OutOfRange,
                Failure::Unaligned,
                Failure::NoMemory,
            ];
            assert!(
                fine || other.contains(&answer.result.unwrap_err()),
                "{answer:?}"
            );
        }
        assert!(
            self.answers.values().all(|times| *times == 1),
            "a request has no answer"
        );
        assert!(self.disk.retire(&mut self.guest));
        // What was abandoned in an earlier domain has lost its grant with that.
        assert!(self.guest.grants_out() <= self.guest.abandoned as usize);
        assert_eq!(self.guest.pages_out(), self.guest.abandoned as usize);
    }
}

type Nic = Netfront<Guest, 2, 16>;

/// An interface's life, likewise: every frame that is received lies in pages that the backend was
/// given, every buffer comes back, nothing panics.
pub fn interface(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let mut guest = Guest::with_grants(20 + usize::from(choices.byte()));
    let mut back = Netback::new(&mut guest, 0, 0, netback::Offers::ALL);
    let mut nic = Box::new(Nic::new(0, net::Wishes::ALL, LIMITS));
    nic.set_addresses(
        &guest,
        net::Addresses {
            ipv4: Some([10, 0, 0, 1]),
            ipv6: Some([1; 16]),
        },
    );
    settle(&mut guest, &mut nic, &mut back);
    while !choices.is_over() {
        step(&mut guest, &mut nic, &mut back, &mut choices);
    }
    guest.store.fail_in = None;
    for path in [back.path(), back.front()] {
        guest.store.delete(&path);
    }
    guest.unmap_all();
    for _ in 0..4 {
        guest.pass(5000);
        poll(&mut guest, &mut nic);
    }
    assert_eq!(nic.phase(), Phase::Gone);
    assert!(nic.retire(&mut guest));
    assert!(guest.grants_out() <= guest.abandoned as usize);
    assert_eq!(guest.pages_out(), guest.abandoned as usize);
}

fn poll(guest: &mut Guest, nic: &mut Nic) {
    nic.watch_fired("frontend/vif/0");
    if let Err(error) = nic.poll(guest) {
        let said = error.to_string();
        assert!(
            said.starts_with("vif 0") && said.contains("domain"),
            "{said}"
        );
    }
}

fn settle(guest: &mut Guest, nic: &mut Nic, back: &mut Netback) {
    back.offer(guest);
    for _ in 0..4 {
        guest.pass(50);
        poll(guest, nic);
        if nic.phase() == Phase::Offered {
            back.unmap(guest);
            back.connect(guest);
        }
    }
    poll(guest, nic);
}

fn step(guest: &mut Guest, nic: &mut Nic, back: &mut Netback, choices: &mut Choices<'_>) {
    let queue = usize::from(choices.byte()) % back.queues.len().max(1);
    let has_rings = !back.queues.is_empty();
    match choices.byte() % 14 {
        0 | 1 => {
            let length = choices.word() as usize % 2000;
            let _ = nic.send(guest, &vec![choices.byte(); length]);
        }
        2 => poll(guest, nic),
        3 | 4 => {
            let mut into = [0; 2048];
            for _ in 0..40 {
                match nic.receive(guest, &mut into) {
                    Ok(Some(frame)) => assert!(frame.bytes <= into.len()),
                    Ok(None) => break,
                    Err(error) => assert!(error.to_string().contains("backend in domain")),
                }
            }
        }
        5 if has_rings => {
            let (id, status) = (choices.word(), i16::from(choices.byte() as i8));
            let held = back.held.pop_front().map(|(_, id)| id);
            let id = held.filter(|_| id & 1 == 0).unwrap_or(id as u16);
            back.respond(guest, queue, id, status);
        }
        6 | 7 if has_rings => {
            let words = (choices.word(), choices.word());
            let room = back.room(guest, queue).map(|(id, _)| id);
            let id = room.filter(|_| words.0 & 3 != 0).unwrap_or(words.0 as u16);
            let (offset, length) = ((words.1 % 5000) as u16, (words.1 >> 16) as u16 % 6000);
            let offset = if words.0 & 4 == 0 { 0 } else { offset };
            let flags = (words.0 >> 8) as u16 & 31;
            back.rx_slot(
                guest,
                queue,
                Netback::piece(id, offset, flags, length as i16),
            );
            if words.0 & 8 == 0 {
                back.rx_push(guest, queue);
            }
        }
        8 if has_rings => {
            let (which, value) = (choices.byte(), choices.word());
            let queue = &back.queues[queue];
            let ring = if which & 1 == 0 { queue.tx } else { queue.rx };
            let value = if which & 2 == 0 { value % 300 } else { value };
            guest.backend_write(ring, back.domain, layout::RSP_PROD, &value.to_le_bytes());
        }
        9 => {
            let state = choices.byte() % 11;
            back.put(guest, "state", state);
        }
        10 => guest.pass(u64::from(choices.byte()) * 20),
        11 => settle(guest, nic, back),
        12 => {
            let until = Deadline::after(guest.now, Duration::from_secs(1), "test");
            Participant::suspend(nic, Stage::Awake, guest, until).expect("it never fails");
            if choices.byte() & 1 == 0 {
                drop(nic.cancelled(Stage::Awake, guest));
            } else {
                guest.migrate();
                *back = Netback::new(guest, 0, 1, netback::Offers::LEAST);
                drop(nic.restored(Stage::Awake, guest));
            }
        }
        _ => match choices.byte() % 4 {
            0 => guest.store.fail_in = Some(u32::from(choices.byte() % 60)),
            1 => {
                let path = back.path();
                guest.store.delete(&path);
            }
            2 => back.put(guest, "feature-rx-copy", choices.byte() % 3),
            _ => guest.store.set("device/vif/0/mac", "nonsense"),
        },
    }
    if back.queues.is_empty() && nic.phase() == Phase::Connected {
        back.state(guest, State::Closed);
    }
}
