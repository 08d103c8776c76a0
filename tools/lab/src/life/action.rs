//! What can be done to a guest, as data.

use crate::guest::event::Event;
use crate::life::check::GivenUp;
use crate::life::fault::Fault;
use crate::life::virsh::Virsh;

/// Something done to a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `xl create`, until the guest is ready.
    Boot,
    /// The same, until churn runs on every vCPU.
    Create,
    /// `xl create` of a guest that cannot run here: it says so, with these words, and ends.
    BootFails(&'static str),
    /// Until this many more churn events came.
    Churn(usize),
    /// `xl vcpu-set`.
    VcpuSet(u64),
    /// `xl save`: the domain is gone afterwards.
    Save,
    /// `xl restore` of that.
    Restore,
    /// `xl save -c`: the domain goes on.
    Checkpoint,
    /// `xl migrate` to the same host.
    Migrate,
    /// A line to the console and a value in xenstore, both answered.
    Ping,
    /// The console's `drain` command.
    Drain,
    /// The console's `faults` command: suspends are rehearsed in which one hypercall after the
    /// other fails.
    Faults,
    /// `control/shutdown` with a word nobody knows.
    Unknown,
    /// `xl reboot`.
    Reboot,
    /// `xl shutdown`: the domain is gone afterwards.
    Poweroff,
    /// `control/shutdown` with `halt`: the domain is gone afterwards.
    Halt,
    /// `xl vcpu-set` while `xl save -c` is under way.
    VcpuSetDuringCheckpoint(u64),
    /// `xl restore`, and `xl vcpu-set` before the guest runs again.
    RestoreThenVcpuSet(u64),
    /// `xl save` of a guest that must refuse: its `suspend-failed` holds all these words, and it
    /// runs on.
    SaveRefused(&'static [&'static str]),
    /// The same, given up elsewhere, or by somebody else's fault.
    SaveGivenUp(GivenUp, &'static [&'static str]),
    /// `xl save` of a guest whose drain is switched off: `xl` must not notice, and the drain must
    /// be incomplete.
    SaveUndrained,
    /// `xl save` of a guest that it says nothing about, although something is wrong in it. With a
    /// place: an `error` event from there belongs to it.
    SaveAnyway(Option<&'static str>),
    /// `xl restore` of that: Xen must refuse, and `xl` must say this.
    RestoreFails(&'static str),
    /// `xl restore` succeeds, and then the guest meets an error of Xen's at this place.
    RestoreThenError(&'static str),
    /// Another domain, never run, takes the memory that the saved one had.
    Occupy,
    /// `xl migrate` to the same host, of which this Xen must say that it cannot; the guest runs on.
    MigrateRefused(&'static str),
    /// `xl migrate` to the other of two hosts.
    Across,
    /// The same, which the other host must refuse; words of its reason.
    RefusedAcross(&'static str),
    /// The saved image goes to the other host.
    Carry,
    /// Something that goes wrong.
    Fault(Fault),
    /// The console's `starve`: so many frames are left to be taken.
    Starve(u64),
    /// The console's `starve off`.
    Feed,
    /// The console's `step`: a debug exception that nobody asked for.
    Step,
    /// `xl save` and `xl restore` again and again; each time the next hypercall of the way back is
    /// refused once.
    ResumeFaults,
    /// `xl trigger nmi` for each online vCPU in turn, until so many have arrived.
    Nmis(u64),
    /// A storm of NMIs to every vCPU while these are done.
    UnderNmis(&'static [Action]),
    /// `xl trigger nmi` for a vCPU that is not online.
    NmiOffline(u64),
    /// The other words of `xl trigger`.
    Triggers,
    /// The console's `interrupt` and `machine-check`: vectors that nothing in the guest uses.
    Vectors,
    /// `cpu/*/availability` written so that exactly these vCPUs are wanted.
    Online(&'static [u64]),
    /// `xl restore` with another configuration: so many vCPUs online, and so many possible.
    RestoreAs(u32, u32),
    /// `xl vcpu-set`, in the middle of which the domain is paused for longer than the guest waits
    /// for a vCPU.
    PausedInTakeDown(u64),
    /// This vCPU is wanted online while it is kept from running.
    LateToCome(u64),
    /// This vCPU is wanted offline while it is kept from running.
    LateToLeave(u64),
    /// `xl mem-set` to so many MiB, until the guest has them.
    MemSet(u64),
    /// The same, to fewer than the guest can do with, or will: nobody waits until it has.
    MemSetBelow(u64),
    /// `xl mem-set` while `xl migrate` is under way, which may fail by it.
    MemSetDuringMigrate(u64),
    /// `xl remus` until so many checkpoints were taken; then the primary dies and the backup takes
    /// over.
    Remus(u64),
    /// `xl migrate` as Ganeti calls it.
    Ganeti,
    /// `control/feature-suspend` and others are 1.
    Advertised,
    /// Requests that are removed and written again in one transaction, as xapi does.
    Xapi,
    /// `poweroff`, asked for in that way: the domain is gone afterwards.
    XapiPoweroff,
    /// xenstored replaces itself by a new process while the guest is at work.
    StoreUpdate,
    /// A command of libvirt's.
    Virsh(Virsh),
    /// `xl vcpu-set`, which the guest cannot read in time: xenstored is stopped.
    VcpuSetUnheard(u64),
    /// `xl save -c`, whose request the guest cannot read in time: xenstored is stopped.
    CheckpointUnheard,
    /// `xl save -c` with the console's ring full: xenconsoled is stopped.
    CheckpointUnread,
    /// `xl restore` of a guest that cannot live on: it says so, with these words, and ends as
    /// crashed.
    RestoreCrashes(&'static str),
    /// A suspend is asked for in a node that the guest cannot write.
    Unanswerable,
    /// The guest says in xenstore why it cannot be suspended, or does not.
    CannotSuspend(bool),
    /// So many reports long nothing wakes a vCPU that has nothing to do.
    Idle(usize),
    /// `xl save -c` of a guest without churn.
    IdleCheckpoint,
    /// At least so many MiB are free in the guest, and, since it was last suspended, it has page
    /// tables at this MiB of its memory or above.
    UsesMemory(u64, u64),
    /// The guest says that it does not use so many KiB and vCPUs of the domain, on the console and
    /// in xenstore.
    Unused(u64, u64),
    /// dom0 has backends, a bridge and an empty disk for the guest that is to be made.
    Devices,
    /// The guest's service answers: ping, the one TCP connection that was opened first, the page
    /// about the guest; a record is kept, and all that ever were are there.
    Serves,
}

impl Action {
    /// As a person would write it.
    pub fn name(&self) -> String {
        match self {
            Self::Boot | Self::Create => "xl create".into(),
            Self::BootFails(_) => "xl create of a guest that says why it cannot run".into(),
            Self::Churn(n) => format!("churn, {n} more reports"),
            Self::VcpuSet(n) => format!("xl vcpu-set {n}"),
            Self::Save => "xl save".into(),
            Self::Restore => "xl restore".into(),
            Self::Checkpoint => "xl save -c".into(),
            Self::Migrate => "xl migrate".into(),
            Self::Ping => "ping by console and xenstore".into(),
            Self::Drain => "drain on request".into(),
            Self::Faults => "every hypercall of a suspend fails once".into(),
            Self::Unknown => "an unknown request".into(),
            Self::Reboot => "xl reboot".into(),
            Self::Poweroff => "xl shutdown".into(),
            Self::Halt => "halt".into(),
            Self::RestoreThenVcpuSet(n) => format!("xl restore, xl vcpu-set {n} before it runs"),
            Self::VcpuSetDuringCheckpoint(n) => format!("xl vcpu-set {n} during xl save -c"),
            Self::Across => "xl migrate to the other host".into(),
            Self::RefusedAcross(_) => "xl migrate, which is refused".into(),
            Self::Carry => "the image goes to the other host".into(),
            Self::Fault(fault) => fault.name(),
            Self::Starve(n) => format!("{n} frames are left"),
            Self::Feed => "all frames are there again".into(),
            Self::Step => "a debug exception from nowhere".into(),
            Self::ResumeFaults => "every hypercall after a restore fails once".into(),
            Self::Nmis(n) => format!("{n} times xl trigger nmi"),
            Self::UnderNmis(actions) => {
                let names: Vec<String> = actions.iter().map(Self::name).collect();
                format!("a storm of NMIs through {}", names.join(", "))
            }
            Self::NmiOffline(vcpu) => format!("xl trigger nmi for vCPU {vcpu}, which is offline"),
            Self::Triggers => "the other xl triggers".into(),
            Self::Vectors => "vectors that nobody uses".into(),
            Self::Online(vcpus) => format!("exactly vCPUs {vcpus:?}"),
            Self::RestoreAs(vcpus, max) => format!("xl restore with {vcpus} of {max} vCPUs"),
            Self::PausedInTakeDown(n) => format!("xl vcpu-set {n}, paused in the middle"),
            Self::LateToCome(vcpu) => format!("vCPU {vcpu} comes late"),
            Self::LateToLeave(vcpu) => format!("vCPU {vcpu} leaves late"),
            Self::MemSet(mib) => format!("xl mem-set {mib}"),
            Self::MemSetDuringMigrate(mib) => format!("xl mem-set {mib} during xl migrate"),
            Self::MemSetBelow(mib) => format!("xl mem-set {mib}, which is too little"),
            Self::Remus(n) => format!("xl remus, {n} checkpoints, then the primary dies"),
            Self::Ganeti => "xl migrate through socat".into(),
            Self::Advertised => "what the guest advertises".into(),
            Self::Xapi => "requests in a transaction".into(),
            Self::StoreUpdate => "live update of xenstored".into(),
            Self::Virsh(command) => command.name(),
            Self::XapiPoweroff => "poweroff in a transaction".into(),
            Self::VcpuSetUnheard(n) => format!("xl vcpu-set {n} while xenstored is stopped"),
            Self::CheckpointUnheard => "xl save -c while xenstored is stopped".into(),
            Self::CheckpointUnread => "xl save -c while nobody reads the console".into(),
            Self::RestoreCrashes(_) => "xl restore of a guest that cannot live on".into(),
            Self::Unanswerable => "a request that cannot be answered".into(),
            Self::Idle(n) => format!("nothing to do, {n} reports long"),
            Self::IdleCheckpoint => "xl save -c of a guest with nothing to do".into(),
            Self::UsesMemory(mib, at) => format!("{mib} MiB are free, tables from {at} MiB on"),
            Self::Devices => "backends, a bridge and a disk in dom0".into(),
            Self::Serves => "ping, TCP, a page, and records".into(),
            Self::Unused(..) => "what is not used is said".into(),
            Self::CannotSuspend(true) => "xenstore says why it cannot be suspended".into(),
            Self::CannotSuspend(false) => "xenstore says nothing against a suspend".into(),
            Self::SaveRefused(_) | Self::SaveGivenUp(..) => "xl save, refused by the guest".into(),
            Self::SaveUndrained => "xl save, not drained".into(),
            Self::SaveAnyway(_) => "xl save, which cannot know better".into(),
            Self::RestoreFails(_) => "xl restore, refused by Xen".into(),
            Self::RestoreThenError(_) => "xl restore, and an error".into(),
            Self::Occupy => "another domain's xl create".into(),
            Self::MigrateRefused(_) => "xl migrate, refused by Xen".into(),
        }
    }

    /// Whether the hypervisor's own words belong to what is to be seen.
    pub(super) fn is_refused_by_xen(&self) -> bool {
        matches!(
            self,
            Self::RestoreFails(_) | Self::RestoreThenError(_) | Self::MigrateRefused(_)
        )
    }

    /// Whether an event that would otherwise be a finding belongs to the action.
    pub(super) fn expects(&self, event: &Event) -> bool {
        match self {
            Self::SaveRefused(_) | Self::SaveGivenUp(..) | Self::Unanswerable => {
                event.ev == "suspend-failed"
            }
            Self::BootFails(_) | Self::RestoreCrashes(_) => event.ev == "panic",
            Self::SaveAnyway(Some(place)) | Self::RestoreThenError(place) => {
                event.is("error", "where", place)
            }
            // What was refused and then granted, or not needed, is told as an error too.
            Self::Faults | Self::ResumeFaults => event.is("error", "party", "xen"),
            Self::Step => event.is("error", "where", "debug"),
            Self::Vectors => {
                event.is("error", "where", "interrupt")
                    || event.is("error", "where", "machine check")
            }
            Self::LateToCome(_) => event.is("error", "where", "cpu-up"),
            Self::LateToLeave(_) => event.is("error", "where", "cpu-down"),
            Self::VcpuSetUnheard(_) => event.is("error", "where", "cpu/*/availability"),
            Self::CheckpointUnheard => event.is("error", "where", "control/shutdown"),
            Self::UnderNmis(actions) => actions.iter().any(|action| action.expects(event)),
            _ => false,
        }
    }
}

/// The main job: what the demo shows and the suite checks, for each word size.
pub fn main_job() -> Vec<Action> {
    use Action::{Checkpoint, Create, Migrate, Ping, Poweroff, Restore, Save, VcpuSet};
    vec![
        Create,
        VcpuSet(2),
        VcpuSet(4),
        Save,
        Restore,
        Ping,
        Save,
        Restore,
        Ping,
        Checkpoint,
        Ping,
        Migrate,
        Ping,
        VcpuSet(3),
        VcpuSet(4),
        Poweroff,
    ]
}

/// What `xl migrate` says of a PV guest on a Xen without shadow paging, which alone could tell it
/// what a running guest writes.
pub const NO_LIVE_MIGRATION: &str = "Migration failed, failed to suspend at sender";

/// The life of a 64-bit PV guest on a Xen that cannot migrate it live.
pub fn pv_job_without_migration() -> Vec<Action> {
    let mut job = main_job();
    for action in &mut job {
        if *action == Action::Migrate {
            *action = Action::MigrateRefused(NO_LIVE_MIGRATION);
        }
    }
    job
}
