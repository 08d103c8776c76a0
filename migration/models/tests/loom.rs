//! CPU hotplug against a suspend, over every interleaving. `proofs.md` says how to run it.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::Arc;
use loom::thread;
use migration::hotplug::Lockout;

struct Shared {
    lockout: Lockout,
    /// Touched by whoever has the lock-out, without any other order: loom reports a race if two
    /// have it.
    inside: UnsafeCell<usize>,
    /// What xenstore says, read by whoever is told to look again.
    wanted: AtomicUsize,
}

// SAFETY: `inside` is only touched while an `Operation` or a `Hold` exists, of which there is at
// most one; that this is so is what loom checks here.
unsafe impl Sync for Shared {}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            lockout: Lockout::new(),
            inside: UnsafeCell::new(0),
            wanted: AtomicUsize::new(0),
        })
    }

    fn touch(&self) {
        // SAFETY: see `Shared`.
        self.inside.with_mut(|inside| unsafe { *inside += 1 });
    }
}

#[test]
fn a_suspend_and_two_operations_never_overlap() {
    loom::model(|| {
        let shared = Shared::new();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    if let Ok(operation) = shared.lockout.begin() {
                        shared.touch();
                        drop(operation);
                    }
                })
            })
            .collect();
        if let Ok(hold) = shared.lockout.hold() {
            shared.touch();
            drop(hold);
        }
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_request_turned_away_is_seen_by_whoever_stood_in_its_way() {
    loom::model(|| {
        let shared = Shared::new();
        let watcher = {
            let shared = shared.clone();
            thread::spawn(move || {
                // The toolstack's wish is there before the watch fires.
                shared.wanted.store(1, Ordering::Relaxed);
                match shared.lockout.begin() {
                    Ok(operation) => {
                        shared.touch();
                        let _ = operation.end();
                        true
                    }
                    Err(_) => false,
                }
            })
        };
        let mut seen = 0;
        let mut told = false;
        if let Ok(hold) = shared.lockout.hold() {
            shared.touch();
            if hold.release() {
                told = true;
                seen = shared.wanted.load(Ordering::Relaxed);
            }
        }
        let obeyed = watcher.join().unwrap();
        // Not obeyed: then the suspend was told, and sees what was wanted.
        assert!(obeyed || (told && seen == 1));
    });
}
