//! The machine: QEMU, with Xen as its kernel.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{bail, Context, Result};

use crate::base::child::{self, Guarded};
use crate::host::image::Image;
use crate::host::network::Cable;

/// Under plain emulation (TCG) each of these breaks something: with `smap` (and `smep`) dom0 dies
/// in Xen's create_bounce_frame; `rdtscp` is reported as an RDTSC intercept and Xen kills the PVH
/// guest; with `xsave` (and what needs it) state is lost across PV context switches.
const TCG_CPU: &str = "max,-smap,-smep,-rdtscp,-xsave,-avx,-avx2,-f16c,-fma";

/// How the machine is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// Emulation; works everywhere.
    Tcg,
    /// The host's processor, if it can nest.
    Kvm,
}

/// The fastest kind of machine this host can have, and why not a faster one.
pub fn accel() -> (Accel, &'static str) {
    let nested = ["kvm_intel", "kvm_amd"].iter().any(|module| {
        std::fs::read_to_string(format!("/sys/module/{module}/parameters/nested"))
            .is_ok_and(|text| matches!(text.trim(), "Y" | "1"))
    });
    if !Path::new("/dev/kvm").exists() {
        return (Accel::Tcg, "no /dev/kvm");
    }
    let Ok(kvm) = File::options().read(true).write(true).open("/dev/kvm") else {
        return (Accel::Tcg, "/dev/kvm cannot be opened");
    };
    if !kvm_makes_machines(&kvm) {
        return (Accel::Tcg, "/dev/kvm does not make machines");
    }
    if !nested {
        return (Accel::Tcg, "KVM does not offer nested virtualisation");
    }
    (Accel::Kvm, "KVM with nested virtualisation")
}

fn kvm_makes_machines(kvm: &File) -> bool {
    use std::os::fd::FromRawFd;
    nix::ioctl_write_int_bad!(kvm_create_vm, 0xae01);
    // SAFETY: KVM_CREATE_VM takes an integer (0: the default machine type) and no pointer; it gives
    // a new file descriptor or -1.
    match unsafe { kvm_create_vm(kvm.as_raw_fd(), 0) } {
        Ok(fd) if fd >= 0 => {
            // SAFETY: the descriptor is new and nobody else has it.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            true
        }
        _ => false,
    }
}

/// A running QEMU.
pub struct Qemu {
    process: Process,
    /// The port on 127.0.0.1 that leads to dom0's port 22.
    pub port: u16,
}

enum Process {
    Ours(Guarded),
    Detached(std::process::Child),
    /// Let go: it is no longer ours to stop.
    Free,
}

/// What the machine has that a test or a person may want otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardware {
    /// Memory, MiB. dom0 gets [`DOM0_MIB`]; Xen and the guests share the rest. What nobody touches
    /// costs nothing: QEMU takes a page from this host when it is first written, and `bootscrub=0`
    /// keeps Xen from writing them all.
    pub mib: u32,
    /// Processors. dom0 has [`CPUS`] of them at most.
    pub cpus: u8,
    /// More of Xen's command line, such as `pv-linear-pt=false`.
    pub xen_options: &'static str,
    /// More of dom0's, such as [`OXENSTORED`].
    pub dom0_options: &'static str,
}

/// Has dom0 run the xenstored written in OCaml; it is in the dom0 of
/// [`Release::BookwormToolstacks`](crate::host::debian::Release).
pub const OXENSTORED: &str = "lab.xenstored=oxenstored";

impl Default for Hardware {
    fn default() -> Self {
        Self {
            mib: 2048,
            cpus: CPUS,
            xen_options: "",
            dom0_options: "",
        }
    }
}

/// The processors of the usual host.
pub const CPUS: u8 = 2;

/// dom0's memory, MiB: its programs, and saved guests in its /lab.
pub const DOM0_MIB: u32 = 768;

