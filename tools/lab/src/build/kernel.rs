//! `cargo lab build`: the guest kernels, and what must hold in each ELF.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{anyhow, bail, Context, Result};
use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory, Register};
use object::{Object, ObjectSection, SectionKind};

use crate::base::child;
use crate::base::packages;
use crate::base::progress;
use crate::base::repo;

/// The compiler the kernels are made with.
const PIN: &str = "1.96.0";

/// A word size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// 32 bits, PAE.
    I686,
    /// 64 bits.
    X86_64,
}

impl Arch {
    /// Both.
    pub const ALL: [Self; 2] = [Self::I686, Self::X86_64];

    /// As the events spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::I686 => "i686",
            Self::X86_64 => "x86_64",
        }
    }

    fn target(self) -> (&'static str, &'static str) {
        match self {
            Self::I686 => ("targets/i686-xen-none.json", "i686-xen-none"),
            Self::X86_64 => ("x86_64-unknown-none", "x86_64-unknown-none"),
        }
    }

    /// Where the finished kernel is left.
    pub fn elf(self, test: bool) -> PathBuf {
        let end = if test { "-test" } else { "" };
        repo::guests().join(format!("xen-guest-{}{end}.elf", self.name()))
    }
}

/// Builds all four kernels, the plain ones beside those with switches: most of a build is one
/// thread's work.
///
/// # Errors
/// If a package is missing, the compiler is not the pinned one, or the build or a check fails.
pub fn build() -> Result<Vec<String>> {
    prepare()?;
    let mut built = built();
    let those = |test| move || Arch::ALL.map(|arch| build_one(arch, test));
    let facts = progress::step("building the guest kernels", || {
        let (with_switches, plain) = std::thread::scope(|scope| {
            let plain = scope.spawn(those(false));
            (those(true)(), plain.join())
        });
        let plain = plain.map_err(|_| anyhow!("building a kernel panicked"))?;
        plain
            .into_iter()
            .chain(with_switches)
            .collect::<Result<_>>()
    })?;
    let each = |arch: Arch| [false, true].map(|test| arch.elf(test));
    built.extend(Arch::ALL.into_iter().flat_map(each));
    Ok(facts)
}

/// Kernels that were built in the life of this process.
fn built() -> MutexGuard<'static, Vec<PathBuf>> {
    static BUILT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    BUILT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Builds all four if any is missing, or older than a source it is made from.
///
/// # Errors
/// As [`build`].
pub fn ensure() -> Result<()> {
    // Cargo knows best what is out of date, and asking it takes a second per kernel.
    build().map(drop)
}

/// The same for one kernel, once in the life of this process: each test asks.
///
/// # Errors
/// As [`build`].
pub fn ensure_one(arch: Arch, test: bool) -> Result<()> {
    // Held while it is built: whoever needs the same kernel waits for it.
    let mut built = built();
    let elf = arch.elf(test);
    if !built.contains(&elf) {
        prepare()?;
        let what = format!("building {}", repo::shown(&elf));
        progress::step(&what, || build_one(arch, test))?;
        built.push(elf);
    }
    Ok(())
}

/// Builds the example kernel, once in the life of this process; gives where it is.
///
/// # Errors
/// As [`build`].
pub fn ensure_minimal() -> Result<PathBuf> {
    let elf = repo::guests().join("minimal.elf");
    let mut built = built();
    if !built.contains(&elf) {
        prepare()?;
        progress::step(&format!("building {}", repo::shown(&elf)), || {
            let mut command = Command::new("/usr/bin/cargo");
            about_kernel(&mut command, "build", Arch::X86_64, false);
            command.args(["--example", "minimal"]);
            child::run(command, b"", Duration::from_secs(900))?
                .success("cargo build of the example in guest-kernel")?;
            let path = work(false).join("x86_64-unknown-none/release/examples/minimal");
            let bytes =
                fs::read(&path).with_context(|| format!("cargo left no {}", repo::shown(&path)))?;
            check(&bytes, Arch::X86_64)
                .with_context(|| format!("{} must not be used", repo::shown(&elf)))?;
            repo::write(&elf, &bytes)
        })?;
        built.push(elf.clone());
    }
    Ok(elf)
}

/// Makes sure of the packages, the compiler, and the folder for finished kernels.
///
/// # Errors
/// If a package is missing or the compiler is not the pinned one.
pub fn prepare() -> Result<()> {
    packages::ensure(packages::KERNEL)?;
    compiler()?;
    repo::make_dir(&repo::guests())
}

/// Builds one and checks it; gives its facts in words.
fn build_one(arch: Arch, test: bool) -> Result<String> {
    let to = arch.elf(test);
    let shown = repo::shown(&to);
    let bytes = cargo(arch, test)?;
    let facts = check(&bytes, arch).with_context(|| format!("{shown} must not be used"))?;
    repo::write(&to, &bytes)?;
    Ok(format!("{shown}: {facts}"))
}

