//! A machine with Xen and dom0 running, and the way to talk to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};

use crate::base::progress;
use crate::base::repo;
use crate::host::channel::Channel;
use crate::host::image;
use crate::host::image::Image;
use crate::host::pair::{self, Host};
use crate::host::qemu::{self, Cable, Hardware, Qemu};
use crate::host::xen_build::Xen;

/// The longest dom0 may take to come up. It takes 10 to 20 s on an idle machine.
const BOOT_LIMIT: Duration = Duration::from_secs(240);

/// What a machine is made of: the hypervisor, and the host under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// The hypervisor.
    pub xen: Xen,
    /// The host.
    pub hardware: Hardware,
}

impl From<Xen> for Spec {
    /// On the usual host.
    fn from(xen: Xen) -> Self {
        Self {
            xen,
            hardware: Hardware::default(),
        }
    }
}

/// A running machine.
pub struct Machine {
    /// Commands to dom0.
    pub dom0: Channel,
    /// The run's folder.
    pub run: PathBuf,
    /// What it is made of; of a machine that another call left running only the hypervisor is
    /// known.
    pub spec: Spec,
    /// The other one, if this is host a of two ([`Machine::boot_pair`]).
    pub peer: Option<Box<Machine>>,
    qemu: Option<Mutex<Qemu>>,
}

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
    fn path(xen: Xen, host: Option<Host>) -> PathBuf {
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
    fn is_running(&self) -> bool {
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

/// A new folder for a run, and `target/lab/runs/latest` leading to it.
///
/// # Errors
/// If it cannot be made.
pub fn new_run(name: &str) -> Result<PathBuf> {
    let runs = repo::lab().join("runs");
    repo::make_dir(&runs)?;
    let stamp = stamp(SystemTime::now());
    for n in 0..1000 {
        let dir = runs.join(match n {
            0 => format!("{stamp}-{name}"),
            n => format!("{stamp}-{name}-{n}"),
        });
        match fs::create_dir(&dir) {
            Ok(()) => {
                let latest = runs.join("latest");
                let _ = fs::remove_file(&latest);
                if let Some(target) = dir.file_name() {
                    let _ = std::os::unix::fs::symlink(target, latest);
                }
                return Ok(dir);
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).context("cannot make the run's folder"),
        }
    }
    bail!("a thousand runs within a second")
}

/// UTC as `YYYYMMDD-HHMMSS`.
fn stamp(time: SystemTime) -> String {
    let secs = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (secs / 86400, secs % 86400);
    // Howard Hinnant's civil_from_days, for dates after 1970.
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}{month:02}{:02}-{:02}{:02}{:02}",
        doy - (153 * mp + 2) / 5 + 1,
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// A machine whose QEMU runs, and whose dom0 is not there yet.
struct Booting {
    qemu: Qemu,
    image: Image,
    run: PathBuf,
    spec: Spec,
    host: Option<Host>,
    detached: bool,
}

impl Booting {
    fn start(run: &Path, detached: bool, spec: Spec, host: Option<(Host, &Cable)>) -> Result<Self> {
        let Spec { xen, hardware } = spec;
        let mut image = image::ensure(xen.release())?;
        image.xen = xen.hypervisor(&image)?;
        let (accel, _) = qemu::accel();
        let cable = host.map(|(_, cable)| cable);
        let qemu = qemu::start(&image, run, accel, detached, cable, hardware)?;
        Ok(Self {
            qemu,
            image,
            run: run.to_path_buf(),
            spec,
            host: host.map(|(host, _)| host),
            detached,
        })
    }

    /// Waits until dom0 takes commands and `xl` works.
    fn finish(mut self) -> Result<Machine> {
        let connect = Channel::connect(&self.image, self.qemu.port, BOOT_LIMIT, || {
            self.qemu.check(&self.run)
        });
        let dom0 = connect.and_then(|dom0| {
            let limit = Duration::from_secs(60);
            dom0.must("xl info > /lab/info && grep -q . /lab/info", limit)?;
            // The guests churn on every vCPU they have; without this Xen's tools would wait for
            // their share of two processors, and a suspend would take ten times as long.
            dom0.must("xl sched-credit2 -d Domain-0 -w 32768", limit)?;
            Ok(dom0)
        });
        let dom0 = match dom0 {
            Ok(dom0) => dom0,
            Err(error) => {
                let logs = repo::shown(&self.run);
                return Err(error.context(format!("dom0 did not come up (see {logs}/xen.log)")));
            }
        };
        if self.detached {
            let state = UpState {
                pid: self.qemu.pid(),
                port: self.qemu.port,
                run: self.run.clone(),
                image: image::fingerprint(self.spec.xen.release()),
                xen: self.spec.xen,
                host: self.host,
            };
            let path = UpState::path(self.spec.xen, self.host);
            repo::write(&path, &serde_json::to_vec(&state)?)?;
        }
        let qemu = if self.detached {
            self.qemu.release();
            None
        } else {
            Some(Mutex::new(self.qemu))
        };
        Ok(Machine {
            dom0,
            run: self.run,
            spec: self.spec,
            peer: None,
            qemu,
        })
    }
}

impl Machine {
    /// Boots this Xen (built first if need be) and dom0; returns when dom0 takes commands and `xl`
    /// works.
    ///
    /// # Errors
    /// If the image cannot be built, QEMU dies, or dom0 does not answer in time.
    pub fn boot(run: &Path, detached: bool, spec: impl Into<Spec>) -> Result<Self> {
        let spec = spec.into();
        // What must be fetched or built says so itself.
        spec.xen.hypervisor(&image::ensure(spec.xen.release())?)?;
        progress::step("booting Xen and dom0", || {
            Booting::start(run, detached, spec, None)?.finish()
        })
    }

    /// Boots two hosts at the same time, joined by a network, and gives the first with the second
    /// as its `peer`. Each dom0 reaches the other by ssh under its name ([`Host::name`]).
    ///
    /// # Errors
    /// As [`Machine::boot`], and if the two do not reach each other.
    pub fn boot_pair(run: &Path, detached: bool, specs: [Spec; 2]) -> Result<Self> {
        for xen in specs.map(|spec| spec.xen) {
            xen.hypervisor(&image::ensure(xen.release())?)?;
        }
        progress::step("booting two hosts, each with Xen and dom0", || {
            let cables = Cable::pair()?;
            let mut booting = Vec::new();
            for ((host, spec), cable) in Host::ALL.into_iter().zip(specs).zip(&cables) {
                let run = run.join(format!("host-{}", host.name()));
                repo::make_dir(&run)?;
                booting.push(Booting::start(&run, detached, spec, Some((host, cable)))?);
            }
            // Only the machines hold the cable's ends from now on: should one die, the other sees
            // it.
            drop(cables);
            let images: Vec<Image> = booting.iter().map(|b| b.image.clone()).collect();
            let up: Result<Vec<Self>> = booting.into_iter().map(Booting::finish).collect();
            let joined = up.and_then(|mut up| {
                let (Some(b), Some(mut a)) = (up.pop(), up.pop()) else {
                    bail!("two machines were started, fewer came up");
                };
                pair::join(&a, &b, &images)?;
                a.peer = Some(Box::new(b));
                Ok(a)
            });
            if detached && joined.is_err() {
                // One alone, or two that do not see each other, are of no use.
                Host::ALL
                    .into_iter()
                    .filter_map(UpState::load_host)
                    .for_each(|s| s.stop());
            }
            joined
        })
    }

    /// The other host, where there are two.
    ///
    /// # Errors
    /// If there is only one.
    pub fn other(&self) -> Result<&Self> {
        self.peer
            .as_deref()
            .context("this needs two hosts, and there is one")
    }

    /// Attaches to the machine that `up --detach` left.
    ///
    /// # Errors
    /// If dom0 does not answer.
    pub fn attach(state: &UpState) -> Result<Self> {
        let image =
            image::kept(&state.image).context("the image of the running machine is gone")?;
        let dom0 = Channel::connect(&image, state.port, Duration::from_secs(60), || {
            if state.is_running() {
                Ok(())
            } else {
                bail!("QEMU has ended")
            }
        })?;
        Ok(Self {
            dom0,
            run: state.run.clone(),
            spec: state.xen.into(),
            peer: None,
            qemu: None,
        })
    }

    /// An error if QEMU or the connection is gone.
    ///
    /// # Errors
    /// That one.
    pub fn check(&self) -> Result<()> {
        if let Some(qemu) = &self.qemu {
            if let Ok(mut qemu) = qemu.lock() {
                qemu.check(&self.run)?;
            }
        }
        if self.dom0.lost() {
            bail!("the connection to dom0 is lost");
        }
        if let Some(peer) = &self.peer {
            peer.check().context("the other host")?;
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.qemu.is_some() {
            split_log(&self.run);
        }
    }
}

/// Writes `dom0.log`: what in `xen.log` (the one serial line) is not Xen's.
fn split_log(run: &Path) {
    if let Ok(all) = fs::read(run.join("xen.log")) {
        let text = String::from_utf8_lossy(&all);
        let dom0: String = text
            .lines()
            .filter(|line| !line.starts_with("(XEN)"))
            .map(|line| format!("{}\n", line.trim_end_matches('\r')))
            .collect();
        // A convenience: the source stays.
        let _ = fs::write(run.join("dom0.log"), dom0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_calendar_dates() {
        let at = |secs| stamp(UNIX_EPOCH + Duration::from_secs(secs));
        assert_eq!(at(0), "19700101-000000");
        assert_eq!(at(951_827_696), "20000229-123456");
        assert_eq!(at(1_795_219_199), "20261120-235959");
    }
}
