//! The files the machine boots from: Xen, dom0's kernel and dom0 itself as an initramfs.
//!
//! `mmdebstrap` fetches Debian's packages without installing them; of their 500 MB this picks the
//! programs dom0 needs, the shared libraries those name, and a few kernel modules with those they
//! name. Two choices save time under emulation: Xen gets dom0's kernel unpacked (or it would unpack
//! the xz stream itself), and the initramfs is not compressed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{anyhow, bail, Context, Result};
use object::{Object, ObjectSection};
use sha2::{Digest, Sha256};

use crate::base::child;
use crate::base::progress;
use crate::base::repo;
use crate::host::cpio::Archive;
use crate::host::debian::{self, Release};
use crate::host::sshkey;

/// What of Debian's packages goes into dom0 besides Xen's tools.
fn programs(release: Release) -> impl Iterator<Item = &'static str> {
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
const CPU_MAP: &str = "usr/share/libvirt/cpu_map/";

/// One more for them: the emulated processor lacks a feature of each that is there, if only VME,
/// and libvirt does not start on one that it cannot name.
const LAB_CPU: &str =
    "<cpus><model name='lab'><decode host='on' guest='on'/><feature name='fpu'/></model></cpus>\n";
/// Their list, and where the new one goes.
const CPU_INDEX: &str = "usr/share/libvirt/cpu_map/index.xml";
const FIRST_CPU: &str = "<include filename='x86_486.xml'/>";

/// Those of Xen's tools that go in too.
const XEN_PROGRAMS: &[&str] = &[
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

/// Opened with dlopen and therefore in no program's list: xl aborts without it when a thread is
/// cancelled.
const EXTRA_LIBRARIES: &[&str] = &["libgcc_s.so.1"];

/// Kernel modules; those they depend on follow by themselves.
const MODULES: &[&str] = &[
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-privcmd",
    "xenfs",
    "virtio_pci",
    "virtio_net",
];

const LIBRARY_FOLDERS: &[&str] = &[
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/xen-4.17/lib/x86_64-linux-gnu",
    "usr/lib/xen-4.20/lib/x86_64-linux-gnu",
    "lib64",
];

/// dom0's first process.
const INIT: &str = include_str!("dom0-init.sh");

/// Paths of a finished image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Xen, an unpacked multiboot ELF.
    pub xen: PathBuf,
    /// dom0's kernel, an unpacked ELF.
    pub kernel: PathBuf,
    /// dom0's initramfs.
    pub initramfs: PathBuf,
    /// The private key dom0 lets in.
    pub key: PathBuf,
    /// dom0's host key in the format of ssh's known_hosts.
    pub known_hosts: PathBuf,
    /// The private key dom0 lets in, in the format of dom0's own ssh client.
    pub peer_key: PathBuf,
    /// Versions and sizes, for a person.
    pub about: String,
}

impl Image {
    fn at(dir: &Path) -> Self {
        Self {
            xen: dir.join("xen"),
            kernel: dir.join("vmlinux"),
            initramfs: dir.join("dom0.cpio"),
            key: dir.join("key"),
            known_hosts: dir.join("known_hosts"),
            peer_key: dir.join("key.dropbear"),
            about: fs::read_to_string(dir.join("about")).unwrap_or_default(),
        }
    }
}

