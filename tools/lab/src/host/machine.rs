//! A machine with Xen and dom0 running, and the way to talk to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::base::progress;
use crate::base::repo;
use crate::host::channel::Channel;
use crate::host::detached::UpState;
use crate::host::image;
use crate::host::image::Image;
use crate::host::network::{Cable, Host};
use crate::host::qemu::{self, Hardware, Qemu};
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
    /// The other one, if this is host a of two ([`pair::boot`](crate::host::pair::boot)).
    pub peer: Option<Box<Machine>>,
    qemu: Option<Mutex<Qemu>>,
}

/// A machine whose QEMU runs, and whose dom0 is not there yet.
pub(super) struct Booting {
    qemu: Qemu,
    pub(super) image: Image,
    run: PathBuf,
    spec: Spec,
    host: Option<Host>,
    detached: bool,
}

impl Booting {
    pub(super) fn start(
        run: &Path,
        detached: bool,
        spec: Spec,
        host: Option<(Host, &Cable)>,
    ) -> Result<Self> {
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
    pub(super) fn finish(mut self) -> Result<Machine> {
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

    /// The other host, where there are two.
    ///
    /// # Errors
    /// If there is only one.
    pub fn other(&self) -> Result<&Self> {
        self.peer
            .as_deref()
            .context("this needs two hosts, and there is one")
    }

    /// It and, where there are two hosts, the other one.
    pub fn hosts(&self) -> impl Iterator<Item = (&Self, Host)> {
        let peer = self.peer.as_deref().map(|peer| (peer, Host::B));
        std::iter::once((self, Host::A)).chain(peer)
    }

    /// Which of its hosts this machine is.
    pub fn host_of(&self, machine: &Self) -> Host {
        match std::ptr::eq(self, machine) {
            true => Host::A,
            false => Host::B,
        }
    }

    /// Of its two hosts, the one that is not this machine.
    ///
    /// # Errors
    /// If there is only one.
    pub fn beside(&self, machine: &Self) -> Result<&Self> {
        match self.host_of(machine) {
            Host::A => self.other(),
            Host::B => Ok(self),
        }
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
