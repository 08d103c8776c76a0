//! From the first instruction in Rust to the loop.

use crate::arch::{self, cpu};
use crate::memory::frames;
use crate::report::{self, Party};
use crate::{cmdline, console, control, events, pool, smp, time, xen};

/// vCPU 0 arrives; `start_info` is the physical address of `hvm_start_info` (PVH).
pub fn first(start_info: u64) -> ! {
    set_up(start_info);
    smp::run(0)
}

/// What is to be done once. Not part of [`first`], which never returns: what the toolstack told takes 5 KiB of the stack.
#[inline(never)]
fn set_up(start_info: u64) {
    arch::set_up_traps();
    let boot = match arch::read_start_info(start_info) {
        Ok(boot) => boot,
        // Nothing works yet that could say more: Xen's log shows the vCPU halted at its entry.
        Err(_) => cpu::stop(),
    };
    let options = cmdline::parse(boot.command_line());
    frames::take_over(&boot.memory);
    arch::enter();

    if let Err(error) = xen::connect() {
        panic!("cannot connect to Xen: {error}");
    }
    time::thaw();
    report::start_log(options.log);
    events::forget();
    if let Err(error) = xen::set_upcall_vector(0)
        .and_then(|()| events::bind_cpu(0))
        .and_then(|()| console::connect())
    {
        panic!("cannot set up events: {error}");
    }
    report_boot(&boot);
    cpu::enable_interrupts();
    pool::apply_switches();
    control::start();
}

/// Another vCPU arrives, from the entry code.
pub fn secondary(me: usize) -> ! {
    arch::enter_secondary();
    smp::run(me)
}

fn report_boot(boot: &arch::start_info::BootInfo) {
    report::event("boot")
        .text("build", if cfg!(feature = "switches") { "test" } else { "plain" })
        .text("arch", if cfg!(target_arch = "x86_64") { "x86_64" } else { "i686" })
        .text("mode", if arch::is_pv() { "pv" } else { "pvh" })
        .text("xen", xen::version())
        .num("domid", u64::from(xen::domid()))
        .num("max_vcpus", xen::max_vcpus() as u64)
        .num("mem_kib", boot.memory.kib())
        .text("cmdline", boot.command_line())
        .words("switches", cmdline::options().switches.words())
        .send();
    cmdline::report_unknown(boot.command_line());
    if boot.memory.dropped > 0 {
        report::error(
            Party::Toolstack,
            "memory map",
            format_args!(
                "{} RAM ranges more than the kernel keeps are not used",
                boot.memory.dropped
            ),
        );
    }
    let (_, managed) = frames::counts();
    log::info!("{} KiB of RAM, {managed} frames for use", boot.memory.kib());
}
