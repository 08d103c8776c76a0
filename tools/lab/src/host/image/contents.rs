//! What goes into dom0, as lists.

use crate::host::debian::Release;

/// What of Debian's packages goes into dom0 besides Xen's tools.
pub fn programs(release: Release) -> impl Iterator<Item = &'static str> {
    let more: &[_] = match release {
        Release::BookwormToolstacks => TOOLSTACKS,
        Release::Bookworm | Release::Trixie => &[],
    };
    PROGRAMS.iter().chain(more).copied()
}

/// Programs that go into dom0, by their path in Debian's root.
const PROGRAMS: &[&str] = &[
    "bin/busybox",
    "usr/bin/tail",
    "usr/bin/dbclient",
    "usr/sbin/dropbear",
    "usr/bin/xenstore",
];

/// Those of [`Release::BookwormToolstacks`]: Ganeti's way to another host, and libvirt with the
/// driver that it opens.
const TOOLSTACKS: &[&str] = &[
    "usr/bin/socat",
    "usr/sbin/libvirtd",
    "usr/bin/virsh",
    "usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_libxl.so",
];

/// Where libvirt's tables of processors are, without which its driver does not start.
pub const CPU_MAP: &str = "usr/share/libvirt/cpu_map/";

/// One more for them: the emulated processor lacks a feature of each that is there, if only VME,
/// and libvirt does not start on one that it cannot name.
pub const LAB_CPU: &str =
    "<cpus><model name='lab'><decode host='on' guest='on'/><feature name='fpu'/></model></cpus>\n";

/// Their list, and where the new one goes.
pub const CPU_INDEX: &str = "usr/share/libvirt/cpu_map/index.xml";

pub const FIRST_CPU: &str = "<include filename='x86_486.xml'/>";

/// Those of Xen's tools that go in too.
pub const XEN_PROGRAMS: &[&str] = &[
    "xl",
    "xenstored",
    "xenconsoled",
    "xenconsole",
    "xen-init-dom0",
    "libxl-save-helper",
    "xenctx",
    "xen-hvmctx",
    "readnotes",
    "lsevtchn",
];

/// More of them for [`Release::BookwormToolstacks`]: the other xenstored, and what has one replace
/// itself while it runs.
pub fn more_xen_programs(release: Release) -> &'static [&'static str] {
    match release {
        Release::BookwormToolstacks => &["oxenstored", "xenstore-control"],
        Release::Bookworm | Release::Trixie => &[],
    }
}

/// Opened with dlopen and therefore in no program's list: xl aborts without it when a thread is
/// cancelled.
pub const EXTRA_LIBRARIES: &[&str] = &["libgcc_s.so.1"];

/// Kernel modules; those they depend on follow by themselves.
pub const MODULES: &[&str] = &[
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-privcmd",
    "xenfs",
    "virtio_pci",
    "virtio_net",
];

/// Backends, and what joins them to dom0: not loaded before a guest wants them.
pub const MODULES_FOR_DEVICES: &[&str] = &["bridge", "xen-netback", "loop", "xen-blkback"];

/// Loads them, and makes a bridge and a disk.
pub const DEVICES: &str = include_str!("dom0-devices.sh");

/// What `xl` runs for each device of a guest, by its place in dom0.
pub const HOTPLUG_SCRIPTS: &[(&str, &str)] = &[
    ("etc/xen/scripts/vif-bridge", include_str!("vif-script.sh")),
    ("etc/xen/scripts/block", include_str!("block-script.sh")),
];

pub const LIBRARY_FOLDERS: &[&str] = &[
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/xen-4.17/lib/x86_64-linux-gnu",
    "usr/lib/xen-4.20/lib/x86_64-linux-gnu",
    "lib64",
];

/// dom0's first process.
pub const INIT: &str = include_str!("dom0-init.sh");

/// Folders that nothing else makes.
pub const FOLDERS: &[&str] = &[
    "bin",
    "sbin",
    "dev",
    "dev/pts",
    "proc",
    "sys",
    "run",
    "run/xen",
    "run/xenstored",
    "run/lock",
    "tmp",
    "etc",
    "etc/xen",
    "etc/dropbear",
    "root",
    "root/.ssh",
    "var",
    "var/lib",
    "var/lib/xen",
    "var/lib/xenstored",
    "var/log",
    "var/log/xen",
    "var/log/xen/console",
    "lab",
    "usr",
    "usr/bin",
    "usr/sbin",
];

/// What `xenstore` is also called, behind `xenstore-`.
pub const XENSTORE_NAMES: &[&str] = &[
    "chmod", "exists", "list", "ls", "read", "rm", "watch", "write",
];

/// Those of Xen's tools that are on the path.
pub const XEN_ON_PATH: &[&str] = &[
    "xl",
    "xenstored",
    "xenconsoled",
    "xenctx",
    "xen-hvmctx",
    "readnotes",
    "lsevtchn",
];

/// Small files, each with its text. Names come from /etc/hosts alone: there is no name server to
/// wait for.
pub const SMALL_FILES: &[(&str, &str)] = &[
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
    ("etc/group", "root:x:0:\n"),
    ("etc/shells", "/bin/sh\n"),
    ("etc/nsswitch.conf", "hosts: files\n"),
    ("etc/xen/xl.conf", "autoballoon=\"off\"\n"),
];
