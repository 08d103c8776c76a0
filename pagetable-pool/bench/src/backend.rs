//! A backend whose calls cost what a hypercall costs.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use pagetable_pool::*;

pub const NO_SET: u32 = u32::MAX;
/// The most CPUs that are simulated.
pub const MAX_CPUS: usize = 4096;

/// Hands out numbers, and burns time for each call and each set.
pub struct Simulated {
    next: AtomicU32,
    links: [AtomicU32; 64],
    /// Nanoseconds that a call costs: a hypercall's way to Xen and back.
    pub call_ns: AtomicU32,
    /// Nanoseconds that each set of a batch costs: four pages pinned or unpinned.
    pub set_ns: AtomicU32,
}

impl Simulated {
    pub const fn new() -> Self {
        Simulated {
            next: AtomicU32::new(0),
            links: [const { AtomicU32::new(NO_SET) }; 64],
            call_ns: AtomicU32::new(0),
            set_ns: AtomicU32::new(0),
        }
    }

    fn burn(&self, sets: usize) {
        let ns =
            self.call_ns.load(Relaxed) as u128 + self.set_ns.load(Relaxed) as u128 * sets as u128;
        if ns > 0 {
            let began = Instant::now();
            while began.elapsed().as_nanos() < ns {
                std::hint::spin_loop();
            }
        }
    }
}

impl Backend for Simulated {
    type Set = u32;
    type Error = ();
    const EMPTY: u32 = NO_SET;

    fn construct(&self, out: &mut [u32]) -> Result<Spent, ConstructError<()>> {
        self.burn(out.len());
        for place in out.iter_mut() {
            *place = self.next.fetch_add(1, Relaxed) & 0xffff;
        }
        Ok(Spent::nothing().hypercalls(1))
    }

    fn destruct(&self, sets: &[u32]) -> Result<Spent, DestructError<()>> {
        self.burn(sets.len());
        Ok(Spent::nothing().hypercalls(1).tlb_flushes(1))
    }

    // No deferred frees here, so that nothing is ever linked; but the methods work for a few.
    fn set_next(&self, set: u32, next: Option<u32>) {
        self.links[set as usize % 64].store(next.unwrap_or(NO_SET), Relaxed);
    }

    fn next(&self, set: u32) -> Option<u32> {
        Some(self.links[set as usize % 64].load(Relaxed)).filter(|&next| next != NO_SET)
    }
}

/// Evidence for the simulated CPU `cpu`: one thread each.
#[inline(always)]
pub fn on(cpu: usize) -> CpuGuard {
    // SAFETY: every benchmark uses a CPU number from one thread at a time, and nothing interrupts
    // it with calls to the pool.
    unsafe { CpuGuard::new(CpuId(cpu), Context::all()) }
}

/// Waits by spinning, ten seconds at most.
pub struct Spin(pub Instant);

impl Wait for Spin {
    fn kick(&mut self, _: CpuId) {}
    fn relax(&mut self, _: CpuId) -> bool {
        std::hint::spin_loop();
        self.0.elapsed().as_secs() < 10
    }
    fn now_ns(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// As large a handle as a kernel may want: four frame numbers of 64 bits.
pub struct Wide;

impl Backend for Wide {
    type Set = [u64; 4];
    type Error = ();
    const EMPTY: [u64; 4] = [u64::MAX; 4];

    fn construct(&self, out: &mut [[u64; 4]]) -> Result<Spent, ConstructError<()>> {
        out.iter_mut()
            .enumerate()
            .for_each(|(i, place)| *place = [i as u64; 4]);
        Ok(Spent::default())
    }

    fn destruct(&self, _: &[[u64; 4]]) -> Result<Spent, DestructError<()>> {
        Ok(Spent::default())
    }

    // Nothing is deferred and nothing fails here, so nothing is ever linked.
    fn set_next(&self, _: [u64; 4], _: Option<[u64; 4]>) {
        unreachable!("no set is linked in this benchmark")
    }

    fn next(&self, _: [u64; 4]) -> Option<[u64; 4]> {
        unreachable!("no set is linked in this benchmark")
    }
}
