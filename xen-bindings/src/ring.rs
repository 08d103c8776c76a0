//! Byte rings in a page that is shared with a program in dom0.
//!
//! Each direction has bytes, a producer index and a consumer index; both run freely over 32 bits
//! and are taken modulo the ring's size, a power of two. The producer writes bytes, then the
//! producer index; the consumer reads bytes, then writes the consumer index.
//!
//! The other side can write anything anywhere in the page at any time. So this side keeps its own
//! index in its own memory and only publishes it; it reads the other's index once for each use, and
//! accepts it only if the two are no further apart than the ring is long.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU8, Ordering};

/// A ring's indices are further apart than the ring is long. The other side is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIndices {
    /// Which ring, as the headers name its direction: `req`, `rsp`, `in` or `out`.
    pub ring: &'static str,
    /// The producer index.
    pub prod: u32,
    /// The consumer index.
    pub cons: u32,
    /// The ring's length in bytes.
    pub size: u32,
}

impl fmt::Display for BadIndices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ring,
            prod,
            cons,
            size,
        } = self;
        write!(
            f,
            "{ring} ring has impossible indices: producer {prod}, consumer {cons}, {size} bytes"
        )
    }
}

/// One direction of a ring page.
#[derive(Clone, Copy)]
struct Ring<'p> {
    name: &'static str,
    bytes: &'p [AtomicU8],
    prod: &'p AtomicU32,
    cons: &'p AtomicU32,
}

impl Ring<'_> {
    fn size(&self) -> u32 {
        // Rings are 1 or 2 KiB.
        self.bytes.len() as u32
    }

    /// Bytes in the ring.
    fn used(&self, prod: u32, cons: u32) -> Result<u32, BadIndices> {
        let used = prod.wrapping_sub(cons);
        if used > self.size() {
            return Err(BadIndices {
                ring: self.name,
                prod,
                cons,
                size: self.size(),
            });
        }
        Ok(used)
    }

    fn byte(&self, index: u32) -> &AtomicU8 {
        &self.bytes[index as usize % self.bytes.len()]
    }
}

/// The direction this side writes.
pub(crate) struct Producer<'p> {
    ring: Ring<'p>,
    /// This side's index. The copy in the page is only written.
    prod: u32,
}

impl<'p> Producer<'p> {
    /// Continues at the index in the page. `bytes.len()` is a power of two.
    pub(crate) fn new(
        name: &'static str,
        bytes: &'p [AtomicU8],
        prod: &'p AtomicU32,
        cons: &'p AtomicU32,
    ) -> Self {
        debug_assert!(bytes.len().is_power_of_two());
        let ring = Ring {
            name,
            bytes,
            prod,
            cons,
        };
        Self {
            ring,
            prod: prod.load(Ordering::Relaxed),
        }
    }

    /// Room, in bytes.
    pub(crate) fn room(&self) -> Result<usize, BadIndices> {
        // Acquire: the other side has read the bytes whose room it frees.
        let cons = self.ring.cons.load(Ordering::Acquire);
        Ok((self.ring.size() - self.ring.used(self.prod, cons)?) as usize)
    }

    /// Bytes written that the other side has not taken yet.
    pub(crate) fn waiting(&self) -> Result<usize, BadIndices> {
        Ok(self.ring.bytes.len() - self.room()?)
    }

    /// Writes as much of `data` as there is room for, publishes it, and returns how much that was.
    pub(crate) fn write(&mut self, data: &[u8]) -> Result<usize, BadIndices> {
        let len = data.len().min(self.room()?);
        for &byte in &data[..len] {
            self.ring.byte(self.prod).store(byte, Ordering::Relaxed);
            self.prod = self.prod.wrapping_add(1);
        }
        if len > 0 {
            // Release: the bytes are there before the index says so.
            self.ring.prod.store(self.prod, Ordering::Release);
        }
        Ok(len)
    }

    /// Throws away what the other side has not taken, and starts where it is.
    pub(crate) fn discard(&mut self) {
        self.prod = self.ring.cons.load(Ordering::Acquire);
        self.ring.prod.store(self.prod, Ordering::Release);
    }

    /// Continues at the index in the page, or starts empty if that index is impossible.
    pub(crate) fn resume(&mut self) {
        self.prod = self.ring.prod.load(Ordering::Relaxed);
        if self.room().is_err() {
            self.discard();
        }
    }
}

/// The direction this side reads.
pub(crate) struct Consumer<'p> {
    ring: Ring<'p>,
    /// This side's index. The copy in the page is only written.
    cons: u32,
}

impl<'p> Consumer<'p> {
    /// Continues at the index in the page. `bytes.len()` is a power of two.
    pub(crate) fn new(
        name: &'static str,
        bytes: &'p [AtomicU8],
        prod: &'p AtomicU32,
        cons: &'p AtomicU32,
    ) -> Self {
        debug_assert!(bytes.len().is_power_of_two());
        let ring = Ring {
            name,
            bytes,
            prod,
            cons,
        };
        Self {
            ring,
            cons: cons.load(Ordering::Relaxed),
        }
    }

