//! Hypercalls that are refused, NMIs, and daemons of dom0 that do not answer in time.

use crate::build::kernel::Arch;
use crate::guest::config::Kind;
use crate::host::xen_build::Xen;
use crate::life::Action;
use crate::suite::scenarios::test::LabTest;

/// A debug exception from nowhere, every hypercall of a suspend refused once on the way down and
/// back in the same domain, and then a save that nothing stops.
pub fn faulty_life() -> Vec<Action> {
    use Action::{Create, Faults, Poweroff, Restore, Save, Step};
    vec![Create, Step, Faults, Save, Restore, Poweroff]
}

/// NMIs from dom0: a hundred of them to a guest at work, then a storm through two suspends, and one
/// that waits for a vCPU to come that Xen knows no state of.
pub fn nmis() -> Vec<LabTest> {
    use Action::{
        Checkpoint, Create, Nmis, Poweroff, Restore, Save, Triggers, UnderNmis, VcpuSet, Vectors,
    };
    let life = || {
        vec![
            Create,
            Nmis(100),
            Triggers,
            VcpuSet(3),
            // The storm goes to vCPU 3 too, which stays pending there.
            UnderNmis(&[Checkpoint, Save, Restore]),
            VcpuSet(4),
            Nmis(8),
            Poweroff,
        ]
    };
    // A PVH guest can send itself what its toolstack could.
    let pvh = || {
        let mut life = life();
        life.insert(2, Vectors);
        life
    };
    let mut tests = vec![
        LabTest::new(Arch::X86_64, "pvh/nmi", pvh()),
        LabTest::new(Arch::I686, "pvh/nmi", pvh()),
        LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, "nmi", life()),
        LabTest::pv(Arch::I686, Kind::Pv, Xen::Pv32, "nmi", life()),
    ];
    // The handler of the test build uses the pool.
    tests.iter_mut().for_each(|test| test.switches = true);
    tests
}

/// Wishes that cannot be read in time, and what a toolstack reads of the guest before it asks for
/// anything.
pub fn unheard() -> Vec<LabTest> {
    use Action::{
        Advertised, CheckpointUnheard, CheckpointUnread, Create, Poweroff, Restore, Save,
        Unanswerable, VcpuSetUnheard,
    };
    let whole = || {
        vec![
            Create,
            Advertised,
            VcpuSetUnheard(2),
            Save,
            Restore,
            Advertised,
            CheckpointUnheard,
            CheckpointUnread,
            Unanswerable,
            Save,
            Restore,
            Poweroff,
        ]
    };
    // A checkpoint with xenstored stopped takes a minute.
    let mut short = whole();
    short.retain(|action| !matches!(action, CheckpointUnheard));
    let mut pvh = LabTest::new(Arch::X86_64, "", whole());
    pvh.name = "long/unheard/pvh".into();
    let mut pv = LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, "", whole());
    pv.name = "long/unheard/pv".into();
    vec![LabTest::new(Arch::X86_64, "unheard", short), pvh, pv]
}

/// Hypercalls that are refused after real restores: a save and a restore for each of them.
pub fn resume_faults() -> Vec<LabTest> {
    use Action::{Create, Poweroff, Restore, ResumeFaults, Save};
    let life = || vec![Create, ResumeFaults, Save, Restore, Poweroff];
    let pv = |arch| LabTest::pv(arch, Kind::Pv, Xen::Pv32, "", life());
    let tests = [
        LabTest::new(Arch::X86_64, "", life()),
        pv(Arch::X86_64),
        pv(Arch::I686),
    ];
    let suffer = |test: LabTest| {
        let mut test = test.vcpus(2, 16);
        test.name = format!(
            "long/resume-faults/{}/{}",
            test.arch.name(),
            test.config.kind.name()
        );
        test.switches = true;
        test.config.cmdline = "burst=1 live=2".into();
        test
    };
    tests.map(suffer).into()
}
