//! Which tests there are, and in which order they run.

use std::collections::VecDeque;

use anyhow::{Context, Result};

use crate::base::repo;
use crate::suite::host::{self, HostTest};
use crate::suite::scenarios::test::LabTest;
use crate::suite::scenarios::{self, long};
use crate::suite::soak;

/// What a test is.
pub enum What {
    /// Runs on the host.
    Host(HostTest),
    /// A shell command of a crate's list of proofs.
    Proof(String),
    /// Runs on Xen.
    Lab(Box<LabTest>),
}

/// A test with its name.
pub struct Test {
    pub name: String,
    pub what: What,
}

impl Test {
    /// As the list names it.
    pub fn kind(&self) -> &'static str {
        match self.what {
            What::Lab(_) if long::is_long(&self.name) => "long",
            What::Lab(_) => "lab",
            _ => "host",
        }
    }
}

/// The commands in a list of proofs: the lines of its `sh` blocks.
fn proofs(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            inside = !inside && matches!(line, "```sh" | "```bash" | "```console");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            commands.push(line.trim_start_matches("$ ").to_owned());
        }
    }
    commands
}

/// All tests, in the order in which they run: what is quick and what the others need comes first.
pub fn all() -> Result<Vec<Test>> {
    let mut tests: Vec<Test> = host::TESTS
        .iter()
        .map(|&(name, run)| Test {
            name: name.to_owned(),
            what: What::Host(run),
        })
        .collect();
    for krate in ["pagetable-pool", "migration"] {
        let list = repo::root().join(krate).join("proofs.md");
        let text = std::fs::read_to_string(&list)
            .with_context(|| format!("cannot read {}", repo::shown(&list)))?;
        for (n, command) in proofs(&text).into_iter().enumerate() {
            tests.push(Test {
                name: format!("host/proof-{krate}-{:02} {command}", n + 1),
                what: What::Proof(command),
            });
        }
    }
    tests.extend(scenarios::all().into_iter().map(|test| Test {
        name: test.name.clone(),
        what: What::Lab(Box::new(test)),
    }));
    // Last: where a list written by hand fails, it says more than a random one.
    tests.push(Test {
        name: "soak".to_owned(),
        what: What::Host(soak::short::run),
    });
    Ok(tests)
}

/// Tests in the order they were given, and those that another worker does beside them: a machine
/// leaves a processor idle most of the time. With no lab tests there is nothing beside which to run.
pub fn split(tests: VecDeque<Test>) -> (VecDeque<Test>, VecDeque<Test>) {
    /// What the lab tests need, and what is over at once.
    const FIRST: [&str; 4] = [
        "host/fmt",
        "host/fmt-guest-kernel",
        "host/bindings-current",
        "host/kernel-build",
    ];
    if !tests.iter().any(|test| matches!(test.what, What::Lab(_))) {
        return (tests, VecDeque::new());
    }
    tests.into_iter().partition(|test| {
        // The soak has machines of its own, and comes last.
        let host = test.name.starts_with("host/");
        !host || FIRST.contains(&test.name.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_are_the_lines_of_sh_blocks() {
        let text =
            "x\n```sh\n# why\ncargo a\n$ cargo b\n```\n```rust\nlet x;\n```\n```sh\ncargo c\n```\n";
        assert_eq!(proofs(text), ["cargo a", "cargo b", "cargo c"]);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = all().unwrap().into_iter().map(|t| t.name).collect();
        names.sort();
        let many = names.len();
        names.dedup();
        assert_eq!(names.len(), many);
    }

    #[test]
    fn host_tests_run_beside_lab_tests_and_lose_none() {
        let tests: VecDeque<Test> = all().unwrap().into();
        let many = tests.len();
        let (first, beside) = split(tests);
        assert_eq!(first.len() + beside.len(), many);
        assert!(beside.iter().all(|t| !matches!(t.what, What::Lab(_))));
        assert!(beside.iter().any(|t| t.name == "host/clippy"));
        assert_eq!(first[3].name, "host/kernel-build");
        assert_eq!(first.back().map(|t| t.name.as_str()), Some("soak"));
        let (alone, none) = split(beside);
        assert!(!alone.is_empty() && none.is_empty());
    }
}
