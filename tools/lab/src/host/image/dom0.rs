//! dom0 put together: its kernel, its initramfs, and Xen.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{bail, Context, Result};

use crate::base::repo;
use crate::host::debian::Release;
use crate::host::image::contents::{
    self, CPU_INDEX, CPU_MAP, DEVICES, FIRST_CPU, FOLDERS, HOTPLUG_SCRIPTS, INIT, LAB_CPU,
    SMALL_FILES, XENSTORE_NAMES, XEN_ON_PATH, XEN_PROGRAMS,
};
use crate::host::image::root::Root;
use crate::host::image::tree::Tree;
use crate::host::image::{libraries, modules, unpack};
use crate::host::sshkey::Keys;

/// Writes the image's files into `dir`.
///
/// # Errors
/// If Debian's packages are not what this code expects, or the disk is full.
pub fn assemble(release: Release, root: &Root, dir: &Path) -> Result<()> {
    let version = release.xen();
    let xen_gz = format!("boot/xen-{version}-amd64.gz");
    let xen =
        unpack::gunzip(root.get(&xen_gz)?).with_context(|| format!("{xen_gz} does not unpack"))?;
    let (kernel_path, bz_image) = root.one_like("boot", "vmlinuz-")?;
    let linux = kernel_path.trim_start_matches("boot/vmlinuz-");
    let kernel = unpack::kernel(bz_image).with_context(|| format!("in {kernel_path}"))?;

    let mut tree = Tree::default();
    skeleton(&mut tree);
    let needed = programs(release, root, &mut tree)?;
    libraries::add(root, &mut tree, needed)?;
    let (modules, for_devices) = modules::modules(root, linux)?;
    for (folder, modules) in [("", &modules), ("devices/", &for_devices)] {
        for (index, (name, bytes)) in modules.iter().enumerate() {
            let path = format!("lib/modules/{folder}{index:02}-{name}.ko");
            tree.file(&path, 0o644, bytes);
        }
    }
    let keys = Keys::generate(dir)?;
    configuration(&mut tree, &keys);
    let initramfs = tree.archive.finish();

    repo::write(&dir.join("xen"), &xen)?;
    repo::write(&dir.join("vmlinux"), &kernel)?;
    repo::write(&dir.join("dom0.cpio"), &initramfs)?;
    repo::write(&dir.join("known_hosts"), keys.known_hosts.as_bytes())?;
    let key = dir.join("key.dropbear");
    repo::write(&key, &keys.client_private_dropbear)?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let about = format!(
        "Xen {version} and Linux {linux} of Debian {}; initramfs {} MiB, {} modules\n",
        release.suite(),
        initramfs.len() >> 20,
        modules.len()
    );
    // Last: its presence says that the image is whole.
    repo::write(&dir.join("about"), about.as_bytes())
}

/// Folders, and what must be there before anything runs.
fn skeleton(tree: &mut Tree) {
    FOLDERS.iter().for_each(|folder| tree.folder(folder));
    tree.archive.symlink("var/run", "/run");
    tree.archive.symlink("var/lock", "/run/lock");
    tree.archive.char_device("dev/console", 0o600, 5, 1);
    tree.archive.char_device("dev/null", 0o666, 1, 3);
}

/// dom0's programs under the names that are looked for; gives the libraries that they name.
fn programs(release: Release, root: &Root, tree: &mut Tree) -> Result<VecDeque<String>> {
    let (version, tools) = (release.xen(), release.tools());
    let mut needed = VecDeque::new();
    let xen = XEN_PROGRAMS
        .iter()
        .chain(contents::more_xen_programs(release))
        .map(|name| format!("{tools}/{name}"));
    for program in contents::programs(release).map(str::to_owned).chain(xen) {
        let bytes = root.get(&program)?;
        needed.extend(libraries::needed(&program, bytes)?);
        tree.file(&program, 0o755, bytes);
    }
    if release == Release::BookwormToolstacks {
        cpu_map(root, tree)?;
    }
    // The hypervisor that libxl puts between Xen and a PV guest when its configuration says
    // `pvshim=1`.
    let shim = format!("usr/lib/xen-{version}/boot/xen-shim");
    tree.file(&shim, 0o644, root.get(&shim)?);
    let links = &mut tree.archive;
    links.symlink("usr/lib/xen", &format!("xen-{version}"));
    // `xl migrate` looks for a program of this name.
    links.symlink("usr/bin/ssh", "dbclient");
    for name in XENSTORE_NAMES {
        links.symlink(&format!("usr/bin/xenstore-{name}"), "xenstore");
    }
    for name in XEN_ON_PATH {
        links.symlink(&format!("usr/sbin/{name}"), &format!("/{tools}/{name}"));
    }
    links.symlink("bin/sh", "busybox");
    Ok(needed)
}

/// Who may log in, and the first process.
fn configuration(tree: &mut Tree, keys: &Keys) {
    let authorized = keys.client_public.as_bytes();
    tree.file("root/.ssh/authorized_keys", 0o600, authorized);
    tree.file("etc/dropbear/host_key", 0o600, &keys.host_private_dropbear);
    for (path, text) in SMALL_FILES {
        tree.file(path, 0o644, text.as_bytes());
    }
    for (path, text) in HOTPLUG_SCRIPTS {
        tree.file(path, 0o755, text.as_bytes());
    }
    tree.file("usr/sbin/lab-devices", 0o755, DEVICES.as_bytes());
    tree.file("init", 0o755, INIT.as_bytes());
}

/// libvirt's list of processors, with one more that the emulated one is like.
fn cpu_map(root: &Root, tree: &mut Tree) -> Result<()> {
    let index = String::from_utf8_lossy(root.get(CPU_INDEX)?).into_owned();
    if !index.contains(FIRST_CPU) {
        bail!("libvirt's list of processors is not what this code expects");
    }
    let more = format!("{FIRST_CPU}<include filename='lab.xml'/>");
    let mut files: BTreeMap<String, Vec<u8>> = root
        .files
        .iter()
        .filter(|(path, _)| path.starts_with(CPU_MAP))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect();
    files.insert(
        CPU_INDEX.to_owned(),
        index.replace(FIRST_CPU, &more).into_bytes(),
    );
    files.insert(format!("{CPU_MAP}lab.xml"), LAB_CPU.into());
    for (path, bytes) in &files {
        tree.file(path, 0o644, bytes);
    }
    Ok(())
}
