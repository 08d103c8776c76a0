//! `plant=...`: puts an entry into a live table that the audit must find, or a frame into
//! `start_info` that the step before the suspend call must find.

use crate::arch::changes::Changes;
use crate::arch::{self, frames as raw};
use crate::cmdline;
use crate::memory::entry::{Entry, Flags};
use crate::memory::layout::{ENTRIES, HOLDER, WINDOW_SLOT};
use crate::memory::Pfn;
use crate::sets::kinds::{self, Kind};
use crate::sets::{frames, set};
use crate::switches::Plant;
use crate::xen::report::{self, Party};

/// What was planted, and what stood there.
#[derive(Clone, Copy, Debug)]
pub enum Planted {
    /// An entry of a table.
    Entry {
        table: Pfn,
        slot: usize,
        before: u64,
    },
    /// The machine frame of xenstore's ring.
    StoreFrame(usize),
}

/// Plants what the command line asks for; the windows are down.
pub fn plant() -> Option<Planted> {
    let planted = match cmdline::options().switches.plant()? {
        Plant::Linear => {
            let live = set::live().next()?;
            let bits = raw::bits_of(Entry::new(live.pages[0], Flags::LINK));
            write(live.pages[HOLDER], WINDOW_SLOT, bits)
        }
        Plant::Superpage => {
            let live = set::live().next()?;
            let (table, slot) = (live.pages[0], empty_slot(live.pages[0])?);
            let bits = raw::bits_of(Entry::new(
                live.pages[0],
                Flags::KERNEL.union(Flags::SUPERPAGE),
            ));
            write(table, slot, bits)
        }
        Plant::Foreign => {
            let table = kinds::marked(Kind::L1).next()?;
            let bits = arch::plant::shared_info_frame().address() | Flags::KERNEL.bits();
            write(table, empty_slot(table)?, bits)
        }
        Plant::Away => {
            let table = kinds::marked(Kind::L1).next()?;
            let bits = u64::from(frames::all_away().next()?.0) << 12 | Flags::KERNEL.bits();
            write(table, empty_slot(table)?, bits)
        }
        Plant::StoreFrame => {
            let foreign = arch::plant::shared_info_frame();
            Ok(Planted::StoreFrame(arch::plant::plant_store_frame(
                foreign.0,
            )))
        }
    };
    match planted {
        Ok(planted) => Some(planted),
        Err(error) => {
            report::error(Party::Xen, "plant", error);
            None
        }
    }
}

impl Planted {
    /// Takes it out again. In a domain that was restored without it there is nothing to take out.
    pub fn take_out(self) {
        match self {
            Planted::Entry { table, slot, .. } if raw::entry_bits(table, slot) == 0 => {}
            Planted::Entry {
                table,
                slot,
                before,
            } => {
                if let Err(error) = write(table, slot, before) {
                    report::error(Party::Xen, "plant", error);
                }
            }
            Planted::StoreFrame(before) => {
                arch::plant::plant_store_frame(before);
            }
        }
    }
}

fn empty_slot(table: Pfn) -> Option<usize> {
    (0..ENTRIES).find(|&slot| raw::entry_bits(table, slot) == 0)
}

fn write(table: Pfn, slot: usize, bits: u64) -> Result<Planted, crate::arch::changes::TableError> {
    let before = raw::entry_bits(table, slot);
    let mut changes = Changes::<1>::new();
    changes.plant(table, slot, bits);
    changes.commit()?;
    Ok(Planted::Entry {
        table,
        slot,
        before,
    })
}