    /// Bytes that can be read.
    pub(crate) fn available(&self) -> Result<usize, BadIndices> {
        // Acquire: what is read below was there before the index said so.
        let prod = self.ring.prod.load(Ordering::Acquire);
        Ok(self.ring.used(prod, self.cons)? as usize)
    }

    /// Reads what there is into `room`, gives its place back, and returns how much that was.
    pub(crate) fn read(&mut self, room: &mut [u8]) -> Result<usize, BadIndices> {
        let len = room.len().min(self.available()?);
        for byte in &mut room[..len] {
            *byte = self.ring.byte(self.cons).load(Ordering::Relaxed);
            self.cons = self.cons.wrapping_add(1);
        }
        if len > 0 {
            // Release: the bytes are read before the index frees their room.
            self.ring.cons.store(self.cons, Ordering::Release);
        }
        Ok(len)
    }

    /// Throws away what was not read, and starts where the other side is.
    pub(crate) fn discard(&mut self) {
        self.cons = self.ring.prod.load(Ordering::Acquire);
        self.ring.cons.store(self.cons, Ordering::Release);
    }

    /// Continues at the index in the page, or starts empty if that index is impossible.
    pub(crate) fn resume(&mut self) {
        self.cons = self.ring.cons.load(Ordering::Relaxed);
        if self.available().is_err() {
            self.discard();
        }
    }
}

/// Tells the other side of a ring that something changed.
pub trait Notify {
    /// Sends the ring's event.
    ///
    /// # Errors
    /// Xen's, if it refused.
    fn notify(&mut self) -> crate::Result<()>;
}

impl Notify for crate::event_channel::Port {
    fn notify(&mut self) -> crate::Result<()> {
        crate::event_channel::send(*self)
    }
}

impl<F: FnMut() -> crate::Result<()>> Notify for F {
    fn notify(&mut self) -> crate::Result<()> {
        self()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    const SIZE: usize = 16;

    struct Page {
        bytes: [AtomicU8; SIZE],
        prod: AtomicU32,
        cons: AtomicU32,
    }

    impl Page {
        fn starting_at(index: u32) -> Self {
            Self {
                bytes: Default::default(),
                prod: index.into(),
                cons: index.into(),
            }
        }
        fn producer(&self) -> Producer<'_> {
            Producer::new("out", &self.bytes, &self.prod, &self.cons)
        }
        fn consumer(&self) -> Consumer<'_> {
            Consumer::new("in", &self.bytes, &self.prod, &self.cons)
        }
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(
            start: u32,
            // Writes (positive) and reads (negative) of so many bytes.
            steps in proptest::collection::vec(-20i32..20, 1..200),
        ) {
            let page = Page::starting_at(start);
            let (mut producer, mut consumer) = (page.producer(), page.consumer());
            let (mut sent, mut got) = (0u8, 0u8);
            for step in steps {
                if step >= 0 {
                    let data: Vec<u8> = (0..step as u8).map(|i| sent.wrapping_add(i)).collect();
                    let room = producer.room().unwrap();
                    let len = producer.write(&data).unwrap();
                    prop_assert_eq!(len, data.len().min(room));
                    sent = sent.wrapping_add(len as u8);
                } else {
                    let mut room = vec![0; step.unsigned_abs() as usize];
                    let len = consumer.read(&mut room).unwrap();
                    for byte in &room[..len] {
                        prop_assert_eq!(*byte, got);
                        got = got.wrapping_add(1);
                    }
                }
                let used = usize::from(sent.wrapping_sub(got));
                prop_assert_eq!(consumer.available().unwrap(), used);
                prop_assert_eq!(producer.waiting().unwrap(), used);
            }
        }

        #[test]
        fn impossible_indices_are_refused_and_possible_ones_believed(own: u32, other: u32) {
            let page = Page::starting_at(own);
            let (mut producer, mut consumer) = (page.producer(), page.consumer());
            page.cons.store(other, Ordering::Relaxed);
            let distance = own.wrapping_sub(other);
            prop_assert_eq!(producer.write(b"x").is_ok(), distance <= SIZE as u32);
            page.prod.store(other, Ordering::Relaxed);
            let distance = other.wrapping_sub(own);
            prop_assert_eq!(consumer.read(&mut [0; 20]).is_ok(), distance <= SIZE as u32);
            // Whatever the page holds, resuming gives rings that work.
            producer.resume();
            prop_assert!(producer.room().is_ok());
            consumer.resume();
            prop_assert!(consumer.available().is_ok());
        }
    }

    #[test]
    fn the_other_side_cannot_move_this_side_s_index() {
        let page = Page::starting_at(0);
        let mut producer = page.producer();
        producer.write(b"abc").unwrap();
        page.prod.store(0, Ordering::Relaxed);
        producer.write(b"d").unwrap();
        assert_eq!(page.prod.load(Ordering::Relaxed), 4);
        assert_eq!(producer.waiting().unwrap(), 4);
        producer.discard();
        assert_eq!(page.prod.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_error_names_the_ring_and_its_indices() {
        let page = Page::starting_at(5);
        page.cons.store(6, Ordering::Relaxed);
        let error = page.producer().room().unwrap_err();
        assert_eq!(
            error.to_string(),
            "out ring has impossible indices: producer 5, consumer 6, 16 bytes"
        );
    }
}
