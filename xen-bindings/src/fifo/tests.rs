//! The guest's half against a model of Xen's (`xen/common/event_fifo.c`), which follows it line by
//! line where the guest can see a difference.

use super::*;
use crate::hypercall::double;
use crate::shared_info::tests::page;
use crate::shared_info::SharedInfo;
use proptest::prelude::*;
use std::boxed::Box;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::vec::Vec;

const VCPUS: usize = 3;
const USED: u32 = 12;

/// What Xen keeps of a port.
#[derive(Clone, Copy)]
struct Channel {
    vcpu: usize,
    priority: usize,
    /// The queue that it was linked into last.
    last: (usize, usize),
}

struct Xen {
    array: &'static [ArrayPage],
    blocks: &'static [ControlBlock; VCPUS],
    shared: &'static SharedInfo,
    channels: Vec<Channel>,
    tails: [[u32; QUEUES]; VCPUS],
}

impl Xen {
    fn word(&self, port: u32) -> &'static AtomicU32 {
        &self.array[0].0[port as usize]
    }

    /// `evtchn_fifo_set_link`.
    fn set_link(&self, tail: u32, port: u32) -> bool {
        let word = self.word(tail);
        let is = word.load(Ordering::SeqCst);
        let linked = is & LINKED != 0;
        if linked {
            word.store(is & !(BUSY | LINK) | port, Ordering::SeqCst);
        }
        linked
    }

    /// `evtchn_fifo_set_pending`.
    fn set_pending(&mut self, port: u32) {
        let word = self.word(port);
        word.fetch_or(PENDING, Ordering::SeqCst);
        let channel = self.channels[port as usize];
        let queue = (channel.vcpu, channel.priority);
        let free = word.load(Ordering::SeqCst) & MASKED == 0
            && word.fetch_or(LINKED, Ordering::SeqCst) & LINKED == 0;
        if !free {
            return;
        }
        let old_tail = &mut self.tails[channel.last.0][channel.last.1];
        if *old_tail == port {
            *old_tail = 0;
        }
        self.channels[port as usize].last = queue;
        let tail = self.tails[queue.0][queue.1];
        let linked = tail != 0 && self.set_link(tail, port);
        let block = &self.blocks[queue.0];
        if !linked {
            block.head[queue.1].store(port, Ordering::SeqCst);
        }
        self.tails[queue.0][queue.1] = port;
        if !linked && block.ready.fetch_or(1 << queue.1, Ordering::SeqCst) >> queue.1 & 1 == 0 {
            let info = self.shared.vcpu(queue.0 as u32).unwrap();
            info.upcall_pending().store(1, Ordering::SeqCst);
        }
    }

    /// `evtchn_fifo_unmask`.
    fn unmask(&mut self, port: u32) {
        let was = self.word(port).fetch_and(!MASKED, Ordering::SeqCst);
        if was & PENDING != 0 {
            self.set_pending(port);
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Raise(u32),
    Mask(u32),
    Unmask(u32),
    Priority(u32, usize),
    Move(u32, usize),
    /// The upcall of a vCPU, which raises this port in the handler of the first event.
    Upcall(usize, u32),
}

fn op() -> impl Strategy<Value = Op> {
    let port = || 1..USED;
    prop_oneof![
        4 => port().prop_map(Op::Raise),
        1 => port().prop_map(Op::Mask),
        1 => port().prop_map(Op::Unmask),
        1 => (port(), 0..QUEUES).prop_map(|(port, queue)| Op::Priority(port, queue)),
        1 => (port(), 0..VCPUS).prop_map(|(port, vcpu)| Op::Move(port, vcpu)),
        2 => (0..VCPUS, port()).prop_map(|(vcpu, port)| Op::Upcall(vcpu, port)),
    ]
}

/// A domain whose guest and Xen have just agreed on FIFO event channels.
struct Domain {
    xen: Rc<RefCell<Xen>>,
    array: EventArray<'static>,
    blocks: &'static [ControlBlock; VCPUS],
    heads: [Heads; VCPUS],
    shared: &'static SharedInfo,
    /// Ports raised and not handled since.
    owed: RefCell<BTreeSet<u32>>,
}

impl Domain {
    fn new() -> Self {
        let pages: &'static [ArrayPage] = Box::leak(Box::new([ArrayPage::new()]));
        pages[0].mask_all();
        let blocks: &'static [ControlBlock; VCPUS] =
            Box::leak(Box::new([const { ControlBlock::new() }; VCPUS]));
        let shared = page(|_| ());
        let priority = DEFAULT_PRIORITY as usize;
        let channel = |port: usize| Channel {
            vcpu: port % VCPUS,
            priority,
            last: (0, 0),
        };
        Self {
            xen: Rc::new(RefCell::new(Xen {
                array: pages,
                blocks,
                shared,
                channels: (0..USED as usize).map(channel).collect(),
                tails: [[0; QUEUES]; VCPUS],
            })),
            array: EventArray(pages),
            blocks,
            heads: [const { Heads::new() }; VCPUS],
            shared,
            owed: RefCell::default(),
        }
    }

    fn raise(&self, port: u32) {
        self.owed.borrow_mut().insert(port);
        self.xen.borrow_mut().set_pending(port);
    }

    fn unmask(&self, port: u32) {
        let xen = self.xen.clone();
        let call = move |nr: u32, args: &[usize]| {
            assert_eq!((nr, args[0]), (32, 9));
            xen.borrow_mut().unmask(port);
            0
        };
        double::with(call, || self.array.unmask(Port::new(port)).unwrap());
    }

    fn upcall(&self, vcpu: usize, mut again: Option<u32>) -> Vec<u32> {
        let info = self.shared.vcpu(vcpu as u32).unwrap();
        let mut got = Vec::new();
        self.array
            .upcall(info, &self.blocks[vcpu], &self.heads[vcpu], |port| {
                assert!(!self.array.is_pending(port));
                let owed = self.owed.borrow_mut().remove(&port.number());
                assert!(owed, "{port} was handled and had not come");
                got.push(port.number());
                if let Some(port) = again.take() {
                    self.raise(port);
                }
            });
        got
    }

    fn run(&self, op: &Op) {
        match *op {
            Op::Raise(port) => self.raise(port),
            Op::Mask(port) => self.array.mask(Port::new(port)),
            Op::Unmask(port) => self.unmask(port),
            Op::Priority(port, queue) => {
                self.xen.borrow_mut().channels[port as usize].priority = queue;
            }
            Op::Move(port, vcpu) => self.xen.borrow_mut().channels[port as usize].vcpu = vcpu,
            Op::Upcall(vcpu, port) => drop(self.upcall(vcpu, Some(port))),
        }
    }
}

proptest! {
    /// Each event that came is handled once, on whatever vCPU and in whatever queue, and nothing that
    /// did not come. Only a vCPU whose upcall was raised looks: no event is without one.
    #[test]
    fn every_event_is_handled_once(ops in proptest::collection::vec(op(), 0..120)) {
        let domain = Domain::new();
        for op in &ops {
            domain.run(op);
        }
        for port in 1..USED {
            domain.unmask(port);
        }
        for vcpu in 0..VCPUS {
            domain.upcall(vcpu, None);
        }
        prop_assert!(domain.owed.borrow().is_empty(), "{:?}", domain.owed.borrow());
        for block in domain.blocks {
            prop_assert_eq!(block.ready.load(Ordering::SeqCst), 0);
        }
    }
}

#[test]
fn a_queue_is_emptied_in_order_and_a_lower_number_goes_first() {
    let domain = Domain::new();
    for port in [3, 6, 9] {
        domain.unmask(port);
    }
    domain.run(&Op::Priority(9, 0));
    for port in [6, 3, 9, 6] {
        domain.raise(port);
    }
    assert_eq!(domain.upcall(0, Some(6)), [9, 6, 3]);
    assert!(domain.upcall(0, None).is_empty());
    assert!(domain.upcall(1, None).is_empty());
}

#[test]
fn what_is_masked_in_a_queue_is_passed_over_and_comes_when_it_is_unmasked() {
    let domain = Domain::new();
    let port = Port::new(3);
    domain.unmask(3);
    domain.raise(3);
    domain.array.mask(port);
    assert!(domain.upcall(0, None).is_empty());
    assert!(domain.array.is_pending(port));
    domain.unmask(3);
    assert_eq!(domain.upcall(0, None), [3]);
}

#[test]
fn a_head_that_leads_nowhere_ends_its_queue() {
    let domain = Domain::new();
    for bad in [0, PORTS as u32, LINK] {
        domain.blocks[0].head[7].store(bad, Ordering::SeqCst);
        domain.blocks[0]
            .ready
            .store(1 << 7 | 1 << 31, Ordering::SeqCst);
        let info = domain.shared.vcpu(0).unwrap();
        info.upcall_pending().store(1, Ordering::SeqCst);
        assert!(domain.upcall(0, None).is_empty());
    }
    assert!(!domain.array.covers(Port::new(PORTS as u32)));
}

#[test]
fn a_busy_word_is_unmasked_only_when_xen_has_done() {
    let word = AtomicU32::new(MASKED | BUSY | LINKED);
    std::thread::scope(|scope| {
        let unmasked = scope.spawn(|| unmask_idle(&word));
        for _ in 0..1000 {
            assert_ne!(word.load(Ordering::SeqCst) & MASKED, 0);
        }
        word.fetch_and(!BUSY, Ordering::SeqCst);
        assert!(unmasked.join().unwrap());
    });
    assert_eq!(word.load(Ordering::SeqCst), LINKED);
    word.fetch_or(MASKED | PENDING, Ordering::SeqCst);
    assert!(!unmask_idle(&word));
}
