//! PV guests, whose page tables Xen looks at.

use std::time::Duration;

use crate::build::kernel::Arch;
use crate::guest::config::Kind;
use crate::host::qemu::{Hardware, CPUS};
use crate::host::xen_build::Xen;
use crate::life::{main_job, pv_job_without_migration, Action};
use crate::suite::scenarios::test::{LabTest, Other};
use crate::suite::scenarios::{controls, hardship, memory, vcpus};

/// Those of PV guests.
pub fn all() -> Vec<LabTest> {
    let mut tests = vec![
        LabTest::pv(
            Arch::X86_64,
            Kind::Pv,
            Xen::Debian12,
            "main-job-debian12",
            pv_job_without_migration(),
        )
        .fixed(),
        LabTest::pv(
            Arch::X86_64,
            Kind::Pv,
            Xen::Pv32,
            "main-job-pv32",
            main_job(),
        ),
        LabTest::pv(Arch::I686, Kind::Pv, Xen::Pv32, "main-job-pv32", main_job()),
        LabTest::pv(
            Arch::X86_64,
            Kind::Pv,
            Xen::Pv32,
            "hotplug-storm",
            vcpus::hotplug_storm(),
        ),
    ];
    for arch in [Arch::X86_64, Arch::I686] {
        for control in controls::PV_CONTROLS
            .iter()
            .filter(|c| c.archs.contains(&arch))
        {
            let name = format!("control/{}", control.word.replace(' ', "+"));
            let life = control.actions.to_vec();
            let mut test = LabTest::pv(arch, Kind::Pv, Xen::Pv32, &name, life);
            test.switches = true;
            test.config.cmdline = format!("{} {}", test.config.cmdline, control.word);
            test.config.mem = controls::MEM;
            test.expect = controls::some(control.expect);
            tests.push(test);
        }
    }
    for arch in [Arch::X86_64, Arch::I686] {
        let mut test = LabTest::pv(arch, Kind::Pv, Xen::Pv32, "faults", hardship::faulty_life());
        test.switches = true;
        tests.push(test);
    }
    tests.extend(large_host());
    tests.extend(memory::short_of_memory());
    tests.extend(hardship::resume_faults());
    tests.extend(hardship::nmis());
    tests.extend(vcpus::other_vcpus());
    tests.extend(memory::below_maxmem());
    tests.extend(hardship::unheard());
    for arch in [Arch::X86_64, Arch::I686] {
        let mut test = LabTest::pv(arch, Kind::Pv, Xen::Pv32, "differential", Vec::new());
        test.switches = true;
        test.other = Some(Other::Differential);
        if arch == Arch::I686 {
            // Xen's rules are the same, and it takes as long.
            test.name = format!("long/{}/pv/differential", arch.name());
        }
        tests.push(test);
    }
    let mut agreement = LabTest::pv(
        Arch::X86_64,
        Kind::Pv,
        Xen::Debian12,
        "agreement",
        Vec::new(),
    );
    agreement.name = "long/savelint/agreement".into();
    agreement.other = Some(Other::Agreement);
    tests.push(agreement);
    // The one that this project is about on Debian's own build too.
    let story = controls::PV_CONTROLS
        .iter()
        .find(|c| c.word == "drain=off audit=off order=holder-first");
    if let Some(story) = story {
        let mut test = LabTest::pv(
            Arch::X86_64,
            Kind::Pv,
            Xen::Debian12,
            "control-debian12/drain=off+audit=off+order=holder-first",
            story.actions.to_vec(),
        )
        .fixed();
        test.switches = true;
        test.config.cmdline = format!("{} {}", test.config.cmdline, story.word);
        tests.push(test);
    }
    tests.extend(in_c());
    tests.push(shim());
    tests
}

/// The guest in C, and the control of its drain.
fn in_c() -> [LabTest; 2] {
    [
        ("guest-in-c", Other::InC),
        ("control/guest-in-c-undrained", Other::InCUndrained),
    ]
    .map(|(name, other)| {
        let mut test = LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, name, Vec::new());
        test.other = Some(other);
        test
    })
}

/// More than the 16 GiB whose machine frames the header's table has for a 32-bit guest. Xen gives
/// the highest frames first.
const LARGE: Hardware = Hardware {
    mib: 20480,
    cpus: CPUS,
    xen_options: "",
    dom0_options: "",
};

/// PV guests whose machine frames are above 16 GiB, and what becomes of one that does not ask Xen
/// where its table ends.
fn large_host() -> Vec<LabTest> {
    use Action::{BootFails, Checkpoint, Create, Migrate, Ping, Poweroff, Restore, Save, VcpuSet};
    let life = || {
        vec![
            Create,
            VcpuSet(1),
            VcpuSet(4),
            Save,
            Restore,
            Checkpoint,
            Migrate,
            Ping,
            Poweroff,
        ]
    };
    let mut header = LabTest::pv(
        Arch::I686,
        Kind::Pv,
        Xen::Pv32,
        "control/m2p=header",
        vec![BootFails("can be looked up")],
    );
    header.switches = true;
    header.config.cmdline = format!("{} m2p=header", header.config.cmdline);
    let mut tests = vec![
        LabTest::pv(Arch::I686, Kind::Pv, Xen::Pv32, "large-host", life()),
        LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, "large-host", life()),
        header,
    ];
    tests.iter_mut().for_each(|test| test.hardware = LARGE);
    let mut linear = LabTest::pv(
        Arch::X86_64,
        Kind::Pv,
        Xen::Pv32,
        "no-linear-tables",
        vec![BootFails("pv-linear-pt")],
    );
    linear.hardware.xen_options = "pv-linear-pt=false";
    tests.push(linear);
    tests
}

/// A 32-bit PV guest of a Xen of its own inside a PVH guest. Its page tables are checked by an
/// emulated Xen in an emulated machine, which takes minutes: it runs only if it is named.
fn shim() -> LabTest {
    use Action::{Create, Ping, Poweroff, Restore, Save, VcpuSet};
    let life = vec![
        Create,
        VcpuSet(2),
        VcpuSet(4),
        Save,
        Restore,
        Ping,
        Save,
        Restore,
        Ping,
        Poweroff,
    ];
    let mut test = LabTest::pv(Arch::I686, Kind::Shim, Xen::Debian12, "", life);
    test.name = "long/i686/pv/main-job-shim".to_owned();
    test.limit = Duration::from_secs(300);
    test
}
