//! What is done with the guest.

use std::fmt;
use std::str::FromStr;

use crate::host::xl::{Xl, RECEIVE};

/// Where images lie in dom0.
const SAVED: &str = "/lab/life.save";
const CHECKPOINT: &str = "/lab/life.check";

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `xl create`.
    Create,
    /// `xl save`.
    Save,
    /// `xl restore` of that.
    Restore,
    /// `xl save -c`: the domain goes on.
    Checkpoint,
    /// `xl migrate` to the same host.
    Migrate,
    /// `xl vcpu-set`.
    VcpuSet(u32),
    /// `xl mem-set`, MiB.
    MemSet(u32),
    /// `xl trigger nmi`.
    Nmi,
    /// `xl pause`, and `xl unpause` so many seconds later.
    Pause(u32),
    /// `xl reboot`.
    Reboot,
    /// `xl shutdown`.
    Shutdown,
}

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
            "create" => Self::Create,
            "save" => Self::Save,
            "restore" => Self::Restore,
            "checkpoint" => Self::Checkpoint,
            "migrate" => Self::Migrate,
            "nmi" => Self::Nmi,
            "reboot" => Self::Reboot,
            "shutdown" => Self::Shutdown,
            _ => {
                return Err(format!(
                    "{word} is none of create, save, restore, checkpoint, migrate, vcpu-set=N, mem-set=MIB, nmi, \
                     pause=SECONDS, reboot, shutdown"
                ))
            }
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
            Self::Create => f.write_str("xl create"),
            Self::Save => f.write_str("xl save"),
            Self::Restore => f.write_str("xl restore"),
            Self::Checkpoint => f.write_str("xl save -c"),
            Self::Migrate => f.write_str("xl migrate"),
            Self::VcpuSet(n) => write!(f, "xl vcpu-set {n}"),
            Self::MemSet(mib) => write!(f, "xl mem-set {mib}"),
            Self::Nmi => f.write_str("xl trigger nmi"),
            Self::Pause(seconds) => write!(f, "xl pause for {seconds} s"),
            Self::Reboot => f.write_str("xl reboot"),
            Self::Shutdown => f.write_str("xl shutdown"),
        }
    }
}

impl Action {
    /// What dom0 runs for it.
    pub fn script(&self, name: &str, config: &str) -> String {
        let image = SAVED;
        match self {
            Self::Create => Xl::create(config),
            Self::Save => Xl::save(name, image),
            Self::Restore => return format!("{} && rm {image}", Xl::restore(image)),
            Self::Checkpoint => Xl::checkpoint(name, CHECKPOINT),
            Self::Migrate => Xl::migrate_into(name, RECEIVE),
            Self::VcpuSet(n) => Xl::vcpu_set(name, (*n).into()),
            Self::MemSet(mib) => Xl::mem_set(name, (*mib).into()),
            Self::Nmi => Xl::trigger(name, "nmi"),
            Self::Pause(seconds) => {
                let (pause, unpause) = (Xl::pause(name), Xl::unpause(name));
                return format!("{pause} && sleep {seconds} && {unpause}");
            }
            Self::Reboot => Xl::reboot(name),
            Self::Shutdown => Xl::shutdown(name),
        }
        .to_string()
    }

    /// Where the image is that it has made.
    pub fn image(&self) -> Option<&'static str> {
        match self {
            Self::Save => Some(SAVED),
            Self::Checkpoint => Some(CHECKPOINT),
            _ => None,
        }
    }

    /// Whether the domain is gone afterwards.
    pub fn ends_domain(&self) -> bool {
        matches!(self, Self::Save | Self::Shutdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read() {
        assert_eq!("save".parse(), Ok(Action::Save));
        assert_eq!("vcpu-set=3".parse(), Ok(Action::VcpuSet(3)));
        for bad in ["", "dance", "vcpu-set", "vcpu-set=x", "save=1", "pause="] {
            assert!(bad.parse::<Action>().is_err(), "{bad}");
        }
    }
}
