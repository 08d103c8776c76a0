//! A guest's kernel, Xen and xenstore in one, for frontends and model backends to meet in. It
//! knows what is granted and mapped, and notes each use of what is not.
#![allow(dead_code)]

pub mod blkback;
pub mod hostile;
pub mod netback;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use frontends::{Access, Error, Kernel, Memory, Refused, Tree, PAGE};
use migration::xenstore::{StoreError, Xenstore};
use migration::{Blame, Clock, Deadline, Outcome, Party, Platform, Return};

/// A xenstore: nodes by absolute path; the guest's own are below [`HOME`].
#[derive(Default)]
pub struct Store {
    pub nodes: BTreeMap<String, String>,
    pub watches: BTreeMap<(String, String), ()>,
    /// Every write, in order, for tests of what is written when.
    pub log: Vec<(String, String)>,
    /// So many operations from now, one fails.
    pub fail_in: Option<u32>,
}

pub const HOME: &str = "/local/domain/7";

fn absolute(path: &str) -> String {
    match path.starts_with('/') {
        true => path.into(),
        false => format!("{HOME}/{path}"),
    }
}

impl Store {
    pub fn get(&self, path: &str) -> Option<&str> {
        self.nodes.get(&absolute(path)).map(String::as_str)
    }

    pub fn set(&mut self, path: &str, value: impl fmt::Display) {
        self.nodes.insert(absolute(path), value.to_string());
    }

    pub fn delete(&mut self, path: &str) -> bool {
        let path = absolute(path);
        let before = self.nodes.len();
        let below = format!("{path}/");
        self.nodes
            .retain(|node, _| *node != path && !node.starts_with(&below));
        self.nodes.len() < before
    }

