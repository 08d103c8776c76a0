//! The client against an honest xenstored that hands over bytes in pieces, and against hostile
//! ones.

use super::*;
use core::ptr::NonNull;
use proptest::prelude::*;
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::format;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

fn page() -> &'static Page {
    // SAFETY: a live page that only this view, and the test's other side through it, uses from here
    // on.
    unsafe { Page::at(NonNull::from(Box::leak(Box::default()))) }
}

fn buffers() -> &'static mut Buffers {
    Box::leak(Box::default())
}

fn quiet() -> crate::Result<()> {
    Ok(())
}

/// A xenstored with one client, no permissions and no quotas.
struct Daemon {
    page: *mut ffi::xenstore_domain_interface,
    taken: Vec<u8>,
    to_give: VecDeque<u8>,
    store: BTreeMap<String, Vec<u8>>,
    watches: Vec<(String, String)>,
    transactions: BTreeMap<u32, Transaction>,
    last_transaction: u32,
    /// Raised with each change outside a transaction, and each commit that changes something.
    generation: u32,
    requests: u32,
}

struct Transaction {
    store: BTreeMap<String, Vec<u8>>,
    generation: u32,
    changed: Vec<String>,
}

impl Daemon {
    fn new(page: &Page) -> Self {
        Self {
            page: page.raw(),
            taken: Vec::new(),
            to_give: VecDeque::new(),
            store: BTreeMap::new(),
            watches: Vec::new(),
            transactions: BTreeMap::new(),
            last_transaction: 0,
            generation: 0,
            requests: 0,
        }
    }

    /// Takes and gives so many bytes at most; handles what is complete.
    fn pump(&mut self, take: usize, give: usize) {
        // SAFETY: the page lives on; the tests have one thread each.
        let page = unsafe { &mut *self.page };
        for _ in 0..take {
            if page.req_cons == page.req_prod {
                break;
            }
            self.taken
                .push(page.req[page.req_cons as usize % 1024] as u8);
            page.req_cons = page.req_cons.wrapping_add(1);
        }
        while self.taken.len() >= HEADER {
            let word = |at: usize| u32::from_le_bytes(self.taken[at..at + 4].try_into().unwrap());
            let (kind, id, tx, len) = (word(0), word(4), word(8), word(12) as usize);
            assert!(len <= PAYLOAD_MAX, "the client sent {len} bytes");
            if self.taken.len() < HEADER + len {
                break;
            }
            let payload = self.taken[HEADER..HEADER + len].to_vec();
            self.taken.drain(..HEADER + len);
            self.handle(kind, id, tx, &payload);
        }
        for _ in 0..give {
            if page.rsp_prod.wrapping_sub(page.rsp_cons) == 1024 {
                break;
            }
            let Some(byte) = self.to_give.pop_front() else {
                break;
            };
            page.rsp[page.rsp_prod as usize % 1024] = byte as core::ffi::c_char;
            page.rsp_prod = page.rsp_prod.wrapping_add(1);
        }
    }

    fn send(&mut self, kind: u32, id: u32, tx: u32, payload: &[u8]) {
        for word in [kind, id, tx, payload.len() as u32] {
            self.to_give.extend(word.to_le_bytes());
        }
        self.to_give.extend(payload);
    }

    fn handle(&mut self, kind: u32, id: u32, tx: u32, payload: &[u8]) {
        self.requests += 1;
        let mut after = Vec::new();
        match self.answer(kind, tx, payload, &mut after) {
            Ok(reply) => self.send(kind, id, tx, &reply),
            Err(name) => self.send(ffi::XS_ERROR, id, tx, format!("{name}\0").as_bytes()),
        }
        for path in after {
            self.fire(&path);
        }
    }

