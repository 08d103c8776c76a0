//! The tests that need Xen: lifecycles, and controls, which switch off one step of the guest and must see the
//! failure that follows.

use std::path::PathBuf;
use std::time::Duration;

use crate::demo;
use crate::guest::Config;
use crate::kernel::Arch;
use crate::qemu;
use crate::scenario::{main_job, Action, Step};
use crate::suite::Outcome;
use crate::xen_build::{self, Xen};

/// One test.
#[derive(Debug, Clone)]
pub struct LabTest {
    /// Its name.
    pub name: String,
    /// The guest's word size.
    pub arch: Arch,
    /// The hypervisor it runs on.
    pub xen: Xen,
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
}

impl LabTest {
    fn new(arch: Arch, name: &str, actions: Vec<Action>) -> Self {
        let (accel, _) = qemu::accel();
        Self {
            name: format!("lab/{}/{name}", arch.name()),
            arch,
            xen: xen_build::needed_xen(arch, accel).0,
            switches: false,
            config: demo::config(arch),
            actions,
            expect: None,
            limit: demo::LIMIT,
        }
    }

    fn vcpus(mut self, vcpus: u32, mem: u32) -> Self {
        self.config.vcpus = vcpus;
        self.config.max_vcpus = vcpus;
        self.config.mem = mem;
        self
    }

    /// The kernel.
    pub fn elf(&self) -> PathBuf {
        self.arch.elf(self.switches)
    }
}

/// No answer came: the guest hangs, or did not hear.
const SILENCE: &[&str] = &["nothing within"];

/// A switch of `docs/guest-command-line.md`, a life that meets it, and what must be found.
struct Control {
    word: &'static str,
    actions: &'static [Action],
    expect: &'static [&'static str],
    /// Word sizes on which leaving the step out does harm.
    archs: &'static [Arch],
}

const BOTH: &[Arch] = &Arch::ALL;

const CONTROLS: &[Control] = {
    use Action::{Checkpoint, Create, Ping, Restore, RestoreThenVcpuSet, Save, VcpuSet};
    &[
        // A refused suspend costs a minute: so long do Xen's tools wait for it.
        // What the drain leaves, the audit finds; and without the audit the events still show it.
        Control {
            word: "drain=off",
            actions: &[Create, Save],
            expect: &["the guest says suspend-failed"],
            archs: BOTH,
        },
        Control {
            word: "drain=skip:1",
            actions: &[Create, Save],
            expect: &["the guest says suspend-failed"],
            archs: &[Arch::X86_64],
        },
        Control {
            word: "drain=off audit=off",
            actions: &[Create, Save],
            expect: &["there is no drain event", "drain: left is"],
            archs: &[Arch::X86_64],
        },
        Control {
            word: "drain=skip:1 audit=off",
            actions: &[Create, Save],
            expect: &["drain: left is"],
            archs: BOTH,
        },
        Control {
            word: "detach=nodrain",
            actions: &[Create, VcpuSet(2)],
            expect: &["sets in its cache"],
            archs: BOTH,
        },
        Control {
            word: "park=off",
            actions: &[Create, Save, Restore],
            expect: &[
                // A vCPU that was not parked does not come back.
                "stand still",
                "phase quiesced is missing",
                "drain: ",
                "nothing within",
                "mismatch",
            ],
            archs: &[Arch::X86_64],
        },
        Control {
            // Only a 32-bit guest has another layout than the one a restored domain starts with.
            word: "resume=no-latch",
            actions: &[Create, Save, Restore, Ping],
            expect: SILENCE,
            archs: &[Arch::I686],
        },
        Control {
            word: "resume=no-shared-info",
            actions: &[Create, Save, Restore, Ping],
            expect: SILENCE,
            archs: &[Arch::X86_64],
        },
        Control {
            word: "resume=no-vector",
            actions: &[Create, Save, Restore, Ping],
            expect: SILENCE,
            archs: &[Arch::X86_64],
        },
        Control {
            word: "resume=no-evtchn",
            actions: &[Create, Save, Restore, Ping],
            expect: SILENCE,
            archs: &[Arch::X86_64],
        },
        Control {
            word: "resume=no-timer",
            actions: &[Create, Save, Restore, Ping],
            expect: &["nothing within", "timer ticks stand still"],
            archs: &[Arch::X86_64],
        },
        Control {
            word: "resume=no-watches",
            actions: &[Create, Save, Restore, VcpuSet(2)],
            expect: SILENCE,
            archs: &[Arch::X86_64],
        },
        Control {
            // Setting a watch fires it once, which reads the values again: only without both is nobody told.
            word: "resume=no-reread resume=no-watches",
            actions: &[Create, Save, RestoreThenVcpuSet(2)],
            expect: SILENCE,
            archs: &[Arch::X86_64],
        },
        Control {
            word: "resume=no-vcpu-reset",
            actions: &[Create, VcpuSet(2), Save, Restore, VcpuSet(4)],
            expect: &["nothing within", "the guest says error"],
            archs: &[Arch::X86_64],
        },
        Control {
            word: "cancel=no-trick",
            actions: &[Create, Checkpoint],
            expect: &["resumed: how is", "nothing within", "in dom0"],
            archs: &[Arch::X86_64],
        },
    ]
};

