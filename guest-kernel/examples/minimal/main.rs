//! A whole Xen guest kernel: PVH, x86_64, one vCPU. It keeps constructed page-table sets in a pool,
//! and is saved, restored, checkpointed and migrated. The rest is in the libraries: entry code and
//! hypercalls in `xen-bindings`, the order of a suspend in `migration`, xenstore, clock, console and
//! requests in `kernel-glue`, the caches and the proof that they are empty in `pagetable-pool`.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use core::time::Duration;

use kernel_glue::control::{crash, end};
use kernel_glue::flat::OneVcpu;
use kernel_glue::pvh::Guest;
use kernel_glue::sink::ConsoleLog;
use migration::Deadline;
use pagetable_pool::*;
use xen_bindings::flat::Flat;

/// Four L2 pages. The last one links all four, so that the kernel reaches a set's tables through it.
#[repr(C, align(4096))]
struct Set([[AtomicU64; 512]; 4]);

const NONE: usize = usize::MAX;
static SETS: [Set; 32] = [const { Set([const { [const { AtomicU64::new(0) }; 512] }; 4]) }; 32];
static CONSTRUCTED: [AtomicBool; 32] = [const { AtomicBool::new(false) }; 32];
static NEXT: [AtomicUsize; 32] = [const { AtomicUsize::new(NONE) }; 32];
static POOL: Pool<Sets, 1, 4> = Pool::new(Config::new().cpus::<1>().magazines::<4>(), Sets);
static LOG: ConsoleLog = ConsoleLog::new();

/// How a set is made and unmade. Under PV it would be pinned and unpinned here.
struct Sets;

impl Backend for Sets {
    type Set = usize;
    type Error = &'static str;
    const EMPTY: usize = NONE;

    fn construct(&self, out: &mut [usize]) -> Result<Spent, ConstructError<&'static str>> {
        for i in 0..out.len() {
            let free = CONSTRUCTED.iter().position(|c| !c.swap(true, Relaxed));
            let Some(free) = free else {
                let _ = self.destruct(&out[..i]);
                return Err(ConstructError::rolled_back("all sets are in use"));
            };
            let Set(pages) = &SETS[free];
            for entry in pages.as_flattened() {
                entry.store(0, Relaxed);
            }
            for (slot, page) in pages.iter().enumerate() {
                // Physical addresses are virtual ones here; present and writable.
                pages[3][508 + slot].store(page.as_ptr() as u64 | 3, Relaxed);
            }
            out[i] = free;
        }
        Ok(Spent::nothing())
    }

    fn destruct(&self, sets: &[usize]) -> Result<Spent, DestructError<&'static str>> {
        for &set in sets {
            CONSTRUCTED[set].store(false, Relaxed);
        }
        Ok(Spent::nothing())
    }

    fn set_next(&self, set: usize, next: Option<usize>) {
        NEXT[set].store(next.unwrap_or(NONE), Relaxed);
    }

    fn next(&self, set: usize) -> Option<usize> {
        Some(NEXT[set].load(Relaxed)).filter(|&next| next != NONE)
    }
}

#[allow(unsafe_code)]
fn here() -> CpuGuard {
    // SAFETY: this kernel has one vCPU, and never turns interrupts on.
    unsafe { CpuGuard::new(CpuId(0), Context::all()) }
}

/// The sets in use: address spaces. Each has its age in an entry, which maps nothing.
#[derive(Default)]
struct Kernel([Option<(Constructed<usize>, u64)>; 8]);

impl Kernel {
    /// One address space ends and another begins; all are read back.
    fn churn(&mut self, age: u64) {
        let place = &mut self.0[age as usize % 8];
        if let Some((old, _)) = place.take() {
            POOL.put(&here(), old).expect("the pool is open");
        }
        let new = POOL.get(&here()).expect("there are sets enough");
        SETS[new.set()].0[0][0].store(age << 12, Relaxed);
        *place = Some((new, age));
        for (set, age) in self.0.iter().flatten() {
            let pages = &SETS[set.set()].0;
            let window = pages[3][511].load(Relaxed);
            assert_eq!(pages[0][0].load(Relaxed), age << 12);
            assert_eq!(window, pages[3].as_ptr() as u64 | 3);
        }
    }
}

impl Guest for Kernel {
    type Error = &'static str;
    type Drained = Drained<'static>;

    fn drain(&mut self, _: Deadline) -> Result<Drained<'static>, &'static str> {
        let drained = POOL.drain(&here(), &mut Alone);
        let drained = drained.map_err(|_| "the pool cannot be drained")?;
        log::info!("drained {} sets", drained.taken_from(CpuId(0)));
        Ok(drained)
    }

    /// Xen reads no page table of a PVH guest's: what is constructed must be in use, and no more.
    fn audit(&mut self, drained: &Drained<'static>, _: Deadline) -> Result<(), &'static str> {
        let constructed = CONSTRUCTED.iter().filter(|c| c.load(Relaxed)).count();
        let cached = constructed - drained.in_use();
        (cached == 0).then_some(()).ok_or("a set is in no use")
    }
}

xen_bindings::flat_entry!(main);

fn main(flat: Flat) -> ! {
    let kernel = OneVcpu::boot(flat, &LOG, log::LevelFilter::Info);
    POOL.cpu_online(&here()).expect("CPU 0 was not online");
    let (mut control, mut guest) = (kernel.connect(), Kernel::default());
    let mut age = 0;
    loop {
        age += 1;
        guest.churn(age);
        log::info!("alive, {age} address spaces so far");
        if let Some(request) = control.turn(&mut guest, Duration::from_secs(1)) {
            end(kernel, request);
        }
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    crash(&LOG, info)
}