    fn answer(
        &mut self,
        kind: u32,
        tx: u32,
        payload: &[u8],
        after: &mut Vec<String>,
    ) -> Result<Vec<u8>, &'static str> {
        let ok = || Ok(b"OK\0".to_vec());
        let texts: Vec<&[u8]> = payload.split(|&b| b == 0).collect();
        let text = |i: usize| String::from_utf8(texts[i].to_vec()).unwrap();
        if kind != ffi::XS_WRITE {
            assert_eq!(
                payload.last(),
                Some(&0),
                "type {kind} does not end with a zero byte"
            );
        }
        match kind {
            ffi::XS_WATCH => {
                if self.watches.contains(&(text(0), text(1))) {
                    return Err("EEXIST");
                }
                self.watches.push((text(0), text(1)));
                // An old xenstored sends the first event before the reply; this one does too.
                let event = format!("{}\0{}\0", text(0), text(1));
                self.send(ffi::XS_WATCH_EVENT, 0, 0, event.as_bytes());
                return ok();
            }
            ffi::XS_UNWATCH => {
                let at = self.watches.iter().position(|w| *w == (text(0), text(1)));
                self.watches.remove(at.ok_or("ENOENT")?);
                return ok();
            }
            ffi::XS_RESET_WATCHES => {
                self.watches.clear();
                return ok();
            }
            ffi::XS_GET_DOMAIN_PATH => {
                return Ok(format!("/local/domain/{}\0", text(0)).into_bytes())
            }
            ffi::XS_TRANSACTION_START => {
                self.last_transaction += 1;
                let transaction = Transaction {
                    store: self.store.clone(),
                    generation: self.generation,
                    changed: Vec::new(),
                };
                self.transactions.insert(self.last_transaction, transaction);
                return Ok(format!("{}\0", self.last_transaction).into_bytes());
            }
            ffi::XS_TRANSACTION_END => {
                let done = self.transactions.remove(&tx).ok_or("ENOENT")?;
                if payload == b"T\0" {
                    if done.generation != self.generation {
                        return Err("EAGAIN");
                    }
                    if !done.changed.is_empty() {
                        self.generation += 1;
                        self.store = done.store;
                        after.extend(done.changed);
                    }
                }
                return ok();
            }
            _ => {}
        }
        let mut changed = None;
        let store = match tx {
            0 => &mut self.store,
            _ => &mut self.transactions.get_mut(&tx).ok_or("ENOENT")?.store,
        };
        let path = text(0);
        let reply = match kind {
            ffi::XS_READ => store.get(&path).cloned().ok_or("ENOENT")?,
            ffi::XS_WRITE => {
                store.insert(path.clone(), payload[path.len() + 1..].to_vec());
                changed = Some(path);
                b"OK\0".to_vec()
            }
            ffi::XS_MKDIR => {
                store.entry(path.clone()).or_default();
                changed = Some(path);
                b"OK\0".to_vec()
            }
            ffi::XS_RM => {
                store.remove(&path).ok_or("ENOENT")?;
                changed = Some(path);
                b"OK\0".to_vec()
            }
            ffi::XS_DIRECTORY => {
                let prefix = format!("{path}/");
                let children: BTreeSet<&str> = store
                    .keys()
                    .filter_map(|key| key.strip_prefix(&prefix)?.split('/').next())
                    .collect();
                children
                    .iter()
                    .flat_map(|name| [name.as_bytes(), b"\0"].concat())
                    .collect()
            }
            _ => return Err("ENOSYS"),
        };
        if let Some(path) = changed {
            if let Some(transaction) = self.transactions.get_mut(&tx) {
                transaction.changed.push(path);
            } else {
                self.generation += 1;
                after.push(path);
            }
        }
        Ok(reply)
    }

    fn fire(&mut self, path: &str) {
        for (watched, token) in self.watches.clone() {
            if path == watched || path.starts_with(&format!("{watched}/")) {
                self.send(
                    ffi::XS_WATCH_EVENT,
                    0,
                    0,
                    format!("{path}\0{token}\0").as_bytes(),
                );
            }
        }
    }

    /// Somebody else writes.
    fn write(&mut self, path: &str, value: &[u8]) {
        self.store.insert(path.to_string(), value.to_vec());
        self.generation += 1;
        self.fire(path);
    }
}

/// A wait that pumps `daemon`, and gives up where a client that works is done long before.
fn pumping(daemon: &mut Daemon) -> impl FnMut() -> bool + '_ {
    let mut rounds = 1000;
    move || {
        daemon.pump(100, 100);
        rounds -= 1;
        rounds > 0
    }
}

/// A client and its daemon, which exchange bytes in the pieces given, again and again.
struct Pair {
    client: Client<'static, fn() -> crate::Result<()>>,
    daemon: Rc<RefCell<Daemon>>,
    pieces: Rc<RefCell<VecDeque<(usize, usize)>>>,
}

impl Pair {
    fn new(pieces: &[(usize, usize)]) -> Self {
        let page = page();
        Self {
            client: Client::new(page, buffers(), quiet as fn() -> crate::Result<()>),
            daemon: Rc::new(RefCell::new(Daemon::new(page))),
            pieces: Rc::new(RefCell::new(pieces.iter().copied().collect())),
        }
    }

    fn pump(&self) -> impl FnMut() -> bool {
        let (daemon, pieces) = (self.daemon.clone(), self.pieces.clone());
        // Far more rounds than the longest message has pieces of one byte.
        let mut rounds = 20_000;
        move || {
            pieces.borrow_mut().rotate_left(1);
            let (take, give) = pieces.borrow()[0];
            daemon.borrow_mut().pump(take, give);
            rounds -= 1;
            rounds > 0
        }
    }

    fn call(&mut self, request: Request<'_>) -> Result<Vec<u8>, Error> {
        let pump = self.pump();
        self.client.call(&request, pump).map(<[u8]>::to_vec)
    }

