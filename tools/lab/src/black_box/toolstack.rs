//! Who does it: which commands of dom0 an action is, for each toolstack.

use std::fmt;

use super::action::Action;
use crate::host::xl::{Xl, RECEIVE};
use crate::life::libvirt::{forget, VIRSH};

/// Where images lie in dom0.
const SAVED: &str = "/lab/life.save";
const CHECKPOINT: &str = "/lab/life.check";
/// Where libvirt's form of the configuration lies.
const XML: &str = "/lab/life.xml";

/// What drives Xen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Toolstack {
    /// `xl`.
    #[default]
    Xl,
    /// libvirt, by `virsh`; its dom0 is built the first time it is asked for.
    Libvirt,
}

/// What an action is on a toolstack.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// What dom0 runs.
    pub script: String,
    /// As a person would call it.
    pub name: String,
    /// The image that it leaves.
    pub image: Option<&'static str>,
}

/// This toolstack has nothing of the kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown(&'static str);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Toolstack {
    /// The commands for `action` on the guest `name`, whose configuration is `config`; `other` is
    /// what the other host is called.
    ///
    /// # Errors
    /// If this toolstack has no such command.
    pub fn command(
        self,
        action: &Action,
        name: &str,
        config: &str,
        other: &str,
    ) -> Result<Command, Unknown> {
        match self {
            Self::Xl => Ok(xl(action, name, config, other)),
            Self::Libvirt => libvirt(action, name, config, other),
        }
    }

    /// What removes the guest and what the life has left.
    pub fn clean_up(self, name: &str) -> String {
        let destroy = crate::host::xl::destroy_script(&[name, &format!("{name}--incoming")]);
        let files = "rm -f /lab/life.*";
        match self {
            Self::Xl => format!("{destroy}; {files}"),
            Self::Libvirt => format!("{}; {destroy}; {files}", forget(name)),
        }
    }
}

fn xl(action: &Action, name: &str, config: &str, other: &str) -> Command {
    let plain = |xl: Xl| (xl.to_string(), xl.to_string());
    let (script, title) = match action {
        Action::Create => plain(Xl::create(config)),
        Action::Save => (Xl::save(name, SAVED).to_string(), "xl save".into()),
        Action::Restore => (
            format!("{} && rm {SAVED}", Xl::restore(SAVED)),
            "xl restore".into(),
        ),
        Action::Checkpoint => (
            Xl::checkpoint(name, CHECKPOINT).to_string(),
            "xl save -c".into(),
        ),
        Action::Migrate => (
            Xl::migrate_into(name, RECEIVE).to_string(),
            "xl migrate".into(),
        ),
        Action::Across => (
            Xl::migrate_to(name, other).to_string(),
            format!("xl migrate to host {other}"),
        ),
        // It is more than a command: see `Life::remus`.
        Action::Remus(n) => (String::new(), format!("xl remus, {n} checkpoints")),
        Action::VcpuSet(n) => plain(Xl::vcpu_set(name, (*n).into())),
        Action::MemSet(mib) => plain(Xl::mem_set(name, (*mib).into())),
        Action::Nmi => plain(Xl::trigger(name, "nmi")),
        Action::Pause(seconds) => (
            format!(
                "{} && sleep {seconds} && {}",
                Xl::pause(name),
                Xl::unpause(name)
            ),
            format!("xl pause for {seconds} s"),
        ),
        Action::Reboot => plain(Xl::reboot(name)),
        Action::Shutdown => plain(Xl::shutdown(name)),
    };
    Command {
        script,
        name: title,
        image: match action {
            Action::Save => Some(SAVED),
            Action::Checkpoint => Some(CHECKPOINT),
            _ => None,
        },
    }
}

fn libvirt(action: &Action, name: &str, config: &str, other: &str) -> Result<Command, Unknown> {
    let virsh = |words: String| (format!("{VIRSH} {words}"), format!("virsh {words}"));
    let (script, title) = match action {
        Action::Create => (
            format!(
                "{VIRSH} domxml-from-native xen-xl {config} > {XML} && {VIRSH} define {XML} && {VIRSH} start {name}"
            ),
            "virsh define, virsh start".into(),
        ),
        Action::Save => virsh(format!("save {name} {SAVED}")),
        Action::Restore => (
            format!("{VIRSH} restore {SAVED} && rm {SAVED}"),
            "virsh restore".into(),
        ),
        Action::Checkpoint => (
            format!("{VIRSH} dompmsuspend {name} mem && {VIRSH} dompmwakeup {name}"),
            "virsh dompmsuspend, dompmwakeup".into(),
        ),
        Action::Across => virsh(format!("migrate --live {name} xen+tcp://{other}/system")),
        Action::VcpuSet(n) => virsh(format!("setvcpus {name} {n} --live")),
        Action::MemSet(mib) => virsh(format!("setmem {name} {mib}MiB --live")),
        Action::Pause(seconds) => (
            format!("{VIRSH} suspend {name} && sleep {seconds} && {VIRSH} resume {name}"),
            format!("virsh suspend for {seconds} s"),
        ),
        Action::Reboot => virsh(format!("reboot {name}")),
        Action::Shutdown => virsh(format!("shutdown {name}")),
        Action::Migrate => {
            return Err(Unknown(
                "libvirt does not migrate a domain to the host that it is on: across, with --hosts 2",
            ))
        }
        Action::Remus(_) => return Err(Unknown("libvirt has no Remus: --by xl")),
        Action::Nmi => {
            return Err(Unknown(
                "libvirt's driver for Xen sends no NMI: --by xl",
            ))
        }
    };
    Ok(Command {
        script,
        name: title,
        image: (*action == Action::Save).then_some(SAVED),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_toolstack_has_its_commands() {
        let save = |by: Toolstack| by.command(&Action::Save, "g", "/lab/g.cfg", "b").unwrap();
        assert_eq!(save(Toolstack::Xl).script, "xl save g /lab/life.save");
        assert_eq!(
            save(Toolstack::Libvirt).script,
            format!("{VIRSH} save g /lab/life.save")
        );
        for action in [Action::Migrate, Action::Remus(2), Action::Nmi] {
            assert!(Toolstack::Libvirt.command(&action, "g", "c", "b").is_err());
        }
    }

    #[test]
    fn an_image_is_named_by_the_action_that_leaves_one() {
        for by in [Toolstack::Xl, Toolstack::Libvirt] {
            let image = |action| by.command(&action, "g", "c", "b").unwrap().image;
            assert_eq!(image(Action::Save), Some(SAVED));
            assert_eq!(image(Action::Create), None);
        }
    }
}
