//! Two-level event channels: finding what is pending, masking, and whose port it is.
//!
//! Xen sets a port's bit in [`SharedInfo::pending`], the bit of that word in the selector of the
//! vCPU that the port is bound to, and that vCPU's `upcall_pending` (`public/event_channel.h`). The
//! pending bitmap is the domain's, the selector is the vCPU's: a word that one vCPU is sent to can
//! hold bits of ports that belong to another. A scan therefore takes a [`PortSet`] and touches no
//! port outside it; without one, a vCPU would swallow its neighbour's IPIs.
//!
//! The functions are generic over the word, so that both sizes are tested on one host.

use crate::event_channel::{self, Port};
use crate::shared_info::{AtomicWord, SharedInfo, VcpuInfo, WORD_BITS};
use crate::Result;
use core::ops::{BitAnd, BitAndAssign, Not};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A word of an event bitmap, 32 or 64 bits wide.
pub trait Word {
    /// Its value.
    type Value: Copy
        + PartialEq
        + BitAnd<Output = Self::Value>
        + BitAndAssign
        + Not<Output = Self::Value>;
    /// Bits in it, and words in a bitmap.
    const BITS: u32;
    /// All bits clear.
    const ZERO: Self::Value;
    /// Bit `n` alone; `n` is below [`Self::BITS`].
    fn bit(n: u32) -> Self::Value;
    /// The lowest bit set, or [`Self::BITS`].
    fn lowest(value: Self::Value) -> u32;
    /// Reads.
    fn get(&self) -> Self::Value;
    /// Reads and clears.
    fn take(&self) -> Self::Value;
    /// Sets `bits`, and returns what was before.
    fn set(&self, bits: Self::Value) -> Self::Value;
    /// Clears `bits`, and returns what was before.
    fn clear(&self, bits: Self::Value) -> Self::Value;
}

macro_rules! word {
    ($atomic:ty, $value:ty) => {
        impl Word for $atomic {
            type Value = $value;
            const BITS: u32 = <$value>::BITS;
            const ZERO: $value = 0;
            fn bit(n: u32) -> $value {
                1 << n
            }
            fn lowest(value: $value) -> u32 {
                value.trailing_zeros()
            }
            fn get(&self) -> $value {
                self.load(Ordering::SeqCst)
            }
            fn take(&self) -> $value {
                self.swap(0, Ordering::SeqCst)
            }
            fn set(&self, bits: $value) -> $value {
                self.fetch_or(bits, Ordering::SeqCst)
            }
            fn clear(&self, bits: $value) -> $value {
                self.fetch_and(!bits, Ordering::SeqCst)
            }
        }
    };
}

word!(AtomicU32, u32);
word!(AtomicU64, u64);

/// Finds the pending, unmasked ports that are in `mine`, clears each one's pending bit, and calls
/// `handle` with it. Returns how many there were.
///
/// `selector` is this vCPU's. It is cleared first, and each bit before its handler runs: an event
/// that comes meanwhile is pending again, and its upcall raised again. One call looks at every word
/// once at most, so that it ends however fast events come.
///
/// All three bitmaps have `W::BITS` words; the selector has no bit for more.
pub fn for_each_pending<W: Word>(
    selector: &W,
    pending: &[W],
    mask: &[W],
    mine: &[W],
    mut handle: impl FnMut(Port),
) -> usize {
    let mut count = 0;
    let mut words = selector.take();
    while words != W::ZERO {
        let index = W::lowest(words);
        words &= !W::bit(index);
        let at = index as usize;
        let (Some(pending), Some(mask), Some(mine)) = (pending.get(at), mask.get(at), mine.get(at))
        else {
            continue;
        };
        let mut ports = pending.get() & !mask.get() & mine.get();
        while ports != W::ZERO {
            let bit = W::lowest(ports);
            ports &= !W::bit(bit);
            pending.clear(W::bit(bit));
            handle(Port::new(index * W::BITS + bit));
            count += 1;
        }
    }
    count
}

/// The ports that one vCPU handles.
pub struct PortSet([AtomicWord; WORD_BITS]);

impl PortSet {
    /// No ports.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicWord::new(0) }; WORD_BITS])
    }

    /// Adds a port. To be done before the port is unmasked.
    ///
    /// Returns false, and adds nothing, if two-level event channels have no such port.
    pub fn add(&self, port: Port) -> bool {
        locate::<AtomicWord>(port)
            .map(|(word, bit)| self.0[word].set(bit))
            .is_some()
    }

    /// Takes a port out.
    pub fn remove(&self, port: Port) {
        if let Some((word, bit)) = locate::<AtomicWord>(port) {
            self.0[word].clear(bit);
        }
    }

    /// Takes every port out, as a restore does.
    pub fn clear(&self) {
        for word in &self.0 {
            word.take();
        }
    }

    /// Whether the port is in.
    #[must_use]
    pub fn contains(&self, port: Port) -> bool {
        locate::<AtomicWord>(port).is_some_and(|(word, bit)| self.0[word].get() & bit != 0)
    }
}