    /// Polls until nothing moves any more.
    fn settle(&mut self) {
        let mut pump = self.pump();
        for _ in 0..2000 {
            pump();
            assert_eq!(self.client.poll(), Ok(Status::Idle));
        }
        assert!(self.daemon.borrow().to_give.is_empty());
    }

    fn notices(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(notice) = self.client.next_notice() {
            out.push(match notice {
                Notice::Event { path, token } => {
                    format!(
                        "{} {}",
                        String::from_utf8_lossy(path),
                        String::from_utf8_lossy(token)
                    )
                }
                Notice::Rescan => "rescan".to_string(),
            });
        }
        out
    }
}

const TX: Option<Tx> = None;

#[derive(Clone, Debug)]
enum Step {
    Write(u8, usize),
    Read(u8),
    Mkdir(u8),
    Rm(u8),
    Directory,
    /// A transaction that writes a node; another writer gets in between if so asked.
    Transaction(u8, bool),
    Watch(u8),
    Unwatch(u8),
    Other(u8),
    TakeNotices,
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0u8..4;
    prop_oneof![
        (node.clone(), prop_oneof![0usize..20, 900usize..4000])
            .prop_map(|(n, len)| Step::Write(n, len)),
        node.clone().prop_map(Step::Read),
        node.clone().prop_map(Step::Mkdir),
        node.clone().prop_map(Step::Rm),
        Just(Step::Directory),
        (node.clone(), any::<bool>()).prop_map(|(n, collide)| Step::Transaction(n, collide)),
        node.clone().prop_map(Step::Watch),
        node.clone().prop_map(Step::Unwatch),
        node.prop_map(Step::Other),
        Just(Step::TakeNotices),
    ]
}

