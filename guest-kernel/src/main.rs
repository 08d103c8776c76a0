#![no_std]
#![no_main]
mod arch; mod audit; mod cmdline; mod console; mod control; mod events; mod memory; mod paging; mod pool; mod report; mod smp; mod start; mod store; mod suspend; mod switches; mod time; mod workload; mod xen;
xen_bindings::elf_note!(PHYS32_ENTRY, address "pvh_start - KERNEL_BASE");
#[panic_handler]
fn panic(i: &core::panic::PanicInfo) -> ! { log::error!("{i}"); xen::end(xen::End::Crash) }
