//! The tests that need Xen: lifecycles, and controls, which switch off one step of the guest and
//! must see the failure that follows.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::outcome::Outcome;
use crate::build::kernel::Arch;
use crate::guest::config::{Config, Kind};
use crate::guest::standard;
use crate::host::machine::Spec;
use crate::host::qemu::{self, Hardware};
use crate::host::xen_build::{self, Xen};
use crate::life::check::GivenUp;
use crate::life::fault::Fault;
use crate::life::{main_job, pv_job_without_migration, Action, Step};
use crate::suite::two_hosts;

/// One test.
#[derive(Debug, Clone)]
pub struct LabTest {
    /// Its name.
    pub name: String,
    /// The guest's word size.
    pub arch: Arch,
    /// The hypervisor it runs on.
    pub xen: Xen,
    /// The host under it.
    pub hardware: Hardware,
    /// The second host, if it takes two.
    pub peer: Option<Spec>,
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
    /// The same in the last action, if that is another: of a control that must not see one, it is
    /// shorter.
    pub last_limit: Option<Duration>,
    /// Another kind of test than a life.
    pub other: Option<Other>,
    /// It is about its hypervisor: on another one it shows nothing.
    pub fixed: bool,
}

/// A test that is no list of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// [`crate::suite::differential`].
    Differential,
    /// [`crate::suite::agreement`].
    Agreement,
}

impl LabTest {
    /// The main job's guest, with another life.
    pub fn new(arch: Arch, name: &str, actions: Vec<Action>) -> Self {
        let (accel, _) = qemu::accel();
        Self {
            name: format!("lab/{}/{name}", arch.name()),
            arch,
            xen: xen_build::needed_xen(arch, accel).0,
            hardware: Hardware::default(),
            peer: None,
            switches: false,
            config: standard::pvh(arch),
            actions,
            expect: None,
            limit: standard::LIMIT,
            last_limit: None,
            other: None,
            fixed: false,
        }
    }

    /// A PV guest's, on this Xen.
    pub fn pv(arch: Arch, kind: Kind, xen: Xen, name: &str, actions: Vec<Action>) -> Self {
        let mut test = Self::new(arch, &format!("pv/{name}"), actions);
        test.config = standard::pv(arch, kind);
        test.xen = xen;
        test
    }

    /// With so many vCPUs and so many MiB.
    pub fn vcpus(mut self, vcpus: u32, mem: u32) -> Self {
        self.config.vcpus = vcpus;
        self.config.max_vcpus = vcpus;
        self.config.mem = mem;
        self
    }

    fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }

    /// Whether it switches a step off, and what follows is the point of it.
    pub fn is_control(&self) -> bool {
        self.name.contains("/control")
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

/// The actions themselves ask for the failure.
const NOTHING: &[&str] = &[];

/// What `xl restore` says of a pinned set whose turn comes too early.
pub const PIN: &str = "Failed to pin batch of pagetables";

/// The same for PV guests, whose page tables Xen looks at. Their actions ask for the failure and
/// for what Xen makes of it.
const PV_CONTROLS: &[Control] = {
    use Action::{
        Create, Occupy, Ping, Poweroff, Restore, RestoreFails, RestoreThenError, Save, SaveAnyway,
        SaveGivenUp, SaveRefused, SaveUndrained,
    };
    &[
        // The same guest as below, but drained.
        Control {
            word: "order=holder-first",
            actions: &[Create, Save, Restore, Poweroff],
            expect: NOTHING,
            archs: BOTH,
        },
        Control {
            word: "drain=off audit=off order=holder-first",
            actions: &[Create, SaveUndrained, RestoreFails(PIN)],
            expect: NOTHING,
            archs: BOTH,
        },
        // By luck of the order in which Xen pins.
        Control {
            word: "drain=off audit=off order=holder-last",
            actions: &[Create, SaveUndrained, Restore],
            expect: NOTHING,
            archs: BOTH,
        },
        // The audit finds them before it is too late.
        Control {
            word: "drain=off order=holder-first",
            actions: &[Create, SaveRefused(&["L2 page", "in no use"])],
            expect: NOTHING,
            archs: &[Arch::X86_64],
        },
        // One vCPU's cache is enough.
        Control {
            word: "drain=skip:1 audit=off order=holder-first",
            actions: &[Create, SaveUndrained, RestoreFails(PIN)],
            expect: NOTHING,
            archs: BOTH,
        },
        // Plain memory to Xen, full of machine frames of the old domain.
        Control {
            word: "drain=unpin-only audit=off",
            actions: &[Create, SaveAnyway(None), Occupy, RestoreThenError("pool")],
            expect: NOTHING,
            archs: BOTH,
        },
        // Any number in its place would be somebody's frame.
        Control {
            word: "plant=store-frame",
            actions: &[
                Create,
                SaveGivenUp(
                    GivenUp {
                        phase: "suspended",
                        party: "toolstack",
                    },
                    &["start_info has", "xenstore's ring"],
                ),
                Ping,
                Poweroff,
            ],
            expect: NOTHING,
            archs: BOTH,
        },
        Control {
            word: "plant=linear",
            actions: &[Create, SaveRefused(&["L2 page", "slot", "is linear"])],
            expect: NOTHING,
            archs: BOTH,
        },
        Control {
            word: "plant=linear audit=off order=holder-first",
            actions: &[Create, SaveAnyway(None), RestoreFails(PIN)],
            expect: NOTHING,
            archs: &[Arch::X86_64],
        },
        Control {
            word: "plant=foreign",
            actions: &[Create, SaveRefused(&["L1 page", "slot", "not our memory"])],
            expect: NOTHING,
            archs: &[Arch::X86_64],
        },
        // The save drops the table without a word; the restored guest misses what it mapped.
        Control {
            word: "plant=foreign audit=off",
            actions: &[Create, SaveAnyway(None), Restore],
            expect: &["the guest says mismatch", "panicked"],
            archs: &[Arch::X86_64],
        },
        // Xen takes no such entry in the first place.
        Control {
            word: "plant=superpage",
            actions: &[Create, SaveAnyway(Some("plant")), Restore],
            expect: NOTHING,
            archs: &[Arch::X86_64],
        },
    ]
};

const CONTROLS: &[Control] = {
    use Action::{
        Boot, Checkpoint, CheckpointUnread, Churn, Create, NmiOffline, Nmis, Ping, Restore,
        RestoreCrashes, RestoreThenError, RestoreThenVcpuSet, Save, SaveRefused, VcpuSet,
        VcpuSetUnheard,
    };
    &[
        // What the drain leaves, the audit finds; and without the audit the events still show it.
        Control {
            word: "drain=off",
            actions: &[
                Create,
                SaveRefused(&["is still a page table, and in no use"]),
            ],
            expect: NOTHING,
            archs: BOTH,
        },
        Control {
            word: "drain=skip:1",
            actions: &[
                Create,
                SaveRefused(&["is still a page table, and in no use"]),
            ],
            expect: NOTHING,
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
        // The watch is spent, and the one look at what it was about had no answer.
        Control {
            word: "store=once",
            actions: &[Create, VcpuSetUnheard(2)],
            expect: &["cpu-down of vCPU 2: nothing within"],
            archs: &[Arch::X86_64],
        },
        Control {
            // Setting a watch fires it once, which reads the values again: only without both is
            // nobody told.
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
            word: "console=wait",
            actions: &[Create, CheckpointUnread],
            expect: &["the suspend waited"],
            archs: &[Arch::X86_64],
        },
        // Refused for good: without the word size the domain cannot live on.
        Control {
            word: "fault=resume-for-good:1",
            actions: &[Create, Save, RestoreCrashes("the word size")],
            expect: NOTHING,
            archs: &[Arch::X86_64],
        },
        // Xen refuses the first call after the suspend call (the word size), and one of those for
        // event channels.
        Control {
            word: "fault=resume:1",
            actions: &[Create, Save, RestoreThenError("resume"), Ping, VcpuSet(2)],
            expect: NOTHING,
            archs: &[Arch::X86_64],
        },
        Control {
            word: "fault=resume:5",
            actions: &[Create, Save, RestoreThenError("resume"), Ping, VcpuSet(2)],
            expect: NOTHING,
            archs: &[Arch::X86_64],
        },
        Control {
            word: "nmi=lost",
            actions: &[Create, Nmis(1)],
            expect: &["exception 2 (NMI)"],
            archs: &[Arch::X86_64],
        },
        // The domain is gone with the first instruction of the vCPU, and Xen's tools start it
        // again.
        Control {
            word: "nmi=pending",
            actions: &[Create, VcpuSet(3), Save, Restore, NmiOffline(3), VcpuSet(4)],
            expect: &["nothing within", "the clock went back"],
            archs: &[Arch::X86_64],
        },
        // Not left out, but wrong on purpose.
        Control {
            word: "timer=early",
            actions: &[Boot, Churn(1)],
            expect: &["before they were due"],
            archs: &[Arch::X86_64],
        },
        Control {
            word: "cancel=no-trick",
            actions: &[Create, Checkpoint],
            // It takes itself for a new domain, where nothing is bound yet, and cannot live on.
            expect: &["event channels: EVTCHNOP_bind_virq(vcpu 0): EEXIST"],
            archs: &[Arch::X86_64],
        },
    ]
};

/// All of them.
pub fn all() -> Vec<LabTest> {
    use Action::{
        Churn, Create, Drain, Halt, Migrate, Ping, Poweroff, Reboot, Restore, RestoreThenVcpuSet,
        Save, Unknown, VcpuSet, VcpuSetDuringCheckpoint,
    };
    let mut tests = Vec::new();
    for arch in [Arch::X86_64, Arch::I686] {
        tests.push(LabTest::new(arch, "main-job", main_job()));
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
        tests.push(baseline);
        if arch == Arch::X86_64 {
            let mut faults = LabTest::new(arch, "faults", faulty_life());
            faults.switches = true;
            tests.push(faults);
            tests.push(LabTest::new(
                arch,
                "requests",
                vec![Create, Unknown, Drain, Reboot, Ping, Halt],
            ));
            tests.push(LabTest::new(arch, "hotplug-storm", hotplug_storm()));
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
            test.expect = some(control.expect);
            test.limit = Duration::from_secs(30);
            test.last_limit = (control.expect == SILENCE).then_some(Duration::from_secs(12));
            tests.push(test);
        }
        if arch == Arch::X86_64 {
            // Here, because the first of them need the machine that the others have used.
            tests.extend(two_hosts::all());
        }
    }
    tests.extend(pv());
    // Those for one hypervisor side by side: one machine serves them all.
    tests.sort_by_key(|test| (test.xen as u8, test.hardware.mib, test.hardware.xen_options));
    tests
}

/// vCPUs that come and go for a while: nothing of them may be left behind, such as a piece of their
/// stacks.
fn hotplug_storm() -> Vec<Action> {
    use Action::{Create, Ping, Poweroff, Reboot, VcpuSet};
    let storm = Action::Fault(Fault::HotplugStorm(30, 280));
    vec![Create, storm, VcpuSet(2), Reboot, Ping, Poweroff]
}

/// What a control's life must show, unless its actions ask for it themselves.
fn some(words: &'static [&'static str]) -> Option<&'static [&'static str]> {
    (!words.is_empty()).then_some(words)
}