    fn fails(&mut self) -> Result<(), StoreError> {
        match &mut self.fail_in {
            Some(0) => {
                self.fail_in = None;
                Err(StoreError::TimedOut)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Xenstore for Store {
    type Tx = ();

    fn read(&mut self, _: Option<()>, path: &str, buf: &mut [u8]) -> Result<usize, StoreError> {
        self.fails()?;
        let path = absolute(path);
        let Some(value) = self.nodes.get(&path) else {
            // As xenstored answers for what is below a folder that the guest may not read.
            let own = path.starts_with(HOME);
            return Err(if own {
                StoreError::NotFound
            } else {
                StoreError::Denied
            });
        };
        let len = value.len().min(buf.len());
        buf[..len].copy_from_slice(&value.as_bytes()[..len]);
        Ok(value.len())
    }

    fn write(&mut self, _: Option<()>, path: &str, value: &[u8]) -> Result<(), StoreError> {
        self.fails()?;
        let value = String::from_utf8(value.to_vec()).expect("the frontend writes text");
        self.log.push((path.into(), value.clone()));
        self.nodes.insert(absolute(path), value);
        Ok(())
    }

    fn transaction_start(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn transaction_end(&mut self, _: (), _: bool) -> Result<(), StoreError> {
        Ok(())
    }

    fn watch(&mut self, path: &str, token: &str) -> Result<(), StoreError> {
        self.fails()?;
        match self.watches.insert((path.into(), token.into()), ()) {
            None => Ok(()),
            Some(()) => Err(StoreError::Exists),
        }
    }
}

impl Tree for Store {
    fn list(&mut self, path: &str, each: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        self.fails()?;
        let below = format!("{}/", absolute(path));
        let children: BTreeSet<&str> = self
            .nodes
            .keys()
            .filter_map(|node| node.strip_prefix(&below))
            .filter_map(|rest| rest.split('/').next())
            .collect();
        if children.is_empty() {
            return Err(StoreError::NotFound);
        }
        children.into_iter().for_each(each);
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), StoreError> {
        self.fails()?;
        match self.delete(path) {
            true => Ok(()),
            false => Err(StoreError::NotFound),
        }
    }

    fn unwatch(&mut self, path: &str, token: &str) -> Result<(), StoreError> {
        match self.watches.remove(&(path.into(), token.into())) {
            Some(()) => Ok(()),
            None => Err(StoreError::NotFound),
        }
    }
}

#[derive(Debug)]
pub struct Page(usize);

#[derive(Debug)]
pub struct Grant {
    reference: u32,
    page: usize,
    incarnation: u32,
}

#[derive(Debug)]
pub struct Port {
    number: u32,
    incarnation: u32,
}

struct Granted {
    page: usize,
    domain: u16,
    access: Access,
    mapped: u32,
}

/// Something that happens outside.
pub type Outside = Box<dyn FnMut(&mut Guest)>;

/// The guest.
pub struct Guest {
    pub now: Duration,
    pub store: Store,
    pages: Vec<RefCell<[u8; PAGE]>>,
    /// What a live migration has sent of each page: the dirty log sees what the guest writes, and a
    /// backend's writes when it unmaps the page.
    sent: Vec<RefCell<[u8; PAGE]>>,
    free: Vec<usize>,
    grants: BTreeMap<u32, Granted>,
    /// As a new table does, each incarnation counts from the same number.
    next_grant: u32,
    pub most_grants: usize,
    pub most_pages: usize,
    ports: BTreeMap<u32, u16>,
    next_port: u32,
    pub notified: BTreeMap<u32, u32>,
    pub incarnation: u32,
    pub abandoned: u32,
    /// What a backend did that a grant does not allow.
    pub trespasses: Vec<String>,
    pub outcome: Outcome,
    /// What happens outside while the guest waits.
    pub outside: Option<Outside>,
}

impl Default for Guest {
    fn default() -> Guest {
        Guest {
            now: Duration::from_secs(100),
            store: Store::default(),
            pages: Vec::new(),
            sent: Vec::new(),
            free: Vec::new(),
            grants: BTreeMap::new(),
            next_grant: 8,
            most_grants: 4096,
            most_pages: 8192,
            ports: BTreeMap::new(),
            next_port: 1,
            notified: BTreeMap::new(),
            incarnation: 0,
            abandoned: 0,
            trespasses: Vec::new(),
            outcome: Outcome::Cancelled,
            outside: None,
        }
    }
}

impl Guest {
    /// With a grant table of so many entries.
    pub fn with_grants(most: usize) -> Guest {
        Guest {
            most_grants: most,
            ..Guest::default()
        }
    }

    pub fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    /// A new domain: no grant, no port, no watch, and none of the old device nodes.
    pub fn reincarnate(&mut self) {
        self.incarnation += 1;
        self.grants.clear();
        self.next_grant = 8;
        self.ports.clear();
        self.next_port = 1;
        self.notified.clear();
        self.store = Store::default();
    }

    /// Pages that the kernel gave out and has not got back.
    pub fn pages_out(&self) -> usize {
        self.pages.len() - self.free.len()
    }

    pub fn grants_out(&self) -> usize {
        self.grants.len()
    }

    /// What a page's grant is worth to a domain.
    fn allowed(&mut self, reference: u32, domain: u16, write: bool) -> Option<usize> {
        let grant = self.grants.get(&reference);
        let grant = grant.filter(|g| g.domain == domain);
        let grant = grant.filter(|g| !write || g.access == Access::ReadWrite);
        if grant.is_none() {
            let what = if write { "write" } else { "read" };
            self.trespasses
                .push(format!("domain {domain} may not {what} by {reference}"));
        }
        grant.map(|g| g.page)
    }

    pub fn backend_read(&mut self, reference: u32, domain: u16, at: usize, into: &mut [u8]) {
        if let Some(page) = self.allowed(reference, domain, false) {
            into.copy_from_slice(&self.pages[page].borrow()[at..at + into.len()]);
        }
    }

    pub fn backend_write(&mut self, reference: u32, domain: u16, at: usize, from: &[u8]) {
        if let Some(page) = self.allowed(reference, domain, true) {
            self.pages[page].borrow_mut()[at..at + from.len()].copy_from_slice(from);
        }
    }

    pub fn backend_word(&mut self, reference: u32, domain: u16, at: usize) -> u32 {
        let mut word = [0; 4];
        self.backend_read(reference, domain, at, &mut word);
        u32::from_le_bytes(word)
    }

    pub fn map(&mut self, reference: u32) {
        if let Some(grant) = self.grants.get_mut(&reference) {
            grant.mapped += 1;
        }
    }

    pub fn unmap(&mut self, reference: u32) {
        if let Some(grant) = self.grants.get_mut(&reference) {
            grant.mapped = grant.mapped.saturating_sub(1);
            let page = grant.page;
            self.send(page);
        }
    }

    fn send(&self, page: usize) {
        *self.sent[page].borrow_mut() = *self.pages[page].borrow();
    }

    /// A new domain, with the memory that a live migration sent.
    pub fn migrate(&mut self) {
        self.pages.clone_from(&self.sent);
        self.reincarnate();
    }

    pub fn unmap_all(&mut self) {
        self.grants.values_mut().for_each(|g| g.mapped = 0);
    }

    /// Whether the guest has this port open for the domain.
    pub fn can_bind(&self, number: u32, domain: u16) -> bool {
        self.ports.get(&number) == Some(&domain)
    }
}

impl Clock for Guest {
    fn now(&self) -> Duration {
        self.now
    }
}

impl Kernel for Guest {
    type Tree = Store;
    type Page = Page;
    type Grant = Grant;
    type Port = Port;

    fn tree(&mut self) -> &mut Store {
        &mut self.store
    }

    fn page(&mut self) -> Option<Page> {
        if self.pages_out() >= self.most_pages {
            return None;
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.pages.push(RefCell::new([0; PAGE]));
            self.sent.push(RefCell::new([0; PAGE]));
            self.pages.len() - 1
        });
        *self.pages[at].borrow_mut() = [0; PAGE];
        self.send(at);
        Some(Page(at))
    }

    fn free(&mut self, page: Page) {
        let shared = self.grants.values().any(|g| g.page == page.0);
        assert!(!shared, "a page is freed that is granted");
        self.free.push(page.0);
    }

    fn grant(&mut self, page: Page, domain: u16, access: Access) -> Result<Grant, (Refused, Page)> {
        if self.grants.len() >= self.most_grants {
            return Err((Refused::because("the grant table is full"), page));
        }
        let reference = self.next_grant;
        self.next_grant += 1;
        let granted = Granted {
            page: page.0,
            domain,
            access,
            mapped: 0,
        };
        self.grants.insert(reference, granted);
        Ok(Grant {
            reference,
            page: page.0,
            incarnation: self.incarnation,
        })
    }

    fn end(&mut self, grant: Grant) -> Result<Page, Grant> {
        if grant.incarnation == self.incarnation {
            if self.grants[&grant.reference].mapped > 0 {
                return Err(grant);
            }
            self.grants.remove(&grant.reference);
        }
        Ok(Page(grant.page))
    }

    fn abandon(&mut self, _: Grant) {
        self.abandoned += 1;
    }

    fn reference(&self, grant: &Grant) -> u32 {
        grant.reference
    }

    fn read(&self, memory: Memory<'_, Page, Grant>, at: usize, into: &mut [u8]) {
        into.copy_from_slice(&self.memory(memory).borrow()[at..at + into.len()]);
    }

    fn write(&mut self, memory: Memory<'_, Page, Grant>, at: usize, from: &[u8]) {
        let page = match &memory {
            Memory::Own(page) => page.0,
            Memory::Shared(grant) => grant.page,
        };
        self.memory(memory).borrow_mut()[at..at + from.len()].copy_from_slice(from);
        // As the log would have it: the page is sent as it is now.
        self.send(page);
    }

    fn load(&self, grant: &Grant, at: usize) -> u32 {
        let page = self.pages[grant.page].borrow();
        u32::from_le_bytes(page[at..at + 4].try_into().expect("four bytes"))
    }

    fn publish(&mut self, grant: &Grant, at: usize, value: u32) {
        self.pages[grant.page].borrow_mut()[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn open(&mut self, domain: u16) -> Result<Port, Refused> {
        let number = self.next_port;
        self.next_port += 1;
        self.ports.insert(number, domain);
        Ok(Port {
            number,
            incarnation: self.incarnation,
        })
    }

    fn number(&self, port: &Port) -> u32 {
        port.number
    }

    fn notify(&mut self, port: &Port) {
        if port.incarnation == self.incarnation {
            *self.notified.entry(port.number).or_default() += 1;
        }
    }

    fn unmask(&mut self, _: &Port) {}

    fn close(&mut self, port: Port) {
        if port.incarnation == self.incarnation {
            let open = self.ports.remove(&port.number);
            assert!(open.is_some(), "a port is closed twice");
        }
    }
}

impl Guest {
    fn look_outside(&mut self) {
        if let Some(mut outside) = self.outside.take() {
            outside(self);
            self.outside = Some(outside);
        }
    }

    fn memory(&self, memory: Memory<'_, Page, Grant>) -> &RefCell<[u8; PAGE]> {
        match memory {
            Memory::Own(page) => &self.pages[page.0],
            Memory::Shared(grant) => &self.pages[grant.page],
        }
    }
}

/// The guest's error, for the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub String, pub Party);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Blame for Fault {
    fn party(&self) -> Party {
        self.1
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault(error.to_string(), error.party())
    }
}

impl Platform for Guest {
    type Error = Fault;
    type Drained = ();
    type Store = Store;

    fn xenstore(&mut self) -> Option<&mut Store> {
        None
    }

    fn drain(&mut self, _: Deadline) -> Result<(), Fault> {
        Ok(())
    }

    fn audit(&mut self, (): &(), _: Deadline) -> Result<(), Fault> {
        Ok(())
    }

    fn detach(&mut self, (): &(), _: Deadline) -> Result<(), Fault> {
        Ok(())
    }

    fn reattach(&mut self, _: Return) -> Result<(), Fault> {
        Ok(())
    }

    fn suspend(&mut self, (): &()) -> Result<Outcome, Fault> {
        if self.outcome == Outcome::Restored {
            self.migrate();
        }
        self.look_outside();
        Ok(self.outcome)
    }

    fn relax(&mut self) {
        self.pass(10);
        self.look_outside();
    }

    fn reread(&mut self, _: Return) -> Result<(), Fault> {
        Ok(())
    }
}
