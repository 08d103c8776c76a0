//! `drain=unpin-only`: a drain that lets sets go but leaves them constructed, as if that were
//! enough.
//!
//! Such pages are plain memory to Xen. It saves them as they are, machine frames of this domain
//! inside, and restores them as they are into a domain that has other frames. What comes of it is
//! seen when a set is pinned again.

use spin::Mutex;

use crate::cmdline;
use crate::memory::order::Order;
use crate::sets::kinds::Kind;
use crate::sets::set::{self, Set, SetError};
use crate::xen::report::{self, Party};

/// Sets kept. Those beyond are taken apart as they should be.
const ROOM: usize = 64;

struct Kept {
    sets: [Set; ROOM],
    len: usize,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    sets: [Set {
        pages: [crate::memory::Pfn(0); 4],
    }; ROOM],
    len: 0,
});

fn is_on() -> bool {
    cmdline::options().switches.unpin_only()
}

/// Takes sets apart, or only lets them go.
pub fn unmake(sets: &[Set]) -> Result<u32, (usize, crate::arch::changes::TableError)> {
    if !is_on() {
        return set::destruct(sets);
    }
    let mut kept = KEPT.lock();
    if kept.len + sets.len() > ROOM {
        return set::destruct(sets);
    }
    let calls = set::unpin(sets)?;
    for &set in sets {
        set.mark(Kind::StaleL2);
        let at = kept.len;
        kept.sets[at] = set;
        kept.len += 1;
    }
    Ok(calls)
}

/// Makes sets, of those that were only let go first.
pub fn make(out: &mut [Set], order: Order) -> Result<u32, SetError> {
    let mut calls = 0;
    let mut made = 0;
    while is_on() && made < out.len() {
        let mut kept = KEPT.lock();
        if kept.len == 0 {
            break;
        }
        kept.len -= 1;
        let set = kept.sets[kept.len];
        drop(kept);
        match set::pin(&[set]) {
            Ok(pinned) => {
                calls += pinned;
                set.mark(Kind::IdleL2);
                out[made] = set;
                made += 1;
            }
            // Its frames are lost: nothing can be done with them that would not fail the same way.
            Err(error) => report::error(
                Party::Xen,
                "pool",
                format_args!(
                    "a set that was unpinned but left constructed cannot be pinned again: {error}"
                ),
            ),
        }
    }
    match set::construct(&mut out[made..], order) {
        Ok(more) => Ok(calls + more),
        Err(error) => {
            if let Err((_, second)) = set::destruct(&out[..made]) {
                log::error!("{made} sets are lost: {second}");
            }
            Err(error)
        }
    }
}
