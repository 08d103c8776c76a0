//! Memory that goes back to Xen, and memory that comes from there.
//!
//! What makes the functions here safe to call: they touch only frames behind the kernel's image,
//! where no Rust object lives. The direct map's entry of a frame that is given is cleared first, but
//! for the far map of a PVH guest, which has superpages. That spares a Xen with shadow paging a search
//! of all its tables for each frame (`sh_remove_all_mappings`, `xen/arch/x86/mm/shadow/common.c`);
//! nothing needs to be flushed, for Xen does so when the frame leaves the guest's physical address space. Frames that nobody has
//! touched go with their entries in place, which map a hole then. Under PV the entry leaves all
//! CPUs' TLBs, then the frame's entry in the physical-to-machine list goes, and the machine frame
//! last.

use core::fmt;

use xen_bindings::frame::{Gfn, Mfn};
use xen_bindings::{memory as xen, version, HypercallError};

use super::address::near_end;
use super::changes::{Changes, Pins, TableError};
use super::direct;
use super::frames::{bits_of, first_managed, is_populated, word};
use super::mode::is_pv;
use super::pv::m2p;
use super::shared_info::shared_info;
use crate::memory::entry::{Entry, Flags};
use crate::memory::layout::{CHUNK, MOST_FRAMES};
use crate::memory::Pfn;

/// Frames given or taken with one call.
pub const BATCH: usize = 64;

/// Why not all went or came.
#[derive(Clone, Copy, Debug)]
pub enum Error {
    /// Xen refused the call for the memory.
    Xen(HypercallError),
    /// Xen refused a change of the direct map.
    Tables(TableError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Xen(error) => error.fmt(f),
            Error::Tables(error) => error.fmt(f),
        }
    }
}

/// How far a call came: so many frames from the front, and what stopped it there, if Xen said so.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub frames: usize,
    pub error: Option<Error>,
}

impl Done {
    fn of(result: xen_bindings::Result<usize>) -> Done {
        match result {
            Ok(frames) => Done {
                frames,
                error: None,
            },
            Err(error) => Done {
                frames: 0,
                error: Some(Error::Xen(error)),
            },
        }
    }
}

fn check(frames: &[Pfn]) {
    assert!(frames.len() <= BATCH);
    let first = first_managed();
    assert!(
        frames.iter().all(|&pfn| pfn >= first),
        "the kernel's own memory is not given away"
    );
}

fn gfns(frames: &[Pfn]) -> [Gfn; BATCH] {
    core::array::from_fn(|n| Gfn(frames.get(n).map_or(0, |pfn| pfn.0 as usize)))
}

/// Gives frames to Xen that nobody has. Those after the ones that went are as they were.
pub fn give(frames: &[Pfn]) -> Done {
    check(frames);
    if is_pv() {
        return give_pv(frames);
    }
    map_pvh(frames, false);
    // SAFETY: no Rust object is there (checked), and the caller says that nobody has them.
    let done = Done::of(unsafe { xen::decrease_reservation(&mut gfns(frames)[..frames.len()], 0) });
    map_pvh(&frames[done.frames..], true);
    done
}

/// What the far map has of a frame stays: a superpage that maps a hole as well.
fn map_pvh(frames: &[Pfn], mapped: bool) {
    for &pfn in frames.iter().filter(|&&pfn| pfn < near_end()) {
        let entry = if mapped {
            Entry::new(pfn, Flags::KERNEL)
        } else {
            Entry::EMPTY
        };
        direct::write(pfn, entry);
    }
}

/// Gives Xen 2 MiB for each of `chunks` (PVH).
pub fn give_chunks(chunks: &[Pfn]) -> Done {
    check(chunks);
    assert!(!is_pv());
    // SAFETY: as in `give`.
    Done::of(unsafe { xen::decrease_reservation(&mut gfns(chunks)[..chunks.len()], CHUNK.ilog2()) })
}

/// Is it in the direct map?
fn is_mapped(pfn: &&Pfn) -> bool {
    (pfn.0 as usize) < MOST_FRAMES
}

fn unmap(frames: &[Pfn]) -> Result<(), TableError> {
    let mut changes = Changes::<BATCH>::new();
    frames
        .iter()
        .filter(is_mapped)
        .for_each(|&pfn| changes.set_at(direct::entry_address(pfn), 0));
    changes.commit()?;
    let mut flush = Pins::<1>::new();
    flush.flush_all_tlbs();
    flush.commit().map(drop)
}

