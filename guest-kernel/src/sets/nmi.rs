//! What the handler of an NMI does with the pool in a test build: it takes a set, looks at it, and
//! gives it back, at whatever instruction the vCPU was interrupted. In a plain build the handler
//! leaves the pool alone.

/// Adds to the `nmi` event what the handlers did with the pool.
#[cfg(not(feature = "switches"))]
pub fn add_figures(event: crate::xen::report::Event) -> crate::xen::report::Event {
    event
}

#[cfg(feature = "switches")]
pub use test::{add_figures, put_back, use_pool};

#[cfg(feature = "switches")]
mod test {
    use core::sync::atomic::{AtomicU32, Ordering};

    use pagetable_pool::{CpuPinned, PutError};
    use spin::Mutex;

    use super::super::kinds::Kind;
    use super::super::pool::{give, Taken, POOL};
    use crate::arch::cpu::{CpuGuard, InNmi, MAX_CPUS};
    use crate::xen::report::Event;

    /// A set that a handler on this vCPU could not give back: the gate was closed meanwhile, or the
    /// cache full. It is in use until normal code gives it back; meanwhile the handler takes no
    /// other.
    static KEPT: [Mutex<Option<Taken>>; MAX_CPUS] = [const { Mutex::new(None) }; MAX_CPUS];

    static TAKEN: AtomicU32 = AtomicU32::new(0);
    static NONE: AtomicU32 = AtomicU32::new(0);
    static SET_ASIDE: AtomicU32 = AtomicU32::new(0);
    static DAMAGED: AtomicU32 = AtomicU32::new(0);

    /// Takes a set from the running vCPU's cache and gives it back.
    pub fn use_pool(nmi: &InNmi) {
        // Taken only if the interrupted code, or a handler that this one has interrupted, is at it.
        let Some(mut kept) = KEPT[nmi.cpu().0].try_lock() else {
            return;
        };
        if kept.is_some() {
            return;
        }
        let Some(set) = POOL.try_get(nmi) else {
            NONE.fetch_add(1, Ordering::Relaxed);
            return;
        };
        TAKEN.fetch_add(1, Ordering::Relaxed);
        set.set().mark(Kind::LiveL2);
        if set.set().find_damage().is_some() {
            DAMAGED.fetch_add(1, Ordering::Relaxed);
        }
        set.set().mark(Kind::IdleL2);
        match POOL.try_put(nmi, set) {
            Ok(()) => {}
            Err(PutError::Refused(_, set)) => {
                SET_ASIDE.fetch_add(1, Ordering::Relaxed);
                set.set().mark(Kind::LiveL2);
                *kept = Some(set);
            }
            // A set that is not the pool's, or that was put already.
            Err(_) => {
                DAMAGED.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Gives back what a handler on the running vCPU could not. From normal code.
    pub fn put_back(me: usize) {
        let kept = KEPT[me].lock().take();
        if let Some(set) = kept {
            give(&CpuGuard::new(), set);
        }
    }

    /// Adds to the `nmi` event what the handlers did with the pool.
    pub fn add_figures(event: Event) -> Event {
        let of = |count: &AtomicU32| count.load(Ordering::Relaxed).into();
        event
            .num("taken", of(&TAKEN))
            .num("none", of(&NONE))
            .num("set_aside", of(&SET_ASIDE))
            .num("damaged", of(&DAMAGED))
    }
}