proptest! {
    /// Against an honest xenstored every reply is the model's, however the bytes are cut into
    /// pieces, and every change of a watched node is seen, or covered by a rescan.
    #[test]
    fn replies_and_events_are_right_in_any_pieces(
        steps in proptest::collection::vec(step(), 1..60),
        pieces in proptest::collection::vec(prop_oneof![(1usize..40, 1usize..40), (0usize..2000, 0usize..2000)], 1..12),
    ) {
        // At least one piece moves something each way.
        let mut pieces = pieces;
        pieces.push((500, 500));
        let mut pair = Pair::new(&pieces);
        let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut watched: BTreeSet<String> = BTreeSet::new();
        let mut unseen: BTreeSet<String> = BTreeSet::new();
        let name = |n: u8| format!("data/{n}");
        for (count, step) in steps.into_iter().enumerate() {
            let mut changed = None;
            match step {
                Step::Write(n, len) => {
                    let value: Vec<u8> = (0..len).map(|i| (i + count) as u8).collect();
                    let reply = pair.call(Request::Write { tx: TX, path: &name(n), value: &value });
                    prop_assert_eq!(reply, Ok(b"OK\0".to_vec()));
                    model.insert(name(n), value);
                    changed = Some(name(n));
                }
                Step::Read(n) => match (pair.call(Request::Read { tx: TX, path: &name(n) }), model.get(&name(n))) {
                    (Ok(got), Some(want)) => prop_assert_eq!(&got, want),
                    (Err(error), None) => prop_assert_eq!(error.errno(), Some(Errno::ENOENT)),
                    (got, want) => prop_assert!(false, "{:?} for {:?}", got, want),
                },
                Step::Mkdir(n) => {
                    let reply = pair.call(Request::Mkdir { tx: TX, path: &name(n) });
                    prop_assert!(reply.is_ok());
                    model.entry(name(n)).or_default();
                    changed = Some(name(n));
                }
                Step::Rm(n) => {
                    let reply = pair.call(Request::Rm { tx: TX, path: &name(n) });
                    prop_assert_eq!(reply.is_ok(), model.remove(&name(n)).is_some());
                    changed = reply.is_ok().then(|| name(n));
                }
                Step::Directory => {
                    let reply = pair.call(Request::Directory { tx: TX, path: "data" }).unwrap();
                    let got: Vec<String> = names(&reply)
                        .map(|name| format!("data/{}", String::from_utf8_lossy(name)))
                        .collect();
                    prop_assert!(got.iter().eq(model.keys()), "{:?}", got);
                }
                Step::Transaction(n, collide) => {
                    let pump = pair.pump();
                    let tx = pair.client.transaction_start(pump).unwrap();
                    pair.call(Request::Write { tx: Some(tx), path: &name(n), value: b"in" }).unwrap();
                    // Not to be seen from outside yet.
                    let outside = pair.call(Request::Read { tx: TX, path: &name(n) }).ok();
                    prop_assert_eq!(outside.as_ref(), model.get(&name(n)));
                    if collide {
                        pair.daemon.borrow_mut().write("elsewhere", b"");
                    }
                    let pump = pair.pump();
                    prop_assert_eq!(pair.client.transaction_end(tx, true, pump), Ok(!collide));
                    if !collide {
                        model.insert(name(n), b"in".to_vec());
                        changed = Some(name(n));
                    }
                }
                Step::Watch(n) => {
                    let reply = pair.call(Request::Watch { path: &name(n), token: "t" });
                    if watched.insert(name(n)) {
                        prop_assert!(reply.is_ok());
                        unseen.insert(name(n));
                    } else {
                        prop_assert_eq!(reply.unwrap_err().errno(), Some(Errno::EEXIST));
                    }
                }
                Step::Unwatch(n) => {
                    let reply = pair.call(Request::Unwatch { path: &name(n), token: "t" });
                    prop_assert_eq!(reply.is_ok(), watched.remove(&name(n)));
                }
                Step::Other(n) => {
                    pair.daemon.borrow_mut().write(&name(n), b"theirs");
                    model.insert(name(n), b"theirs".to_vec());
                    changed = Some(name(n));
                }
                Step::TakeNotices => {
                    pair.settle();
                    for notice in pair.notices() {
                        match notice.strip_suffix(" t") {
                            Some(path) => {
                                unseen.remove(path);
                            }
                            None => unseen.clear(),
                        }
                    }
                    prop_assert!(unseen.is_empty(), "{:?} changed and nobody said so", unseen);
                }
            }
            unseen.extend(changed.filter(|path| watched.contains(path)));
        }
    }

    /// Whatever bytes and indices the other side writes: no panic, every call ends, a violation
    /// stays until reset, and after a reset against an honest xenstored the client works again.
    #[test]
    fn a_hostile_xenstored_is_survived(
        steps in proptest::collection::vec((0u8..10, any::<u32>(), any::<u32>()), 1..200),
        noise in proptest::collection::vec(any::<u8>(), 64),
    ) {
        let page = page();
        let mut client = Client::new(page, buffers(), quiet as fn() -> crate::Result<()>);
        let mut broken = None;
        for (what, a, b) in steps {
            // SAFETY: the page lives on; the test has one thread.
            let hostile = unsafe { &mut *page.raw() };
            match what {
                0 => hostile.req_cons = a,
                1 => hostile.rsp_prod = a,
                2 => (hostile.req_prod, hostile.rsp_cons) = (a, b),
                3 => {
                    (hostile.server_features, hostile.error) = (a, b & 3);
                    hostile.connection = b >> 2 & 1;
                }
                // Indices that could be: a few bytes more, or room given back.
                4 => hostile.rsp_prod = hostile.rsp_prod.wrapping_add(a % 300),
                5 => hostile.req_cons = hostile.req_cons.wrapping_add(a % 300),
                6 => {
                    // A header of small numbers, which gets further than noise does.
                    let id = client.last_id;
                    let header = [a % 25, id, 0, b % 5000].map(u32::to_le_bytes).concat();
                    for byte in header.iter().chain(&noise) {
                        hostile.rsp[hostile.rsp_prod as usize % 1024] = *byte as core::ffi::c_char;
                        hostile.rsp_prod = hostile.rsp_prod.wrapping_add(1);
                    }
                }
                7 => {
                    let value = vec![0; a as usize % PAYLOAD_MAX];
                    let _ = client.submit(&Request::Write { tx: TX, path: "a", value: &value });
                }
                8 => {
                    client.abandon();
                    let _ = client.reply();
                    while client.next_notice().is_some() {}
                }
                _ => {
                    client.reset(quiet as fn() -> crate::Result<()>);
                    broken = None;
                }
            }
            match client.poll() {
                Err(error @ Error::Violation(_)) => {
                    prop_assert!(broken.is_none() || broken == Some(error));
                    prop_assert!(error.to_string().starts_with("xenstored: "), "{}", error);
                    prop_assert_eq!(client.submit(&Request::ResetWatches), Err(error));
                    broken = Some(error);
                }
                other => {
                    prop_assert!(broken.is_none());
                    prop_assert!(other.is_ok());
                }
            }
        }
        // SAFETY: as above.
        unsafe { (*page.raw()).server_features = 0 };
        // Also if a new connection was under way.
        client.reset(quiet as fn() -> crate::Result<()>);
        while client.next_notice().is_some() {}
        let mut daemon = Daemon::new(page);
        daemon.write("name", b"guest");
        let reply = client.call(&Request::Read { tx: TX, path: "name" }, pumping(&mut daemon));
        prop_assert_eq!(reply, Ok(&b"guest"[..]));
    }
}

/// What a client says to one message of the daemon's making, with request 1 (a read) under way and
/// sent.
fn answer_to(kind: u32, id: u32, len: u32, payload: &[u8]) -> Result<Status, Error> {
    let page = page();
    let mut client = Client::new(page, buffers(), quiet as fn() -> crate::Result<()>);
    client.submit(&Request::Read { tx: TX, path: "a" }).unwrap();
    assert_eq!(client.poll(), Ok(Status::Pending));
    let mut daemon = Daemon::new(page);
    daemon
        .to_give
        .extend([kind, id, 0, len].map(u32::to_le_bytes).concat());
    daemon.to_give.extend(payload);
    daemon.pump(0, usize::MAX);
    client.poll()
}