fn map(frames: &[Pfn]) -> Result<(), TableError> {
    let mut changes = Changes::<BATCH>::new();
    for &pfn in frames.iter().filter(is_mapped) {
        changes.set_at(
            direct::entry_address(pfn),
            bits_of(Entry::new(pfn, Flags::KERNEL)),
        );
    }
    changes.commit().map(drop)
}

fn give_pv(frames: &[Pfn]) -> Done {
    let machine: [Mfn; BATCH] =
        core::array::from_fn(|n| frames.get(n).map_or(Mfn(0), |&pfn| m2p::machine(pfn)));
    let mut done = match unmap(frames) {
        Ok(()) => {
            m2p::change(shared_info(), frames.iter().map(|&pfn| (pfn, None)));
            let mut machine = machine.map(|mfn| Gfn(mfn.0));
            // SAFETY: no Rust object is there (checked), nothing maps them, and the caller says
            // that nobody has them.
            Done::of(unsafe { xen::decrease_reservation(&mut machine[..frames.len()], 0) })
        }
        Err(error) => Done {
            frames: 0,
            error: Some(Error::Tables(error)),
        },
    };
    let stayed = &frames[done.frames..];
    if !stayed.is_empty() {
        let entries = frames.iter().zip(machine).skip(done.frames);
        m2p::change(shared_info(), entries.map(|(&pfn, mfn)| (pfn, Some(mfn))));
        if let Err(error) = map(stayed) {
            done.error = Some(Error::Tables(error));
        }
    }
    done
}

/// Asks Xen for memory at frames where there is none.
pub fn take(frames: &[Pfn]) -> Done {
    check(frames);
    let mut places = gfns(frames);
    // SAFETY: holes that nothing uses; what Xen writes into the list of a PV guest goes into its
    // tables.
    let mut done = Done::of(unsafe { xen::populate_physmap(&mut places[..frames.len()]) });
    if !is_pv() {
        map_pvh(&frames[..done.frames], true);
        return done;
    }
    if done.frames == 0 {
        return done;
    }
    let came = &frames[..done.frames];
    let machine = places.map(|gfn| Mfn(gfn.0));
    m2p::change(
        shared_info(),
        came.iter().zip(machine).map(|(&pfn, mfn)| (pfn, Some(mfn))),
    );
    if let Err(error) = map(came) {
        // Those before it are mapped; without the others the guest is what it was.
        let mapped = error.done.min(came.len());
        let rest = &came[mapped..];
        m2p::change(shared_info(), rest.iter().map(|&pfn| (pfn, None)));
        // SAFETY: they came just now, and nothing maps them.
        let _ = unsafe { xen::decrease_reservation(&mut places[mapped..done.frames], 0) };
        done = Done {
            frames: mapped,
            error: Some(Error::Tables(error)),
        };
    }
    done
}

/// Has Xen write a few bytes into each of `frames`, which have just come (PVH). Those that the
/// direct map does not reach are left out; nothing uses them.
///
/// Until Xen 4.22 (commit 98fccdf0ac7c) a page that is put into a PVH guest's address space is not
/// noted as dirty, and neither is what the guest writes there before the toolstack reads the log
/// the next time. A live migration that has gone past the frame would leave a hole there. What Xen
/// itself copies to the guest is always noted (`__hvm_copy`, `xen/arch/x86/hvm/hvm.c`).
///
/// # Errors
/// The first refusal. The others are tried all the same.
pub fn have_noted(frames: &[Pfn]) -> Result<(), HypercallError> {
    check(frames);
    let mut noted = Ok(());
    for &pfn in frames.iter().filter(is_mapped) {
        // SAFETY: no Rust object is there (checked): Xen's write is like one of `write_word`'s.
        let written = unsafe { version::extra_version_at(word(pfn, 0).cast()) };
        noted = noted.and(written);
    }
    noted
}

/// Gives Xen what it has put at a frame that is away: a live migration brings back what it had sent
/// before the frame was given. Gives whether there was anything.
pub fn give_again(pfn: Pfn) -> bool {
    check(&[pfn]);
    if !is_pv() {
        // SAFETY: nobody has the frame: it is away.
        let given = unsafe { xen::decrease_reservation(&mut [Gfn(pfn.0 as usize)], 0) };
        return given == Ok(1);
    }
    if !is_populated(pfn) {
        return false;
    }
    let machine = m2p::machine(pfn);
    m2p::change(shared_info(), core::iter::once((pfn, None)));
    // SAFETY: nobody has the frame, and its entry in the direct map was cleared when it was given.
    let given = unsafe { xen::decrease_reservation(&mut [Gfn(machine.0)], 0) };
    given == Ok(1)
}

/// Frames that Xen says the domain has.
pub fn reservation() -> Option<usize> {
    xen::current_reservation().ok()
}
