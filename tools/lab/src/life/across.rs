//! Between two hosts: live migration over ssh, and a saved image that is carried over.

use std::time::Duration;

use anyhow::{bail, Context, Result};

use super::{Life, Step, XL};
use crate::host::machine::Machine;
use crate::host::network::Host;

/// The longest a migration to another host may take. Encrypting a guest of 16 MiB on emulated
/// processors took 70 s where ten other programs wanted the machine's two cores.
pub(super) const MIGRATION: Duration = Duration::from_secs(600);

impl<'m> Life<'m> {
    /// Where the guest is.
    pub(super) fn host(&self) -> Host {
        if std::ptr::eq(self.machine, self.first) {
            Host::A
        } else {
            Host::B
        }
    }

    /// The host on which it is not.
    pub(super) fn elsewhere(&self) -> Result<&'m Machine> {
        match self.host() {
            Host::A => self.first.other(),
            Host::B => Ok(self.first),
        }
    }

    /// `xl migrate` to the other host, as an administrator types it.
    pub(super) fn migrate_across(&mut self, step: &mut Step) -> Result<()> {
        let (name, from, to) = (self.config.name.clone(), self.host(), self.elsewhere()?);
        let script = format!("xl migrate {name} {}", from.other().name());
        self.machine.dom0.must(&script, MIGRATION)?;
        self.round += 1;
        self.suspended(step)?;
        if self.exists()? {
            bail!("the domain is still on host {}", from.name());
        }
        self.machine = to;
        self.came_back(step, "restored")
    }

    /// A migration that the other host's Xen must refuse, with `words` in what is said; the guest
    /// goes on here.
    pub(super) fn refused_across(&mut self, words: &str, step: &mut Step) -> Result<()> {
        let (name, from, to) = (self.config.name.clone(), self.host(), self.elsewhere()?);
        let before = to.dom0.must("xl dmesg | wc -l", XL)?;
        let script = format!("xl migrate {name} {} 2>&1", from.other().name());
        let out = self.machine.dom0.run(&script, MIGRATION)?;
        if out.ok() {
            bail!("host {} took it", from.other().name());
        }
        let since = format!("xl dmesg | tail -n +{}", before.trim());
        let said = out.stdout + &to.dom0.must(&since, XL)?;
        let line = said
            .lines()
            .find(|line| line.contains(words))
            .with_context(|| format!("it was refused, but nobody says \"{words}\""))?
            .to_owned();
        self.round += 1;
        self.suspended(step)?;
        self.came_back(step, "cancelled")?;
        step.checked = format!("refused: {line}; {}", step.checked);
        Ok(())
    }

    /// Moves the saved image to the other host, where a restore will look for it.
    pub(super) fn carry(&mut self, step: &mut Step) -> Result<()> {
        let (name, from, to) = (self.config.name.clone(), self.host(), self.elsewhere()?);
        let file = format!("/lab/{name}.save");
        let size = self.machine.dom0.must(&format!("wc -c < {file}"), XL)?;
        self.xl(&format!(
            "ssh {} 'cat > {file}' < {file} && rm {file}",
            from.other().name()
        ))?;
        let arrived = to.dom0.must(&format!("wc -c < {file}"), XL)?;
        if size != arrived {
            bail!(
                "{} bytes were sent, {} arrived",
                size.trim(),
                arrived.trim()
            );
        }
        step.checked = format!("{} bytes", size.trim());
        self.machine = to;
        Ok(())
    }

    /// Follows the guest's console on the other host too, and prepares that host for it.
    pub(super) fn meet_peer(&mut self) -> Result<()> {
        let Some(peer) = self.first.peer.as_deref() else {
            return Ok(());
        };
        let name = &self.config.name;
        peer.dom0.run(
            &format!("xl destroy {name} 2>/dev/null; rm -f /lab/{name}.*"),
            XL,
        )?;
        self.console.also(&peer.dom0, name)
    }
}
