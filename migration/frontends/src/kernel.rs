//! What the kernel brings: pages, grants, events, time, xenstore.

use core::fmt;

use migration::xenstore::Tree;
use migration::{Clock, Text};

/// Bytes in a page, as grants and rings count.
pub const PAGE: usize = 4096;

/// What the other domain may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read. For what the backend only takes: frames to send, data to write.
    ReadOnly,
    /// Read and write. For rings, what the backend fills, and persistent grants.
    ReadWrite,
}

/// Why the kernel or Xen did not give a grant or a port, in the kernel's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(Text<48>);

impl Refused {
    /// Keeps the first 48 bytes of the reason. Xen's own error can be passed as it is.
    pub fn because(why: impl fmt::Display) -> Refused {
        Refused(Text::of(why))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A page's memory, whoever may use it at the moment.
#[derive(Debug)]
pub enum Memory<'a, P, G> {
    /// This domain alone.
    Own(&'a P),
    /// The backend too: it may change at any time what this side is not writing.
    Shared(&'a G),
}

/// The kernel, as a frontend sees it.
///
/// **Ownership.** A [`Page`](Kernel::Page) is this domain's alone. Granting it turns it into a
/// [`Grant`](Kernel::Grant), and only ending that gives the page back: what is still shared cannot
/// be freed or used for something else. Both are moved, never copied.
///
/// **Memory.** No Rust reference reaches a page: a backend may write to it at any time. Everything
/// goes through [`read`](Kernel::read), [`write`](Kernel::write), [`load`](Kernel::load) and
/// [`publish`](Kernel::publish), which a kernel does with volatile or atomic accesses through a raw
/// pointer. This crate has no unsafe code; the soundness of these four is the kernel's.
///
/// **After a restore** the grant table is empty and no port is open. The kernel has set both up
/// anew before the first frontend's [`restored`](migration::Participant::restored) is called, and
/// takes what is from before for ended: [`end`](Kernel::end) gives its page at once,
/// [`close`](Kernel::close) and [`notify`](Kernel::notify) do nothing, and the number's new owner
/// is left alone.
///
/// **Threads.** A device is used through `&mut`; a kernel with several vCPUs puts it under a lock.
/// The order of memory accesses that the rings need is in the four methods' docs.
pub trait Kernel: Clock {
    /// The xenstore client.
    type Tree: Tree;
    /// A page of [`PAGE`] bytes that is this domain's alone.
    type Page;
    /// A page that the backend may use.
    type Grant;
    /// An event channel that the backend may bind to.
    type Port;

    /// The connection to xenstore.
    fn tree(&mut self) -> &mut Self::Tree;

    /// A page, **zeroed**: the backend gets to see all of it. `None` if there is none at present.
    fn page(&mut self) -> Option<Self::Page>;

    /// Takes back a page from [`page`](Kernel::page).
    fn free(&mut self, page: Self::Page);

    /// Lets `domain` use the page.
    ///
    /// # Errors
    /// Why not, and the page.
    #[doc(alias = "gnttab_grant_foreign_access")]
    fn grant(
        &mut self,
        page: Self::Page,
        domain: u16,
        access: Access,
    ) -> Result<Self::Grant, (Refused, Self::Page)>;

    /// Takes the leave back. Afterwards the backend can neither use nor map the page.
    ///
    /// # Errors
    /// The grant as it was, if the backend has the page mapped still.
    #[doc(alias = "gnttab_end_foreign_access")]
    fn end(&mut self, grant: Self::Grant) -> Result<Self::Page, Self::Grant>;

    /// Gives up a grant that the backend does not let go of. Grant and page are lost for good; the
    /// kernel may count them.
    fn abandon(&mut self, grant: Self::Grant);

    /// The number by which the backend names the grant.
    #[doc(alias = "grant_ref_t")]
    fn reference(&self, grant: &Self::Grant) -> u32;

    /// Copies out of the page, from byte `at`. Never called with a range that leaves the page.
    fn read(&self, memory: Memory<'_, Self::Page, Self::Grant>, at: usize, into: &mut [u8]);

    /// Copies into the page, from byte `at`. Never called with a range that leaves the page.
    fn write(&mut self, memory: Memory<'_, Self::Page, Self::Grant>, at: usize, from: &[u8]);

    /// Reads the 32-bit word at byte `at`, a multiple of 4, in one access, with acquire ordering:
    /// what is [read](Kernel::read) afterwards is at least as new.
    fn load(&self, grant: &Self::Grant, at: usize) -> u32;

    /// Stores a 32-bit word at byte `at`, a multiple of 4, in one access, with release ordering
    /// **and a full fence after it**: what was [written](Kernel::write) before is seen first, and
    /// what is [loaded](Kernel::load) afterwards is read after the store is seen.
    fn publish(&mut self, grant: &Self::Grant, at: usize, value: u32);

    /// Opens a port for `domain` to bind to.
    ///
    /// # Errors
    /// Why not.
    #[doc(alias = "EVTCHNOP_alloc_unbound")]
    fn open(&mut self, domain: u16) -> Result<Self::Port, Refused>;

    /// The number by which the backend names the port.
    fn number(&self, port: &Self::Port) -> u32;

    /// Sends the port's event. Before the backend is bound to it this does nothing.
    #[doc(alias = "EVTCHNOP_send")]
    fn notify(&mut self, port: &Self::Port);

    /// Lets the port's events come again: called after each look into the ring, for kernels whose
    /// handler masks the port until somebody has looked.
    #[doc(alias = "EVTCHNOP_unmask")]
    fn unmask(&mut self, port: &Self::Port);

    /// Closes the port.
    #[doc(alias = "EVTCHNOP_close")]
    fn close(&mut self, port: Self::Port);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_long_reason_is_cut_and_cannot_forge_a_line() {
        let short = Refused::because("full\n");
        assert_eq!(short.to_string(), "full?");
        let long = std::format!("{:200}", "x");
        assert_eq!(Refused::because(long).to_string().len(), 48);
    }
}
