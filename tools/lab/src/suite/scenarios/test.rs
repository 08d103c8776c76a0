//! A test on Xen: a guest, its life, and how the outcome is judged.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::outcome::Outcome;
use crate::build::kernel::Arch;
use crate::guest::config::{Config, Kind};
use crate::guest::standard;
use crate::host::machine::Spec;
use crate::host::qemu::{self, Hardware};
use crate::host::xen_build::{self, Xen};
use crate::life::{Action, Step};

/// One test.
#[derive(Debug, Clone)]
pub struct LabTest {
    /// Its name.
    pub name: String,
    /// The guest's word size.
    pub arch: Arch,
    /// The hypervisor it runs on.
    pub xen: Xen,
    /// The host under it.
    pub hardware: Hardware,
    /// The second host, if it takes two.
    pub peer: Option<Spec>,
    /// Whether it takes the kernel with the switches.
    pub switches: bool,
    /// The guest.
    pub config: Config,
    /// Its life.
    pub actions: Vec<Action>,
    /// For a control: words of which one must be in what is found. None: nothing may be found.
    pub expect: Option<&'static [&'static str]>,
    /// How long to wait for an event.
    pub limit: Duration,
    /// The same in the last action, if that is another: of a control that must not see one, it is
    /// shorter.
    pub last_limit: Option<Duration>,
    /// Another kind of test than a life.
    pub other: Option<Other>,
    /// It is about its hypervisor: on another one it shows nothing.
    pub fixed: bool,
}

/// A test that is no list of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// [`crate::suite::differential`].
    Differential,
    /// [`crate::suite::agreement`].
    Agreement,
    /// [`crate::suite::minimal`].
    Minimal,
    /// [`crate::suite::c_guest`].
    InC,
    /// The same with its caches left as they are.
    InCUndrained,
}

impl LabTest {
    /// The main job's guest, with another life.
    pub fn new(arch: Arch, name: &str, actions: Vec<Action>) -> Self {
        let (accel, _) = qemu::accel();
        Self {
            name: format!("lab/{}/{name}", arch.name()),
            arch,
            xen: xen_build::needed_xen(arch, accel).0,
            hardware: Hardware::default(),
            peer: None,
            switches: false,
            config: standard::pvh(arch),
            actions,
            expect: None,
            limit: standard::LIMIT,
            last_limit: None,
            other: None,
            fixed: false,
        }
    }

    /// A PV guest's, on this Xen.
    pub fn pv(arch: Arch, kind: Kind, xen: Xen, name: &str, actions: Vec<Action>) -> Self {
        let mut test = Self::new(arch, &format!("pv/{name}"), actions);
        test.config = standard::pv(arch, kind);
        test.xen = xen;
        test
    }

    /// With so many vCPUs and so many MiB.
    pub fn vcpus(mut self, vcpus: u32, mem: u32) -> Self {
        self.config.vcpus = vcpus;
        self.config.max_vcpus = vcpus;
        self.config.mem = mem;
        self
    }

    pub fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }

    /// Whether it switches a step off, and what follows is the point of it.
    pub fn is_control(&self) -> bool {
        self.name.contains("/control")
    }

    /// The kernel.
    pub fn elf(&self) -> PathBuf {
        self.arch.elf(self.switches)
    }
}

fn passed(steps: &[Step]) -> String {
    // What Xen or the guest refused is what a reader wants to see.
    let refused = steps
        .iter()
        .rfind(|step| !step.xen.is_empty() || step.step.contains("refused"));
    match refused {
        Some(step) => format!("{} steps; {}: {}", steps.len(), step.step, step.checked),
        None => format!("{} steps", steps.len()),
    }
}

/// Whether a life went as it should.
pub fn judge(steps: &[Step], actions: usize, expect: Option<&[&str]>) -> Outcome {
    let bad = steps.iter().find(|step| !step.ok());
    match (bad, expect) {
        (None, None) if steps.len() == actions => Outcome::Passed(passed(steps)),
        (None, _) if steps.len() < actions => Outcome::Failed(format!(
            "ended after {} of {actions} steps",
            steps.len()
        )),
        (None, _) => Outcome::Failed(
            "the step was left out, and nothing was found: either it does nothing or its check does not".into(),
        ),
        (Some(step), None) => Outcome::Failed(format!("{}: {}", step.step, step.findings.join("; "))),
        (Some(step), Some(words)) => {
            let seen = step
                .findings
                .iter()
                .find(|finding| words.iter().any(|word| finding.contains(word)));
            match seen {
                Some(finding) if step.step != Action::Create.name() => {
                    Outcome::Passed(format!("control: {}: {finding}", step.step))
                }
                _ => Outcome::Failed(format!(
                    "it failed otherwise than it should: {}: {}",
                    step.step,
                    step.findings.join("; ")
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, finding: &str) -> Step {
        Step {
            step: name.into(),
            findings: (!finding.is_empty())
                .then(|| finding.to_owned())
                .into_iter()
                .collect(),
            ..Step::default()
        }
    }

    #[test]
    fn a_control_passes_only_by_the_failure_it_is_for() {
        let expect: Option<&[&str]> = Some(&["left is"]);
        let passed = |outcome| matches!(outcome, Outcome::Passed(_));
        assert!(passed(judge(&[step("xl save", "")], 1, None)));
        assert!(!passed(judge(&[step("xl save", "")], 2, None)));
        assert!(!passed(judge(&[step("xl save", "x")], 1, None)));
        assert!(passed(judge(
            &[step("xl save", "drain: left is 3")],
            2,
            expect
        )));
        assert!(!passed(judge(&[step("xl save", "drain: gone")], 2, expect)));
        assert!(!passed(judge(&[step("xl save", "")], 1, expect)));
        // A guest that does not even boot shows nothing about the switch.
        assert!(!passed(judge(&[step("xl create", "left is 3")], 1, expect)));
    }
}
