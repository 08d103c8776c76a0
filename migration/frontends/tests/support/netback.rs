//! A network backend as it ought to be, with switches for what it offers.

use std::collections::VecDeque;

use frontends::{layout, State};

use super::Guest;

#[derive(Clone, Debug)]
pub struct Offers {
    pub queues: u32,
    pub split: bool,
    pub rx_copy: bool,
    pub gather: bool,
}

impl Offers {
    pub const ALL: Offers = Offers {
        queues: 4,
        split: true,
        rx_copy: true,
        gather: true,
    };
    pub const LEAST: Offers = Offers {
        queues: 1,
        split: false,
        rx_copy: true,
        gather: false,
    };
}

pub struct Queue {
    pub tx: u32,
    pub rx: u32,
    pub ports: Vec<u32>,
    tx_taken: u32,
    pub tx_made: u32,
    rx_taken: u32,
    pub rx_made: u32,
}

pub struct Netback {
    pub domain: u16,
    pub number: u32,
    pub offers: Offers,
    pub queues: Vec<Queue>,
    /// Frames that the guest has sent, by queue.
    pub got: VecDeque<(usize, Vec<u8>)>,
    /// Numbers of slots that were taken and not answered.
    pub held: VecDeque<(usize, u16)>,
}

impl Netback {
    pub fn new(guest: &mut Guest, number: u32, domain: u16, offers: Offers) -> Netback {
        let back = Netback {
            domain,
            number,
            offers,
            queues: Vec::new(),
            got: VecDeque::new(),
            held: VecDeque::new(),
        };
        let front = back.front();
        guest.store.set(&format!("{front}/backend"), back.path());
        guest.store.set(&format!("{front}/backend-id"), domain);
        guest
            .store
            .set(&format!("{front}/mac"), "00:16:3e:01:02:03");
        guest.store.set(&format!("{front}/state"), 1);
        back.state(guest, State::Initialising);
        back
    }

    pub fn front(&self) -> String {
        format!("device/vif/{}", self.number)
    }

