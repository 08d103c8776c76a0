//! The same work on each pool: take one, look at it, give it back.

use std::hint::black_box;
use std::sync::{Arc, Barrier, Mutex};

use pagetable_pool::*;

use crate::backend::{on, Simulated, Wide};

const CONFIG: Config<8, 64, 15> = Config::new().cpus::<8>().magazines::<64>();
static POOL: Pool<Simulated, 8, 64> = Pool::new(CONFIG, Simulated::new());

/// Warms CPU `cpu`'s cache and then does `pairs` hit pairs. This is what callgrind counts.
#[inline(never)]
pub fn ours(cpu: usize, pairs: u64) {
    for _ in 0..pairs {
        let set = POOL.get(&on(cpu)).expect("the gate is open");
        black_box(set.set());
        POOL.put(&on(cpu), set).expect("the gate is open");
    }
}

static WIDE: Pool<Wide, 8, 64> = Pool::new(CONFIG, Wide);

fn ours_wide(cpu: usize, pairs: u64) {
    for _ in 0..pairs {
        let set = WIDE.get(&on(cpu)).expect("the gate is open");
        black_box(set.set()[0]);
        WIDE.put(&on(cpu), set).expect("the gate is open");
    }
}

pub fn warm_ours(cpu: usize) {
    WIDE.cpu_online(&on(cpu)).expect("there are 8 CPUs");
    POOL.cpu_online(&on(cpu)).expect("there are 8 CPUs");
    ours(cpu, 10);
}

/// The calling thread's processor time, nanoseconds. Unlike the time of day it does not grow while
/// the machine does other work; a thread that sleeps for a lock is not charged for it, which
/// favours pools that make one sleep.
pub fn processor_time() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a timespec that the call may write.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "every Linux has this clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds of processor time for one pair on each of `threads` threads at once: the slowest
/// thread's, and the median of several runs: in the shortest the threads may not have met, if the
/// machine had other work.
pub fn measure(threads: usize, work: impl Fn(usize, u64) + Send + Sync + 'static) -> f64 {
    let work = Arc::new(work);
    let run = |pairs: u64| {
        let barrier = Arc::new(Barrier::new(threads));
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                let (work, barrier) = (work.clone(), barrier.clone());
                std::thread::spawn(move || {
                    work(thread, 100);
                    barrier.wait();
                    let began = processor_time();
                    work(thread, pairs);
                    processor_time() - began
                })
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().expect("a worker"))
            .max()
            .expect("one thread at least")
    };
    // As many pairs as take about 30 ms.
    let mut pairs = 1000;
    while run(pairs) < 30_000_000 {
        pairs *= 2;
    }
    let mut runs: Vec<_> = (0..9).map(|_| run(pairs) as f64 / pairs as f64).collect();
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

struct Allocator;
impl opool::PoolAllocator<u32> for Allocator {
    fn allocate(&self) -> u32 {
        0
    }
}

/// Nanoseconds of a pair at 1 thread, 2, and so on, by name. The first two are ours.
pub fn compare(threads: &[usize]) -> Vec<(&'static str, Vec<f64>)> {
    const STOCK: u32 = 64;
    (0..8).for_each(warm_ours);
    let mut rows: Vec<(&'static str, Vec<f64>)> = Vec::new();
    let mut row = |name, measure: &dyn Fn(usize) -> f64| {
        rows.push((name, threads.iter().map(|&n| measure(n)).collect()))
    };

    row("pagetable-pool", &|n| measure(n, ours));
    row("the same, handles of 32 bytes", &|n| measure(n, ours_wide));
    row("crossbeam-queue ArrayQueue", &|n| {
        let queue = crossbeam_queue::ArrayQueue::new(STOCK as usize);
        (0..STOCK).for_each(|set| queue.push(set).expect("there is room"));
        measure(n, move |_, pairs| {
            for _ in 0..pairs {
                let set = queue.pop().expect("there is stock");
                let _ = queue.push(black_box(set));
            }
        })
    });
    row("sharded-slab", &|n| {
        // A slab hands out keys: insert takes a slot, take gives it back.
        let slab = sharded_slab::Slab::new();
        measure(n, move |_, pairs| {
            for _ in 0..pairs {
                let key = slab.insert(0u32).expect("there is room");
                black_box(slab.take(black_box(key)));
            }
        })
    });
    row("lockfree-object-pool", &|n| {
        let pool = lockfree_object_pool::LinearObjectPool::new(|| 0u32, |_| ());
        measure(n, move |_, pairs| {
            for _ in 0..pairs {
                black_box(*pool.pull());
            }
        })
    });
    row("object-pool", &|n| {
        let pool = object_pool::Pool::new(STOCK as usize, || 0u32);
        measure(n, move |_, pairs| {
            for _ in 0..pairs {
                black_box(*pool.pull(|| 0));
            }
        })
    });
    row("opool", &|n| {
        let pool = opool::Pool::new_prefilled(STOCK as usize, Allocator);
        measure(n, move |_, pairs| {
            for _ in 0..pairs {
                black_box(*pool.get());
            }
        })
    });
    row("Mutex<Vec>", &|n| {
        let stock = Mutex::new((0..STOCK).collect::<Vec<_>>());
        measure(n, move |_, pairs| {
            for _ in 0..pairs {
                let set = stock
                    .lock()
                    .expect("nobody panics")
                    .pop()
                    .expect("there is stock");
                stock.lock().expect("nobody panics").push(black_box(set));
            }
        })
    });
    rows
}

/// Counts the instructions of a hit pair of `design`, as `--pairs` names it: runs this program
/// under callgrind with few pairs and with many.
pub fn instructions(design: &str) -> Result<f64, String> {
    let count = |pairs: u64| -> Result<u64, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let output = std::process::Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(program)
            .args(["--pairs", design, &pairs.to_string()])
            .output()
            .map_err(|error| format!("valgrind does not start: {error}"))?;
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text
            .lines()
            .find_map(|line| line.split("Collected : ").nth(1));
        let number = line.and_then(|number| number.trim().parse().ok());
        number.ok_or_else(|| {
            format!(
                "valgrind counted nothing: {}",
                text.lines().last().unwrap_or("no output")
            )
        })
    };
    let (few, many) = (1_000, 101_000);
    Ok((count(many)? - count(few)?) as f64 / (many - few) as f64)
}
