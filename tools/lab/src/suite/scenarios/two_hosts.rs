//! The tests of two hosts and of what goes wrong.

use std::time::Duration;

use crate::build::kernel::Arch;
use crate::guest::config::Kind;
use crate::host::machine::Spec;
use crate::host::qemu::{Hardware, OXENSTORED};
use crate::host::xen_build::Xen;
use crate::life::fault::Fault;
use crate::life::virsh::Virsh;
use crate::life::Action;
use crate::suite::scenarios::test::LabTest;

/// Why Xen 4.17 takes no PVH guest from 4.20: the record of the local APIC has grown
/// (`struct hvm_hw_lapic` in `xen/include/public/arch-x86/hvm/save.h` has `pending_esr` in 4.20),
/// and a longer record than its own is refused.
const GROWN_RECORD: &str = "HVM restore mismatch: expected zeroextended type 5 length 24";

fn on(arch: Arch, name: &str, xens: [Xen; 2], actions: Vec<Action>) -> LabTest {
    let mut test = LabTest::new(arch, "", actions);
    test.name = name.to_owned();
    test.xen = xens[0];
    test.peer = Some(xens[1].into());
    test.config.name = "guest".into();
    // Each byte is encrypted on an emulated processor, and each page that churn touches meanwhile
    // is sent again.
    test.config.mem = 16;
    test.config.cmdline = "burst=1".into();
    test.limit = Duration::from_secs(180);
    test
}

/// All of them.
pub fn all() -> Vec<LabTest> {
    let mut tests = faults();
    tests.extend(hosts());
    tests.push(pv());
    tests.extend(pv_to_newer());
    tests.extend(remus());
    tests.extend(other_toolstacks());
    tests.extend(libvirt());
    tests.extend(xenstoreds());
    tests.extend(Arch::ALL.map(small_and_large));
    tests
}

/// What goes wrong on one host.
fn faults() -> Vec<LabTest> {
    use Action::{Create, Migrate, Ping, Poweroff, Restore, Save, VcpuSet};
    use Fault::{
        Checkpoints, DiskFull, HotplugStorm, PausedCheckpoint, PoweroffMeetsSuspend,
        ReceiverDiesAfter, ReceiverDiesBefore, ReceiverDiesDuring, RepeatedRequest, SenderKilled,
        SlowStore, TwoSaves, WatchStorm, WithdrawnRequest,
    };
    let one = |name: &str, faults: &[Fault], then: &[Action]| {
        let mut actions = vec![Create];
        actions.extend(faults.iter().map(|&fault| Action::Fault(fault)));
        actions.extend_from_slice(then);
        let mut test = LabTest::new(Arch::X86_64, "", actions);
        test.name = name.to_owned();
        test
    };
    let mut tests = vec![
        one(
            "lab/faults/receiver-dies",
            &[ReceiverDiesBefore, ReceiverDiesDuring, ReceiverDiesAfter],
            &[Migrate, Poweroff],
        ),
        one(
            "long/faults/disk-full",
            &[DiskFull],
            &[Save, Restore, Poweroff],
        ),
        one(
            "long/faults/sender-killed",
            &[SenderKilled],
            &[Migrate, Ping, Poweroff],
        ),
        one(
            "long/faults/twenty-checkpoints",
            &[Checkpoints(20), PausedCheckpoint],
            &[Migrate, Poweroff],
        ),
        one(
            "long/faults/requests",
            &[
                RepeatedRequest,
                WithdrawnRequest,
                WatchStorm,
                SlowStore,
                TwoSaves,
            ],
            &[Migrate, Ping, Poweroff],
        ),
        one(
            "long/faults/poweroff-meets-suspend",
            &[PoweroffMeetsSuspend],
            &[],
        ),
    ];
    let mut storm = one(
        "long/faults/vcpu-set-storm",
        &[HotplugStorm(200, 1), HotplugStorm(200, 2)],
        &[VcpuSet(3), Save, Restore, VcpuSet(8), Migrate, Poweroff],
    )
    .vcpus(8, 32);
    storm.config.cmdline = "burst=4".into();
    tests.push(storm);
    tests
}