/// A hash over everything an image is made from.
pub fn fingerprint(release: Release) -> String {
    let mut hash = Sha256::new();
    for part in [
        release.suite(),
        &release.packages(),
        INIT,
        include_str!("image.rs"),
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize()[..6]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// The cached image, if there is one for the present inputs.
pub fn cached(release: Release) -> Option<Image> {
    kept(&fingerprint(release))
}

/// The cached image with this fingerprint: an older one serves a machine that was booted from it.
pub fn kept(fingerprint: &str) -> Option<Image> {
    let dir = repo::lab().join("images").join(fingerprint);
    dir.join("about").exists().then(|| Image::at(&dir))
}

/// The image, built first if there is none for the present inputs.
///
/// # Errors
/// If Debian's packages cannot be fetched or are not what this code expects, or the disk is full.
pub fn ensure(release: Release) -> Result<Image> {
    if let Some(image) = cached(release) {
        return Ok(image);
    }
    let images = repo::lab().join("images");
    repo::make_dir(&images)?;
    let work = tempfile::Builder::new()
        .prefix("new-")
        .tempdir_in(&images)
        .context("cannot make a folder for the image")?;
    let tar = work.path().join("root.tar");
    let what = format!("fetching dom0's packages from Debian {}", release.suite());
    progress::step(&what, || fetch(release, &tar))?;
    let dir = progress::step("building dom0's image", || {
        let root = Root::read(&tar)?;
        fs::remove_file(&tar)?;
        assemble(release, &root, work.path())
    });
    dir?;
    let to = images.join(fingerprint(release));
    if let Err(error) = fs::rename(work.path(), &to) {
        // Somebody else may have been faster; a machine may run from that one already.
        if kept(&fingerprint(release)).is_none() {
            return Err(error).context("cannot put the image in its place");
        }
    }
    Ok(Image::at(&to))
}

fn fetch(release: Release, tar: &Path) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--variant=extract", "--format=tar", "--quiet"])
        .arg(format!("--include={}", release.packages()));
    if !nix::unistd::geteuid().is_root() {
        command.arg("--mode=unshare");
    }
    command.arg(release.suite()).arg(tar);
    if release.suite() != Release::default().suite() {
        // The machine's own sources do not name it, and mmdebstrap's own address need not be the
        // one this machine reaches.
        command.arg(format!(
            "deb {} {} main",
            debian::archive(),
            release.suite()
        ));
    }
    // For the default one: the machine's own sources if it runs it, otherwise mmdebstrap's.
    child::run(command, b"", Duration::from_secs(900))?.success("mmdebstrap")?;
    Ok(())
}

/// Debian's root, as far as it may be wanted, in memory.
struct Root {
    files: BTreeMap<String, Vec<u8>>,
    links: BTreeMap<String, String>,
}

impl Root {
    fn read(tar: &Path) -> Result<Self> {
        let mut root = Self {
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        let mut archive = tar::Archive::new(fs::File::open(tar)?);
        for entry in archive.entries()? {
            let mut entry = entry.context("mmdebstrap's archive is torn")?;
            let path = entry.path()?.to_string_lossy().into_owned();
            let path = path.trim_start_matches("./").to_owned();
            if ["usr/share/", "var/", "usr/lib/python3"]
                .iter()
                .any(|p| path.starts_with(p) && !path.starts_with(CPU_MAP))
            {
                continue;
            }
            let kind = entry.header().entry_type();
            if kind.is_file() {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                root.files.insert(path, bytes);
            } else if let (true, Some(target)) = (kind.is_symlink(), entry.link_name()?) {
                root.links
                    .insert(path, target.to_string_lossy().into_owned());
            } else if let (true, Some(target)) = (kind.is_hard_link(), entry.link_name()?) {
                let target = target.to_string_lossy();
                root.links
                    .insert(path, format!("/{}", target.trim_start_matches("./")));
            }
        }
        Ok(root)
    }

    /// A file's own path. Debian 13's packages have everything below `usr`, and the links that lead
    /// there are made by a package that is not among ours.
    fn resolve(&self, path: &str) -> Option<String> {
        self.follow(path)
            .or_else(|| self.follow(&format!("usr/{path}")))
    }

    /// Follows symbolic links, in the path's folders too.
    fn follow(&self, path: &str) -> Option<String> {
        let mut todo: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        let mut done: Vec<String> = Vec::new();
        for _ in 0..200 {
            let Some(part) = todo.pop_front() else {
                let path = done.join("/");
                return self.files.contains_key(&path).then_some(path);
            };
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(part),
            }
            if let Some(target) = self.links.get(&done.join("/")) {
                done.pop();
                if target.starts_with('/') {
                    done.clear();
                }
                for part in target.split('/').rev() {
                    todo.push_front(part.to_owned());
                }
            }
        }
        None
    }

    fn get(&self, path: &str) -> Result<&[u8]> {
        self.resolve(path)
            .and_then(|path| self.files.get(&path))
            .map(Vec::as_slice)
            .ok_or_else(|| anyhow!("Debian's packages no longer hold {path}"))
    }

    fn one_like(&self, folder: &str, start: &str) -> Result<(&str, &[u8])> {
        let start = format!("{folder}/{start}");
        self.files
            .iter()
            .find(|(path, _)| path.starts_with(&start))
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
            .ok_or_else(|| anyhow!("Debian's packages hold no {start}*"))
    }
}

fn assemble(release: Release, root: &Root, dir: &Path) -> Result<()> {
    let version = release.xen();
    let xen_gz = root.get(&format!("boot/xen-{version}-amd64.gz"))?;
    let mut xen = Vec::new();
    flate2::read::GzDecoder::new(xen_gz)
        .read_to_end(&mut xen)
        .with_context(|| format!("xen-{version}-amd64.gz does not unpack"))?;
    let (kernel_path, bz_image) = root.one_like("boot", "vmlinuz-")?;
    let linux = kernel_path.trim_start_matches("boot/vmlinuz-");
    let kernel = unpack_kernel(bz_image).with_context(|| format!("in {kernel_path}"))?;

    let mut archive = Archive::default();
    let mut folders = BTreeSet::new();
    for folder in [
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
    ] {
        add_folders(&mut archive, &mut folders, folder);
    }
    archive.symlink("var/run", "/run");
    archive.symlink("var/lock", "/run/lock");
    archive.char_device("dev/console", 0o600, 5, 1);
    archive.char_device("dev/null", 0o666, 1, 3);

    let mut libraries = VecDeque::new();
    let tools = release.tools();
    let programs = programs(release).map(str::to_owned);
    for program in programs.chain(XEN_PROGRAMS.iter().map(|name| format!("{tools}/{name}"))) {
        let bytes = root.get(&program)?;
        libraries.extend(needed(&program, bytes)?);
        add_file(&mut archive, &mut folders, &program, 0o755, bytes);
    }
    if release == Release::BookwormToolstacks {
        add_cpu_map(root, &mut archive, &mut folders)?;
    }
    // The hypervisor that libxl puts between Xen and a PV guest when its configuration says
    // `pvshim=1`.
    let shim = format!("usr/lib/xen-{version}/boot/xen-shim");
    add_file(&mut archive, &mut folders, &shim, 0o644, root.get(&shim)?);
    archive.symlink("usr/lib/xen", &format!("xen-{version}"));
    // `xl migrate` looks for a program of this name.
    archive.symlink("usr/bin/ssh", "dbclient");
    for name in [
        "chmod", "exists", "list", "ls", "read", "rm", "watch", "write",
    ] {
        archive.symlink(&format!("usr/bin/xenstore-{name}"), "xenstore");
    }
    for name in [
        "xl",
        "xenstored",
        "xenconsoled",
        "xenctx",
        "xen-hvmctx",
        "readnotes",
        "lsevtchn",
    ] {
        archive.symlink(&format!("usr/sbin/{name}"), &format!("/{tools}/{name}"));
    }
    libraries.extend(EXTRA_LIBRARIES.iter().map(|&name| name.to_owned()));
    let mut seen = BTreeSet::new();
    while let Some(name) = libraries.pop_front() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let path = LIBRARY_FOLDERS
            .iter()
            .map(|folder| format!("{folder}/{name}"))
            .find(|path| root.resolve(path).is_some())
            .ok_or_else(|| anyhow!("Debian's packages hold no library {name}"))?;
        let bytes = root.get(&path)?;
        libraries.extend(needed(&path, bytes)?);
        // The dynamic linker is asked for at /lib64; every other library is found in
        // /lib/x86_64-linux-gnu.
        let folder = if name.starts_with("ld-linux") {
            "lib64"
        } else {
            "lib/x86_64-linux-gnu"
        };
        add_file(
            &mut archive,
            &mut folders,
            &format!("{folder}/{name}"),
            0o755,
            bytes,
        );
    }
    // Some are looked for by programs linked with a run path of Xen's own.
    let modules = modules(root, linux)?;
    for (index, (name, bytes)) in modules.iter().enumerate() {
        let path = format!("lib/modules/{index:02}-{name}.ko");
        add_file(&mut archive, &mut folders, &path, 0o644, bytes);
    }

    let keys = sshkey::Keys::generate(dir)?;
    archive.file(
        "root/.ssh/authorized_keys",
        0o600,
        keys.client_public.as_bytes(),
    );
    archive.file("etc/dropbear/host_key", 0o600, &keys.host_private_dropbear);
    archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", 0o644, b"root:x:0:\n");
    archive.file("etc/shells", 0o644, b"/bin/sh\n");
    // Names come from /etc/hosts alone: there is no name server to wait for.
    archive.file("etc/nsswitch.conf", 0o644, b"hosts: files\n");
    archive.file("etc/xen/xl.conf", 0o644, b"autoballoon=\"off\"\n");
    archive.symlink("bin/sh", "busybox");
    archive.file("init", 0o755, INIT.as_bytes());
    let initramfs = archive.finish();

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

fn add_folders(archive: &mut Archive, folders: &mut BTreeSet<String>, path: &str) {
    for (at, _) in path.match_indices('/').chain([(path.len(), "")]) {
        let folder = &path[..at];
        if !folder.is_empty() && folders.insert(folder.to_owned()) {
            // sshd refuses keys in folders that others may write.
            let mode = if folder.starts_with("root") {
                0o700
            } else {
                0o755
            };
            archive.dir(folder, mode);
        }
    }
}

fn add_file(
    archive: &mut Archive,
    folders: &mut BTreeSet<String>,
    path: &str,
    mode: u32,
    bytes: &[u8],
) {
    if let Some((folder, _)) = path.rsplit_once('/') {
        add_folders(archive, folders, folder);
    }
    archive.file(path, mode, bytes);
}

fn add_cpu_map(root: &Root, archive: &mut Archive, folders: &mut BTreeSet<String>) -> Result<()> {
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
        add_file(archive, folders, path, 0o644, bytes);
    }
    Ok(())
}