/// Starts the machine. Xen's and dom0's console go to `xen.log` and `dom0.log`... in `run`.
///
/// With `detached` it lives on when we end. A `cable` becomes dom0's second network card.
///
/// # Errors
/// If QEMU cannot be started.
pub fn start(
    image: &Image,
    run: &Path,
    accel: Accel,
    detached: bool,
    cable: Option<&Cable>,
    hardware: Hardware,
) -> Result<Qemu> {
    let port = free_port()?;
    let mut command = Command::new("qemu-system-x86_64");
    match accel {
        Accel::Tcg => command.args(["-accel", "tcg,thread=multi", "-cpu", TCG_CPU]),
        Accel::Kvm => command.args(["-accel", "kvm", "-cpu", "host"]),
    };
    let text = |path: &Path| path.display().to_string();
    for path in [&image.initramfs, &image.kernel] {
        // -initrd takes a list of modules with commas in between.
        if text(path).contains([',', ' ']) {
            bail!(
                "the repository's path {} has a comma or a space, which QEMU cannot take",
                path.display()
            );
        }
    }
    command
        .args(["-machine", "q35,memory-backend=ram", "-smp", &hardware.cpus.to_string(), "-display", "none", "-no-reboot"])
        // Not reserved: a machine larger than this host is one whose memory is not all used.
        .args(["-object", &format!("memory-backend-ram,id=ram,size={}M,reserve=off", hardware.mib)])
        .args(["-m", &hardware.mib.to_string(), "-nodefaults", "-no-user-config"])
        .args(["-serial", &format!("file:{}", run.join("xen.log").display())])
        .arg("-kernel")
        .arg(&image.xen)
        .args([
            "-append",
            &format!(
                "console=com1 com1=115200,8n1 dom0_mem={DOM0_MIB}M,max:{DOM0_MIB}M dom0_max_vcpus=2 \
                 loglvl=all guest_loglvl=all bootscrub=0 conring_size=1m {}",
                hardware.xen_options
            ),
        ])
        .args([
            "-initrd",
            &format!(
                "{} console=hvc0 loglevel=4 tsc=unstable {},{}",
                text(&image.kernel),
                hardware.dom0_options,
                text(&image.initramfs)
            ),
        ])
        .args([
            "-netdev",
            &format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:22"),
            "-device",
            "virtio-net-pci,netdev=net,romfile=",
        ]);
    if let Some(cable) = cable {
        cable.plug(&mut command);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(run.join("qemu.log")).context("cannot write qemu.log")?);
    let process = if detached {
        Process::Detached(
            command
                .process_group(0)
                .spawn()
                .context("cannot start qemu-system-x86_64")?,
        )
    } else {
        Process::Ours(Guarded::spawn(command)?)
    };
    Ok(Qemu { process, port })
}

impl Qemu {
    /// QEMU's process id.
    pub fn pid(&mut self) -> u32 {
        match &mut self.process {
            Process::Ours(guarded) => guarded.child().id(),
            Process::Detached(child) => child.id(),
            Process::Free => 0,
        }
    }

    /// Lets a detached one live on when we end; until then it is stopped with everything else, so
    /// that one that does not come up is not left behind.
    pub fn release(mut self) {
        if matches!(self.process, Process::Detached(_)) {
            self.process = Process::Free;
        }
    }

    /// An error that holds QEMU's last words, if it has ended.
    ///
    /// # Errors
    /// That one.
    pub fn check(&mut self, run: &Path) -> Result<()> {
        let status = match &mut self.process {
            Process::Ours(guarded) => guarded.ended()?,
            Process::Detached(child) => child.try_wait()?,
            Process::Free => None,
        };
        let Some(status) = status else {
            return Ok(());
        };
        let said = std::fs::read_to_string(run.join("qemu.log")).unwrap_or_default();
        let xen = std::fs::read(run.join("xen.log")).unwrap_or_default();
        let xen = String::from_utf8_lossy(&xen);
        let lines: Vec<&str> = xen.lines().collect();
        let tail = lines[lines.len().saturating_sub(8)..].join("\n    ");
        bail!(
            "QEMU ended with status {}{}{}\n  the last of xen.log:\n    {tail}",
            child::code(status),
            if said.is_empty() { "" } else { ": " },
            said.trim()
        );
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        use nix::sys::signal::{killpg, Signal};
        if let Process::Detached(child) = &mut self.process {
            if !matches!(child.try_wait(), Ok(Some(_))) {
                // Its own process group, made when it was started.
                let _ = killpg(
                    nix::unistd::Pid::from_raw(child.id() as i32),
                    Signal::SIGKILL,
                );
                let _ = child.wait();
            }
        }
    }
}

/// A port that was free a moment ago. Should somebody take it before QEMU does, QEMU says so and
/// ends.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}