/// From host to host by `xl`.
fn hosts() -> [LabTest; 4] {
    use Action::{
        Across, Carry, Create, Migrate, Ping, Poweroff, RefusedAcross, Restore, Save, VcpuSet,
    };
    let same = [Xen::Debian12, Xen::Debian12];
    let newer = [Xen::Debian12, Xen::Debian13];
    let x = Arch::X86_64;
    [
        on(
            x,
            "lab/hosts/there-and-back",
            same,
            vec![Create, Across, Across, Save, Carry, Restore, Ping, Poweroff],
        ),
        on(
            x,
            "long/hosts/4.17-to-4.20",
            newer,
            vec![
                Create,
                Across,
                Ping,
                // Xen 4.17 refuses what 4.20 sends; the guest stays where it is.
                RefusedAcross(GROWN_RECORD),
                VcpuSet(2),
                Save,
                Restore,
                VcpuSet(4),
                Poweroff,
            ],
        ),
        on(
            x,
            "long/hosts/image-4.17-to-4.20",
            newer,
            vec![Create, Save, Carry, Restore, Ping, Migrate, Poweroff],
        ),
        on(
            x,
            "long/hosts/network-cut",
            same,
            vec![
                Create,
                Action::Fault(Fault::NetworkCut),
                Across,
                Ping,
                Poweroff,
            ],
        ),
    ]
}

/// From a host whose machine frames all lie below 3 GiB to one that gives them from above 16 GiB,
/// and back: the way back after a migration must not rely on what the host before had.
fn small_and_large(arch: Arch) -> LabTest {
    use Action::{Across, Checkpoint, Create, Ping, Poweroff, VcpuSet};
    let life = vec![
        Create,
        Across,
        VcpuSet(2),
        Checkpoint,
        Ping,
        Across,
        VcpuSet(4),
        Ping,
        Poweroff,
    ];
    let name = format!("long/hosts/pv-small-and-large-{}", arch.name());
    let mut test = on(arch, &name, [Xen::Pv32, Xen::Pv32], life);
    test.config.kind = Kind::Pv;
    let host = |mib| Hardware {
        mib,
        ..Hardware::default()
    };
    test.hardware = host(3072);
    test.peer = Some(Spec {
        xen: Xen::Pv32,
        hardware: host(20480),
    });
    test
}

/// PV to a newer host, and an image of the older one there: Xen looks at the page tables anew.
fn pv_to_newer() -> [LabTest; 2] {
    use Action::{Across, Carry, Create, Ping, Poweroff, Restore, Save, VcpuSet};
    let newer = [Xen::Debian12, Xen::Debian13];
    let then = [Ping, VcpuSet(2), Save, Restore, VcpuSet(4), Poweroff];
    let pv = |name: &str, moves: &[Action]| {
        let mut test = on(Arch::X86_64, name, newer, [moves, &then].concat());
        test.config.kind = Kind::Pv;
        test
    };
    [
        pv("long/hosts/pv-4.17-to-4.20", &[Create, Across]),
        pv(
            "long/hosts/pv-image-4.17-to-4.20",
            &[Create, Save, Carry, Restore],
        ),
    ]
}

/// Remus: a guest that is suspended again and again, until its backup takes over. What it dirties
/// meanwhile is sent each time.
fn remus() -> [LabTest; 3] {
    use Action::{Create, Migrate, Ping, Poweroff, Remus, Restore, Save};
    let life = || {
        vec![
            Create,
            Remus(25),
            Ping,
            Save,
            Restore,
            Migrate,
            Ping,
            Poweroff,
        ]
    };
    let quiet = |name: &str, mut test: LabTest| {
        test.name = name.to_owned();
        test.config.mem = 16;
        test.config.cmdline = "burst=1".into();
        // On a busy machine xl needs minutes for its first passes.
        test.limit = Duration::from_secs(240);
        test
    };
    let x = Arch::X86_64;
    let two = [Xen::Debian12, Xen::Debian12];
    [
        quiet("lab/remus/pvh", LabTest::new(x, "", life())),
        quiet(
            "long/remus/pv",
            LabTest::pv(x, Kind::Pv, Xen::Pv32, "", life()),
        ),
        on(x, "long/hosts/remus", two, life()),
    ]
}