/// The shared libraries an ELF file names.
fn needed(path: &str, bytes: &[u8]) -> Result<Vec<String>> {
    use object::read::elf::{Dyn, FileHeader, ProgramHeader};
    let context = || format!("{path} is not an ELF file this code can read");
    let header =
        object::elf::FileHeader64::<object::Endianness>::parse(bytes).with_context(context)?;
    let endian = header.endian().with_context(context)?;
    let mut names = Vec::new();
    let (mut strings, mut offsets) = (None, Vec::new());
    let segments = header
        .program_headers(endian, bytes)
        .with_context(context)?;
    for segment in segments {
        let Some(entries) = segment.dynamic(endian, bytes).with_context(context)? else {
            continue;
        };
        for entry in entries {
            match entry.d_tag(endian) {
                object::elf::DT_NEEDED => offsets.push(entry.d_val(endian)),
                object::elf::DT_STRTAB => strings = Some(entry.d_val(endian)),
                _ => {}
            }
        }
    }
    let Some(strings) = strings else {
        return Ok(names);
    };
    for offset in offsets {
        let name = segments
            .iter()
            .filter_map(|segment| {
                let data = segment.data(endian, bytes).ok()?;
                let at = (strings + offset).checked_sub(segment.p_vaddr(endian))?;
                data.get(usize::try_from(at).ok()?..)
            })
            .next()
            .and_then(|tail| tail.split(|&b| b == 0).next())
            .ok_or_else(|| anyhow!("{path}: a library's name is out of range"))?;
        names.push(String::from_utf8_lossy(name).into_owned());
    }
    Ok(names)
}

