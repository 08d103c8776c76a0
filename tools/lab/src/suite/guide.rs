//! `host/guide`: the code in `docs/put-it-into-your-kernel.md` is the minimal kernel's, all of it, and the project that the
//! guide's files make builds. What that kernel then does on Xen is `lab/x86_64/minimal`'s to show.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::base::child;
use crate::base::outcome::Outcome;
use crate::base::repo;
use crate::build::kernel::{self, Arch};

const GUIDE: &str = "docs/put-it-into-your-kernel.md";
const KERNEL: &str = "guest-kernel/examples/minimal/main.rs";
/// The name that the guide's reader gives the repository.
const US: &str = "xen-guest";
/// What the guide has built, below the reader's target folder.
const BUILT: &str = "x86_64-unknown-none/release/my-kernel";

const LIMIT: Duration = Duration::from_secs(900);

/// A file that the guide tells its reader to make.
#[derive(Debug, PartialEq, Eq)]
struct File {
    path: String,
    text: String,
}

/// Compares the code and builds the project.
///
/// # Errors
/// A file that cannot be read or written, or a compiler that cannot be run.
pub fn check(log: &Path) -> Result<Outcome> {
    let root = repo::root();
    let read = |file: &str| {
        fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))
    };
    let files = files_of(&read(GUIDE)?);
    let main = files.iter().find(|file| file.path == "src/main.rs");
    if let Some(line) = first_difference(main.map_or("", |file| &file.text), &code(&read(KERNEL)?))
    {
        return Ok(Outcome::Failed(format!(
            "{GUIDE} and {KERNEL} part at: {line}"
        )));
    }
    let output = build(&files)?;
    repo::write(
        log,
        format!("{}{}", output.stdout, output.stderr).as_bytes(),
    )?;
    if !output.ok() {
        return Ok(Outcome::Failed(format!(
            "the guide's project does not build, see {}",
            repo::shown(log)
        )));
    }
    let elf = fs::read(root.join("target/guest-build").join(BUILT))?;
    let facts = kernel::check(&elf, Arch::X86_64)?;
    Ok(Outcome::Passed(format!("{} files; {facts}", files.len())))
}

/// Makes the reader's folder beside something that looks like the repository, and builds what is in it, with what the
/// guests' build has compiled of the standard library.
fn build(files: &[File]) -> Result<child::Output> {
    kernel::prepare()?;
    let root = repo::root();
    let place = root.join("target/guide");
    let project = place.join("my-kernel");
    for file in files {
        let path = project.join(&file.path);
        repo::make_dir(path.parent().context("it is in the project")?)?;
        repo::write(&path, file.text.as_bytes())?;
    }
    // So that nothing is asked of the registry that the guests' build did not ask.
    let lock = fs::read(root.join("guest-kernel/Cargo.lock"))?;
    repo::write(&project.join("Cargo.lock"), &lock)?;
    let link = place.join(US);
    if !link.exists() {
        symlink(&root, &link).context("cannot link to the repository")?;
    }
    let mut command = Command::new("/usr/bin/cargo");
    kernel::with_pinned_compiler(&mut command).current_dir(&project);
    command.args(["build", "--release", "--target-dir"]);
    command.arg(root.join("target/guest-build"));
    child::run(command, b"", LIMIT)
}

/// The files that the guide's blocks make: one whose first line is a comment with a path is that file, and all other
/// blocks of Rust are the kernel, in their order.
fn files_of(guide: &str) -> Vec<File> {
    let mut files = Vec::new();
    let mut kernel = Vec::new();
    for block in guide.split("\n```").skip(1).step_by(2) {
        let Some((language, text)) = block.split_once('\n') else {
            continue;
        };
        let first = text.lines().next().unwrap_or_default();
        let path = first
            .strip_prefix("# ")
            .or_else(|| first.strip_prefix("// "));
        match (language, path) {
            ("toml" | "rust", Some(path)) if !path.contains(' ') => files.push(File {
                path: path.to_owned(),
                text: format!("{text}\n"),
            }),
            ("rust", _) => kernel.push(text),
            _ => {}
        }
    }
    files.push(File {
        path: "src/main.rs".into(),
        text: format!("{}\n", kernel.join("\n\n")),
    });
    files
}

/// A source without what it says of itself at its top.
fn code(source: &str) -> String {
    let lines = source.lines().skip_while(|line| line.starts_with("//!"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The first line that only one of the two has, or has in another place.
fn first_difference(guide: &str, kernel: &str) -> Option<String> {
    let (mut left, mut right) = (guide.lines(), kernel.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                return Some(format!(
                    "{:?} in the guide, {:?} in the kernel",
                    a.unwrap_or("its end"),
                    b.unwrap_or("its end")
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "A\n\n```toml\n# a/b.toml\nx = 1\n```\nB\n```rust\nuse a;\n```\n```sh\nrun\n```\n\
                        ```rust\n// SAFETY: it is\nfn f() {}\n```\n";

    #[test]
    fn blocks_become_files() {
        let files = files_of(TEXT);
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].path, "a/b.toml");
        assert_eq!(files[0].text, "# a/b.toml\nx = 1\n");
        assert_eq!(files[1].text, "use a;\n\n// SAFETY: it is\nfn f() {}\n");
    }

    #[test]
    fn a_line_that_is_left_out_is_found() {
        let kernel = code("//! Words.\nuse a;\n\nfn f() {}\n");
        assert_eq!(first_difference("use a;\n\nfn f() {}\n", &kernel), None);
        assert!(first_difference("use a;\n\n", &kernel).is_some_and(|at| at.contains("fn f")));
        assert!(first_difference("use a;\n\nfn f() {}\nx\n", &kernel).is_some());
    }
}
