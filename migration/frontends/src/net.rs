//! A network frontend: [`Netfront`]. `xen/include/public/io/netif.h`.
//!
//! Frames are copied to and from pages that stay granted while the connection lives, so a caller's
//! buffer is never shared. What was being sent when a connection ended is lost, as on a wire.
//!
//! Checksum offload and segmentation offload are refused (`feature-no-csum-offload`,
//! `feature-gso-*`): frames are complete, both ways. Hashing, multicast filters, static grants and
//! the control ring are not asked for.

pub mod announce;
mod connection;
mod flow;
mod rx;
mod tx;
pub mod wire;

use crate::device::Device;
use crate::error::{Error, Lie, Name};
use crate::kernel::{Kernel, PAGE};
use crate::limits::Limits;
use crate::lingering::Lingering;

pub use self::announce::Addresses;
use self::announce::Announcements;
use self::rx::Rx;
pub use self::rx::{Checksum, Received};
use self::tx::Tx;

/// Bytes of an Ethernet header with a VLAN tag.
const HEADER: usize = 18;
/// Bytes of an Ethernet header.
const SHORTEST: usize = 14;

/// What a frontend uses of what its backend offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// At most so many queues; 1 or more.
    pub queues: usize,
    /// One event channel for each direction.
    pub split_events: bool,
}

impl Wishes {
    /// All of it.
    pub const ALL: Wishes = Wishes {
        queues: usize::MAX,
        split_events: true,
    };
}

/// An interface, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Its address.
    pub mac: [u8; 6],
    /// Bytes behind the Ethernet header.
    pub mtu: u16,
    /// Whether the backend has a carrier.
    pub up: bool,
    /// Whether a frame may have several slots.
    pub gather: bool,
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The ring or the buffers are full: [`poll`](Device::poll), and try again or drop it.
    Full,
    /// There is no backend, or a suspend is on its way.
    NotConnected,
    /// Shorter than an Ethernet header, or longer than the interface's limit.
    Length,
}

/// Counts since the device was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Frames given to the backend.
    pub sent: u64,
    /// Frames received.
    pub received: u64,
    /// Slots that the backend says it did not send.
    pub dropped: u64,
    /// Slots with a backend when its connection ended.
    pub lost: u64,
    /// Frames received that were not given to the caller.
    pub refused: u64,
}

/// Rings and ports of a queue.
struct Queue<K: Kernel, const BUFFERS: usize> {
    tx: Tx<K, BUFFERS>,
    rx: Rx<K, BUFFERS>,
    /// Of both directions, unless the other is there.
    port: Option<K::Port>,
    rx_port: Option<K::Port>,
}

/// What stands behind a [`Netfront`].
pub struct Nic<K: Kernel, const QUEUES: usize, const BUFFERS: usize> {
    wishes: Wishes,
    addresses: Addresses,
    link: Option<Link>,
    queues: [Queue<K, BUFFERS>; QUEUES],
    /// Queues that the backend was offered.
    offered: usize,
    /// Those that are in use.
    active: usize,
    turn: usize,
    announcements: Announcements,
    lingering: Lingering<K, 64>,
    sent: u64,
    received: u64,
    lost: u64,
}

/// An interface: at most `QUEUES` queues, each with `BUFFERS` pages for each direction (at most
/// 256).
pub type Netfront<K, const QUEUES: usize = 4, const BUFFERS: usize = 64> =
    Device<K, Nic<K, QUEUES, BUFFERS>>;

impl<K: Kernel, const QUEUES: usize, const BUFFERS: usize> Netfront<K, QUEUES, BUFFERS> {
    /// The device `device/vif/<number>`. Nothing is done before the first [`poll`](Device::poll).
    pub const fn new(number: u32, wishes: Wishes, limits: Limits) -> Self {
        const { assert!(QUEUES > 0 && QUEUES <= 8 && BUFFERS > 0 && BUFFERS <= 256) };
        let nic = Nic {
            wishes,
            addresses: Addresses {
                ipv4: None,
                ipv6: None,
            },
            link: None,
            queues: [const {
                Queue {
                    tx: Tx::new(),
                    rx: Rx::new(),
                    port: None,
                    rx_port: None,
                }
            }; QUEUES],
            offered: 0,
            active: 0,
            turn: 0,
            announcements: Announcements::NONE,
            lingering: Lingering::new(),
            sent: 0,
            received: 0,
            lost: 0,
        };
        Device::with(number, nic, limits)
    }

    /// The interface as it is. `None` before it was first connected.
    pub fn link(&self) -> Option<&Link> {
        self.driver.link.as_ref()
    }

    /// How many queues are in use.
    pub fn queues(&self) -> usize {
        self.driver.active
    }

