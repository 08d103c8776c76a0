//! vCPUs in all patterns and numbers, and random hotplug.

use crate::build::kernel::Arch;
use crate::guest::config::Kind;
use crate::host::xen_build::Xen;
use crate::life::fault::Fault;
use crate::life::Action;
use crate::suite::scenarios::test::LabTest;

/// vCPUs in other patterns and numbers than a prefix of those at boot, vCPUs that come and leave
/// late, and a processor without x2APIC.
pub fn other_vcpus() -> Vec<LabTest> {
    use Action::{
        Checkpoint, Create, LateToCome, LateToLeave, Online, PausedInTakeDown, Ping, Poweroff,
        Restore, RestoreAs, Save, VcpuSet,
    };
    let gaps = || {
        vec![
            Create,
            Online(&[0, 3, 4, 6, 7]),
            Save,
            Restore,
            Online(&[0, 3, 4, 5, 6, 7]),
            Checkpoint,
            Online(&[0, 1, 6]),
            VcpuSet(8),
            Poweroff,
        ]
    };
    // Saved before any vCPU came or went, and grown in the new domain; then restored with more and
    // with fewer.
    let others = || {
        vec![
            Create,
            Save,
            Restore,
            VcpuSet(4),
            Save,
            RestoreAs(6, 6),
            Save,
            RestoreAs(3, 6),
            Poweroff,
        ]
    };
    let late = || {
        vec![
            Create,
            LateToLeave(2),
            LateToCome(2),
            Save,
            Restore,
            Poweroff,
        ]
    };
    let pv = |name: &str, life| LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, name, life);
    let pvh = |name: &str, life| LabTest::new(Arch::X86_64, name, life);
    let long = |name: &str, mut test: LabTest| {
        test.name = format!("long/{name}");
        test
    };
    // Only a debug build lets dom0 stop a single vCPU.
    let held = |name, test: LabTest| {
        let mut test = long(name, test.vcpus(3, 32)).fixed();
        test.xen = Xen::Pv32Debug;
        test
    };
    let grown = |mut test: LabTest| {
        test.config.vcpus = 2;
        test
    };
    let mut no_x2apic = pvh(
        "no-x2apic",
        vec![
            Create,
            VcpuSet(2),
            Save,
            Restore,
            Ping,
            VcpuSet(4),
            Checkpoint,
            Poweroff,
        ],
    );
    no_x2apic.config.extra = "cpuid = \"host,x2apic=0\"\n".into();
    // Xen's wall clock has the domain's own offset in it, also in the next domain.
    no_x2apic.config.time_offset = 7200;
    vec![
        pvh("gaps", gaps()).vcpus(8, 64),
        pv("gaps", gaps()).vcpus(8, 64),
        grown(pvh("other-vcpus", others())),
        grown(pv("other-vcpus", others())),
        no_x2apic,
        long(
            "paused-in-take-down/pv",
            pv(
                "",
                vec![
                    Create,
                    PausedInTakeDown(1),
                    VcpuSet(8),
                    Save,
                    Restore,
                    Poweroff,
                ],
            )
            .vcpus(8, 64),
        ),
        held("late-vcpus/pvh", pvh("", late())),
        held("late-vcpus/pv", pv("", late())),
    ]
}

/// vCPUs that come and go for a while: nothing of them may be left behind, such as a piece of their
/// stacks.
pub fn hotplug_storm() -> Vec<Action> {
    use Action::{Create, Ping, Poweroff, Reboot, VcpuSet};
    let storm = Action::Fault(Fault::HotplugStorm(30, 280));
    vec![Create, storm, VcpuSet(2), Reboot, Ping, Poweroff]
}
