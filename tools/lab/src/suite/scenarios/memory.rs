//! Guests that are short of memory, or have less than they may have.

use std::time::Duration;

use crate::build::kernel::Arch;
use crate::guest::config::Kind;
use crate::host::xen_build::Xen;
use crate::life::check::GivenUp;
use crate::life::Action;
use crate::suite::scenarios::test::LabTest;

/// Memory that is short: not a frame is left, and the guest suspends and comes back all the same.
pub fn short_of_memory() -> Vec<LabTest> {
    use Action::{Create, Feed, Poweroff, Restore, Save, Starve};
    let life = || vec![Create, Starve(0), Save, Restore, Feed, Poweroff];
    let mut pv = LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, "", life());
    pv.name = "long/short-of-memory/x86_64/pv".to_owned();
    let mut tests = vec![LabTest::new(Arch::X86_64, "short-of-memory", life()), pv];
    tests.iter_mut().for_each(|test| test.switches = true);
    tests
}

/// Memory that is less than it may become: the guest keeps to its target, and is saved and restored
/// with what it has.
pub fn below_maxmem() -> Vec<LabTest> {
    let mut tests = kept_to_target();
    tests.extend(far_below_maxmem());
    tests.extend(moving_in_migration());
    tests
}

fn kept_to_target() -> Vec<LabTest> {
    use Action::{
        CannotSuspend, Checkpoint, Create, MemSet, MemSetBelow, Migrate, Ping, Poweroff, Restore,
        Save, SaveGivenUp,
    };
    let life = || {
        vec![
            Create,
            Save,
            Restore,
            MemSet(20),
            Save,
            Restore,
            MemSet(64),
            Checkpoint,
            MemSet(40),
            Migrate,
            // Less than the kernel itself takes: it says so, is not saved so, and goes on.
            MemSetBelow(2),
            SaveGivenUp(
                GivenUp {
                    phase: "acknowledged",
                    party: "guest",
                },
                &["its target is 2048 KiB", "uses all frames"],
            ),
            CannotSuspend(true),
            MemSet(96),
            CannotSuspend(false),
            Ping,
            Save,
            Restore,
            Poweroff,
        ]
    };
    let pv = |arch| LabTest::pv(arch, Kind::Pv, Xen::Pv32, "memory-below-maxmem", life());
    let mut long = LabTest::new(Arch::I686, "", life());
    long.name = "long/memory-below-maxmem/i686/pvh".to_owned();
    // Each frame costs Xen's shadow paging a write to a page table, emulated twice.
    long.limit = Duration::from_secs(240);
    let mut tests = vec![
        LabTest::new(Arch::X86_64, "memory-below-maxmem", life()),
        pv(Arch::X86_64),
        pv(Arch::I686),
        long,
    ];
    tests.extend(balloon_controls());
    for test in &mut tests {
        test.config.extra = "maxmem = 96\n".into();
    }
    tests
}

/// What the balloon and the audit are for.
fn balloon_controls() -> [LabTest; 3] {
    use Action::{Create, MemSetBelow, RestoreFails, SaveAnyway, SaveRefused};
    // Without a balloon the save succeeds and nobody can restore what it wrote.
    let lost = || {
        vec![
            Create,
            MemSetBelow(20),
            SaveAnyway(None),
            RestoreFails("Failed to populate physmap"),
        ]
    };
    let mut off = [
        LabTest::new(Arch::X86_64, "control/balloon=off", lost()),
        LabTest::pv(
            Arch::X86_64,
            Kind::Pv,
            Xen::Pv32,
            "control/balloon=off",
            lost(),
        ),
    ];
    for test in &mut off {
        test.switches = true;
        test.config.cmdline = format!("{} balloon=off", test.config.cmdline);
    }
    let mut away = LabTest::new(
        Arch::X86_64,
        "control/plant=away",
        vec![Create, SaveRefused(&["L1 page", "slot", "not our memory"])],
    );
    away.switches = true;
    away.config.cmdline = format!("{} plant=away", away.config.cmdline);
    let [pvh, pv] = off;
    [pvh, pv, away]
}

/// Far more than the kernel can use.
fn far_below_maxmem() -> [LabTest; 2] {
    use Action::{Checkpoint, Create, MemSet, Migrate, Poweroff, Restore, Save};
    let far = || {
        vec![
            Create,
            Save,
            Restore,
            MemSet(48),
            Migrate,
            MemSet(24),
            Checkpoint,
            Poweroff,
        ]
    };
    let mut far = [
        LabTest::new(Arch::X86_64, "", far()),
        LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, "", far()),
    ];
    for test in &mut far {
        test.name = format!("long/memory-far-below-maxmem/{}", test.config.kind.name());
        test.config.extra = "maxmem = 4096\n".into();
    }
    far
}

/// Frames go and come that have been sent, or have not.
fn moving_in_migration() -> [LabTest; 3] {
    use Action::{Create, MemSetDuringMigrate, Poweroff, Restore, Save};
    let moving = || {
        vec![
            Create,
            MemSetDuringMigrate(20),
            Save,
            Restore,
            MemSetDuringMigrate(64),
            Save,
            Restore,
            Poweroff,
        ]
    };
    let mut moving = [
        LabTest::new(Arch::X86_64, "", moving()),
        LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, "", moving()),
        LabTest::new(Arch::X86_64, "", vec![Create, MemSetDuringMigrate(64)]),
    ];
    for test in &mut moving {
        test.name = format!("long/memory-moves-in-migration/{}", test.config.kind.name());
        test.config.extra = "maxmem = 96\n".into();
    }
    moving[2].name = "long/control/balloon=unnoted/pvh".to_owned();
    moving[2].config.cmdline += " balloon=unnoted";
    moving[2].switches = true;
    moving
}
