//! What can go wrong on purpose, as data.

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The receiver of a migration dies with 1 MiB received: the guest was not asked to suspend.
    ReceiverDiesBefore,
    /// It dies in the final pass: the guest is suspended.
    ReceiverDiesDuring,
    /// It dies with the whole guest received, before it is told to start it.
    ReceiverDiesAfter,
    /// The sender's `xl` is killed with 1 MiB sent.
    SenderKilled,
    /// The network between two hosts is cut in the final pass.
    NetworkCut,
    /// `xl save` to a disk that is too small.
    DiskFull,
    /// `xl save -p`, `xl unpause`.
    PausedCheckpoint,
    /// So many `xl save -c` in a row, one a second where the machine is quick enough.
    Checkpoints(u64),
    /// Two `xl save -c` at the same time.
    TwoSaves,
    /// The request to suspend is written three times before the guest reads it.
    RepeatedRequest,
    /// It is written and taken back before the guest reads it.
    WithdrawnRequest,
    /// Hundreds of watch events during an `xl save -c`.
    WatchStorm,
    /// An `xl save -c` with a xenstore that stops and goes on.
    SlowStore,
    /// So many `vcpu-set`s, random by this seed, none waited for.
    HotplugStorm(u64, u64),
    /// `poweroff` is asked for while the guest is suspended by `xl save -c`: the domain is gone
    /// afterwards.
    PoweroffMeetsSuspend,
}

impl Fault {
    /// As a person would write it.
    pub fn name(self) -> String {
        match self {
            Self::ReceiverDiesBefore => "the receiver dies before the final pass".into(),
            Self::ReceiverDiesDuring => "the receiver dies during the final pass".into(),
            Self::ReceiverDiesAfter => "the receiver dies after the final pass".into(),
            Self::SenderKilled => "the sender's xl is killed".into(),
            Self::NetworkCut => "the network is cut in the final pass".into(),
            Self::DiskFull => "xl save to a full disk".into(),
            Self::PausedCheckpoint => "xl save -p, xl unpause".into(),
            Self::Checkpoints(n) => format!("{n} times xl save -c"),
            Self::TwoSaves => "two xl save -c at once".into(),
            Self::RepeatedRequest => "suspend asked for three times".into(),
            Self::WithdrawnRequest => "suspend asked for and taken back".into(),
            Self::WatchStorm => "a storm of watches during xl save -c".into(),
            Self::SlowStore => "xl save -c with a stuttering xenstore".into(),
            Self::HotplugStorm(n, seed) => format!("{n} random vcpu-sets (seed {seed})"),
            Self::PoweroffMeetsSuspend => "poweroff during xl save -c".into(),
        }
    }
}
