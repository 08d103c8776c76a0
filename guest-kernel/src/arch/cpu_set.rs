//! Sets of vCPUs that any vCPU may change at any time.

use core::sync::atomic::{AtomicU32, Ordering};

/// vCPUs the guest can run: as many as Xen makes for a PVH guest (`HVM_MAX_VCPUS`,
/// `public/hvm/hvm_info_table.h`).
pub const MAX_CPUS: usize = 128;

const BITS: usize = u32::BITS as usize;

/// One bit for each vCPU there can be.
pub struct CpuSet([AtomicU32; MAX_CPUS.div_ceil(BITS)]);

impl CpuSet {
    /// None.
    pub const fn new() -> Self {
        CpuSet([const { AtomicU32::new(0) }; MAX_CPUS.div_ceil(BITS)])
    }

    /// vCPU `cpu` is in it from now on; what it wrote before is seen by whoever finds it there.
    pub fn add(&self, cpu: usize) {
        self.0[cpu / BITS].fetch_or(1 << (cpu % BITS), Ordering::AcqRel);
    }

    /// vCPU `cpu` is in it no more.
    pub fn remove(&self, cpu: usize) {
        self.0[cpu / BITS].fetch_and(!(1 << (cpu % BITS)), Ordering::AcqRel);
    }

    /// Nobody is in it any more.
    pub fn clear(&self) {
        let words = self.0.iter();
        words.for_each(|word| word.store(0, Ordering::Release));
    }

    /// Is vCPU `cpu` in it? None is that the kernel cannot run.
    pub fn contains(&self, cpu: usize) -> bool {
        self.0
            .get(cpu / BITS)
            .is_some_and(|word| word.load(Ordering::Acquire) >> (cpu % BITS) & 1 != 0)
    }

    /// Those in it, lowest first. A word of it is looked at when it is come to.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(index, word)| Members {
            first: index * BITS,
            left: word.load(Ordering::Acquire),
        })
    }
}

/// The rest of one word.
struct Members {
    first: usize,
    left: u32,
}

impl Iterator for Members {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        let bit = self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(self.first + bit)
    }
}