impl Default for PortSet {
    fn default() -> Self {
        Self::new()
    }
}

/// A port's word and bit; none for a number that two-level event channels do not have.
fn locate<W: Word>(port: Port) -> Option<(usize, W::Value)> {
    let word = port.number() / W::BITS;
    (word < W::BITS).then(|| (word as usize, W::bit(port.number() % W::BITS)))
}

/// A vCPU's upcall: finds and handles everything that is pending for it. Returns how many events
/// there were.
///
/// To be called with upcalls off, on the vCPU that `vcpu` and `mine` belong to.
pub fn upcall(
    vcpu: &VcpuInfo,
    shared: &SharedInfo,
    mine: &PortSet,
    mut handle: impl FnMut(Port),
) -> usize {
    let mut count = 0;
    // Cleared before the scan: what comes after that raises it again. A bound on the rounds keeps a
    // storm from holding the CPU; what is left has its upcall raised, and comes back as soon as
    // upcalls are on.
    for _ in 0..16 {
        if vcpu.upcall_pending().swap(0, Ordering::SeqCst) == 0 {
            return count;
        }
        count += for_each_pending(
            vcpu.selector(),
            shared.pending(),
            shared.mask(),
            &mine.0,
            &mut handle,
        );
    }
    count
}

/// Masks a port: it can become pending but raises no upcall.
pub fn mask(shared: &SharedInfo, port: Port) {
    if let Some((word, bit)) = locate::<AtomicWord>(port) {
        shared.mask()[word].set(bit);
    }
}

/// Unmasks a port, and has Xen raise its upcall if it was pending meanwhile.
///
/// # Errors
/// Xen's (`EVTCHNOP_unmask`), when there was something to raise.
pub fn unmask(shared: &SharedInfo, port: Port) -> Result<()> {
    let Some((word, bit)) = locate::<AtomicWord>(port) else {
        // Xen's refusal is better than one made up here.
        return event_channel::unmask(port);
    };
    shared.mask()[word].clear(bit);
    if shared.pending()[word].get() & bit == 0 {
        return Ok(());
    }
    // It came while masked, so that nobody was told. Only Xen can raise the upcall on whichever
    // vCPU the port is bound to, and it does so on unmasking. An event in between is delivered
    // twice at worst.
    shared.mask()[word].set(bit);
    event_channel::unmask(port)
}

/// Forgets that a port was pending. For a port that is polled and not handled.
pub fn clear_pending(shared: &SharedInfo, port: Port) {
    if let Some((word, bit)) = locate::<AtomicWord>(port) {
        shared.pending()[word].clear(bit);
    }
}

