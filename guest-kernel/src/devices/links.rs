//! What a frontend needs of the kernel: pages, grants, event channels, time, xenstore.

use core::time::Duration;

use frontends::{Access, Memory, Refused};
use migration::Clock;
use xen_bindings::event_channel::{self as channel, Port};
use xen_bindings::frame::DomainId;
use xen_bindings::{grant, HypercallError};

use crate::arch::grants::{Bytes, Page, Shared, Table};
use crate::sets::frames;
use crate::xen::store::Store;
use crate::xen::{ports, time};

/// Which vCPU handles the events of devices: the one that sees to them.
const VCPU: usize = 0;

/// xenstore, the grant table, and through statics the rest.
pub struct Links {
    /// The connection to xenstore.
    pub store: Store,
    /// Made when the first page is granted.
    table: Option<Table>,
}

impl Links {
    /// Without a grant table yet.
    pub fn new(store: Store) -> Links {
        Links { store, table: None }
    }

    /// Before the domain is suspended, when nothing is granted or ended any more.
    ///
    /// # Errors
    /// Xen's; nothing has changed then.
    pub fn step_away(&mut self) -> Result<(), HypercallError> {
        self.table.as_mut().map_or(Ok(()), Table::step_away)
    }

    /// The domain is back; `is_new`: in another one.
    pub fn returned(&mut self, is_new: bool) {
        if let Some(table) = self.table.as_mut() {
            table.returned(is_new);
        }
    }

    fn table(&mut self) -> Result<&mut Table, Refused> {
        if self.table.is_none() {
            let frame = frames::allocate().map_err(|_| Refused::because("no frame is left"))?;
            match Table::new(Page::new(frame)) {
                Ok(table) => self.table = Some(table),
                Err((error, place)) => {
                    frames::free(place.into_frame());
                    return Err(Refused::because(error));
                }
            }
        }
        let table = self.table.as_mut();
        table.ok_or(Refused::because("there is no grant table"))
    }
}

fn bytes(memory: Memory<'_, Page, Shared>) -> Bytes {
    match memory {
        Memory::Own(page) => page.into(),
        Memory::Shared(page) => page.into(),
    }
}

impl Clock for Links {
    fn now(&self) -> Duration {
        Duration::from_nanos(time::now())
    }
}

impl frontends::Kernel for Links {
    type Tree = Store;
    type Page = Page;
    type Grant = Shared;
    type Port = Port;

    fn tree(&mut self) -> &mut Store {
        &mut self.store
    }

    fn page(&mut self) -> Option<Page> {
        frames::allocate_zeroed().ok().map(Page::new)
    }

    fn free(&mut self, page: Page) {
        frames::free(page.into_frame());
    }

    fn grant(
        &mut self,
        page: Page,
        domain: u16,
        access: Access,
    ) -> Result<Shared, (Refused, Page)> {
        let access = match access {
            Access::ReadOnly => grant::Access::ReadOnly,
            Access::ReadWrite => grant::Access::ReadWrite,
        };
        match self.table() {
            Ok(table) => {
                let granted = table.grant(page, domain, access);
                granted.map_err(|(error, page)| (Refused::because(error), page))
            }
            Err(why) => Err((why, page)),
        }
    }

    fn end(&mut self, grant: Shared) -> Result<Page, Shared> {
        match self.table() {
            Ok(table) => table.end(grant),
            Err(_) => Err(grant),
        }
    }

    fn abandon(&mut self, grant: Shared) {
        log::warn!(
            "grant {}: its backend keeps the page, which is lost",
            grant.number()
        );
    }

    fn reference(&self, grant: &Shared) -> u32 {
        grant.number()
    }

    fn read(&self, memory: Memory<'_, Page, Shared>, at: usize, into: &mut [u8]) {
        bytes(memory).read(at, into);
    }

    fn write(&mut self, memory: Memory<'_, Page, Shared>, at: usize, from: &[u8]) {
        bytes(memory).write(at, from);
    }

    fn load(&self, grant: &Shared, at: usize) -> u32 {
        Bytes::from(grant).load(at)
    }

    fn publish(&mut self, grant: &Shared, at: usize, value: u32) {
        Bytes::from(grant).publish(at, value);
    }

    fn open(&mut self, domain: u16) -> Result<Port, Refused> {
        let port = channel::alloc_unbound(DomainId(domain)).map_err(Refused::because)?;
        if let Err(error) = ports::listen(VCPU, port) {
            self.close(port);
            return Err(Refused::because(error));
        }
        Ok(port)
    }

    fn number(&self, port: &Port) -> u32 {
        port.number()
    }

    fn notify(&mut self, port: &Port) {
        if !port.is_current() {
            return;
        }
        if let Err(error) = channel::send(*port) {
            log::warn!("{error}");
        }
    }

    fn unmask(&mut self, _: &Port) {
        // The upcall leaves a port unmasked.
    }

    fn close(&mut self, port: Port) {
        if !port.is_current() {
            return;
        }
        ports::ignore(VCPU, port);
        if let Err(error) = channel::close(port) {
            log::warn!("{error}");
        }
    }
}
