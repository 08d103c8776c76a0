//! The network between two hosts: a cable, and what each end is called.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One of two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// The first.
    A,
    /// The second.
    B,
}

impl Host {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// What the other host and the command line call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// Its address on the network between the two.
    pub fn address(self) -> &'static str {
        match self {
            Self::A => "10.0.3.1",
            Self::B => "10.0.3.2",
        }
    }

    /// Not this one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The card that holds the cable.
pub const CARD: &str = "eth1";

/// The largest packet on the cable, bytes: fewer packets are fewer exits from an emulated machine.
pub const MTU: u32 = 9000;

/// One end of a cable between two machines.
///
/// The cable is a pair of connected sockets that the two processes inherit: no port that somebody
/// else could take or listen at, and no order in which the machines must start. When one machine
/// ends, the other sees its cable go dead.
#[derive(Debug)]
pub struct Cable {
    end: OwnedFd,
    /// The last byte of this end's hardware address; the two ends must differ.
    address: u8,
}

impl Cable {
    /// Both ends.
    ///
    /// # Errors
    /// If the operating system gives no sockets.
    pub fn pair() -> Result<[Self; 2]> {
        let (a, b) = UnixStream::pair().context("no cable between the machines")?;
        Ok([(a, 0x0a), (b, 0x0b)].map(|(end, address)| Self {
            end: end.into(),
            address,
        }))
    }

    /// Plugs it into a machine that is yet to be started.
    pub fn plug(&self, command: &mut Command) {
        let fd = self.end.as_raw_fd();
        command.args(["-netdev", &format!("socket,id=cable,fd={fd}"), "-device"]);
        command.arg(format!(
            "virtio-net-pci,netdev=cable,romfile=,mac=52:54:00:58:45:{:02x}",
            self.address
        ));
        // SAFETY: the closure runs in the child between fork and exec and calls only fcntl(2),
        // which is async-signal-safe. The descriptor is open there: `self` outlives the call that
        // spawns the child.
        unsafe {
            command.pre_exec(move || {
                let fd = std::os::fd::BorrowedFd::borrow_raw(fd);
                let keep = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
                nix::fcntl::fcntl(fd, keep)?;
                Ok(())
            });
        }
    }
}
