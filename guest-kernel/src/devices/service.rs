//! The service: ping, TCP echo, and HTTP with a page about the guest and the records on its disk.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};
use spin::{Mutex, MutexGuard};

use super::exchange::{Exchange, Serving};
use super::links::Links;
use super::status::Status;
use super::store::{Done, Store};
use super::wire::{Frames, Wire};
use super::{Disk, Nic};
use crate::cmdline::{self, Address};
use crate::xen::{events, time};

/// Connections at a time.
const ECHOES: usize = 2;
const PAGES: usize = 2;
const SOCKETS: usize = ECHOES + PAGES;
/// Bytes on the way in each direction of a connection.
const BUFFER: usize = 2048;
/// TCP ports.
const ECHO: u16 = 7;
const HTTP: u16 = 80;
/// Rounds between network and sockets in one pass: others want something of vCPU 0 too.
const ROUNDS: usize = 8;
/// A peer that says nothing is asked whether it is there, and is given up when it does not answer.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const GIVEN_UP: Duration = Duration::from_secs(300);

/// Memory that is never on a stack.
struct Room {
    sockets: [SocketStorage<'static>; SOCKETS],
    buffers: [[[u8; BUFFER]; 2]; SOCKETS],
}

static ROOM: Mutex<Room> = Mutex::new(Room {
    sockets: [SocketStorage::EMPTY; SOCKETS],
    buffers: [[[0; BUFFER]; 2]; SOCKETS],
});

struct Net {
    interface: Interface,
    sockets: SocketSet<'static>,
    echoes: [SocketHandle; ECHOES],
    pages: [SocketHandle; PAGES],
}

/// The service.
pub struct Service {
    net: Option<Net>,
    frames: Frames,
    exchanges: [Exchange; PAGES],
    store: Store,
    status: Status,
}

impl Service {
    /// One that has not begun.
    pub const fn new() -> Service {
        Service {
            net: None,
            frames: Frames::new(),
            exchanges: [const { Exchange::new() }; PAGES],
            store: Store::new(),
            status: Status::new(),
        }
    }

    /// The domain was suspended, and is back.
    pub fn returned(&mut self) {
        self.status.suspends += 1;
    }

    /// Serves who asks. Gives when to come again, if no event comes before.
    pub fn poll(
        &mut self,
        links: &mut Links,
        nic: Option<&mut Nic>,
        mut disk: Option<&mut Disk>,
    ) -> u64 {
        self.status.look();
        let Some(nic) = nic else {
            self.use_disk(links, disk.as_deref_mut());
            return events::NEVER;
        };
        self.begin(links, nic);
        for _ in 0..ROUNDS {
            let heard = self.use_network(links, nic);
            let done = self.use_disk(links, disk.as_deref_mut());
            let said = self.serve(links, nic, disk.as_deref_mut());
            if !(heard || done || said) {
                return self.next();
            }
        }
        time::now()
    }

    /// Once, when the interface's own address is known.
    fn begin(&mut self, links: &mut Links, nic: &mut Nic) {
        let (Some(link), Some(address)) = (nic.link(), cmdline::options().service) else {
            return;
        };
        if self.net.is_some() {
            return;
        }
        let mac = EthernetAddress(link.mac);
        let ip = Some(address.ip);
        let mut config = Config::new(mac.into());
        // Where TCP's sequence numbers begin.
        config.random_seed = time::now() ^ time::wall_us();
        let mut wire = Wire {
            nic,
            links,
            frames: &mut self.frames,
        };
        let mut interface = Interface::new(config, &mut wire, instant());
        interface.update_ip_addrs(|addresses| {
            // There is room for two.
            let _ = addresses.push(cidr(address));
        });
        wire.nic.set_addresses(
            wire.links,
            frontends::net::Addresses {
                ipv4: ip,
                ipv6: None,
            },
        );
        self.net = Some(Net::new(interface));
    }

    /// Lets smoltcp take what has come and send what is to go. Gives whether a socket has changed.
    fn use_network(&mut self, links: &mut Links, nic: &mut Nic) -> bool {
        let Some(net) = &mut self.net else {
            return false;
        };
        let mut wire = Wire {
            nic,
            links,
            frames: &mut self.frames,
        };
        let polled = net.interface.poll(instant(), &mut wire, &mut net.sockets);
        polled == smoltcp::iface::PollResult::SocketStateChanged
    }