#[test]
fn each_violation_is_found_and_named() {
    let said = |result: Result<Status, Error>| result.unwrap_err().to_string();
    assert_eq!(answer_to(2, 1, 1, b"v"), Ok(Status::Done));
    assert_eq!(answer_to(16, 1, 7, b"ENOENT\0"), Ok(Status::Done));
    assert_eq!(answer_to(2, 1, 2, b"v"), Ok(Status::Pending));
    assert_eq!(
        said(answer_to(2, 1, 4097, b"")),
        "xenstored: sent a message of 4097 bytes, and 4096 is the most"
    );
    assert_eq!(
        said(answer_to(2, 1, u32::MAX, b"")),
        "xenstored: sent a message of 4294967295 bytes, and 4096 is the most"
    );
    assert_eq!(
        said(answer_to(23, 1, 0, b"")),
        "xenstored: sent a message of unknown type 23"
    );
    assert_eq!(
        said(answer_to(11, 1, 0, b"")),
        "xenstored: answered XS_READ with type 11"
    );
    assert_eq!(
        said(answer_to(2, 2, 0, b"")),
        "xenstored: answered request 2, which was not under way"
    );
    assert_eq!(
        said(answer_to(15, 0, 3, b"a\0t")),
        "xenstored: sent a watch event without path and token"
    );
}

#[test]
fn a_reply_to_half_a_request_is_a_violation() {
    let page = page();
    let mut client = Client::new(page, buffers(), quiet as fn() -> crate::Result<()>);
    // Longer than the ring.
    client
        .submit(&Request::Write {
            tx: TX,
            path: "a",
            value: &[0; 2000],
        })
        .unwrap();
    assert_eq!(client.poll(), Ok(Status::Pending));
    let mut daemon = Daemon::new(page);
    daemon.send(ffi::XS_WRITE, 1, 0, b"OK\0");
    daemon.pump(0, 100);
    assert_eq!(client.poll(), Err(Violation::Unasked { id: 1 }.into()));
}

#[test]
fn impossible_indices_and_complaints_name_xenstored() {
    let page = page();
    let mut client = Client::new(page, buffers(), quiet as fn() -> crate::Result<()>);
    // SAFETY: the page lives on; the test has one thread.
    unsafe { (*page.raw()).rsp_prod = 1025 };
    assert_eq!(
        client.poll().unwrap_err().to_string(),
        "xenstored: rsp ring has impossible indices: producer 1025, consumer 0, 1024 bytes"
    );
    client.reset(quiet as fn() -> crate::Result<()>);
    assert_eq!(client.poll(), Ok(Status::Idle));
    // Without the feature bit the field means nothing.
    // SAFETY: as above.
    unsafe { (*page.raw()).error = 3 };
    assert_eq!(client.poll(), Ok(Status::Idle));
    // SAFETY: as above.
    unsafe { (*page.raw()).server_features = 2 };
    assert_eq!(
        client.poll().unwrap_err().to_string(),
        "xenstored: reports a protocol violation of this domain (3)"
    );
}

#[test]
fn a_transaction_without_a_number_is_a_violation() {
    for bad in [&b"0\0"[..], b"x\0", b""] {
        let page = page();
        let mut client = Client::new(page, buffers(), quiet as fn() -> crate::Result<()>);
        let mut daemon = Daemon::new(page);
        let result = client.transaction_start(|| {
            daemon.send(ffi::XS_TRANSACTION_START, 1, 0, bad);
            daemon.pump(0, 100);
            true
        });
        assert_eq!(result, Err(Violation::BadTransaction.into()));
        assert_eq!(client.poll(), Err(Violation::BadTransaction.into()));
    }
}

#[test]
fn a_late_reply_is_dropped_and_does_not_pass_for_another() {
    let mut pair = Pair::new(&[(2000, 2000)]);
    pair.daemon.borrow_mut().write("a", b"old");
    let timed_out = pair
        .client
        .call(&Request::Read { tx: TX, path: "a" }, || false);
    assert_eq!(
        timed_out.unwrap_err().to_string(),
        "xenstored did not answer XS_READ in time"
    );
    // Its answer arrives together with the next one's.
    pair.daemon.borrow_mut().write("a", b"new");
    assert_eq!(
        pair.call(Request::Read { tx: TX, path: "a" }),
        Ok(b"new".to_vec())
    );
    assert_eq!(pair.daemon.borrow().requests, 2);
    // Four unanswered requests are as many as are remembered.
    for _ in 0..4 {
        pair.client
            .call(&Request::Read { tx: TX, path: "a" }, || false)
            .unwrap_err();
    }
    let error = pair
        .client
        .submit(&Request::Read { tx: TX, path: "a" })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "XS_READ not sent: an earlier request is still under way"
    );
    pair.settle();
    assert_eq!(
        pair.call(Request::Read { tx: TX, path: "a" }),
        Ok(b"new".to_vec())
    );
}

