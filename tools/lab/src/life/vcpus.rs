//! vCPUs in any pattern, other numbers of them than at boot, and vCPUs that come or leave too late.

use anyhow::Result;

use crate::host::labprobe;
use crate::host::xl::Xl;
use crate::life::state::Life;
use crate::life::timeline::Step;

/// How long a domain or a vCPU is kept from running, seconds: longer than the guest waits for a
/// vCPU (30 s).
const TOO_LONG: u64 = 31;

impl Life<'_> {
    pub(super) fn vcpu_set(&mut self, n: u64, step: &mut Step) -> Result<()> {
        let (old, new) = (self.online.clone(), (0..n).collect::<Vec<_>>());
        self.xl(&Xl::vcpu_set(&self.config.name, n))?;
        self.hotplugged(&old, &new, step)?;
        self.churn_on(step, 1)
    }

    /// `xl vcpu-set` while `xl save -c` is under way.
    pub(super) fn vcpu_set_during_checkpoint(&mut self, n: u64, step: &mut Step) -> Result<()> {
        let (old, new) = (self.online.clone(), (0..n).collect::<Vec<_>>());
        let (name, image) = (&self.config.name, self.file("check"));
        self.sh(&format!(
            "{} & save=$!; {}; wait $save && rm {image}",
            Xl::checkpoint(name, &image),
            Xl::vcpu_set(name, n)
        ))?;
        self.round += 1;
        self.suspended(step)?;
        self.resumed()?;
        self.unwatched = true;
        // Which of the two the guest takes first is its own choice; both must be done in the end.
        self.hotplugged(&old, &new, step)?;
        self.churn_on(step, 1)
    }

    /// `xl restore`, and `xl vcpu-set` before the guest runs again.
    pub(super) fn restore_then_vcpu_set(&mut self, n: u64, step: &mut Step) -> Result<()> {
        let (old, new) = (self.online.clone(), (0..n).collect::<Vec<_>>());
        let name = &self.config.name;
        self.sh(&format!(
            "{} && {} && {}",
            Xl::restore_paused(&self.file("save")),
            Xl::vcpu_set(name, n),
            Xl::unpause(name)
        ))?;
        self.resumed()?;
        self.hotplugged(&old, &new, step)?;
        self.churn_on(step, 1)
    }

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
        (self.config.vcpus, self.config.max_vcpus) = (vcpus, max);
        let (place, image) = (self.file("new.cfg"), self.file("save"));
        self.machine
            .dom0
            .put(&place, self.config.text().as_bytes())?;
        let restore = Xl::restore_as(&place, &image);
        self.sh(&format!("{restore} && rm -f {image}"))?;
        self.resumed()?;
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
        let id = self.domid()?;
        let (old, new) = (self.online.clone(), (0..left).collect::<Vec<_>>());
        let last = old.last().copied().unwrap_or(0);
        labprobe::put(&self.machine.dom0)?;
        self.sh(&format!(
            "{} catch {id} {last} {TOO_LONG} & caught=$!; {}; wait $caught",
            labprobe::PLACE,
            Xl::vcpu_set(&self.config.name, left)
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
        self.sh(&format!("{probe} hold {id} {vcpu}"))?;
        self.want(&new)?;
        let place = if online { "cpu-up" } else { "cpu-down" };
        let error = self.wait("the error", |e| e.is("error", "where", place))?;
        let said = error.text("msg").unwrap_or_default().to_owned();
        // It is not counted on meanwhile, and stands in nobody's way.
        self.sh(&format!("{probe} release {id} {vcpu}"))?;
        self.hotplugged(&old, &new, step)?;
        self.churn_on(step, 1)?;
        step.checked.insert_str(0, &format!("{said}; "));
        Ok(())
    }

    /// Writes every vCPU's availability.
    fn want(&self, wanted: &[u64]) -> Result<()> {
        let nodes = self.availability(&self.store()?, |vcpu| wanted.contains(&vcpu));
        self.sh(&format!("xenstore-write{nodes}"))
    }
}