    /// Takes what the disk has done to whoever waits for it. Gives whether anything was done.
    fn use_disk(&mut self, links: &mut Links, disk: Option<&mut Disk>) -> bool {
        let Some(disk) = disk else { return false };
        let mut any = false;
        while let Some(done) = self.store.poll(links, disk) {
            any = true;
            let text = match done {
                Done::Read(_) => self.store.text(),
                _ => &[],
            };
            for exchange in &mut self.exchanges {
                exchange.disk_did(done, text);
            }
        }
        any
    }

    /// Lets each connection go on. Gives whether one did.
    fn serve(&mut self, links: &mut Links, nic: &mut Nic, mut disk: Option<&mut Disk>) -> bool {
        let Some(net) = &mut self.net else {
            return false;
        };
        self.status.counts = nic.counts();
        self.status.connections = nic.connections();
        self.status.records = self.store.next();
        let mut any = false;
        for handle in net.echoes {
            any |= echo(net.sockets.get_mut(handle));
        }
        for (handle, exchange) in net.pages.into_iter().zip(&mut self.exchanges) {
            let socket = net.sockets.get_mut::<Socket<'_>>(handle);
            any |= listen(socket, HTTP);
            any |= exchange.go_on(
                socket,
                &mut Serving {
                    links,
                    disk: disk.as_deref_mut(),
                    store: &mut self.store,
                    status: &self.status,
                },
            );
        }
        any
    }

    fn next(&mut self) -> u64 {
        let Some(net) = &mut self.net else {
            return events::NEVER;
        };
        let delay = net.interface.poll_delay(instant(), &net.sockets);
        delay.map_or(events::NEVER, |delay| {
            time::now() + delay.total_micros() * 1000
        })
    }
}

impl Net {
    /// Takes the room for the sockets, of which there is one.
    fn new(interface: Interface) -> Net {
        let room = MutexGuard::leak(ROOM.lock());
        let mut sockets = SocketSet::new(&mut room.sockets[..]);
        let mut buffers = room.buffers.iter_mut();
        let mut socket = || {
            let (input, output) = match buffers.next() {
                Some([input, output]) => (&mut input[..], &mut output[..]),
                None => (&mut [][..], &mut [][..]),
            };
            let mut socket = Socket::new(SocketBuffer::new(input), SocketBuffer::new(output));
            socket.set_keep_alive(Some(KEEP_ALIVE));
            socket.set_timeout(Some(GIVEN_UP));
            sockets.add(socket)
        };
        let echoes = core::array::from_fn(|_| socket());
        let pages = core::array::from_fn(|_| socket());
        Net {
            interface,
            sockets,
            echoes,
            pages,
        }
    }
}

/// The guest's clock, as smoltcp counts.
fn instant() -> Instant {
    Instant::from_micros((time::now() / 1000) as i64)
}

fn cidr(address: Address) -> IpCidr {
    IpCidr::new(Ipv4Address::from(address.ip).into(), address.bits)
}

/// Waits for the next connection, if there is none.
fn listen(socket: &mut Socket<'_>, port: u16) -> bool {
    // Both sides have closed, and there are few places: the next client takes this one at once.
    if socket.state() == State::TimeWait {
        socket.abort();
    }
    // It is closed, so it can listen.
    !socket.is_open() && socket.listen(port).is_ok()
}

/// Sends back what has come, as far as there is room.
fn echo(socket: &mut Socket<'_>) -> bool {
    let mut any = listen(socket, ECHO);
    let mut bytes = [0; 256];
    while socket.can_recv() && socket.can_send() {
        let room = socket.send_capacity() - socket.send_queue();
        let most = room.min(bytes.len());
        let Ok(len) = socket.recv_slice(&mut bytes[..most]) else {
            break;
        };
        // There is room.
        let _ = socket.send_slice(&bytes[..len]);
        any = true;
    }
    if socket.may_send() && !socket.may_recv() && socket.recv_queue() == 0 {
        socket.close();
        any = true;
    }
    any
}