#[test]
fn a_request_given_up_half_sent_is_sent_to_its_end() {
    let mut pair = Pair::new(&[(700, 2000)]);
    let value = [7; 3000];
    let write = Request::Write {
        tx: TX,
        path: "a",
        value: &value,
    };
    pair.client.call(&write, || false).unwrap_err();
    let read = Request::Read { tx: TX, path: "a" };
    assert!(matches!(
        pair.client.submit(&read),
        Err(Error::BadRequest {
            why: BadRequest::Busy,
            ..
        })
    ));
    pair.settle();
    assert_eq!(pair.call(read), Ok(value.to_vec()));
}

#[test]
fn a_reset_drops_half_messages_both_ways() {
    let page = page();
    let mut client = Client::new(page, buffers(), quiet as fn() -> crate::Result<()>);
    let mut daemon = Daemon::new(page);
    // An event that waits, half a request in the ring, half an event received.
    daemon.send(ffi::XS_WATCH_EVENT, 0, 0, b"a\0t\0");
    daemon.send(ffi::XS_WATCH_EVENT, 0, 0, b"b\0t\0");
    daemon.pump(0, 30);
    client
        .submit(&Request::Write {
            tx: TX,
            path: "a",
            value: &[0; 2000],
        })
        .unwrap();
    assert_eq!(client.poll(), Ok(Status::Pending));
    assert!(client.has_notice());
    // Restored: another daemon, which begins where the page says.
    let mut daemon = Daemon::new(page);
    daemon.write("name", b"guest");
    assert!(
        client.reset(quiet as fn() -> crate::Result<()>),
        "a request was under way"
    );
    assert_eq!(client.next_notice(), Some(Notice::Rescan));
    assert_eq!(client.next_notice(), None);
    assert_eq!(client.reply(), Err(Error::NoReply));
    let reply = client.call(
        &Request::Read {
            tx: TX,
            path: "name",
        },
        pumping(&mut daemon),
    );
    assert_eq!(reply, Ok(&b"guest"[..]));
    assert!(!client.reset(quiet as fn() -> crate::Result<()>));
    assert!(!client.has_notice());
}

#[test]
fn a_refusal_keeps_its_name_and_the_client_goes_on() {
    let mut pair = Pair::new(&[(2000, 2000)]);
    let error = pair
        .call(Request::Read {
            tx: TX,
            path: "none",
        })
        .unwrap_err();
    assert_eq!(error.to_string(), "xenstored refused XS_READ: ENOENT");
    let error = pair
        .call(Request::TransactionEnd {
            tx: Tx::new(9, 1),
            commit: true,
        })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "xenstored refused XS_TRANSACTION_END: ENOENT"
    );
    let path = pair.call(Request::GetDomainPath { domid: 12 }).unwrap();
    assert_eq!(path, b"/local/domain/12\0");
}

#[test]
fn too_many_events_become_one_rescan() {
    let mut pair = Pair::new(&[(2000, 2000)]);
    pair.call(Request::Watch {
        path: "data",
        token: "t",
    })
    .unwrap();
    pair.settle();
    assert_eq!(pair.notices(), ["data t"]);
    for i in 0..1000 {
        pair.daemon.borrow_mut().write(&format!("data/{i}"), b"");
    }
    pair.settle();
    assert_eq!(pair.notices(), ["rescan"]);
    pair.daemon.borrow_mut().write("data/x", b"");
    pair.settle();
    assert_eq!(pair.notices(), ["data/x t"]);
    pair.call(Request::ResetWatches).unwrap();
    pair.daemon.borrow_mut().write("data/x", b"");
    pair.settle();
    assert!(pair.notices().is_empty());
}

#[test]
fn an_event_that_xen_refuses_is_sent_by_the_next_poll() {
    let (fail, sent) = (Cell::new(true), Cell::new(0));
    let notify = || {
        if fail.get() {
            return crate::Call::new("EVTCHNOP_send").check(-22).map(drop);
        }
        sent.set(sent.get() + 1);
        Ok(())
    };
    let mut client = Client::new(page(), buffers(), notify);
    client.submit(&Request::ResetWatches).unwrap();
    let error = client.poll().unwrap_err();
    assert_eq!(
        error.to_string(),
        "xenstore event: EVTCHNOP_send: EINVAL (22)"
    );
    fail.set(false);
    assert_eq!(client.poll(), Ok(Status::Pending));
    assert_eq!(client.poll(), Ok(Status::Pending));
    assert_eq!(sent.get(), 1);
}

