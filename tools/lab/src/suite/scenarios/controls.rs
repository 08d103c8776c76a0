//! Controls: each leaves out one step of the guest, and passes only if the failure that follows is
//! seen on Xen.

use crate::build::kernel::Arch;
use crate::life::check::GivenUp;
use crate::life::Action;

/// No answer came: the guest hangs, or did not hear.
pub const SILENCE: &[&str] = &["nothing within"];

/// A switch of `docs/guest-command-line.md`, a life that meets it, and what must be found.
pub struct Control {
    pub word: &'static str,
    pub actions: &'static [Action],
    pub expect: &'static [&'static str],
    /// Word sizes on which leaving the step out does harm.
    pub archs: &'static [Arch],
}

/// MiB of their guests: what is switched off has nothing to do with it, and each MiB is saved and
/// restored.
pub const MEM: u32 = 20;

const BOTH: &[Arch] = &Arch::ALL;

/// The actions themselves ask for the failure.
const NOTHING: &[&str] = &[];

/// What `xl restore` says of a pinned set whose turn comes too early.
pub const PIN: &str = "Failed to pin batch of pagetables";

/// The same for PV guests, whose page tables Xen looks at. Their actions ask for the failure and
/// for what Xen makes of it.
pub const PV_CONTROLS: &[Control] = {
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
                        phase: "detached",
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

pub const CONTROLS: &[Control] = {
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
            expect: &["the other vCPUs were taken for parked and did"],
            archs: &[Arch::X86_64],
        },
        Control {
            // Only a 32-bit guest has another layout than the one a restored domain starts with.
            word: "resume=no-latch",
            actions: &[Create, Save, Restore],
            expect: SILENCE,
            archs: &[Arch::I686],
        },
        Control {
            // The clock cannot go on, and says so, rather than read a hole for ever.
            word: "resume=no-shared-info",
            actions: &[Create, Save, RestoreCrashes("is not mapped")],
            expect: NOTHING,
            archs: &[Arch::X86_64],
        },
        Control {
            word: "resume=no-vector",
            actions: &[Create, Save, Restore],
            expect: SILENCE,
            archs: &[Arch::X86_64],
        },
        Control {
            word: "resume=no-evtchn",
            actions: &[Create, Save, Restore],
            expect: SILENCE,
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

/// What a control's life must show, unless its actions ask for it themselves.
pub fn some(words: &'static [&'static str]) -> Option<&'static [&'static str]> {
    (!words.is_empty()).then_some(words)
}
