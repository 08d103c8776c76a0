//! A block backend as it ought to be, with switches for what it offers.

use std::collections::BTreeSet;

use frontends::{layout, State};

use super::Guest;

/// What a request asked for, and where its answer goes.
#[derive(Clone, Debug)]
pub struct Asked {
    pub queue: usize,
    pub id: u64,
    pub operation: u8,
    pub indirect: bool,
    pub sector: u64,
    /// Grant, first and last sector.
    pub segments: Vec<(u32, u8, u8)>,
    pub count: u64,
}

#[derive(Clone, Debug)]
pub struct Offers {
    pub queues: u32,
    pub indirect: u32,
    pub persistent: bool,
    pub flush: bool,
    pub discard: bool,
    pub sector_size: u32,
    pub read_only: bool,
}

impl Offers {
    pub const ALL: Offers = Offers {
        queues: 4,
        indirect: 256,
        persistent: true,
        flush: true,
        discard: true,
        sector_size: 512,
        read_only: false,
    };
    pub const LEAST: Offers = Offers {
        queues: 1,
        indirect: 0,
        persistent: false,
        flush: true,
        discard: false,
        sector_size: 512,
        read_only: false,
    };
}

pub struct Ring {
    pub reference: u32,
    pub port: u32,
    taken: u32,
    made: u32,
}

pub struct Blkback {
    pub domain: u16,
    pub number: u32,
    pub offers: Offers,
    pub disk: Vec<u8>,
    pub rings: Vec<Ring>,
    /// Taken from the rings and not answered.
    pub held: Vec<Asked>,
    pub answered: usize,
    persistent: bool,
    mapped: BTreeSet<u32>,
    /// Its rings or nodes hold what no backend would write: it cannot go on as it ought to.
    pub spoilt: bool,
}

const SLOT: usize = 112;

impl Blkback {
    /// The toolstack makes the device and the backend offers itself.
    pub fn new(guest: &mut Guest, number: u32, domain: u16, offers: Offers) -> Blkback {
        let back = Blkback {
            domain,
            number,
            offers,
            disk: vec![0; 1 << 20],
            rings: Vec::new(),
            held: Vec::new(),
            answered: 0,
            persistent: false,
            mapped: BTreeSet::new(),
            spoilt: false,
        };
        let front = back.front();
        guest.store.set(&format!("{front}/backend"), back.path());
        guest.store.set(&format!("{front}/backend-id"), domain);
        guest.store.set(&format!("{front}/virtual-device"), number);
        guest.store.set(&format!("{front}/state"), 1);
        back.put(guest, "online", 1);
        back.state(guest, State::Initialising);
        back
    }

    pub fn front(&self) -> String {
        format!("device/vbd/{}", self.number)
    }

    pub fn path(&self) -> String {
        format!(
            "/local/domain/{}/backend/vbd/7/{}",
            self.domain, self.number
        )
    }

    pub fn put(&self, guest: &mut Guest, node: &str, value: impl std::fmt::Display) {
        guest.store.set(&format!("{}/{node}", self.path()), value);
    }

    pub fn state(&self, guest: &mut Guest, state: State) {
        self.put(guest, "state", state);
    }

    pub fn offer(&self, guest: &mut Guest) {
        let known = format!("{}/multi-queue-max-queues", self.path());
        if self.offers.queues > 1 || guest.store.get(&known).is_some() {
            self.put(guest, "multi-queue-max-queues", self.offers.queues);
        }
        self.state(guest, State::InitWait);
    }

    pub fn front_state(&self, guest: &Guest) -> u32 {
        let node = format!("{}/state", self.front());
        guest.store.get(&node).map_or(0, |s| s.parse().unwrap())
    }

    /// Maps the rings that the frontend named. False if it has named none yet.
    pub fn connect(&mut self, guest: &mut Guest) -> bool {
        if self.front_state(guest) != State::Initialised.number() {
            return false;
        }
        let front = self.front();
        let read = |guest: &Guest, node: String| guest.store.get(&node).map(String::from);
        let number = |guest: &Guest, node: String| -> u32 {
            read(guest, node.clone())
                .unwrap_or_else(|| panic!("no {node}"))
                .parse()
                .unwrap()
        };
        assert_eq!(
            read(guest, format!("{front}/protocol")).as_deref(),
            Some("x86_64-abi")
        );
        let queues = read(guest, format!("{front}/multi-queue-num-queues"));
        let queues: usize = queues.map_or(1, |q| q.parse().unwrap());
        if queues < 1 || queues > self.offers.queues as usize {
            return false;
        }
        let flat = read(guest, format!("{front}/ring-ref")).is_some();
        assert_eq!(
            flat,
            queues == 1,
            "the header: one queue flat, more in folders"
        );
        self.persistent =
            self.offers.persistent && number(guest, format!("{front}/feature-persistent")) == 1;
        self.rings.clear();
        for i in 0..queues {
            let dir = match queues {
                1 => front.clone(),
                _ => format!("{front}/queue-{i}"),
            };
            let reference = number(guest, format!("{dir}/ring-ref"));
            let port = number(guest, format!("{dir}/event-channel"));
            assert!(
                guest.can_bind(port, self.domain),
                "queue {i}: port {port} is not open"
            );
            guest.map(reference);
            self.rings.push(Ring {
                reference,
                port,
                taken: 0,
                made: 0,
            });
        }
        self.describe(guest);
        self.spoilt = false;
        self.state(guest, State::Connected);
        true
    }