/// Whether a port is pending, masked or not.
#[must_use]
pub fn is_pending(shared: &SharedInfo, port: Port) -> bool {
    locate::<AtomicWord>(port).is_some_and(|(word, bit)| shared.pending()[word].get() & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::double;
    use crate::shared_info::tests::page;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    /// What Xen does when an event comes for `port`, bound to the vCPU with this selector.
    fn raise<W: Word>(selector: &W, pending: &[W], mask: &[W], port: u32) {
        let (word, bit) = locate::<W>(Port::new(port)).unwrap();
        if pending[word].set(bit) & bit == W::ZERO && mask[word].get() & bit == W::ZERO {
            selector.set(W::bit(word as u32));
        }
    }

    fn scan_finds_exactly_its_own<W: Word + Default>(
        raised: &BTreeSet<u32>,
        masked: &BTreeSet<u32>,
        other: u32,
    ) {
        let map = || (0..W::BITS).map(|_| W::default()).collect::<Vec<W>>();
        let (pending, mask, mine, theirs) = (map(), map(), map(), map());
        let (selector, their_selector) = (W::default(), W::default());
        let put = |map: &[W], port: u32| {
            let (word, bit) = locate::<W>(Port::new(port)).unwrap();
            map[word].set(bit);
        };
        let is_theirs = |port: u32| port % 7 == other;
        for &port in masked {
            put(&mask, port);
        }
        for port in 0..W::BITS * W::BITS {
            put(if is_theirs(port) { &theirs } else { &mine }, port);
        }
        for &port in raised {
            raise(
                if is_theirs(port) {
                    &their_selector
                } else {
                    &selector
                },
                &pending,
                &mask,
                port,
            );
        }
        let mut got = Vec::new();
        let count = for_each_pending(&selector, &pending, &mask, &mine, |port| {
            let (word, bit) = locate::<W>(port).unwrap();
            assert!(
                pending[word].get() & bit == W::ZERO,
                "handled before its bit was cleared"
            );
            got.push(port.number());
        });
        let want: Vec<u32> = raised
            .difference(masked)
            .copied()
            .filter(|&p| !is_theirs(p))
            .collect();
        assert_eq!(got, want);
        assert_eq!(count, want.len());
        assert!(selector.get() == W::ZERO);
        // Nothing is left for a second scan, and the other vCPU still finds all of its own.
        assert_eq!(
            for_each_pending(&selector, &pending, &mask, &mine, |_| ()),
            0
        );
        let mut got = Vec::new();
        for_each_pending(&their_selector, &pending, &mask, &theirs, |port| {
            got.push(port.number())
        });
        let want: Vec<u32> = raised
            .difference(masked)
            .copied()
            .filter(|&p| is_theirs(p))
            .collect();
        assert_eq!(got, want);
        // Masked ports stay pending.
        for &port in raised.intersection(masked) {
            let (word, bit) = locate::<W>(Port::new(port)).unwrap();
            assert!(pending[word].get() & bit != W::ZERO);
        }
    }

    proptest! {
        #[test]
        fn a_scan_finds_exactly_its_own_32(
            raised in proptest::collection::btree_set(0u32..1024, 0..200),
            masked in proptest::collection::btree_set(0u32..1024, 0..200),
            other in 0u32..7,
        ) {
            scan_finds_exactly_its_own::<AtomicU32>(&raised, &masked, other);
        }

        #[test]
        fn a_scan_finds_exactly_its_own_64(
            raised in proptest::collection::btree_set(0u32..4096, 0..200),
            masked in proptest::collection::btree_set(0u32..4096, 0..200),
            other in 0u32..7,
        ) {
            scan_finds_exactly_its_own::<AtomicU64>(&raised, &masked, other);
        }
    }

    #[test]
    fn the_last_port_of_each_word_size_is_found_and_the_next_is_none() {
        assert_eq!(locate::<AtomicU32>(Port::new(1023)), Some((31, 1 << 31)));
        assert_eq!(locate::<AtomicU32>(Port::new(1024)), None);
        assert_eq!(locate::<AtomicU64>(Port::new(4095)), Some((63, 1 << 63)));
        assert_eq!(locate::<AtomicU64>(Port::new(4096)), None);
        assert_eq!(locate::<AtomicU64>(Port::new(u32::MAX)), None);
        assert_eq!(
            WORD_BITS * WORD_BITS,
            crate::ffi::EVTCHN_2L_NR_CHANNELS as usize
        );
    }

    #[test]
    fn an_event_during_its_own_handler_is_handled_again() {
        let shared = page(|_| ());
        let vcpu = shared.vcpu(0).unwrap();
        let mine = PortSet::new();
        assert!(mine.add(Port::new(70)));
        assert!(!mine.add(Port::new((WORD_BITS * WORD_BITS) as u32)));
        let raise_70 = || {
            raise(vcpu.selector(), shared.pending(), shared.mask(), 70);
            vcpu.upcall_pending().store(1, Ordering::SeqCst);
        };
        raise_70();
        let mut left = 3;
        let count = upcall(vcpu, shared, &mine, |port| {
            assert_eq!(port, Port::new(70));
            if left > 0 {
                left -= 1;
                raise_70();
            }
        });
        assert_eq!(count, 4);
        assert_eq!(upcall(vcpu, shared, &mine, |_| ()), 0);
        // A storm ends, and leaves the upcall raised for later.
        raise_70();
        assert_eq!(upcall(vcpu, shared, &mine, |_| raise_70()), 16);
        assert_eq!(vcpu.upcall_pending().load(Ordering::SeqCst), 1);
        assert!(is_pending(shared, Port::new(70)));
        mine.remove(Port::new(70));
        assert!(!mine.contains(Port::new(70)));
        assert_eq!(upcall(vcpu, shared, &mine, |_| ()), 0);
    }

    #[test]
    fn unmasking_calls_xen_only_for_what_came_while_masked() {
        let shared = page(|_| ());
        // The second word's second port.
        let port = Port::new(WORD_BITS as u32 + 1);
        mask(shared, port);
        assert_eq!(shared.mask()[1].load(Ordering::SeqCst), 2);
        let calls = std::rc::Rc::new(core::cell::Cell::new(0));
        let counter = calls.clone();
        let xen = move |nr: u32, args: &[usize]| {
            assert_eq!((nr, args[0]), (32, 9));
            // Xen finds it masked, as it must in order to raise the upcall.
            assert_eq!(shared.mask()[1].load(Ordering::SeqCst), 2);
            shared.mask()[1].clear(2);
            counter.set(counter.get() + 1);
            0
        };
        double::with(xen, || {
            assert_eq!(unmask(shared, port), Ok(()));
            assert_eq!(
                (calls.get(), shared.mask()[1].load(Ordering::SeqCst)),
                (0, 0)
            );
            mask(shared, port);
            shared.pending()[1].set(2);
            assert_eq!(unmask(shared, port), Ok(()));
            assert_eq!(
                (calls.get(), shared.mask()[1].load(Ordering::SeqCst)),
                (1, 0)
            );
            clear_pending(shared, port);
            assert!(!is_pending(shared, port));
        });
    }
}