/// Both sides sleep until the other sends an event: nobody polls on the off chance.
#[test]
fn no_wake_up_is_lost_when_both_sides_sleep() {
    let page = page();
    let event = Cell::new(false);
    let notify = || {
        event.set(true);
        Ok(())
    };
    let mut client = Client::new(page, buffers(), notify);
    let mut daemon = Daemon::new(page);
    let value: Vec<u8> = (0..4000u32).map(|i| (i * 7) as u8).collect();
    // Wakes the daemon if it was sent an event; wakes the client if the daemon did something then.
    let mut wait = || {
        let woken = event.take();
        if woken {
            daemon.pump(usize::MAX, usize::MAX);
        }
        woken
    };
    let write = Request::Write {
        tx: TX,
        path: "a",
        value: &value,
    };
    assert_eq!(client.call(&write, &mut wait), Ok(&b"OK\0"[..]));
    let read = Request::Read { tx: TX, path: "a" };
    assert_eq!(client.call(&read, &mut wait), Ok(&value[..]));
}

/// A daemon that counts: open transactions never pass xenstored's quota for a domain, and none is
/// left at the end.
#[test]
fn a_late_answer_to_a_transaction_s_start_ends_it() {
    let mut pair = Pair::new(&[(2000, 2000)]);
    for round in 1..=12 {
        // xenstored is stopped for longer than anybody waits, and goes on.
        let late = pair.client.transaction_start(|| false).unwrap_err();
        assert_eq!(
            late.to_string(),
            "xenstored did not answer XS_TRANSACTION_START in time"
        );
        pair.settle();
        let open = pair.daemon.borrow().transactions.len();
        assert_eq!(open, 0, "after {round} late answers");
    }
    let pump = pair.pump();
    let tx = pair.client.transaction_start(pump).unwrap();
    let pump = pair.pump();
    assert_eq!(pair.client.transaction_end(tx, true, pump), Ok(true));
    assert_eq!(pair.daemon.borrow().transactions.len(), 0);
}

/// Nobody polls an idle client in between: the next request takes what is to be ended with it.
#[test]
fn a_late_start_is_ended_by_the_next_request() {
    let mut pair = Pair::new(&[(2000, 2000)]);
    for _ in 0..30 {
        pair.client.transaction_start(|| false).unwrap_err();
        let read = Request::Read {
            tx: TX,
            path: "none",
        };
        for _ in 0..2 {
            let error = pair.call(read).unwrap_err();
            assert_eq!(error.errno(), Some(Errno::ENOENT), "{error}");
        }
    }
    assert_eq!(pair.daemon.borrow().transactions.len(), 0);
}

/// The domain was paused: the answer is in the ring when the time is over.
#[test]
fn what_is_in_the_ring_is_taken_before_the_time_is_judged() {
    let mut pair = Pair::new(&[(2000, 2000)]);
    pair.daemon.borrow_mut().write("a", b"old");
    let daemon = pair.daemon.clone();
    let read = Request::Read { tx: TX, path: "a" };
    let reply = pair.client.call(&read, || {
        daemon.borrow_mut().pump(2000, 2000);
        false
    });
    assert_eq!(reply, Ok(&b"old"[..]));
    let daemon = pair.daemon.clone();
    let tx = pair.client.transaction_start(|| {
        daemon.borrow_mut().pump(2000, 2000);
        false
    });
    let daemon = pair.daemon.clone();
    let committed = pair.client.transaction_end(tx.unwrap(), true, || {
        daemon.borrow_mut().pump(2000, 2000);
        false
    });
    assert_eq!(committed, Ok(true));
}

/// xenstored counts anew after a restore: the number of an old transaction is somebody else's by
/// then.
#[test]
fn a_transaction_from_before_a_restore_acts_on_nobody() {
    let page = page();
    let mut client = Client::new(page, buffers(), quiet as fn() -> crate::Result<()>);
    let mut daemon = Daemon::new(page);
    let old = client.transaction_start(pumping(&mut daemon)).unwrap();
    // Restored.
    let mut daemon = Daemon::new(page);
    client.reset(quiet as fn() -> crate::Result<()>);
    let new = client.transaction_start(pumping(&mut daemon)).unwrap();
    let asked = daemon.requests;
    let write = |tx| Request::Write {
        tx: Some(tx),
        path: "a",
        value: b"v",
    };
    for result in [
        client.call(&write(old), pumping(&mut daemon)).map(|_| true),
        client.transaction_end(old, false, pumping(&mut daemon)),
        client.transaction_end(old, true, pumping(&mut daemon)),
    ] {
        assert!(result.is_err(), "the old handle was accepted");
    }
    assert_eq!(daemon.requests, asked, "xenstored was asked");
    assert!(client.call(&write(new), pumping(&mut daemon)).is_ok());
    assert_eq!(
        client.transaction_end(new, true, pumping(&mut daemon)),
        Ok(true)
    );
}

