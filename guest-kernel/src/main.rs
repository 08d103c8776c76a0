#![no_std]
#![no_main]
#![allow(dead_code, missing_docs)]
mod arch;
mod cmdline;
mod memory;
mod paging;
mod report;
mod switches;
mod console { pub fn write(b: &[u8]) { crate::arch::early(b) } }
mod time { pub fn now() -> u64 { 0 } }
mod events { pub fn upcall(_c: usize) {} }
mod pool { use crate::arch::cpu::CpuGuard; use crate::paging::set::Set; pub fn take(_g:&CpuGuard)->Option<Set>{Set::construct().ok()} pub fn give(_g:&CpuGuard,s:Set){s.destruct()} }
mod smp { pub fn online() -> impl Iterator<Item=usize> { 0..1 } }
mod workload;
mod start {
  pub fn first(si: u64) -> ! {
    crate::arch::traps::build_table(); crate::arch::traps::load_table();
    crate::report::start_log(log::LevelFilter::Trace);
    log::info!("hello {si:#x}");
    let mut m = crate::memory::map::MemoryMap::new(); m.add_ram(0, 0x9f000); m.add_ram(0x100000, 63<<20);
    crate::memory::frames::take_over(&m);
    crate::arch::memory::enter_kernel_tables();
    log::info!("own tables; {:?} cpu {}", crate::memory::frames::counts(), crate::arch::cpu::id());
    crate::workload::churn::join(0);
    for _ in 0..1000 { crate::workload::churn::step(0); }
    log::info!("ops {} wrong {} {:?}", crate::workload::churn::counters(0).ops.load(core::sync::atomic::Ordering::Relaxed), crate::workload::churn::mismatches(), crate::workload::churn::verify(0));
    log::info!("{:?}", crate::memory::frames::counts());
    let p = crate::arch::memory::read_user(0x5000);
    panic!("{p}");
  }
  pub fn secondary(_v: usize) -> ! { loop {} }
}
xen_bindings::elf_note!(PHYS32_ENTRY, address "pvh_start - KERNEL_BASE");
#[panic_handler]
fn panic(i: &core::panic::PanicInfo) -> ! { log::error!("{i}"); arch::cpu::stop() }
