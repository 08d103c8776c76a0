//! What a soak has done and seen, as numbers.

use serde::Serialize;

use crate::guest::event::Event;
use crate::life::fault::Fault;
use crate::life::Action;

/// What was done and seen.
#[derive(Debug, Default, Serialize)]
pub struct Counts {
    pub lists: u64,
    pub actions: u64,
    pub saves: u64,
    pub restores: u64,
    pub checkpoints: u64,
    pub migrations: u64,
    /// Backups that took over.
    pub failovers: u64,
    pub faults: u64,
    pub suspends: u64,
    pub hotplugs: u64,
    pub sets_drained: u64,
    pub address_spaces_checked: u64,
    pub pattern_checks: u64,
    pub mismatches: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Lists whose guest the emulator broke.
    pub broken: u64,
    pub minutes: f64,
}

impl Counts {
    pub fn acted(&mut self, action: &Action) {
        self.actions += 1;
        let of = |n: &mut u64| *n += 1;
        match action {
            Action::Save => of(&mut self.saves),
            Action::Restore | Action::RestoreThenVcpuSet(_) => of(&mut self.restores),
            Action::Checkpoint | Action::VcpuSetDuringCheckpoint(_) => of(&mut self.checkpoints),
            Action::Migrate => of(&mut self.migrations),
            Action::Remus(checkpoints) => {
                self.checkpoints += checkpoints;
                of(&mut self.failovers);
            }
            Action::Fault(fault) => {
                self.faults += 1;
                if let Fault::Checkpoints(n) = fault {
                    self.checkpoints += n;
                }
            }
            _ => {}
        }
    }

    /// Adds those of one list.
    pub fn add(&mut self, other: &Self) {
        self.actions += other.actions;
        self.saves += other.saves;
        self.restores += other.restores;
        self.checkpoints += other.checkpoints;
        self.migrations += other.migrations;
        self.failovers += other.failovers;
        self.faults += other.faults;
        self.suspends += other.suspends;
        self.hotplugs += other.hotplugs;
        self.sets_drained += other.sets_drained;
        self.address_spaces_checked += other.address_spaces_checked;
        self.pattern_checks += other.pattern_checks;
        self.mismatches += other.mismatches;
    }

    /// Adds what one guest said in its life.
    pub fn heard(&mut self, events: &[Event]) {
        let mut checks = 0;
        for event in events {
            match event.ev.as_str() {
                "suspend" if event.text("phase") == Some("detached") => self.suspends += 1,
                "cpu-down" => self.hotplugs += 1,
                "cpu-up" if event.text("why") == Some("hotplug") => self.hotplugs += 1,
                "drain" => self.sets_drained += event.num("sets").unwrap_or(0),
                "verify" => {
                    let vcpus = event.nums("online").map_or(0, |online| online.len() as u64);
                    self.address_spaces_checked += event.num("spaces").unwrap_or(0) * vcpus;
                    self.pattern_checks += event.num("checks").unwrap_or(0);
                    self.mismatches += event.num("mismatches").unwrap_or(0);
                }
                "churn" => {
                    let now = event.num("checks").unwrap_or(0);
                    // A reboot begins anew.
                    self.pattern_checks += now.saturating_sub(checks);
                    checks = now;
                }
                "mismatch" => self.mismatches += 1,
                _ => {}
            }
        }
    }

    pub fn text(&self) -> String {
        format!(
            "{:.1} min: {} lists, {} actions: {} saves, {} restores, {} checkpoints, {} migrations, {} failovers, \
             {} faults, {} hotplugs;\n{} suspends, {} sets drained, {} address spaces read back, {} patterns checked: \
             {} mismatches\n{} lists failed, {} skipped, {} broken by the emulator",
            self.minutes,
            self.lists,
            self.actions,
            self.saves,
            self.restores,
            self.checkpoints,
            self.migrations,
            self.failovers,
            self.faults,
            self.hotplugs,
            self.suspends,
            self.sets_drained,
            self.address_spaces_checked,
            self.pattern_checks,
            self.mismatches,
            self.failed,
            self.skipped,
            self.broken,
        )
    }
}
