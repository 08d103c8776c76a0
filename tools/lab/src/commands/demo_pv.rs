//! `cargo lab demo --pv`: the story of this project. First a guest whose drain is switched off:
//! `xl save` is content, and nobody can ever restore the image. Then the same guest with its drain,
//! through its life.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::base::packages;
use crate::base::repo;
use crate::base::runs;
use crate::base::stop;
use crate::build::kernel::{self, Arch};
use crate::commands::demo::{finish, live};
use crate::guest::config::Kind;
use crate::guest::standard;
use crate::host::machine::Machine;
use crate::host::xen_build::Xen;
use crate::life::{Action, Life, Step, Timeline, NO_LIVE_MIGRATION};
use crate::suite::scenarios::controls;

/// Where the undrained sets are put: where Xen meets the window before the pages it points to. That
/// is chance, and one of four such sets is enough.
const ORDER: &str = "order=holder-first";

/// One act of it.
struct Act {
    arch: Arch,
    /// For the table.
    title: String,
    /// Words before it.
    says: &'static str,
    /// What the command line has besides.
    words: &'static str,
    /// The kernel with the switches.
    switches: bool,
    actions: Vec<Action>,
    /// Words after it, if it went as it should.
    so: &'static str,
}

fn acts(arch: Arch, can_migrate: bool) -> [Act; 2] {
    use Action::{
        Checkpoint, Create, Migrate, MigrateRefused, Ping, Poweroff, Restore, RestoreFails, Save,
        SaveUndrained, VcpuSet,
    };
    [
        Act {
            arch,
            title: format!("{} undrained", arch.name()),
            says: "The drain and the audit are switched off: sets stay in the caches, constructed and pinned.",
            words: "drain=off audit=off",
            switches: true,
            actions: vec![Create, SaveUndrained, RestoreFails(controls::PIN)],
            so: "xl save was content. The image can be restored by nobody.",
        },
        Act {
            arch,
            title: format!("{} drained", arch.name()),
            says: "The same kernel, and one CPU drains the caches of all before the suspend.",
            words: "",
            switches: false,
            actions: vec![
                Create,
                VcpuSet(2),
                VcpuSet(4),
                Save,
                Restore,
                Ping,
                Checkpoint,
                if can_migrate {
                    Migrate
                } else {
                    MigrateRefused(NO_LIVE_MIGRATION)
                },
                Ping,
                Poweroff,
            ],
            so: "Saved, restored, migrated; every address space was read back on every vCPU.",
        },
    ]
}

/// Runs it.
///
/// # Errors
/// If the lab cannot be set up. A guest that fails is in the table and in the exit status.
pub fn run(json: bool) -> Result<ExitCode> {
    packages::ensure(packages::LAB)?;
    kernel::ensure()?;
    let start = Instant::now();
    let run = runs::new("demo-pv")?;
    let (machine, can_migrate) = match Machine::boot(&run, false, Xen::Pv32Debug) {
        Err(why) if !stop::asked() => {
            eprintln!("Without Xen's source there is only the 64-bit guest, which Debian's Xen cannot migrate: {why:#}");
            (Machine::boot(&run, false, Xen::Debian12)?, false)
        }
        other => (other?, true),
    };
    let mut guests: Vec<(String, Vec<Step>)> = Vec::new();
    let mut wanted = 0;
    let archs: &[Arch] = if can_migrate {
        &[Arch::X86_64, Arch::I686]
    } else {
        &[Arch::X86_64]
    };
    for act in archs.iter().flat_map(|arch| acts(*arch, can_migrate)) {
        wanted += act.actions.len();
        // The guests of all acts have one name: each act keeps its logs in a folder of its own.
        let part: String = act
            .title
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let dir = run.join(format!("{}-{part}", guests.len() + 1));
        repo::make_dir(&dir)?;
        let steps = play(&machine, &Timeline::open(&dir)?, &act)?;
        repo::write(&dir.join("steps.json"), &serde_json::to_vec_pretty(&steps)?)?;
        let ok = steps.len() == act.actions.len() && steps.iter().all(Step::ok);
        guests.push((act.title, steps));
        if !ok {
            break;
        }
        eprintln!("  {}", act.so);
    }
    finish(
        &run,
        &guests,
        wanted,
        start,
        json,
        "the demo did not go as it should",
    )
}

fn play(machine: &Machine, timeline: &Timeline, act: &Act) -> Result<Vec<Step>> {
    let mut config = standard::pv(act.arch, Kind::Pv);
    config.cmdline = format!("{} {ORDER} {}", config.cmdline, act.words)
        .trim()
        .to_owned();
    let elf = act.arch.elf(act.switches);
    eprintln!(
        "\n{} as classic PV: {} vCPUs, {} MiB, churn on every vCPU\n  command line: {}\n  {}",
        repo::shown(&elf),
        config.vcpus,
        config.mem,
        config.cmdline,
        act.says
    );
    let mut life = Life::new(machine, timeline, config, elf, standard::LIMIT)?;
    let steps = live(&mut life, &act.actions)?;
    life.end()?;
    Ok(steps)
}