/// Checks that the compiler is the pinned one.
///
/// # Errors
/// In plain words, if not.
pub fn compiler() -> Result<()> {
    let mut command = Command::new("/usr/bin/rustc");
    command.arg("-V");
    let version = child::run(command, b"", Duration::from_secs(60))?.success("rustc -V")?;
    if version.split(' ').nth(1) != Some(PIN) {
        bail!(
            "Debian's compiler is \"{}\", but the kernels are pinned to {PIN}: the security updates have moved on. \
             Raise the pin (tools/lab/src/build/kernel.rs, guest-kernel/rust-toolchain.toml) after a full test run, and \
             look at guest-kernel/targets, whose keys belong to a version",
            version.trim()
        );
    }
    Ok(())
}

/// Has clippy judge the code of all four kernels; a warning is an error. Gives whether it found
/// none, and what it said.
///
/// # Errors
/// If a package is missing, the compiler is not the pinned one, or clippy cannot be run.
pub fn clippy() -> Result<(bool, String)> {
    packages::ensure(packages::KERNEL)?;
    packages::ensure(packages::KERNEL_CLIPPY)?;
    compiler()?;
    let (mut clean, mut said) = (true, String::new());
    for arch in Arch::ALL {
        for test in [false, true] {
            // Not by way of cargo, which might find another toolchain's first.
            let mut command = Command::new("/usr/bin/cargo-clippy");
            about_kernel(&mut command, "clippy", arch, test);
            command
                .env("CARGO", "/usr/bin/cargo")
                .env("CARGO_TERM_COLOR", "never")
                .args(["--", "-D", "warnings"]);
            let result = child::run(command, b"", Duration::from_secs(900))?;
            clean &= result.ok();
            said.push_str(&format!(
                "{}, {} switches:\n{}{}",
                arch.name(),
                if test { "with" } else { "without" },
                result.stdout,
                result.stderr
            ));
        }
    }
    Ok((clean, said))
}

fn cargo(arch: Arch, test: bool) -> Result<Vec<u8>> {
    let mut command = Command::new("/usr/bin/cargo");
    about_kernel(&mut command, "build", arch, test);
    child::run(command, b"", Duration::from_secs(900))?.success("cargo build in guest-kernel")?;
    let (_, folder) = arch.target();
    let path = work(test).join(folder).join("release/xen-guest");
    fs::read(&path).with_context(|| format!("cargo left no {}", repo::shown(&path)))
}

/// Where cargo works. Two folders, so that building one kernel does not make the other one stale;
/// clippy finds `core` compiled there, which takes it longer than all the rest.
fn work(test: bool) -> PathBuf {
    repo::root().join(if test {
        "target/guest-build-test"
    } else {
        "target/guest-build"
    })
}

/// Gives a command of cargo's its subcommand, the kernel it is about, and the pinned compiler.
fn about_kernel(command: &mut Command, subcommand: &str, arch: Arch, test: bool) {
    with_pinned_compiler(command)
        .current_dir(repo::root().join("guest-kernel"))
        .args([subcommand, "--release", "--locked"])
        .args(["--target", arch.target().0])
        .arg("--target-dir")
        .arg(work(test));
    if test {
        // Added to the flags in `.cargo/config.toml`, which the variable RUSTFLAGS would replace.
        command
            .args(["--features", "switches", "--config"])
            .arg(format!(
                "target.{}.rustflags = [\"--cfg\", \"pool_switches\"]",
                arch.target().1
            ));
    }
}

/// Has a command of cargo's use the pinned compiler.
pub fn with_pinned_compiler(command: &mut Command) -> &mut Command {
    command
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTDOC", "/usr/bin/rustdoc")
        // Set by the cargo that runs us, for a toolchain that is not this one.
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .env_remove("CARGO_TARGET_DIR")
}

/// ELF note types of Xen's `public/elfnote.h`.
const NOTE_PHYS32_ENTRY: u32 = 18;

/// Checks a kernel's ELF; gives its facts in words.
///
/// # Errors
/// If the word size is wrong, the PVH note is missing, or an instruction uses the FPU or a vector
/// register: the kernel does not save those.
pub fn check(bytes: &[u8], arch: Arch) -> Result<String> {
    let file = object::File::parse(bytes).context("it is not an ELF file")?;
    if file.is_64() != (arch == Arch::X86_64) {
        bail!("it has the wrong word size");
    }
    let mut entry = false;
    let mut notes = 0;
    for section in file.sections().filter(|s| s.kind() == SectionKind::Note) {
        let found = xen_notes(section.data()?);
        notes += found.len();
        entry |= found.contains(&NOTE_PHYS32_ENTRY);
    }
    if !entry {
        bail!("it has no XEN_ELFNOTE_PHYS32_ENTRY, so that xl cannot boot it as PVH");
    }
    let instructions = check_code(bytes)?;
    Ok(format!(
        "{} KiB, {notes} Xen notes, {instructions} instructions without FPU or vector registers",
        bytes.len() >> 10
    ))
}