/// The modules and those they depend on, in an order in which they can be loaded.
fn modules(root: &Root, release: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = format!("lib/modules/{release}/");
    let by_name: BTreeMap<String, &str> = root
        .files
        .keys()
        .filter(|path| path.trim_start_matches("usr/").starts_with(&folder))
        .filter_map(|path| {
            let name = path.rsplit('/').next()?;
            let name = name.strip_suffix(".ko.xz").or(name.strip_suffix(".ko"))?;
            Some((name.replace('-', "_"), path.as_str()))
        })
        .collect();
    // What one release builds as a module, the next has built in.
    let built_in = root.get(&format!("{folder}modules.builtin"))?;
    let built_in = String::from_utf8_lossy(built_in).into_owned();
    let built_in: BTreeSet<String> = built_in
        .lines()
        .filter_map(|path| path.rsplit('/').next()?.strip_suffix(".ko"))
        .map(|name| name.replace('-', "_"))
        .collect();
    let mut order = Vec::new();
    for name in MODULES.iter().map(|name| name.replace('-', "_")) {
        if !built_in.contains(&name) {
            add_module(root, &by_name, &name, &mut order, 0)?;
        }
    }
    Ok(order)
}

fn add_module(
    root: &Root,
    by_name: &BTreeMap<String, &str>,
    name: &str,
    order: &mut Vec<(String, Vec<u8>)>,
    depth: u32,
) -> Result<()> {
    if order.iter().any(|(have, _)| have == name) {
        return Ok(());
    }
    if depth > 20 {
        bail!("kernel modules depend on each other in a circle, at {name}");
    }
    let path = by_name
        .get(name)
        .ok_or_else(|| anyhow!("Debian's kernel has no module {name}"))?;
    let mut bytes = root.get(path)?.to_vec();
    if path.ends_with(".xz") {
        bytes = unxz(&bytes)?;
    }
    let file = object::File::parse(&*bytes).with_context(|| format!("{path} is not a module"))?;
    let info = file
        .section_by_name(".modinfo")
        .ok_or_else(|| anyhow!("{path} has no .modinfo"))?
        .data()?
        .to_vec();
    let depends = info
        .split(|&b| b == 0)
        .find_map(|field| field.strip_prefix(b"depends="))
        .unwrap_or_default();
    for other in String::from_utf8_lossy(depends)
        .split(',')
        .filter(|s| !s.is_empty())
    {
        add_module(root, by_name, &other.replace('-', "_"), order, depth + 1)?;
    }
    order.push((name.to_owned(), bytes));
    Ok(())
}