/// Those of PV guests.
fn pv() -> Vec<LabTest> {
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
            hotplug_storm(),
        ),
    ];
    for arch in [Arch::X86_64, Arch::I686] {
        for control in PV_CONTROLS.iter().filter(|c| c.archs.contains(&arch)) {
            let name = format!("control/{}", control.word.replace(' ', "+"));
            let life = control.actions.to_vec();
            let mut test = LabTest::pv(arch, Kind::Pv, Xen::Pv32, &name, life);
            test.switches = true;
            test.config.cmdline = format!("{} {}", test.config.cmdline, control.word);
            test.expect = some(control.expect);
            tests.push(test);
        }
    }
    for arch in [Arch::X86_64, Arch::I686] {
        let mut test = LabTest::pv(arch, Kind::Pv, Xen::Pv32, "faults", faulty_life());
        test.switches = true;
        tests.push(test);
    }
    tests.extend(large_host());
    tests.extend(short_of_memory());
    tests.extend(resume_faults());
    tests.extend(nmis());
    tests.extend(other_vcpus());
    tests.extend(below_maxmem());
    tests.extend(unheard());
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
    let story = PV_CONTROLS
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
    tests.push(shim());
    tests
}

/// More than the 16 GiB whose machine frames the header's table has for a 32-bit guest. Xen gives
/// the highest frames first.
const LARGE: Hardware = Hardware {
    mib: 20480,
    xen_options: "",
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

/// Memory that is short: not a frame is left, and the guest suspends and comes back all the same.
fn short_of_memory() -> Vec<LabTest> {
    use Action::{Create, Feed, Poweroff, Restore, Save, Starve};
    let life = || vec![Create, Starve(0), Save, Restore, Feed, Poweroff];
    let mut pv = LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, "", life());
    pv.name = "long/short-of-memory/x86_64/pv".to_owned();
    let mut tests = vec![LabTest::new(Arch::X86_64, "short-of-memory", life()), pv];
    tests.iter_mut().for_each(|test| test.switches = true);
    tests
}

