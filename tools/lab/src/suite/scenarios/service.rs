//! A guest with a network and a disk, and a client that sees how it fares.

use std::time::Duration;

use crate::build::kernel::Arch;
use crate::guest::config::Kind;
use crate::host::xen_build::Xen;
use crate::life::served::{DEVICES, SERVICE};
use crate::life::Action;
use crate::suite::scenarios::test::LabTest;

/// All of them.
pub fn all() -> Vec<LabTest> {
    let mut tests = Vec::new();
    for arch in [Arch::X86_64, Arch::I686] {
        tests.push(serving(LabTest::new(arch, "service", life())));
        tests.push(serving(LabTest::pv(
            arch,
            Kind::Pv,
            Xen::Pv32,
            "service",
            life(),
        )));
    }
    tests.push(not_reconnected());
    tests
}

fn life() -> Vec<Action> {
    use Action::{Boot, Devices, Migrate, Poweroff, Restore, Save, Serves};
    vec![
        Devices, Boot, Serves, Save, Restore, Serves, Migrate, Serves, Poweroff,
    ]
}

/// Two vCPUs and less churn leave dom0 what its backends need.
fn serving(test: LabTest) -> LabTest {
    let mut test = test.vcpus(2, 32);
    let cmdline = &mut test.config.cmdline;
    if !cmdline.contains("burst=") {
        cmdline.push_str(" burst=4");
    }
    *cmdline = format!("{cmdline} {SERVICE}").trim().to_owned();
    test.config.extra.push_str(DEVICES);
    test
}

/// The frontends stay as they were before the restore.
fn not_reconnected() -> LabTest {
    use Action::{Create, Devices, Restore, Save, Serves};
    let word = "resume=no-frontends";
    let actions = vec![Devices, Create, Serves, Save, Restore, Serves];
    let mut test = serving(LabTest::new(
        Arch::X86_64,
        &format!("control/{word}"),
        actions,
    ));
    test.switches = true;
    test.config.cmdline.push_str(&format!(" {word}"));
    test.expect = Some(&["an answer to ping"]);
    test.last_limit = Some(Duration::from_secs(12));
    test
}