    /// Says which addresses the interface has: they are [announced](announce) after each
    /// connection, and now if it is connected.
    pub fn set_addresses(&mut self, kernel: &K, addresses: Addresses) {
        self.driver.addresses = addresses;
        if self.is_connected() {
            self.driver.announcements = Announcements::begin(kernel.now());
        }
    }

    /// Sends a frame: a copy of it, without its frame check sequence, with all checksums filled in.
    ///
    /// # Errors
    /// It was not sent.
    pub fn send(&mut self, kernel: &mut K, frame: &[u8]) -> Result<(), NotSent> {
        if self.may_ask().is_none() {
            return Err(NotSent::NotConnected);
        }
        self.driver.send(kernel, frame)
    }

    /// Copies the next frame received to `into`, which has to have room for the longest: the MTU
    /// and 18 bytes. `None` if there is none; then the backend sends an event with the next.
    ///
    /// # Errors
    /// The backend broke the protocol; the connection is given up.
    pub fn receive(&mut self, kernel: &mut K, into: &mut [u8]) -> Result<Option<Received>, Error> {
        if self.may_ask().is_none() {
            return Ok(None);
        }
        let received = self.driver.receive(kernel, into);
        received.map_err(|lie| self.refused(kernel, lie))
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        let queues = self.driver.queues.iter();
        Counts {
            sent: self.driver.sent,
            received: self.driver.received,
            lost: self.driver.lost,
            dropped: queues.clone().map(|queue| queue.tx.dropped).sum(),
            refused: queues.map(|queue| queue.rx.refused).sum(),
        }
    }

    /// Pages that a backend keeps mapped although their use is over, and pages that were lost so.
    pub fn lingering(&self) -> (usize, u64) {
        let lingering = &self.driver.lingering;
        (lingering.held(), lingering.abandoned())
    }
}

impl<K: Kernel, const QUEUES: usize, const BUFFERS: usize> Nic<K, QUEUES, BUFFERS> {
    fn send(&mut self, kernel: &mut K, frame: &[u8]) -> Result<(), NotSent> {
        let link = self.link.ok_or(NotSent::NotConnected)?;
        let slots = frame.len().div_ceil(PAGE);
        let most = (usize::from(link.mtu) + HEADER).min(wire::LONGEST);
        let fits = (SHORTEST..=most).contains(&frame.len());
        if !fits || slots > wire::MOST_SLOTS || (slots > 1 && !link.gather) {
            return Err(NotSent::Length);
        }
        let queue = flow::of(frame) as usize % self.active.max(1);
        let queue = &mut self.queues[queue];
        if queue.tx.room() < slots {
            return Err(NotSent::Full);
        }
        if queue.tx.send(kernel, frame) {
            queue.notify_tx(kernel);
        }
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self, kernel: &mut K, into: &mut [u8]) -> Result<Option<Received>, Lie> {
        for _ in 0..self.active {
            let queue = &mut self.queues[self.turn % self.active];
            let (received, wanted) = queue.rx.receive(kernel, into)?;
            if wanted {
                queue.notify_rx(kernel);
            }
            if received.is_some() {
                self.received += 1;
                return Ok(received);
            }
            queue.unmask(kernel);
            self.turn = (self.turn + 1) % self.active;
        }
        Ok(None)
    }

    /// Sends the announcements that are due. One that finds no room is tried again at the next
    /// poll.
    fn announce(&mut self, kernel: &mut K) {
        let Some(link) = self.link else { return };
        while self.announcements.is_due(kernel.now()) {
            let addresses = self.addresses;
            let first = addresses.ipv4.map(|ip| announce::arp(link.mac, ip));
            let second = addresses.ipv6.map(|ip| announce::neighbour(link.mac, ip));
            let first = first.map_or(Ok(()), |frame| self.send(kernel, &frame));
            let second = second.map_or(Ok(()), |frame| self.send(kernel, &frame));
            if first == Err(NotSent::Full) || second == Err(NotSent::Full) {
                return;
            }
            self.announcements.sent();
        }
    }
}

impl<K: Kernel, const BUFFERS: usize> Queue<K, BUFFERS> {
    fn notify_tx(&self, kernel: &mut K) {
        if let Some(port) = &self.port {
            kernel.notify(port);
        }
    }

    fn notify_rx(&self, kernel: &mut K) {
        if let Some(port) = self.rx_port.as_ref().or(self.port.as_ref()) {
            kernel.notify(port);
        }
    }

    fn unmask(&self, kernel: &mut K) {
        for port in self.port.iter().chain(&self.rx_port) {
            kernel.unmask(port);
        }
    }

    fn close<const LIMIT: usize>(
        &mut self,
        kernel: &mut K,
        name: Name,
        lingering: &mut Lingering<K, LIMIT>,
    ) {
        for port in [self.port.take(), self.rx_port.take()]
            .into_iter()
            .flatten()
        {
            kernel.close(port);
        }
        self.tx.close(kernel, name, lingering);
        self.rx.close(kernel, name, lingering);
    }
}
