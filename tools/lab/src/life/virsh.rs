//! The commands of libvirt that a guest is put through, as data.

/// A command of `virsh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Virsh {
    /// `define` and `start`.
    Start,
    /// `setvcpus`.
    SetVcpus(u64),
    /// `setmem` to so many MiB, until the guest has them.
    SetMem(u64),
    /// `save`: the domain is gone afterwards.
    Save,
    /// `restore` of that.
    Restore,
    /// `managedsave`: the domain is gone afterwards.
    ManagedSave,
    /// `start` of that.
    StartSaved,
    /// So many times `dompmsuspend` and `dompmwakeup`: a suspend without an image, which is
    /// cancelled.
    Sleeps(u64),
    /// `suspend` and `resume`: the domain is paused, which it cannot notice.
    Pause,
    /// `migrate` to the other of two hosts.
    Migrate,
    /// `reboot`.
    Reboot,
    /// `shutdown`: the domain is gone afterwards.
    Shutdown,
}

impl Virsh {
    /// As a person would write it.
    pub fn name(self) -> String {
        match self {
            Self::Start => "virsh define, virsh start".into(),
            Self::SetVcpus(n) => format!("virsh setvcpus {n}"),
            Self::SetMem(mib) => format!("virsh setmem {mib} MiB"),
            Self::Save => "virsh save".into(),
            Self::Restore => "virsh restore".into(),
            Self::ManagedSave => "virsh managedsave".into(),
            Self::StartSaved => "virsh start of that".into(),
            Self::Sleeps(n) => format!("{n} times virsh dompmsuspend, dompmwakeup"),
            Self::Pause => "virsh suspend, virsh resume".into(),
            Self::Migrate => "virsh migrate".into(),
            Self::Reboot => "virsh reboot".into(),
            Self::Shutdown => "virsh shutdown".into(),
        }
    }
}