/// Takes the ELF out of a bzImage (Linux Documentation/arch/x86/boot.rst: `setup_sects` at 0x1f1,
/// `payload_offset` at 0x248 and `payload_length` at 0x24c, from the end of the setup sectors).
fn unpack_kernel(image: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| -> Result<usize> {
        let bytes = image
            .get(at..at + 4)
            .ok_or_else(|| anyhow!("the boot header is cut off"))?;
        Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
    };
    if image.get(0x202..0x206) != Some(b"HdrS") {
        bail!("this is not a bzImage");
    }
    let setup = match image[0x1f1] {
        0 => 4,
        n => usize::from(n),
    };
    let start = (setup + 1) * 512 + word(0x248)?;
    let payload = image
        .get(start..start + word(0x24c)?)
        .ok_or_else(|| anyhow!("the payload is cut off"))?;
    let kernel = if payload.starts_with(b"\xfd7zXZ\0") {
        // The last four bytes are the unpacked size, not part of the stream.
        unxz(&payload[..payload.len() - 4])?
    } else if payload.starts_with(b"\x28\xb5\x2f\xfd") {
        // Zstandard, RFC 8878 section 3.1.1; the decoder stops at the end of the frame, before that
        // size.
        let mut kernel = Vec::new();
        ruzstd::decoding::StreamingDecoder::new(payload)
            .map_err(|e| anyhow!("the payload does not unpack: {e}"))?
            .read_to_end(&mut kernel)
            .context("the payload does not unpack")?;
        kernel
    } else {
        bail!("the payload is compressed in a way this code does not know");
    };
    if !kernel.starts_with(b"\x7fELF") {
        bail!("the payload holds no ELF");
    }
    Ok(kernel)
}

fn unxz(bytes: &[u8]) -> Result<Vec<u8>> {
    // Through files: the data is larger than a pipe, and binary.
    use std::io::{Seek, SeekFrom, Write};
    let mut input = tempfile::tempfile()?;
    input.write_all(bytes)?;
    input.seek(SeekFrom::Start(0))?;
    let mut output = tempfile::tempfile()?;
    let mut command = Command::new("xz");
    command.args(["--decompress", "--stdout"]);
    command.stdin(input).stdout(output.try_clone()?);
    let status = command.status().context("cannot start xz")?;
    if !status.success() {
        bail!("xz does not unpack it");
    }
    output.seek(SeekFrom::Start(0))?;
    let mut unpacked = Vec::new();
    output.read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_the_root_only() {
        let mut root = Root {
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        root.files.insert("usr/lib/a/real".into(), vec![1]);
        root.links.insert("lib".into(), "usr/lib".into());
        root.links
            .insert("usr/lib/b".into(), "/lib/a/../a/real".into());
        root.links.insert("loop".into(), "loop".into());
        assert_eq!(root.resolve("lib/b").as_deref(), Some("usr/lib/a/real"));
        assert_eq!(root.resolve("loop"), None);
        assert_eq!(root.resolve("lib/none"), None);
    }

    #[test]
    fn a_kernel_that_is_none_is_refused() {
        assert!(unpack_kernel(&[]).is_err());
        let mut image = vec![0; 4096];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x24c..0x250].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = unpack_kernel(&image).unwrap_err().to_string();
        assert!(error.contains("cut off"), "{error}");
    }

    #[test]
    fn the_libraries_of_a_program_are_read() {
        let me = std::env::current_exe().unwrap();
        let names = needed("test", &fs::read(me).unwrap()).unwrap();
        assert!(
            names.iter().any(|name| name.starts_with("libc.so")),
            "{names:?}"
        );
    }
}
