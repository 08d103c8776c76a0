//! vCPUs in any pattern, other numbers of them than at boot, and vCPUs that come or leave too late.

use anyhow::Result;

use super::{Life, Step, XL};
use crate::host::labprobe;

/// How long a domain or a vCPU is kept from running, seconds: longer than the guest waits for a
/// vCPU (30 s).
const TOO_LONG: u64 = 31;

impl Life<'_> {
    /// Has exactly these vCPUs online.
    pub(super) fn online_exactly(&mut self, wanted: &[u64], step: &mut Step) -> Result<()> {
        let old = self.online.clone();
        self.want(wanted)?;
        self.hotplugged(&old, wanted, step)?;
        self.churn_on(step, 1)
    }

    /// `xl restore` of the image with another configuration. The vCPUs that were online come back,
    /// and then those come and go that the configuration asks for.
    pub(super) fn restore_as(&mut self, vcpus: u32, max: u32, step: &mut Step) -> Result<()> {
        let name = self.config.name.clone();
        (self.config.vcpus, self.config.max_vcpus) = (vcpus, max);
        let place = format!("/lab/{name}.new.cfg");
        self.machine
            .dom0
            .put(&place, self.config.text().as_bytes())?;
        self.xl(&format!(
            "xl restore {place} /lab/{name}.save && rm -f /lab/{name}.save"
        ))?;
        self.unwatched = false;
        let round = self.round;
        self.wait("resumed", |e| {
            e.ev == "resumed" && e.num("round") == Some(round)
        })?;
        let (old, new) = (
            self.online.clone(),
            (0..u64::from(vcpus)).collect::<Vec<_>>(),
        );
        self.hotplugged(&old, &new, step)?;
        self.churn_on(step, 1)
    }

    /// `xl vcpu-set`, and as soon as the last vCPU has gone the domain is paused for longer than
    /// the guest waits for one.
    pub(super) fn paused_in_take_down(&mut self, left: u64, step: &mut Step) -> Result<()> {
        let (name, id) = (self.config.name.clone(), self.domid()?);
        let (old, new) = (self.online.clone(), (0..left).collect::<Vec<_>>());
        let last = old.last().copied().unwrap_or(0);
        labprobe::put(&self.machine.dom0)?;
        self.xl(&format!(
            "{} catch {id} {last} {TOO_LONG} & caught=$!; xl vcpu-set --ignore-host {name} {left}; wait $caught",
            labprobe::PLACE
        ))?;
        self.hotplugged(&old, &new, step)?;
        self.churn_on(step, 1)
    }

    /// A vCPU that is kept from running is wanted online, or offline. The guest says that it cannot
    /// have it so; the vCPU must neither come nor go later on its own account; and as soon as it
    /// runs again the guest does what was wanted.
    pub(super) fn late(&mut self, vcpu: u64, online: bool, step: &mut Step) -> Result<()> {
        let id = self.domid()?;
        let probe = labprobe::PLACE;
        labprobe::put(&self.machine.dom0)?;
        let old = self.online.clone();
        let mut new = old.clone();
        new.retain(|&other| other != vcpu);
        if online {
            new.push(vcpu);
            new.sort_unstable();
        }
        self.xl(&format!("{probe} hold {id} {vcpu}"))?;
        self.want(&new)?;
        let place = if online { "cpu-up" } else { "cpu-down" };
        let error = self.wait("the error", |e| e.is("error", "where", place))?;
        let said = error.text("msg").unwrap_or_default().to_owned();
        // It is not counted on meanwhile, and stands in nobody's way.
        self.xl(&format!("{probe} release {id} {vcpu}"))?;
        self.hotplugged(&old, &new, step)?;
        self.churn_on(step, 1)?;
        step.checked.insert_str(0, &format!("{said}; "));
        Ok(())
    }

    /// Writes every vCPU's availability.
    fn want(&self, wanted: &[u64]) -> Result<()> {
        let id = self.domid()?;
        let nodes: String = (0..u64::from(self.config.max_vcpus))
            .map(|vcpu| {
                let is = if wanted.contains(&vcpu) {
                    "online"
                } else {
                    "offline"
                };
                format!(" /local/domain/{id}/cpu/{vcpu}/availability {is}")
            })
            .collect();
        self.machine
            .dom0
            .must(&format!("xenstore-write{nodes}"), XL)
            .map(drop)
    }
}
