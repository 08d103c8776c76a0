//! The tests that need Xen: lifecycles, and controls, which switch off one step of the guest and
//! must see the failure that follows.

pub mod controls;
mod hardship;
pub mod long;
mod memory;
mod pv;
mod service;
mod sizes;
pub mod test;
pub mod two_hosts;
mod vcpus;

use std::time::Duration;

use crate::build::kernel::Arch;
use crate::life::{main_job, Action};
use test::{LabTest, Other};

/// All of them.
pub fn all() -> Vec<LabTest> {
    let mut tests = Vec::new();
    for arch in [Arch::X86_64, Arch::I686] {
        tests.extend(main_jobs(arch));
        if arch == Arch::X86_64 {
            tests.extend(requests_and_hotplug());
            tests.push(vcpus::fifo());
        }
        tests.extend(numbers_of_vcpus(arch));
        tests.extend(pvh_controls(arch));
        if arch == Arch::X86_64 {
            // Here, because the first of them need the machine that the others have used.
            tests.extend(two_hosts::all());
        }
    }
    tests.extend(pv::all());
    tests.extend(sizes::all());
    tests.extend(vcpus::many());
    tests.extend(service::all());
    long::leave_out(&mut tests);
    // Those for one hypervisor side by side: one machine serves them all.
    tests.sort_by_key(|test| {
        (
            test.xen as u8,
            test.hardware.mib,
            test.hardware.xen_options,
            test.hardware.dom0_options,
        )
    });
    tests
}

fn main_jobs(arch: Arch) -> [LabTest; 2] {
    use Action::{Create, Ping, Poweroff, Restore, Save, VcpuSet};
    // The mechanisms on, in the kernel that has the switches: what the controls are compared
    // with.
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
    [LabTest::new(arch, "main-job", main_job()), baseline]
}

/// One word size is enough for these.
fn requests_and_hotplug() -> Vec<LabTest> {
    use Action::{
        Create, Drain, Halt, Migrate, Ping, Poweroff, Reboot, Restore, RestoreThenVcpuSet, Save,
        Unknown, VcpuSet, VcpuSetDuringCheckpoint,
    };
    let arch = Arch::X86_64;
    let mut tests = Vec::new();
    let mut faults = LabTest::new(arch, "faults", hardship::faulty_life());
    faults.switches = true;
    tests.push(faults);
    let mut minimal = LabTest::new(arch, "minimal", Vec::new());
    minimal.other = Some(Other::Minimal);
    tests.push(minimal);
    tests.push(LabTest::new(
        arch,
        "requests",
        vec![Create, Unknown, Drain, Reboot, Ping, Halt],
    ));
    tests.push(LabTest::new(arch, "hotplug-storm", vcpus::hotplug_storm()));
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
    tests
}

fn numbers_of_vcpus(arch: Arch) -> Vec<LabTest> {
    use Action::{Churn, Create, Migrate, Ping, Poweroff, Restore, Save, VcpuSet};
    let mut tests = Vec::new();
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
    let mut large = LabTest::new(arch, "32-vcpus", vec![Create, Churn(1), Poweroff]).vcpus(32, 64);
    large.limit = Duration::from_secs(180);
    tests.push(large);
    tests
}

fn pvh_controls(arch: Arch) -> Vec<LabTest> {
    let mut tests = Vec::new();
    for control in controls::CONTROLS
        .iter()
        .filter(|c| c.archs.contains(&arch))
    {
        let mut test = LabTest::new(
            arch,
            &format!("control/{}", control.word.replace(' ', "+")),
            control.actions.to_vec(),
        );
        test.switches = true;
        test.config.cmdline = format!("{} {}", test.config.cmdline, control.word);
        test.config.mem = controls::MEM;
        test.expect = controls::some(control.expect);
        test.limit = Duration::from_secs(30);
        let silent = control
            .expect
            .iter()
            .any(|word| controls::SILENCE.contains(word));
        test.last_limit = silent.then_some(Duration::from_secs(12));
        tests.push(test);
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_in_the_documentation_has_a_control() {
        let text = include_str!("../../../../../docs/guest-command-line.md");
        let after = text.split("In the `-test.elf`").nth(1).unwrap();
        let table = after.split("\n## ").next().unwrap();
        let words: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        assert!(words.len() > 5, "{words:?}");
        let tests = all();
        let controls = || tests.iter().filter(|test| test.name.contains("/control"));
        for word in words {
            let word = word.replace(":N", ":1");
            let uses_it = |test: &LabTest| test.config.cmdline.split(' ').any(|w| w == word);
            assert!(controls().any(uses_it), "{word}");
        }
    }
}
