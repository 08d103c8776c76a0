//! Between two hosts: live migration over ssh, and a saved image that is carried over.

use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::host::xl::Xl;
use crate::life::state::{Life, XL};
use crate::life::timeline::Step;

/// The longest a migration to another host may take. Encrypting a guest of 16 MiB on emulated
/// processors took 70 s where ten other programs wanted the machine's two cores.
pub(super) const MIGRATION: Duration = Duration::from_secs(600);

impl Life<'_> {
    /// `xl migrate` to the other host, as an administrator types it.
    pub(super) fn migrate_across(&mut self, step: &mut Step) -> Result<()> {
        let (from, to) = (self.host(), self.elsewhere()?);
        let migrate = Xl::migrate_to(&self.config.name, from.other().name());
        migrate.must(&self.machine.dom0, MIGRATION)?;
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
        let (from, to) = (self.host(), self.elsewhere()?);
        let before = to.dom0.must("xl dmesg | wc -l", XL)?;
        let migrate = Xl::migrate_to(&self.config.name, from.other().name());
        let out = self
            .machine
            .dom0
            .run(&format!("{migrate} 2>&1"), MIGRATION)?;
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
        self.cancelled(step)?;
        step.checked = format!("refused: {line}; {}", step.checked);
        Ok(())
    }

    /// Moves the saved image to the other host, where a restore will look for it.
    pub(super) fn carry(&mut self, step: &mut Step) -> Result<()> {
        let (from, to) = (self.host(), self.elsewhere()?);
        let file = self.file("save");
        let size = self.machine.dom0.must(&format!("wc -c < {file}"), XL)?;
        self.sh(&format!(
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
}
