//! The page that the guest shares with xenstored.

use core::cell::UnsafeCell;
use core::ptr::{addr_of_mut, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU8, Ordering};

use crate::ffi;
use crate::ring::{Consumer, Producer};

/// The ring's page.
#[doc(alias = "xenstore_domain_interface")]
#[repr(transparent)]
pub struct Page(UnsafeCell<ffi::xenstore_domain_interface>);

// SAFETY: everything is read and written through atomics.
unsafe impl Sync for Page {}

impl Page {
    /// Views the page at `page`.
    ///
    /// # Safety
    /// For `'a`, `page` is where the xenstore page is mapped, readable and writable, and nothing
    /// but one
    /// [`Client`](super::Client) uses it.
    #[must_use]
    pub unsafe fn at<'a>(page: NonNull<ffi::xenstore_domain_interface>) -> &'a Self {
        // SAFETY: the caller's contract; the type is transparent and allows change behind shared
        // references.
        unsafe { page.cast().as_ref() }
    }

    /// The page itself, for the other side that a test plays.
    #[cfg(test)]
    pub(super) fn raw(&self) -> *mut ffi::xenstore_domain_interface {
        self.0.get()
    }

    pub(super) fn requests(&self) -> Producer<'_> {
        let page = self.0.get();
        // SAFETY: fields of the page, which lives as long as `self`, seen as atomics of the same
        // sizes.
        unsafe {
            let bytes: &[AtomicU8; ffi::XENSTORE_RING_SIZE as usize] =
                &*addr_of_mut!((*page).req).cast();
            let prod = AtomicU32::from_ptr(addr_of_mut!((*page).req_prod));
            let cons = AtomicU32::from_ptr(addr_of_mut!((*page).req_cons));
            Producer::new("req", bytes, prod, cons)
        }
    }

    pub(super) fn responses(&self) -> Consumer<'_> {
        let page = self.0.get();
        // SAFETY: as for `requests`.
        unsafe {
            let bytes: &[AtomicU8; ffi::XENSTORE_RING_SIZE as usize] =
                &*addr_of_mut!((*page).rsp).cast();
            let prod = AtomicU32::from_ptr(addr_of_mut!((*page).rsp_prod));
            let cons = AtomicU32::from_ptr(addr_of_mut!((*page).rsp_cons));
            Consumer::new("rsp", bytes, prod, cons)
        }
    }

    pub(super) fn has_feature(&self, feature: u32) -> bool {
        let page = self.0.get();
        // SAFETY: as for `requests`.
        let features = unsafe { AtomicU32::from_ptr(addr_of_mut!((*page).server_features)) };
        features.load(Ordering::Relaxed) & feature != 0
    }

    /// What xenstored holds against this domain, if it says so at all.
    pub(super) fn complaint(&self) -> Option<u32> {
        let page = self.0.get();
        // SAFETY: as for `requests`.
        let error = unsafe { AtomicU32::from_ptr(addr_of_mut!((*page).error)) };
        let error = error.load(Ordering::Relaxed);
        (self.has_feature(ffi::XENSTORE_SERVER_FEATURE_ERROR) && error != ffi::XENSTORE_ERROR_NONE)
            .then_some(error)
    }

    /// The state of the connection: means something only with
    /// `XENSTORE_SERVER_FEATURE_RECONNECTION`.
    pub(super) fn connection(&self) -> &AtomicU32 {
        let page = self.0.get();
        // SAFETY: as for `requests`.
        unsafe { AtomicU32::from_ptr(addr_of_mut!((*page).connection)) }
    }

    /// Whether xenstored is asked to begin the connection anew and has not done it yet: nothing
    /// else in the page means anything meanwhile.
    pub(super) fn is_reconnecting(&self) -> bool {
        // Acquire: the indices that xenstored has set are seen with its answer.
        self.has_feature(ffi::XENSTORE_SERVER_FEATURE_RECONNECTION)
            && self.connection().load(Ordering::Acquire) == ffi::XENSTORE_RECONNECT
    }
}