/// The end of a transaction that cannot even be sent is not forgotten.
#[test]
fn a_transaction_whose_end_finds_no_room_is_ended_later() {
    let mut pair = Pair::new(&[(2000, 2000)]);
    let pump = pair.pump();
    let tx = pair.client.transaction_start(pump).unwrap();
    let read = Request::Read {
        tx: Some(tx),
        path: "a",
    };
    for _ in 0..4 {
        pair.client.call(&read, || false).unwrap_err();
    }
    pair.client
        .transaction_end(tx, false, || false)
        .unwrap_err();
    pair.settle();
    assert_eq!(pair.daemon.borrow().transactions.len(), 0);
}

/// What oxenstored does when the page asks for a new connection.
fn serve_reconnection(page: &Page, daemon: &mut Daemon) {
    // SAFETY: the page lives on; the tests have one thread each.
    let shared = unsafe { &mut *page.raw() };
    if shared.connection == ffi::XENSTORE_RECONNECT {
        *daemon = Daemon::new(page);
        (shared.req_prod, shared.req_cons) = (0, 0);
        (shared.rsp_prod, shared.rsp_cons) = (0, 0);
        shared.connection = ffi::XENSTORE_CONNECTED;
    }
}

#[test]
fn a_broken_ring_is_begun_anew_where_xenstored_offers_it() {
    let page = page();
    let quiet = quiet as fn() -> crate::Result<()>;
    let mut client = Client::new(page, buffers(), quiet);
    let mut daemon = Daemon::new(page);
    let old = client.transaction_start(pumping(&mut daemon)).unwrap();
    // SAFETY: the page lives on; the test has one thread.
    unsafe { (*page.raw()).rsp_prod = 5000 };
    let broken = client.poll().unwrap_err();
    assert!(matches!(broken, Error::Violation(_)));
    // C xenstored does not offer it, and an honest client does not ask.
    assert!(!client.can_reconnect());
    assert_eq!(client.reconnect(quiet, || true), Err(Error::NoReconnection));
    // SAFETY: as above.
    let connection = unsafe {
        (*page.raw()).server_features = ffi::XENSTORE_SERVER_FEATURE_RECONNECTION;
        (*page.raw()).connection
    };
    assert_eq!(connection, ffi::XENSTORE_CONNECTED);
    // It does not answer: still broken, and may be asked again.
    let error = client.reconnect(quiet, || false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "xenstored did not answer a new connection in time"
    );
    assert_eq!(client.poll(), Err(broken));
    // It answers at the moment at which the time is over.
    let done = client.reconnect(quiet, || {
        serve_reconnection(page, &mut daemon);
        false
    });
    assert_eq!(done, Ok(()));
    daemon.write("name", b"guest");
    let read = |tx| Request::Read { tx, path: "name" };
    let reply = client.call(&read(TX), pumping(&mut daemon));
    assert_eq!(reply, Ok(&b"guest"[..]));
    let error = client
        .call(&read(Some(old)), pumping(&mut daemon))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "XS_READ not sent: its transaction ended with an earlier connection"
    );
}

/// Whoever made the domain has asked for a new connection before the kernel runs.
#[test]
fn a_connection_that_is_being_made_is_waited_for() {
    let page = page();
    // SAFETY: the page lives on; the test has one thread.
    unsafe {
        (*page.raw()).server_features = ffi::XENSTORE_SERVER_FEATURE_RECONNECTION;
        (*page.raw()).connection = ffi::XENSTORE_RECONNECT;
        // The leftovers of another kernel.
        ((*page.raw()).req_prod, (*page.raw()).req_cons) = (77, 70);
        ((*page.raw()).rsp_prod, (*page.raw()).rsp_cons) = (50, 41);
    }
    let mut client = Client::new(page, buffers(), quiet as fn() -> crate::Result<()>);
    let mut daemon = Daemon::new(page);
    let path = "name";
    client.submit(&Request::Read { tx: TX, path }).unwrap();
    assert_eq!(client.poll(), Ok(Status::Pending));
    serve_reconnection(page, &mut daemon);
    daemon.write("name", b"guest");
    assert_eq!(client.poll(), Ok(Status::Pending));
    daemon.pump(1000, 1000);
    assert_eq!(client.poll(), Ok(Status::Done));
    assert_eq!(client.reply(), Ok(&b"guest"[..]));
}

/// The domain's transactions and watches end with `XS_RESET_WATCHES`, and so do the handles.
#[test]
fn a_reset_of_the_watches_ends_the_transactions() {
    let mut pair = Pair::new(&[(2000, 2000)]);
    let pump = pair.pump();
    let tx = pair.client.transaction_start(pump).unwrap();
    pair.call(Request::ResetWatches).unwrap();
    let error = pair
        .call(Request::Read {
            tx: Some(tx),
            path: "a",
        })
        .unwrap_err();
    assert!(matches!(
        error,
        Error::BadRequest {
            why: BadRequest::StaleTransaction,
            ..
        }
    ));
}
