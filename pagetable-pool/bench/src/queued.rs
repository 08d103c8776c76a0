//! A cache that its own CPU alone touches; a drain queues work on every CPU and waits until each
//! has done it, as Linux flushes its sheaves. There is no gate: a CPU may fill its cache again as
//! soon as it has done the work.
//!
//! A simulated CPU is a thread. One that works looks for work between two operations, where a real
//! one would be interrupted. One that is idle is parked, and is woken for it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::backend::Simulated;
use crate::design::{Design, Idle, Took};
use crate::flat::{construct, destruct, Flat, Out};
use crate::pairs::processor_time;

#[repr(align(128))]
struct Owned {
    cache: Flat,
    /// Work is queued here.
    queued: AtomicBool,
    /// The thread, if it is idle and has to be woken.
    sleeper: Mutex<Option<Thread>>,
    /// It sleeps, or is about to.
    asleep: AtomicBool,
    woken: AtomicU64,
    woken_ns: AtomicU64,
}

pub struct WorkOnEach<const CPUS: usize> {
    cpus: [Owned; CPUS],
    /// Work that somebody has still to do.
    outstanding: AtomicUsize,
    /// Sets that those who did it found.
    found: AtomicUsize,
    backend: Simulated,
}

impl<const CPUS: usize> WorkOnEach<CPUS> {
    pub const fn new() -> Self {
        WorkOnEach {
            cpus: [const {
                Owned {
                    cache: Flat::new(),
                    queued: AtomicBool::new(false),
                    sleeper: Mutex::new(None),
                    asleep: AtomicBool::new(false),
                    woken: AtomicU64::new(0),
                    woken_ns: AtomicU64::new(0),
                }
            }; CPUS],
            outstanding: AtomicUsize::new(0),
            found: AtomicUsize::new(0),
            backend: Simulated::new(),
        }
    }

    fn empty_own(&self, cpu: usize) -> usize {
        let mut out = Out::new(&self.backend);
        while let Some(set) = self.cpus[cpu].cache.pop() {
            out.add(set);
        }
        out.end()
    }

    /// Does what is queued on this CPU. The drainer sees everything that came before.
    fn do_work(&self, cpu: usize) {
        if self.cpus[cpu].queued.swap(false, Ordering::Acquire) {
            self.found.fetch_add(self.empty_own(cpu), Ordering::Relaxed);
            self.outstanding.fetch_sub(1, Ordering::Release);
        }
    }
}

impl<const CPUS: usize> Design for WorkOnEach<CPUS> {
    type Set = u32;

    fn backend(&self) -> &Simulated {
        &self.backend
    }

    #[inline(always)]
    fn get(&self, cpu: usize) -> Option<u32> {
        let set = self.cpus[cpu].cache.pop();
        Some(set.unwrap_or_else(|| construct(&self.backend)))
    }

    #[inline(always)]
    fn put(&self, cpu: usize, set: u32) {
        if !self.cpus[cpu].cache.push(set) {
            destruct(&self.backend, &[set]);
        }
    }

    fn between(&self, cpu: usize) {
        self.do_work(cpu);
    }

    fn drain(&self, me: usize, pause: Duration) -> Took {
        let began = Instant::now();
        self.found.store(0, Ordering::Relaxed);
        self.outstanding.store(CPUS - 1, Ordering::Relaxed);
        for (cpu, owned) in self.cpus.iter().enumerate().filter(|(cpu, _)| *cpu != me) {
            owned.queued.store(true, Ordering::Release);
            if let Some(thread) = &*self.sleeper(cpu) {
                thread.unpark();
            }
        }
        let mine = self.empty_own(me);
        while self.outstanding.load(Ordering::Acquire) > 0 {
            // There are fewer processors here than simulated CPUs.
            std::thread::yield_now();
        }
        let sets = mine + self.found.load(Ordering::Relaxed);
        Took::new(sets, began, pause, || {
            self.cpus.iter().map(|cpu| cpu.cache.len()).sum()
        })
    }

    const IDLE_MUST_BE_WOKEN: bool = true;

    /// Sleeps until work is queued, does it, and sleeps again, until `stop` and a wake-up.
    fn sleep(&self, cpu: usize, stop: &AtomicBool) {
        *self.sleeper(cpu) = Some(std::thread::current());
        let owned = &self.cpus[cpu];
        while !stop.load(Ordering::Acquire) {
            let began = processor_time();
            while !owned.queued.load(Ordering::Acquire) && !stop.load(Ordering::Acquire) {
                owned.asleep.store(true, Ordering::Release);
                std::thread::park();
            }
            owned.asleep.store(false, Ordering::Release);
            if owned.queued.load(Ordering::Relaxed) {
                self.do_work(cpu);
                owned.woken.fetch_add(1, Ordering::Relaxed);
                // From falling asleep on: that and waking up are in it, as they are in a kernel's.
                let took = processor_time() - began;
                owned.woken_ns.fetch_add(took, Ordering::Relaxed);
            }
        }
        *self.sleeper(cpu) = None;
    }

    fn sleeps(&self, cpu: usize) -> bool {
        self.cpus[cpu].asleep.load(Ordering::Acquire)
    }

    fn idle_paid(&self) -> Idle {
        Idle {
            wake_ups: self
                .cpus
                .iter()
                .map(|cpu| cpu.woken.load(Ordering::Relaxed))
                .sum(),
            ns: self
                .cpus
                .iter()
                .map(|cpu| cpu.woken_ns.load(Ordering::Relaxed))
                .sum(),
        }
    }
}

impl<const CPUS: usize> WorkOnEach<CPUS> {
    fn sleeper(&self, cpu: usize) -> std::sync::MutexGuard<'_, Option<Thread>> {
        self.cpus[cpu].sleeper.lock().expect("nobody panics")
    }
}