/// Looks at each instruction of an ELF; gives how many there are.
///
/// # Errors
/// If there is none, or one uses the FPU or a vector register: no kernel here saves those.
pub fn check_code(bytes: &[u8]) -> Result<u64> {
    let file = object::File::parse(bytes).context("it is not an ELF file")?;
    let mut instructions = 0;
    let bits = if file.is_64() { 64 } else { 32 };
    for section in file.sections().filter(|s| s.kind() == SectionKind::Text) {
        if let Some(found) = forbidden(section.data()?, section.address(), bits, &mut instructions)
        {
            bail!(
                "{}: {found}: the kernel does not save these registers",
                section.name()?
            );
        }
    }
    if instructions == 0 {
        bail!("it holds no code");
    }
    Ok(instructions)
}

/// The types of the notes whose owner is "Xen".
fn xen_notes(mut data: &[u8]) -> Vec<u32> {
    let mut types = Vec::new();
    while let Some((header, rest)) = data.split_at_checked(12) {
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (name, desc) = (word(0) as usize, word(4) as usize);
        let padded = |n: usize| n.checked_next_multiple_of(4);
        let Some(end) = padded(name)
            .zip(padded(desc))
            .and_then(|(a, b)| a.checked_add(b))
        else {
            break;
        };
        if rest.get(..name) == Some(b"Xen\0") {
            types.push(word(8));
        }
        match rest.get(end..) {
            Some(next) => data = next,
            None => break,
        }
    }
    types
}

/// The first instruction that touches an x87, MMX or vector register.
fn forbidden(code: &[u8], address: u64, bits: u32, count: &mut u64) -> Option<String> {
    let mut decoder = Decoder::with_ip(bits, code, address, DecoderOptions::NONE);
    let mut info = InstructionInfoFactory::new();
    while decoder.can_decode() {
        let at = decoder.ip();
        let instruction = decoder.decode();
        // Boot code of another word size decodes as nonsense; what cannot be decoded cannot be
        // judged.
        if instruction.is_invalid() {
            continue;
        }
        *count += 1;
        let bad = info
            .info(&instruction)
            .used_registers()
            .iter()
            .map(|used| used.register())
            .find(|r: &Register| r.is_vector_register() || r.is_st() || r.is_mm());
        let x87 = instruction.cpuid_features().iter().any(|feature| {
            use iced_x86::CpuidFeature::{FPU, FPU287, FPU387};
            [FPU, FPU287, FPU387].contains(feature)
        });
        if x87 {
            return Some(format!(
                "{:?} uses the FPU at {at:#x}",
                instruction.mnemonic()
            ));
        }
        if let Some(register) = bad {
            return Some(format!(
                "{:?} uses {register:?} at {at:#x}",
                instruction.mnemonic()
            ));
        }
    }
    None
}

/// Removes what was built.
///
/// # Errors
/// If a folder cannot be removed.
pub fn clean() -> Result<()> {
    for dir in [repo::guests(), work(false), work(true)] {
        remove(&dir)?;
    }
    Ok(())
}

/// Removes a folder, if it is there.
///
/// # Errors
/// If it cannot be removed.
pub fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        println!("removing {}", repo::shown(dir));
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", repo::shown(dir)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_and_x87_instructions_are_found() {
        let mut n = 0;
        assert_eq!(forbidden(&[0x90, 0xc3], 0, 64, &mut n), None);
        assert_eq!(n, 2);
        for bad in [
            &[0x90, 0x0f, 0x28, 0xc1][..], // movaps xmm0, xmm1
            &[0xd9, 0xe8],                 // fld1
            &[0x0f, 0x6f, 0xc1],           // movq mm0, mm1
        ] {
            assert!(forbidden(bad, 0, 64, &mut n).is_some(), "{bad:x?}");
        }
    }

    #[test]
    fn notes_are_read_and_torn_ones_end_the_list() {
        let mut data = Vec::new();
        for word in [4u32, 4, 18] {
            data.extend_from_slice(&word.to_le_bytes());
        }
        data.extend_from_slice(b"Xen\0\0\0\x10\0");
        assert_eq!(xen_notes(&data), [18]);
        assert_eq!(xen_notes(&data[..15]), [0u32; 0]);
        let mut foreign = data.clone();
        foreign[12] = b'Y';
        foreign.extend_from_slice(&data);
        assert_eq!(xen_notes(&foreign), [18]);
        assert_eq!(xen_notes(&[0xff; 64]), [0u32; 0]);
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        assert!(check(b"hello", Arch::I686).is_err());
        let me = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(check(&me, Arch::I686)
            .unwrap_err()
            .to_string()
            .contains("word size"));
        assert!(check(&me, Arch::X86_64)
            .unwrap_err()
            .to_string()
            .contains("PHYS32"));
    }
}
