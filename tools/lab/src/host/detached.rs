//! Machines that a command left running for later ones.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::repo;
use crate::host::network::Host;
use crate::host::xen_build::Xen;

/// What `up --detach` leaves for later commands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpState {
    /// QEMU's process id.
    pub pid: u32,
    /// The ssh port.
    pub port: u16,
    /// The run's folder.
    pub run: PathBuf,
    /// The image it was booted from.
    pub image: String,
    /// The hypervisor it runs.
    #[serde(default)]
    pub xen: Xen,
    /// Which of two hosts it is, if it is one of two.
    #[serde(default)]
    pub host: Option<Host>,
}

impl UpState {
    pub(super) fn path(xen: Xen, host: Option<Host>) -> PathBuf {
        repo::lab().join(match (host, xen) {
            (Some(host), _) => format!("up-host-{}.json", host.name()),
            (None, Xen::Debian12) => "up.json".to_owned(),
            (None, other) => format!("up-{}.json", other.name()),
        })
    }

    fn read(path: &Path) -> Option<Self> {
        let state: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        state.is_running().then_some(state)
    }

    /// The detached machine with this hypervisor, if it still runs. There may be one of each.
    pub fn load(xen: Xen) -> Option<Self> {
        Self::read(&Self::path(xen, None)).filter(|state| state.xen == xen)
    }

    /// That one of two detached hosts, if it still runs.
    pub fn load_host(host: Host) -> Option<Self> {
        Self::read(&Self::path(Xen::default(), Some(host))).filter(|s| s.host == Some(host))
    }

    /// Every detached machine that runs.
    pub fn all() -> Vec<Self> {
        let single = Xen::ALL.into_iter().filter_map(Self::load);
        single
            .chain(Host::ALL.into_iter().filter_map(Self::load_host))
            .collect()
    }

    /// Whether the process is there and is that QEMU: its command line names the run's folder.
    pub(super) fn is_running(&self) -> bool {
        fs::read(format!("/proc/{}/cmdline", self.pid)).is_ok_and(|line| {
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains("qemu-system-x86_64") && line.contains(&*self.run.to_string_lossy())
        })
    }

    /// Stops the machine.
    pub fn stop(&self) {
        use nix::sys::signal::{killpg, Signal};
        if self.is_running() {
            // Its own process group, made when it was started.
            let _ = killpg(nix::unistd::Pid::from_raw(self.pid as i32), Signal::SIGKILL);
        }
        let _ = fs::remove_file(Self::path(self.xen, self.host));
    }
}
