//! vCPUs in all patterns and numbers, and random hotplug.

use std::time::Duration;

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

/// More vCPUs than the shared-info page has places for, with as little work as there can be: two
/// processors, emulated, run all of them. Both kinds of event channels.
pub fn many() -> Vec<LabTest> {
    use Action::{Create, Poweroff, Restore, Save, VcpuSet};
    const LIGHT: &str = "burst=1 live=1";
    let life = || vec![Create, Save, Restore, VcpuSet(2), VcpuSet(64), Poweroff];
    let many = |name: &str, mut test: LabTest, vcpus, events: &str| {
        test = test.vcpus(vcpus, 2 * vcpus);
        test.name = format!("long/{vcpus}-vcpus/{name}");
        test.config.cmdline = format!("{LIGHT} events={events}");
        test.limit = Duration::from_secs(420);
        test
    };
    let pvh = |life| LabTest::new(Arch::X86_64, "", life);
    let pv = |life| LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, "", life);
    vec![
        many("fifo", pvh(life()), 64, "fifo"),
        many("2l", pvh(life()), 64, "2l"),
        many("pv", pv(life()), 64, "2l"),
        many("pvh", pvh(vec![Create, Save, Poweroff]), 128, "2l"),
    ]
}

/// The event channels that are not used unless asked for.
pub fn fifo() -> LabTest {
    use Action::{Checkpoint, Create, Poweroff, Restore, Save, VcpuSet};
    let life = vec![
        Create,
        VcpuSet(2),
        Save,
        Restore,
        VcpuSet(4),
        Checkpoint,
        Poweroff,
    ];
    let mut test = LabTest::new(Arch::X86_64, "", life);
    test.name = "long/x86_64/events=fifo".into();
    test.config.cmdline += " events=fifo";
    test
}

/// vCPUs that come and go for a while: nothing of them may be left behind, such as a piece of their
/// stacks.
pub fn hotplug_storm() -> Vec<Action> {
    use Action::{Create, Ping, Poweroff, Reboot, VcpuSet};
    let storm = Action::Fault(Fault::HotplugStorm(30, 280));
    vec![Create, storm, VcpuSet(2), Reboot, Ping, Poweroff]
}
