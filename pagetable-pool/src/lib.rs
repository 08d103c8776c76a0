//! pagetable-pool.
#![no_std]
