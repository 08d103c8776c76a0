//! A cache for each CPU behind a spin lock that a drainer may take from afar: what was proposed for
//! NetBSD in 2009 and for Linux as PWLOCKS in 2026. There is no gate: a CPU may fill its cache
//! again as soon as the drainer has let go of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::backend::Simulated;
use crate::design::{Design, Idle, Took};
use crate::flat::{construct, destruct, Flat, Out};

#[repr(align(128))]
struct Locked {
    taken: AtomicBool,
    cache: Flat,
}

impl Locked {
    #[inline(always)]
    fn with<R>(&self, work: impl FnOnce(&Flat) -> R) -> R {
        while self.taken.swap(true, Ordering::Acquire) {
            while self.taken.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        }
        let result = work(&self.cache);
        self.taken.store(false, Ordering::Release);
        result
    }
}

pub struct LockEach<const CPUS: usize> {
    cpus: [Locked; CPUS],
    backend: Simulated,
}

impl<const CPUS: usize> LockEach<CPUS> {
    pub const fn new() -> Self {
        LockEach {
            cpus: [const {
                Locked {
                    taken: AtomicBool::new(false),
                    cache: Flat::new(),
                }
            }; CPUS],
            backend: Simulated::new(),
        }
    }
}

impl<const CPUS: usize> Design for LockEach<CPUS> {
    type Set = u32;

    fn backend(&self) -> &Simulated {
        &self.backend
    }

    #[inline(always)]
    fn get(&self, cpu: usize) -> Option<u32> {
        let set = self.cpus[cpu].with(Flat::pop);
        Some(set.unwrap_or_else(|| construct(&self.backend)))
    }

    #[inline(always)]
    fn put(&self, cpu: usize, set: u32) {
        if !self.cpus[cpu].with(|cache| cache.push(set)) {
            destruct(&self.backend, &[set]);
        }
    }

    /// Takes what each CPU has under its lock, and destructs with no lock held.
    fn drain(&self, _: usize, pause: Duration) -> Took {
        let began = Instant::now();
        let mut out = Out::new(&self.backend);
        for cpu in &self.cpus {
            loop {
                let emptied = cpu.with(|cache| {
                    while out.room() > 0 {
                        match cache.pop() {
                            Some(set) => out.add(set),
                            None => return true,
                        }
                    }
                    false
                });
                if emptied {
                    break;
                }
                out.flush();
            }
        }
        let sets = out.end();
        Took::new(sets, began, pause, || {
            self.cpus.iter().map(|cpu| cpu.cache.len()).sum()
        })
    }

    /// Nobody's: an idle CPU's lock is as good as any.
    fn idle_paid(&self) -> Idle {
        Idle::default()
    }
}
