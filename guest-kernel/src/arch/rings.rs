//! The rings of console and xenstore, in pages that the toolstack made.

use core::ptr::NonNull;

use xen_bindings::hvm::{self, Ring};
use xen_bindings::{console, ffi, xenstore, Result};

use super::mode::is_pv;
use super::pv::start_info;
use super::tables::map_ring;
use crate::memory::layout::{KERNEL_BASE, PAGE_SIZE};

/// Slots of the fixmap.
const CONSOLE_SLOT: usize = 0;
const STORE_SLOT: usize = 1;

/// The console's ring; none if the toolstack gave the domain none.
pub fn console_ring() -> Result<Option<Ring>> {
    if is_pv() {
        return Ok(start_info::console_ring());
    }
    hvm::console_ring()
}

/// xenstore's ring; none if the toolstack gave the domain none.
pub fn store_ring() -> Result<Option<Ring>> {
    if is_pv() {
        return Ok(start_info::store_ring());
    }
    hvm::store_ring()
}

/// Where a ring's page is mapped. Under PV it is RAM that the builder took for it.
fn ring_page(ring: Ring, slot: usize) -> usize {
    if is_pv() {
        return KERNEL_BASE + ring.frame.0 * PAGE_SIZE;
    }
    map_ring(slot, ring.frame.0 as u64)
}

/// The console's page, mapped.
pub fn console_page(ring: Ring) -> &'static console::Page {
    let va = ring_page(ring, CONSOLE_SLOT);
    // SAFETY: the toolstack's page, mapped for as long as the kernel runs. A restore puts the new
    // domain's page at the same GFN. `crate::console` holds the one driver.
    unsafe { console::Page::at(NonNull::new_unchecked(va as *mut ffi::xencons_interface)) }
}

/// xenstore's page, mapped.
pub fn store_page(ring: Ring) -> &'static xenstore::Page {
    let va = ring_page(ring, STORE_SLOT);
    // SAFETY: as for the console; `crate::store` holds the one driver.
    unsafe {
        xenstore::Page::at(NonNull::new_unchecked(
            va as *mut ffi::xenstore_domain_interface,
        ))
    }
}
