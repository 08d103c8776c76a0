//! What is done with the guest.

use std::fmt;
use std::str::FromStr;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is created.
    Create,
    /// Saved: the domain is gone afterwards.
    Save,
    /// Restored from that.
    Restore,
    /// Suspended and resumed in the same domain: a suspend that is cancelled.
    Checkpoint,
    /// Migrated to the same host.
    Migrate,
    /// Migrated to the other of two hosts.
    Across,
    /// So many checkpoints by Remus, then the primary dies; on two hosts the backup is the other.
    Remus(u32),
    /// So many vCPUs.
    VcpuSet(u32),
    /// So much memory, MiB.
    MemSet(u32),
    /// A non-maskable interrupt.
    Nmi,
    /// Paused for so many seconds.
    Pause(u32),
    /// Asked to reboot.
    Reboot,
    /// Asked to shut down.
    Shutdown,
}

/// The words for them, as `--actions` takes them.
pub const WORDS: &str =
    "create, save, restore, checkpoint, migrate, across, remus=CHECKPOINTS, vcpu-set=N, \
                         mem-set=MIB, nmi, pause=SECONDS, reboot, shutdown";

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, value) = match text.split_once('=') {
            Some((word, value)) => (word, Some(value)),
            None => (text, None),
        };
        let number = || -> Result<u32, String> {
            let value = value.ok_or(format!("{word} needs a number: {word}=2"))?;
            value.parse().map_err(|e| format!("{text}: {e}"))
        };
        let action = match word {
            "vcpu-set" => return number().map(Self::VcpuSet),
            "mem-set" => return number().map(Self::MemSet),
            "pause" => return number().map(Self::Pause),
            "remus" => return number().map(Self::Remus),
            "create" => Self::Create,
            "save" => Self::Save,
            "restore" => Self::Restore,
            "checkpoint" => Self::Checkpoint,
            "migrate" => Self::Migrate,
            "across" => Self::Across,
            "nmi" => Self::Nmi,
            "reboot" => Self::Reboot,
            "shutdown" => Self::Shutdown,
            _ => return Err(format!("{word} is none of {WORDS}")),
        };
        match value {
            None => Ok(action),
            Some(value) => Err(format!("{word} takes no value, and {value} was given")),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => f.write_str("create"),
            Self::Save => f.write_str("save"),
            Self::Restore => f.write_str("restore"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Migrate => f.write_str("migrate"),
            Self::Across => f.write_str("across"),
            Self::Remus(n) => write!(f, "remus={n}"),
            Self::VcpuSet(n) => write!(f, "vcpu-set={n}"),
            Self::MemSet(mib) => write!(f, "mem-set={mib}"),
            Self::Nmi => f.write_str("nmi"),
            Self::Pause(seconds) => write!(f, "pause={seconds}"),
            Self::Reboot => f.write_str("reboot"),
            Self::Shutdown => f.write_str("shutdown"),
        }
    }
}

impl Action {
    /// Whether the domain is gone afterwards.
    pub fn ends_domain(&self) -> bool {
        matches!(self, Self::Save | Self::Shutdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_and_written() {
        for text in WORDS.split(", ") {
            let text = text.split('=').next().unwrap();
            let text = match text.parse::<Action>() {
                Ok(_) => text.to_owned(),
                Err(_) => format!("{text}=3"),
            };
            let action: Action = text.parse().unwrap();
            assert_eq!(action.to_string(), text);
        }
        for bad in ["", "dance", "vcpu-set", "vcpu-set=x", "save=1", "pause="] {
            assert!(bad.parse::<Action>().is_err(), "{bad}");
        }
    }
}