    pub fn path(&self) -> String {
        format!(
            "/local/domain/{}/backend/vif/7/{}",
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
        let offers = &self.offers;
        self.put(guest, "feature-rx-copy", u8::from(offers.rx_copy));
        self.put(guest, "feature-sg", u8::from(offers.gather));
        self.put(
            guest,
            "feature-split-event-channels",
            u8::from(offers.split),
        );
        if offers.queues > 1 {
            self.put(guest, "multi-queue-max-queues", offers.queues);
        }
        self.state(guest, State::InitWait);
    }

    pub fn node(&self, guest: &Guest, node: &str) -> Option<u32> {
        let node = format!("{}/{node}", self.front());
        guest.store.get(&node).map(|value| value.parse().unwrap())
    }

    /// As Linux' netback, at the frontend's state 4 and not before.
    pub fn connect(&mut self, guest: &mut Guest) -> bool {
        if self.node(guest, "state") != Some(4) {
            return false;
        }
        for (node, value) in [
            ("request-rx-copy", 1),
            ("feature-rx-notify", 1),
            ("feature-no-csum-offload", 1),
            ("feature-ipv6-csum-offload", 0),
            ("feature-gso-tcpv4", 0),
            ("feature-gso-tcpv6", 0),
        ] {
            assert_eq!(self.node(guest, node), Some(value), "{node}");
        }
        let count = self.node(guest, "multi-queue-num-queues").unwrap_or(1);
        if count < 1 || count > self.offers.queues {
            return false;
        }
        let flat = self.node(guest, "tx-ring-ref").is_some();
        assert_eq!(
            flat,
            count == 1,
            "the header: one queue flat, more in folders"
        );
        self.queues.clear();
        for i in 0..count {
            let dir = match count {
                1 => String::new(),
                _ => format!("queue-{i}/"),
            };
            let number = |node: &str| self.node(guest, &format!("{dir}{node}"));
            // As Linux' netback looks for them: the split ones first, whatever it has offered.
            let ports = match (number("event-channel-tx"), number("event-channel-rx")) {
                (Some(tx), Some(rx)) => vec![tx, rx],
                _ => vec![number("event-channel").expect("a port")],
            };
            if (ports.len() == 2) != self.offers.split {
                return false;
            }
            assert!(ports.iter().all(|p| guest.can_bind(*p, self.domain)));
            let (tx, rx) = (
                number("tx-ring-ref").unwrap(),
                number("rx-ring-ref").unwrap(),
            );
            guest.map(tx);
            guest.map(rx);
            self.queues.push(Queue {
                tx,
                rx,
                ports,
                tx_taken: 0,
                tx_made: 0,
                rx_taken: 0,
                rx_made: 0,
            });
        }
        self.state(guest, State::Connected);
        true
    }

    /// Takes every frame out of the rings.
    pub fn take(&mut self, guest: &mut Guest) {
        for index in 0..self.queues.len() {
            let ring = self.queues[index].tx;
            let produced = guest.backend_word(ring, self.domain, layout::REQ_PROD);
            let mut frame: Option<(Vec<u8>, usize)> = None;
            while self.queues[index].tx_taken != produced {
                let mut slot = [0; 12];
                let at = layout::SLOTS + (self.queues[index].tx_taken as usize % 256) * 12;
                guest.backend_read(ring, self.domain, at, &mut slot);
                self.queues[index].tx_taken += 1;
                let word = |at: usize| u16::from_le_bytes([slot[at], slot[at + 1]]);
                let grant = u32::from_le_bytes(slot[..4].try_into().unwrap());
                let (flags, id, size) = (word(6), word(8), usize::from(word(10)));
                self.held.push_back((index, id));
                assert_eq!(flags & !4, 0, "no offload was offered");
                let (data, total) = frame.get_or_insert((Vec::new(), size));
                let more = flags & 4 != 0;
                let piece = match (data.is_empty(), more) {
                    // The first says how long the whole frame is.
                    (true, true) => 4096,
                    _ => size,
                };
                let mut bytes = vec![0; piece];
                guest.backend_read(grant, self.domain, usize::from(word(4)), &mut bytes);
                data.extend(bytes);
                if !more {
                    assert_eq!(data.len(), *total);
                    let (data, _) = frame.take().unwrap();
                    self.got.push_back((index, data));
                }
            }
            assert!(frame.is_none(), "half a frame was published");
            let event = self.queues[index].tx_taken.wrapping_add(1).to_le_bytes();
            guest.backend_write(ring, self.domain, layout::REQ_EVENT, &event);
        }
    }

    /// Answers all that it has taken.
    pub fn answer(&mut self, guest: &mut Guest, status: i16) {
        while let Some((queue, id)) = self.held.pop_front() {
            self.respond(guest, queue, id, status);
        }
    }

    pub fn respond(&mut self, guest: &mut Guest, queue: usize, id: u16, status: i16) {
        let (ring, made) = (self.queues[queue].tx, self.queues[queue].tx_made);
        let mut response = id.to_le_bytes().to_vec();
        response.extend(status.to_le_bytes());
        let at = layout::SLOTS + (made as usize % 256) * 12;
        guest.backend_write(ring, self.domain, at, &response);
        self.queues[queue].tx_made = made.wrapping_add(1);
        let made = self.queues[queue].tx_made.to_le_bytes();
        guest.backend_write(ring, self.domain, layout::RSP_PROD, &made);
    }

    /// Takes a room of the guest's; `None` if there is none.
    pub fn room(&mut self, guest: &mut Guest, queue: usize) -> Option<(u16, u32)> {
        let ring = self.queues[queue].rx;
        let produced = guest.backend_word(ring, self.domain, layout::REQ_PROD);
        if self.queues[queue].rx_taken == produced {
            return None;
        }
        let mut slot = [0; 8];
        let at = layout::SLOTS + (self.queues[queue].rx_taken as usize % 256) * 8;
        guest.backend_read(ring, self.domain, at, &mut slot);
        self.queues[queue].rx_taken += 1;
        let id = u16::from_le_bytes([slot[0], slot[1]]);
        Some((id, u32::from_le_bytes(slot[4..].try_into().unwrap())))
    }

    /// Writes a response of any kind, without publishing it.
    pub fn rx_slot(&mut self, guest: &mut Guest, queue: usize, bytes: [u8; 8]) {
        let (ring, made) = (self.queues[queue].rx, self.queues[queue].rx_made);
        let at = layout::SLOTS + (made as usize % 256) * 8;
        guest.backend_write(ring, self.domain, at, &bytes);
        self.queues[queue].rx_made = made.wrapping_add(1);
    }

    pub fn rx_push(&mut self, guest: &mut Guest, queue: usize) {
        let made = self.queues[queue].rx_made.to_le_bytes();
        guest.backend_write(self.queues[queue].rx, self.domain, layout::RSP_PROD, &made);
    }

    pub fn piece(id: u16, offset: u16, flags: u16, status: i16) -> [u8; 8] {
        let words = [id, offset, flags, status as u16];
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.try_into().unwrap()
    }

    /// Gives the guest a frame, in pieces of at most a page. False if it has no room.
    pub fn deliver(&mut self, guest: &mut Guest, queue: usize, frame: &[u8], flags: u16) -> bool {
        let pieces: Vec<&[u8]> = frame.chunks(4096).collect();
        for (i, piece) in pieces.iter().enumerate() {
            let Some((id, grant)) = self.room(guest, queue) else {
                return false;
            };
            guest.backend_write(grant, self.domain, 0, piece);
            let more = if i + 1 < pieces.len() { 4 } else { 0 };
            let first = if i == 0 { flags } else { 0 };
            let slot = Netback::piece(id, 0, more | first, piece.len() as i16);
            self.rx_slot(guest, queue, slot);
        }
        self.rx_push(guest, queue);
        true
    }

    pub fn unmap(&mut self, guest: &mut Guest) {
        for queue in self.queues.drain(..) {
            guest.unmap(queue.tx);
            guest.unmap(queue.rx);
        }
        self.held.clear();
    }
}