/// A guest as Ganeti and xapi treat it.
fn other_toolstacks() -> [LabTest; 3] {
    use Action::{
        Advertised, Create, Ganeti, Migrate, Ping, Poweroff, Restore, Save, Xapi, XapiPoweroff,
    };
    let x = Arch::X86_64;
    let xapi = vec![Create, Advertised, Xapi, Save, Restore, Xapi, XapiPoweroff];
    let mut ganeti = LabTest::new(x, "", vec![Create, Ganeti, Ping, Migrate, Ping, Poweroff]);
    ganeti.name = "long/ganeti".to_owned();
    ganeti.xen = Xen::Debian12Toolstacks;
    let two = [Xen::Debian12Toolstacks, Xen::Debian12Toolstacks];
    let life = vec![Create, Ganeti, Ping, Ganeti, Ping, Poweroff];
    let mut tests = [
        LabTest::new(x, "xapi", xapi),
        ganeti,
        on(x, "long/hosts/ganeti", two, life),
    ];
    tests[1..].iter_mut().for_each(|test| test.fixed = true);
    tests
}

/// The other xenstored, with transactions that meet each other's writes, and one that is replaced
/// while it runs.
fn xenstoreds() -> [LabTest; 2] {
    use Action::{
        Checkpoint, Create, Migrate, Ping, Poweroff, Restore, Save, StoreUpdate, VcpuSet, Xapi,
    };
    let x = Arch::X86_64;
    let ocaml = vec![
        Create,
        Xapi,
        Action::Fault(Fault::WatchStorm),
        VcpuSet(2),
        Save,
        Restore,
        Xapi,
        Checkpoint,
        VcpuSet(4),
        Migrate,
        Ping,
        Poweroff,
    ];
    let update = vec![
        Create,
        StoreUpdate,
        VcpuSet(2),
        Save,
        Restore,
        StoreUpdate,
        Checkpoint,
        VcpuSet(4),
        Migrate,
        StoreUpdate,
        Ping,
        Poweroff,
    ];
    let mut tests = [LabTest::new(x, "", ocaml), LabTest::new(x, "", update)];
    let names = ["long/xenstored/ocaml", "long/xenstored/live-update"];
    for (test, name) in tests.iter_mut().zip(names) {
        test.name = name.to_owned();
        test.xen = Xen::Debian12Toolstacks;
        test.fixed = true;
    }
    tests[0].hardware.dom0_options = OXENSTORED;
    tests
}

/// A guest's life in the hands of libvirt, on one host and between two.
fn libvirt() -> [LabTest; 2] {
    use Virsh::{
        ManagedSave, Migrate, Pause, Reboot, Restore, Save, SetMem, SetVcpus, Shutdown, Sleeps,
        Start, StartSaved,
    };
    let by = |name: &str, commands: &[Virsh], hosts| {
        let mut life: Vec<Action> = commands.iter().map(|&c| Action::Virsh(c)).collect();
        life.insert(life.len() - 1, Action::Ping);
        let mut test = match hosts {
            1 => LabTest::new(Arch::X86_64, "", life),
            _ => on(Arch::X86_64, "", [Xen::Debian12Toolstacks; 2], life),
        };
        test.name = name.to_owned();
        test.xen = Xen::Debian12Toolstacks;
        test.fixed = true;
        // setvcpus takes no more than the host has.
        test.config.max_vcpus = 2;
        test.config.vcpus = 2;
        test
    };
    let one = [
        Start,
        SetVcpus(1),
        SetVcpus(2),
        SetMem(24),
        Save,
        Restore,
        ManagedSave,
        StartSaved,
        SetMem(32),
        Sleeps(20),
        Pause,
        Reboot,
        Sleeps(1),
        Shutdown,
    ];
    let two = [Start, Migrate, SetVcpus(1), Sleeps(2), Migrate, Shutdown];
    [
        by("long/libvirt", &one, 1),
        by("long/hosts/libvirt", &two, 2),
    ]
}

/// A PV guest between two hosts: its page tables are translated to the other host's frames on each
/// way. Debian's Xen cannot migrate it live.
fn pv() -> LabTest {
    use Action::{Across, Carry, Create, Ping, Poweroff, Restore, Save};
    let life = vec![Create, Across, Across, Save, Carry, Restore, Ping, Poweroff];
    let name = "long/hosts/pv-there-and-back";
    let mut test = on(Arch::X86_64, name, [Xen::Pv32, Xen::Pv32], life);
    test.config.kind = Kind::Pv;
    test
}
