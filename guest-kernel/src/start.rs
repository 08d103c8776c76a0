//! From the first instruction in Rust to the loop.

use xen_bindings::pvh;

use crate::arch;
use crate::arch::cpu::{self, CpuGuard};
use crate::cmdline;
use crate::control::{toolstack, unused};
use crate::sets::set::SetError;
use crate::sets::{frames, pool};
use crate::vcpus::life;
use crate::xen::report::{self, Party};
use crate::xen::{calls, console, events, ports, time};

arch::boot::entry_points!(first: first, secondary: secondary);

/// vCPU 0 arrives, with interrupts off.
fn first(off: CpuGuard) -> ! {
    set_up(off);
    life::run(0, CpuGuard::new(), toolstack::poll)
}

/// What is to be done once. Not part of [`first`], which never returns: what the toolstack told
/// takes 5 KiB of the stack.
#[inline(never)]
fn set_up(off: CpuGuard) {
    // First of all a way to say what is wrong, and to end: hypercalls, then the console, which a PV
    // guest has before anything else.
    if let Err(error) = calls::install() {
        without_xen(error);
    }
    arch::boot::set_up_traps(arch::traps::Handlers {
        upcall: events::upcall,
        #[cfg(feature = "switches")]
        nmi: crate::sets::nmi::use_pool,
    });
    let boot = match arch::boot::read_start_info() {
        Ok(boot) => boot,
        Err(error) => panic!("the start-up information: {error}"),
    };
    console::connect_early();
    let options = cmdline::parse(boot.command_line());
    if let Err(error) = arch::host::learn() {
        panic!("{error}");
    }
    let extent = match frames::take_over(&boot.memory, calls::possible_vcpus()) {
        Ok(extent) => extent,
        Err(error) => panic!("{error}"),
    };
    arch::boot::enter();

    if let Err(error) = calls::connect() {
        panic!("cannot connect to Xen: {error}");
    }
    if let Err(error) = time::thaw() {
        panic!("no clock: {error}");
    }
    report::start_log(options.log);
    events::forget();
    if let Err(error) = ports::choose()
        .and_then(|()| calls::set_upcall_vector(0))
        .and_then(|()| events::bind_cpu(0))
        .and_then(|()| console::connect())
    {
        panic!("cannot set up events: {error}");
    }
    report_boot(&boot);
    drop(off);
    pool::apply_switches();
    if let Err(error) = pool::try_one() {
        cannot_construct(error);
    }
    toolstack::start(extent, &boot.memory);
}

/// No constructed set can be had here, so there is nothing for this guest to do.
fn cannot_construct(error: SetError) -> ! {
    match error {
        // The window is a linear entry; Xen refuses them if told so, and where it was built so.
        SetError::Tables(error) if arch::is_pv() => panic!(
            "Xen takes no constructed page table: {error}. The kernel's windows are linear page tables: Xen must be built with \
             CONFIG_PV_LINEAR_PT and run without pv-linear-pt=false"
        ),
        error => panic!("no page table can be constructed: {error}"),
    }
}

/// Nothing can be asked of Xen, not even an end: there is only its debug port, which takes words
/// without being asked.
fn without_xen(error: pvh::InstallError) -> ! {
    console::seize();
    report::event("panic")
        .text("msg", error)
        .text("at", "start")
        .send();
    cpu::stop()
}

/// Another vCPU arrives, from the entry code.
fn secondary(me: usize, off: CpuGuard) -> ! {
    arch::boot::enter_secondary();
    life::run(me, off, || events::NEVER)
}

fn report_boot(boot: &arch::start_info::BootInfo) {
    let event = report::event("boot")
        .text(
            "build",
            if cfg!(feature = "switches") {
                "test"
            } else {
                "plain"
            },
        )
        .text(
            "arch",
            if cfg!(target_arch = "x86_64") {
                "x86_64"
            } else {
                "i686"
            },
        )
        .text("mode", if arch::is_pv() { "pv" } else { "pvh" })
        .text("xen", calls::version())
        .num("domid", u64::from(calls::domid()))
        .text("events", ports::kind())
        .num("max_vcpus", calls::max_vcpus() as u64)
        .num("mem_kib", boot.memory.kib())
        .text("cmdline", boot.command_line())
        .words("switches", cmdline::options().switches.words());
    match arch::host::highest_frames() {
        Some((highest, known)) => event
            .num("max_mfn", highest as u64)
            .num("m2p_end", known as u64),
        None => event,
    }
    .send();
    for (word, why) in cmdline::unknown(boot.command_line()) {
        report::error(
            Party::Toolstack,
            "command line",
            format_args!("`{word}`: {why}"),
        );
    }
    if cmdline::options().events == cmdline::Events::Fifo && ports::kind() != "fifo" {
        report::error(
            Party::Xen,
            "events",
            "it has no FIFO event channels: two-level ones are used",
        );
    }
    unused::say(&boot.memory);
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
