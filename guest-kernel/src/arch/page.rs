//! Pages of the kernel's own that the CPU, Xen or Xen's tools read.

use core::cell::UnsafeCell;

use super::address::frame_at;
use crate::memory::layout::{ENTRIES, PAGE_SIZE};
use crate::memory::Pfn;

/// A page of the kernel's own.
#[repr(C, align(4096))]
pub struct Page(UnsafeCell<[u64; ENTRIES]>);
// SAFETY: written by vCPU 0 while no other vCPU runs, or word by word with volatile writes by the
// one CPU that owns the slot; never borrowed.
unsafe impl Sync for Page {}

impl Page {
    /// Zeroes.
    pub const fn new() -> Self {
        Page(UnsafeCell::new([0; ENTRIES]))
    }
    fn entry(&self, slot: usize) -> *mut u64 {
        assert!(slot < ENTRIES);
        self.0.get().cast::<u64>().wrapping_add(slot)
    }
    /// Reads 8 bytes.
    pub fn read_u64(&self, index: usize) -> u64 {
        // SAFETY: in bounds (checked by `entry`); volatile, as the CPU may write it too.
        unsafe { self.entry(index).read_volatile() }
    }
    /// Writes a machine word.
    pub fn write_word(&self, index: usize, word: usize) {
        assert!(index < PAGE_SIZE / size_of::<usize>());
        // SAFETY: in bounds; volatile: others read it meanwhile, word by word.
        unsafe { self.0.get().cast::<usize>().add(index).write_volatile(word) }
    }
    /// Writes 8 bytes.
    pub fn write_u64(&self, index: usize, value: u64) {
        // SAFETY: in bounds (checked by `entry`); volatile, as the CPU reads it too.
        unsafe { self.entry(index).write_volatile(value) }
    }
    /// Its frame.
    pub fn pfn(&self) -> Pfn {
        match frame_at(self.0.get() as usize) {
            Some(pfn) => pfn,
            None => unreachable!("a page of the kernel's own is in the direct map"),
        }
    }
}