/// All of them; those for one hypervisor side by side, so that a machine serves many.
pub fn all() -> Vec<LabTest> {
    use Action::{
        Churn, Create, Drain, Halt, Migrate, Ping, Poweroff, Reboot, Restore, RestoreThenVcpuSet,
        Save, Unknown, VcpuSet, VcpuSetDuringCheckpoint,
    };
    let mut tests = Vec::new();
    for arch in [Arch::X86_64, Arch::I686] {
        tests.push(LabTest::new(arch, "main-job", main_job()));
        // The mechanisms on, in the kernel that has the switches: what the controls are compared with.
        let mut baseline = LabTest::new(
            arch,
            "baseline-of-the-controls",
            vec![
                Create,
                VcpuSet(2),
                Save,
                Restore,
                Ping,
                VcpuSet(4),
                Poweroff,
            ],
        );
        baseline.switches = true;
        tests.push(baseline);
        if arch == Arch::X86_64 {
            tests.push(LabTest::new(
                arch,
                "requests",
                vec![Create, Unknown, Drain, Reboot, Ping, Halt],
            ));
            tests.push(LabTest::new(
                arch,
                "saved-with-cpus-offline",
                vec![
                    Create,
                    VcpuSet(1),
                    Save,
                    Restore,
                    Ping,
                    VcpuSet(4),
                    Migrate,
                    Poweroff,
                ],
            ));
            tests.push(LabTest::new(
                arch,
                "hotplug-meets-suspend",
                vec![
                    Create,
                    VcpuSetDuringCheckpoint(2),
                    VcpuSetDuringCheckpoint(4),
                    Save,
                    RestoreThenVcpuSet(2),
                    Poweroff,
                ],
            ));
        }
        tests.push(
            LabTest::new(
                arch,
                "1-vcpu",
                vec![Create, Save, Restore, Ping, Migrate, Poweroff],
            )
            .vcpus(1, 32),
        );
        tests.push(
            LabTest::new(
                arch,
                "8-vcpus",
                vec![Create, Save, Restore, VcpuSet(3), VcpuSet(8), Poweroff],
            )
            .vcpus(8, 64),
        );
        let mut large =
            LabTest::new(arch, "32-vcpus", vec![Create, Churn(1), Poweroff]).vcpus(32, 64);
        large.limit = Duration::from_secs(180);
        tests.push(large);
        for control in CONTROLS.iter().filter(|c| c.archs.contains(&arch)) {
            let mut test = LabTest::new(
                arch,
                &format!("control/{}", control.word.replace(' ', "+")),
                control.actions.to_vec(),
            );
            test.switches = true;
            test.config.cmdline = format!("{} {}", test.config.cmdline, control.word);
            test.expect = Some(control.expect);
            test.limit = Duration::from_secs(30);
            tests.push(test);
        }
    }
    tests
}

/// Whether a life went as it should.
pub fn judge(steps: &[Step], actions: usize, expect: Option<&[&str]>) -> Outcome {
    let bad = steps.iter().find(|step| !step.ok());
    match (bad, expect) {
        (None, None) if steps.len() == actions => Outcome::Passed(format!("{actions} steps")),
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
            secs: 0.0,
            drained: String::new(),
            checked: String::new(),
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

    #[test]
    fn every_switch_in_the_documentation_has_a_control() {
        let text = include_str!("../../docs/guest-command-line.md");
        let table = text.split("In the `-test.elf`").nth(1).unwrap();
        let words: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        assert!(words.len() > 5, "{words:?}");
        for word in words {
            let word = word.replace(":N", ":1");
            assert!(
                CONTROLS
                    .iter()
                    .any(|c| c.word.split(' ').any(|w| w == word)),
                "{word}"
            );
        }
    }
}