    fn describe(&self, guest: &mut Guest) {
        let offers = &self.offers;
        self.put(guest, "sectors", self.disk.len() / 512);
        self.put(guest, "sector-size", offers.sector_size);
        self.put(guest, "info", if offers.read_only { 4 } else { 0 });
        self.put(guest, "mode", if offers.read_only { "r" } else { "w" });
        self.put(guest, "feature-flush-cache", u8::from(offers.flush));
        self.put(guest, "feature-discard", u8::from(offers.discard));
        self.put(guest, "feature-persistent", u8::from(offers.persistent));
        let known = format!("{}/feature-max-indirect-segments", self.path());
        if offers.indirect > 0 || guest.store.get(&known).is_some() {
            self.put(guest, "feature-max-indirect-segments", offers.indirect);
        }
    }

    pub fn is_sane(&self) -> bool {
        !self.spoilt
    }

    /// Takes every request out of the rings.
    pub fn take(&mut self, guest: &mut Guest) {
        for queue in 0..self.rings.len() {
            let reference = self.rings[queue].reference;
            let produced = guest.backend_word(reference, self.domain, layout::REQ_PROD);
            while self.rings[queue].taken != produced {
                let index = self.rings[queue].taken;
                let mut slot = [0; SLOT];
                let at = layout::SLOTS + (index as usize % 32) * SLOT;
                guest.backend_read(reference, self.domain, at, &mut slot);
                self.rings[queue].taken = index.wrapping_add(1);
                let asked = self.parse(guest, queue, &slot);
                self.held.push(asked);
            }
            let wanted = self.rings[queue].taken.wrapping_add(1);
            guest.backend_write(
                reference,
                self.domain,
                layout::REQ_EVENT,
                &wanted.to_le_bytes(),
            );
        }
    }

    fn parse(&self, guest: &mut Guest, queue: usize, slot: &[u8; SLOT]) -> Asked {
        let word = |at: usize| u64::from_le_bytes(slot[at..at + 8].try_into().unwrap());
        let segment = |bytes: &[u8]| {
            let grant = u32::from_le_bytes(bytes[..4].try_into().unwrap());
            (grant, bytes[4], bytes[5])
        };
        let indirect = slot[0] == 6;
        let mut asked = Asked {
            queue,
            id: word(8),
            operation: slot[if indirect { 1 } else { 0 }],
            indirect,
            sector: word(16),
            segments: Vec::new(),
            count: word(24),
        };
        if indirect {
            let count = usize::from(u16::from_le_bytes([slot[2], slot[3]]));
            assert!(
                count > 11 && count <= self.offers.indirect as usize,
                "{count} indirect"
            );
            let table = u32::from_le_bytes(slot[28..32].try_into().unwrap());
            let mut bytes = vec![0; count * 8];
            guest.backend_read(table, self.domain, 0, &mut bytes);
            asked.segments = bytes.chunks(8).map(segment).collect();
        } else if asked.operation <= 1 {
            let count = usize::from(slot[1]);
            assert!((1..=11).contains(&count), "{count} segments");
            asked.segments = slot[24..24 + count * 8].chunks(8).map(segment).collect();
        }
        asked
    }

    /// Does the first request that it holds, and answers it.
    pub fn answer_one(&mut self, guest: &mut Guest, status: i16) -> Option<Asked> {
        if self.held.is_empty() {
            return None;
        }
        let asked = self.held.remove(0);
        if status == 0 {
            self.perform(guest, &asked);
        }
        self.respond(guest, asked.queue, asked.id, asked.operation, status);
        self.answered += 1;
        Some(asked)
    }

    /// Takes and answers all.
    pub fn work(&mut self, guest: &mut Guest) {
        self.take(guest);
        while self.answer_one(guest, 0).is_some() {}
    }

    pub fn perform(&mut self, guest: &mut Guest, asked: &Asked) {
        match asked.operation {
            0 | 1 => {}
            3 => assert!(self.offers.flush),
            5 => {
                assert!(self.offers.discard);
                let from = asked.sector as usize * 512;
                self.disk[from..from + asked.count as usize * 512].fill(0);
            }
            other => panic!("operation {other}"),
        }
        let mut at = asked.sector as usize * 512;
        for &(grant, first, last) in &asked.segments {
            let (first, len) = (
                usize::from(first) * 512,
                (usize::from(last - first) + 1) * 512,
            );
            assert_eq!(at % self.offers.sector_size as usize, 0);
            assert_eq!(len % self.offers.sector_size as usize, 0);
            if !self.persistent || self.mapped.insert(grant) {
                guest.map(grant);
            }
            match asked.operation {
                0 => guest.backend_write(grant, self.domain, first, &self.disk[at..at + len]),
                _ => {
                    let mut data = vec![0; len];
                    guest.backend_read(grant, self.domain, first, &mut data);
                    self.disk[at..at + len].copy_from_slice(&data);
                }
            }
            if !self.persistent {
                guest.unmap(grant);
            }
            at += len;
        }
    }

    pub fn respond(&mut self, guest: &mut Guest, queue: usize, id: u64, op: u8, status: i16) {
        let ring = &mut self.rings[queue];
        let at = layout::SLOTS + (ring.made as usize % 32) * SLOT;
        let mut response = [0; 16];
        response[..8].copy_from_slice(&id.to_le_bytes());
        response[8] = op;
        response[10..12].copy_from_slice(&status.to_le_bytes());
        guest.backend_write(ring.reference, self.domain, at, &response);
        ring.made = ring.made.wrapping_add(1);
        let made = ring.made.to_le_bytes();
        guest.backend_write(ring.reference, self.domain, layout::RSP_PROD, &made);
    }

    /// Lets go of all that it has mapped.
    pub fn unmap(&mut self, guest: &mut Guest) {
        for ring in self.rings.drain(..) {
            guest.unmap(ring.reference);
        }
        for grant in std::mem::take(&mut self.mapped) {
            guest.unmap(grant);
        }
        self.held.clear();
    }
}
