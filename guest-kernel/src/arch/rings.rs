//! The rings of console and xenstore, in pages that the toolstack made.

use core::ptr::NonNull;

use xen_bindings::event_channel::Port;
use xen_bindings::hvm::{self, Ring};
use xen_bindings::{console, ffi, xenstore, Result};

use super::address::address;
use super::mode::is_pv;
use super::pv::start_info;
use super::tables::map_ring;
use crate::memory::Pfn;

/// Slots of the fixmap.
const CONSOLE_SLOT: usize = 0;
const STORE_SLOT: usize = 1;

/// The console's ring, as the toolstack named it.
#[derive(Clone, Copy, Debug)]
pub struct ConsoleRing(Ring);

/// xenstore's ring, as the toolstack named it.
#[derive(Clone, Copy, Debug)]
pub struct StoreRing(Ring);

/// The console's ring; none if the toolstack gave the domain none.
pub fn console_ring() -> Result<Option<ConsoleRing>> {
    let ring = if is_pv() {
        start_info::console_ring()
    } else {
        hvm::console_ring()?
    };
    Ok(ring.map(ConsoleRing))
}

/// xenstore's ring; none if the toolstack gave the domain none.
pub fn store_ring() -> Result<Option<StoreRing>> {
    let ring = if is_pv() {
        start_info::store_ring()
    } else {
        hvm::store_ring()?
    };
    Ok(ring.map(StoreRing))
}

/// Where a ring's page is mapped. Under PV it is RAM that the builder took for it.
fn ring_page(ring: Ring, slot: usize) -> usize {
    if is_pv() {
        return address(Pfn(ring.frame.0 as u32));
    }
    map_ring(slot, ring.frame.0 as u64)
}

impl ConsoleRing {
    /// The port that tells the other side.
    pub fn port(&self) -> Port {
        self.0.port
    }

    /// The page, mapped.
    pub fn page(&self) -> &'static console::Page {
        let va = ring_page(self.0, CONSOLE_SLOT);
        // SAFETY: the toolstack's page, mapped for as long as the kernel runs. A restore puts the
        // new domain's page at the same GFN. It is seen through atomics, so that two who use it
        // would garble it at worst.
        unsafe { console::Page::at(NonNull::new_unchecked(va as *mut ffi::xencons_interface)) }
    }
}

impl StoreRing {
    /// The port that tells the other side.
    pub fn port(&self) -> Port {
        self.0.port
    }

    /// The page, mapped.
    pub fn page(&self) -> &'static xenstore::Page {
        let va = ring_page(self.0, STORE_SLOT);
        // SAFETY: as for the console.
        unsafe {
            xenstore::Page::at(NonNull::new_unchecked(
                va as *mut ffi::xenstore_domain_interface,
            ))
        }
    }
}
