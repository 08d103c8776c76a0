//! A Xen guest kernel that is saved, restored and migrated while it keeps constructed page-table pages in
//! per-CPU caches.
//!
//! # Principles
//! - **It does one thing**: address spaces come and go on every vCPU, are checked word by word, and everything that the
//!   hypervisor does to the domain happens meanwhile.
//! - **Unsafe code lives in [`arch`]**, and nowhere else.
//! - **No threads, no heap.** A vCPU runs one loop; what others want of it are words that it reads there ([`smp`]).
//! - **Nothing waits for ever**, and nothing from outside makes it panic: an answer that does not come, a call that is
//!   refused, a word that makes no sense is an `error` event that names the party at fault.
//! - **It says what it does** in events that a program reads ([`report`], `docs/events.md`), and in log lines for people.
#![no_std]
#![no_main]

mod arch;
mod audit;
mod cmdline;
mod console;
mod control;
mod events;
mod memory;
mod paging;
mod pool;
mod report;
mod smp;
mod start;
mod store;
mod suspend;
mod switches;
mod time;
mod workload;
mod xen;

xen_bindings::elf_note!(PHYS32_ENTRY, address "pvh_start - KERNEL_BASE");

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    report::panic(info);
    xen::crash()
}
