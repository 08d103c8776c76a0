//! Memory that the toolstack gives and takes while the guest runs.

use anyhow::Result;

use super::{Life, Step};

impl Life<'_> {
    /// `xl mem-set`, until the guest says that it has this much.
    pub(super) fn mem_set(&mut self, mib: u64, step: &mut Step) -> Result<()> {
        let name = self.config.name.clone();
        self.xl(&format!("xl mem-set {name} {mib}m"))?;
        let kib = mib * 1024;
        let event = self.wait(&format!("{mib} MiB"), |e| {
            e.is("balloon", "is", "reached") && e.num("target_kib") == Some(kib)
        })?;
        step.checked = format!(
            "{} KiB of {kib} KiB, {} frames away",
            event.num("kib").unwrap_or(0),
            event.num("away").unwrap_or(0)
        );
        self.churn_on(step, 1)
    }
}
