//! Does an action and checks it: who does what, and what every action must leave alone.

use std::time::Instant;

use anyhow::Result;

use crate::base::stop;
use crate::guest::event::Event;
use crate::host::hypervisor;
use crate::host::xl::Xl;
use crate::life::action::Action;
use crate::life::check::{self, GivenUp};
use crate::life::fault::Fault;
use crate::life::state::Life;
use crate::life::timeline::Step;
use crate::life::virsh::Virsh;

impl Life<'_> {
    /// Does one action and checks it.
    ///
    /// # Errors
    /// Only what ends the whole run: an interruption, a machine that is gone, a full disk. What the
    /// guest does wrong is a finding in the step.
    pub fn act(&mut self, action: &Action) -> Result<Step> {
        let name = action.name();
        self.began = Instant::now();
        self.timeline.add(&self.config.name, &name, "begins")?;
        let mut step = Step {
            step: name.clone(),
            ..Step::default()
        };
        let from = hypervisor::length(&self.machine.run);
        self.xen_log = (self.machine.run.clone(), from);
        if let Err(error) = self.perform(action, &mut step) {
            stop::check()?;
            self.first.check()?;
            step.findings.push(format!("{error:#}"));
        }
        let window = self.window();
        let unexpected: Vec<Event> = window
            .iter()
            .filter(|event| !action.expects(event))
            .cloned()
            .collect();
        step.findings.extend(check::alarms(&unexpected));
        // A domain that arrives by migration has a console log of its own, and the two are read
        // side by side: there is no order between their lines.
        if !matches!(
            action,
            Action::Migrate
                | Action::MemSetDuringMigrate(_)
                | Action::Across
                | Action::Reboot
                | Action::Fault(_)
                | Action::UnderNmis(_)
                | Action::Remus(_)
                | Action::Ganeti
                | Action::Virsh(Virsh::Migrate | Virsh::Reboot)
        ) {
            step.findings.extend(check::clocks(&window));
        }
        let broken = std::mem::take(&mut self.console.said().broken);
        step.findings.extend(
            broken
                .into_iter()
                .map(|line| format!("a broken event, {line}")),
        );
        if !step.ok() || action.is_refused_by_xen() {
            step.xen = hypervisor::said_since(&self.machine.run, from);
        }
        if !step.ok() {
            let broken = hypervisor::emulator_fault_since(&self.machine.run, self.born);
            step.findings
                .extend(broken.map(|broken| broken.to_string()));
        }
        step.secs = self.began.elapsed().as_secs_f64();
        self.mark += window.len();
        let result = if step.ok() {
            "ok".to_owned()
        } else {
            step.findings.join("; ")
        };
        self.timeline.add(&self.config.name, &name, &result)?;
        Ok(step)
    }

    fn perform(&mut self, action: &Action, step: &mut Step) -> Result<()> {
        match *action {
            Action::Boot => self.boot(step),
            Action::Create => {
                self.boot(step)?;
                self.churn_on(step, 1)
            }
            Action::BootFails(words) => self.boot_fails(step, words),
            Action::Churn(n) => self.churn_on(step, n),
            Action::VcpuSet(n) => self.vcpu_set(n, step),
            Action::Save => {
                self.save()?;
                self.suspended(step)
            }
            Action::SaveRefused(words) => self.save_refused(step, GivenUp::IN_AUDIT, words),
            Action::SaveGivenUp(given_up, words) => self.save_refused(step, given_up, words),
            Action::SaveUndrained => {
                self.save()?;
                self.undrained(step);
                Ok(())
            }
            Action::SaveAnyway(place) => self.save_anyway(step, place),
            Action::RestoreFails(words) => self.restore_fails(step, words),
            Action::RestoreThenError(place) => self.restore_then_error(step, place),
            Action::RestoreCrashes(words) => self.restore_crashes(step, words),
            Action::Occupy => self.occupy(),
            Action::MigrateRefused(words) => self.migrate_refused(step, words),
            Action::Restore => self.restore(step),
            Action::Checkpoint => self.save_and_go_on(step),
            Action::Migrate => self.migrate(step),
            Action::VcpuSetDuringCheckpoint(n) => self.vcpu_set_during_checkpoint(n, step),
            Action::RestoreThenVcpuSet(n) => self.restore_then_vcpu_set(n, step),
            Action::Across => self.migrate_across(step),
            Action::RefusedAcross(words) => self.refused_across(words, step),
            Action::Carry => self.carry(step),
            Action::Fault(fault) => self.suffer(fault, step),
            Action::Starve(left) => self.starve(left, step),
            Action::Feed => self.feed(step),
            Action::Step => self.step_once(step),
            Action::ResumeFaults => self.resume_faults(step),
            Action::Nmis(n) => self.nmis(n, step),
            Action::UnderNmis(actions) => self.under_nmis(actions, step),
            Action::NmiOffline(vcpu) => self.nmi_offline(vcpu, step),
            Action::Triggers => self.triggers(step),
            Action::Vectors => self.vectors(step),
            Action::Online(vcpus) => self.online_exactly(vcpus, step),
            Action::RestoreAs(vcpus, max) => self.restore_as(vcpus, max, step),
            Action::PausedInTakeDown(left) => self.paused_in_take_down(left, step),
            Action::LateToCome(vcpu) => self.late(vcpu, true, step),
            Action::LateToLeave(vcpu) => self.late(vcpu, false, step),
            Action::MemSet(mib) => self.mem_set(mib, step),
            Action::MemSetDuringMigrate(mib) => self.mem_set_during_migrate(mib, step),
            Action::MemSetBelow(mib) => self.xl(&Xl::mem_set(&self.config.name, mib)),
            Action::Remus(checkpoints) => self.remus(checkpoints, step),
            Action::Ganeti => self.ganeti(step),
            Action::Advertised => self.advertised(step),
            Action::Xapi => self.xapi(step),
            Action::XapiPoweroff => self.xapi_poweroff(step),
            Action::StoreUpdate => self.store_update(step),
            Action::Virsh(command) => self.by_libvirt(command, step),
            Action::VcpuSetUnheard(n) => self.vcpu_set_unheard(n, step),
            Action::CheckpointUnheard => self.checkpoint_unheard(step),
            Action::CheckpointUnread => self.checkpoint_unread(step),
            Action::Unanswerable => self.unanswerable(step),
            Action::Idle(n) => self.idle(n, step),
            Action::IdleCheckpoint => self.idle_checkpoint(step),
            Action::UsesMemory(mib, at) => self.uses_memory(mib, at, step),
            Action::Unused(kib, vcpus) => self.unused(kib, vcpus, step),
            Action::Devices => self.devices(),
            Action::Serves => self.serves(step),
            Action::CannotSuspend(cannot) => self.cannot_suspend(cannot, step),
            Action::Ping => self.ping(step),
            Action::Faults => self.faults(step),
            Action::Drain => self.drain(step),
            Action::Unknown => self.unknown(step),
            Action::Reboot => self.reboot(step),
            Action::Poweroff => self.power_off(step),
            Action::Halt => self.halt(step),
        }
    }

    fn suffer(&mut self, fault: Fault, step: &mut Step) -> Result<()> {
        match fault {
            Fault::ReceiverDiesBefore => self.receiver_dies_before(step),
            Fault::ReceiverDiesDuring => self.receiver_dies_during(step),
            Fault::ReceiverDiesAfter => self.receiver_dies_after(step),
            Fault::SenderKilled => self.sender_killed(step),
            Fault::NetworkCut => self.network_cut(step),
            Fault::DiskFull => self.disk_full(step),
            Fault::PausedCheckpoint => self.paused_checkpoint(step),
            Fault::Checkpoints(n) => self.checkpoints(n, step),
            Fault::TwoSaves => self.two_saves(step),
            Fault::RepeatedRequest => self.repeated_request(step),
            Fault::WithdrawnRequest => self.withdrawn_request(step),
            Fault::WatchStorm => self.watch_storm(step),
            Fault::SlowStore => self.slow_store(step),
            Fault::HotplugStorm(count, seed) => self.hotplug_storm(count, seed, step),
            Fault::PoweroffMeetsSuspend => self.poweroff_meets_suspend(step),
        }
    }

    /// A storm of them meanwhile: to every vCPU each few milliseconds, whatever the domain does.
    fn under_nmis(&mut self, actions: &[Action], step: &mut Step) -> Result<()> {
        let before = self.counted()?;
        let storm = self.begin_nmis()?;
        let mut result = Ok(());
        for action in actions {
            let mut part = Step::default();
            result = self.perform(action, &mut part);
            step.findings.append(&mut part.findings);
            if !part.drained.is_empty() {
                step.drained = part.drained;
            }
            if result.is_err() {
                break;
            }
        }
        let sent = self.end_nmis(&storm)?;
        result?;
        let after = self.counted()?;
        self.told(&before, &after, sent, step);
        self.churn_on(step, 1)
    }
}
