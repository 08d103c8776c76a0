//! `host/c-header-current`, `host/c-library`, `host/c-library-sanitized` and `host/c-archive`: the header is what the
//! sources give, a C program that is compiled and linked with it makes every call, and the archive for kernels needs
//! nothing of a kernel's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{ensure, Result};

use crate::base::child;
use crate::base::outcome::Outcome;
use crate::base::packages;
use crate::base::repo;
use crate::build::c_library;

/// The program's parts, below `migration/c/tests`.
const SOURCES: [&str; 4] = ["kernel.c", "pool.c", "threads.c", "suspend.c"];

/// Nothing that a C compiler finds suspect, in the header either.
const STRICT: &str = "-std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror -g -O1";

const SANITIZERS: &str = "-fsanitize=address,undefined -fno-sanitize-recover=all";

const LIMIT: Duration = Duration::from_secs(300);

/// What the program says last.
const DONE: &str = "all of it";

/// The checked-in header is what cbindgen gives.
pub fn header(_: &Path) -> Result<Outcome> {
    Ok(match c_library::header(true) {
        Ok(()) => Outcome::Passed("the header is what cbindgen gives".into()),
        Err(why) => Outcome::Failed(format!("{why:#}")),
    })
}

/// The program with the library as a kernel links it, and with the one that checks single sets.
pub fn plain(log: &Path) -> Result<Outcome> {
    packages::ensure(packages::C)?;
    let folder = tempfile::tempdir()?;
    let mut said = build_and_run(folder.path(), "freestanding", "")?;
    said += &build_and_run(folder.path(), "freestanding,checks", "-DWITH_CHECKS")?;
    repo::write(log, said.as_bytes())?;
    Ok(Outcome::Passed(
        "every call, with and without checks of single sets".into(),
    ))
}

/// The program with the C parts under AddressSanitizer and UBSan, where the compiler has them.
pub fn sanitized(log: &Path) -> Result<Outcome> {
    packages::ensure(packages::C)?;
    let folder = tempfile::tempdir()?;
    let probe = folder.path().join("probe.c");
    repo::write(&probe, b"int main(void) { return 0; }\n")?;
    let mut compile = compiler(SANITIZERS, &folder.path().join("probe"));
    compile.arg(&probe);
    if !child::run(compile, b"", LIMIT)?.ok() {
        let why = "the C compiler has no AddressSanitizer or UBSan";
        return Ok(Outcome::Skipped(why.into()));
    }
    let said = build_and_run(folder.path(), "freestanding", SANITIZERS)?;
    repo::write(log, said.as_bytes())?;
    Ok(Outcome::Passed(
        "AddressSanitizer and UBSan found nothing in what C does".into(),
    ))
}

/// The archive for kernels, linked whole and with nothing else: what it needed of the kernel's would be undefined. With
/// an object that needs something the same must fail.
pub fn complete(log: &Path) -> Result<Outcome> {
    packages::ensure(packages::C)?;
    let archive = c_library::archive_for_kernels()?;
    let folder = tempfile::tempdir()?;
    let (source, object) = (folder.path().join("needs.c"), folder.path().join("needs.o"));
    repo::write(
        &source,
        b"void missing(void); void needs(void) { missing(); }\n",
    )?;
    let mut compile = compiler("-c", &object);
    compile.arg(&source);
    child::run(compile, b"", LIMIT)?.success("the C compiler")?;
    let link = |more: &[&Path]| {
        let mut ld = Command::new("ld");
        ld.args(["-e", "xgl_pool_size", "--whole-archive"]);
        ld.arg(&archive).args(more).arg("-o");
        ld.arg(folder.path().join("whole"));
        child::run(ld, b"", LIMIT)
    };
    let (whole, control) = (link(&[])?, link(&[&object])?);
    let said = format!("{}\nand the control:\n{}", whole.stderr, control.stderr);
    repo::write(log, said.as_bytes())?;
    Ok(if control.ok() || !control.stderr.contains("missing") {
        Outcome::Failed("ld takes an object whose symbol is missing: this shows nothing".into())
    } else if whole.ok() {
        Outcome::Passed("no symbol is undefined".into())
    } else {
        Outcome::Failed(format!("undefined symbols, see {}", repo::shown(log)))
    })
}

fn compiler(flags: &str, out: &Path) -> Command {
    let mut command = Command::new("cc");
    command
        .args(STRICT.split(' '))
        .args(flags.split_whitespace());
    command.arg("-o").arg(out);
    command
}

/// Compiles and links the program with the archive of these features, and runs it.
fn build_and_run(folder: &Path, features: &str, flags: &str) -> Result<String> {
    let archive = c_library::archive(features)?;
    let crate_ = repo::root().join("migration/c");
    let program: PathBuf = folder.join("c-test");
    let mut compile = compiler(flags, &program);
    compile.arg("-I").arg(crate_.join("include"));
    compile.args(SOURCES.map(|source| crate_.join("tests").join(source)));
    compile.arg(archive).arg("-lpthread");
    child::run(compile, b"", LIMIT)?.success("the C compiler")?;
    let said = child::run(Command::new(&program), b"", LIMIT)?.success("the C program")?;
    ensure!(
        said.trim_end().ends_with(DONE),
        "the C program did not come to its end: {said}"
    );
    Ok(said)
}
