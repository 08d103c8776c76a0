//! Sets of one page, of four, and of sixteen; magazines of one set, and of many.
#![cfg(not(any(loom, shuttle)))]

use std::sync::Mutex;

use pagetable_pool::*;

/// A set is the frames it consists of.
struct Frames<const N: usize> {
    free: Mutex<Vec<u32>>,
    links: Mutex<std::collections::HashMap<[u32; N], [u32; N]>>,
}

impl<const N: usize> Backend for Frames<N> {
    type Set = [u32; N];
    type Error = &'static str;
    const EMPTY: [u32; N] = [u32::MAX; N];

    fn construct(&self, out: &mut [[u32; N]]) -> Result<Spent, ConstructError<&'static str>> {
        let mut free = self.free.lock().unwrap();
        if free.len() < out.len() * N {
            return Err(ConstructError::rolled_back("no frames"));
        }
        out.iter_mut()
            .flatten()
            .for_each(|frame| *frame = free.pop().unwrap());
        Ok(Spent::nothing().hypercalls(1))
    }

    fn destruct(&self, sets: &[[u32; N]]) -> Result<Spent, DestructError<&'static str>> {
        self.free.lock().unwrap().extend(sets.iter().flatten());
        Ok(Spent::nothing().hypercalls(1).tlb_flushes(1))
    }

    fn set_next(&self, set: [u32; N], next: Option<[u32; N]>) {
        let mut links = self.links.lock().unwrap();
        match next {
            Some(next) => links.insert(set, next),
            None => links.remove(&set),
        };
    }

    fn next(&self, set: [u32; N]) -> Option<[u32; N]> {
        self.links.lock().unwrap().get(&set).copied()
    }
}

struct Never;
impl Wait for Never {
    fn kick(&mut self, _: CpuId) {}
    fn relax(&mut self, _: CpuId) -> bool {
        false
    }
}

fn life<const N: usize, const ROUNDS: usize>() {
    const FRAMES: usize = 2000;
    let config = Config::new()
        .cpus::<2>()
        .magazines::<3>()
        .rounds::<ROUNDS>()
        .construct_batch(ROUNDS.min(4));
    let backend = Frames::<N> {
        free: Mutex::new((0..FRAMES as u32).collect()),
        links: Mutex::default(),
    };
    let pool = Pool::new(config, backend);
    // SAFETY: this thread plays both CPUs, one call at a time.
    let on = |cpu| unsafe { CpuGuard::new(CpuId(cpu), Context::all()) };
    (0..2).for_each(|cpu| pool.cpu_online(&on(cpu)).unwrap());
    let sets: Vec<_> = (0..60).map(|_| pool.get(&on(0)).unwrap()).collect();
    let mut frames: Vec<_> = sets.iter().flat_map(|set| set.set()).collect();
    frames.sort_unstable();
    frames.dedup();
    assert_eq!(frames.len(), 60 * N, "every frame is in one set");
    for (i, set) in sets.into_iter().enumerate() {
        match i % 3 {
            0 => pool.put(&on(0), set).unwrap(),
            1 => pool.put(&on(1), set).unwrap(),
            _ => pool.put_deferred(&on(0), set).unwrap(),
        }
    }
    pool.validate(&on(1), true).unwrap();
    pool.idle_enter(&on(1)).unwrap();
    let drained = pool.drain(&on(0), &mut Never).unwrap();
    assert_eq!((drained.left(), drained.in_use()), (0, 0));
    assert_eq!(drained.report().deferred, 20);
    assert_eq!(
        drained.report().backend_calls,
        drained.sets().div_ceil(64),
        "batches of 64"
    );
    assert_eq!(pool.backend().free.lock().unwrap().len(), FRAMES);
}

#[test]
fn sets_of_one_page() {
    life::<1, 15>();
}

#[test]
fn sets_of_four_pages() {
    life::<4, 15>();
}

#[test]
fn sets_of_sixteen_pages() {
    life::<16, 15>();
}

#[test]
fn magazines_of_one_set_and_of_the_most() {
    life::<4, 1>();
    life::<4, 64>();
}
