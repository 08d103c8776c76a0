//! Actions as words, so that a list can be printed, given back and run again.

use crate::life::fault::Fault;
use crate::life::Action;

/// The word for an action; those only for two hosts have none.
pub fn word(action: &Action) -> Option<String> {
    let word = match *action {
        Action::Create => "create".into(),
        Action::Churn(n) => format!("churn={n}"),
        Action::VcpuSet(n) => format!("vcpu-set={n}"),
        Action::Save => "save".into(),
        Action::Restore => "restore".into(),
        Action::Checkpoint => "checkpoint".into(),
        Action::Migrate => "migrate".into(),
        Action::Ping => "ping".into(),
        Action::Drain => "drain".into(),
        Action::Unknown => "unknown-request".into(),
        Action::Reboot => "reboot".into(),
        Action::Poweroff => "poweroff".into(),
        Action::Halt => "halt".into(),
        Action::VcpuSetDuringCheckpoint(n) => format!("vcpu-set-during-checkpoint={n}"),
        Action::RestoreThenVcpuSet(n) => format!("restore-then-vcpu-set={n}"),
        Action::Nmis(n) => format!("nmis={n}"),
        Action::MemSet(mib) => format!("mem-set={mib}"),
        Action::Remus(checkpoints) => format!("remus={checkpoints}"),
        Action::Fault(fault) => match fault {
            Fault::ReceiverDiesBefore => "receiver-dies-before".into(),
            Fault::ReceiverDiesDuring => "receiver-dies-during".into(),
            Fault::ReceiverDiesAfter => "receiver-dies-after".into(),
            Fault::SenderKilled => "sender-killed".into(),
            Fault::DiskFull => "disk-full".into(),
            Fault::PausedCheckpoint => "paused-checkpoint".into(),
            Fault::Checkpoints(n) => format!("checkpoints={n}"),
            Fault::RepeatedRequest => "repeated-request".into(),
            Fault::WithdrawnRequest => "withdrawn-request".into(),
            Fault::WatchStorm => "watch-storm".into(),
            Fault::SlowStore => "slow-store".into(),
            Fault::HotplugStorm(n, seed) => format!("hotplug-storm={n}:{seed}"),
            Fault::PoweroffMeetsSuspend => "poweroff-meets-suspend".into(),
            Fault::TwoSaves => "two-saves".into(),
            Fault::NetworkCut => return None,
        },
        _ => return None,
    };
    Some(word)
}

/// The action for a word.
pub fn action(text: &str) -> Option<Action> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let number = || value.parse::<u64>().ok().filter(|&n| n <= 1000);
    let action = match name {
        "create" => Action::Create,
        "churn" => Action::Churn(usize::try_from(number()?).ok()?),
        "vcpu-set" => Action::VcpuSet(number()?),
        "save" => Action::Save,
        "restore" => Action::Restore,
        "checkpoint" => Action::Checkpoint,
        "migrate" => Action::Migrate,
        "ping" => Action::Ping,
        "drain" => Action::Drain,
        "unknown-request" => Action::Unknown,
        "reboot" => Action::Reboot,
        "poweroff" => Action::Poweroff,
        "halt" => Action::Halt,
        "vcpu-set-during-checkpoint" => Action::VcpuSetDuringCheckpoint(number()?),
        "restore-then-vcpu-set" => Action::RestoreThenVcpuSet(number()?),
        "nmis" => Action::Nmis(number()?),
        "mem-set" => Action::MemSet(number()?),
        "remus" => Action::Remus(number()?),
        "receiver-dies-before" => Action::Fault(Fault::ReceiverDiesBefore),
        "receiver-dies-during" => Action::Fault(Fault::ReceiverDiesDuring),
        "receiver-dies-after" => Action::Fault(Fault::ReceiverDiesAfter),
        "sender-killed" => Action::Fault(Fault::SenderKilled),
        "disk-full" => Action::Fault(Fault::DiskFull),
        "paused-checkpoint" => Action::Fault(Fault::PausedCheckpoint),
        "checkpoints" => Action::Fault(Fault::Checkpoints(number()?)),
        "repeated-request" => Action::Fault(Fault::RepeatedRequest),
        "withdrawn-request" => Action::Fault(Fault::WithdrawnRequest),
        "watch-storm" => Action::Fault(Fault::WatchStorm),
        "slow-store" => Action::Fault(Fault::SlowStore),
        "hotplug-storm" => {
            let (n, seed) = value.split_once(':')?;
            let n = n.parse().ok().filter(|&n| n <= 1000)?;
            Action::Fault(Fault::HotplugStorm(n, seed.parse().ok()?))
        }
        "poweroff-meets-suspend" => Action::Fault(Fault::PoweroffMeetsSuspend),
        "two-saves" => Action::Fault(Fault::TwoSaves),
        _ => return None,
    };
    // Nothing may follow a name that takes no value, nor be missing where one is needed.
    (word(&action)? == text).then_some(action)
}

/// A whole list.
pub fn words(actions: &[Action]) -> String {
    actions
        .iter()
        .filter_map(word)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_back_to_its_action() {
        for text in [
            "create",
            "churn=3",
            "vcpu-set=2",
            "save",
            "restore",
            "checkpoint",
            "migrate",
            "ping",
            "drain",
            "unknown-request",
            "reboot",
            "poweroff",
            "halt",
            "vcpu-set-during-checkpoint=2",
            "restore-then-vcpu-set=4",
            "receiver-dies-before",
            "receiver-dies-during",
            "receiver-dies-after",
            "sender-killed",
            "disk-full",
            "paused-checkpoint",
            "checkpoints=20",
            "repeated-request",
            "withdrawn-request",
            "watch-storm",
            "slow-store",
            "hotplug-storm=20:7",
            "poweroff-meets-suspend",
            "two-saves",
            "nmis=20",
            "mem-set=24",
            "remus=5",
        ] {
            let action = action(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(word(&action).as_deref(), Some(text));
        }
        for bad in [
            "",
            "save=1",
            "vcpu-set",
            "vcpu-set=",
            "vcpu-set=x",
            "vcpu-set=99999999999999999999",
            "vcpu-set=02",
            "hotplug-storm=1",
            "hotplug-storm=9999999:1",
            "dance",
        ] {
            assert_eq!(action(bad), None, "{bad}");
        }
    }
}
