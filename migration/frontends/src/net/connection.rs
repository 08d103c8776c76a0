//! An interface and its backend: connected, served, parted.

use migration::xenstore::Xenstore;
use migration::Text;

use super::announce::Announcements;
use super::{Link, Nic, Queue};
use crate::device::Driver;
use crate::error::{Lie, Name, Problem};
use crate::kernel::Kernel;
use crate::keys;
use crate::path;
use crate::peer::Peer;
use crate::state::State;

/// What this side says of itself.
const OURS: [(&str, u8); 7] = [
    ("request-rx-copy", 1),
    // This side sends an event for each room that the backend waits for.
    ("feature-rx-notify", 1),
    ("feature-sg", 1),
    ("feature-no-csum-offload", 1),
    ("feature-ipv6-csum-offload", 0),
    ("feature-gso-tcpv4", 0),
    ("feature-gso-tcpv6", 0),
];

impl<K: Kernel, const QUEUES: usize, const BUFFERS: usize> Driver<K> for Nic<K, QUEUES, BUFFERS> {
    const KIND: &'static str = "vif";
    const OFFERED: State = State::Connected;

    fn offer(&mut self, kernel: &mut K, peer: &Peer, again: bool) -> Result<(), Problem> {
        if !path::flag(kernel.tree(), peer.backend(), "feature-rx-copy")? {
            return Err(Problem::Unsupported("feature-rx-copy"));
        }
        let wanted = self.wishes.queues.clamp(1, QUEUES);
        let count = keys::queues(kernel.tree(), peer.backend(), wanted)?;
        let split = self.wishes.split_events
            && path::flag(
                kernel.tree(),
                peer.backend(),
                "feature-split-event-channels",
            )?;
        let stale: &[&str] = if again { &keys::STALE } else { &[] };
        keys::announce(kernel.tree(), peer.dir(), count, stale)?;
        for index in 0..count {
            self.queues[index].offer(kernel, peer, (count, index), split)?;
        }
        self.fill(kernel, peer, count)?;
        for (node, value) in OURS {
            path::put(kernel.tree(), peer.dir(), node, value)?;
        }
        self.active = 0;
        self.turn = 0;
        self.offered = count;
        Ok(())
    }

    fn connected(&mut self, kernel: &mut K, peer: &Peer) -> Result<(), Problem> {
        self.link = Some(Link::read(kernel.tree(), peer)?);
        if self.active > 0 {
            return Ok(());
        }
        self.active = self.offered;
        self.announcements = Announcements::begin(kernel.now());
        for queue in &mut self.queues[..self.active] {
            queue.rx.push(kernel);
            queue.notify_tx(kernel);
            queue.notify_rx(kernel);
        }
        Ok(())
    }

    fn serve(&mut self, kernel: &mut K, _: &Peer, may_ask: bool) -> Result<(), Lie> {
        for queue in &mut self.queues[..self.active] {
            queue.tx.collect(kernel)?;
            queue.unmask(kernel);
        }
        if may_ask {
            self.announce(kernel);
        }
        Ok(())
    }

    fn rest(&mut self, _: &mut K) {
        // Nothing is kept in pages that the backend has: what was received and not taken is lost.
    }

    fn disconnect(&mut self, kernel: &mut K, name: Name) {
        self.active = 0;
        self.announcements = Announcements::NONE;
        for queue in &mut self.queues {
            self.lost += queue.tx.in_flight() as u64;
            queue.close(kernel, name, &mut self.lingering);
        }
    }

    /// A backend that closes sends no more: nothing is waited for.
    fn in_flight(&self) -> usize {
        0
    }

    fn gone(&mut self) {}

    fn retry(&mut self, kernel: &mut K, name: Name) {
        self.lingering.retry(kernel, name);
    }

    fn retire(&mut self, kernel: &mut K, name: Name) -> bool {
        self.lingering.retry(kernel, name);
        self.lingering.held() == 0
    }
}

impl<K: Kernel, const QUEUES: usize, const BUFFERS: usize> Nic<K, QUEUES, BUFFERS> {
    /// Gives each queue buffers, one after the other, so that all have some where there are not
    /// enough for all: a grant table of one frame has 504 entries.
    fn fill(&mut self, kernel: &mut K, peer: &Peer, count: usize) -> Result<(), Problem> {
        for at in 0..BUFFERS {
            for queue in &mut self.queues[..count] {
                let tx = queue.tx.add(kernel, peer.domain(), at);
                if let Err(problem) = tx.and_then(|()| queue.rx.add(kernel, peer.domain(), at)) {
                    // Each queue has at least one, or none of them works.
                    if at == 0 {
                        return Err(problem);
                    }
                    let name = peer.name();
                    log::warn!("{name}: {at} and not {BUFFERS} buffers for each queue: {problem}");
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl<K: Kernel, const BUFFERS: usize> Queue<K, BUFFERS> {
    /// Makes rings and ports, and says where they are.
    fn offer(
        &mut self,
        kernel: &mut K,
        peer: &Peer,
        (count, index): (usize, usize),
        split: bool,
    ) -> Result<(), Problem> {
        let dir = keys::folder(peer.dir(), count, index)?;
        let dir = dir.as_str();
        let tx = self.tx.open(kernel, peer.domain())?;
        let rx = self.rx.open(kernel, peer.domain())?;
        path::put(kernel.tree(), dir, "tx-ring-ref", tx)?;
        path::put(kernel.tree(), dir, "rx-ring-ref", rx)?;
        let port = self.port.insert(kernel.open(peer.domain())?);
        let number = kernel.number(port);
        if !split {
            return path::put(kernel.tree(), dir, "event-channel", number);
        }
        let port = self.rx_port.insert(kernel.open(peer.domain())?);
        let rx_number = kernel.number(port);
        path::put(kernel.tree(), dir, "event-channel-tx", number)?;
        path::put(kernel.tree(), dir, "event-channel-rx", rx_number)
    }
}

impl Link {
    fn read<X: Xenstore>(tree: &mut X, peer: &Peer) -> Result<Link, Problem> {
        let mut buf = [0; 24];
        let mac = path::text(tree, peer.dir(), "mac", &mut buf)?;
        let text = mac.ok_or(Problem::Missing("mac"))?;
        let node = "mac";
        let mac = parse(text).ok_or(Problem::Value {
            node,
            value: Text::new(text),
        })?;
        let mtu = path::number(tree, peer.dir(), "mtu")?.unwrap_or(1500);
        let carrier = path::number(tree, peer.backend(), "carrier")?;
        Ok(Link {
            mac,
            // RFC 791's least, so that a small number cannot stop everything.
            mtu: mtu.clamp(68, 0xffff) as u16,
            up: carrier != Some(0),
            gather: path::flag(tree, peer.backend(), "feature-sg")?,
        })
    }
}

/// Reads `00:16:3e:01:02:03`.
fn parse(text: &[u8]) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = core::str::from_utf8(text).ok()?.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_mac_is_six_bytes_in_hexadecimal() {
        assert_eq!(
            parse(b"00:16:3e:0a:FF:03"),
            Some([0, 0x16, 0x3e, 10, 255, 3])
        );
        for bad in [
            "",
            "00:16:3e:0a:ff",
            "00:16:3e:0a:ff:03:04",
            "0:16:3e:0a:ff:03",
            "zz:16:3e:0a:ff:03",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
