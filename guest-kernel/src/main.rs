//! A Xen guest kernel that is saved, restored and migrated while it keeps constructed page-table
//! pages in per-CPU caches.
//!
//! # Principles
//! - **It does one thing**: address spaces come and go on every vCPU, are checked word by word, and
//!   everything that the hypervisor does to the domain happens meanwhile.
//! - **Unsafe code lives in [`arch`]**, and nowhere else.
//! - **No threads, no heap.** A vCPU runs one loop; what others want of it are words that it reads
//!   there ([`vcpus::life`]).
//! - **Nothing waits for ever**, and nothing from outside makes it panic: an answer that does not
//!   come, a call that is refused, a word that makes no sense is an `error` event that names the
//!   party at fault.
//! - **It says what it does** in events that a program reads ([`xen::report`], `docs/events.md`), and in
//!   log lines for people.
#![no_std]
#![no_main]

mod arch;
mod cmdline;
mod control;
mod devices;
mod memory;
mod sets;
mod start;
mod switches;
mod vcpus;
mod workload;
mod xen;

xen_bindings::elf_note!(PHYS32_ENTRY, address "pvh_start - KERNEL_BASE");
// What classic PV takes in its place.
xen_bindings::elf_note!(ENTRY, address "pv_start");
xen_bindings::elf_note!(HYPERCALL_PAGE, address "hypercall_page");
xen_bindings::elf_note!(VIRT_BASE, number memory::layout::KERNEL_BASE);
xen_bindings::elf_note!(PADDR_OFFSET, number 0);
xen_bindings::elf_note!(XEN_VERSION, text "xen-3.0");
xen_bindings::elf_note!(LOADER, text "generic");
xen_bindings::elf_note!(PAE_MODE, text "yes");
xen_bindings::elf_note!(SUSPEND_CANCEL, number 1);

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    xen::report::panic(info);
    control::ending::crash()
}
