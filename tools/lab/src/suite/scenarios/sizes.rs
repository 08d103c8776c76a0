//! Guests as large as they come, and as small.

use std::time::Duration;

use crate::build::kernel::Arch;
use crate::guest::config::Kind;
use crate::host::qemu::{Hardware, CPUS};
use crate::host::xen_build::Xen;
use crate::life::Action;
use crate::suite::scenarios::test::LabTest;

/// Room for the largest guest twice, and one machine for all of these. Nobody touches most of it.
const ROOMY: Hardware = Hardware {
    mib: 16 << 10,
    xen_options: "",
    cpus: CPUS,
    dom0_options: "",
};

/// Those of each size.
pub fn all() -> Vec<LabTest> {
    let mut tests = above_4_gib();
    tests.extend(sent_whole());
    tests.extend(idle());
    tests.extend(more_than_used());
    tests.extend(too_small());
    tests.extend(saved_and_sent_above_4_gib());
    tests.iter_mut().for_each(|test| test.hardware = ROOMY);
    tests
}

/// A 64-bit guest of so many MiB, which uses its highest frames.
fn guest(kind: Kind, mib: u32, name: &str, actions: Vec<Action>) -> LabTest {
    let mut test = match kind {
        Kind::Pv => LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, name, actions),
        _ => LabTest::new(Arch::X86_64, name, actions),
    };
    test.config.mem = mib;
    test.config.cmdline += " frames=high";
    test
}

/// Memory above 4 GiB: it is there, and tables in it are made, read back and drained.
fn above_4_gib() -> Vec<LabTest> {
    use Action::{Create, Drain, Poweroff, UsesMemory, VcpuSet};
    [Kind::Pvh, Kind::Pv]
        .map(|kind| {
            let life = vec![
                Create,
                VcpuSet(2),
                UsesMemory(6000, 6000),
                Drain,
                VcpuSet(4),
                Poweroff,
            ];
            guest(kind, 6144, "sizes-6-gib", life)
        })
        .into()
}

/// More than the 768 MiB that a 32-bit guest maps, all of it sent to the new domain.
fn sent_whole() -> Vec<LabTest> {
    use Action::{Checkpoint, Create, MemSet, Migrate, Poweroff, UsesMemory};
    [Kind::Pvh, Kind::Pv]
        .map(|kind| {
            let life = vec![
                Create,
                Migrate,
                UsesMemory(970, 1000),
                MemSet(1000),
                Checkpoint,
                Poweroff,
            ];
            let mut test = guest(kind, 1024, "", life);
            test.name = format!("long/sizes-1-gib/{}", kind.name());
            // Emulated and beside others, 1 GiB was not sent in four minutes.
            test.limit = Duration::from_secs(900);
            test
        })
        .into()
}

/// A whole life with memory above 4 GiB.
fn saved_and_sent_above_4_gib() -> Vec<LabTest> {
    use Action::{Churn, Create, Migrate, Ping, Poweroff, Restore, Save, UsesMemory, VcpuSet};
    [Kind::Pvh, Kind::Pv]
        .map(|kind| {
            let life = vec![
                Create,
                Churn(3),
                Save,
                Restore,
                UsesMemory(6000, 6000),
                VcpuSet(2),
                VcpuSet(4),
                Migrate,
                UsesMemory(6000, 6000),
                Ping,
                Poweroff,
            ];
            let mut test = guest(kind, 6144, "", life);
            test.name = format!("long/sizes-6-gib/{}", kind.name());
            test.limit = Duration::from_secs(1200);
            test
        })
        .into()
}

/// What the kernel leaves unused is said.
fn more_than_used() -> [LabTest; 1] {
    use Action::{Create, Poweroff, Unused};
    let mut test = LabTest::pv(
        Arch::I686,
        Kind::Pv,
        Xen::Pv32,
        "sizes-more-than-used",
        vec![Create, Unused(256 << 10, 1), Poweroff],
    );
    test.config.mem = 1024;
    test.config.max_vcpus = 129;
    [test]
}

/// MiB of the smallest guest. With less the domain builder finds no room for the kernel, and says so.
const LEAST: u32 = 4;

/// A guest with nothing to do is left alone by its own timers, and is suspended all the same.
fn idle() -> Vec<LabTest> {
    use Action::{Boot, Idle, IdleCheckpoint};
    const NOTHING: &str = " churn=off live=0 prefill=4";
    let mut tests = [Kind::Pvh, Kind::Pv].map(|kind| {
        let life = vec![Boot, Idle(5), IdleCheckpoint, Idle(5)];
        guest(kind, 32, "sizes-idle", life)
    });
    for test in &mut tests {
        test.config.cmdline += NOTHING;
    }
    let mut ticks = LabTest::new(Arch::X86_64, "control/tick=always", vec![Boot, Idle(5)]);
    ticks.config.cmdline = format!("{NOTHING} tick=always");
    ticks.switches = true;
    ticks.expect = Some(&["has nothing to do, and was woken"]);
    let mut tests = Vec::from(tests);
    tests.push(ticks);
    tests
}

/// The least that a guest can have, and less than it needs for all that it might come to have: it
/// says so, and how much that is.
fn too_small() -> Vec<LabTest> {
    use Action::{BootFails, Create, Poweroff};
    let mut tests = Vec::new();
    for arch in [Arch::X86_64, Arch::I686] {
        for kind in [Kind::Pvh, Kind::Pv] {
            let test = |name: &str, mib: u32, life| {
                let mut test = match kind {
                    Kind::Pv => LabTest::pv(arch, kind, Xen::Pv32, name, life),
                    _ => LabTest::new(arch, name, life),
                };
                (test.config.mem, test.config.max_vcpus, test.config.vcpus) = (mib, 1, 1);
                test
            };
            tests.push(test("sizes-least", LEAST, vec![Create, Poweroff]));
            if kind == Kind::Pvh {
                let words = "KiB of memory, and this kernel needs";
                let mut small = test("sizes-too-small", LEAST, vec![BootFails(words)]);
                small.config.extra = "maxmem = 1024\n".into();
                tests.push(small);
            }
        }
    }
    tests
}