/// A debug exception from nowhere, every hypercall of a suspend refused once on the way down and
/// back in the same domain, and then a save that nothing stops.
fn faulty_life() -> Vec<Action> {
    use Action::{Create, Faults, Poweroff, Restore, Save, Step};
    vec![Create, Step, Faults, Save, Restore, Poweroff]
}

/// NMIs from dom0: a hundred of them to a guest at work, then a storm through two suspends, and one
/// that waits for a vCPU to come that Xen knows no state of.
fn nmis() -> Vec<LabTest> {
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

/// vCPUs in other patterns and numbers than a prefix of those at boot, vCPUs that come and leave
/// late, and a processor without x2APIC.
fn other_vcpus() -> Vec<LabTest> {
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

/// Wishes that cannot be read in time, and what a toolstack reads of the guest before it asks for
/// anything.
fn unheard() -> Vec<LabTest> {
    use Action::{
        Advertised, CheckpointUnheard, CheckpointUnread, Create, Poweroff, Restore, Save,
        Unanswerable, VcpuSetUnheard,
    };
    let life = || {
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
    let mut pv = LabTest::pv(Arch::X86_64, Kind::Pv, Xen::Pv32, "", life());
    pv.name = "long/unheard/pv".into();
    vec![LabTest::new(Arch::X86_64, "unheard", life()), pv]
}

/// Memory that is less than it may become: the guest keeps to its target, and is saved and restored
/// with what it has.
fn below_maxmem() -> Vec<LabTest> {
    use Action::{
        CannotSuspend, Checkpoint, Create, MemSet, MemSetBelow, MemSetDuringMigrate, Migrate, Ping,
        Poweroff, Restore, RestoreFails, Save, SaveAnyway, SaveGivenUp, SaveRefused,
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
    // Without a balloon the save succeeds and nobody can restore what it wrote.
    let lost = || {
        vec![
            Create,
            MemSetBelow(20),
            SaveAnyway(None),
            RestoreFails("Failed to populate physmap"),
        ]
    };
    let mut controls = [
        LabTest::new(Arch::X86_64, "control/balloon=off", lost()),
        LabTest::pv(
            Arch::X86_64,
            Kind::Pv,
            Xen::Pv32,
            "control/balloon=off",
            lost(),
        ),
    ];
    for test in &mut controls {
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
    let mut tests = vec![
        LabTest::new(Arch::X86_64, "memory-below-maxmem", life()),
        pv(Arch::X86_64),
        pv(Arch::I686),
        long,
    ];
    tests.extend(controls);
    tests.push(away);
    for test in &mut tests {
        test.config.extra = "maxmem = 96\n".into();
    }
    // Far more than the kernel can use.
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
    tests.extend(far);
    // Frames go and come that have been sent, or have not.
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
    ];
    // What a PVH guest is given meanwhile is not logged as written, and may be missing in the new
    // domain.
    moving[0].actions.truncate(4);
    moving[0].actions.push(Poweroff);
    for test in &mut moving {
        test.name = format!("long/memory-moves-in-migration/{}", test.config.kind.name());
        test.config.extra = "maxmem = 96\n".into();
    }
    tests.extend(moving);
    tests
}

/// Hypercalls that are refused after real restores: a save and a restore for each of them.
fn resume_faults() -> Vec<LabTest> {
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

fn passed(steps: &[Step]) -> String {
    // What Xen or the guest refused is what a reader wants to see.
    let refused = steps
        .iter()
        .rfind(|step| !step.xen.is_empty() || step.step.contains("refused"));
    match refused {
        Some(step) => format!("{} steps; {}: {}", steps.len(), step.step, step.checked),
        None => format!("{} steps", steps.len()),
    }
}

/// Whether a life went as it should.
pub fn judge(steps: &[Step], actions: usize, expect: Option<&[&str]>) -> Outcome {
    let bad = steps.iter().find(|step| !step.ok());
    match (bad, expect) {
        (None, None) if steps.len() == actions => Outcome::Passed(passed(steps)),
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
            ..Step::default()
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
        let text = include_str!("../../../../docs/guest-command-line.md");
        let table = text.split("In the `-test.elf`").nth(1).unwrap();
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
